"""What decided the crop of one place, computed when it is asked for."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from agrifm.cube.store import Cube
from agrifm.grid import Grid
from agrifm.serve.pixel_answers import pixel_at
from agrifm.serve.refusals import NO_SUCH, RefusedRequestError
from agrifm.serve.season_tiles import SeasonTile, tiles_at
from agrifm.stac import MAP_ITEM

if TYPE_CHECKING:
    from agrifm.explain.place_periods import PlacePeriods

    Explain = Callable[[int, int], PlacePeriods | None]

BUSY = 409
WAIT_SECONDS = 20
"""How long a request waits for those before it."""
KEPT_PLACES = 256
KEPT_TILES = 2
"""Tiles whose model is kept in memory."""


class PlaceDecider:
    """Explains pixels, one at a time."""

    def __init__(self, explain: "Explain", grid: Grid) -> None:
        """Nothing is read yet.

        Args:
            explain: a function of row and column, such as `agrifm.explain.map_explainer.map_explainer` returns.
            grid: of these rows and columns.
        """
        self._grid = grid
        self._lock = Lock()
        self._known = lru_cache(KEPT_PLACES)(explain)

    def answer(self, lon: float, lat: float) -> dict[str, Any] | None:
        """What hiding each month does to the most probable class at a place; None where nothing was observed.

        Raises:
            CubeError, MapError, ModelError: the model or the cube of the map was replaced, or cannot be read.
            RefusedRequestError: the place is outside the map, or others are being explained.
        """
        place = pixel_at(self._grid, lon, lat)
        if place is None:
            raise RefusedRequestError(NO_SUCH, "the place is outside the cube")
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise RefusedRequestError(BUSY, "other places are being explained; ask again in a minute")
        try:
            found = self._known(*place)
        finally:
            self._lock.release()
        if found is None:
            return None
        periods = [
            {"start": one.start.isoformat(), "end": one.end.isoformat(), "effect": one.effect, "other": one.other}
            for one in found.periods
        ]
        return {"code": found.code, "probability": found.probability, "periods": periods}


class PlaceDeciders:
    """Explains pixels of a divided area, each with the cube and the map of its tile."""

    def __init__(self, explainer: "Callable[[Path, Cube], Explain]", tiles: Sequence[SeasonTile]) -> None:
        """Nothing is read yet.

        Args:
            explainer: makes the function of a `PlaceDecider` from the item of a map and the cube that it was made of.
        """
        self._tiles, self._explainer = tiles, explainer
        self._of_tile = lru_cache(KEPT_TILES)(self._made)

    def answer(self, lon: float, lat: float) -> dict[str, Any] | None:
        """As that of a `PlaceDecider`.

        Raises:
            CubeError, MapError, ModelError, RefusedRequestError: as of that.
        """
        here = tiles_at(self._tiles, lon, lat)
        if not here or here[0].cube is None:
            raise RefusedRequestError(NO_SUCH, "the place is outside the cubes")
        return self._of_tile(self._tiles.index(here[0])).answer(lon, lat)

    def _made(self, number: int) -> PlaceDecider:
        one = self._tiles[number]
        assert one.cube is not None
        return PlaceDecider(self._explainer(one.maps / MAP_ITEM, one.cube), one.cube.target)
