"""One band that is open for reading: where its pixels lie, what is stated about its numbers, and the numbers.

Files and arrays have the same rules: what is stated is used, or the band is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from agrifm.errors import SceneError
from agrifm.grid import Window
from agrifm.rasters import BlockSpans, block_spans
from agrifm.scene.encoding import Stated

if TYPE_CHECKING:
    from agrifm.scene.scene import ArrayAsset

Pixels = tuple[NDArray[Any], NDArray[np.bool_] | None]
"""Numbers as they are stored, and True where a mask of the file says that they mean nothing."""


@dataclass(frozen=True)
class OpenBand:
    """One band of a file or an array."""

    crs: rasterio.CRS
    transform: Affine
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    stated: Stated
    pixels: Callable[[Window], Pixels]
    blocks: Callable[[Window], BlockSpans | None] = lambda _: None
    """The blocks of the file that a window needs; None if that is not known without reading pixels."""

    @property
    def side(self) -> float:
        """Length of a pixel's side in units of the CRS, however the pixels are turned."""
        lengths = abs(self.transform.a), abs(self.transform.e)
        # not the root of the area, which would round the common case of square pixels
        return lengths[0] if lengths[0] == lengths[1] > 0 else float(abs(self.transform.determinant) ** 0.5)

    @property
    def is_oblique(self) -> bool:
        """True if rows and columns run neither along nor across the axes of the CRS."""
        a, b, _, d, e, _ = self.transform[:6]
        return bool(min(max(abs(b), abs(d)), max(abs(a), abs(e))) > MAX_OBLIQUE * self.side)

    def read(self, window: Window, nodata: float) -> NDArray[Any]:
        """Read a window (rows, cols); `nodata` where the file states that there is none, by a number or by a mask."""
        numbers, masked = self.pixels(window)
        missing = self.stated.is_missing(numbers)
        if masked is not None:
            missing |= masked
        return np.where(missing, numbers.dtype.type(nodata), numbers) if missing.any() else numbers


MAX_OBLIQUE = 0.02
"""Share of a pixel's side by which a side may leave the direction of an axis."""


def array_band(asset: "ArrayAsset") -> OpenBand:
    """Return the band that an array holds; its numbers are read when needed."""
    dtype = asset.pixels.dtype if asset.dtype is None else asset.dtype

    def pixels(window: Window) -> Pixels:
        return np.asarray(asset.pixels[window.slices].values).astype(dtype, copy=False), None

    height, width = asset.pixels.shape
    crs = rasterio.CRS.from_user_input(asset.crs)
    return OpenBand(crs, asset.transform, (height, width), dtype, asset.stated, pixels)


def raster_band(source: DatasetReader, index: int | None, is_category: bool, about: str) -> OpenBand:
    """Return a band of an open raster file.

    Args:
        index: from 1; None for the only band.
        is_category: its numbers are codes, which may have a palette.
        about: the scene and the file, as the beginning of messages.

    Raises:
        SceneError: the file has no CRS or no place on the ground, several bands where one is expected, or the band is
            an alpha band or a picture's palette.
    """
    _require_place(source, about)
    meanings = source.colorinterp
    if index is None:
        bands = [number for number, meaning in enumerate(meanings, start=1) if meaning != ColorInterp.alpha]
        if len(bands) > 1:
            raise SceneError(
                f"{about} has {len(bands)} bands, and which of them is meant is not stated; write the names of its "
                "bands as band descriptions and leave them out of its name, or write one file per band",
                bands=len(bands),
            )
        index = bands[0] if bands else 1
    meaning = meanings[index - 1]
    if meaning == ColorInterp.alpha or (meaning == ColorInterp.palette and not is_category):
        what = "an alpha band" if meaning == ColorInterp.alpha else "a band of colours from a palette"
        raise SceneError(
            f"{about}: band {index} is {what} by its colour interpretation, not a measurement; name the band of the "
            f"measurements, or correct it with `gdal_edit.py -colorinterp_{index} gray`",
            interpretation=meaning.name,
        )
    flags = source.mask_flag_enums[index - 1]
    has_mask = MaskFlags.per_dataset in flags or MaskFlags.alpha in flags

    def pixels(window: Window) -> Pixels:
        area = window.slices
        masked = source.read_masks(index, window=area) == 0 if has_mask else None
        return source.read(index, window=area), masked

    def blocks(window: Window) -> BlockSpans | None:
        return block_spans(source, index, window)

    scale, offset, nodata = (numbers[index - 1] for numbers in (source.scales, source.offsets, source.nodatavals))
    stated = Stated(
        # GDAL reports 1 and 0 for files without such tags, and for HLS L30, whose tags are elsewhere (LP DAAC)
        scale=None if abs(scale - 1) <= 1e-9 else scale,
        offset=None if offset == 0 else offset,
        missing=() if nodata is None or np.isnan(nodata) else (nodata,),
    )
    return OpenBand(
        source.crs, source.transform, source.shape, np.dtype(source.dtypes[index - 1]), stated, pixels, blocks
    )


def _require_place(source: DatasetReader, about: str) -> None:
    points = "ground control points" if source.gcps[0] else "rational polynomial coefficients" if source.rpcs else None
    if source.crs is not None and source.transform != Affine.identity() and not source.transform.is_degenerate:
        return
    if points is not None:
        raise SceneError(
            f"{about} has {points} and no grid; warp it first, such as with `gdalwarp -t_srs EPSG:32631`",
            place=points,
        )
    if source.crs is None:
        raise SceneError(f"{about} has no coordinate reference system; write its CRS into the file")
    raise SceneError(
        f"{about} has a coordinate reference system and no place in it (its transform is {source.transform[:6]}); "
        "write its corner and pixel size into the file, such as with `gdal_edit.py -a_ullr`",
        place=None,
    )
