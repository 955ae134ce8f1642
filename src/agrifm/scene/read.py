"""Scenes, and reading one asset of a scene onto a grid: one resampling per pixel, by a stated kernel."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import rasterio
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.vrt import WarpedVRT

from agrifm.errors import SceneError
from agrifm.grid import WARP_TOLERANCE, Grid
from agrifm.scene.access import what_is_needed
from agrifm.scene.addresses import signing, turn_of
from agrifm.scene.encoding import Encoding, require_file_agreement, stated_encoding
from agrifm.scene.products import Kernel, Product
from agrifm.scene.providers import Provider
from agrifm.scene.remote import GDAL_SETTINGS, RemoteError, is_remote, open_remote, shown

ALIGNED = 1e-3
"""Grids whose corners differ by less than this share of a pixel are one grid."""
COARSER = 1.5
"""Down-sampling by at least this ratio averages by area; below it, bands are interpolated."""


WORDS = {Resampling.nearest: "nearest", Resampling.bilinear: "bilinear", Resampling.average: "area mean"}


@dataclass(frozen=True)
class FileAsset:
    """One band of a raster file; `index` counts from 1."""

    path: Path
    index: int = 1


@dataclass(frozen=True)
class RemoteAsset:
    """One band of a raster file on a server; `index` counts from 1."""

    href: str
    """Address as the item states it, without a signature."""
    provider: Provider | None = None
    """Who signs the address; None where it is open to all."""
    index: int = 1


@dataclass(frozen=True, eq=False)
class ArrayAsset:
    """One band in memory or in a NetCDF file: `pixels (y, x)` integers, read when needed."""

    pixels: xr.DataArray
    crs: str
    transform: Affine
    path: Path | None = None
    """The file it is in; None in memory."""


Asset = FileAsset | RemoteAsset | ArrayAsset


def asset_at(href: str, provider: Provider | None = None) -> FileAsset | RemoteAsset:
    """The asset at an absolute address: a URL of a server, a file:// URL or a path.

    Raises:
        SceneError: it is the URL of another kind of server, which GDAL would ask in its own way.
    """
    if is_remote(href):
        return RemoteAsset(href, provider)
    scheme = urlsplit(href).scheme
    if scheme not in ("", "file") and len(scheme) > 1:  # a single letter is a drive
        raise SceneError(
            f"reading the asset {shown(href)}: files, https:// and s3:// are read, not {scheme}://; use a catalogue "
            "whose items have such addresses"
        )
    return FileAsset(Path(unquote(urlsplit(href).path) if href.startswith("file:") else href))


@dataclass(frozen=True, eq=False)
class Scene:
    """One acquisition of one sensor: a STAC item, or files of one's own with a date."""

    id: str
    product: Product
    day: date
    """Solar day of the acquisition; of a composite, its first day."""
    assets: Mapping[str, Asset]
    """By asset key, bands and quality."""
    source: str
    """Where it was found, for the provenance."""
    last_day: date | None = None
    """Last day of a composite."""
    baseline: str | None = None
    """Processing baseline."""
    offset_removed: bool | None = None
    """The provider's flag: True, it took the offset out of the numbers; None, it states nothing."""
    decided: Encoding | None = None
    """Scale and offset as settled with the pixels (`offsets`); None before."""
    unused: tuple[str, ...] = ()
    """Asset keys of the item that the product does not name."""

    @property
    def encoding(self) -> Encoding:
        """Scale and offset: as decided, else as the metadata state them.

        Raises:
            SceneError: see `stated_encoding`.
        """
        return self.decided or stated_encoding(self.product, self.baseline, self.offset_removed, self.id)

    def asset(self, key: str, band: str) -> Asset:
        """The asset that holds a band.

        Raises:
            SceneError: the scene has no such asset.
        """
        if key not in self.assets:
            near = get_close_matches(key, [*self.unused, band], n=1, cutoff=0.4)
            renamed = f", of others '{near[0]}' is nearest" if near and near[0] in self.unused else ""
            raise SceneError(
                f"reading scene {self.id}: it has no asset '{key}' for band '{band}' (it has "
                f"{', '.join(sorted(self.assets)) or 'none'}{renamed}); repair the scene or list its id in `skip`"
            )
        return self.assets[key]

    def require_assets(self) -> None:
        """Refuse a scene without an asset for a band, the quality or the days, before anything of it is read.

        Raises:
            SceneError: naming the first that is absent.
        """
        product = self.product
        for band, key in product.assets.items():
            self.asset(key, band)
        for key in product.quality_bands:
            self.asset(key, "quality")
        if product.day_asset is not None:
            self.asset(product.day_asset, "day")


