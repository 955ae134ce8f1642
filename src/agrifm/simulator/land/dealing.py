"""Which crop each parcel of a landscape cell grows."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agrifm.simulator.draw import uniform
from agrifm.simulator.land.division import Pieces
from agrifm.simulator.land.network import Network, Numbers


def deal_crops(
    shares: Mapping[str, float], seed: int, network: Network, pieces: Pieces, areas: Numbers
) -> NDArray[np.str_]:
    """The crop of each piece, (pieces,); pieces with an area of 0 take no part.

    The pieces of a cell lie around a circle in random order, each with its area; the crops have their shares of the
    circle, and a piece takes the crop at its middle. So every cell grows the crops by their shares of area, as nearly
    as its pieces allow; cells begin at places so spread (Roberts' R2 sequence) that neighbours make up for each other.
    """
    order = uniform(seed, "order of crops", network.row[pieces.cell], network.col[pieces.cell], pieces.number)
    begin = (0.7548776662 * network.row + 0.5698402910 * network.col + uniform(seed, "first crop")) % 1
    place = np.zeros(len(areas))
    for cell in range(len(network.row)):
        own = np.flatnonzero(pieces.cell == cell)
        own = own[np.argsort(order[own])]
        sums = np.cumsum(areas[own])
        place[own] = (begin[cell] + (sums - areas[own] / 2) / max(sums[-1], 1.0)) % 1
    ends = np.cumsum(list(shares.values()))
    return np.array(list(shares))[np.searchsorted(ends / ends[-1], place, side="right")]
