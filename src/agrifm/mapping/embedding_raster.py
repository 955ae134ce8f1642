"""Rasters of embeddings: a vector of numbers for each pixel, stored as int8; ours, and those of AlphaEarth Foundations.

Ours have a scale for each band (GDAL's scale). The annual Satellite Embedding of AlphaEarth Foundations (Brown et al.
2025, arXiv:2507.22291; CC-BY 4.0, "The AlphaEarth Foundations Satellite Embedding dataset is produced by Google and
Google DeepMind.") has 64 bands, A00 to A63, whose number v means sign(v) (v / 127.5)^2 by the guide of its files
(developers.google.com/earth-engine/guides/aef_on_gcs_readme, read on 2026-12-01); its rows may run from south to north.
In both, -128 is nodata.

Shape letters: K numbers of a vector, N places, H W rows and columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray
from shapely import box

from agrifm.errors import MapError, doing
from agrifm.files import AnyPath, as_path
from agrifm.grid import Grid, Window
from agrifm.legend import UNLABELLED
from agrifm.mapping.parcel_pooling import PartOfMap, pool_means
from agrifm.rasters import open_raster

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

NODATA = -128
LARGEST = 127
"""Of the stored numbers."""
ALPHAEARTH = tuple(f"A{number:02d}" for number in range(64))
"""Names of the bands of AlphaEarth's embeddings."""
EMBEDDING_TAG = "AGRIFM_EMBEDDING"
"""Tag of our rasters: SHA-256 of the model's file. Vectors of different models cannot be compared."""
EMBEDDING_PROPERTY = "agrifm:embedding"
"""Property of the item of our rasters: how many numbers, and the share that is clipped."""
LEAST_COVERED = 0.5
"""Share of a polygon's ground with vectors from which it has one."""


@dataclass(frozen=True)
class EmbeddingRaster:
    """A raster of embeddings on disk."""

    path: Path
    grid: Grid
    """North-up; a file whose rows run from south to north is read in this order."""
    names: tuple[str, ...]
    """Of the K bands."""
    source: Literal["agrifm", "alphaearth"]
    scale: NDArray[np.float64]
    """(K,), of ours."""
    is_flipped: bool
    """Whether the rows of the file run from south to north."""

    def read(self, window: Window) -> NDArray[np.float32]:
        """Return the vectors (K, H, W) of a window, NaN where there are none.

        Raises:
            MapError: the file is damaged.
        """
        rows, cols = window.slices
        if self.is_flipped:
            height = self.grid.shape[0]
            rows = slice(height - rows.stop, height - rows.start)
        about = f"reading the embeddings {self.path}"
        with (
            doing(about, MapError, "it is damaged, so make it again", path=self.path),
            open_raster(self.path) as source,
        ):
            stored = source.read(window=(rows, cols))
        stored = stored[:, ::-1] if self.is_flipped else stored
        numbers = stored.astype(np.float32)
        if self.source == "alphaearth":
            vectors = np.sign(numbers) * (numbers / np.float32(127.5)) ** 2
        else:
            vectors = numbers * self.scale[:, None, None].astype(np.float32)
        return np.where((stored == NODATA).any(axis=0), np.float32(np.nan), vectors)


