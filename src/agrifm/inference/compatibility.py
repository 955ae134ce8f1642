"""Check whether a model fits a cube before anything is trained or mapped, and describe a model of any family."""

from typing import TYPE_CHECKING

from agrifm.cube.store import open_cube
from agrifm.errors import ModelError, require_installed
from agrifm.files import AnyPath, as_path
from agrifm.inference.mean import members_of
from agrifm.inference.predictor import EXPORTED, FOREST, MEAN, load_model, load_record
from agrifm.object_store import ObjectPath, as_place
from agrifm.record import ModelRecord, record_in_words, require_fit

if TYPE_CHECKING:
    from agrifm.models.weights.file import WeightsRecord


def check_model(model: AnyPath, cube_path: AnyPath | ObjectPath) -> list[str]:
    """Compare what a model or converted weights expect with what a cube holds.

    Returns:
        What fits, and what else differs, in sentences.

    Raises:
        ModelError: the file is refused, has no record, or a sensor, a band, or the scale, quantity or pixel size of one
            differs.
        CubeError: the cube does not exist or is not finished.
    """
    model = as_path(model)
    cube_path = as_place(cube_path)
    cube = open_cube(cube_path)
    record: ModelRecord | WeightsRecord | None
    if model.suffix in (FOREST, EXPORTED, MEAN):
        record = load_model(model).record
    else:
        require_installed(f"checking {model}", "deep", "torch")
        from agrifm.models.weights.inspect import read_any_record

        record = read_any_record(model)
    if record is None:
        raise ModelError(
            f"checking {model}: it has no record of the bands that it expects; `agrifm model convert` writes one",
            path=model,
        )
    require_fit(record, cube.inputs, f"the cube {cube_path}")
    lines = []
    for expected in record.sensors:
        if expected.sensor not in cube.inputs:
            lines.append(f"{expected.sensor}: not in the cube, and the model does not need it")
            continue
        bands = cube.inputs[expected.sensor].bands
        further = [band for band in bands if band not in expected.bands]
        also = f"; further bands of the cube, not used: {', '.join(further)}" if further else ""
        lines.append(f"{expected.sensor}: fits, bands {', '.join(expected.bands)}{also}")
    wanted = {expected.sensor for expected in record.sensors}
    lines += [f"{name}: in the cube, not used" for name in cube.inputs if name not in wanted]
    if isinstance(record, ModelRecord) and record.season != (cube.season.start, cube.season.end):
        start, end = record.season
        lines.append(f"season: trained on {start} to {end}, the cube has {cube.season.start} to {cube.season.end}")
    return lines


def describe_model(path: AnyPath, window: tuple[int, int, int] | None = None) -> list[str]:
    """Describe a model or weights in lines of text.

    Args:
        window: attention window of AgriFM in tokens (time steps, rows, columns), if the file does not determine it.

    Raises:
        ModelError: the file cannot be read or is damaged.
    """
    path = as_path(path)
    members: list[tuple[str, str]] = []
    if path.suffix == MEAN:
        mean = load_model(path)
        record = mean.record
        members = [
            ("member", f"{one.file}, weight {one.weight:.3g}, {_steps(one.model.record)}") for one in members_of(mean)
        ]
    elif path.suffix in (FOREST, EXPORTED):
        record = load_record(path)
    else:
        require_installed(f"reading {path}", "deep", "torch")
        from agrifm.models.weights.file import load_network, trained_family
        from agrifm.models.weights.inspect import describe_weights, inspect_weights
        from agrifm.models.weights.peer_files import describe_released, recognise_released

        family = trained_family(path)
        if family is None and (released := recognise_released(path)):
            return describe_released(path, released)
        if family in (None, "agrifm"):
            return describe_weights(inspect_weights(path, window))
        record = load_network(path)[1]
    rows = [
        ("file", f"{path} ({path.stat().st_size:,} bytes)"),
        ("family", record.family),
        *((sensor.sensor, f"{len(sensor.bands)} bands; {', '.join(sensor.bands)}") for sensor in record.sensors),
        *(members or [("series", _steps(record))]),
        *([("calibration", record.calibration.describe())] if record.calibration is not None else []),
        ("record", record_in_words(record)),
    ]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {text}" for name, text in rows]


def _steps(record: ModelRecord) -> str:
    return f"{record.series}, {record.frames} steps"
