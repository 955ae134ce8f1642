"""Read one asset of a scene onto a grid: at most one resampling per pixel, by a stated kernel."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from math import ceil, floor
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.transform import array_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import calculate_default_transform, transform_bounds

from agrifm.errors import SceneError
from agrifm.grid import WARP_TOLERANCE, Grid, Window
from agrifm.rasters import open_raster
from agrifm.redaction import shown
from agrifm.scene.access import limiter_of, signer_of, what_is_needed
from agrifm.scene.encoding import Stated, require_file_agreement
from agrifm.scene.open_band import OpenBand, array_band, raster_band
from agrifm.scene.products import Kernel, Product
from agrifm.scene.quality import QualityRule, quality_flags
from agrifm.scene.remote import RemoteError, WrongAnswerError
from agrifm.scene.remote_raster import GDAL_SETTINGS, open_remote
from agrifm.scene.scene import ArrayAsset, Asset, FileAsset, RemoteAsset, Scene

MAX_MISALIGNMENT = 1e-3
"""Pixels: two grids are the same grid if their corners differ by less."""
MIN_AVERAGING_RATIO = 1.5
"""Bands are averaged by area if the grid is coarser than the file by at least this ratio, otherwise interpolated."""
READ_TRIES = 2
"""Number of times that a file on a server is opened and read before it counts as damaged."""
MAX_WARP_PIXELS = 32_000_000
"""Pixels of a file that are held in memory to resample a tile; a tile that needs more is made in parts."""
LOCAL_SETTINGS = {"GDAL_DISABLE_READDIR_ON_OPEN": "TRUE"}
"""For files on disk: masks, nodata and scales in a .msk or .aux.xml of their name are used."""
FAR_OUTSIDE = 0.5
"""Share of the product's valid range beyond its ends from which on a number cannot be a measurement."""
KERNEL_NAMES = {Resampling.nearest: "nearest", Resampling.bilinear: "bilinear", Resampling.average: "area mean"}


class _DamagedRemoteError(SceneError):
    """What a server sent cannot be read; it may send something else when it is asked again."""


def read_asset(scene: Scene, key: str, band: str, grid: Grid, kernel: Kernel, nodata: float) -> NDArray[Any]:
    """Read the digital numbers of one band on a grid, in the shape of the grid; `nodata` where the asset has none.

    Pixels that are on the grid already are copied. All others are resampled once: by nearest neighbour (categories,
    MODIS), by area-weighted mean if the grid is coarser by half or more, and bilinearly otherwise. Means and
    interpolations are those of the band's own pixels: neither nodata nor numbers far outside the product's range, which
    are codes of a file that does not state its nodata, enter them.

    Raises:
        SceneError: the asset is absent or damaged, has no CRS, or states what contradicts the product; one on a server
            is asked for again before.
    """
    for _ in range(READ_TRIES - 1):
        with suppress(_DamagedRemoteError):
            return _read_once(scene, key, band, grid, kernel, nodata)
    return _read_once(scene, key, band, grid, kernel, nodata)


def _read_once(scene: Scene, key: str, band: str, grid: Grid, kernel: Kernel, nodata: float) -> NDArray[Any]:
    product = scene.product
    is_quantity = key in product.assets.values()  # quality bands and days have no scale
    with opened(scene, key, band) as (source, about):
        _require_numbers(source, nodata, product, about)
        if is_quantity:
            require_file_agreement(source.stated, product, scene.encoding, about)
        elif key in scene.quality_bands:
            source = replace(source, stated=_nodata_codes(source, scene.quality_bands[key]))
        start = _start_on_grid(source, grid)
        if start is not None:
            return _copied(source, start, grid.shape, nodata)
        resampling = _resampling(source, grid, kernel)
        if resampling == Resampling.average and source.is_oblique:
            raise SceneError(
                f"{about} is rotated, and area means of such pixels are not made; warp it first, such as with "
                "`gdalwarp -t_srs EPSG:32631`"
            )
        low, high = product.valid_range
        far = FAR_OUTSIDE * (high - low)
        possible = (low - far, high + far) if is_quantity and resampling != Resampling.nearest else None
        return _warped(source, grid, resampling, nodata, possible)


