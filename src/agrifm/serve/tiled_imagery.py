"""Pictures of dates from the cubes of a divided area's tiles: a date has the pictures of all tiles that observed it.

Cubes have halos, so of each only the square of its tile is shown. Beyond the border of a UTM zone, where squares of
both zones are, the first tile that observed a place is shown; the ground is the same.

Shape letters: H W rows and columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import Cube
from agrifm.grid import Window
from agrifm.pictures import indexed_png, rgba_png
from agrifm.serve.greenness_composites import KEPT_SQUARES, Composites, composites_of
from agrifm.serve.imagery import Imagery, imagery_of
from agrifm.serve.picture_titles import STEPS, greenness_colors
from agrifm.serve.refusals import NO_SUCH, RefusedRequestError
from agrifm.serve.season_tiles import SeasonTile, shown_window
from agrifm.serve.tile_places import PNG_EFFORT, bounds_in_degrees, fitting_zoom, tile_bounds, tile_places

SAMPLED = 4
"""Tiles whose pixels decide the brightness of all."""
LEAST_KEPT = 64
"""Squares of composites that are kept of each tile."""


@dataclass(frozen=True)
class _Part:
    """The pictures of a tile."""

    imagery: Imagery | Composites
    within: Window
    bounds: tuple[float, float, float, float]
    frames: dict[str, int]
    """By ISO day; of several on one day the first one."""
    stated: dict[str, Any]


class ImageryOfTiles:
    """The pictures of one sensor in the cubes of several tiles."""

    def __init__(self, found: Sequence[tuple[SeasonTile, Imagery | Composites]]) -> None:
        """Nothing is read yet.

        Args:
            found: the same pictures of each tile that has them.
        """
        self._parts = [_part(tile, imagery) for tile, imagery in found]
        self._dates = sorted({date for part in self._parts for date in part.frames})

    @property
    def key(self) -> str:
        """Name of the sensor, and of the periods of composites."""
        return str(self._parts[0].stated["key"])

    @property
    def kinds(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Title and bands of each picture by key."""
        return self._parts[0].imagery.kinds

    @property
    def count(self) -> int:
        """Number of dates."""
        return len(self._dates)

    def stated(self) -> dict[str, Any]:
        """What the page is to know of the sensor: the dates of all tiles, and how much of them each observes."""
        first = self._parts[0]
        pixels = sum(part.imagery.grid.shape[0] * part.imagery.grid.shape[1] for part in self._parts)
        most = min(part.imagery.most_pixels for part in self._parts)
        labels = {
            date: label for part in self._parts for date, label in zip(part.stated["dates"], _labels(part), strict=True)
        }
        return {
            **first.stated,
            "dates": self._dates,
            "clear": [self._clear(date) for date in self._dates],
            "minzoom": fitting_zoom(first.imagery.grid, most, pixels),
            **({"labels": [labels[date] for date in self._dates]} if "labels" in first.stated else {}),
        }

    def tile(self, kind: str, frame: int, zoom: int, x: int, y: int) -> bytes | None:
        """A tile of the page as PNG; what was not observed is transparent. None where there is no cube.

        Args:
            kind: a key of `kinds`.
            frame: number of the date.

        Raises:
            CubeError: a cube is damaged.
            RefusedRequestError: the tile shows too much of a cube.
        """
        drawn = self.drawn(kind, frame, zoom, x, y)
        if drawn is None:
            return None
        return indexed_png(drawn, greenness_colors(), PNG_EFFORT) if drawn.ndim == 2 else rgba_png(drawn)

    def drawn(self, kind: str, frame: int, zoom: int, x: int, y: int) -> NDArray[np.uint8] | None:
        """A tile as pixels: of greenness (H, W) places in `greenness_colors`, of others (H, W, 4) colours.

        Raises:
            CubeError, RefusedRequestError: as of `tile`.
        """
        found: NDArray[np.uint8] | None = None
        west, south, east, north = tile_bounds(zoom, x, y)
        for part in self._parts:
            left, bottom, right, top = part.bounds
            if left > east or right < west or bottom > north or top < south or self._dates[frame] not in part.frames:
                continue
            places = tile_places(part.imagery.grid, zoom, x, y, part.within)
            if places is None:
                continue
            if places.window.height * places.window.width > part.imagery.most_pixels:
                raise RefusedRequestError(NO_SUCH, "the tile shows too much of the cube; zoom in")
            drawn = part.imagery.drawn(kind, part.frames[self._dates[frame]], places)
            found = drawn if found is None else _first_seen(found, drawn)
        return found

    def _clear(self, date: str) -> float | None:
        """Share of the pixels of all tiles that a date observes; None where a cube does not say it."""
        seen, pixels = 0.0, 0
        for part in self._parts:
            count = part.imagery.grid.shape[0] * part.imagery.grid.shape[1]
            pixels += count
            if date in part.frames:
                share = part.stated["clear"][part.frames[date]]
                if share is None:
                    return None
                seen += share * count
        return seen / pixels


def imagery_of_tiles(tiles: Sequence[SeasonTile]) -> dict[str, ImageryOfTiles]:
    """The pictures of dates of all cubes by key, and after them those of months and of the season."""
    by_key: dict[str, list[tuple[SeasonTile, Imagery | Composites]]] = {}
    kept = max(KEPT_SQUARES // max(len(tiles), 1), LEAST_KEPT)
    for tile in tiles:
        for key, one in ({} if tile.cube is None else pictures_of(tile.cube, kept)).items():
            by_key.setdefault(key, []).append((tile, one))
    return {key: ImageryOfTiles(_alike(found)) for key, found in by_key.items()}


def pictures_of(cube: Cube, kept: int = KEPT_SQUARES) -> dict[str, Imagery | Composites]:
    """The pictures of dates by key, and after them those of months and of the season, of the smallest pixels alone.

    Args:
        kept: squares of composites that are kept in memory.
    """
    dated = imagery_of(cube)
    composites = [
        one for imagery in list(dated.values())[:1] for one in composites_of(imagery.sensor, cube.season, kept)
    ]
    return {**dated, **{one.key: one for one in composites}}


def _alike(found: list[tuple[SeasonTile, Imagery | Composites]]) -> list[tuple[SeasonTile, Imagery | Composites]]:
    """The pictures of tiles, with one brightness for all, which some tiles decide."""
    dated = [imagery for _, imagery in found if isinstance(imagery, Imagery)]
    if not dated:
        return found
    some = tuple(dated[number] for number in np.unique(np.linspace(0, len(dated) - 1, SAMPLED).round().astype(int)))
    shared = replace(dated[0], sampled=some)
    return [
        (tile, replace(imagery, lock=shared.lock, known_ends=shared.known_ends, sampled=some))
        for tile, imagery in found
        if isinstance(imagery, Imagery)
    ]


def _part(tile: SeasonTile, imagery: Imagery | Composites) -> _Part:
    stated = imagery.stated()
    frames: dict[str, int] = {}
    for number, date in enumerate(stated["dates"]):
        frames.setdefault(date, number)
    return _Part(imagery, shown_window(tile.tile, imagery.grid), bounds_in_degrees(imagery.grid), frames, stated)


def _labels(part: _Part) -> Sequence[str]:
    labels: Sequence[str] = part.stated.get("labels", part.stated["dates"])
    return labels


def _first_seen(first: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two tiles as one: where the first shows nothing, the other one."""
    if first.ndim == 2:
        return np.where(first > STEPS, other, first)
    return np.where(first[..., 3:] == 0, other, first)
