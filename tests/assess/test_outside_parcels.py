"""The part of a map outside training parcels: which pixels, and that a demo's points are all there."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from shapely import box
from tests.assess.rasters import CROPS, UTM, crop_map, write_raster

from agrifm.assess import class_map
from agrifm.assess.class_map import read_map
from agrifm.assess.confusion import count_confusion
from agrifm.assess.design import draw_points
from agrifm.assess.outside_parcels import write_outside
from agrifm.assess.report import assess
from agrifm.demo import draw_reference
from agrifm.errors import AssessmentError, OutputError

X, Y = 600_000, 5_500_000


def write_parcels(path, *boxes):
    """Rectangles by rows and columns of the map: (top, left, bottom, right)."""
    shapes = [box(X + 10 * w, Y - 10 * s, X + 10 * e, Y - 10 * n) for n, w, s, e in boxes]
    gpd.GeoDataFrame({"code": ["1110"] * len(boxes)}, geometry=shapes, crs=UTM).to_crs(4326).to_file(path)
    return path


@pytest.fixture
def farm(tmp_path):
    """A map with a truth that differs in places, and two training parcels."""
    values = crop_map((200, 200))
    truth = values.copy()
    truth[::7] = np.where(truth[::7] == 255, 255, 2)
    write_raster(tmp_path / "classes.tif", values, legend=CROPS, nodata=255)
    write_raster(tmp_path / "truth.tif", np.where(truth == 255, 2, truth).astype(np.uint8), legend=CROPS)
    write_parcels(tmp_path / "parcels.gpkg", (20, 30, 120, 90), (150, 10, 190, 150))
    return tmp_path


@pytest.mark.parametrize("at_once", [2**22, 300])
def test_pixels_inside_parcels_are_nodata_and_all_others_as_before(farm, monkeypatch, at_once):
    monkeypatch.setattr(class_map, "MAX_PIXELS_PER_READ", at_once)
    hectares = write_outside(farm / "classes.tif", farm / "parcels.gpkg", farm / "part.tif")
    expected = crop_map((200, 200))
    expected[20:120, 30:90] = expected[150:190, 10:150] = 255
    with rasterio.open(farm / "part.tif") as source:
        assert (source.read(1) == expected).all()
    assert hectares == pytest.approx((expected != 255).sum() * 0.01)


def test_a_file_that_is_no_such_part_is_not_replaced(farm):
    write_outside(farm / "classes.tif", farm / "parcels.gpkg", farm / "part.tif")
    write_outside(farm / "classes.tif", farm / "parcels.gpkg", farm / "part.tif")
    before = (farm / "classes.tif").read_bytes()
    with pytest.raises(OutputError) as error:
        write_outside(farm / "part.tif", farm / "parcels.gpkg", farm / "classes.tif")
    assert error.value.facts["path"] == farm / "classes.tif"
    assert (farm / "classes.tif").read_bytes() == before


def test_a_map_that_is_all_parcels_is_refused(farm):
    write_parcels(farm / "all.gpkg", (-5, -5, 205, 205))
    with pytest.raises(AssessmentError):
        write_outside(farm / "classes.tif", farm / "all.gpkg", farm / "part.tif")


def test_points_of_a_demo_are_outside_training_parcels_and_its_report_is_without_warnings(farm):
    files = {name: farm / name for name in ("classes.tif", "parcels.gpkg", "truth.tif", "points.gpkg", "part.tif")}
    draw_reference(*files.values(), count=400, seed=3)
    points = gpd.read_file(files["points.gpkg"])
    parcels = gpd.read_file(files["parcels.gpkg"]).to_crs(points.crs)
    assert len(points) == 400
    assert not points.within(parcels.union_all()).any()
    report = assess(
        files["part.tif"],
        files["points.gpkg"],
        "label",
        farm / "report",
        training=files["parcels.gpkg"],
        truth=files["truth.tif"],
        whole_map=files["classes.tif"],
    )
    assert report["warnings"] == []
    assert report["part"]["of"] == "classes.tif"
    assert report["part"]["whole_ha"] == pytest.approx(200 * 195 * 0.01)
    assert sum(area["area_ha"] for area in report["areas"]) == pytest.approx(report["part"]["assessed_ha"])
    # the truth has a seventh of the rows as other land
    truth = rasterio.open(files["truth.tif"]).read(1)[rasterio.open(files["part.tif"]).read(1) != 255]
    for number, area in enumerate(report["areas"]):
        low, high = area["interval_ha"]
        assert low <= (truth == number).sum() * 0.01 <= high


def test_points_of_a_part_are_not_taken_for_the_whole_map_in_silence(farm):
    write_outside(farm / "classes.tif", farm / "parcels.gpkg", farm / "part.tif")
    draw_points(farm / "part.tif", 60, 0, farm / "drawn.gpkg")
    points = gpd.read_file(farm / "drawn.gpkg")
    points["label"] = points["map_class"]
    points.to_file(farm / "points.gpkg")
    of_part, of_whole = (
        count_confusion(read_map(farm / name), farm / "points.gpkg", "label") for name in ("part.tif", "classes.tif")
    )
    assert of_part.warnings == ()
    (warning,) = of_whole.warnings
    assert f"{of_part.hectares.sum():,.1f}" in warning
    assert f"{of_whole.hectares.sum():,.1f}" in warning