@contextmanager
def opened(scene: Scene, key: str, band: str) -> Iterator[tuple[OpenBand, str]]:
    """Open an asset of a scene for reading; yields the band and the beginning of messages about it.

    Raises:
        SceneError: the asset is absent, damaged or cannot be fetched, here or when it is read, or is not a band with
            a place on the ground.
    """
    asset = scene.asset(key, band)
    about = f"reading scene {scene.id}: {_name(asset, key)}"
    try:
        if isinstance(asset, ArrayAsset):
            yield array_band(asset), about
        else:
            with _source(asset) as source:
                yield raster_band(source, asset.index, key not in scene.product.assets.values(), about), about
    except RemoteError as error:
        kind = _DamagedRemoteError if isinstance(error, WrongAnswerError) else SceneError
        raise kind(f"{about} cannot be fetched: {error}; {_remedy(asset, error)}", may_pass=error.may_pass) from error
    except (RasterioError, OSError) as error:
        empty = isinstance(asset, FileAsset) and asset.path.is_file() and not asset.path.stat().st_size
        reason = "it has 0 bytes" if empty else str(error.__cause__ or error).splitlines()[0]
        kind = _DamagedRemoteError if isinstance(asset, RemoteAsset) else SceneError
        raise kind(
            f"{about} is absent or damaged ({reason}); download it again, or list the scene's id in `skip`",
            may_pass=isinstance(asset, RemoteAsset),
        ) from error


def first_band(product: Product) -> tuple[str, str]:
    """Asset key and name of a product's first band."""
    band, key = next(iter(product.assets.items()))
    return key, band


def _name(asset: Asset, key: str) -> str:
    if isinstance(asset, FileAsset):
        return asset.path.name
    if isinstance(asset, RemoteAsset):
        return f"asset '{key}' at {shown(asset.href)}"
    return f"variable '{key}' of {asset.path.name if asset.path else 'the dataset'}"


def _remedy(asset: Asset, error: RemoteError) -> str:
    if error.refused and isinstance(asset, RemoteAsset) and asset.provider is not None:
        return what_is_needed(asset.provider, asset.href)
    return "try again later, or list the scene's id in `skip`"


def _require_numbers(source: OpenBand, nodata: float, product: Product, about: str) -> None:
    """Refuse data that cannot be the product's numbers."""
    if source.dtype.kind not in ("iu" if product.integers else "iuf"):
        raise SceneError(
            f"{about} holds {source.dtype}, not the digital numbers that the product encodes; describe these files in "
            "[imagery.product], such as with scale = 1.0 for reflectance from 0 to 1, or open a dataset with "
            "mask_and_scale=False",
            dtype=str(source.dtype),
        )
    if source.dtype.kind != "f" and not np.iinfo(source.dtype).min <= nodata <= np.iinfo(source.dtype).max:
        raise SceneError(
            f"{about} holds {source.dtype}, which cannot hold the product's nodata {nodata:g}; use another product, or "
            "describe these files in [imagery.product]",
            nodata=nodata,
        )


def _nodata_codes(source: OpenBand, rule: QualityRule) -> Stated:
    """What a quality band states, without numbers that mean clear ground in the product: nodata 0 of a bit field."""
    if source.dtype.kind not in "iu":
        return source.stated
    ends = np.iinfo(source.dtype)
    held = [number for number in source.stated.missing if ends.min <= number <= ends.max]
    flags = quality_flags(np.array(held).astype(source.dtype), rule)
    return replace(source.stated, missing=tuple(number for number, flag in zip(held, flags, strict=True) if flag))


@contextmanager
def _source(asset: FileAsset | RemoteAsset) -> Iterator[DatasetReader]:
    if isinstance(asset, RemoteAsset):
        with open_remote(asset.href, signer_of(asset.provider), limiter_of(asset.provider), asset.network) as source:
            yield source
        return
    with rasterio.Env(**GDAL_SETTINGS | LOCAL_SETTINGS), open_raster(asset.path) as source:
        yield source


def kernel_of(scene: Scene, key: str, band: str, grid: Grid, kernel: Kernel) -> str:
    """Name how `read_asset` brings a band to a grid: "copied", "nearest", "bilinear" or "area mean".

    Raises:
        SceneError: the asset is absent, damaged, or has no CRS.
    """
    with opened(scene, key, band) as (source, _):
        return "copied" if _start_on_grid(source, grid) is not None else KERNEL_NAMES[_resampling(source, grid, kernel)]


def _start_on_grid(source: OpenBand, grid: Grid) -> tuple[int, int] | None:
    """Row and column of a file at which the grid begins; None if the pixels of the two do not coincide."""
    transform: Affine = source.transform
    if source.crs != rasterio.CRS.from_user_input(str(grid.crs)):
        return None
    lengths = (transform.a, transform.b, transform.d, transform.e)
    wanted = (grid.transform.a, grid.transform.b, grid.transform.d, grid.transform.e)
    if any(abs(length - other) > 1e-9 * grid.resolution for length, other in zip(lengths, wanted, strict=True)):
        return None
    col, row = ~transform * (grid.transform.c, grid.transform.f)
    is_aligned = all(abs(position - round(position)) < MAX_MISALIGNMENT for position in (row, col))
    return (round(row), round(col)) if is_aligned else None


def needed_window(source: OpenBand, grid: Grid) -> Window:
    """Return the pixels of a band that `read_asset` reads to bring it to a grid; none where the two are apart."""
    start = _start_on_grid(source, grid)
    return _window_under(source, grid) if start is None else _window_from(source, start, grid.shape)


