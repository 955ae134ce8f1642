"""Sampling frames: strata along edges and of polygons, counted as a plain loop counts them, and what is refused."""

import geopandas as gpd
import numpy as np
import pytest
from shapely import box
from tests.assess.rasters import CROPS, UTM, crop_map, write_raster

from agrifm.assess import class_map
from agrifm.assess.class_map import read_map
from agrifm.assess.sampling_frame import frame_of_map, frame_of_polygons, frame_of_whole, frame_with_edges
from agrifm.errors import AssessmentError
from agrifm.grid import Window

LEFT, TOP = 600_000, 5_500_000


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    monkeypatch.setattr(class_map, "MAX_PIXELS_PER_READ", 80 * 16)  # several windows
    return read_map(
        write_raster(tmp_path / "m.tif", crop_map(), legend=CROPS, nodata=255, tiled=True, blockxsize=16, blockysize=16)
    )


def strata(frame):
    with frame.open() as read:
        return read(Window(0, 0, *frame.grid.shape))


def plain_edges(values, reach):
    """Pixels with another class within a circle, one by one."""
    near = np.zeros(values.shape, bool)
    offsets = [
        (i, j)
        for i in range(-reach, reach + 1)
        for j in range(-reach, reach + 1)
        if i * i + j * j <= reach * reach and (i or j)
    ]
    for row, col in np.argwhere(values != 255):
        for i, j in offsets:
            y, x = row + i, col + j
            if 0 <= y < values.shape[0] and 0 <= x < values.shape[1] and values[y, x] not in (255, values[row, col]):
                near[row, col] = True
    return near


@pytest.mark.parametrize("reach", [1, 3])
def test_pixels_near_another_class_are_a_stratum(mapped, reach):
    values = crop_map()
    frame = frame_with_edges(mapped, 10 * reach)
    near, numbers = plain_edges(values, reach), strata(frame)
    assert frame.codes == (*CROPS.codes, "edge")
    assert np.array_equal(numbers == 3, near)
    assert np.array_equal(numbers[~near], np.where(values == 255, -1, values.astype(np.int16))[~near])
    assert frame.pixels.tolist() == [*(((values == code) & ~near).sum() for code in range(3)), near.sum()]


def test_windows_do_not_change_strata(mapped):
    frame = frame_with_edges(mapped, 30)
    whole = strata(frame)
    with frame.open() as read:
        for window in (Window(7, 3, 20, 33), Window(59, 0, 1, 80), Window(0, 79, 60, 1)):
            assert np.array_equal(read(window), whole[window.slices])


def test_all_mapped_pixels_are_one_stratum(mapped):
    frame = frame_of_whole(mapped)
    assert frame.pixels.tolist() == [(crop_map() != 255).sum()]
    assert frame.hectares()[0] == pytest.approx(frame_of_map(mapped).hectares().sum())
    assert np.array_equal(strata(frame) == 0, crop_map() != 255)


def districts():
    north, south = box(LEFT, TOP - 300, LEFT + 800, TOP), box(LEFT, TOP - 600, LEFT + 400, TOP - 300)
    return gpd.GeoDataFrame({"name": ["north", "south"]}, geometry=[north, south], crs=UTM)


def test_districts_are_strata_on_the_mapped_pixels(mapped):
    frame = frame_of_polygons(mapped, districts().to_crs("EPSG:4326"), "name")
    assert frame.codes == ("north", "south")
    assert frame.pixels.tolist() == [30 * 75, 30 * 35]
    assert (strata(frame)[30:, 40:] == -1).all()
    assert not frame.is_map


def test_strata_that_overlap_have_no_code_or_no_pixel_are_refused(mapped):
    twice = gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=[districts().geometry[0]] * 2, crs=UTM)
    with pytest.raises(AssessmentError) as error:
        frame_of_polygons(mapped, twice, "name")
    assert set(error.value.facts["strata"]) == {"a", "b"}
    nameless = districts().assign(name=["north", None])
    with pytest.raises(AssessmentError) as error:
        frame_of_polygons(mapped, nameless, "name")
    assert error.value.facts["polygons"] == 1
    elsewhere = districts().translate(10_000)
    with pytest.raises(AssessmentError):
        frame_of_polygons(mapped, gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=elsewhere, crs=UTM), "name")


@pytest.mark.parametrize("width", [5, 1e6, -10])
def test_a_width_of_no_pixels_or_too_many_is_refused(mapped, width):
    with pytest.raises(AssessmentError) as error:
        frame_with_edges(mapped, width)
    assert error.value.facts["pixel"] == 10
