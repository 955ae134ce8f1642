"""Calibration as it is applied: worked numbers, order of classes, what is left alone, and faulty records."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import softmax

from agrifm.calibration import Calibration, Curve, calibrated

LOGITS = np.random.default_rng(0).normal(0, 3, (4, 5, 6))
PROBABILITIES = softmax(LOGITS, axis=0).astype(np.float32)


def test_a_temperature_divides_the_logits() -> None:
    found = calibrated(Calibration(kind="temperature", temperature=2.5), PROBABILITIES)
    np.testing.assert_allclose(found, softmax(LOGITS / 2.5, axis=0), rtol=1e-4)
    assert found.dtype == np.float32
    assert (found.argmax(axis=0) == PROBABILITIES.argmax(axis=0)).all()


def test_vector_scaling_scales_and_shifts_each_logit() -> None:
    scale, offset = (0.5, 1.0, 2.0, 1.5), (0.1, -0.4, 0.0, 1.0)
    found = calibrated(Calibration(kind="vector", scale=scale, offset=offset), PROBABILITIES)
    # logits are known but for a constant, which the scales would weigh: those of the probabilities are the logarithms
    scores = np.log(softmax(LOGITS, axis=0)) * np.reshape(scale, (4, 1, 1)) + np.reshape(offset, (4, 1, 1))
    np.testing.assert_allclose(found, softmax(scores, axis=0), rtol=1e-3)


def test_curves_bend_each_class_and_the_sum_is_one() -> None:
    curve = Curve(probability=(0.2, 0.6), calibrated=(0.1, 0.9))
    found = calibrated(Calibration(kind="isotonic", curves=(curve, None)), np.array([[0.4, 0.6]]), axis=1)
    np.testing.assert_allclose(found, [[0.5 / 1.1, 0.6 / 1.1]])


@pytest.mark.parametrize("axis", [0, 1])
def test_unknown_pixels_stay_unknown_and_others_are_not_touched_by_them(axis: int) -> None:
    values = np.moveaxis(np.array([[0.9, 0.1], [np.nan, np.nan], [0.3, 0.7]]), 1, axis)
    found = np.moveaxis(calibrated(Calibration(kind="temperature", temperature=1.0), values, axis), axis, 1)
    np.testing.assert_allclose(found, [[0.9, 0.1], [np.nan, np.nan], [0.3, 0.7]])


def test_without_a_calibration_the_same_array_comes_back() -> None:
    assert calibrated(None, PROBABILITIES) is PROBABILITIES
    assert calibrated(Calibration(kind="none"), PROBABILITIES) is PROBABILITIES


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "temperature"},
        {"kind": "temperature", "temperature": 0},
        {"kind": "vector", "scale": [1, 1], "offset": [0]},
        {"kind": "isotonic"},
        {"kind": "isotonic", "curves": [{"probability": [0.1, 0.1], "calibrated": [0, 1]}]},
        {"kind": "isotonic", "curves": [{"probability": [0.1, 0.2], "calibrated": [0.5, 0.4]}]},
        {"kind": "isotonic", "curves": [{"probability": [0.1, 0.2], "calibrated": [0.5, 1.4]}]},
    ],
)
def test_a_record_that_calibrates_nothing_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Calibration.model_validate(content)
