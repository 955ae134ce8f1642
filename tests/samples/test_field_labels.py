"""Fields as labels: what is known outside them, what is refused, and samples with targets."""

import geopandas
import numpy as np
import pytest
from affine import Affine
from shapely import Point, box

from agrifm.errors import LabelError
from agrifm.grid import LONLAT, Grid, Window, reproject
from agrifm.samples.field_labels import FieldPatches, read_field_labels
from agrifm.samples.sample import Sample, Series
from agrifm.samples.targets import MAPS, NUMBER, field_targets
from agrifm.samples.transforms import SYMMETRIES, dihedral

GRID = Grid.of("EPSG:32631", Affine(10, 0, 447840, 0, -10, 5197440), (48, 48))
AREA = reproject(box(*GRID.bounds), "EPSG:32631", LONLAT)


def square(col, row, side):
    """A square of pixels of the grid."""
    left, top = 447840 + 10 * col, 5197440 - 10 * row
    return box(left, top - 10 * side, left + 10 * side, top)


def written(path, shapes):
    geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:32631").to_file(path)
    return path


def test_fields_need_no_classes_and_all_other_land_is_known(tmp_path):
    labels = read_field_labels(written(tmp_path / "a.gpkg", [square(2, 3, 10), square(12, 3, 10)]), GRID, AREA)
    assert labels.place[3:13, 2:12].tolist() == np.zeros((10, 10)).tolist()
    assert (labels.place[3:13, 12:22] == 1).all()
    assert np.bincount(labels.label.ravel()).tolist() == [200, 48 * 48 - 200]


def test_with_other_land_only_that_is_known(tmp_path):
    written(tmp_path / "a.gpkg", [square(2, 3, 10)])
    other = written(tmp_path / "b.gpkg", [square(0, 0, 5)])
    label = read_field_labels(tmp_path / "a.gpkg", GRID, AREA, other=other).label
    assert np.bincount(label.ravel())[[0, 1, 255]].tolist() == [100, 25 - 3 * 2, 48 * 48 - 100 - 19]


def test_a_field_smaller_than_a_pixel_is_counted_and_left_out(tmp_path):
    tiny = Point(447840 + 300, 5197440 - 300).buffer(3)
    labels = read_field_labels(written(tmp_path / "a.gpkg", [square(2, 3, 10), tiny]), GRID, AREA)
    assert len(labels.places) == 1
    assert any("1 labelled shapes do not cover" in note for note in labels.notes)
    with pytest.raises(LabelError) as error:
        read_field_labels(written(tmp_path / "b.gpkg", [tiny]), GRID, AREA)
    assert error.value.facts["fields"] == 1


@pytest.mark.parametrize(
    ("name", "shapes"),
    [("points.gpkg", [Point(447900, 5197400)]), ("overlapping.gpkg", [square(2, 3, 10), square(4, 3, 10)])],
)
def test_points_and_overlapping_fields_are_refused(tmp_path, name, shapes):
    with pytest.raises(LabelError, match=name):
        read_field_labels(written(tmp_path / name, shapes), GRID, AREA)


def test_a_raster_of_classes_is_refused(tmp_path):
    with pytest.raises(LabelError) as error:
        read_field_labels(tmp_path / "crops.tif", GRID, AREA)
    assert error.value.facts["path"] == tmp_path / "crops.tif"


def test_targets_turn_with_the_images():
    class Plain:
        def sample(self, window):
            image = np.arange(window.height * window.width, dtype=np.float32).reshape(1, 1, window.height, -1)
            valid = np.ones((1, window.height, window.width), bool)
            label = np.zeros((window.height, window.width), np.uint8)
            return Sample({"s": Series(image, valid, np.zeros(1, np.int32))}, label, window, 0)

    place = np.arange(64).reshape(8, 8) // 20
    window = Window(0, 0, 8, 8)
    sample = FieldPatches(Plain(), np.zeros((8, 8), np.uint8), [window], field_targets(place), place)[0]
    for symmetry in range(SYMMETRIES):
        turned = dihedral(sample, symmetry)
        at = turned.series["s"].image[0, 0].astype(int)
        assert np.array_equal(turned.targets[NUMBER].ravel(), place.ravel()[at.ravel()])
        for one, before in zip(turned.targets[MAPS], sample.targets[MAPS], strict=True):
            assert np.array_equal(one.ravel(), before.ravel()[at.ravel()])
