"""The directory of models: what training writes there, and how all of it takes its place together."""

import filecmp
from collections.abc import Sequence
from pathlib import Path

import geopandas

from agrifm.config import Project
from agrifm.errors import ConfigError
from agrifm.inference.training_reference import REFERENCE
from agrifm.outputs import UNFINISHED, discard, finish_directory
from agrifm.record import TRAINING_DATA, model_file, seed_names, with_parts

SCORES, RELIABILITY, YIELDS_PICTURE, SHARES_PICTURE = "scores.json", "reliability.png", "yields.png", "fractions.png"
"""With the models; pictures only if matplotlib is installed."""
EVERY_RESULT = (SCORES, RELIABILITY, YIELDS_PICTURE, SHARES_PICTURE, TRAINING_DATA, REFERENCE)
"""Files that training writes next to the models."""


def require_inputs_apart(project: Project) -> None:
    """Refuse to read a file that training writes.

    Raises:
        ConfigError: a key of the project file names one.
    """
    written = {*EVERY_RESULT, *_files(project.model.every_name, project.model.seeds)}
    labels, model = project.labels, project.model
    for key, path in {
        "area": project.season.area,
        "file": labels.file,
        "series": labels.series,
        "legend": labels.legend,
        "other": labels.other,
        "weights": model.weights,
    }.items():
        if not isinstance(path, str | Path):
            continue
        place = project.path(path).resolve()
        if place.parent == project.models.resolve() and place.name in written:
            raise ConfigError(
                f"training: `{key}` is {path}, a file that training writes; copy it elsewhere and name the copy",
                key=key,
            )


def _files(names: Sequence[str], seeds: int) -> set[str]:
    """Names of the files of models."""
    files = set()
    for name in with_parts(names):
        stems = seed_names(name, seeds)
        files |= {model_file(Path(), name, len(stems)).name, f"{name}.json"}
        for stem in stems:
            files |= {f"{stem}{model_file(Path(), name).suffix}", f"{stem}.json", f"{stem}.timing.json"}
    return files


def publish(staging: Path, directory: Path, names: Sequence[str], seeds: int = 1) -> list[str]:
    """Put everything in its place at once; nothing is touched if all of it is there already.

    Args:
        names: of the models, as in the project file.
        seeds: of each network.

    Returns:
        Names of the files that are new or have another content than before.
    """
    made = {*EVERY_RESULT, UNFINISHED, *_files(names, seeds)}
    for path in staging.iterdir():  # of an earlier run, with other models
        if path.name not in made:
            discard(path) if path.is_dir() else path.unlink()
    files = sorted(path for path in staging.iterdir() if path.name != UNFINISHED)
    written = [path.name for path in files if not _is_same(path, directory / path.name)]
    if written:
        finish_directory(staging, directory, "models", keep_others=True)
    else:
        discard(staging)
    return written


def _is_same(path: Path, other: Path) -> bool:
    """Whether two files have the same content; GeoPackages also state when they were written."""
    if not other.is_file():
        return False
    if path.suffix != ".gpkg":
        return filecmp.cmp(path, other, shallow=False)
    try:
        one, two = (geopandas.read_file(file, engine="pyogrio") for file in (path, other))
    except Exception:  # a damaged file raises errors of many kinds
        return False
    return bool(one.to_wkb().equals(two.to_wkb()))
