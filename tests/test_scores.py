"""Scores against scikit-learn, whose confusion matrix has rows = true; ours has rows = predicted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, average_precision_score, confusion_matrix, f1_score

from agrifm.legend import OTHER, Legend
from agrifm.scores import (
    average_precision,
    block_interval,
    calibration_bins,
    confusion_counts,
    draw_blocks,
    expected_calibration_error,
    f1_per_class,
    macro_f1,
    merged_counts,
    overall_accuracy,
    paired_interval,
    scored_classes,
)

CLASSES = 4
NUMBERS = hnp.arrays(np.uint8, st.just(60), elements=st.sampled_from([0, 1, 2, 3, 255]))


@given(NUMBERS, NUMBERS)
def test_counts_and_scores_are_scikit_learns_where_both_classes_are_known(
    predicted: np.ndarray, true: np.ndarray
) -> None:
    counts = confusion_counts(predicted, true, CLASSES)
    known = (predicted != 255) & (true != 255)
    if not known.any():
        assert counts.tolist() == [[0] * CLASSES] * CLASSES
        return
    labels = list(range(CLASSES))
    assert counts.T.tolist() == confusion_matrix(true[known], predicted[known], labels=labels).tolist()
    ours = f1_per_class(counts)
    assert ours == pytest.approx(f1_score(true[known], predicted[known], labels=labels, average=None, zero_division=0))
    assert overall_accuracy(counts) == pytest.approx(accuracy_score(true[known], predicted[known]))
    scored = np.array([True, False, True, True])
    expected = f1_score(true[known], predicted[known], labels=[0, 2, 3], average="macro", zero_division=0)
    assert macro_f1(counts, scored) == pytest.approx(expected)


def test_rows_of_counts_are_predicted_classes() -> None:
    counts = confusion_counts(np.array([0, 0, 1]), np.array([1, 1, 1]), 2)
    assert counts.tolist() == [[0, 2], [0, 1]]


def test_counts_of_two_dimensional_maps_are_those_of_their_pixels() -> None:
    predicted, true = np.array([[0, 1], [255, 1]], np.uint8), np.array([[0, 0], [1, 255]], np.uint8)
    assert confusion_counts(predicted, true, 2).tolist() == [[1, 0], [1, 0]]


def test_a_class_number_beyond_the_legend_is_not_counted_as_another() -> None:
    """Without a check, predicted 0 and true 5 of 4 classes would land in row 1, column 1."""
    with pytest.raises(AssertionError):
        confusion_counts(np.array([0]), np.array([5]), 4)


def test_scores_of_nothing_are_not_a_number() -> None:
    nothing = np.zeros((3, 3), np.int64)
    assert np.isnan(overall_accuracy(nothing))
    assert np.isnan(macro_f1(nothing, np.zeros(3, bool)))


def test_only_scored_crops_with_15_places_or_more_count() -> None:
    legend = Legend.of(["maize", "wheat", "rye", OTHER])
    assert scored_classes(legend, [15, 14, 400, 400]).tolist() == [True, False, True, False]


def accuracy_interval(blocks: np.ndarray, seed: int = 0) -> tuple[float, float]:
    return block_interval(blocks, overall_accuracy, 1000, seed)


def test_blocks_that_agree_leave_no_uncertainty() -> None:
    blocks = np.array([[[8, 1], [1, 0]]] * 10)
    assert accuracy_interval(blocks) == pytest.approx((0.8, 0.8))


def test_one_block_has_no_interval() -> None:
    """It says nothing of other blocks; drawn again and again it would seem certain."""
    block = np.array([[[5, 1], [2, 7]]])
    assert np.isnan(block_interval(block, macro_f1)).all()
    assert np.isnan(paired_interval(block, block[:, ::-1], macro_f1)).all()


def test_the_interval_of_single_places_is_as_wide_as_the_binomial() -> None:
    """100 places, 70 right: standard error sqrt(0.7 * 0.3 / 100), 95 % within 1.96 of them."""
    blocks = np.zeros((100, 2, 2), np.int64)
    blocks[:70, 0, 0] = blocks[70:, 0, 1] = 1
    low, high = accuracy_interval(blocks)
    error = np.sqrt(0.7 * 0.3 / 100)
    assert low == pytest.approx(0.7 - 1.96 * error, abs=0.02)
    assert high == pytest.approx(0.7 + 1.96 * error, abs=0.02)


def test_the_interval_is_wider_when_errors_come_in_whole_blocks() -> None:
    alone = np.zeros((100, 2, 2), np.int64)
    alone[:70, 0, 0] = alone[70:, 0, 1] = 1
    together = alone.reshape(10, 10, 2, 2).sum(axis=1)
    widths = [high - low for low, high in (accuracy_interval(alone), accuracy_interval(together))]
    assert widths[1] > 2 * widths[0]


def test_the_interval_is_the_same_for_the_same_seed() -> None:
    blocks = np.random.default_rng(3).integers(0, 9, (12, 3, 3))
    assert accuracy_interval(blocks, 5) == accuracy_interval(blocks, 5)
    assert accuracy_interval(blocks, 5) != accuracy_interval(blocks, 6)


def test_the_paired_interval_is_narrower_than_the_two_intervals_apart() -> None:
    """Two models that share their hard blocks: the second errs in 10 more places of each 100, everywhere."""
    right = np.repeat([20, 40, 60, 80], 10)
    first, second = (
        np.stack([np.array([[hits, 0], [100 - hits, 0]]) for hits in own]).astype(np.int64)
        for own in (right, right - 10)
    )
    assert paired_interval(first, second, overall_accuracy) == pytest.approx((0.1, 0.1))
    alone = block_interval(first, overall_accuracy)
    assert alone[1] - alone[0] > 0.1


def test_the_paired_interval_changes_its_sign_with_the_order_of_the_models() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.integers(1, 9, (2, 15, 3, 3))
    low, high = paired_interval(first, second, overall_accuracy)
    assert paired_interval(second, first, overall_accuracy) == pytest.approx((-high, -low))


def test_counts_of_classes_are_merged_into_those_of_their_groups() -> None:
    """Confusion between winter and spring wheat disappears when both are wheat; all pixels remain."""
    counts = np.array([[5, 2, 1], [3, 6, 0], [0, 1, 7]])
    merged, groups = merged_counts(counts, ("wheat", "wheat", "maize"))
    assert groups == ("wheat", "maize")
    np.testing.assert_array_equal(merged, [[16, 1], [1, 7]])
    several, _ = merged_counts(np.stack([counts, counts]), ("wheat", "wheat", "maize"))
    np.testing.assert_array_equal(several, [merged, merged])


def test_every_class_of_the_reference_counts_unless_others_are_named() -> None:
    counts = np.array([[8, 0, 0], [0, 0, 2], [0, 0, 0]])  # class 2 is never predicted, class 1 never true
    assert macro_f1(counts) == pytest.approx((1 + 0) / 2)


def test_average_precision_is_scikit_learns_for_weighted_places_and_ties() -> None:
    generator = np.random.default_rng(1)
    probability = generator.integers(0, 20, 300) / 20
    true = generator.random(300) < 0.2 + 0.3 * probability
    weight = generator.integers(0, 4, (5, 300))
    expected = [average_precision_score(true, probability, sample_weight=one) for one in weight]
    assert average_precision(probability, true, weight) == pytest.approx(expected)
    assert np.isnan(average_precision(probability, np.zeros(300, bool), weight)).all()


def test_the_calibration_error_is_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.classification import multiclass_calibration_error

    generator = np.random.default_rng(2)
    probability = generator.dirichlet(np.ones(5), 400).astype(np.float32)
    true = generator.integers(0, 5, 400)
    expected = multiclass_calibration_error(torch.tensor(probability), torch.tensor(true), 5, n_bins=15)
    bins = calibration_bins(probability, true, np.ones((1, 400)))
    assert bins[0, 0].sum() == 400
    assert expected_calibration_error(bins)[0] == pytest.approx(float(expected), abs=1e-5)


def test_as_many_blocks_are_drawn_as_there_are() -> None:
    drawn = draw_blocks(7, 200)
    assert (drawn.sum(axis=1) == 7).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(7), abs=0.25)
