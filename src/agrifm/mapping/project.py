"""`agrifm map`: the project's cube and one of its models to its map."""

from pathlib import Path
from typing import TYPE_CHECKING, get_args

from agrifm.config import Project
from agrifm.errors import MapError, did_you_mean
from agrifm.inference.predictor import load_record
from agrifm.mapping.run import MapSummary, map_area
from agrifm.record import FamilyName, model_file

if TYPE_CHECKING:
    from agrifm.models.precision import Precision


def map_project(
    project: Project,
    model: Path | None = None,
    out: Path | None = None,
    precision: "Precision" = "float32",
    compiled: bool = False,
) -> MapSummary:
    """Map the project's area; a stopped map continues.

    Args:
        model: model file; left out, the one named under [map].
        out: directory of the map; left out, `map/` beside the project file.
        precision: in which a network computes (docs/precision.md).
        compiled: a network is compiled by `torch.compile`.

    Raises:
        MapError, ModelError, CubeError, OutputError: in a sentence, before anything is overwritten.
    """
    path = model or _named_model(project)
    window = project.map.window or load_record(path).side
    overlap = project.map.overlap if 2 * project.map.overlap <= window else 0
    return map_area(project.cube, path, out or project.maps, window, overlap, precision, compiled)


def _named_model(project: Project) -> Path:
    name = project.map.model
    known = get_args(FamilyName)
    if name not in known:
        raise MapError(
            f"choosing the model to map with: unknown model '{name}'{did_you_mean(name, known)} "
            f"(known: {', '.join(known)})",
            model=name,
        )
    return model_file(project.models, name)


def describe(summary: MapSummary) -> list[str]:
    """The map in sentences."""
    areas = ", ".join(f"{code} {hectares:.0f}" for code, hectares in summary.hectares.items())
    without = ", ".join(summary.absent_sensors)
    return [
        *([f"the cube has no {without}; mapped without, as the model was trained to do"] if without else []),
        f"mapped hectares: {areas}; without a valid observation {summary.nodata_hectares:.0f}",
        f"wrote {summary.path}",
    ]
