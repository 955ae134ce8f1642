"""What decided the crop of one place, computed when it is asked for, with the model that made the map."""

import json
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from agrifm.cube.store import Cube
from agrifm.cube.until import cube_known
from agrifm.serve.pixel_answers import pixel_at
from agrifm.serve.refusals import NO_SUCH, RefusedRequestError
from agrifm.stac import UNTIL_PROPERTY

if TYPE_CHECKING:
    from agrifm.inference.predictor import TrainedModel

BUSY = 409
WAIT_SECONDS = 20
"""How long a request waits for one before it."""
KEPT_PLACES = 256


class PlaceDecider:
    """Explains pixels of a map, one at a time."""

    def __init__(self, item: Path, cube: Cube) -> None:
        """Nothing is read yet.

        Args:
            item: STAC item of the map.
        """
        self._item, self._whole = item, cube
        self._lock = Lock()
        self._known = lru_cache(KEPT_PLACES)(self._computed)

    def answer(self, lon: float, lat: float) -> dict[str, Any] | None:
        """What hiding each month does to the most probable class at a place; None where nothing was observed.

        Raises:
            CubeError, MapError, ModelError: the model or the cube of the map was replaced, or cannot be read.
            RefusedRequestError: the place is outside the map, or others are being explained.
        """
        place = pixel_at(self._whole.target, lon, lat)
        if place is None:
            raise RefusedRequestError(NO_SUCH, "the place is outside the cube")
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise RefusedRequestError(BUSY, "other places are being explained; ask again in a minute")
        try:
            return self._known(*place)
        finally:
            self._lock.release()

    def _computed(self, row: int, col: int) -> dict[str, Any] | None:
        from agrifm.explain.place_periods import explain_place

        model, cube = self._model_and_cube
        found = explain_place(model, cube, row, col)
        if found is None:
            return None
        codes = model.record.legend.codes
        return {
            "code": codes[found.number],
            "probability": found.probability,
            "periods": [
                {
                    "start": one.start.isoformat(),
                    "end": one.end.isoformat(),
                    "effect": one.effect,
                    "other": codes[one.other],
                }
                for one in found.periods
            ],
        }

    @cached_property
    def _model_and_cube(self) -> "tuple[TrainedModel, Cube]":
        from agrifm.inference.predictor import load_model
        from agrifm.mapping.again import model_of_map

        stated = json.loads(self._item.read_text(encoding="utf-8"))["properties"]
        until = date.fromisoformat(stated[UNTIL_PROPERTY]) if UNTIL_PROPERTY in stated else None
        return load_model(model_of_map(self._item)), cube_known(self._whole, until)
