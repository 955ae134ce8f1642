"""`agrifm parcels` killed at random moments (SIGKILL) and run again ends with the files of an uninterrupted run."""

import random
from pathlib import Path

import pytest
from tests.mapping.small_parcels import map_grid, small_map, small_parcels
from tests.test_killed import Run, contents

pytestmark = pytest.mark.check

SCRIPT = """
import sys
import geopandas, matplotlib.figure, pyarrow.parquet, pyogrio, rasterio.features
from agrifm import vector_batches
from agrifm.cli import main
from agrifm.mapping import parcels
vector_batches.BATCH_ROWS = 50
print("begun", file=sys.stderr, flush=True)
sys.exit(main(sys.argv[1:]))
"""
"""Small batches, so that there are several."""
PROJECT = """\
[season]
start = 2024-03-01
end = 2024-10-31
area = [2, 49, 3, 50]
[imagery]
catalog = "c"
products = ["landsat-c2-l2"]
[labels]
file = "l.gpkg"
[parcels]
file = "fields.parquet"
geopackage = true
"""
KILLS = 20


def test_parcels_killed_at_20_random_moments_end_with_the_same_files(tmp_path: Path) -> None:
    grid = map_grid(480)
    small_map(tmp_path / "map", grid, unseen=(slice(0, 60), slice(0, 60)))
    small_parcels(grid, 4000, reach=40).to_parquet(tmp_path / "fields.parquet", row_group_size=100)
    (tmp_path / "agrifm.toml").write_text(PROJECT)

    def started(name: str) -> Run:
        words = ["parcels", "--project", str(tmp_path), "--out", str(tmp_path / name)]
        run = Run(SCRIPT, words, tmp_path / f"{name}.log")
        assert run.reaches("begun")
        return run

    seconds = started("calm").ends()
    expected = contents(tmp_path / "calm")
    assert {"parcels.parquet", "parcels.gpkg", "parcels.png", "summary.json"} <= expected.keys()
    dice, kills, rounds = random.Random(0), 0, 0
    while kills < KILLS:
        out = tmp_path / f"killed{rounds}"
        # Up to five kills in a row, none of which loses the parts before it.
        for _ in range(5):
            if not started(out.name).is_killed_after(dice.uniform(0, 0.9 * seconds)):
                break
            kills += 1
            assert not out.exists() or contents(out) == expected
        else:
            started(out.name).ends()
        assert contents(out) == expected
        assert not list(tmp_path.glob(f"{out.name}.partial*"))
        rounds += 1
        assert rounds < 5 * KILLS
