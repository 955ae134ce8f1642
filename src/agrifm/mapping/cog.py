"""Cloud-optimised GeoTIFFs of classes and confidence, written tile by tile and read back before they count.

Tiles go to a plain tiled GeoTIFF first, which GDAL then rewrites with overviews as a COG; neither step holds more
than a few tiles. A full disk can cut a file short without an error, so every tile is compared with what was written.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from agrifm.errors import OutputError
from agrifm.grid import Grid, Window
from agrifm.legend import UNLABELLED
from agrifm.pictures import RGBA
from agrifm.rasters import open_raster

TILE_SIDE = 512
"""Side of a tile in pixels."""
GDAL_CACHE_MB = 16
"""GDAL's block cache; without a bound it would use a twentieth of the machine's memory."""


@contextmanager
def translate_gdal_errors(doing: str) -> Iterator[None]:
    """Limit GDAL's memory, and re-raise its failed writes as OutputError, prefixed with `doing`.

    Raises:
        OutputError: a file could not be written, which on a local disk means that it is full.
    """
    try:
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MB):
            yield
    except (RasterioError, CPLE_BaseError) as error:
        raise _disk_is_full(doing, str(error.__cause__ or error)) from error


def _disk_is_full(doing: str, detail: str) -> OutputError:
    return OutputError(f"{doing}: the disk is full ({detail}); free some space and run it again")


@dataclass
class CogWriter:
    """Writes a band of bytes, 255 = nodata, or several of them as a COG; or bands of another type.

    Tiles are written inside the `with` block, and `finish` after it makes the COG. After a failure the caller removes
    what is left of both files.
    """

    path: Path
    """Of the COG."""
    grid: Grid
    description: str | Sequence[str]
    """Of the band, or of each of several."""
    tags: Mapping[str, str]
    resampling: str
    """How overviews are made: MODE for classes, AVERAGE for numbers."""
    colors: Mapping[int, RGBA] = field(default_factory=dict)
    scale: float | Sequence[float] = 1.0
    """By which a stored number is multiplied to be the quantity; one for each band, or for all."""
    dtype: str = "uint8"
    nodata: float = UNLABELLED
    unit: str = ""
    """Of the numbers of every band; "" = none."""
    _checksums: dict[Window, int] = field(init=False, default_factory=dict)
    _dataset: Any = field(init=False)

    @property
    def _plain(self) -> Path:
        return self.path.with_name(f".{self.path.stem}.plain.tif")

    def __enter__(self) -> "CogWriter":
        names = [self.description] if isinstance(self.description, str) else self.description
        self._dataset = rasterio.open(
            self._plain,
            "w",
            driver="GTiff",
            dtype=self.dtype,
            count=len(names),
            height=self.grid.shape[0],
            width=self.grid.shape[1],
            crs=self.grid.crs.to_wkt(),
            transform=self.grid.transform,
            nodata=self.nodata,
            tiled=True,
            blockxsize=TILE_SIDE,
            blockysize=TILE_SIDE,
            compress="deflate",
            bigtiff="if_safer",  # above 4 GB, which GDAL cannot know before it compresses
        )
        self._dataset.descriptions = tuple(names)
        if self.scale != 1:
            each = self.scale if isinstance(self.scale, Sequence) else (self.scale,) * len(names)
            self._dataset.scales = tuple(each)
        if self.unit:
            self._dataset.units = (self.unit,) * len(names)
        self._dataset.update_tags(**self.tags)
        if self.colors:
            self._dataset.write_colormap(1, dict(self.colors))
        return self

    def __exit__(self, *failure: object) -> None:
        self._dataset.close()

    def write(self, tile: Window, pixels: NDArray[Any]) -> None:
        """Write a tile (H, W) of `TILE_SIDE` pixels, less at the right and lower edge; of several bands (B, H, W)."""
        self._dataset.write(pixels.reshape(-1, tile.height, tile.width), window=tile.slices)
        self._checksums[tile] = zlib.crc32(pixels.tobytes())

    def finish(self) -> None:
        """Make the COG and compare it with what was written.

        Raises:
            OutputError: the file on disk differs from what was written.
        """
        # GDAL makes a COG only by copying: its header and overviews precede the data.
        rasterio.shutil.copy(
            self._plain,
            self.path,
            driver="COG",
            BLOCKSIZE=TILE_SIDE,
            COMPRESS="DEFLATE",
            OVERVIEW_RESAMPLING=self.resampling,
            BIGTIFF="IF_SAFER",
        )
        # Only a file that has been read back replaces the plain one.
        self._verify()
        self._plain.unlink()

    def discard(self) -> None:
        """Remove what was written instead of finishing it."""
        self._plain.unlink(missing_ok=True)

    def _verify(self) -> None:
        """Check that every tile is what was written, and that every tile of the overviews can be read."""
        with open_raster(self.path) as source:
            levels = len(source.overviews(1))
            for tile, checksum in self._checksums.items():
                if zlib.crc32(source.read(window=tile.slices).tobytes()) != checksum:
                    raise _disk_is_full(f"writing {self.path.name}", "what was written could not be read back")
        # Overviews have no checksums; a block that was cut off cannot be decompressed.
        for level in range(levels):
            with open_raster(self.path, overview_level=level) as overview:
                for _, window in overview.block_windows(1):
                    overview.read(window=window)
