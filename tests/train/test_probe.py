"""A probe answers as scikit-learn's logistic regression does on the vectors of the encoder, which it leaves alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import linear_model
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight
from tests.models.released_peers import pretend_released
from tests.samples.tables import series_table

from agrifm.errors import ModelError
from agrifm.models.presto import PrestoEncoder
from agrifm.train.combination import without_labels
from agrifm.train.learners import FRAMES
from agrifm.train.probe import INVERSE_PENALTIES, learn_probe, released_vectors

TABLE = series_table(noise=0.02)
EMPTY = TABLE.of(np.zeros(0, np.intp))
TRAINING, VALIDATION, TEST = (
    TABLE.of(np.flatnonzero(part))
    for part in (TABLE.block < 6, (TABLE.block >= 6) & (TABLE.block < 8), TABLE.block > 7)
)


@pytest.fixture(scope="module")
def presto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "presto.pt"
    pretend_released(PrestoEncoder(128, 2, 8), file, "encoder.")
    return file


def test_a_vector_is_of_its_place_alone(presto: Path) -> None:
    vectors = released_vectors("presto", presto, FRAMES, TRAINING)
    every = vectors(TEST)
    assert every.shape == (len(TEST), 128)
    np.testing.assert_allclose(vectors(TEST.of(np.array([5]))), every[5:6], atol=1e-5)
    assert vectors(EMPTY).shape == (0, 128)


def test_a_probe_is_a_logistic_regression_on_the_vectors(presto: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are fitted to the end: where they stop before differs between processors."""

    class Finished(LogisticRegression):
        def __init__(self, **choices: Any) -> None:
            super().__init__(**{**choices, "tol": 1e-6, "max_iter": 3000})

        @classmethod
        def _get_param_names(cls) -> list[str]:
            return list(LogisticRegression._get_param_names())

    monkeypatch.setattr(linear_model, "LogisticRegression", Finished)
    vectors = released_vectors("presto", presto, FRAMES, TRAINING)
    fitted = learn_probe("presto", presto, FRAMES, TRAINING, EMPTY, 0)
    rows = vectors(TRAINING)
    scale = rows.mean(axis=0), rows.std(axis=0)
    oracle = LogisticRegression(C=INVERSE_PENALTIES[0], max_iter=3000, tol=1e-6)
    oracle.fit((rows - scale[0]) / scale[1], TRAINING.label, compute_sample_weight("balanced", TRAINING.label))
    expected = oracle.predict_proba((vectors(TEST) - scale[0]) / scale[1])
    np.testing.assert_allclose(fitted.probabilities(without_labels(TEST)), expected, atol=2e-3)
    assert fitted.validation is None


def test_the_validation_places_are_answered_without_their_labels_and_the_others_with_them(presto: Path) -> None:
    fitted = learn_probe("presto", presto, FRAMES, TRAINING, VALIDATION, 0)
    assert fitted.choice["C"] in INVERSE_PENALTIES
    assert fitted.validation is not None
    assert fitted.validation.shape == (len(VALIDATION), 3)
    alone = learn_probe("presto", presto, FRAMES, TRAINING, EMPTY, 0)
    assert (fitted.probabilities(TEST).argmax(axis=1) == TEST.label).mean() > 0.9
    assert not np.array_equal(fitted.probabilities(TEST), alone.probabilities(TEST))


def test_a_family_with_another_head_is_refused(presto: Path) -> None:
    with pytest.raises(ModelError):
        learn_probe("agrifm", presto, FRAMES, TRAINING, VALIDATION, 0)