def open_embedding(path: AnyPath) -> EmbeddingRaster:
    """Open a raster of embeddings: one of `agrifm embed`, or of AlphaEarth Foundations.

    Raises:
        MapError: it is absent, damaged, or another raster.
    """
    path = as_path(path)
    about = f"reading the embeddings {path}"
    with doing(about, MapError, "check the path", path=path), open_raster(path) as source:
        names = tuple(name or "" for name in source.descriptions)
        ours = EMBEDDING_TAG in source.tags()
        transform, shape = source.transform, source.shape
        alike = source.dtypes[0] == "int8" and source.nodata == NODATA and source.crs is not None
        if not alike or transform.b or transform.d or not (ours or names == ALPHAEARTH):
            raise MapError(
                f"{about}: its {source.count} bands of {source.dtypes[0]} are neither those of `agrifm embed` nor the "
                "64 of AlphaEarth (int8, A00 to A63, nodata -128); give such a raster as it was written",
                path=path,
                bands=source.count,
            )
        is_flipped = transform.e > 0
        if is_flipped:
            transform = transform * rasterio.Affine(1, 0, 0, 0, -1, shape[0])
        grid = Grid.of(source.crs.to_wkt(), transform, shape)
        scale = np.array(source.scales if ours else np.ones(len(names)), np.float64)
    return EmbeddingRaster(path, grid, names, "agrifm" if ours else "alphaearth", scale, is_flipped)


class VectorRaster(Protocol):
    """What vectors are read from: a file, or a zone of a store."""

    @property
    def path(self) -> Path:
        """The file, or the store."""

    @property
    def grid(self) -> Grid:
        """North-up."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the K numbers."""

    def read(self, window: Window) -> NDArray[np.float32]:
        """Return the vectors (K, H, W) of a window, NaN where there are none."""


def vectors_of_places(rasters: Sequence[VectorRaster], places: "GeoDataFrame") -> NDArray[np.float64]:
    """Return the vectors (N, K) of points, of the pixel that contains each, or the means of polygons; NaN without one.

    A polygon has the mean of its pixels, each by the share of it that is inside, if half of its ground has vectors.

    Args:
        rasters: one, or several in different CRS that have vectors of different pixels.
        places: all points, or all polygons, in any CRS.

    Raises:
        MapError: the file is damaged.
    """
    if (places.geometry.geom_type == "Point").all():
        found = np.full((len(places), len(rasters[0].names)), np.nan)
        for raster in rasters:
            there = np.flatnonzero(np.isnan(found[:, 0]) & is_on_raster(raster, places))
            found[there] = _of_points(raster, places.iloc[there])
        return found
    parts = [_part(raster, places) for raster in rasters]
    pooled = pool_means(len(places), parts, len(rasters[0].names))
    return np.where(pooled.mapped[:, None] >= LEAST_COVERED, pooled.means, np.nan)


def _part(raster: VectorRaster, places: "GeoDataFrame") -> PartOfMap:
    """The polygons that touch a raster, on it."""

    def read(window: Window) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        vectors = raster.read(window)
        known = ~np.isnan(vectors[0])
        return np.where(known, vectors, 0), np.where(known, np.uint8(0), np.uint8(UNLABELLED))

    there = np.flatnonzero(is_on_raster(raster, places))
    placed = places.iloc[there].to_crs(raster.grid.crs.to_wkt())
    return PartOfMap(raster.grid, read, there, placed.geometry.to_numpy())


def _of_points(raster: VectorRaster, places: "GeoDataFrame") -> NDArray[np.float64]:
    placed = places.to_crs(raster.grid.crs.to_wkt())
    transform, (height, width) = raster.grid.transform, raster.grid.shape
    col = np.floor((placed.geometry.x.to_numpy() - transform.c) / transform.a).astype(np.int64)
    row = np.floor((placed.geometry.y.to_numpy() - transform.f) / transform.e).astype(np.int64)
    found = np.full((len(placed), len(raster.names)), np.nan)
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    for at in sorted(np.flatnonzero(inside), key=lambda at: (row[at], col[at])):  # in the order of the file
        found[at] = raster.read(Window(int(row[at]), int(col[at]), 1, 1))[:, 0, 0]
    return found


def is_on_raster(raster: VectorRaster, places: "GeoDataFrame") -> NDArray[np.bool_]:
    """Return whether each place (N,) touches a raster."""
    touching = places.to_crs(raster.grid.crs.to_wkt()).geometry.intersects(box(*raster.grid.bounds))
    return np.asarray(touching.to_numpy(), np.bool_)
