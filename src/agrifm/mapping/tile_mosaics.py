"""Mosaics of the maps of tiles, as GDAL's virtual rasters (VRT): one for each UTM zone, and one over all zones.

A mosaic of a zone shows of each tile only its square, so that no pixel is in it twice, and is read by agrifm as well as
by GDAL. The mosaic over several zones is in an equal-area projection around the middle of the area, to which GDAL
reprojects pixels (nearest neighbour) when they are read.

    GDAL documentation, "VRT -- GDAL Virtual Format", https://gdal.org/en/stable/drivers/raster/vrt.html
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from math import ceil, floor
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from agrifm.area_tile import AreaTile, Edges
from agrifm.files import write_text
from agrifm.grid import LONLAT, WARP_TOLERANCE, Grid
from agrifm.rasters import open_raster, open_virtual

TYPES = {"uint8": "Byte", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32", "int32": "Int32"} | {
    "float32": "Float32",
    "float64": "Float64",
}
"""GDAL's names of numpy's types."""
WARPED = "reprojected"
"""Directory of the reprojected mosaics of zones, of which the one over all is made."""


def write_zone_mosaic(path: Path, files: Sequence[tuple[AreaTile, Path]]) -> None:
    """Write the mosaic of one raster of the tiles of a zone.

    Args:
        path: of the mosaic, in the directory that holds the tiles' maps or above it.
        files: each tile with its raster, which covers the tile's extent.
    """
    first = files[0][1]
    with open_raster(first) as source:
        resolution, crs, count = source.transform.a, source.crs.to_wkt(), source.count
        squares = [_shown(tile) for tile, _ in files]
        left, bottom, right, top = _union(squares)
        root = _dataset(crs, (left, bottom, right, top), resolution)
        _add_tags(root, source.tags())
        bands = [_add_band(root, source, number) for number in range(1, count + 1)]
    for (tile, file), square in zip(files, squares, strict=True):
        size = [round((square[2] - square[0]) / resolution), round((square[3] - square[1]) / resolution)]
        of_file = [round((square[0] - tile.extent[0]) / resolution), round((tile.extent[3] - square[3]) / resolution)]
        of_mosaic = [round((square[0] - left) / resolution), round((top - square[3]) / resolution)]
        for number, band in enumerate(bands, 1):
            _add_source(band, path, file, number, (*of_file, *size), (*of_mosaic, *size))
    _write(path, root)
    if first.with_suffix(".qml").exists():
        shutil.copyfile(first.with_suffix(".qml"), path.with_suffix(".qml"))


def write_common_mosaic(path: Path, zones: Mapping[str, Path], tiles: Sequence[AreaTile]) -> str:
    """Write the mosaic over the mosaics of several zones, and return its CRS.

    Args:
        zones: their mosaics by EPSG code, in directories next to `path`.
        tiles: all tiles, which decide its extent.
    """
    crs = common_crs(tiles)
    root, bands = None, list[Element]()
    with open_virtual(next(iter(zones.values()))) as source:
        resolution = float(source.transform.a)
    bounds = _snapped_union([transform_bounds(tile.crs, crs, *_shown(tile), 21) for tile in tiles], resolution)
    for code, mosaic in zones.items():
        part = _snapped_union(
            [transform_bounds(code, crs, *_shown(tile), 21) for tile in tiles if tile.crs == code], resolution
        )
        warped = mosaic.parent / WARPED / mosaic.name
        _write_warped(warped, mosaic, crs, part, resolution)
        with open_virtual(mosaic) as source:
            if root is None:
                root = _dataset(rasterio.CRS.from_string(crs).to_wkt(), bounds, resolution)
                _add_tags(root, source.tags())
                bands = [_add_band(root, source, number) for number in range(1, source.count + 1)]
            nodata = source.nodata
        size = [round((part[2] - part[0]) / resolution), round((part[3] - part[1]) / resolution)]
        place = [round((part[0] - bounds[0]) / resolution), round((bounds[3] - part[3]) / resolution)]
        for number, band in enumerate(bands, 1):
            _add_source(band, path, warped, number, (0, 0, *size), (*place, *size), nodata)
    assert root is not None, "an area has a zone"
    _write(path, root)
    style = next(iter(zones.values())).with_suffix(".qml")
    if style.exists():
        shutil.copyfile(style, path.with_suffix(".qml"))
    return crs


def common_crs(tiles: Sequence[AreaTile]) -> str:
    """Return an equal-area projection around the middle of tiles, in whole degrees; on both sides of longitude 180."""
    return _equal_area(np.array([tile.area.centroid.coords[0] for tile in tiles]))


def grid_over(grids: Sequence[Grid]) -> Grid:
    """Return a grid over those of several zones, in an equal-area projection around their middle."""
    corners = [
        Transformer.from_crs(grid.crs.to_wkt(), LONLAT, always_xy=True).transform(
            (left + right) / 2, (bottom + top) / 2
        )
        for grid in grids
        for left, bottom, right, top in [grid.bounds]
    ]
    crs, resolution = _equal_area(np.array(corners)), grids[0].resolution
    bounds = [transform_bounds(grid.crs.to_wkt(), crs, *grid.bounds, 21) for grid in grids]
    left, bottom, right, top = _snapped_union(bounds, resolution)
    shape = round((top - bottom) / resolution), round((right - left) / resolution)
    return Grid.of(crs, Affine(resolution, 0, left, 0, -resolution, top), shape)


def _equal_area(centres: NDArray[np.float64]) -> str:
    """The projection around the middle of places (N, 2) in longitude and latitude, in whole degrees."""
    angles = np.radians(centres[:, 0])
    middle = np.degrees(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean()))
    latitude = (centres[:, 1].min() + centres[:, 1].max()) / 2
    return f"+proj=laea +lat_0={round(latitude)} +lon_0={round(middle)} +datum=WGS84 +units=m +no_defs"


def _shown(tile: AreaTile) -> Edges:
    """The part of a tile's raster that no other tile has: its extent within its square."""
    west, south, east, north = tile.core
    left, bottom, right, top = tile.extent
    return max(west, left), max(south, bottom), min(east, right), min(north, top)


