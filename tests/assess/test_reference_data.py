"""The reference: its column, layer and CRS, on the command line, in the project file or by default; and its shapes."""

import json

import geopandas as gpd
import numpy as np
import pandas
import pytest
from shapely import GeometryCollection, LineString, MultiPoint, Point, box
from tests.assess.rasters import CROPS, crop_map, write_points, write_raster

from agrifm.assess.reference_data import read_reference, reference_config
from agrifm.cli import main
from agrifm.errors import AssessmentError, ConfigError

PROJECT = """\
[season]
area = [4.0, 50.0, 4.1, 50.1]
start = 2024-03-01
end = 2024-09-30
[imagery]
catalog = "catalog.json"
products = ["sentinel-2-c1-l2a"]
[labels]
file = "labels.gpkg"
[assess]
column = "crop_seen"
"""


def test_the_label_column_comes_from_the_project_file_if_there_is_one(tmp_path):
    assert reference_config(tmp_path).column == "label"
    (tmp_path / "agrifm.toml").write_text(PROJECT)
    assert {reference_config(path).column for path in (tmp_path, tmp_path / "agrifm.toml")} == {"crop_seen"}
    with pytest.raises(ConfigError):
        reference_config(tmp_path / "absent.toml")


@pytest.mark.parametrize(("more", "column"), [((), "crop_seen"), (("--label", "other_column"), "other_column")])
def test_the_command_reads_the_column_of_the_project_file_by_default(tmp_path, more, column):
    (tmp_path / "agrifm.toml").write_text(PROJECT)
    values = crop_map()
    write_raster(tmp_path / "classes.tif", values, legend=CROPS, nodata=255)
    rows, cols = np.concatenate([np.argwhere(values == number)[:12] for number in range(3)]).T
    points = write_points(tmp_path / "points.gpkg", rows, cols, np.repeat(CROPS.codes, 12))
    gpd.read_file(points).rename(columns={"label": column}).to_file(points)
    paths = ["--map", tmp_path / "classes.tif", "--reference", points, "--out", tmp_path / "report"]
    assert main([str(word) for word in ("assess", *paths, "--project", tmp_path, *more)]) == 0
    assert f'"label": "{column}"' in (tmp_path / "report" / "report.json").read_text()


def run(*words) -> int:
    return main([str(word) for word in ("assess", *words)])


def points_of(values, folder):
    """A map, and 12 pixels of each class as (rows, cols, codes)."""
    write_raster(folder / "classes.tif", values, legend=CROPS, nodata=255)
    rows, cols = np.concatenate([np.argwhere(values == number)[:12] for number in range(3)]).T
    return rows, cols, np.repeat(CROPS.codes, 12)


def matrix(folder):
    return json.loads((folder / "report" / "report.json").read_text())["confusion"]["counts"]


def test_reference_points_may_be_a_table(tmp_path):
    rows, cols, codes = points_of(crop_map(), tmp_path)
    frame = gpd.read_file(write_points(tmp_path / "points.gpkg", rows, cols, codes))
    degrees = frame.to_crs(4326).geometry
    table = pandas.DataFrame({"latitude": degrees.y, "longitude": degrees.x, "label": codes})
    table.to_csv(tmp_path / "degrees.csv", sep=";", decimal=",", index=False)
    planar = pandas.DataFrame({"label": codes, "x": frame.geometry.x, "y": frame.geometry.y})
    planar.to_csv(tmp_path / "planar.csv", index=False)
    paths = ["--map", tmp_path / "classes.tif", "--out", tmp_path / "report", "--project", tmp_path]
    for more in (["degrees.csv"], ["planar.csv", "--crs", "EPSG:32631"]):
        assert run(*paths, "--reference", tmp_path / more[0], "--sampling", "stratified", *more[1:]) == 0
        assert matrix(tmp_path) == np.diag([12, 12, 12]).tolist()
    assert run(*paths, "--reference", tmp_path / "planar.csv") == 2


def test_the_layer_of_the_reference_is_an_option_or_in_the_project_file(tmp_path):
    rows, cols, codes = points_of(crop_map(), tmp_path)
    frame = gpd.read_file(write_points(tmp_path / "good.gpkg", rows, cols, codes))
    for layer in ("drafts", "visited"):
        frame.iloc[: 3 if layer == "drafts" else None].to_file(tmp_path / "points.gpkg", layer=layer)
    paths = ["--map", tmp_path / "classes.tif", "--out", tmp_path / "report", "--reference", tmp_path / "points.gpkg"]
    assert run(*paths, "--project", tmp_path) == 2
    assert run(*paths, "--project", tmp_path, "--layer", "visited") == 0
    assert matrix(tmp_path) == np.diag([12, 12, 12]).tolist()
    (tmp_path / "agrifm.toml").write_text(PROJECT.replace("crop_seen", "label") + 'layer = "visited"\n')
    assert run(*paths, "--project", tmp_path) == 0


@pytest.mark.parametrize(
    ("shape", "geometry"),
    [
        (box(600_000, 5_499_000, 600_100, 5_499_100), "Polygon"),
        (MultiPoint([(600_005, 5_499_995), (600_015, 5_499_995)]), "MultiPoint"),
        (LineString([(600_005, 5_499_995), (600_015, 5_499_995)]), "LineString"),
    ],
)
def test_a_reference_of_other_shapes_among_points_is_refused(tmp_path, shape, geometry):
    """Without them the points would not be the sample that was drawn."""
    shapes = [Point(600_005, 5_499_995), Point(600_015, 5_499_995), shape]
    gpd.GeoDataFrame({"label": ["1110"] * 3}, geometry=shapes, crs=32631).to_file(tmp_path / "p.gpkg")
    with pytest.raises(AssessmentError) as caught:
        read_reference(tmp_path / "p.gpkg", "label")
    assert caught.value.facts["geometry"] == geometry


def test_single_points_in_collections_are_points(tmp_path):
    shapes = [GeometryCollection([Point(600_005, 5_499_995)]), MultiPoint([(600_015, 5_499_995)])]
    gpd.GeoDataFrame({"label": ["1110"] * 2}, geometry=shapes, crs=32631).to_file(tmp_path / "p.gpkg")
    layer = read_reference(tmp_path / "p.gpkg", "label")
    assert layer.frame.geometry.geom_type.tolist() == ["Point", "Point"]
