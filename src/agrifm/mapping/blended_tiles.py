"""The probabilities of a map, tile by tile: its windows blended, and calibrated.

Shape letters: C classes, H rows, W columns.
"""

import numpy as np
from numpy.typing import NDArray

from agrifm.calibration import calibrated
from agrifm.grid import Window
from agrifm.mapping.mosaic import blend
from agrifm.mapping.window_store import WindowStore
from agrifm.mapping.windows import MapPlan
from agrifm.record import FIELD_MAPS, predicted_layers


def blended_tile(
    plan: MapPlan, store: WindowStore, tile: Window, inside: NDArray[np.bool_], with_index: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return calibrated probabilities (C, H, W) and the dissimilarity (H, W); NaN without a valid observation.

    A model of boundaries has the classes field and other land, by its extent.

    Args:
        inside: (H, W) of the tile, the pixels inside the area; where there are none, nothing is read.
        with_index: whether the windows have a dissimilarity; without one the last class is returned in its place.
    """
    classes = len(plan.record.legend)
    layers = blended_layers(plan, store, tile, inside, with_index)
    if plan.record.task == "boundaries":
        extent = layers[FIELD_MAPS.index("extent")]
        return np.stack([extent, 1 - extent]), layers[-1]
    return calibrated(plan.record.calibration, layers[:classes]), layers[-1]


def blended_layers(
    plan: MapPlan,
    store: WindowStore,
    tile: Window,
    inside: NDArray[np.bool_],
    with_index: bool = False,
    count: int | None = None,
) -> NDArray[np.float64]:
    """Return what was predicted of a tile (layers, H, W), as `blended_tile` reads it, not calibrated.

    Args:
        count: of the layers; by default those of the model.
    """
    count = predicted_layers(plan.record) if count is None else count
    layers = np.full((count + with_index, *inside.shape), np.nan)
    if inside.any():
        # Windows may have a dissimilarity that is not asked for.
        windows = ((window, predicted[: len(layers)]) for window, predicted in store.read(plan.windows_over(tile)))
        layers = blend(tile, windows, len(layers), plan.overlap)
    return layers
