"""Composites pixel by pixel: examples worked by hand, and plain loops as oracles."""

from datetime import date as calendar_date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrifm.cube.composites import median_of_periods, medoid_of_periods
from agrifm.cube.temporal import nearest_of_periods
from agrifm.season import Season

BANDS, HEIGHT, WIDTH = 3, 2, 3
START = 19_800


@st.composite
def observations(draw: st.DrawFn):
    """Image in few different values (so that some are equal), valid, date, edges, and a day for each pixel or None."""
    frames = draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    valid = rng.random((frames, HEIGHT, WIDTH)) < draw(st.sampled_from([0.1, 0.6, 1.0]))
    image = rng.integers(0, draw(st.sampled_from([3, 1000])), (frames, BANDS, HEIGHT, WIDTH)) / 1000
    image = np.where(valid[:, None], image, 0).astype(np.float32)
    date = np.sort(rng.choice(60, frames, replace=draw(st.booleans()))).astype(np.int32) + START
    edges = np.unique(rng.integers(START - 5, START + 70, draw(st.integers(2, 6))))
    edges = np.unique(np.append(edges, edges[-1] + 9)).astype(np.int32)
    day = date[:, None, None] + rng.integers(0, 16, valid.shape) if draw(st.booleans()) else None
    return image, valid, date, edges, None if day is None else day.astype(np.int32)


def inside(valid, date, day, start, end, row, col) -> list[int]:
    days = date if day is None else day[:, row, col]
    return [t for t in range(len(date)) if valid[t, row, col] and start <= days[t] < end]


