"""Thermal time: sums of temperature, which time the growth of crops better than days do."""

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.numbers import Rows

FREEZING = 273.15
"""Kelvin."""


def thermal_time(temperature: Rows, day: NDArray[np.integer], base: float = 0.0) -> Rows:
    """Return growing degree days accumulated since the season's start (McMaster and Wilhelm 1997, equation 1).

    A step's temperature counts for the days around it, from halfway to the step before to halfway to the next one; the
    first counts from the season's start.

    Args:
        temperature: (F, P), mean temperature in kelvin; steps without one, which are 0, add nothing.
        day: (F,), days of the steps since the season's start, ascending.
        base: temperature below which nothing grows, degrees Celsius.

    Returns:
        (F, P), degree days.
    """
    middles = (day[1:] + day[:-1]) / 2
    last = day[-1] + (day[-1] - middles[-1] if len(middles) else 0.5)
    lengths = np.diff(np.r_[0.0, middles, last])
    warm = np.maximum(temperature - np.float32(FREEZING + base), 0)
    return np.asarray(np.cumsum(warm * lengths[:, None].astype(np.float32), axis=0), np.float32)
