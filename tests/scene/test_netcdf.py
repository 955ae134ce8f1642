"""NetCDF and xarray: names decide and never positions; what is stated about numbers, places and times is used."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import xarray as xr
from affine import Affine
from pyproj import CRS
from tests.scenes import LEFT, SEASON, TOP, UTM

from agrifm.errors import SceneError
from agrifm.grid import Grid
from agrifm.scene.local_files import search_dataset, search_files
from agrifm.scene.products import find_product
from agrifm.scene.read import kernel_of, read_asset
from agrifm.scene.scene import Scene

WORLDCEREAL = find_product("sentinel-2-worldcereal")
ROWS, COLS = 6, 9
GRID = Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (ROWS, COLS))
TIMES = ("2024-05-01T10:50:31", "2024-05-06T10:50:31")
NUMBERS = np.random.default_rng(0).integers(1, 9000, (2, ROWS, COLS)).astype(np.uint16)


def content(numbers: np.ndarray = NUMBERS, crs: str | int = UTM, **attributes: Any) -> xr.Dataset:
    """B02 (time, y, x) in a file that has nothing special."""
    coordinates = {
        "time": np.array(TIMES[: len(numbers)], "datetime64[ns]"),
        "y": TOP - 10 * (np.arange(ROWS) + 0.5),
        "x": LEFT + 10 * (np.arange(COLS) + 0.5),
    }
    result = xr.Dataset({"B02": (("time", "y", "x"), numbers, attributes)}, coordinates)
    result["spatial_ref"] = ((), 0, {"crs_wkt": CRS.from_user_input(crs).to_wkt()})
    return result


def scenes(data: xr.Dataset | xr.DataArray) -> list[Scene]:
    return search_dataset(data, WORLDCEREAL, SEASON).scenes


def read(data: xr.Dataset | xr.DataArray, key: str = "B02", nodata: int = 0) -> np.ndarray:
    """(scene, y, x) on the grid of the pixels."""
    return np.stack([read_asset(scene, key, key, GRID, "bilinear", nodata) for scene in scenes(data)])


def refusal(data: xr.Dataset | xr.DataArray) -> SceneError:
    with pytest.raises(SceneError) as caught:
        read(data)
    return caught.value


def stored(directory: Path, data: xr.Dataset, **options: Any) -> Path:
    path = directory / "s2.nc"
    data.to_netcdf(path, engine="h5netcdf", **options)
    return path


def of_file(path: Path) -> np.ndarray:
    found = search_files(path.parent, path.name, WORLDCEREAL, SEASON).scenes
    return np.stack([read_asset(scene, "B02", "B02", GRID, "bilinear", 0) for scene in found])


def file_refusal(path: Path) -> SceneError:
    with pytest.raises(SceneError) as caught:
        of_file(path)
    return caught.value


def banded(data: xr.Dataset, name: str, labels: list[str]) -> xr.DataArray:
    """B02 and twice B02 along a dimension of bands."""
    return xr.concat([data.B02, 2 * data.B02], dim=pandas.Index(labels, name=name)).assign_attrs(crs=UTM)


ARRANGEMENTS: dict[str, Callable[[xr.Dataset], xr.Dataset | xr.DataArray]] = {
    "as it is": lambda data: data,
    "time, x, y": lambda data: data.transpose("time", "x", "y"),
    "x, y, time": lambda data: data.transpose("x", "y", "time"),
    "y, time, x": lambda data: data.transpose("y", "time", "x"),
    "northing": lambda data: data.rename(time="t", y="northing", x="easting"),
    "capitals": lambda data: data.rename(time="Time", y="Y", x="X"),
    "axis by attribute": lambda data: data.rename(x="i", y="j").assign_coords(
        i=("i", data.x.values, {"axis": "X"}), j=("j", data.y.values, {"standard_name": "projection_y_coordinate"})
    ),
    "coordinates of other names": lambda data: data.rename_dims(x="i", y="j"),
    "y upwards": lambda data: data.isel(y=slice(None, None, -1)),
    "x leftwards": lambda data: data.isel(x=slice(None, None, -1)),
    "all turned": lambda data: data.isel(x=slice(None, None, -1), y=slice(None, None, -1)).transpose("x", "time", "y"),
    "one band": lambda data: data.assign(B02=data.B02.expand_dims(band=[1], axis=1)),
    "one height": lambda data: data.assign(B02=data.B02.expand_dims("height", axis=3)),
    "times descend": lambda data: data.isel(time=slice(None, None, -1)),
    "bands": lambda data: banded(data, "bands", ["B02", "B03"]),
    "bands last": lambda data: banded(data, "bands", ["B02", "B03"]).transpose("x", "y", "time", "bands"),
    "bands of a variable": lambda data: banded(data, "channel", ["B02", "other"]).to_dataset(name="reflectance"),
    "float32": lambda data: data.assign_coords(x=data.x.astype(np.float32), y=data.y.astype(np.float32)),
    "whole numbers": lambda data: data.assign_coords(x=data.x.astype(np.int64), y=data.y.astype(np.int32)),
    "longitudes beside": lambda data: data.assign_coords(lon=(("y", "x"), np.zeros((ROWS, COLS)))),
    "objects": lambda data: data.assign_coords(time=[datetime.fromisoformat(one) for one in TIMES]),
    "texts": lambda data: data.assign_coords(time=[one + "Z" for one in TIMES]),
    "bytes": lambda data: data.assign_coords(time=[b"2024-05-01T10:50:31+00:00", b"2024-05-06T12:50:31+02:00"]),
}


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_every_arrangement_of_the_same_pixels_reads_the_same(name: str) -> None:
    data = ARRANGEMENTS[name](content())
    found = sorted(scenes(data), key=lambda scene: scene.day)
    assert [scene.day for scene in found] == [date(2024, 5, 1), date(2024, 5, 6)]
    assert (np.stack([read_asset(scene, "B02", "B02", GRID, "bilinear", 0) for scene in found]) == NUMBERS).all()


@pytest.mark.parametrize("name", [name for name in ARRANGEMENTS if name not in ("objects", "bytes")])
def test_arrangements_in_a_file_read_the_same(name: str, tmp_path: Path) -> None:
    data = ARRANGEMENTS[name](content())
    data = data.to_dataset(name="all").assign_attrs(crs=UTM) if isinstance(data, xr.DataArray) else data
    assert (of_file(stored(tmp_path, data)) == NUMBERS).all()


def test_a_dimension_of_one_scene_may_be_a_scalar(tmp_path: Path) -> None:
    for data in (content().isel(time=0), content().isel(time=0).transpose("x", "y")):
        assert (read(data) == NUMBERS[:1]).all()
        assert (of_file(stored(tmp_path, data)) == NUMBERS[:1]).all()


def test_a_file_is_read_window_by_window_of_its_own_time(tmp_path: Path) -> None:
    """A file in chunks of (x, time, y): each scene's numbers are of its own time."""
    data = content().transpose("x", "time", "y")
    path = stored(tmp_path, data, encoding={"B02": {"chunksizes": (4, 1, 3)}})
    window = Grid.of(UTM, GRID.transform * Affine.translation(2, 1), (3, 5))
    found = search_files(tmp_path, path.name, WORLDCEREAL, SEASON).scenes
    for scene, numbers in zip(found, NUMBERS, strict=True):
        assert (read_asset(scene, "B02", "B02", window, "bilinear", 0) == numbers[1:4, 2:7]).all()
        assert kernel_of(scene, "B02", "B02", window, "bilinear") == "copied"


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda data: data.rename(x="i", y="j"), "'j'"),
        (lambda data: data.drop_vars("x"), "'x'"),
        (lambda data: data.rename(x="easting").rename(y="x").rename(easting="lon"), "'lon'"),
        (lambda data: data.assign(B02=data.B02.expand_dims(level=[1, 2])), "'level'"),
        (lambda data: data.assign(B02=data.B02.expand_dims(level=2)), "'level'"),
        (lambda data: data.isel(time=0, drop=True), "time"),
        (lambda data: data.assign(B2=data.B02, values=banded(data, "bands", ["B03", "B02"])), "'B02'"),
        (lambda data: data.assign(x=data.x.assign_attrs(standard_name="latitude")), "'x'"),
        (lambda data: data.assign(x=data.x.assign_attrs(axis="Y")), "'x'"),
        (lambda data: data.rename(B02="Band1"), "none of the variables"),
    ],
)
def test_dimensions_that_names_do_not_tell_are_refused(change: Callable[[xr.Dataset], xr.Dataset], fact: str) -> None:
    assert fact in str(refusal(change(content())))


