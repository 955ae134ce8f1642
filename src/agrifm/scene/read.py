"""Read one asset of a scene onto a grid: at most one resampling per pixel, by a stated kernel."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.vrt import WarpedVRT

from agrifm.errors import SceneError
from agrifm.grid import WARP_TOLERANCE, Grid
from agrifm.rasters import open_raster
from agrifm.redaction import shown
from agrifm.scene.access import limiter_of, signer_of, what_is_needed
from agrifm.scene.encoding import require_file_agreement
from agrifm.scene.product_checks import same_number
from agrifm.scene.products import Kernel, Product
from agrifm.scene.remote import RemoteError, WrongAnswerError
from agrifm.scene.remote_raster import GDAL_SETTINGS, open_remote
from agrifm.scene.scene import ArrayAsset, Asset, FileAsset, RemoteAsset, Scene

MAX_MISALIGNMENT = 1e-3
"""Pixels: two grids are the same grid if their corners differ by less."""
MIN_AVERAGING_RATIO = 1.5
"""Bands are averaged by area if the grid is coarser than the file by at least this ratio, otherwise interpolated."""
READ_TRIES = 2
"""Number of times that a file on a server is opened and read before it counts as damaged."""
KERNEL_NAMES = {Resampling.nearest: "nearest", Resampling.bilinear: "bilinear", Resampling.average: "area mean"}


class _DamagedRemoteError(SceneError):
    """What a server sent cannot be read; it may send something else when it is asked again."""


def read_asset(scene: Scene, key: str, band: str, grid: Grid, kernel: Kernel, nodata: float) -> NDArray[Any]:
    """Read the digital numbers of one band on a grid, in the shape of the grid; `nodata` where the asset has none.

    Pixels that are on the grid already are copied. All others are resampled once: by nearest neighbour (categories,
    MODIS), by area-weighted mean if the grid is coarser by half or more, and bilinearly otherwise.

    Raises:
        SceneError: the asset is absent, damaged, or has no CRS; one on a server is asked for again before.
    """
    for _ in range(READ_TRIES - 1):
        with suppress(_DamagedRemoteError):
            return _read_once(scene, key, band, grid, kernel, nodata)
    return _read_once(scene, key, band, grid, kernel, nodata)


def _read_once(scene: Scene, key: str, band: str, grid: Grid, kernel: Kernel, nodata: float) -> NDArray[Any]:
    asset = scene.asset(key, band)
    with opened(scene, key, band, nodata) as (source, about):
        index = 1 if isinstance(asset, ArrayAsset) else asset.index
        start = _start_on_grid(source, grid)
        resampling = Resampling.nearest if start is not None else _resampling(source, grid, kernel)
        _require_numbers(source, index, nodata, scene.product, resampling, about)
        if key in scene.product.assets.values():  # quality bands and days have no scale
            stated = (source.scales[index - 1], source.offsets[index - 1], source.nodatavals[index - 1])
            require_file_agreement(stated, scene.product, scene.encoding, about)
        if start is not None:
            return _copied(source, index, start, grid.shape, nodata)
        with WarpedVRT(
            source,
            crs=str(grid.crs),
            transform=grid.transform,
            height=grid.shape[0],
            width=grid.shape[1],
            resampling=resampling,
            tolerance=WARP_TOLERANCE,
            # without them, GDAL smooths by the ratio of window sizes, and a pixel depends on how tiles are cut
            XSCALE=1,
            YSCALE=1,
            src_nodata=nodata,
            nodata=nodata,
        ) as warped:
            return np.asarray(warped.read(index))


@contextmanager
def opened(scene: Scene, key: str, band: str, nodata: float = 0) -> Iterator[tuple[DatasetReader, str]]:
    """Open an asset of a scene for reading; yields the dataset and the beginning of messages about it.

    Raises:
        SceneError: the asset is absent, damaged or cannot be fetched, here or when it is read, or has no CRS.
    """
    asset = scene.asset(key, band)
    about = f"reading scene {scene.id}: {_name(asset, key)}"
    try:
        with _source(asset, nodata) as source:
            if source.crs is None:
                raise SceneError(f"{about} has no coordinate reference system; write its CRS into the file")
            yield source, about
    except RemoteError as error:
        kind = _DamagedRemoteError if isinstance(error, WrongAnswerError) else SceneError
        raise kind(f"{about} cannot be fetched: {error}; {_remedy(asset, error)}") from error
    except (RasterioError, OSError) as error:
        empty = isinstance(asset, FileAsset) and asset.path.is_file() and not asset.path.stat().st_size
        reason = "it has 0 bytes" if empty else str(error.__cause__ or error).splitlines()[0]
        kind = _DamagedRemoteError if isinstance(asset, RemoteAsset) else SceneError
        raise kind(
            f"{about} is absent or damaged ({reason}); download it again, or list the scene's id in `skip`"
        ) from error


def _name(asset: Asset, key: str) -> str:
    if isinstance(asset, FileAsset):
        return asset.path.name
    return f"asset '{key}' at {shown(asset.href)}" if isinstance(asset, RemoteAsset) else f"variable '{key}'"


def _remedy(asset: Asset, error: RemoteError) -> str:
    if error.refused and isinstance(asset, RemoteAsset) and asset.provider is not None:
        return what_is_needed(asset.provider, asset.href)
    return "try again later, or list the scene's id in `skip`"


def _require_numbers(
    source: DatasetReader, index: int, nodata: float, product: Product, resampling: Resampling, about: str
) -> None:
    """Refuse data that cannot be the product's numbers."""
    dtype, stated = np.dtype(source.dtypes[index - 1]), source.nodatavals[index - 1]
    if dtype.kind not in ("iu" if product.integers else "iuf"):
        raise SceneError(
            f"{about} holds {dtype}, not the digital numbers that the product encodes; describe these files in "
            "[imagery.product], such as with scale = 1.0 for reflectance from 0 to 1",
            dtype=str(dtype),
        )
    if dtype.kind != "f" and not np.iinfo(dtype).min <= nodata <= np.iinfo(dtype).max:
        raise SceneError(
            f"{about} holds {dtype}, which cannot hold the product's nodata {nodata:g}; use another product, or "
            "describe these files in [imagery.product]",
            nodata=nodata,
        )
    if resampling != Resampling.nearest and stated is not None and not same_number(stated, nodata):
        raise SceneError(
            f"{about} states nodata {stated:g}, the product has {nodata:g}, and resampling would mix one of the two "
            "into valid pixels; use the product that fits these files",
            stated=stated,
            nodata=nodata,
        )


