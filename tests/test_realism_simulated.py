"""Simulated parcels and seasons are within the tolerances of the comparison with real ones, line by line."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import realism
from realism_metrics import read
from realism_metrics.table import TOLERANCES, Row

from agrifm.simulator.points import PointSeries

pytestmark = [
    pytest.mark.check,
    pytest.mark.skipif(not read.DATA.is_dir(), reason="needs the data sets at AGRIFM_DATA"),
]
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


@pytest.mark.parametrize("line", ["a", "b", "c", "d", "i"])
def test_a_line_of_parcels_is_within_its_tolerances(parcels: Parcels, line: str) -> None:
    assert failing(line, realism.parcel_rows(line, *parcels)) == []


@pytest.mark.parametrize("line", ["e", "f", "g"])
def test_a_line_of_seasons_is_within_its_tolerances(seasons: Seasons, line: str) -> None:
    assert failing(line, realism.compare_seasons(*seasons)) == []


def test_line_h_every_class_has_an_area_under_the_curve_and_named_causes(parcels: Parcels) -> None:
    real, _ = parcels
    table = {
        row.quantity.removeprefix("real from simulated, area under curve: "): row
        for row in realism.parcel_rows("h", *parcels)
    }
    for label in set(real.label):
        assert 0 <= table[label].simulated <= 1
        assert table[label].note.count(" -> ") == 3
