"""A sample meets a model: every fault is one sentence that names it, and nothing else is refused."""

from dataclasses import replace

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


def refusal(sample: Sample) -> str:
    with pytest.raises(ModelError) as caught:
        require_usable(sample, SENSORS)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith("giving the model a sample of window Window(row=12, col=48")
    return sentence


def test_a_sample_as_the_model_expects_it_is_taken_in_any_order_of_sensors() -> None:
    require_usable(make_sample(), SENSORS)
    require_usable(make_sample(), SENSORS[::-1])
    require_usable(changed(day=np.full((3, 6, 6), FIRST, np.int32), absent=np.array([True, False])), SENSORS)


@pytest.mark.parametrize(("number", "said"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_a_valid_pixel_that_is_no_number_is_named_by_band_place_and_date(number: float, said: str) -> None:
    series = make_sample().series["fine"]
    image, valid = series.image.copy(), series.valid.copy()
    image[1, 1, 2, 3], valid[1, 2, 3] = number, True
    sentence = refusal(changed(image=image, valid=valid))
    assert f"'fine' holds {said} in band 'nir' at row 2, column 3 of 2024-03-06" in sentence


def test_infinities_that_cancel_are_found_too() -> None:
    image, valid = make_sample().series["fine"].image.copy(), np.ones((3, 6, 6), bool)
    image[0, 0, 0, 0], image[2, 1, 5, 5] = np.inf, -np.inf
    assert "holds inf in band 'red' at row 0, column 0" in refusal(changed(image=image, valid=valid))


def test_what_stands_in_a_pixel_that_is_not_valid_does_not_matter() -> None:
    series = make_sample().series["fine"]
    image = np.where(series.valid[:, None], series.image, np.nan).astype(np.float32)
    assert np.isnan(image).any()
    require_usable(changed(image=image), SENSORS)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ((0, 5, 5), "'fine' has twice a frame of 2024-03-06"),
        ((0, 9, 5), "'fine' has a frame of 2024-03-06 after one of 2024-03-10"),
    ],
)
def test_frames_twice_or_out_of_order_are_refused(days: tuple[int, ...], said: str) -> None:
    assert said in refusal(changed(date=np.array(days, np.int32) + FIRST))


def test_a_sensor_that_the_model_does_not_know_is_refused() -> None:
    sample = make_sample()
    sentence = refusal(replace(sample, series={**sample.series, "radar": sample.series["coarse"]}))
    assert "the sensor 'radar', which the model does not know (it takes fine, coarse)" in sentence


def test_a_missing_sensor_is_refused_unless_it_may_be_absent() -> None:
    whole = make_sample()
    sample = replace(whole, series={"fine": whole.series["fine"]})
    assert "no sensor 'coarse' (it has fine)" in refusal(sample)
    require_usable(sample, SENSORS, may_lack=("coarse",))
    with pytest.raises(ModelError, match="no sensor at all"):
        require_usable(replace(sample, series={}), SENSORS, may_lack=("fine", "coarse"))


def test_a_wrong_number_of_bands_is_refused_with_those_of_the_model() -> None:
    image = make_sample().series["fine"].image
    assert "has 1 bands, the model expects 2 (red, nir)" in refusal(changed(image=image[:, :1]))


@pytest.mark.parametrize("axis", range(4))
def test_an_axis_without_length_is_refused(axis: int) -> None:
    image = np.take(make_sample().series["fine"].image, [], axis=axis)
    assert f"'fine' has images of shape {image.shape}, without one number" in refusal(changed(image=image))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": np.ones((3, 6, 6), np.float32)}, "has images with 3 axes"),
        ({"valid": np.ones((3, 5, 6), bool)}, "has validity of shape (3, 5, 6)"),
        ({"date": np.arange(2, dtype=np.int32)}, "has dates of shape (2,)"),
        ({"day": np.zeros((3, 6), np.int32)}, "has days of shape (3, 6)"),
        ({"absent": np.zeros(3, bool)}, "has absent bands of shape (3,)"),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(changes: dict[str, object], said: str) -> None:
    assert said in refusal(changed(**changes))
