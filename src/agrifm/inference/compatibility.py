"""`agrifm model check`: a record beside a cube, before anything is trained or mapped."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from agrifm.cube.store import open_cube
from agrifm.errors import ModelError
from agrifm.inference.predictor import FOREST, load_record
from agrifm.record import ModelRecord, require_fit

if TYPE_CHECKING:
    from agrifm.models.weights.file import WeightsRecord


def check(model: Path, cube_path: Path) -> list[str]:
    """Compare what a model or converted weights expect with what a cube holds.

    Returns:
        What fits, and what was noticed beside it, in sentences.

    Raises:
        ModelError: the file is refused, has no record, or a sensor, a band, or the scale, quantity or pixel size of one
            differs.
        CubeError: there is no finished cube.
    """
    cube = open_cube(cube_path)
    if model.suffix == FOREST:
        record: ModelRecord | WeightsRecord | None = load_record(model)
    elif find_spec("torch") is None:
        raise ModelError(f"checking {model}: it needs PyTorch, which is not installed; pip install 'agrifm[deep]'")
    else:
        from agrifm.models.weights.inspect import read_any_record

        record = read_any_record(model)
    if record is None:
        raise ModelError(
            f"checking {model}: it has no record of the bands that it expects; `agrifm model convert` writes one"
        )
    require_fit(record, cube.inputs, f"the cube {cube_path}")
    lines = []
    for expected in record.sensors:
        if expected.sensor not in cube.inputs:
            lines.append(f"{expected.sensor}: not in the cube, and the model does without it")
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
