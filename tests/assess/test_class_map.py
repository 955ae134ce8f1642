"""Class maps: what counts as a class, how many hectares, what is refused."""

import numpy as np
import pytest
from pyproj import Geod
from tests.assess.rasters import CROPS, UTM, crop_map, write_raster

from agrifm.assess import class_map
from agrifm.assess.class_map import NODATA, OUTSIDE, read_map
from agrifm.errors import AssessmentError


def test_classes_of_our_maps_come_from_the_legend_in_the_file(tmp_path):
    values = crop_map()
    mapped = read_map(write_raster(tmp_path / "m.tif", values, legend=CROPS, nodata=255))
    assert mapped.legend == CROPS
    assert mapped.has_legend
    assert mapped.pixels.tolist() == [int((values == number).sum()) for number in range(3)]
    assert mapped.hectares() == pytest.approx(mapped.pixels * 0.01)
    assert mapped.nodata_hectares() == pytest.approx(60 * 5 * 0.01)


def test_255_is_no_class_in_our_maps_even_without_a_nodata_value(tmp_path):
    with_tag = read_map(write_raster(tmp_path / "a.tif", crop_map(), legend=CROPS))
    without = read_map(write_raster(tmp_path / "b.tif", crop_map()))
    assert with_tag.pixels.sum() == 60 * 75
    assert without.legend.codes[-1] == "255"


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 0), ("int16", -1), ("float32", float("nan"))])
def test_pixel_values_are_the_codes_of_a_raster_without_legend(tmp_path, dtype, nodata):
    values = np.array([[7, 7, 31], [31, 31, 2]], dtype)
    values[1, 2] = nodata
    mapped = read_map(write_raster(tmp_path / "m.tif", values, nodata=nodata))
    assert mapped.legend.codes == ("7", "31")
    assert mapped.pixels.tolist() == [2, 3]


def test_all_values_count_where_a_raster_has_no_nodata(tmp_path):
    mapped = read_map(write_raster(tmp_path / "m.tif", np.array([[0, 1], [255, 1]], np.uint8)))
    assert mapped.legend.codes == ("0", "1", "255")


def test_reading_by_windows_counts_the_same_as_reading_the_whole(tmp_path, monkeypatch):
    values = np.random.default_rng(3).integers(0, 4, (100, 90)).astype(np.uint8)
    blocks = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    tiled = write_raster(tmp_path / "t.tif", values, nodata=3, **blocks)
    strips = write_raster(tmp_path / "s.tif", values, nodata=3)
    whole = read_map(tiled)
    monkeypatch.setattr(class_map, "MAX_PIXELS_PER_READ", 200)
    with class_map.open_classified(tiled) as source:
        assert len(list(class_map.block_windows(source))) > 5
    expected = np.stack([(values == number).sum(1) for number in range(3)])
    for mapped in (whole, read_map(tiled), read_map(strips)):
        assert (mapped.rows == expected).all()


@pytest.mark.parametrize("blocks", [{}, {"tiled": True, "blockxsize": 32, "blockysize": 16}])
def test_windows_cover_every_pixel_once(tmp_path, monkeypatch, blocks):
    monkeypatch.setattr(class_map, "MAX_PIXELS_PER_READ", 500)
    path = write_raster(tmp_path / "m.tif", np.zeros((75, 50), np.uint8), **blocks)
    seen = np.zeros((75, 50), int)
    with class_map.open_classified(path) as source:
        for window in class_map.block_windows(source):
            seen[window.slices] += 1
    assert (seen == 1).all()


def test_hectares_are_geodesic_where_pixels_are_in_degrees(tmp_path):
    values = np.ones((30, 10), np.uint8)
    mapped = read_map(write_raster(tmp_path / "m.tif", values, crs="EPSG:4326", side=0.1, corner=(4, 52)))
    outline = [(4, 52), (5, 52), (5, 49), (4, 49)]
    lons = np.concatenate(
        [np.linspace(a[0], b[0], 500) for a, b in zip(outline, outline[1:] + outline[:1], strict=True)]
    )
    lats = np.concatenate(
        [np.linspace(a[1], b[1], 500) for a, b in zip(outline, outline[1:] + outline[:1], strict=True)]
    )
    expected = abs(Geod(ellps="WGS84").polygon_area_perimeter(lons, lats)[0]) / 1e4
    assert mapped.hectares().sum() == pytest.approx(expected, rel=1e-5)