@pytest.mark.parametrize(
    ("attributes", "missing"),
    [
        ({"_FillValue": np.uint16(65535)}, [65535]),
        ({"_FillValue": -32768}, []),
        ({"missing_value": np.uint16(20000)}, [20000]),
        ({"_FillValue": np.uint16(65535), "missing_value": [20000, 0]}, [65535, 20000, 0]),
        ({"valid_range": [1, 9000]}, [65535, 20000, 0]),
        ({"valid_range": "1"}, None),
        ({"valid_min": 1.0, "valid_max": 9000.0}, [65535, 20000, 0]),
        ({"valid_max": np.uint16(30000)}, [65535]),
        ({"valid_range": [0.0001, 0.9], "scale_factor": 0.0001}, [65535, 20000, 0]),
        ({"scale_factor": 0.0001, "add_offset": 0.0, "_FillValue": "65535"}, [65535]),
    ],
)
def test_numbers_that_a_file_states_to_be_missing_are_nodata(
    attributes: dict[str, Any], missing: list[int] | None
) -> None:
    numbers = NUMBERS.copy()
    numbers[:, 0, :3] = (65535, 20000, 0)
    data = content(numbers, **attributes)
    if missing is None:
        assert "valid_range" in str(refusal(data))
    else:
        assert (read(data) == np.where(np.isin(numbers, missing), 0, numbers)).all()