def median_oracle(image, frames, row, col, days) -> tuple[list[float], int]:
    """numpy's median of each band; the day from the observations sorted by value and frame."""
    values, total = [], 0
    for band in range(image.shape[1]):
        own = sorted(frames, key=lambda t: (image[t, band, row, col], t))
        middle = [own[(len(own) - 1) // 2], own[len(own) // 2]]
        total += sum(int(days[t]) for t in middle)
        values.append(float(np.median([image[t, band, row, col] for t in frames])))
    return values, total // (2 * image.shape[1])


@given(observations())
def test_medians_and_medoids_are_those_of_plain_loops(made) -> None:
    image, valid, date, edges, day = made
    median, known, median_day = median_of_periods(image, valid, date, edges, day)
    medoid, also_known, medoid_day = medoid_of_periods(image, valid, date, edges, day)
    assert (known == also_known).all()
    for period, row, col in np.ndindex(known.shape):
        start, end = edges[period], edges[period + 1]
        frames = inside(valid, date, day, start, end, row, col)
        days = date if day is None else day[:, row, col]
        assert known[period, row, col] == bool(frames)
        if not frames:
            assert not median[period, :, row, col].any()
            assert not medoid[period, :, row, col].any()
            assert median_day[period, row, col] == medoid_day[period, row, col] == (int(start) + int(end)) // 2
            continue
        values, middle = median_oracle(image, frames, row, col, days)
        assert median[period, :, row, col] == pytest.approx(values, abs=1e-7)
        assert median_day[period, row, col] == middle
        middles = median[period, :, row, col].astype(np.float64)
        away = [((image[t, :, row, col].astype(np.float64) - middles) ** 2).sum() for t in frames]
        nearest = frames[int(np.argmin(away))]
        assert (medoid[period, :, row, col] == image[nearest, :, row, col]).all()
        assert medoid_day[period, row, col] == days[nearest]


@given(observations())
def test_a_window_is_composed_like_its_pixels_alone(made) -> None:
    image, valid, date, edges, day = made
    for function in (median_of_periods, medoid_of_periods):
        whole = function(image, valid, date, edges, day)
        own = None if day is None else day[:, 1:2, 2:3]
        alone = function(image[..., 1:2, 2:3], valid[:, 1:2, 2:3], date, edges, own)
        for one, other in zip(whole, alone, strict=True):
            np.testing.assert_array_equal(one[..., 1:2, 2:3], other)


def pixel(values: list[list[float]], valid: list[bool] | None = None):
    """One pixel's series: (T, C) as image and valid."""
    image = np.array(values, np.float32)[:, :, None, None]
    seen = np.ones(len(values), bool) if valid is None else np.array(valid)
    return image * seen[:, None, None, None], seen[:, None, None]


DAYS = np.array([100, 104, 107, 109, 112], np.int32)
SPECTRA = [[0.10, 0.50], [0.30, 0.10], [0.20, 0.30], [0.80, 0.40], [0.60, 0.60]]


def test_the_median_of_an_odd_number_is_one_observation_of_each_band() -> None:
    """Days 100 to 108: red 0.1, 0.3, 0.2 -> 0.2 of day 107; near infrared 0.5, 0.1, 0.3 -> 0.3 of day 107."""
    image, valid = pixel(SPECTRA)
    found, known, day = median_of_periods(image, valid, DAYS, np.array([100, 109], np.int32))
    assert found[0, :, 0, 0] == pytest.approx([0.20, 0.30])
    assert (known.all(), day[0, 0, 0]) == (True, 107)


def test_the_median_of_an_even_number_lies_between_two_and_its_day_too() -> None:
    """Days 100 to 111, four observations: red 0.1, 0.2 | 0.3, 0.8 -> 0.25 of days 107 and 104; near infrared
    0.1, 0.3 | 0.4, 0.5 -> 0.35 of days 107 and 109. The mean of 107, 104, 107, 109 is 106.75, so day 106."""
    image, valid = pixel(SPECTRA)
    found, _, day = median_of_periods(image, valid, DAYS, np.array([100, 112], np.int32))
    assert found[0, :, 0, 0] == pytest.approx([0.25, 0.35])
    assert day[0, 0, 0] == 106


def test_the_medoid_is_the_observation_nearest_the_median_with_its_own_day() -> None:
    """Around the median (0.25, 0.35): squared distances 0.045, 0.065, 0.005, 0.305; the third, of day 107."""
    image, valid = pixel(SPECTRA)
    found, _, day = medoid_of_periods(image, valid, DAYS, np.array([100, 112], np.int32))
    assert found[0, :, 0, 0] == pytest.approx([0.20, 0.30])
    assert day[0, 0, 0] == 107


def test_what_is_not_valid_or_outside_the_period_has_no_influence() -> None:
    """Without day 107 and with a period from 101 on: days 104 and 109; a period holds its start and not its end."""
    image, valid = pixel(SPECTRA, [True, True, False, True, True])
    found, known, day = median_of_periods(image, valid, DAYS, np.array([101, 112, 120, 131], np.int32))
    assert found[0, :, 0, 0] == pytest.approx([0.55, 0.25])
    assert known[:, 0, 0].tolist() == [True, True, False]
    assert day[:, 0, 0].tolist() == [106, 112, 125]
    assert found[1, :, 0, 0] == pytest.approx([0.60, 0.60])


def test_days_fall_into_the_same_periods_as_for_nearest_of_periods() -> None:
    rng = np.random.default_rng(1)
    season = Season(calendar_date(2024, 3, 5), calendar_date(2024, 9, 20))
    for frames in (1, 6, 7, 24, 200):
        edges = season.periods(frames)
        start, end = (int(edge) for edge in (edges[0], edges[-1]))
        assert (start, end - start) == (19_787, season.days)
        date = np.arange(start - 3, end + 3, dtype=np.int32)
        for day in date:  # one at a time: does every day fall into the same period?
            image, valid = np.full((1, 1, 1, 1), rng.random(), np.float32), np.ones((1, 1, 1), bool)
            own = np.array([day], np.int32)
            nearest = nearest_of_periods(image, valid, own, season, frames)
            medoid = medoid_of_periods(image, valid, own, edges)
            assert (nearest[0] == medoid[0]).all()
            assert (nearest[1] == medoid[1]).all()
