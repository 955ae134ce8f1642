"""Thermal time: a worked sum."""

import numpy as np

from agrifm.classic.thermal import thermal_time


def test_degrees_above_the_base_count_for_the_days_of_each_step() -> None:
    """10, 20 and -5 degrees Celsius on days 5, 15 and 25 stand for 10 days each."""
    temperature = np.array([[283.15], [293.15], [268.15]], np.float32)
    found = thermal_time(temperature, np.array([5, 15, 25]))
    np.testing.assert_allclose(found[:, 0], [100, 300, 300], atol=1e-3)
