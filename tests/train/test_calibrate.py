"""Calibration is fitted: known temperatures and shifts are recovered, the kind is chosen, scikit-learn agrees."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.isotonic import IsotonicRegression

from agrifm.calibration import calibrated
from agrifm.train.calibrate import FITS, LEAST_BLOCKS, fit_calibration


def drawn(rows: int = 6000, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of which the softmax is the true distribution of the labels, the labels, and 30 blocks."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (rows, classes))
    label = (softmax(logits, axis=1).cumsum(axis=1) < generator.random((rows, 1))).sum(axis=1)
    return logits, label.clip(max=classes - 1).astype(np.uint8), np.arange(rows) % 30


def test_the_temperature_of_an_overconfident_model_is_recovered() -> None:
    logits, label, block = drawn()
    sure = softmax(2.5 * logits, axis=1).astype(np.float32)
    assert FITS["temperature"](sure.astype(float), label, 30).temperature == pytest.approx(2.5, rel=0.06)
    found, _ = fit_calibration(sure, label, block)
    assert found.kind in ("temperature", "vector")  # both contain the truth
    assert found.log_loss["temperature"] < found.log_loss["none"] - 0.1
    assert (found.blocks, found.pixels) == (30, 6000)


def test_shifted_classes_need_vector_scaling() -> None:
    logits, label, _ = drawn()
    block = np.arange(len(label)) % 300  # so many that the pull towards no change does not show
    shift = np.array([1.5, 0.0, -1.0, 0.0])
    found, _ = fit_calibration(softmax(logits + shift, axis=1).astype(np.float32), label, block)
    assert found.kind == "vector"
    differences = np.diff(np.array(found.offset))
    np.testing.assert_allclose(differences, -np.diff(shift), atol=0.25)


def test_a_calibrated_model_is_hardly_changed() -> None:
    logits, label, block = drawn()
    values = softmax(logits, axis=1).astype(np.float32)
    found, _ = fit_calibration(values, label, block)
    assert np.abs(calibrated(found, values, axis=1) - values).max() < 0.05


def test_the_curve_of_a_class_is_scikit_learn_s() -> None:
    logits, label, _ = drawn(rows=800)
    values = softmax(logits, axis=1)
    curve = FITS["isotonic"](values, label, 30).curves[1]
    assert curve is not None
    oracle = IsotonicRegression(out_of_bounds="clip").fit(values[:, 1], label == 1)
    at = np.linspace(0, 1, 101)
    found = np.interp(at, curve.probability, curve.calibrated)
    np.testing.assert_allclose(found, oracle.predict(at), atol=0.03)  # of many knots some are left out


def test_curves_win_where_no_scale_helps() -> None:
    _, label, block = drawn(rows=4000, classes=2)
    generator = np.random.default_rng(1)
    level = generator.choice([0.02, 0.5, 0.98], len(label))
    truth = np.select([level < 0.1, level > 0.9], [0.4, 0.6], 0.5)  # the sure pixels are hardly surer
    label = (generator.random(len(label)) < truth).astype(np.uint8)
    values = np.stack([1 - level, level], axis=1).astype(np.float32)
    found, _ = fit_calibration(values, label, block)
    shares = calibrated(found, values, axis=1)[:, 1]
    for wanted, of_level in ((0.02, 0.4), (0.5, 0.5), (0.98, 0.6)):
        assert shares[level == wanted].mean() == pytest.approx(of_level, abs=0.05)


def test_few_blocks_and_classes_of_few_labels_change_nothing() -> None:
    logits, label, block = drawn()
    sure = softmax(2.5 * logits, axis=1).astype(np.float32)
    found, sets = fit_calibration(sure, label, block % (LEAST_BLOCKS - 1))
    assert (found.kind, sets) == ("none", None)
    known = label != 3
    assert FITS["isotonic"](sure[known].astype(float), label[known], 30).curves[3] is None
    vector = FITS["vector"](sure[known].astype(float), label[known], 30)
    assert (vector.scale[3], vector.offset[3]) == (1, 0)


def test_a_few_blocks_that_are_all_right_do_not_make_a_model_sure() -> None:
    label = np.tile(np.uint8([0, 1]), 8)
    values = np.where(label[:, None] == [0, 1], 0.9, 0.1).astype(np.float32)
    for kind in ("temperature", "vector", "isotonic"):
        found = calibrated(FITS[kind](values.astype(float), label, 4), values, axis=1)
        assert 0.9 <= found[0, 0] < 0.995, kind  # without the pull it would be 1


def test_unknown_pixels_and_their_order_do_not_decide() -> None:
    logits, label, block = drawn(rows=600)
    values = softmax(2.5 * logits, axis=1).astype(np.float32)
    with_gaps = np.concatenate([values, np.full((50, 4), np.nan, np.float32)])
    wide, _ = fit_calibration(with_gaps, np.r_[label, np.zeros(50, np.uint8)], np.r_[block, np.arange(50)])
    assert wide == fit_calibration(values, label, block)[0]