def test_the_same_ground_has_the_same_hectares_in_metres_and_in_degrees(tmp_path):
    """A 6 km square around 3 degrees east, where UTM zone 31 shortens lengths by 0.0004."""
    metres = read_map(
        write_raster(tmp_path / "m.tif", np.ones((60, 60), np.uint8), side=100, corner=(497_000, 5_503_000))
    )
    assert metres.hectares().sum() == 3600
    assert metres.warnings == ()


def test_pixels_are_sampled_by_row_and_column(tmp_path):
    mapped = read_map(write_raster(tmp_path / "m.tif", np.array([[5, 9], [0, 5]], np.uint8), nodata=0))
    rows, cols = np.array([0, 0, 1, 1, 2, -1]), np.array([0, 1, 0, 1, 0, 0])
    assert mapped.sample(rows, cols).tolist() == [0, 1, NODATA, 0, OUTSIDE, OUTSIDE]


def test_a_map_without_crs_is_refused(tmp_path):
    path = write_raster(tmp_path / "m.tif", crop_map(), crs=None)
    with pytest.raises(AssessmentError, match="gdal_edit"):
        read_map(path)


def test_a_file_that_is_absent_or_no_raster_is_refused(tmp_path):
    (tmp_path / "text.tif").write_text("no raster")
    for name in ("absent.tif", "text.tif"):
        with pytest.raises(AssessmentError, match=name):
            read_map(tmp_path / name)


def test_a_raster_of_reflectance_is_refused_as_no_map_of_classes(tmp_path):
    path = write_raster(tmp_path / "m.tif", np.arange(4000, dtype=np.int16).reshape(50, 80))
    with pytest.raises(AssessmentError, match="more than 255"):
        read_map(path)


def test_a_value_outside_the_legend_is_refused(tmp_path):
    path = write_raster(tmp_path / "m.tif", np.array([[0, 17]], np.uint8), legend=CROPS)
    with pytest.raises(AssessmentError) as error:
        read_map(path)
    assert error.value.facts["value"] == 17


def test_a_map_of_nodata_only_is_refused(tmp_path):
    path = write_raster(tmp_path / "m.tif", np.full((3, 3), 255, np.uint8), legend=CROPS, nodata=255)
    with pytest.raises(AssessmentError, match="nodata"):
        read_map(path)


def test_a_map_in_web_mercator_is_refused_because_its_hectares_are_wrong(tmp_path):
    path = write_raster(tmp_path / "m.tif", crop_map(), crs="EPSG:3857", corner=(300_000, 6_400_000))
    with pytest.raises(AssessmentError, match="warp it") as error:
        read_map(path)
    assert 1 < error.value.facts["error"] < 2


def test_a_projection_that_stretches_areas_a_little_is_a_warning(tmp_path):
    """The conformal conic EPSG:3034 is 6.7 % off in Spain; EPSG:3035 keeps areas."""
    path = write_raster(tmp_path / "m.tif", crop_map(), crs="EPSG:3034", corner=(4_000_000, 2_500_000), legend=CROPS)
    assert "6.7%" in read_map(path).warnings[0]
    assert read_map(write_raster(tmp_path / "e.tif", crop_map(), crs="EPSG:3035", legend=CROPS)).warnings == ()


def test_a_second_band_is_reported(tmp_path):
    import rasterio

    with rasterio.open(write_raster(tmp_path / "m.tif", crop_map(), nodata=255)) as source:
        profile, values = source.profile | {"count": 2}, source.read(1)
    with rasterio.open(tmp_path / "two.tif", "w", **profile) as file:
        file.write(np.stack([values, values]))
    (warning,) = read_map(tmp_path / "two.tif").warnings
    assert "2 bands" in warning


def test_rotated_pixels_are_refused(tmp_path):
    import rasterio
    from affine import Affine

    shape = {"height": 2, "width": 2, "count": 1, "dtype": "uint8", "crs": UTM}
    with rasterio.open(tmp_path / "m.tif", "w", driver="GTiff", transform=Affine(9, 3, 0, 3, -9, 0), **shape) as file:
        file.write(np.ones((1, 2, 2), np.uint8))
    with pytest.raises(AssessmentError, match="gdalwarp"):
        read_map(tmp_path / "m.tif")
