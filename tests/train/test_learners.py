"""Every learner keeps the contract, on series that differ by class, and refuses what it cannot read."""

import numpy as np
import pytest
from tests.samples.tables import series_table

from agrifm.errors import ModelError
from agrifm.train import learners
from agrifm.train.combination import COMBINATIONS, without_labels
from agrifm.train.learners import LEARNERS

TABLE = series_table(noise=0.02)
EMPTY = TABLE.of(np.zeros(0, np.intp))
TRAINING, VALIDATION, TEST = (
    TABLE.of(np.flatnonzero(part))
    for part in (TABLE.block < 6, (TABLE.block >= 6) & (TABLE.block < 8), TABLE.block > 7)
)
CLASSIC = ("random-forest", "extra-trees", "lightgbm", "support-vectors", "logistic", "minirocket")


@pytest.mark.parametrize("name", CLASSIC)
def test_a_classic_model_learns_and_answers_validation_places_that_it_did_not_see(name: str) -> None:
    fitted = LEARNERS[name](TRAINING, VALIDATION, 0)
    test = fitted.probabilities(without_labels(TEST))
    assert test.shape == (len(TEST), 3)
    np.testing.assert_allclose(test.sum(axis=1), 1, atol=1e-5)
    assert (test.argmax(axis=1) == TEST.label).mean() > 0.9
    assert fitted.validation is not None
    alone = LEARNERS[name](TRAINING, EMPTY, 0)
    np.testing.assert_array_equal(fitted.validation, alone.probabilities(VALIDATION))
    assert alone.validation is None


@pytest.mark.parametrize("name", ["agrifm", "tempcnn", "ltae", "transformer"])
def test_a_network_keeps_the_contract(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learners, "STEPS", 3)
    fitted = LEARNERS[name](TRAINING, VALIDATION, 0)
    test = fitted.probabilities(without_labels(TEST))
    assert test.shape == (len(TEST), 3)
    np.testing.assert_allclose(test.sum(axis=1), 1, atol=1e-5)
    assert fitted.validation is not None
    assert fitted.validation.shape == (len(VALIDATION), 3)
    assert fitted.parameters is not None
    again = LEARNERS[name](TRAINING, VALIDATION, 0)
    np.testing.assert_array_equal(again.probabilities(TEST), test)


@pytest.mark.check
def test_a_network_of_another_family_learns() -> None:
    fitted = LEARNERS["tempcnn"](TRAINING, EMPTY, 0)
    assert (fitted.probabilities(TEST).argmax(axis=1) == TEST.label).mean() > 0.9


def test_sensors_that_a_network_cannot_read_are_refused() -> None:
    with pytest.raises(ModelError):
        LEARNERS["prithvi"](TRAINING, VALIDATION, 0)  # two bands of six


def test_combinations_are_of_models_that_exist() -> None:
    for combination in COMBINATIONS.values():
        assert set(combination.parts) <= {*LEARNERS, *COMBINATIONS}
