"""Small class maps and reference points for the tests of assessment."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from affine import Affine

from agrifm.legend import Legend, legend_json

UTM = "EPSG:32631"
CROPS = Legend.of(["1110", "1121", "other"], {"1110": "Maize", "1121": "Winter wheat", "other": "Other land"})


def write_raster(
    path: Path, values, *, crs=UTM, legend=None, nodata=None, side=10.0, corner=(600_000, 5_500_000), **more
):
    """A GeoTIFF of one band; the corner is the upper left one."""
    transform = Affine(side, 0, corner[0], 0, -side, corner[1])
    height, width = values.shape
    shape = {"height": height, "width": width, "count": 1, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, nodata=nodata, **shape, **more) as file:
        file.write(values, 1)
        if legend is not None:
            file.update_tags(AGRIFM_LEGEND=legend_json(legend))
    return path


def pixels_of(points):
    """Rows and columns of points on a raster of `write_raster`, as it is by default."""
    rows = ((5_500_000 - points.geometry.y) // 10).astype(int)
    cols = ((points.geometry.x - 600_000) // 10).astype(int)
    return rows.to_numpy(), cols.to_numpy()


def write_points(path: Path, rows, cols, labels, *, crs=UTM, side=10.0, corner=(600_000, 5_500_000), **columns):
    """Points at pixel centres with their labels, drawn in strata unless a column `sampling` states something else."""
    x = corner[0] + (np.asarray(cols) + 0.5) * side
    y = corner[1] - (np.asarray(rows) + 0.5) * side
    columns = {"sampling": "stratified", **columns}
    stated = {name: values for name, values in columns.items() if values is not None}
    frame = gpd.GeoDataFrame({"label": labels, **stated}, geometry=gpd.points_from_xy(x, y), crs=crs)
    frame.to_file(path)
    return path


def crop_map(shape=(60, 80), seed=0):
    """Class numbers 0 to 2 in fields of 10 x 10 pixels, 255 in the first five columns."""
    fields = np.random.default_rng(seed).choice(3, (shape[0] // 10, shape[1] // 10), p=[0.3, 0.2, 0.5])
    values = np.kron(fields, np.ones((10, 10), int)).astype(np.uint8)
    values[:, :5] = 255
    return values


def write_yield_map(path: Path, tonnes, half=1.0, *, level="0.9", side=10.0, corner=(600_000, 5_500_000)):
    """A map of yields of rice as `agrifm map` writes it: t/ha and an interval of so many t/ha on both sides."""
    bands = np.stack([tonnes, np.maximum(tonnes - half, 0), tonnes + half]).astype(np.float32)
    tags = {"AGRIFM_UNIT": "t/ha", "AGRIFM_INTERVAL": level, "AGRIFM_CROP": "rice"}
    return _write_numbers(path, bands, tags, side, corner)


def write_share_map(path: Path, shares, legend, *, side=480.0, corner=(600_000, 5_500_320)):
    """A map of shares (K, H, W) as `agrifm map` writes it."""
    tags = {"AGRIFM_SHARES": "0 to 1", "AGRIFM_LEGEND": legend_json(legend)}
    return _write_numbers(path, shares.astype(np.float32), tags, side, corner)


def _write_numbers(path, bands, tags, side, corner):
    count, height, width = bands.shape
    shape = {"height": height, "width": width, "count": count, "dtype": "float32", "nodata": np.nan}
    transform = Affine(side, 0, corner[0], 0, -side, corner[1])
    with rasterio.open(path, "w", driver="GTiff", crs=UTM, transform=transform, **shape) as file:
        file.write(bands)
        file.update_tags(**tags)
    return path