def _union(bounds: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    edges = np.array(bounds, float)
    left, bottom = edges[:, :2].min(axis=0)
    right, top = edges[:, 2:].max(axis=0)
    return float(left), float(bottom), float(right), float(top)


def _snapped_union(bounds: Sequence[Sequence[float]], step: float) -> tuple[float, float, float, float]:
    left, bottom, right, top = _union(bounds)
    return floor(left / step) * step, floor(bottom / step) * step, ceil(right / step) * step, ceil(top / step) * step


def _dataset(crs: str, bounds: tuple[float, float, float, float], resolution: float) -> Element:
    left, bottom, right, top = bounds
    width, height = round((right - left) / resolution), round((top - bottom) / resolution)
    root = Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    SubElement(root, "SRS", dataAxisToSRSAxisMapping="1,2").text = crs
    SubElement(root, "GeoTransform").text = f"{left!r}, {resolution!r}, 0.0, {top!r}, 0.0, {-resolution!r}"
    return root


def _add_tags(root: Element, tags: Mapping[str, str]) -> None:
    metadata = SubElement(root, "Metadata")
    for key, value in tags.items():
        if key != "AREA_OR_POINT":
            SubElement(metadata, "MDI", key=key).text = value


def _add_band(root: Element, source: rasterio.DatasetReader, number: int) -> Element:
    """A band like one of a raster, without sources."""
    index = number - 1
    band = SubElement(root, "VRTRasterBand", dataType=TYPES[source.dtypes[index]], band=str(number))
    if source.descriptions[index]:
        SubElement(band, "Description").text = source.descriptions[index]
    if source.nodata is not None:
        SubElement(band, "NoDataValue").text = f"{source.nodata:.17g}"
    if source.units[index]:
        SubElement(band, "UnitType").text = source.units[index]
    if source.scales[index] != 1:
        SubElement(band, "Scale").text = repr(float(source.scales[index]))
    try:
        colors = source.colormap(number)
    except ValueError:
        return band
    SubElement(band, "ColorInterp").text = "Palette"
    table = SubElement(band, "ColorTable")
    for value in sorted(colors):
        SubElement(table, "Entry", {f"c{place}": str(part) for place, part in enumerate(colors[value], 1)})
    return band


def _add_source(
    band: Element,
    path: Path,
    file: Path,
    number: int,
    of_file: tuple[int, ...],
    of_mosaic: tuple[int, ...],
    nodata: float | None = None,
) -> None:
    """Add pixels of a file; with `nodata`, its pixels of that value are left to other files."""
    source = SubElement(band, "SimpleSource" if nodata is None else "ComplexSource")
    name = Path(os.path.relpath(file, path.parent)).as_posix()
    SubElement(source, "SourceFilename", relativeToVRT="1").text = name
    SubElement(source, "SourceBand").text = str(number)
    keys = ("xOff", "yOff", "xSize", "ySize")
    for tag, numbers in (("SrcRect", of_file), ("DstRect", of_mosaic)):
        SubElement(source, tag, {key: str(value) for key, value in zip(keys, numbers, strict=True)})
    if nodata is not None:
        SubElement(source, "NODATA").text = f"{nodata:.17g}"


def _write_warped(
    path: Path, mosaic: Path, crs: str, bounds: tuple[float, float, float, float], resolution: float
) -> None:
    left, bottom, right, top = bounds
    path.parent.mkdir(exist_ok=True)
    with (
        open_virtual(mosaic) as source,
        WarpedVRT(
            source,
            crs=crs,
            transform=Affine(resolution, 0, left, 0, -resolution, top),
            width=round((right - left) / resolution),
            height=round((top - bottom) / resolution),
            resampling=Resampling.nearest,
            tolerance=WARP_TOLERANCE,
        ) as warped,
    ):
        rasterio.shutil.copy(warped, path, driver="VRT")


def _write(path: Path, root: Element) -> None:
    indent(root)
    write_text(path, tostring(root, encoding="unicode") + "\n")
