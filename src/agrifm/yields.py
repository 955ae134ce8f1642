"""Yields in t/ha: units of the project file, the scale of a model's estimates, and intervals around them.

A model estimates a yield and its spread, which says where errors are large. The interval is yield ± factor x spread;
the factor is chosen on blocks that the model was not trained on, so that the interval holds the stated share of their
fields: split conformal prediction with scaled residuals (Lei et al. 2018, Journal of the American Statistical
Association 113, section 5.2; Papadopoulos et al. 2002).

Shape letters: P parcels.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agrifm.validation import Frozen

YieldUnit = Literal["t/ha", "dt/ha", "kg/ha"]
"""Units of yields in labels; models, maps and scores have t/ha."""
TONNES: dict[YieldUnit, float] = {"t/ha": 1.0, "dt/ha": 0.1, "kg/ha": 0.001}
"""t/ha of one unit; dt/ha is also called q/ha."""
YIELD = "yield"
"""Column of labelled places with their yield in t/ha, and target of a sample: the yield of each pixel's field (H, W),
NaN where none is known."""
YIELD_LAYERS = ("yield", "spread")
"""What a model of yields predicts, each as a share of `YieldScale.highest`, in place of probabilities of classes."""
YIELD_BANDS = ("yield", "lower", "upper")
"""Bands of a map of yields, t/ha."""
UNIT_TAG, LEVEL_TAG, CROP_TAG = "AGRIFM_UNIT", "AGRIFM_INTERVAL", "AGRIFM_CROP"
"""Tags of a map of yields: unit, share of the fields that intervals are to hold, codes of the crop."""
LEAST_MAPPED = 0.5
"""Share of a parcel's ground with a yield on the map from which the parcel has one."""
LEVEL = 0.9
"""Share of the fields whose yield intervals are to hold."""
Floats = NDArray[np.float64]


class YieldScale(Frozen):
    """What a model of yields has learnt from, and how its intervals are made."""

    unit: Literal["t/ha"] = "t/ha"
    """Unit of the numbers here and of the estimates."""
    mean: float = Field(gt=0)
    """Of the training parcels."""
    std: float = Field(gt=0)
    """Standard deviation of the training parcels."""
    highest: float = Field(gt=0)
    """Highest possible estimate; the lowest is 0."""
    level: float = Field(LEVEL, gt=0, lt=1)
    """Share of the fields that intervals are to hold."""
    factor: float | None = Field(None, ge=0)
    """Half the interval by spread; None = not known yet."""


def scale_of(training: Floats) -> YieldScale:
    """Return the scale of the yields of training parcels (P,), t/ha, which are not all alike.

    The highest possible estimate is six standard deviations above the mean, and at least 1.5 times the highest yield.
    """
    mean, std = float(training.mean()), float(training.std())
    return YieldScale(mean=mean, std=std, highest=max(1.5 * float(training.max()), mean + 6 * std))


def least_parcels(level: float) -> int:
    """Return how many parcels an interval of this level needs at least: with fewer it would be infinite."""
    return math.ceil(level / (1 - level) - 1e-9)


def conformal_factor(error: Floats, spread: Floats, level: float) -> float:
    """Return the factor by which intervals hold new parcels with at least this probability.

    It is the k-th smallest of |error| / spread, k = ceil((n + 1) level), of n parcels that the model was not trained
    on (Lei et al. 2018, algorithm 2). It holds on average over parcels that are exchangeable with these; parcels of
    another region or year are not.

    Args:
        error: (P,), true minus estimated yield, at least `least_parcels(level)` of them.
        spread: (P,), above 0.
    """
    scores = np.sort(np.abs(error) / spread)
    rank = math.ceil((len(scores) + 1) * level - 1e-9)
    assert rank <= len(scores), "the caller counts the parcels"
    return float(scores[rank - 1])


def interval_of(estimate: Floats, spread: Floats, factor: float) -> tuple[Floats, Floats]:
    """Return lower and upper ends of intervals, of the shape of the estimates; no yield is below 0."""
    return np.maximum(estimate - factor * spread, 0), estimate + factor * spread
