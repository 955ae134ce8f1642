"""Whether a place is on land, by half-degree cells; it finds coordinates that are exchanged or wrong.

The cells are those that Natural Earth's land at 1 : 110 million (naturalearthdata.com, public domain) touches, and
their neighbours, so places near a coast count as land. Islands of less than some 50 km may be missing.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CELLS_PER_DEGREE = 2


@cache
def _cells() -> NDArray[np.bool_]:
    """(360, 720), from 90 degrees north and 180 degrees west."""
    with np.load(Path(__file__).with_name("land_cells.npz"), allow_pickle=False) as content:
        bits: NDArray[np.bool_] = np.unpackbits(content["land"]).reshape(180 * CELLS_PER_DEGREE, -1).astype(bool)
    return bits


def is_on_land(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return True for places near land, (P,); False for places that are unknown (NaN) or not on the globe.

    Args:
        lon, lat: (P,), degrees.
    """
    with np.errstate(invalid="ignore"):
        known = (np.abs(lon) <= 180) & (np.abs(lat) <= 90)
    rows, cols = (
        np.floor(np.where(known, distance, 0) * CELLS_PER_DEGREE).astype(int) for distance in (90 - lat, lon + 180)
    )
    cells = _cells()
    height, width = cells.shape
    on_land: NDArray[np.bool_] = known & cells[np.clip(rows, 0, height - 1), np.clip(cols, 0, width - 1)]
    return on_land