def _window_from(source: OpenBand, start: tuple[int, int], shape: tuple[int, int]) -> Window:
    """The pixels of a band from a row and column on, which may be negative, cut at its edges."""
    first = [max(position, 0) for position in start]
    last = [min(position + length, size) for position, length, size in zip(start, shape, source.shape, strict=True)]
    return Window(first[0], first[1], max(last[0] - first[0], 0), max(last[1] - first[1], 0))


def _copied(source: OpenBand, start: tuple[int, int], shape: tuple[int, int], nodata: float) -> NDArray[Any]:
    """Copy the pixels of a band from a row and column on, which may be negative; `nodata` outside the file."""
    result = np.full(shape, nodata, source.dtype)
    part = _window_from(source, start, shape)
    if part.height and part.width:
        row, col = part.row - start[0], part.col - start[1]
        result[row : row + part.height, col : col + part.width] = source.read(part, nodata)
    return result


def _warped(
    source: OpenBand, grid: Grid, resampling: Resampling, nodata: float, possible: tuple[float, float] | None
) -> NDArray[Any]:
    """Resample a band to a grid; numbers outside `possible` are nodata.

    GDAL sees one band, in which all that is missing is `nodata`: of several bands it would take the pixels in which any
    band has a number, and of several numbers that mean nodata it would know one.
    """
    window = _window_under(source, grid)
    if not (window.height and window.width):
        return np.full(grid.shape, nodata, source.dtype)
    rows, cols = grid.shape
    if window.height * window.width > MAX_WARP_PIXELS and rows > 1:
        halves = Window(0, 0, rows // 2, cols), Window(rows // 2, 0, rows - rows // 2, cols)
        return np.concatenate([_warped(source, grid.window(half), resampling, nodata, possible) for half in halves])
    numbers = source.read(window, nodata)
    if possible is not None:
        inside = (numbers >= possible[0]) & (numbers <= possible[1])  # NaN is not
        numbers = np.where(inside, numbers, source.dtype.type(nodata))
    height, width = source.shape
    # of the whole band's size with nothing but the window in it, so that positions are rounded alike in every tile
    profile = {"driver": "GTiff", "count": 1, "sparse_ok": True, "tiled": True, "blockxsize": 256, "blockysize": 256}
    profile |= {"dtype": source.dtype, "crs": source.crs, "nodata": nodata, "transform": source.transform}
    with MemoryFile() as memory:
        with memory.open(height=height, width=width, **profile) as target:
            target.write(numbers, 1, window=window.slices)
        with (
            memory.open() as one_band,
            WarpedVRT(
                one_band,
                crs=str(grid.crs),
                transform=grid.transform,
                height=rows,
                width=cols,
                resampling=resampling,
                tolerance=WARP_TOLERANCE,
                # without them, GDAL smooths by the ratio of window sizes, and a pixel depends on how tiles are cut
                XSCALE=1,
                YSCALE=1,
                src_nodata=nodata,
                nodata=nodata,
            ) as warped,
        ):
            return np.asarray(warped.read(1))


def _window_under(source: OpenBand, grid: Grid) -> Window:
    """The pixels of a band that decide those of a grid, with the reach of every kernel; all if that is not known."""
    height, width = source.shape
    try:
        bounds = transform_bounds(str(grid.crs), source.crs, *grid.bounds)
    except (RasterioError, CPLE_BaseError):  # the grid reaches where the file's projection is not defined
        return Window(0, 0, height, width)
    left, bottom, right, top = bounds
    corners = [~source.transform * (x, y) for x in (left, right) for y in (bottom, top)]
    cols, rows = np.array(corners).T
    if left > right or not np.isfinite(corners).all():  # over the 180th meridian
        return Window(0, 0, height, width)
    # the pixels of the grid are evenly spread, so a side of one covers its share of the window
    reach = 2 + ceil(max(np.ptp(rows), np.ptp(cols)) / min(grid.shape))
    first = max(floor(rows.min()) - reach, 0), max(floor(cols.min()) - reach, 0)
    last = min(ceil(rows.max()) + reach, height), min(ceil(cols.max()) + reach, width)
    return Window(*first, max(last[0] - first[0], 0), max(last[1] - first[1], 0))


def _resampling(source: OpenBand, grid: Grid, kernel: Kernel) -> Resampling:
    """Choose the resampling of a file whose pixels do not coincide with those of the grid."""
    if kernel == "nearest":
        return Resampling.nearest
    side = source.side
    if source.crs != rasterio.CRS.from_user_input(str(grid.crs)):
        # the file's pixel in the units of the grid: GDAL's own estimate, since the file has another projection
        height, width = source.shape
        bounds = array_bounds(height, width, source.transform)
        side = calculate_default_transform(source.crs, str(grid.crs), width, height, *bounds)[0].a
    return Resampling.average if grid.resolution / side >= MIN_AVERAGING_RATIO else Resampling.bilinear
