"""Rasters of class codes as labels on a grid.

Shape letters: H rows, W columns.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from agrifm.class_raster import ClassRaster, read_class_raster, require_whole
from agrifm.errors import LabelError
from agrifm.grid import WARP_TOLERANCE, Grid
from agrifm.mosaics import open_raster_or_mosaic

RASTERS = {".tif", ".tiff", ".vrt", ".img", ".asc", ".png"}


def raster_codes_on(file: Path, grid: Grid, about: str) -> tuple[NDArray[Any], NDArray[np.bool_], ClassRaster]:
    """Return a categorical raster on a grid by nearest neighbour, which pixels have a class, and what its values mean.

    Args:
        about: the start of an error's sentence, such as "reading labels landcover.tif".

    Returns:
        Codes (H, W), a mask (H, W), and what the raster states.

    Raises:
        LabelError: the file cannot be read, has no coordinate reference system, or is not one of class codes.
    """
    try:
        with open_raster_or_mosaic(file) as source:
            if source.crs is None:
                raise LabelError(f"{about}: it has no coordinate reference system; add the CRS to the file")
            stated = read_class_raster(source, file, about, LabelError)
            height, width = grid.shape
            with WarpedVRT(
                source,
                crs=str(grid.crs),
                transform=grid.transform,
                height=height,
                width=width,
                resampling=Resampling.nearest,
                # Pixels outside the file get no value of their own: every value may be a code.
                src_nodata=None,
                nodata=None,
                add_alpha=ColorInterp.alpha not in source.colorinterp,
                tolerance=WARP_TOLERANCE,
            ) as warped:
                values, inside = warped.read(1), warped.read(warped.colorinterp.index(ColorInterp.alpha) + 1) > 0
    except (RasterioError, OSError) as error:
        raise LabelError(f"{about}: {str(error.__cause__ or error).splitlines()[0]}") from error
    known = inside & ~stated.without_class(values)
    require_whole(values[known], about, LabelError)
    return values, known, stated