@pytest.mark.parametrize(
    ("dtype", "attributes", "expected"),
    [
        ("int16", {"_Unsigned": "true"}, [40000, 65535, 7]),
        ("int16", {"_Unsigned": "true", "_FillValue": np.int16(-1)}, [40000, 0, 7]),
        ("int16", {"_Unsigned": "true", "_FillValue": np.int16(-1), "valid_range": np.array([0, -10], "int16")}, None),
        ("int16", {"_Unsigned": "true", "valid_max": np.int16(-2)}, [40000, 0, 7]),
        ("int16", {"_Unsigned": "false", "_FillValue": np.int16(-1)}, [-25536, 0, 7]),
        ("uint16", {"_Unsigned": "false", "_FillValue": np.uint16(65535)}, [-25536, 0, 7]),
        ("uint16", {"_Unsigned": "true"}, [40000, 65535, 7]),
    ],
)
def test_the_sign_of_stored_numbers_is_that_of_unsigned(
    dtype: str, attributes: dict[str, Any], expected: list[int] | None, tmp_path: Path
) -> None:
    numbers = NUMBERS.copy()
    numbers[:, 0, :3] = (40000, 65535, 7)
    data = content(numbers.astype(dtype), **attributes)
    expected = [40000, 0, 7] if expected is None else expected
    for found in (read(data), of_file(stored(tmp_path, data))):
        assert found[:, 0, :3].tolist() == [expected, expected]
        assert (found[:, 1:] == numbers[:, 1:]).all()


def test_a_file_decoded_by_xarray_is_refused_with_the_way_to_open_it(tmp_path: Path) -> None:
    path = stored(tmp_path, content(scale_factor=0.0001, _FillValue=np.uint16(65535)))
    with xr.open_dataset(path, engine="h5netcdf") as decoded:
        assert "mask_and_scale=False" in str(refusal(decoded))
    with xr.open_dataset(path, engine="h5netcdf", mask_and_scale=False) as data:
        assert (read(data) == NUMBERS).all()


@pytest.mark.parametrize(
    ("values", "attributes", "holds"),
    [
        ([20240501, 20240506], {}, "20240501"),
        ([19844.5, 19849.5], {}, "19844.5"),
        ([121, 126], {"units": "days"}, "'days'"),
        ([121, 126], {"units": "day as %Y%m%d.%f"}, "%Y%m%d"),
        ([0, 5], {"units": "days since 05-01-2024"}, "05-01-2024"),
        ([0, 5], {"units": "months since 2024-05-01"}, "months"),
        ([20240501, 20240506], {"units": "days since 1970-01-01"}, "20240501"),
        ([1e300, 2e300], {"units": "days since 1970-01-01"}, "1e+300"),
        ([0, 5], {"units": "days since 0001-01-01"}, "0001"),
        ([0, -9999], {"units": "days since 2024-05-01", "_FillValue": -9999}, "NaT"),
        ([np.nan, 5], {"units": "days since 2024-05-01"}, "NaT"),
        (["01/05/2024", "06/05/2024"], {}, "01/05/2024"),
        (["May 2024", "June 2024"], {}, "May 2024"),
        ([b"2024", b"2025"], {}, "2024"),
        (np.array(["2024-05-01", "NaT"], "datetime64[ns]"), {}, "NaT"),
        (np.array([1, 2], "timedelta64[D]"), {}, "seconds"),
        ([True, False], {}, "True"),
        ([1 + 2j, 3], {}, "1+2j"),
        (np.array([None, None]), {}, "None"),
    ],
)
def test_times_that_are_not_dates_are_refused_with_what_they_hold(values: Any, attributes: Any, holds: str) -> None:
    error = refusal(content().assign_coords(time=("time", np.asarray(values), attributes)))
    assert holds in str(error.facts["holds"])
    assert error.facts["coordinate"] == "time"
    assert "pandas.to_datetime" in str(error)


