"""What a map of numbers says of a polygon that a reader draws: sums of shares, or the mean yield and its sum.

Both are what the map has, pixel by pixel; a sample did not estimate them, and they have no intervals.

Shape letters: B bands, C classes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon

from agrifm.assess.index_curves import pixel_metres
from agrifm.serve.map_layers import PageLayer
from agrifm.serve.polygon_hectares import squares_inside


def shares_inside(layer: PageLayer, polygon: Polygon) -> dict[str, Any]:
    """Hectares of each class (C,), the sums of its shares, and of pixels without shares; and the side of a pixel.

    Raises:
        RefusedRequestError, ServeError: as of `squares_inside`.
    """
    sums, _, without = _sums(layer, polygon)
    pixel = round(pixel_metres(layer.grid))
    return {"hectares": sums.tolist(), "without_class": without, "estimates": None, "pixel": pixel}


def yield_inside(layer: PageLayer, polygon: Polygon) -> dict[str, Any]:
    """Hectares with a yield, their mean yield, and the sum over them; and the hectares of pixels without one.

    Raises:
        RefusedRequestError, ServeError: as of `squares_inside`.
    """
    sums, hectares, without = _sums(layer, polygon, (1,))
    tonnes = float(sums[0])
    found = {"hectares": hectares, "mean": tonnes / hectares if hectares else None, "tonnes": tonnes}
    return {"yield": found, "without_yield": without}


def _sums(
    layer: PageLayer, polygon: Polygon, bands: tuple[int, ...] | None = None
) -> tuple[NDArray[np.float64], float, float]:
    """Sums (B,) of number times hectares, hectares with numbers, and without."""
    sums, known, without = np.zeros(1), 0.0, 0.0
    for square in squares_inside(layer, polygon):
        numbers = square.read(bands)[:, square.inside].astype(np.float64)
        hectares, there = square.hectares[square.inside], ~np.isnan(numbers).any(axis=0)
        sums = sums + numbers[:, there] @ hectares[there]
        known, without = known + float(hectares[there].sum()), without + float(hectares[~there].sum())
    return sums, known, without
