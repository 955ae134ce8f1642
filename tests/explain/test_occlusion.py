"""What is hidden becomes what the model knows as "not observed"; everything else stays as it is."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from agrifm.explain.mean_curve import MeanCurve
from agrifm.explain.occlusion import EVERY, Hidden, Preparation, occlusions, without_period
from agrifm.explain.periods import season_periods
from agrifm.grid import Window
from agrifm.samples.sample import Sample, Series
from agrifm.season import Season, day_number

SEASON = Season(date(2024, 4, 1), date(2024, 6, 30))
START = day_number(SEASON.start)
DATE = START + np.array([3, 12, 25, 38, 47, 55, 66, 80], np.int32)
PERIODS = season_periods(SEASON)
MAY = PERIODS.number_of(DATE) == 1
CURVES = {"s": MeanCurve(DATE[[0, -1]], np.array([[0.1, 0.5], [0.3, 0.9]], np.float32))}
STEPS = SEASON.steps(6)


def raw_sample() -> Sample:
    rng = np.random.default_rng(1)
    valid = rng.random((8, 3, 4)) < 0.8
    valid[0], valid[-1] = True, True
    image = rng.random((8, 2, 3, 4)).astype(np.float32) * valid[:, None]
    return Sample({"s": Series(image, valid, DATE)}, np.zeros((3, 4), np.uint8), Window(0, 0, 3, 4), START)


def everything(kind) -> dict[Hidden, Sample]:
    return dict(occlusions(raw_sample(), Preparation(kind, SEASON, STEPS), PERIODS, CURVES))


@pytest.mark.parametrize("kind", ["interpolated", "composites", "observed"])
def test_every_combination_is_hidden_once_and_the_whole_is_first(kind):
    found = everything(kind)
    assert next(iter(found)) == Hidden("", EVERY, EVERY)
    bands = {Hidden("s", band, period) for band in (0, 1) for period in (EVERY, 0, 1, 2)}
    assert set(found) == bands | {Hidden("", EVERY, period) for period in (EVERY, 0, 1, 2)}
    whole = Preparation(kind, SEASON, STEPS).of(raw_sample()).series["s"]
    for hidden, sample in found.items():
        if hidden.band != EVERY:  # the other band is untouched
            other = 1 - hidden.band
            np.testing.assert_array_equal(sample.series["s"].image[:, other], whole.image[:, other])


def test_a_hidden_month_of_interpolated_series_is_bridged():
    """A naive loop over pixels with numpy's interpolation, from the frames outside May."""
    raw, found = raw_sample(), everything("interpolated")
    bridged = np.zeros((6, 2, 3, 4))
    for row, col in np.ndindex(3, 4):
        known = raw.series["s"].valid[:, row, col] & ~MAY
        for band in range(2):
            values = raw.series["s"].image[known, band, row, col]
            bridged[:, band, row, col] = np.interp(STEPS, DATE[known], values)
    np.testing.assert_allclose(found[Hidden("", EVERY, 1)].series["s"].image, bridged, atol=1e-6)
    np.testing.assert_allclose(found[Hidden("s", 1, 1)].series["s"].image[:, 1], bridged[:, 1], atol=1e-6)


def test_a_hidden_month_of_observed_series_is_a_gap():
    series = everything("observed")[Hidden("", EVERY, 1)].series["s"]
    assert set(series.date.tolist()) == set(DATE[~MAY].tolist())
    composites = everything("composites")[Hidden("", EVERY, 1)].series["s"]
    assert not composites.valid[PERIODS.number_of(composites.date) == 1].any()


def test_a_hidden_band_has_the_mean_series():
    series = everything("observed")[Hidden("s", 1, 1)].series["s"]
    expected = np.interp(series.date, DATE[[0, -1]], [0.5, 0.9])
    inside = PERIODS.number_of(series.date) == 1
    for frame in np.flatnonzero(inside):
        np.testing.assert_allclose(series.image[frame, 1][series.valid[frame]], expected[frame], rtol=1e-6)
    original = raw_sample().series["s"].image[np.isin(DATE, series.date)]
    np.testing.assert_array_equal(series.image[~inside], original[~inside])
    season = everything("interpolated")[Hidden("s", 0, EVERY)].series["s"]
    np.testing.assert_allclose(season.image[:, 0, 0, 0], np.interp(STEPS, DATE[[0, -1]], [0.1, 0.3]), rtol=1e-6)


def test_days_of_pixels_decide_in_composites_of_sensors():
    raw = raw_sample()
    day = np.broadcast_to(DATE[:, None, None], (8, 3, 4)).copy()
    day[MAY, 0, 0] = DATE[-1]
    own = raw.series["s"]
    changed = Sample({"s": Series(own.image, own.valid, DATE, day)}, raw.label, raw.window, START)
    valid = without_period(changed, PERIODS, 1).series["s"].valid
    np.testing.assert_array_equal(valid[MAY, 0, 0], own.valid[MAY, 0, 0])
    assert not valid[MAY][:, 1:].any()


def test_terrain_has_no_month():
    raw = raw_sample()
    heights = np.full((1, 1, 3, 4), 250, np.float32)
    series = {**raw.series, "terrain": Series(heights, np.ones((1, 3, 4), bool), DATE[MAY][:1])}
    gap = without_period(replace(raw, series=series), PERIODS, 1)
    assert not gap.series["s"].valid[MAY].any()
    assert gap.series["terrain"].valid.all()
    np.testing.assert_array_equal(gap.series["terrain"].image, heights)
