"""Scores on unseen blocks against scikit-learn and hand-made cases."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from agrifm.legend import Legend
from agrifm.samples.split import HeldOutBlocks
from agrifm.train.evaluate import compare_predictions, majority_accuracy, score, summarise_scores

CODES = ("a", "b", "other")

PARENTS = {"wheat": "cereals", "barley": "cereals", "maize": None}


@pytest.fixture
def unseen() -> HeldOutBlocks:
    generator = np.random.default_rng(2)
    label = generator.integers(3, size=(20, 20)).astype(np.uint8)
    label[:, 15:] = 255
    block = (np.arange(20)[:, None] // 5 * 4 + np.arange(20) // 5).astype(np.int32)
    place = np.where(label < 2, block, -1).astype(np.int32)
    return HeldOutBlocks(label, block, place, np.array([True, True, False]))


def test_scores_agree_with_scikit_learn_on_labelled_seen_pixels(unseen: HeldOutBlocks) -> None:
    predicted = np.random.default_rng(3).integers(3, size=(20, 20)).astype(np.uint8)
    predicted[:3] = 255
    found = score(predicted, unseen, Legend.of(CODES))
    known = (unseen.label != 255) & (predicted != 255)
    true, guess = unseen.label[known], predicted[known]
    assert found["overall_accuracy"] == pytest.approx(accuracy_score(true, guess))
    assert found["macro_f1"] == pytest.approx(f1_score(true, guess, average="macro"))
    assert found["macro_f1_scored"] == pytest.approx(f1_score(true, guess, average="macro", labels=[0, 1]))
    assert np.array(found["counts"]).sum() == known.sum()
    low, high = found["overall_accuracy_interval"]
    assert low < found["overall_accuracy"] < high


def test_a_parcel_has_the_class_of_most_of_its_pixels() -> None:
    label = np.array([[0, 0, 0, 1, 1, 1]], np.uint8)
    place = np.array([[0, 0, 0, 1, 1, 1]], np.int32)
    predicted = np.array([[0, 0, 1, 1, 0, 1]], np.uint8)
    scored = np.array([True, True, False])
    found = score(predicted, HeldOutBlocks(label, place, place, scored), Legend.of(CODES))
    assert found["macro_f1_parcels"] == 1
    assert found["overall_accuracy"] == pytest.approx(4 / 6)


def test_no_scored_class_is_null_and_not_nan() -> None:
    label = np.zeros((2, 2), np.uint8)
    place = np.zeros((2, 2), np.int32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = score(label, HeldOutBlocks(label, place, place, np.zeros(3, bool)), Legend.of(CODES))
    assert found["macro_f1_scored"] is None
    assert found["macro_f1"] == 1
    assert found["overall_accuracy"] == 1


def test_the_headline_counts_every_class_of_the_test_and_regions_of_a_raster_are_not_parcels() -> None:
    """Three classes of 15 places and a fourth of 2 that is never right: 0.75 over four, 1 over the three."""
    label = np.repeat(np.array([[0, 1, 2, 3]], np.uint8), [15, 15, 15, 2], axis=1)
    place = np.arange(label.size, dtype=np.int32)[None]
    predicted = np.where(label == 3, np.uint8(4), label)
    scored = np.array([True, True, True, False, False])
    found = score(
        predicted, HeldOutBlocks(label, place, place, scored, has_parcels=False), Legend.of(["a", "b", "c", "d", "e"])
    )
    assert found["macro_f1"] == 0.75
    assert found["macro_f1_scored"] == 1
    assert found["macro_f1_parcels"] is None


def summarised(legend: Legend, test: list[int]) -> list[str]:
    """Notes of scores with the training labels 0, 1 and 2 and these of the test."""
    known = np.array([[0, 1, 2]], np.uint8)
    label = np.array([test], np.uint8)
    unseen_ = HeldOutBlocks(label, np.zeros_like(label, np.int32), np.zeros_like(label, np.int32), np.ones(3, bool))
    labels = {"train": known, "validation": known, "test": label}
    blocks = {"train": 3, "validation": 2, "test": 1}
    scores = {"one": {**score(label, unseen_, legend), "training": {}}}
    return list(summarise_scores(legend, unseen_, labels, blocks, [], scores, {"one": label})["notes"])


def test_a_fold_that_lacks_a_class_is_said() -> None:
    found = [note for note in summarised(Legend.of(["maize", "wheat", "other"]), [0, 1]) if "test blocks (1)" in note]
    assert len(found) == 1
    assert found[0].endswith(": other")


@pytest.mark.parametrize(
    ("third", "said"),
    [("other", []), ("Mixed_forest", ["Mixed_forest"]), ("open water", ["open water"]), ("fruit_trees", ["towns"])],
)
def test_forest_and_water_are_not_taken_for_crops(third: str, said: list[str]) -> None:
    notes = summarised(Legend.of(["maize", "wheat", third]), [0, 1, 2])
    assert len(notes) == len(said)
    assert all(word in note for word, note in zip(said, notes, strict=True))


def test_merged_classes_are_scored_at_each_level() -> None:
    """Wheat and barley are cereals and always taken for each other; half of the maize, without a parent, is missed.

    By hand: of 40 places 5 are right; 35 with cereals as one class. F1 of cereals: 60 / (30 + 35), of maize: 10 / 15.
    """
    label = np.repeat(np.array([[0, 1, 2]], np.uint8), [15, 15, 10], axis=1)
    predicted = np.repeat(np.array([[1, 0, 0, 2]], np.uint8), [15, 15, 5, 5], axis=1)
    place = np.arange(label.size, dtype=np.int32)[None]
    classes = [{"code": code, "name": code, "color": "#000000", "parent": above} for code, above in PARENTS.items()]
    legend = Legend.model_validate({"classes": classes})
    found = score(predicted, HeldOutBlocks(label, place, place, np.ones(3, bool)), legend)
    assert found["overall_accuracy"] == pytest.approx(5 / 40)
    level = found["levels"]["1 level up"]
    assert level["overall_accuracy"] == pytest.approx(35 / 40)
    assert level["f1"] == {"cereals": pytest.approx(60 / 65), "maize": pytest.approx(10 / 15)}
    assert level["macro_f1"] == pytest.approx((60 / 65 + 10 / 15) / 2)
    assert "levels" not in score(predicted, HeldOutBlocks(label, place, place, np.ones(3, bool)), Legend.of(PARENTS))


def test_the_majority_class_is_that_of_the_training_labels(unseen: HeldOutBlocks) -> None:
    training = np.full((20, 20), 255, np.uint8)
    training[0, :3] = [1, 1, 0]
    known = unseen.label[unseen.label != 255]
    assert majority_accuracy(unseen, training, 3) == pytest.approx((known == 1).mean())


def test_models_are_compared_on_the_pixels_that_both_predicted(unseen: HeldOutBlocks) -> None:
    generator = np.random.default_rng(4)
    first, second = (generator.integers(3, size=(20, 20)).astype(np.uint8) for _ in range(2))
    first[:3], second[-2:] = 255, 255
    found = compare_predictions(first, second, unseen, len(CODES))
    both = (unseen.label != 255) & (first != 255) & (second != 255)
    of_first, of_second = (f1_score(unseen.label[both], guess[both], average="macro") for guess in (first, second))
    assert found["macro_f1"] == pytest.approx(of_first - of_second)
    low, high = found["macro_f1_interval"]
    assert low < found["macro_f1"] < high
    assert found["blocks"] == len(np.unique(unseen.block[both]))


def test_a_model_against_itself_differs_by_nothing(unseen: HeldOutBlocks) -> None:
    predicted = np.random.default_rng(5).integers(3, size=(20, 20)).astype(np.uint8)
    found = compare_predictions(predicted, predicted, unseen, len(CODES))
    assert found["macro_f1"] == 0
    assert found["macro_f1_interval"] == [0, 0]