def solar_day(moment: datetime, longitude: float) -> date:
    """The local solar date of a moment, UTC unless it says otherwise, at a longitude in degrees (15 an hour)."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return (moment.replace(tzinfo=None) + timedelta(hours=longitude / 15)).date()


def read_asset(scene: Scene, key: str, band: str, grid: Grid, kernel: Kernel, nodata: int) -> NDArray[Any]:
    """Digital numbers of one band on a grid, shape of the grid; `nodata` where the asset has none.

    Pixels that lie on the grid already are copied. Else they are resampled once: by nearest neighbour (categories,
    MODIS), by area-weighted mean where the grid is coarser by half or more, and bilinearly otherwise.

    Raises:
        SceneError: the asset is absent, damaged, or has no CRS.
    """
    asset = scene.asset(key, band)
    with opened(scene, key, band, nodata) as (source, about):
        index = 1 if isinstance(asset, ArrayAsset) else asset.index
        place = _place(source, grid)
        resampling = Resampling.nearest if place is not None else _resampling(source, grid, kernel)
        _require_numbers(source, index, nodata, resampling, about)
        if key in scene.product.assets.values():
            stated = (source.scales[index - 1], source.offsets[index - 1], source.nodatavals[index - 1])
            require_file_agreement(stated, scene.product, scene.encoding, about)
        if place is not None:
            return _copied(source, index, place, grid.shape, nodata)
        with WarpedVRT(
            source,
            crs=str(grid.crs),
            transform=grid.transform,
            height=grid.shape[0],
            width=grid.shape[1],
            resampling=resampling,
            tolerance=WARP_TOLERANCE,
            # else GDAL smooths by the ratio of window sizes, so that a pixel would depend on how tiles were cut
            XSCALE=1,
            YSCALE=1,
            src_nodata=nodata,
            nodata=nodata,
        ) as warped:
            return np.asarray(warped.read(index))


@contextmanager
def opened(scene: Scene, key: str, band: str, nodata: int = 0) -> Iterator[tuple[DatasetReader, str]]:
    """An asset of a scene, open for reading, and how a sentence about it begins.

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
        raise SceneError(f"{about} cannot be fetched: {error}; {_remedy(asset, error)}") from error
    except (RasterioError, OSError) as error:
        empty = isinstance(asset, FileAsset) and asset.path.is_file() and not asset.path.stat().st_size
        reason = "it has 0 bytes" if empty else str(error.__cause__ or error).splitlines()[0]
        raise SceneError(
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


def _require_numbers(source: DatasetReader, index: int, nodata: int, resampling: Resampling, about: str) -> None:
    """Refuse what cannot be the product's digital numbers."""
    dtype, stated = np.dtype(source.dtypes[index - 1]), source.nodatavals[index - 1]
    if not np.issubdtype(dtype, np.integer):
        raise SceneError(f"{about} holds {dtype}, not the digital numbers that the product encodes")
    if not np.iinfo(dtype).min <= nodata <= np.iinfo(dtype).max:
        raise SceneError(f"{about} holds {dtype}, which cannot hold the product's nodata {nodata}; use another product")
    if resampling != Resampling.nearest and stated not in (None, nodata):
        raise SceneError(
            f"{about} states nodata {stated:g}, the product has {nodata}, and one of the two would be averaged into "
            "its neighbours; use the product that fits these files"
        )


@contextmanager
def _source(asset: Asset, nodata: int) -> Iterator[DatasetReader]:
    if isinstance(asset, RemoteAsset):
        with open_remote(asset.href, signing(asset.provider), turn_of(asset.provider)) as source:
            yield source
        return
    if isinstance(asset, FileAsset):
        with rasterio.Env(**GDAL_SETTINGS), rasterio.open(asset.path) as source:
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
    """How `read_asset` brings a band to a grid, in words: "copied", "nearest", "bilinear" or "area mean".

    Raises:
        SceneError: the asset is absent, damaged, or has no CRS.
    """
    with opened(scene, key, band) as (source, _):
        return "copied" if _place(source, grid) is not None else WORDS[_resampling(source, grid, kernel)]


def _place(source: DatasetReader, grid: Grid) -> tuple[int, int] | None:
    """Row and column of a file at which the grid begins; None where the file's pixels are no pixels of the grid."""
    transform: Affine = source.transform
    if source.crs != rasterio.CRS.from_user_input(str(grid.crs)):
        return None
    lengths = (transform.a, transform.b, transform.d, transform.e)
    wanted = (grid.transform.a, grid.transform.b, grid.transform.d, grid.transform.e)
    if any(abs(length - other) > 1e-9 * grid.resolution for length, other in zip(lengths, wanted, strict=True)):
        return None
    col, row = ~transform * (grid.transform.c, grid.transform.f)
    is_on = all(abs(number - round(number)) < ALIGNED for number in (row, col))
    return (round(row), round(col)) if is_on else None


def _copied(
    source: DatasetReader, index: int, place: tuple[int, int], shape: tuple[int, int], nodata: int
) -> NDArray[Any]:
    """Pixels of a band from a row and column on, `nodata` beyond the file; they may be negative."""
    result = np.full(shape, nodata, source.dtypes[index - 1])
    first = [max(start, 0) for start in place]
    last = [min(start + length, whole) for start, length, whole in zip(place, shape, source.shape, strict=True)]
    rows, cols = last[0] - first[0], last[1] - first[1]
    if rows > 0 and cols > 0:
        row, col = first[0] - place[0], first[1] - place[1]
        window = rasterio.windows.Window(first[1], first[0], cols, rows)
        result[row : row + rows, col : col + cols] = source.read(index, window=window)
    return result


def _resampling(source: DatasetReader, grid: Grid, kernel: Kernel) -> Resampling:
    """Of a file whose pixels are no pixels of the grid."""
    if kernel == "nearest":
        return Resampling.nearest
    if source.crs == rasterio.CRS.from_user_input(str(grid.crs)):
        ratio = grid.resolution / source.transform.a
        return Resampling.average if ratio >= COARSER else Resampling.bilinear
    warped = WarpedVRT(source, crs=str(grid.crs))
    with warped:
        ratio = grid.resolution / abs(warped.transform.a)
    return Resampling.average if ratio >= COARSER else Resampling.bilinear
