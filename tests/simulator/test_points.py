"""Point mode: the table's form, what depends on what, and skies that hide or show the ground."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agrifm.simulator import region as regions
from agrifm.simulator.points import PARCELS, POINT_BANDS, PointSeries, simulate_points

OCEANIC = Path(regions.__file__).parent / "regions" / "oceanic.toml"
FEW = {"grassland": 8, "maize": 8, "rapeseed_rape": 8}
CELLS = 4


@pytest.fixture(scope="module")
def few() -> PointSeries:
    """The series of the example in docs/simulate.md."""
    page = (Path(__file__).parents[2] / "docs" / "simulate.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    return names["series"]


@pytest.mark.check
def test_the_same_seed_gives_the_same_table(few: PointSeries):
    again = simulate_points("oceanic", 2023, 3, FEW, CELLS)
    np.testing.assert_array_equal(again.values, few.values)
    assert few.ndvi.shape == few.values.shape[:2] == (24, 51)


def under(tmp_path: Path, sky: str) -> PointSeries:
    """The same parcels under another sky."""
    text = OCEANIC.read_text()
    start = text.index("[sky]")
    file = tmp_path / "oceanic.toml"
    file.write_text(text[:start] + f"[sky]\n{sky}\n" + text[text.index("\n[", start) :])
    return simulate_points(str(file), 2023, 3, FEW, CELLS)


def test_the_table_runs_from_september_to_the_january_after_next_in_dekads(few: PointSeries):
    assert few.values.shape == (24, 51, len(POINT_BANDS))
    assert few.dekads[[0, 1, 2, 3, 50]].astype(str).tolist() == [
        "2022-09-01", "2022-09-11", "2022-09-21", "2022-10-01", "2024-01-21",
    ]  # fmt: skip
    assert few.label.tolist() == np.repeat(list(FEW), list(FEW.values())).tolist()
    assert few.present.all()


def test_real_frequencies_are_the_default():
    """splits.csv of the real set: 467 parcels with ten labels."""
    assert sum(PARCELS.values()) == 467
    assert len(PARCELS) == 10
    assert PARCELS["grassland"] == 173


def test_no_cell_is_in_two_folds_and_cells_have_skies_of_their_own(few: PointSeries):
    assert len(set(few.cell)) == CELLS
    folds = {cell: set(few.fold[few.cell == cell]) for cell in few.cell}
    assert all(len(own) == 1 for own in folds.values())
    missing = np.isnan(few.values[..., 0])
    patterns = {cell: missing[few.cell == cell].mean(0) for cell in set(few.cell)}
    first, second = list(patterns.values())[:2]
    assert np.abs(first - second).mean() > 0.1


def test_values_are_reflectances_missing_in_all_bands_or_none(few: PointSeries):
    seen = np.isfinite(few.values)
    assert (seen.all(-1) == seen.any(-1)).all()
    assert 0.3 < seen[..., 0].mean() < 0.8
    assert few.values[seen].min() > 0
    assert np.quantile(few.values[seen], 0.999) < 1


@pytest.mark.check
def test_another_seed_gives_another_table(few: PointSeries):
    other = simulate_points("oceanic", 2023, 4, FEW, CELLS)
    assert not np.array_equal(np.isnan(other.values), np.isnan(few.values))


@pytest.mark.check
def test_an_overcast_region_shows_nothing_and_a_clear_one_all(tmp_path: Path):
    """A cloud share of 0.9999 leaves what the mask misses: a quarter of a percent."""
    dull = under(tmp_path, f"cloud = {[0.9999] * 12}\ncirrus = 0.0\naerosol = 0.1\nlost = 0.0")
    clear = under(tmp_path, f"cloud = {[1e-9] * 12}\ncirrus = 0.0\naerosol = 0.001\nlost = 0.0")
    assert np.isnan(dull.values).mean() > 0.97
    assert np.isnan(clear.values).mean() == 0
    months = clear.months.astype(int) % 12 + 1
    maize = clear.ndvi[clear.label == "maize"]
    assert np.median(maize[:, months == 8][:, :3]) > 0.7
    assert np.median(maize[:, (months == 5)]) < 0.4
    assert (clear.values[..., 0] > 0.15).mean() < 0.02


@pytest.mark.check
def test_crops_of_the_north_are_in_the_north():
    """Soybean leans to the south, wheat to the north; the region's ends are 5 degrees apart."""
    series = simulate_points("oceanic", 2023, 1, {"soy_soybeans": 40, "wheat": 40}, 12)
    counts = {
        label: np.array([np.sum(series.cell[series.label == label] == cell) for cell in np.unique(series.cell)])
        for label in ("soy_soybeans", "wheat")
    }
    together = np.minimum(counts["soy_soybeans"], counts["wheat"]).sum() / 40
    assert together < 0.35


def test_clouds_that_the_mask_misses_stay_bright(few: PointSeries):
    blue = few.values[..., POINT_BANDS.index("B02")]
    assert np.nanquantile(blue, 0.5) < 0.08
    assert 0 <= np.mean(blue[np.isfinite(blue)] > 0.15) < 0.05