def test_the_remedy_for_times_works() -> None:
    data = content().assign_coords(time=("time", ["01/05/2024", "06/05/2024"]))
    data["time"] = pandas.to_datetime(data.time.values, format="%d/%m/%Y")
    assert [scene.day for scene in scenes(data)] == [date(2024, 5, 1), date(2024, 5, 6)]


@pytest.mark.parametrize("calendar", ["noleap", "365_day", "360_day", "all_leap", "366_day", "julian"])
def test_calendars_without_the_days_of_satellites_are_refused(calendar: str, tmp_path: Path) -> None:
    attributes = {"units": "days since 2024-01-01", "calendar": calendar}
    path = stored(tmp_path, content().assign_coords(time=("time", [121, 126], attributes)))
    error = file_refusal(path)
    assert error.facts["calendar"] == calendar
    assert "download" not in str(error)


@pytest.mark.parametrize(
    ("values", "units", "calendar"),
    [
        ([121, 126], "days since 2024-01-01", "standard"),
        ([121.0, 126.0], "days since 2024-1-1 00:00:0.0", "gregorian"),
        ([19844 * 86400, 19849 * 86400], "seconds since 1970-01-01T00:00:00Z", "proleptic_gregorian"),
        ([19844 * 24 + 2, 19849 * 24 + 2], "hours since 1970-01-01 00:00:00+02:00", "standard"),
        ([2, -3], "Days since 2024-04-29", "standard"),
    ],
)
def test_numbers_with_units_are_dates(values: list[float], units: str, calendar: str, tmp_path: Path) -> None:
    attributes = {"units": units, "calendar": calendar}
    path = stored(tmp_path, content().assign_coords(time=("time", values, attributes)))
    days = sorted(scene.day for scene in search_files(tmp_path, path.name, WORLDCEREAL, SEASON).scenes)
    assert days == (
        [date(2024, 5, 1), date(2024, 5, 6)] if values != [2, -3] else [date(2024, 4, 26), date(2024, 5, 1)]
    )


CF_UTM = {
    "grid_mapping_name": "transverse_mercator",
    "longitude_of_central_meridian": 3.0,
    "latitude_of_projection_origin": 0.0,
    "scale_factor_at_central_meridian": 0.9996,
    "false_easting": 500000.0,
    "false_northing": 0.0,
    "semi_major_axis": 6378137.0,
    "inverse_flattening": 298.257223563,
}


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.assign_attrs(crs="EPSG:32631"),
        lambda data: data.assign_attrs(crs="+init=epsg:32631"),
        lambda data: data.assign_attrs({"proj:epsg": np.int64(32631)}),
        lambda data: data.assign_coords(epsg=32631),
        lambda data: data.assign(crs=((), 0, {"spatial_ref": CRS.from_epsg(32631).to_wkt("WKT1_GDAL")})),
        lambda data: data.assign(B02=data.B02.assign_attrs(crs="EPSG:32631")),
        lambda data: data.assign(
            B02=data.B02.assign_attrs(grid_mapping="utm"), utm=((), 0, {"epsg_code": "EPSG:32631"})
        ),
        lambda data: data.assign(
            B02=data.B02.assign_attrs(grid_mapping="far: lat lon utm: x y"),
            utm=((), 0, {"crs_wkt": CRS.from_epsg(32631).to_wkt()}),
            far=((), 0, {"crs_wkt": CRS.from_epsg(4326).to_wkt()}),
        ),
        lambda data: data.assign(B02=data.B02.assign_attrs(grid_mapping="utm"), utm=((), 0, CF_UTM)),
    ],
)
def test_every_way_to_state_the_reference_system_is_read(
    change: Callable[[xr.Dataset], xr.Dataset], tmp_path: Path
) -> None:
    data = change(content().drop_vars("spatial_ref"))
    assert (read(data) == NUMBERS).all()
    assert (of_file(stored(tmp_path, data)) == NUMBERS).all()


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda data: data.drop_vars("spatial_ref"), "spatial_ref"),
        (lambda data: data.assign(spatial_ref=((), 0, {"crs_wkt": "PROJCS[nonsense"})), "nonsense"),
        (lambda data: data.assign(spatial_ref=((), 0, {"crs_wkt": "EPSG:1"})), "EPSG:1"),
        (lambda data: data.assign_attrs(crs="EPSG:32632"), "EPSG:32632"),
        (lambda data: data.assign(crs=((), 0, {"grid_mapping_name": "no_such_mapping"})), "no_such_mapping"),
        (lambda data: data.assign(spatial_ref=((), 0, {"crs_wkt": CRS.from_epsg(4326).to_wkt()})), "degree"),
        (lambda data: data.assign_coords(x=data.x.assign_attrs(units="km")), "km"),
        (lambda data: data.assign_coords(y=data.y.assign_attrs(units="degrees_north")), "degrees_north"),
        (lambda data: data.rename(x="lon", y="lat"), "'lon'"),
    ],
)
def test_reference_systems_that_do_not_fit_are_refused(change: Callable[[xr.Dataset], xr.Dataset], fact: str) -> None:
    assert fact in str(refusal(change(content())))


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (b"CDF\x01", "nccopy -k nc4"),
        (b"CDF\x02", "nccopy -k nc4"),
        (b"CDF\x05", "nccopy -k nc4"),
        (b"PK\x03\x04", "ZIP"),
        (b"\x0e\x03\x13\x01", "HDF4"),
        (b"II*\0", "TIFF"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"GRIB", "GRIB"),
    ],
)
def test_other_formats_under_the_suffix_of_netcdf_are_named(first: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "s2.nc").write_bytes(first + bytes(100))
    error = file_refusal(tmp_path / "s2.nc")
    assert expected in str(error)
    assert "download" not in str(error)


