"""Reliability on unseen blocks: worked numbers before and after a calibration."""

from typing import Any

import numpy as np
import pytest

from agrifm.calibration import Calibration
from agrifm.legend import Legend
from agrifm.samples.split import HeldOutBlocks
from agrifm.train.reliability import Reliability, describe_calibrations

LEGEND = Legend.of(["a", "b"])


def described(
    calibration: Calibration | None, values: np.ndarray, label: np.ndarray, block: np.ndarray
) -> dict[str, Any]:
    """The description of pixels that are counted in two parts."""
    nothing = np.zeros((1, len(label)), np.int32)
    unseen = HeldOutBlocks(label[None], block[None].astype(np.int32), nothing, np.ones(2, bool))
    counted = Reliability(calibration, unseen, 2)
    for part in (slice(0, 3), slice(3, None)):
        counted.predict(values[part], label[part], block[part])
    return counted.describe(LEGEND)


def test_the_error_of_a_model_that_is_too_sure_is_worked_out() -> None:
    """Ten pixels of probability 0.9, of which seven are right, have an error of 0.2; calibrated to 0.75, of 0.05."""
    values = np.tile(np.float32([0.9, 0.1]), (11, 1))
    values[10] = np.nan
    label = np.uint8([0] * 7 + [1] * 3 + [0])
    odds = np.log(9) / np.log(3)  # 0.9 to 0.75
    found = described(Calibration(kind="temperature", temperature=odds), values, label, np.arange(11) % 2)
    assert found["expected_calibration_error"]["before"] == pytest.approx(0.2, abs=1e-6)
    assert found["expected_calibration_error"]["after"] == pytest.approx(0.05, abs=1e-6)
    assert found["log_loss"]["after"] == pytest.approx(-0.7 * np.log(0.75) - 0.3 * np.log(0.25), abs=1e-5)
    assert found["classes"]["b"]["before"] == pytest.approx(0.2, abs=1e-6)
    assert (found["pixels"], found["blocks"], found["changed"]) == (10, 2, 0)
    assert np.sum(found["bins"]["after"], axis=1) == pytest.approx([10, 7.5, 7], abs=1e-3)


def test_pixels_of_another_class_are_counted_and_said() -> None:
    values = np.float32([[0.6, 0.4], [0.9, 0.1]])
    shifted = Calibration(kind="vector", scale=(1, 1), offset=(0, 1))
    found = described(shifted, values, np.uint8([1, 0]), np.arange(2))
    assert found["changed"] == 0.5
    assert "50 %" in describe_calibrations({"m": {"reliability": found}})[0]
    assert describe_calibrations({"of an older version": {}}) == []


def test_a_model_without_any_known_pixel_has_no_error() -> None:
    found = described(None, np.full((2, 2), np.nan, np.float32), np.uint8([0, 1]), np.arange(2))
    assert "expected_calibration_error" not in found
