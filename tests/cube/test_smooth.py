"""Gaps filled: numpy.interp, a dense solve and an example worked by hand are the oracles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrifm.cube.smooth import fill_gaps, whittaker
from agrifm.errors import ConfigError

START = 19_800


def dense(values, weights, days, steps, smoothing, spacing=1) -> np.ndarray:
    """(W + smoothing D'D) z = W y, solved as one full matrix over all nodes from the first to the last seen."""
    seen = [
        (int(day + spacing // 2) // spacing, w, y) for day, w, y in zip(days, weights, values, strict=True) if w > 0
    ]
    if not seen:
        return np.zeros(len(steps))
    nodes = np.arange(min(seen)[0], max(seen)[0] + 1)
    weight, right = np.zeros(len(nodes)), np.zeros(len(nodes))
    for node, w, y in seen:
        weight[node - nodes[0]] += w
        right[node - nodes[0]] += w * y
    if np.count_nonzero(weight) == 1:
        return np.full(len(steps), right.sum() / weight.sum())
    differences = np.diff(np.eye(len(nodes)), 2, axis=0) if len(nodes) > 2 else np.zeros((1, len(nodes)))
    z = np.linalg.solve(np.diag(weight) + smoothing * differences.T @ differences, right)
    return np.interp(np.array(steps) / spacing, nodes, z)


@st.composite
def observations(draw: st.DrawFn):
    frames = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    valid = rng.random((frames, 2, 3)) < draw(st.sampled_from([0.1, 0.5, 1.0]))
    image = np.where(valid[:, None], rng.random((frames, 2, 2, 3)), 0).astype(np.float32)
    date = np.sort(rng.choice(90, frames, replace=False)).astype(np.int32) + START
    day = (date[:, None, None] + rng.integers(0, 8, valid.shape)).astype(np.int32) if draw(st.booleans()) else None
    steps = np.sort(rng.integers(START - 20, START + 120, 7)).astype(np.int32)
    weight = rng.choice([0.0, 0.3, 1.0, 2.0], valid.shape) if draw(st.booleans()) else None
    return image, valid, date, day, steps, weight


@given(observations(), st.sampled_from([0.01, 1.0, 300.0, 1e6]), st.sampled_from([1, 5, 16]))
def test_the_smoother_is_the_dense_solution(made, smoothing, spacing) -> None:
    image, valid, date, day, steps, weight = made
    found, seen = whittaker(image, valid, date, steps, smoothing, day, spacing, weight)
    assert found.dtype == np.float32
    for row, col in np.ndindex(valid.shape[1:]):
        heavy = valid[:, row, col] * (1.0 if weight is None else weight[:, row, col])
        days = date if day is None else day[:, row, col]
        assert seen[row, col] == (heavy > 0).any()
        for band in range(image.shape[1]):
            expected = dense(image[:, band, row, col], heavy, days, steps, smoothing, spacing)
            assert found[:, band, row, col] == pytest.approx(expected, abs=2e-5)


def one_pixel(values, valid, days, steps, smoothing, **more):
    image = np.array(values, np.float32)[:, None, None, None]
    seen = np.array(valid, bool)[:, None, None]
    found, _ = whittaker(image, seen, np.array(days, np.int32), np.array(steps, np.int32), smoothing, **more)
    return found[:, 0, 0, 0].tolist()


def test_three_days_in_a_row_by_hand() -> None:
    """y = (0, 1, 0), smoothing 1: D = (1, -2, 1), I + D'D = ((2, -2, 1), (-2, 5, -2), (1, -2, 2)), of determinant 7.

    z = (2, 3, 2) / 7, as (2*2 - 2*3 + 2, -2*2 + 5*3 - 2*2, 2 - 2*3 + 2*2) = (0, 7, 0).
    """
    assert one_pixel([0, 1, 0], [1, 1, 1], [10, 11, 12], [10, 11, 12], 1.0) == pytest.approx([2 / 7, 3 / 7, 2 / 7])


def test_a_line_is_left_as_it_is_however_strong_the_smoothing() -> None:
    found = one_pixel([0.1, 0.2, 0.9, 0.5], [1, 1, 0, 1], [100, 110, 120, 140], [100, 105, 120, 140], 1e5)
    assert found == pytest.approx([0.1, 0.15, 0.3, 0.5], abs=1e-5)


def test_before_and_after_the_observations_the_nearest_is_repeated() -> None:
    found = one_pixel([0.1, 0.3], [1, 1], [100, 110], [0, 99, 100, 110, 111, 500], 10.0)
    assert found == pytest.approx([0.1, 0.1, 0.1, 0.3, 0.3, 0.3], abs=1e-6)


def test_one_observation_gives_a_constant_and_none_gives_zero() -> None:
    assert one_pixel([0.0, 0.4], [0, 1], [100, 110], [90, 105, 130], 10.0) == pytest.approx([0.4] * 3)
    assert one_pixel([0.0, 0.4], [0, 0], [100, 110], [90, 130], 10.0) == [0.0, 0.0]


def test_weak_smoothing_gives_the_observations_strong_smoothing_a_line() -> None:
    rng = np.random.default_rng(2)
    days = np.arange(0, 100, 5)
    values = rng.random(20)
    weak = one_pixel(values, np.ones(20), days, days, 1e-6)
    strong = one_pixel(values, np.ones(20), days, days, 1e7)
    assert weak == pytest.approx(values, abs=1e-4)
    assert strong == pytest.approx(np.polyval(np.polyfit(days, values, 1), days), abs=2e-3)


def test_a_window_is_smoothed_like_its_pixels_alone() -> None:
    rng = np.random.default_rng(4)
    image, valid = rng.random((15, 2, 4, 5)).astype(np.float32), rng.random((15, 4, 5)) < 0.4
    date, steps = np.arange(15, dtype=np.int32) * 7 + START, np.arange(0, 100, 9, dtype=np.int32) + START
    whole, _ = whittaker(image, valid, date, steps, 50.0, spacing=4)
    for row, col in np.ndindex(4, 5):
        place = (slice(row, row + 1), slice(col, col + 1))
        alone, _ = whittaker(image[..., *place], valid[:, *place], date, steps, 50.0, spacing=4)
        np.testing.assert_allclose(whole[..., *place], alone, atol=1e-7)


@pytest.mark.parametrize("arguments", [{"smoothing": 0.0}, {"smoothing": 1e9}, {"smoothing": 1.0, "spacing": 0}])
def test_a_smoothing_that_cannot_be_computed_is_refused(arguments: dict) -> None:
    image, valid = np.zeros((1, 1, 1, 1), np.float32), np.ones((1, 1, 1), bool)
    with pytest.raises(ConfigError, match="1e\\+07"):
        whittaker(image, valid, np.zeros(1, np.int32), np.zeros(1, np.int32), **arguments)


def test_gaps_are_interpolated_and_observations_stay() -> None:
    image = np.array([0.2, 0, 0.6, 0], np.float32)[:, None, None, None]
    valid = np.array([True, False, True, False])[:, None, None]
    date = np.array([100, 105, 110, 120], np.int32)
    filled, seen = fill_gaps(image, valid, date)
    assert filled[:, 0, 0, 0] == pytest.approx([0.2, 0.4, 0.6, 0.6])
    assert seen.all()
    day = np.array([100, -1, 114, -1], np.int32)[:, None, None]
    filled, _ = fill_gaps(image, valid, date, day)
    assert filled[:, 0, 0, 0] == pytest.approx([0.2, 0.2 + 0.4 * 5 / 14, 0.6, 0.6])


def test_rounding_is_small_over_two_years_with_the_strongest_smoothing() -> None:
    """Rounding: two observations at the ends of two years, strongest smoothing, against the line between them."""
    found = one_pixel([0.1, 0.5], [1, 1], [0, 730], [0, 365, 730], 1e7)
    assert found == pytest.approx([0.1, 0.3, 0.5], abs=1e-4)
