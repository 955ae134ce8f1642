"""The cube on disk: how xarray and others read it, windows of it, and what is refused."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr
import zarr
from affine import Affine
from shapely import box
from shapely.geometry import mapping, shape
from tests.scenes import AREA, LEFT, SEASON, SIDE, TOP, UTM, Catalogue, at, make_cube, reflectance

from agrifm.cube.build import build_cube
from agrifm.cube.store import FILL, Cube, create_root, create_sensor, open_cube
from agrifm.errors import CubeError
from agrifm.grid import Grid, Window
from agrifm.record import SensorInput
from agrifm.scene.products import find_product
from agrifm.scene.search import search_catalog


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Cube:
    """Two Sentinel-2 days, the lower half of the first cloudy, and a MODIS composite."""
    directory = tmp_path_factory.mktemp("cube")
    catalogue = Catalogue(directory)
    scl = np.full((96, 96), 4, np.uint8)
    scl[48:] = 9
    catalogue.add_sentinel_2("A", at(5, 1), scl=scl)
    bare = np.full((96, 96), 5, np.uint8)  # no plant is as bright in blue and red as these numbers
    catalogue.add_sentinel_2("B", at(5, 6), reflectance(10, 96, 1000), scl=bare)
    modis = {f"sur_refl_b{band:02d}": np.full((2, 2), 100 * band, np.int16) for band in range(1, 8)}
    modis |= {
        "sur_refl_state_500m": np.full((2, 2), 8, np.uint16),
        "sur_refl_day_of_year": np.array([[129, 130], [131, 136]], np.uint16),
    }
    period = {"start_datetime": "2024-05-08T00:00:00Z", "end_datetime": "2024-05-15T23:59:59Z"}
    catalogue.add("modis-09A1-061", "M", None, modis, nodata=None, properties=period)
    products = [find_product(name) for name in ("sentinel-2-c1-l2a", "modis-09A1-061")]
    return build_cube(directory / "cube.zarr", search_catalog(catalogue.save(), products, SEASON, AREA), SEASON, AREA)


def test_xarray_opens_a_sensor_decoded(cube: Cube) -> None:
    with xr.open_zarr(cube.path, group="sentinel-2", decode_coords="all") as found:
        assert found["values"].dims == ("time", "band", "y", "x")
        assert found.time.values.astype("datetime64[D]").tolist() == [date(2024, 5, 1), date(2024, 5, 6)]
        assert found.band.values.tolist() == list(find_product("sentinel-2-c1-l2a").bands)
        values = found["values"].sel(band="B04").values
        assert values[0] == pytest.approx(reflectance(10, 96)[2] / 10_000)
        assert values[1] == pytest.approx(reflectance(10, 96, 1000)[2] / 10_000)
        assert found.valid.dtype == bool
        assert found.valid.values[0, :48].all()
        assert not found.valid.values[0, 48:].any()
        assert (found.x.values == LEFT + 10 * (np.arange(96) + 0.5)).all()
        assert (found.y.values == TOP - 10 * (np.arange(96) + 0.5)).all()
        assert found["values"].encoding["grid_mapping"] == "spatial_ref"
        assert pyproj.CRS.from_cf(found.spatial_ref.attrs).to_epsg() == 32631
        assert (found["values"].attrs["quantity"], found.x.attrs["units"]) == ("surface reflectance", "metre")


def test_xarray_opens_a_composite_with_bounds_and_the_day_of_each_pixel(cube: Cube) -> None:
    with xr.open_zarr(cube.path, group="modis", decode_coords="all") as found:
        bounds = found.time_bounds.values.astype("datetime64[D]").tolist()
        assert bounds == [[date(2024, 5, 8), date(2024, 5, 16)]]
        days = [[date(2024, 5, 8), date(2024, 5, 9)], [date(2024, 5, 10), date(2024, 5, 15)]]
        assert found.day.values[0].astype("datetime64[D]").tolist() == days


def test_numbers_are_stored_as_int16_in_shards_of_one_frame(cube: Cube) -> None:
    values = zarr.open_array(cube.path / "sentinel-2" / "values", mode="r")
    assert values.dtype == np.int16
    assert values.shards[0] == 1
    assert values.fill_value == FILL
    assert cube.path.joinpath("zarr.json").exists()
    assert values.metadata.zarr_format == 3


def test_a_window_is_read_in_reflectance_with_bands_in_requested_order(cube: Cube) -> None:
    window = Window(40, 7, 16, 30)
    image, valid, day = cube.sensors["sentinel-2"].read(window, ("B12", "B02"))
    assert image.dtype == np.float32
    assert day is None
    assert (valid[0, :8].all(), valid[0, 8:].any(), valid[1].all()) == (True, False, True)
    expected = reflectance(10, 96, 1000)[[9, 0]][:, *window.slices] / 10_000
    assert image[1] == pytest.approx(expected)
    assert (image[0][:, 8:] == 0).all()


def test_a_composite_is_read_with_the_day_of_each_pixel(cube: Cube) -> None:
    image, valid, day = cube.sensors["modis"].read(Window(0, 1, 2, 1))
    assert image[0, :, 0, 0] == pytest.approx([0.01 * band for band in range(1, 8)])
    assert valid.all()
    # 2024-05-09 and 2024-05-15 are days 19852 and 19858.
    assert day is not None
    assert day.tolist() == [[[19852], [19858]]]


def test_a_band_that_the_cube_lacks_is_named(cube: Cube) -> None:
    with pytest.raises(CubeError) as caught:
        cube.sensors["modis"].read(Window(0, 0, 1, 1), ("B01", "B08"))
    assert caught.value.facts["band"] == "B08"


def test_a_cube_states_its_content(cube: Cube) -> None:
    assert cube.season == SEASON
    assert cube.area.equals(AREA)
    assert cube.target.resolution == 10
    assert cube.target.bounds == (LEFT, TOP - SIDE, LEFT + SIDE, TOP)
    assert cube.inputs["modis"] == SensorInput(
        sensor="modis",
        bands=tuple(f"B0{band}" for band in range(1, 8)),
        quantity="surface reflectance",
        scale=1e-4,
        resolution=480,
    )


def test_a_grid_in_degrees_or_upside_down_comes_back_as_it_was(tmp_path: Path) -> None:
    for name, crs, transform in (
        ("degrees", "EPSG:4326", Affine(0.001, 0, 10, 0, -0.0007, 50)),
        ("upwards", UTM, Affine(30, 0, LEFT, 0, 30, TOP)),
        ("albers", "+proj=aea +lat_0=0 +lon_0=-54 +lat_1=-1 +lat_2=-29 +ellps=GRS80", Affine(64, 0, 5e5, 0, -64, 1e6)),
    ):
        grid = Grid.of(crs, transform, (5, 7))
        root = create_root(tmp_path / name, SEASON, box(10, 49, 11, 50))
        content = SensorInput(
            sensor="landsat", bands=("B02",), quantity="index", scale=1e-4, resolution=grid.resolution
        )
        create_sensor(root, content, grid, [date(2024, 5, 1)], None)
        root.attrs["agrifm"] = {**root.attrs["agrifm"], "sensors": ["landsat"]}
        own = open_cube(tmp_path / name).sensors["landsat"]
        assert own.grid.transform == transform
        assert own.grid.shape == (5, 7)
        assert pyproj.CRS(str(own.grid.crs)) == pyproj.CRS(crs)
        assert rasterio.CRS.from_user_input(str(own.grid.crs)) == rasterio.CRS.from_user_input(crs)


def test_anything_but_a_cube_is_refused_with_the_command_to_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    zarr.create_group(tmp_path / "foreign.zarr")
    for name in ("absent.zarr", "file", "empty", "foreign.zarr"):
        with pytest.raises(CubeError, match="`agrifm fetch`") as caught:
            open_cube(tmp_path / name)
        assert caught.value.facts["path"] == tmp_path / name


def test_an_unfinished_cube_is_refused_with_how_to_go_on(tmp_path: Path) -> None:
    create_root(tmp_path / "cube.zarr.partial", SEASON, AREA)
    with pytest.raises(CubeError, match="unfinished"):
        open_cube(tmp_path / "cube.zarr")


def test_a_cube_of_another_format_is_refused(tmp_path: Path) -> None:
    root = create_root(tmp_path / "cube.zarr", SEASON, AREA)
    root.attrs["agrifm"] = {**root.attrs["agrifm"], "format": 2}
    with pytest.raises(CubeError, match="format is 2"):
        open_cube(tmp_path / "cube.zarr")


def test_the_area_is_kept_as_geojson(cube: Cube) -> None:
    about = json.loads((cube.path / "zarr.json").read_text())["attributes"]["agrifm"]
    assert shape(about["area"]).equals(AREA)
    assert about["area"]["type"] == mapping(AREA)["type"] == "Polygon"


@pytest.mark.parametrize("area", [{"type": "Point", "coordinates": [float("nan"), 0]}, {"type": "x"}, {}, None, []])
def test_an_area_that_is_not_one_is_refused(area, tmp_path):
    make_cube(tmp_path / "cube.zarr")
    file = tmp_path / "cube.zarr" / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"]["agrifm"]["area"] = area
    file.write_text(json.dumps(content))
    with pytest.raises(CubeError):
        open_cube(tmp_path / "cube.zarr")


@pytest.mark.parametrize("provenance", ["../../etc/passwd", 0.5, True])
def test_a_provenance_that_is_not_an_object_is_refused(tmp_path: Path, provenance: object) -> None:
    cube = make_cube(tmp_path / "cube.zarr")
    root = zarr.open_group(cube.path, mode="r+", use_consolidated=False)
    root.attrs["agrifm"] = {**dict(root.attrs["agrifm"]), "provenance": provenance}
    with pytest.raises(CubeError, match=r"cube\.zarr"):
        open_cube(cube.path)