@contextmanager
def _source(asset: Asset, nodata: float) -> Iterator[DatasetReader]:
    if isinstance(asset, RemoteAsset):
        with open_remote(asset.href, signer_of(asset.provider), limiter_of(asset.provider), asset.network) as source:
            yield source
        return
    if isinstance(asset, FileAsset):
        with rasterio.Env(**GDAL_SETTINGS), open_raster(asset.path) as source:
            yield source
        return
    pixels = np.asarray(asset.pixels.values)
    height, width = pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": pixels.dtype}
    with MemoryFile() as memory:
        with memory.open(**profile, crs=asset.crs, transform=asset.transform, nodata=nodata) as target:
            target.write(pixels, 1)
        with memory.open() as source:
            yield source


def kernel_of(scene: Scene, key: str, band: str, grid: Grid, kernel: Kernel) -> str:
    """Name how `read_asset` brings a band to a grid: "copied", "nearest", "bilinear" or "area mean".

    Raises:
        SceneError: the asset is absent, damaged, or has no CRS.
    """
    with opened(scene, key, band) as (source, _):
        return "copied" if _start_on_grid(source, grid) is not None else KERNEL_NAMES[_resampling(source, grid, kernel)]


def _start_on_grid(source: DatasetReader, grid: Grid) -> tuple[int, int] | None:
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


def _copied(
    source: DatasetReader, index: int, start: tuple[int, int], shape: tuple[int, int], nodata: float
) -> NDArray[Any]:
    """Copy the pixels of a band from a row and column on, which may be negative; `nodata` outside the file."""
    result = np.full(shape, nodata, source.dtypes[index - 1])
    first = [max(position, 0) for position in start]
    last = [min(position + length, size) for position, length, size in zip(start, shape, source.shape, strict=True)]
    rows, cols = last[0] - first[0], last[1] - first[1]
    if rows > 0 and cols > 0:
        row, col = first[0] - start[0], first[1] - start[1]
        window = rasterio.windows.Window(first[1], first[0], cols, rows)
        result[row : row + rows, col : col + cols] = source.read(index, window=window)
    return result


def _resampling(source: DatasetReader, grid: Grid, kernel: Kernel) -> Resampling:
    """Choose the resampling of a file whose pixels do not coincide with those of the grid."""
    if kernel == "nearest":
        return Resampling.nearest
    if source.crs == rasterio.CRS.from_user_input(str(grid.crs)):
        ratio = grid.resolution / source.transform.a
        return Resampling.average if ratio >= MIN_AVERAGING_RATIO else Resampling.bilinear
    # the file's pixel in the units of the grid: GDAL's own estimate, since the file has another projection
    with WarpedVRT(source, crs=str(grid.crs)) as warped:
        ratio = grid.resolution / abs(warped.transform.a)
    return Resampling.average if ratio >= MIN_AVERAGING_RATIO else Resampling.bilinear
