"""Axes of curves, against values whose order is known."""

import numpy as np
import pytest

from agrifm.assess.index_curves import IndexCurve, index_ranges


def curve(name, values):
    return IndexCurve("Sentinel-2", name, tuple(range(len(values))), tuple(values))


def test_an_axis_leaves_out_one_value_in_two_hundred_at_either_end():
    values = [*np.random.default_rng(0).permutation(198) / 198, -7.0, 9.0]  # 0 to 197/198, and two that are far off
    margin = 0.05 * 197 / 198
    ranges = index_ranges([curve("NDVI", values[:100]), curve("NDVI", values[100:])])
    assert ranges == {"NDVI": (pytest.approx(-margin), pytest.approx(197 / 198 + margin))}


def test_a_constant_curve_has_an_axis_and_one_without_days_has_none():
    assert index_ranges([curve("NDVI", [0.5]), curve("NDMI", [])]) == {
        "NDVI": (pytest.approx(0.48), pytest.approx(0.52))
    }
