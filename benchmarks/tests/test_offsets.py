"""The benchmark of the offset check: states of the numbers, and counts by hand."""

from collections import Counter
from datetime import date, timedelta

import numpy as np
import offsets
import xarray as xr
from affine import Affine
from tests.scenes import LEFT, TOP, UTM

from agrifm.grid import Grid
from agrifm.scene.scene import ArrayAsset, Scene

SIDE = 48
GRID = Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (SIDE, SIDE))


def scene(day: int, baseline: str, classes: int = 4) -> Scene:
    """Reflectance 0.03 in the upper half, vegetation unless `classes` says otherwise, and soil of 0.08 below."""
    reflectance = np.full((SIDE, SIDE), 300)
    reflectance[SIDE // 2 :] = 800
    seen = np.full((SIDE, SIDE), classes, np.uint8)
    seen[SIDE // 2 :] = 5 if classes == 4 else classes
    numbers = (reflectance + (1000 if baseline >= "04" else 0)).astype(np.uint16)
    planes = {**dict.fromkeys(offsets.SIMULATED.assets.values(), numbers), "scl": seen}
    assets = {
        key: ArrayAsset(xr.DataArray(plane, dims=("y", "x"), name=key), UTM, GRID.transform)
        for key, plane in planes.items()
    }
    return Scene(f"S{day}", offsets.SIMULATED, date(2024, 5, 1) + timedelta(day), assets, "made", baseline=baseline)


def test_numbers_end_at_zero_and_nodata_stays() -> None:
    moved = offsets.shifted(np.array([0, 1, 1000, 1001, 65535], np.uint16), -1000)
    assert moved.tolist() == [0, 0, 0, 1, 64535]
    assert offsets.shifted(np.array([0, 65535], np.uint16), 2000).tolist() == [0, 65535]


def test_states_of_a_season_are_counted_and_a_cloudy_scene_is_left_out() -> None:
    """Four scenes of either baseline, one of them cloudy; dark ground of 0.03 shows every false statement."""
    season = [scene(0, "05.10"), scene(5, "03.01"), scene(10, "05.10"), scene(15, "05.10", classes=9)]
    row = offsets.counted("made", season, GRID, offsets.FLAGGED)
    assert (row.scenes, row.few_clear) == (4, 1)
    alarms = {label: row.verdicts[label, how] for label in offsets.FALSE for how in offsets.HOW}
    assert all(found == Counter(alarm=3) for found in alarms.values())
    assert all(row.verdicts[label, "all scenes"] == Counter(agree=3) for label in offsets.TRUE)
    assert offsets.cells("all", row.verdicts[next(iter(offsets.FALSE)), "all scenes"]) == ("all", 3, 3, "100.0 %", 0)
    assert len(list(offsets.lines([row, row]))) > 5
