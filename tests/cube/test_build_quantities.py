"""Quantities from product to cube: decibel and kelvin of real files, stored in scales that hold them."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pyproj import CRS
from shapely import box
from tests.data_sets import DATA
from tests.scenes import lonlat

from agrifm.cube.build import build_cube
from agrifm.cube.qc.check import check_cube
from agrifm.errors import ConfigError
from agrifm.grid import Window
from agrifm.scene.local_files import search_files
from agrifm.scene.products import Product, find_product
from agrifm.season import Season

PATCH = DATA / "flanders_multisource_2018" / "00002806639B424A"
needs_flanders = pytest.mark.skipif(not PATCH.exists(), reason=f"the Flanders set is not at {PATCH}; set AGRIFM_DATA")
JUNE = Season(date(2018, 6, 1), date(2018, 6, 20))


@needs_flanders
@pytest.mark.parametrize(
    ("product", "file", "variable", "scale", "step", "most"),
    [
        ("sentinel-1-worldcereal", "s1_grd_asc_20m.nc", "VV", 1e-4, 0.01, 0.0051),
        ("landsat-8-st-worldcereal", "l8_st_10m.nc", "ST_B10", 1.0, 0.02, 1.0),
    ],
)
def test_real_numbers_come_back_in_their_unit(
    product: str, file: str, variable: str, scale: float, step: float, most: float, tmp_path: Path
) -> None:
    """Read beside agrifm with xarray: the file's pixel at the centre of the cube's; whole kelvins are averaged."""
    with xr.open_dataset(PATCH / file, engine="h5netcdf", mask_and_scale=False) as content:
        own = content.sel(time=slice("2018-06-01", "2018-06-20")).load()
    left, right = float(own.x.min()) - 5, float(own.x.max()) + 5
    bottom, top = float(own.y.min()) - 5, float(own.y.max()) + 5
    area = lonlat(box(left, bottom, right, top), CRS.from_wkt(own.spatial_ref.attrs["crs_wkt"]).to_wkt())
    search = search_files(PATCH, file, find_product(product), JUNE)
    cube = build_cube(tmp_path / "cube.zarr", search, JUNE, area)
    sensor = next(iter(cube.sensors.values()))
    assert sensor.input.quantity == find_product(product).quantity
    assert sensor.input.scale == step
    image, valid, _ = sensor.read(Window(0, 0, *sensor.grid.shape), [variable])
    frame = int(valid.sum(axis=(1, 2)).argmax())
    rows, cols = np.nonzero(valid[frame])
    assert len(rows) > 400
    days = own.time.values.astype("datetime64[D]").astype(int)
    nearest = own[variable].isel(time=int(np.flatnonzero(days == sensor.date[frame])[0]))
    x, y = (xr.DataArray(axis[place]) for axis, place in ((sensor.grid.x, cols), (sensor.grid.y, rows)))
    wanted = nearest.sel(x=x, y=y, method="nearest").values * scale
    assert np.abs(image[frame, 0, rows, cols] - wanted).max() <= most
    assert not [finding for finding in check_cube(cube).findings if finding.kind == "mixed quantities"]


def test_decibel_that_would_be_averaged_are_refused() -> None:
    with pytest.raises(ConfigError, match="decibel"):
        Product("db", "sentinel-1", "db", {"VV": "VV"}, 1e-4, 0.0, 0, (-600_000, 300_000), quantity="backscatter (dB)")
