"""Pixels of a finished map explained one by one, with the model that made it."""

import json
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path

from agrifm.cube.store import Cube
from agrifm.cube.until import cube_known
from agrifm.explain.place_periods import PlacePeriods, explain_place
from agrifm.inference.predictor import TrainedModel, load_model
from agrifm.mapping.map_links import model_of_map
from agrifm.stac import UNTIL_PROPERTY


def map_explainer(item: Path, cube: Cube) -> Callable[[int, int], PlacePeriods | None]:
    """Return a function of row and column, which explains a pixel as `explain_place` does.

    The model is read when the function is first called. The function raises MapError if the item names no model or that
    model was replaced since, ModelError if it cannot be read, and CubeError if the cube is damaged.

    Args:
        item: STAC item of the map.
        cube: from which the map was made; of a map until a day only what was known by then is read.
    """

    @cache
    def opened() -> tuple[TrainedModel, Cube]:
        stated = json.loads(item.read_text(encoding="utf-8"))["properties"]
        until = date.fromisoformat(stated[UNTIL_PROPERTY]) if UNTIL_PROPERTY in stated else None
        return load_model(model_of_map(item)), cube_known(cube, until)

    return lambda row, col: explain_place(*opened(), row, col)
