"""Outlines of parcels as vector tiles of the page's server, and the zooms that have some.

Shape letters: P parcels.
"""

from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from agrifm.serve.parcel_views import MOST_PARCELS, ParcelViews
from agrifm.serve.tile_places import tile_bounds
from agrifm.serve.vector_tiles import encoded_tile

DEEPEST = 15
"""Deepest zoom of outlines; a unit of a tile is 0.2 m there."""
MANY = 10
"""Times `MOST_PARCELS` that a tile of the deepest zoom may have; of more, such as copies, the rest is left out."""
KEPT_GROUPS = 24
"""Row groups whose shapes are kept in memory, some megabytes each."""
VECTOR_LAYER = "parcels"


class ParcelOutlines:
    """The outlines of a file of parcels."""

    def __init__(self, parcels: ParcelViews) -> None:
        """Nothing is read yet."""
        self.parcels, self._lock = parcels, Lock()
        self._group = lru_cache(KEPT_GROUPS)(parcels.group_shapes)
        self._zoom: int | None = None

    def stated(self) -> dict[str, int]:
        """What the page is to know of the tiles."""
        with self._lock:
            if self._zoom is None:
                self._zoom = outline_zoom(self.parcels.edges())
            return {"minzoom": self._zoom, "maxzoom": DEEPEST}

    def tile(self, zoom: int, x: int, y: int) -> bytes:
        """A tile; empty below the lowest zoom that is stated, so that none has many more than `MOST_PARCELS`.

        Raises:
            ServeError: the file is damaged.
        """
        about = self.stated()
        found: tuple[NDArray[Any], NDArray[np.int64]] = (np.zeros(0, object), np.zeros(0, np.int64))
        if about["minzoom"] <= zoom <= about["maxzoom"]:
            found = self._in(*tile_bounds(zoom, x, y))
        return encoded_tile(*found, zoom, x, y, VECTOR_LAYER)

    def _in(self, west: float, south: float, east: float, north: float) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Shapes and numbers (P,) of the parcels whose bounds touch a box."""
        rows = self.parcels.touching(west, south, east, north)[: MANY * MOST_PARCELS]
        parts = []
        for group, here in self.parcels.by_group(rows):
            with self._lock:
                shapes = self._group(group)
            parts.append(shapely.from_wkb(shapes[here]))
        return np.concatenate(parts) if parts else np.zeros(0, object), rows


def outline_zoom(edges: NDArray[np.float32]) -> int:
    """The lowest zoom at which no tile has the middles of more than `MOST_PARCELS` parcels, at most `DEEPEST`.

    Args:
        edges: (P, 4), west, south, east, north in degrees.
    """
    wide = edges.astype(np.float64)  # 32 bits do not tell tiles of deep zooms apart
    lon, lat = (wide[:, 0] + wide[:, 2]) / 2, np.radians((wide[:, 1] + wide[:, 3]) / 2)
    across, down = (lon + 180) / 360, (1 - np.arcsinh(np.tan(lat)) / np.pi) / 2
    low, high = 0, DEEPEST
    while low < high:  # a deeper tile never has more
        zoom = (low + high) // 2
        tile = np.floor(across * 2**zoom) * 2**zoom + np.floor(down * 2**zoom)
        fits = not tile.size or np.unique(tile, return_counts=True)[1].max() <= MOST_PARCELS
        low, high = (low, zoom) if fits else (zoom + 1, high)
    return low
