"""Series in time, pixel by pixel: numpy.interp and plain loops are the oracles."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrifm.cube.temporal import clearest, interpolate, nearest_of_periods
from agrifm.season import Season, day_date

BANDS, HEIGHT, WIDTH = 2, 3, 4
START = 19_800
"""A day in March 2024, since 1970-01-01; float32 holds such days exactly."""


def oracle(image, valid, days, steps):
    """numpy.interp per pixel and band over its valid observations in the order of their days, the last of a day."""
    result = np.zeros((len(steps), *image.shape[1:]))
    for row, col in np.ndindex(valid.shape[1:]):
        series = {int(days[t, row, col]): image[t, :, row, col] for t in np.flatnonzero(valid[:, row, col])}
        if series:
            known = sorted(series)
            for band in range(image.shape[1]):
                result[:, band, row, col] = np.interp(steps, known, [series[day][band] for day in known])
    return result


@st.composite
def observations(draw: st.DrawFn):
    frames = draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    valid = rng.random((frames, HEIGHT, WIDTH)) < draw(st.sampled_from([0.1, 0.5, 0.9, 1.0]))
    image = np.where(valid[:, None], rng.random((frames, BANDS, HEIGHT, WIDTH)), 0).astype(np.float32)
    steps = np.sort(rng.integers(START - 20, START + 120, draw(st.integers(1, 9)))).astype(np.int32)
    return rng, image, valid, steps


@given(observations())
def test_acquisitions_are_interpolated_as_numpy_does_it(made) -> None:
    rng, image, valid, steps = made
    date = np.sort(rng.choice(100, len(image), replace=False)).astype(np.int32) + START
    found, seen = interpolate(image, valid, date, steps)
    days = np.broadcast_to(date[:, None, None], valid.shape)
    assert np.allclose(found, oracle(image, valid, days, steps), atol=1e-6)
    assert (seen == valid.any(axis=0)).all()
    assert found.dtype == np.float32


@given(observations())
def test_composites_are_interpolated_at_each_pixels_own_day(made) -> None:
    """Periods of eight days, the second beginning five days after the first, as MOD09A1 does at New Year."""
    rng, image, valid, steps = made
    date = (START + np.array([0, 5, 13, 21, 29, 37, 45])[: len(image)]).astype(np.int32)
    day = (date[:, None, None] + rng.integers(0, 8, valid.shape)).astype(np.int32)
    day[~valid] = -1
    found, seen = interpolate(image, valid, date, steps, day)
    assert np.allclose(found, oracle(image, valid, day, steps), atol=1e-6)
    assert (seen == valid.any(axis=0)).all()


@given(observations())
def test_a_window_is_interpolated_like_its_pixels_alone(made) -> None:
    _, image, valid, steps = made
    date = START + 10 * np.arange(len(image), dtype=np.int32)
    whole, _ = interpolate(image, valid, date, steps)
    alone, _ = interpolate(image[..., 1:2, 2:3], valid[:, 1:2, 2:3], date, steps)
    assert (whole[..., 1:2, 2:3] == alone).all()


def one_pixel(values: list[float], valid: list[bool], date: list[int], steps: list[int], day: list[int] | None = None):
    found, seen = interpolate(
        np.array(values, np.float32)[:, None, None, None],
        np.array(valid)[:, None, None],
        np.array(date, np.int32),
        np.array(steps, np.int32),
        None if day is None else np.array(day, np.int32)[:, None, None],
    )
    return found[:, 0, 0, 0].tolist(), bool(seen[0, 0])


def test_values_are_linear_between_observations_and_repeated_outside() -> None:
    found, seen = one_pixel([0.2, 0.6], [True, True], [100, 110], [90, 100, 105, 110, 300])
    assert found == pytest.approx([0.2, 0.2, 0.4, 0.6, 0.6])
    assert seen


def test_an_invalid_observation_between_two_valid_ones_has_no_influence() -> None:
    found, _ = one_pixel([0.2, 0.0, 0.6], [True, False, True], [100, 105, 110], [105])
    assert found == pytest.approx([0.4])


def test_a_single_observation_is_repeated_over_the_season() -> None:
    assert one_pixel([0.0, 0.5, 0.0], [False, True, False], [1, 50, 99], [0, 50, 200]) == ([0.5] * 3, True)


def test_a_pixel_without_observation_is_zero_and_not_valid() -> None:
    assert one_pixel([0.0, 0.0], [False, False], [1, 50], [0, 50]) == ([0.0, 0.0], False)


def test_a_composite_counts_on_its_pixels_day_and_not_on_its_first() -> None:
    found, _ = one_pixel([0.0, 0.8], [True, True], [100, 108], [108, 111, 115], day=[100, 115])
    assert found == pytest.approx([0.8 * 8 / 15, 0.8 * 11 / 15, 0.8])


def test_of_two_composites_of_one_day_the_later_one_counts() -> None:
    for step, expected in ((100, 0.0), (103, 0.6), (106, 0.6), (101, 0.2)):
        found, _ = one_pixel([0.0, 0.3, 0.6], [True] * 3, [100, 101, 102], [step], day=[100, 103, 103])
        assert found == pytest.approx([expected])


def test_no_frames_at_all_give_zeros_that_are_not_valid() -> None:
    found, seen = interpolate(
        np.zeros((0, 2, 3, 4), np.float32),
        np.zeros((0, 3, 4), bool),
        np.zeros(0, np.int32),
        np.arange(5, dtype=np.int32),
    )
    assert found.shape == (5, 2, 3, 4)
    assert not found.any()
    assert not seen.any()


def test_the_observations_are_left_as_they_were() -> None:
    rng = np.random.default_rng(0)
    image, valid = rng.random((3, 1, 2, 2)).astype(np.float32), rng.random((3, 2, 2)) < 0.7
    before = image.copy(), valid.copy()
    day = np.sort(rng.integers(0, 30, (3, 2, 2)), axis=0).astype(np.int32)
    interpolate(image, valid, np.array([0, 10, 20], np.int32), np.array([5], np.int32), day)
    assert (image == before[0]).all()
    assert (valid == before[1]).all()


def nearest_oracle(image, valid, days, season, frames):
    """One pixel and period after the other, in exact fractions of a day."""
    first, length = season
    shape = (frames, *valid.shape[1:])
    found, known, taken = np.zeros((frames, *image.shape[1:])), np.zeros(shape, bool), np.zeros(shape, int)
    for period, row, col in np.ndindex(shape):
        begin, end = (Fraction(number * length, frames) for number in (period, period + 1))
        middle, best = (begin + end) / 2, None
        taken[period, row, col] = first + int(middle)
        for t in np.flatnonzero(valid[:, row, col]):
            noon = int(days[t, row, col]) - first + Fraction(1, 2)
            order = (abs(noon - middle), noon, -t)
            if begin <= noon < end and (best is None or order < best):
                best = order
                found[period, :, row, col], known[period, row, col] = image[t, :, row, col], True
                taken[period, row, col] = days[t, row, col]
    return found, known, taken


def season_of(first: int, days: int) -> Season:
    return Season(day_date(first), day_date(first + days - 1))


@given(observations(), st.integers(1, 9), st.integers(20, 130), st.booleans())
def test_of_each_period_the_observation_nearest_its_middle_is_taken(made, frames, length, composite) -> None:
    rng, image, valid, _ = made
    date = np.sort(rng.choice(100, len(image), replace=False)).astype(np.int32) + START - 10
    days = np.broadcast_to(date[:, None, None], valid.shape).astype(np.int32)
    day = None
    if composite:
        day = days = np.where(valid, days + rng.integers(0, 16, valid.shape), -1).astype(np.int32)
    found = nearest_of_periods(image, valid, date, season_of(START, length), frames, day)
    for own, expected in zip(found, nearest_oracle(image, valid, days, (START, length), frames), strict=True):
        np.testing.assert_array_equal(own, expected)
    assert [own.dtype for own in found] == [np.float32, np.bool_, np.int32]


@given(observations())
def test_a_window_is_composed_like_its_pixels_alone(made) -> None:
    _, image, valid, _ = made
    date = START + 9 * np.arange(len(image), dtype=np.int32)
    whole = nearest_of_periods(image, valid, date, season_of(START, 90), 4)
    alone = nearest_of_periods(image[..., 1:2, 2:3], valid[:, 1:2, 2:3], date, season_of(START, 90), 4)
    for one, other in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(one[..., 1:2, 2:3], other)


def composed(valid: list[bool], date: list[int], frames: int, season=(100, 20)):
    image = np.arange(1, len(date) + 1, dtype=np.float32)[:, None, None, None]
    seen = np.array(valid)[:, None, None]
    found, known, taken = nearest_of_periods(
        image * seen[:, None], seen, np.array(date, np.int32), season_of(*season), frames
    )
    return found[:, 0, 0, 0].tolist(), known[:, 0, 0].tolist(), taken[:, 0, 0].tolist()


def test_a_period_without_observation_is_not_valid_with_its_middle_as_day() -> None:
    """Two periods of ten days: days 100 to 109 and 110 to 119."""
    assert composed([True, False], [103, 112], 2) == ([1, 0], [True, False], [103, 115])


def test_of_two_equally_near_the_middle_the_earlier_counts() -> None:
    """Between days 104 and 105 lies the middle of the first period; 99 and 120 lie outside the season."""
    assert composed([True] * 4, [99, 103, 106, 120], 2) == ([2, 0], [True, False], [103, 115])


def test_frames_with_a_valid_pixel_stay_and_of_too_many_the_clearest() -> None:
    valid = np.zeros((6, 2, 2), bool)
    for frame, pixels in enumerate((1, 0, 4, 2, 2, 3)):
        valid[frame].reshape(-1)[:pixels] = True
    assert clearest(valid, 64).tolist() == [0, 2, 3, 4, 5]
    assert clearest(valid, 3).tolist() == [2, 3, 5]
    assert clearest(np.zeros((3, 2, 2), bool), 64).tolist() == [0]
    assert clearest(np.zeros((0, 2, 2), bool), 64).tolist() == []
