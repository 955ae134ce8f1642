"""The picture of parcels: each in the colour of its crop, and next to it its confidence."""

from pathlib import Path

import numpy as np
from rasterio.features import rasterize

from agrifm.files import write_bytes
from agrifm.grid import LONLAT, Grid
from agrifm.legend import UNLABELLED, Legend
from agrifm.mapping.map_rasters import PICTURE_SIDE
from agrifm.mapping.parcel_files import parcel_batches
from agrifm.mapping.parcel_summary import ParcelSummary
from agrifm.pictures import map_picture
from agrifm.rasters import open_raster


def write_parcel_picture(parcels: Path, target: Path, raster: Path, legend: Legend, summary: ParcelSummary) -> None:
    """Draw parcels on the extent of the map.

    Args:
        parcels: the finished GeoParquet.
        target: PNG.
        raster: of the map, for its extent.
    """
    from geopandas import GeoSeries

    with open_raster(raster) as source:
        grid = Grid.of(source.crs.to_wkt(), source.transform, source.shape)
        title = f"Crops of {summary.parcels} parcels by {source.tags().get('AGRIFM_MODEL', 'a model')}"
    height, width = (max(1, round(side * PICTURE_SIDE / max(grid.shape))) for side in grid.shape)
    shape = height, width
    transform = grid.transform * grid.transform.scale(grid.shape[1] / shape[1], grid.shape[0] / shape[0])
    classes, percent = np.full(shape, UNLABELLED, np.uint8), np.full(shape, UNLABELLED, np.uint8)
    numbers = {code: number for number, code in enumerate(legend.codes)}
    for frame, outlines in parcel_batches(parcels, ["crop:code", "agrifm:confidence"]):
        shapes = GeoSeries(outlines, crs=LONLAT).to_crs(grid.crs.to_wkt())
        known = frame["crop:code"].isin(numbers).to_numpy()
        if not known.any():
            continue
        burnt = rasterize(
            [(one, row + 1) for row, one in enumerate(shapes[known])], shape, transform=transform, dtype="int32"
        )
        inside = burnt > 0
        at = burnt[inside] - 1
        classes[inside] = frame["crop:code"][known].map(numbers).to_numpy(np.uint8)[at]
        percent[inside] = np.rint(100 * frame["agrifm:confidence"][known].to_numpy(np.float64)).astype(np.uint8)[at]
    masked = [np.ma.masked_equal(one, UNLABELLED) for one in (classes, percent)]
    picture = map_picture(masked[0], masked[1], grid, legend, title, summary.hectares, summary.unanswered_hectares)
    write_bytes(target, picture)
