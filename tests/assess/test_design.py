"""Drawing reference points: how many in each class, where, and what is never overwritten."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.assess.rasters import CROPS, crop_map, write_raster

from agrifm.assess import class_map
from agrifm.assess.design import allocate, draw_points
from agrifm.errors import AssessmentError, OutputError


@pytest.fixture
def crops(tmp_path):
    return write_raster(tmp_path / "m.tif", crop_map(), legend=CROPS, nodata=255)


def pixels_of(points):
    rows = ((5_500_000 - points.geometry.y) // 10).astype(int)
    cols = ((points.geometry.x - 600_000) // 10).astype(int)
    return rows.to_numpy(), cols.to_numpy()


def test_points_are_distinct_pixel_centres_of_the_class_that_they_name(crops, tmp_path):
    numbers = draw_points(crops, 200, 0, tmp_path / "p.gpkg")
    points = gpd.read_file(tmp_path / "p.gpkg")
    rows, cols = pixels_of(points)
    values = crop_map()[rows, cols]
    assert len(points) == len(set(zip(rows, cols, strict=True))) == 200 == sum(numbers.values())
    assert (values != 255).all()
    assert points["map_class"].tolist() == [CROPS.codes[value] for value in values]
    assert points["map_name"].tolist() == [CROPS.classes[value].name for value in values]
    assert points["id"].tolist() == list(range(1, 201))
    assert (points.geometry.x % 10 == 5).all()
    assert (points.geometry.y % 10 == 5).all()
    assert points.crs.to_epsg() == 32631


def test_the_label_column_is_text_and_empty(crops, tmp_path):
    draw_points(crops, 20, 0, tmp_path / "p.gpkg")
    info = pyogrio.read_info(tmp_path / "p.gpkg")
    kinds = dict(zip(info["fields"], info["ogr_types"], strict=True))
    texts = dict.fromkeys(("map_class", "map_name", "label"), "OFTString")
    assert kinds == {"id": "OFTInteger64", "stratum_ha": "OFTReal", **texts}
    assert gpd.read_file(tmp_path / "p.gpkg")["label"].isna().all()


def test_the_same_seed_gives_the_same_points_and_another_seed_others(crops, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw_points(crops, 60, seed, tmp_path / f"{name}.gpkg")
    a, b, c = (gpd.read_file(tmp_path / f"{name}.gpkg") for name in "abc")
    assert a.geometry.equals(b.geometry)
    assert not a.geometry.equals(c.geometry)


def test_points_do_not_depend_on_how_the_raster_is_read(tmp_path, monkeypatch):
    values = crop_map()
    strips = write_raster(tmp_path / "s.tif", values, legend=CROPS, nodata=255)
    tiled = write_raster(tmp_path / "t.tif", values, legend=CROPS, nodata=255, tiled=True, blockxsize=16, blockysize=16)
    draw_points(strips, 60, 1, tmp_path / "a.gpkg")
    monkeypatch.setattr(class_map, "MAX_PIXELS_PER_READ", 300)
    draw_points(tiled, 60, 1, tmp_path / "b.gpkg")
    assert gpd.read_file(tmp_path / "a.gpkg").geometry.equals(gpd.read_file(tmp_path / "b.gpkg").geometry)


def test_every_pixel_of_a_class_is_drawn_equally_often(tmp_path):
    """One class of 40 pixels, 10 drawn 100 times: each is expected 25 times, with a binomial deviation of 4.3."""
    path = write_raster(tmp_path / "m.tif", np.ones((5, 8), np.uint8))
    seen = np.zeros((5, 8), int)
    for seed in range(100):
        draw_points(path, 10, seed, tmp_path / "p.gpkg")
        seen[pixels_of(gpd.read_file(tmp_path / "p.gpkg"))] += 1
    assert abs(seen - 25).max() < 4 * (100 * 0.25 * 0.75) ** 0.5


def test_in_degrees_rows_are_drawn_in_proportion_to_their_area(tmp_path):
    """Pixels at 70 degrees north have about a third of the area of those at the equator."""
    path = write_raster(tmp_path / "m.tif", np.ones((700, 60), np.uint8), crs="EPSG:4326", side=0.1, corner=(0, 70))
    draw_points(path, 4000, 0, tmp_path / "p.gpkg")
    latitude = gpd.read_file(tmp_path / "p.gpkg").geometry.y
    north = (latitude > 35).mean()
    expected = 1 - np.sin(np.radians(35)) / np.sin(np.radians(70))
    # a sphere's share; the ellipsoid differs by 0.002
    assert north == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 4000) ** 0.5 + 0.002)


def test_a_rare_class_gets_its_minimum_and_the_rest_is_in_proportion():
    numbers = allocate(400, np.array([10.0, 300.0, 690.0]), np.array([1000, 30_000, 69_000]))
    assert numbers.tolist() == [50, 106, 244]
    assert numbers[1] / 350 == pytest.approx(300 / 990, abs=0.002)


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.floats(0.001, 1)), min_size=1, max_size=8),
    st.integers(0, 3000),
)
def test_allocated_points_sum_to_n_within_their_bounds(classes, n):
    pixels = np.array([size for size, _ in classes])
    hectares = np.array([size * each for size, each in classes])
    n = min(max(n, 2 * len(classes)), int(pixels.sum()))
    if n < 2 * len(classes):
        return
    numbers = allocate(n, hectares, pixels)
    least = np.minimum(max(2, min(50, n // (2 * len(classes)))), pixels)
    assert numbers.sum() == n
    assert (numbers >= least).all()
    assert (numbers <= pixels).all()


def test_too_few_or_too_many_points_are_refused(crops, tmp_path):
    for n in (5, 5000):
        with pytest.raises(AssessmentError) as error:
            draw_points(crops, n, 0, tmp_path / "p.gpkg")
        assert error.value.facts == {"n": n, "classes": 3, "pixels": 4500}
    assert not (tmp_path / "p.gpkg").exists()


def test_labels_are_never_overwritten(crops, tmp_path):
    path = tmp_path / "p.gpkg"
    draw_points(crops, 20, 0, path)
    draw_points(crops, 30, 0, path)  # nothing was labelled yet
    points = gpd.read_file(path)
    assert len(points) == 30
    points["label"] = points["label"].astype(object)
    points.loc[3, "label"] = "1110"
    points.to_file(path)
    before = path.read_bytes()
    with pytest.raises(OutputError) as error:
        draw_points(crops, 20, 0, path)
    assert error.value.facts["labelled"] == 1
    assert path.read_bytes() == before


def test_a_file_of_somebody_else_is_never_overwritten(crops, tmp_path):
    gpd.GeoDataFrame({"a": [1]}, geometry=gpd.points_from_xy([1], [2]), crs=4326).to_file(tmp_path / "p.gpkg")
    (tmp_path / "q.gpkg").write_text("a note")
    for name in ("p", "q"):
        with pytest.raises(OutputError) as error:
            draw_points(crops, 20, 0, tmp_path / f"{name}.gpkg")
        assert error.value.facts["path"] == tmp_path / f"{name}.gpkg"


def test_points_are_only_written_as_a_geopackage(crops, tmp_path):
    with pytest.raises(OutputError, match=r"\.gpkg"):
        draw_points(crops, 20, 0, tmp_path / "p.shp")


def test_a_failed_write_leaves_nothing_behind(crops, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="disk is full"):
        draw_points(crops, 20, 0, tmp_path / "new" / "p.gpkg")
    assert list((tmp_path / "new").iterdir()) == []