def test_the_remedy_for_a_classic_file_works(tmp_path: Path) -> None:
    classic = content(NUMBERS.astype(np.int16), _FillValue=np.int16(-32768))
    classic.to_netcdf(tmp_path / "s2.nc", engine="scipy")
    error = file_refusal(tmp_path / "s2.nc")
    named = str(error).partition("Python with ")[2]
    assert named.startswith("xarray.open_dataset('old.nc'")
    remedy = named.replace("old.nc", str(tmp_path / "s2.nc")).replace("new.nc", str(tmp_path / "new.nc"))
    exec(f"import xarray; {remedy}")
    assert (of_file(tmp_path / "new.nc") == NUMBERS).all()


def test_a_damaged_file_is_to_be_downloaded_again(tmp_path: Path) -> None:
    path = stored(tmp_path, content())
    path.write_bytes(path.read_bytes()[:4000])
    assert "download it again" in str(file_refusal(path))


def test_variables_in_groups_are_refused_with_a_remedy_that_works(tmp_path: Path) -> None:
    content().to_netcdf(tmp_path / "s2.nc", engine="h5netcdf", group="measurements")
    error = file_refusal(tmp_path / "s2.nc")
    assert error.facts["groups"] == ["measurements"]
    remedy = str(error).partition("such as with ")[2]
    remedy = remedy.replace("old.nc", str(tmp_path / "s2.nc")).replace("new.nc", str(tmp_path / "new.nc"))
    exec(f"import xarray; {remedy}")
    assert (of_file(tmp_path / "new.nc") == NUMBERS).all()


@pytest.mark.parametrize(
    ("name", "attribute", "value"),
    [
        ("x", "scale_factor", "1 2 3"),
        ("y", "add_offset", [1, 2]),
        ("x", "scale_factor", 65535),
        ("y", "scale_factor", 1e300),
        ("spatial_ref", "crs_wkt", np.array([1, 2, 3])),
        ("B02", "_FillValue", {"a": 1}),
        ("B02", "scale_factor", "x"),
        ("B02", "valid_range", np.array([[1, 2], [3, 4]])),
        ("time", "calendar", 360),
    ],
)
def test_an_attribute_that_makes_no_sense_is_refused(name: str, attribute: str, value: Any) -> None:
    data = content()
    if name == "time":
        data = data.assign_coords(time=("time", [121, 126], {"units": "days since 2024-01-01"}))
    data[name].attrs[attribute] = value
    refusal(data)


@pytest.mark.parametrize("values", [list("abcdefghi"), [1j] * 9, [True] * 9, [np.inf] * 9, [np.nan] * 9])
def test_coordinates_that_are_not_numbers_are_refused(values: list[Any]) -> None:
    assert refusal(content().assign_coords(x=("x", values))).facts["coordinate"] == "x"
