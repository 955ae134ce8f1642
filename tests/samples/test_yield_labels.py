"""Yields as labels: what is read in which unit, and what is refused rather than guessed."""

import geopandas
import numpy as np
import pytest
from affine import Affine
from shapely import Point, box

from agrifm.errors import LabelError
from agrifm.grid import Grid
from agrifm.samples.yield_columns import guess_yields, unit_in_name
from agrifm.samples.yield_labels import read_yield_labels, yield_raster
from agrifm.yields import YIELD

GRID = Grid.of("EPSG:32631", Affine(10, 0, 448_000, 0, -10, 5_197_440), (48, 48))
AREA = GRID.footprint()
TONNES = np.linspace(4.0, 9.0, 12)


def write(path, values, crops=None, points=False):
    left, _, _, top = GRID.bounds
    squares = [box(left + 40 * at, top - 30, left + 40 * at + 30, top) for at in range(12)]
    shapes = [Point(one.centroid) for one in squares] if points else squares
    columns = {"t": values, **({} if crops is None else {"crop": crops})}
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=str(GRID.crs)).to_file(path)
    return path


def read(path, unit="t/ha", crops=("wheat",), value="t"):
    return read_yield_labels(path, value, unit, "crop", crops, GRID, AREA)


@pytest.mark.parametrize(("unit", "per_tonne"), [("t/ha", 1), ("dt/ha", 10), ("kg/ha", 1000)])
def test_yields_are_tonnes_whatever_the_unit(tmp_path, unit, per_tonne):
    labels = read(write(tmp_path / "a.gpkg", TONNES * per_tonne, ["wheat"] * 12), unit)
    assert labels.places[YIELD].to_numpy() == pytest.approx(TONNES)
    raster = yield_raster(labels)
    assert raster[:3, 4:7] == pytest.approx(TONNES[1])
    assert np.isnan(raster[:, 3]).all()
    assert "4.00 to 9.00 t/ha" in labels.notes[-1]


def test_missing_numbers_and_other_crops_are_left_out_and_counted(tmp_path):
    values = [*TONNES[:4], None, *TONNES[5:]]
    labels = read(write(tmp_path / "a.gpkg", values, ["wheat"] * 6 + ["maize"] * 6))
    assert len(labels.places) == 5
    assert any(note.startswith("1 of 6 fields of wheat") for note in labels.notes)


def test_points_and_a_file_without_crops_are_read(tmp_path):
    labels = read(write(tmp_path / "a.gpkg", TONNES, points=True), crops=())
    assert labels.legend.codes == ("crop",)
    assert (labels.place >= 0).sum() == 12


@pytest.mark.parametrize(
    ("values", "unit", "facts"),
    [
        (["7.1"] * 11 + ["7,3"], "t/ha", {"row": 12, "found": "7,3"}),
        ([*TONNES[:11], -1.0], "t/ha", {"row": 12, "found": -1.0}),
        (TONNES * 1000, "t/ha", {"crop": "wheat", "unit": "t/ha", "median": 6500}),
        (TONNES * 10, "t/ha", {"crop": "wheat", "median": 65}),
        (TONNES, "kg/ha", {"crop": "wheat", "unit": "kg/ha", "median": 6.5}),
        ([7.0] * 12, "t/ha", {"crop": "wheat"}),
        ([None] * 12, "t/ha", {}),
    ],
)
def test_numbers_that_are_no_yields_are_refused(tmp_path, values, unit, facts):
    with pytest.raises(LabelError) as error:
        read(write(tmp_path / "a.gpkg", values, ["wheat"] * 12), unit)
    assert facts.items() <= error.value.facts.items()
    assert "a.gpkg" in str(error.value)


def test_bushels_per_acre_of_maize_are_not_taken_for_tonnes(tmp_path):
    with pytest.raises(LabelError) as error:
        read(write(tmp_path / "a.gpkg", 160 + TONNES, ["grain maize"] * 12), crops=("grain maize",))
    assert error.value.facts["median"] == pytest.approx(166.5)
    silage = read(write(tmp_path / "b.gpkg", 40 + TONNES, ["silage maize"] * 12), crops=("silage maize",))
    assert silage.places[YIELD].max() == pytest.approx(49)


def test_sugar_beet_may_have_what_wheat_may_not(tmp_path):
    labels = read(write(tmp_path / "a.gpkg", TONNES * 10, ["sugar_beet"] * 12), crops=("sugar_beet",))
    assert labels.places[YIELD].max() == pytest.approx(90)


def test_an_unknown_crop_or_column_and_several_crops_are_refused(tmp_path):
    path = write(tmp_path / "a.gpkg", TONNES, ["wheat"] * 6 + ["maize"] * 6)
    for kwargs, fact in (({"crops": ()}, "crops"), ({"crops": ("rye",)}, "crop"), ({"value": "yield"}, "column")):
        with pytest.raises(LabelError) as error:
            read(path, **kwargs)
        assert fact in error.value.facts


@pytest.mark.parametrize(
    ("name", "unit"),
    [("yield_t_ha", "t/ha"), ("Yield (kg/ha)", "kg/ha"), ("ertrag_dt_ha", "dt/ha"), ("rendement q/ha", "dt/ha"),
     ("yield", None), ("plant_harvest", None)],
)  # fmt: skip
def test_a_unit_is_taken_from_a_name_and_from_nothing_else(name, unit):
    assert unit_in_name(name) == unit


def test_the_column_of_yields_is_found_by_its_name(tmp_path):
    path = write(tmp_path / "a.gpkg", TONNES, ["wheat"] * 12)
    assert guess_yields(path).keys == {}
    frame = geopandas.read_file(path)
    frame.rename(columns={"t": "yield_t_ha"}).to_file(tmp_path / "b.gpkg")
    assert guess_yields(tmp_path / "b.gpkg").keys == {"value": "yield_t_ha", "unit": "t/ha"}
