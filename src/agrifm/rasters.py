"""Opening of raster files: formats that hold their own pixels, and declare sizes that this machine can read.

GDAL would open any of a hundred formats by content or by name, and some of them (VRT, WMS, tile indices) open further
files or addresses in turn. Every raster is opened here, by the format that its first bytes state.
"""

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from agrifm.hdf5_files import MAX_BLOCK_BYTES, MAX_PIXELS, MAX_PIXELS_PER_BYTE, require_plain_hdf5

if TYPE_CHECKING:
    from agrifm.grid import Window

FORMATS = {
    "GTiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JP2OpenJPEG": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "netCDF": (b"CDF\x01", b"CDF\x02", b"CDF\x05"),
    "HDF5": (b"\x89HDF\r\n\x1a\n",),
    "HDF4": (b"\x0e\x03\x13\x01",),
    "HFA": (b"EHFA_HEADER_TAG",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "AAIGrid": (b"ncols", b"NCOLS"),
}
"""By GDAL's name of a format, how its files begin."""
COMPANIONS = (".msk", ".ovr", ".MSK", ".OVR")
"""What follows the name of a file in those of its mask and its overviews."""
HEAD_LENGTH = 16
"""Bytes that `format_of` needs."""
NAMES_OF_FORMATS = "GeoTIFF, JPEG 2000, NetCDF, HDF, ERDAS Imagine, ENVI, PNG and ASCII grid"


def open_raster(path: Path, **options: Any) -> DatasetReader:
    """Open a raster file on disk for reading, as `rasterio.open` does.

    Args:
        options: of `rasterio.open`.

    Raises:
        RasterioIOError: the file does not exist, is damaged, has a format outside `FORMATS`, refers to another file,
            or declares sizes that no file of its length holds.
    """
    file = Path(path)
    try:
        with file.open("rb") as content:
            head = content.read(HEAD_LENGTH)
    except OSError as error:
        raise RasterioIOError(f"{path}: {error.strerror or error}") from error
    _require_plain_companions(file)
    if format_of(head) == "HDF5":
        try:
            require_plain_hdf5(file)
        except ImportError as error:
            raise RasterioIOError("HDF5 files are looked through by h5py first: pip install 'agrifm[files]'") from error
        except Exception as error:  # h5py's errors have no common class
            raise RasterioIOError(str(error)) from error
    format_name = "ENVI" if _has_envi_header(file) else None
    return open_known(str(file.absolute()), head, file.stat().st_size, format_name, **options)


def open_virtual(path: Path) -> DatasetReader:
    """Open a virtual raster that agrifm has just written from rasters that it has opened; never one of others."""
    return rasterio.open(path, driver="VRT")


def open_known(name: str, head: bytes, size: int, format_name: str | None = None, **options: Any) -> DatasetReader:
    """Open a raster by its first bytes; see `open_raster`.

    Args:
        name: what `rasterio.open` is given.
        head: the first `HEAD_LENGTH` bytes.
        size: of the whole file, or of all files of a mosaic, bytes.
        format_name: GDAL's name of the format, if it is known from elsewhere.
    """
    source = rasterio.open(name, driver=format_of(head) or format_name or _refuse(head), **options)
    try:
        _require_own_pixels(source)
        _require_plausible_size(source, size)
    except BaseException:
        source.close()
        raise
    return source


def format_of(head: bytes) -> str | None:
    """GDAL's name of the format of a file that begins with these bytes; None if agrifm does not read it."""
    return next((name for name, starts in FORMATS.items() if head.startswith(starts)), None)


def _refuse(head: bytes) -> str:
    if not head.strip(b"\0"):
        raise RasterioIOError("not recognized as a raster: it is empty")
    if head.lstrip().startswith((b"<", b"{")):
        raise RasterioIOError(
            "not recognized as a raster: it is text that may lead to other files, such as a VRT, which is not opened; "
            "if it is one that you trust, convert it to GeoTIFF with gdal_translate"
        )
    raise RasterioIOError(
        f"not recognized as one of the formats that are read: {NAMES_OF_FORMATS}; convert it to GeoTIFF with "
        "gdal_translate"
    )


def _require_plain_companions(file: Path) -> None:
    """Refuse a mask or overviews in a file of their own that are not TIFF: GDAL would open them in any format."""
    for suffix in COMPANIONS:
        companion = file.with_name(f"{file.name}{suffix}")
        try:
            with companion.open("rb") as content:
                head = content.read(HEAD_LENGTH)
        except OSError:
            continue
        if format_of(head) != "GTiff":
            raise RasterioIOError(f"the file {companion.name} next to it is not a TIFF file; remove it")


def _has_envi_header(file: Path) -> bool:
    for header in (file.with_suffix(".hdr"), file.with_name(f"{file.name}.hdr")):
        try:
            with header.open("rb") as content:
                if content.read(4) == b"ENVI":
                    return True
        except OSError:
            continue
    return False


def _require_own_pixels(source: DatasetReader) -> None:
    """Refuse a file whose metadata name another file in which GDAL would look for overviews."""
    if "OVERVIEW_FILE" in source.tags(ns="OVERVIEWS"):
        raise RasterioIOError("it names another file that holds its overviews, which is not opened; write it anew")


def _require_plausible_size(source: DatasetReader, size: int) -> None:
    height, width = source.shape
    pixels = height * width
    if pixels > MAX_PIXELS or pixels > MAX_PIXELS_PER_BYTE * max(size, 1):
        raise RasterioIOError(f"it declares {height} x {width} pixels, which its {size} bytes cannot hold")
    together = source.count if source.interleaving is not None and source.interleaving.name == "pixel" else 1
    for (rows, cols), dtype in zip(source.block_shapes, source.dtypes, strict=True):
        length = rows * cols * together * np.dtype(dtype).itemsize
        if length > MAX_BLOCK_BYTES:
            raise RasterioIOError(
                f"its blocks of {rows} x {cols} pixels need {length / 1e9:.1f} GB each; write it in tiles of 512"
            )


class BlockSpans(NamedTuple):
    """Where blocks of a band are in its file."""

    spans: list[tuple[int, int]]
    """First byte, and the byte after the last one, of each block that is in the file."""
    pixels: int
    """Pixels of the image in all of them."""


def block_spans(source: DatasetReader, index: int, window: "Window") -> BlockSpans | None:
    """Where the blocks of a band that a window needs are in its file, from the file's header alone.

    Args:
        index: of the band, from 1.

    Returns:
        None for formats other than GeoTIFF, whose headers do not say it.
    """
    if source.driver != "GTiff":
        return None
    height, width = source.block_shapes[index - 1]
    rows = range(window.row // height, -(-(window.row + window.height) // height))
    cols = range(window.col // width, -(-(window.col + window.width) // width))
    spans = []
    for row, col in product(rows, cols):
        # GDAL's names of a block have the column first
        offset, size = (source.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", index) for what in ("OFFSET", "SIZE"))
        if offset is not None and size is not None:  # else the block is not in the file: all of it is nodata
            spans.append((int(offset), int(offset) + int(size)))
    bottom, right = min(rows.stop * height, source.height), min(cols.stop * width, source.width)
    return BlockSpans(spans, (bottom - rows.start * height) * (right - cols.start * width))
