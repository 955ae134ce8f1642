"""Simulated parcels and seasons are within the tolerances of the comparison with real ones, line by line."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import realism
from realism_metrics import read
from realism_metrics.table import TOLERANCES, Row

from agrifm.simulator.points import PointSeries

pytestmark = pytest.mark.skipif(not read.DATA.is_dir(), reason="needs the data sets at AGRIFM_DATA")
Parcels = tuple[PointSeries, list[PointSeries]]
Seasons = tuple[read.FieldPatch, read.ModisSeries]


@pytest.fixture(scope="module")
def parcels() -> Parcels:
    """Real ones, and five simulated years."""
    return read.france(), realism.simulated_parcels("", seed=0)


@pytest.fixture(scope="module")
def seasons(tmp_path_factory: pytest.TempPathFactory) -> Seasons:
    """Simulated: oceanic and southern."""
    folder: Path = tmp_path_factory.mktemp("seasons")
    return realism.simulated_seasons(folder, seed=0)


def failing(line: str, table: Iterable[Row]) -> list[str]:
    """Quantities of a line that fail; each quantity with a tolerance must be there."""
    found = {row.quantity: row for row in table if row.line == line}
    return [
        f"{quantity}: {found[quantity].simulated:.3f}, real {found[quantity].real:.3f}, must be {tolerance}"
        for quantity, tolerance in TOLERANCES[line].items()
        if tolerance.relation != "reported" and found[quantity].verdict != "holds"
    ]


@pytest.mark.check
def test_line_a_a_forest_knows_simulated_labels_as_well_as_real_ones(parcels: Parcels) -> None:
    assert failing("a", realism.line_a(*parcels)) == []


def test_line_b_levels_and_timing_are_those_of_real_parcels(parcels: Parcels) -> None:
    assert failing("b", realism.line_b(*parcels)) == []


def test_line_c_parcels_of_a_class_differ_as_much_as_real_ones(parcels: Parcels) -> None:
    assert failing("c", realism.line_c(*parcels)) == []


def test_line_d_gaps_are_as_many_and_as_long_as_real_ones(parcels: Parcels) -> None:
    assert failing("d", realism.line_d(*parcels)) == []


@pytest.mark.check
def test_line_e_fields_vary_inside_as_real_ones_do(seasons: Seasons) -> None:
    assert failing("e", realism.compare_seasons(*seasons)) == []


@pytest.mark.check
def test_line_f_sentinel_2_and_landsat_differ_as_on_real_days(seasons: Seasons) -> None:
    assert failing("f", realism.compare_seasons(*seasons)) == []


@pytest.mark.check
def test_line_g_coarse_series_are_as_noisy_and_timed_as_real_ones(seasons: Seasons) -> None:
    assert failing("g", realism.compare_seasons(*seasons)) == []


@pytest.mark.check
def test_line_h_every_class_has_an_area_under_the_curve_and_named_causes(parcels: Parcels) -> None:
    real, _ = parcels
    table = {
        row.quantity.removeprefix("real from simulated, area under curve: "): row for row in realism.line_h(*parcels)
    }
    for label in set(real.label):
        assert 0 <= table[label].simulated <= 1
        assert table[label].note.count(" -> ") == 3


def test_line_i_a_forest_of_simulated_parcels_knows_real_temporary_crops(parcels: Parcels) -> None:
    assert failing("i", realism.line_i(*parcels)) == []
