"""Checks of a sample for a model: every fault is named in one sentence, and nothing else is refused."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from agrifm.errors import ModelError
from agrifm.grid import Window
from agrifm.record import SensorInput
from agrifm.samples.sample import Sample, Series
from agrifm.samples.validate import require_usable

FINE = SensorInput(sensor="fine", bands=("red", "nir"), quantity="surface reflectance", scale=1e-4, resolution=10)
COARSE = FINE.model_copy(update={"sensor": "coarse", "bands": ("red",), "resolution": 30})
SENSORS = (FINE, COARSE)
FIRST = 19_783
"""1 March 2024, days since 1970-01-01."""


def make_series(bands: int, side: int) -> Series:
    rng = np.random.default_rng(bands)
    valid = rng.random((3, side, side)) < 0.7
    image = rng.random((3, bands, side, side)).astype(np.float32) * valid[:, None]
    return Series(image, valid, np.array([FIRST, FIRST + 5, FIRST + 9], np.int32))


def make_sample() -> Sample:
    series = {"fine": make_series(2, 6), "coarse": make_series(1, 2)}
    return Sample(series, np.zeros((6, 6), np.uint8), Window(12, 48, 6, 6), FIRST)


def changed(**changes: object) -> Sample:
    """The sample with another series of the fine sensor."""
    sample = make_sample()
    return replace(sample, series={**sample.series, "fine": replace(sample.series["fine"], **changes)})


def refusal(sample: Sample) -> ModelError:
    with pytest.raises(ModelError) as caught:
        require_usable(sample, SENSORS)
    assert "\n" not in str(caught.value)
    assert "Window(row=12, col=48" in str(caught.value)
    return caught.value


def test_a_fitting_sample_is_accepted_with_its_sensors_in_any_order() -> None:
    require_usable(make_sample(), SENSORS)
    require_usable(make_sample(), SENSORS[::-1])
    require_usable(changed(day=np.full((3, 6, 6), FIRST, np.int32), absent=np.array([True, False])), SENSORS)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_valid_pixel_that_is_not_finite_is_named_by_band_and_date(number: float) -> None:
    series = make_sample().series["fine"]
    image, valid = series.image.copy(), series.valid.copy()
    image[1, 1, 2, 3], valid[1, 2, 3] = number, True
    error = refusal(changed(image=image, valid=valid))
    assert error.facts == {"band": "nir", "row": 2, "column": 3, "date": date(2024, 3, 6)}
    assert f" {number} " in str(error)


def test_infinities_that_cancel_are_found_too() -> None:
    image, valid = make_sample().series["fine"].image.copy(), np.ones((3, 6, 6), bool)
    image[0, 0, 0, 0], image[2, 1, 5, 5] = np.inf, -np.inf
    facts = refusal(changed(image=image, valid=valid)).facts
    assert (facts["band"], facts["row"], facts["column"]) == ("red", 0, 0)


def test_the_values_of_invalid_pixels_do_not_matter() -> None:
    series = make_sample().series["fine"]
    image = np.where(series.valid[:, None], series.image, np.nan).astype(np.float32)
    assert np.isnan(image).any()
    require_usable(changed(image=image), SENSORS)


@pytest.mark.parametrize(
    ("days", "dates"),
    [((0, 5, 5), (date(2024, 3, 6), date(2024, 3, 6))), ((0, 9, 5), (date(2024, 3, 10), date(2024, 3, 6)))],
)
def test_repeated_and_unordered_dates_are_refused(days: tuple[int, ...], dates: tuple[date, date]) -> None:
    assert refusal(changed(date=np.array(days, np.int32) + FIRST)).facts["dates"] == dates


def test_a_sensor_that_the_model_does_not_know_is_refused() -> None:
    sample = make_sample()
    error = refusal(replace(sample, series={**sample.series, "radar": sample.series["coarse"]}))
    assert error.facts == {"sensor": "radar"}
    assert "fine, coarse" in str(error)


def test_a_missing_sensor_is_refused_unless_it_may_be_absent() -> None:
    whole = make_sample()
    sample = replace(whole, series={"fine": whole.series["fine"]})
    assert refusal(sample).facts == {"sensor": "coarse"}
    require_usable(sample, SENSORS, may_lack=("coarse",))
    with pytest.raises(ModelError, match="no sensors"):
        require_usable(replace(sample, series={}), SENSORS, may_lack=("fine", "coarse"))


def test_a_wrong_number_of_bands_is_refused_with_those_of_the_model() -> None:
    image = make_sample().series["fine"].image
    error = refusal(changed(image=image[:, :1]))
    assert error.facts == {"bands": 1}
    assert "2 (red, nir)" in str(error)


@pytest.mark.parametrize("axis", range(4))
def test_an_axis_without_length_is_refused(axis: int) -> None:
    image = np.take(make_sample().series["fine"].image, [], axis=axis)
    assert refusal(changed(image=image)).facts == {"shape": image.shape}


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("image", np.ones((3, 6, 6), np.float32)),
        ("valid", np.ones((3, 5, 6), bool)),
        ("date", np.arange(2, dtype=np.int32)),
        ("day", np.zeros((3, 6), np.int32)),
        ("absent", np.zeros(3, bool)),
    ],
)
def test_arrays_of_different_shapes_are_refused(name: str, array: np.ndarray) -> None:
    assert refusal(changed(**{name: array})).facts == {"shape": array.shape}
