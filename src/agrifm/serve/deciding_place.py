"""What decided the crop of one place, computed when it is asked for."""

from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from agrifm.grid import Grid
from agrifm.serve.pixel_answers import pixel_at
from agrifm.serve.refusals import NO_SUCH, RefusedRequestError

if TYPE_CHECKING:
    from agrifm.explain.place_periods import PlacePeriods

BUSY = 409
WAIT_SECONDS = 20
"""How long a request waits for those before it."""
KEPT_PLACES = 256


class PlaceDecider:
    """Explains pixels, one at a time."""

    def __init__(self, explain: "Callable[[int, int], PlacePeriods | None]", grid: Grid) -> None:
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
