"""Pictures of maps for the report: PNG images to embed, read at reduced size, so that big maps do not fill memory."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import cos, log10, radians
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Geod

from agrifm.assess.class_map import ClassMap, open_raster
from agrifm.errors import AssessmentError
from agrifm.grid import Grid
from agrifm.legend import LEGEND_TAG, UNLABELLED, Legend, code_of

LONGEST = 1200
"""Pixels along the longer side of a picture."""
UNKNOWN = "#000000"
"""Colour of classes in the truth that the map does not have."""


@dataclass(frozen=True)
class Picture:
    """A PNG as a data address, with the ratio of its ground's width to its height."""

    address: str
    pixels: tuple[int, int]
    """Height and width in pixels."""
    ratio: float


def class_picture(mapped: ClassMap, classes: Mapping[str, str]) -> Picture:
    """The map in its classes' colours, north up, nodata transparent.

    Args:
        classes: colour (#rrggbb) per code.
    """
    with open_raster(mapped.path) as source:
        pixels = source.read(1, out_shape=_shape(mapped.grid), masked=True)
    return _classes(pixels, mapped.grid, dict(zip(mapped.values, mapped.legend.codes, strict=True)), classes)


def truth_picture(path: Path, mapped: ClassMap, classes: Mapping[str, str]) -> Picture:
    """True classes on the ground of the map; matched by the truth's legend, or by pixel value as code.

    Raises:
        AssessmentError: the file is no raster, or has no CRS.
    """
    from rasterio.vrt import WarpedVRT

    height, width = _shape(mapped.grid)
    rows, cols = mapped.grid.shape
    fine = mapped.grid.transform
    transform = Affine(fine.a * cols / width, 0, fine.c, 0, fine.e * rows / height, fine.f)
    with open_raster(path) as source:
        if source.crs is None:
            raise AssessmentError(f"reading the truth {path}: it has no coordinate reference system; assign one")
        crs, tag = mapped.grid.crs.to_wkt(), source.tags().get(LEGEND_TAG)
        nodata = source.nodata if source.nodata is not None else (UNLABELLED if tag else None)
        with WarpedVRT(source, crs=crs, transform=transform, width=width, height=height, src_nodata=nodata) as view:
            pixels = view.read(1, masked=True)
    if tag:
        codes = {float(number): code for number, code in enumerate(Legend.model_validate_json(tag).codes)}
    else:
        codes = {value: code_of(value) for value in np.unique(pixels.compressed()).astype(float).tolist()}
    return _classes(pixels, mapped.grid, codes, classes)


def confidence_picture(path: Path, grid: Grid) -> Picture:
    """Confidence in percent, 0 dark to 100 bright (matplotlib's cividis), nodata transparent."""
    from rasterio.enums import Resampling

    with open_raster(path) as source:
        pixels = source.read(1, out_shape=_shape(grid), masked=True, resampling=Resampling.average)
    share = np.clip(pixels.filled(0) / 100, 0, 1)
    rgba = _cividis(share)
    rgba[np.ma.getmaskarray(pixels)] = 0
    return _picture(rgba, grid)


def confidence_colors(steps: int = 6) -> list[str]:
    """Colours (#rrggbb) of confidence from 0 to 100 percent in equal steps."""
    return ["#" + bytes(color[:3].tolist()).hex() for color in _cividis(np.linspace(0, 1, steps))]


def scale_bar(grid: Grid) -> tuple[str, float]:
    """A round length of ground and the share of the map's width that it takes, at most 30 %."""
    left, bottom, right, top = grid.bounds
    if grid.crs.geographic:
        middle = (bottom + top) / 2
        east = (right - left) * 111_320 * cos(radians(middle))
        if right - left < 90:
            east = Geod(ellps="WGS84").inv(left, middle, right, middle)[2]
    else:
        east = (right - left) * float(grid.crs.proj.axis_info[0].unit_conversion_factor)
    ten = 10.0 ** int(np.floor(log10(0.3 * east)))
    length = max(step * ten for step in (1, 2, 5) if step * ten <= 0.3 * east)
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    return text, length / east


def _shape(grid: Grid) -> tuple[int, int]:
    shrink = max(1.0, max(grid.shape) / LONGEST)
    height, width = (max(1, round(side / shrink)) for side in grid.shape)
    return height, width


def _classes(
    pixels: np.ma.MaskedArray[Any, Any], grid: Grid, codes: Mapping[float, str], colors: Mapping[str, str]
) -> Picture:
    values: Sequence[float] = sorted(codes)
    table = np.array([[*bytes.fromhex(colors.get(codes[v], UNKNOWN)[1:]), 255] for v in values], np.uint8)
    position = np.clip(np.searchsorted(values, pixels.filled(values[0])), 0, len(values) - 1)
    rgba = table[position]
    rgba[np.ma.getmaskarray(pixels) | (np.asarray(values)[position] != pixels.filled(values[0]))] = 0
    return _picture(rgba, grid)


def _cividis(share: NDArray[np.float64]) -> NDArray[np.uint8]:
    from matplotlib import colormaps

    return np.asarray(colormaps["cividis"](share, bytes=True), np.uint8).copy()


def _picture(rgba: NDArray[np.uint8], grid: Grid) -> Picture:
    from matplotlib.image import imsave

    if grid.transform.e > 0:  # rows run northwards
        rgba = rgba[::-1]
    file = BytesIO()
    imsave(file, np.ascontiguousarray(rgba), format="png")
    left, bottom, right, top = grid.bounds
    ratio = (right - left) / (top - bottom)
    if grid.crs.geographic:
        ratio *= cos(radians((bottom + top) / 2))
    address = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return Picture(address, (rgba.shape[0], rgba.shape[1]), ratio)
