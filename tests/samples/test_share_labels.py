"""Shares of classes in large pixels: exact for polygons, counted for rasters, and only where enough is labelled."""

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely import Point, box
from shapely.affinity import rotate

from agrifm.errors import LabelError
from agrifm.grid import LONLAT, Grid, reproject
from agrifm.legend import Legend
from agrifm.samples.share_labels import read_share_labels

GRID = Grid.of("EPSG:32631", Affine(480, 0, 480000, 0, -480, 5001120), (3, 4))
AREA = reproject(box(*GRID.bounds), "EPSG:32631", LONLAT)
LEFT, BOTTOM, RIGHT, TOP = GRID.bounds


def write_shapes(path, shapes):
    """Shapes with their crops."""
    geopandas.GeoDataFrame({"crop": [crop for crop, _ in shapes]}, geometry=[one for _, one in shapes],
                           crs="EPSG:32631").to_file(path)  # fmt: skip
    return path


def write_raster(path, codes, transform=None, **profile):
    """A raster of codes in pixels of 10 m."""
    transform = transform or GRID.at(10).transform
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "crs": "EPSG:32631", **profile}
    with rasterio.open(path, "w", transform=transform, height=codes.shape[0], width=codes.shape[1], **profile) as file:
        file.write(codes, 1)
    return path


def test_shares_of_polygons_are_those_of_their_intersections(tmp_path):
    """Shapely cuts each polygon with each pixel."""
    slanted = rotate(box(LEFT - 100, BOTTOM + 333, LEFT + 1100, TOP - 321), 17)
    rest = box(*GRID.bounds).difference(slanted)
    split = LEFT + 1234.5
    halves = [rest.intersection(box(LEFT, BOTTOM, split, TOP)), rest.intersection(box(split, BOTTOM, RIGHT, TOP))]
    shapes = [("maize", slanted), ("wheat", halves[0]), ("rye", halves[1])]
    found = read_share_labels(write_shapes(tmp_path / "crops.gpkg", shapes), "crop", GRID, AREA)
    assert found.labels.legend.codes == ("maize", "rye", "wheat")
    for row, col in np.ndindex(3, 4):
        pixel = box(LEFT + 480 * col, TOP - 480 * (row + 1), LEFT + 480 * (col + 1), TOP - 480 * row)
        for crop, shape in shapes:
            share = found.shares[found.labels.legend.number(crop), row, col]
            assert share == pytest.approx(shape.intersection(pixel).area / 480**2, abs=1e-5)
    assert np.array_equal(found.labels.label, found.shares.argmax(axis=0))
    assert len(found.labels.places) == 12


def test_a_pixel_counts_only_if_enough_of_it_is_labelled(tmp_path):
    shapes = [("maize", box(LEFT, BOTTOM, RIGHT, TOP - 480 - 0.15 * 480)), ("wheat", box(LEFT, TOP - 480, RIGHT, TOP))]
    path = write_shapes(tmp_path / "crops.gpkg", shapes)
    found = read_share_labels(path, "crop", GRID, AREA)
    assert np.array_equal(found.labels.label != 255, [[True] * 4, [False] * 4, [True] * 4])
    assert np.isnan(found.shares[:, 1]).all()
    assert any("4 of 12" in note for note in found.labels.notes)
    half = read_share_labels(path, "crop", GRID, AREA, covered=0.8)
    assert half.shares[0] == pytest.approx(np.array([[0.0] * 4, [1.0] * 4, [1.0] * 4]))
    assert half.covered[1] == pytest.approx(0.85)
    with pytest.raises(LabelError) as error:
        read_share_labels(write_shapes(tmp_path / "little.gpkg", [("maize", box(LEFT, BOTTOM, LEFT + 240, TOP)),
                          ("rye", box(RIGHT - 9, BOTTOM, RIGHT, TOP))]), "crop", GRID, AREA)  # fmt: skip
    assert error.value.facts["highest"] == pytest.approx(0.5)


def test_other_land_is_what_no_polygon_covers(tmp_path):
    fields = [("maize", box(LEFT, BOTTOM, LEFT + 960, TOP)), ("wheat", box(LEFT + 960, BOTTOM, RIGHT, TOP - 960))]
    cover = np.full((144, 192), 40, np.uint8)
    cover[:, 48:] = 10  # trees, also in the fields
    other = write_raster(tmp_path / "cover.tif", cover)
    path = write_shapes(tmp_path / "crops.gpkg", fields)
    found = read_share_labels(path, "crop", GRID, AREA, other=other, other_values=(10,))
    assert found.labels.legend.codes == ("maize", "wheat", "other")
    expected = np.zeros((3, 3, 4))
    expected[0, :, :2], expected[1, 2, 2:], expected[2, :2, 2:] = 1, 1, 1
    assert found.shares == pytest.approx(expected, abs=1e-5)


def test_overlaps_and_repeated_polygons_are_found(tmp_path):
    west, east = box(LEFT, BOTTOM, LEFT + 960, TOP), box(LEFT + 960, BOTTOM, RIGHT, TOP)
    shapes = [("maize", west), ("wheat", east), ("maize", west), ("rye", box(LEFT, TOP - 100, LEFT + 200, TOP))]
    found = read_share_labels(write_shapes(tmp_path / "crops.gpkg", shapes), "crop", GRID, AREA)
    assert found.labels.label[0].tolist() == [255, 0, 2, 2]  # 9 % of the first pixel has two crops
    assert (found.labels.label[1:] != 255).all()
    assert any("more than once" in note for note in found.labels.notes)
    assert any("1 pixels" in note for note in found.labels.notes)


def test_a_raster_of_classes_is_counted(tmp_path):
    rng = np.random.default_rng(0)
    codes = rng.choice(np.array([3, 7, 9], np.uint8), (144, 192))
    codes[:48, :48] = 0
    found = read_share_labels(write_raster(tmp_path / "crops.tif", codes), "crop", GRID, AREA, unlabelled=(0,))
    assert found.labels.legend.codes == ("3", "7", "9")
    assert found.labels.label[0, 0] == 255
    for row, col in list(np.ndindex(3, 4))[1:]:
        pixel = codes[48 * row : 48 * row + 48, 48 * col : 48 * col + 48]
        assert found.shares[:, row, col] == pytest.approx([(pixel == code).mean() for code in (3, 7, 9)])


def test_bad_labels_are_refused(tmp_path):
    points = write_shapes(
        tmp_path / "points.gpkg", [("maize", Point(LEFT + 9, TOP - 9)), ("rye", Point(LEFT + 900, TOP - 99))]
    )
    with pytest.raises(LabelError) as error:
        read_share_labels(points, "crop", GRID, AREA)
    assert error.value.facts["points"] == 2
    one = write_shapes(tmp_path / "one.gpkg", [("maize", box(*GRID.bounds))])
    with pytest.raises(LabelError) as error:
        read_share_labels(one, "crop", GRID, AREA, Legend.of(["maize", "rye"]))
    assert error.value.facts["classes"] == 1
