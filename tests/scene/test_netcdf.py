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
from agrifm.scene.read import read_asset
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
