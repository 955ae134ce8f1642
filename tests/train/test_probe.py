"""A probe answers as scikit-learn's logistic regression does on the vectors of the encoder, which it leaves alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn import linear_model
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.utils.class_weight import compute_sample_weight
from tests.models.released_peers import pretend_released
from tests.samples.tables import series_table
from tests.train.test_pretrain import SETTINGS, written

from agrifm.errors import ModelError
from agrifm.inference.tensors import tensor_batch
from agrifm.models.agrifm.point_network import point_config
from agrifm.models.classifier import Classifier
from agrifm.models.presto import PrestoEncoder
from agrifm.samples.table import SeriesTable
from agrifm.samples.table_samples import TableSamples
from agrifm.train.combination import without_labels
from agrifm.train.initialise import point_start
from agrifm.train.learners import FRAMES
from agrifm.train.pretrain import pretrain
from agrifm.train.probe import CLASS_MEANS, INVERSE_PENALTIES, class_means, learn_probe, released_vectors
from agrifm.train.table_folds import table_statistics

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
    with pytest.raises(ModelError) as error:
        learn_probe("tempcnn", presto, FRAMES, TRAINING, VALIDATION, 0)
    assert error.value.facts["family"] == "tempcnn"


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretraining")
    written(folder / "shards")
    (folder / "pretrain.toml").write_text(SETTINGS.replace("steps = 36", "steps = 2"))
    return pretrain(folder).path


def test_pretrained_vectors_are_what_the_last_layer_reads(pretrained: Path) -> None:
    """The statistics are those of the weights, and a sensor that these do not know changes nothing."""
    vectors = released_vectors("agrifm", pretrained, FRAMES, TRAINING)(TEST)
    start = point_start(pretrained)
    assert start is not None
    statistics = table_statistics(TRAINING)
    network, sensors = start(point_config(statistics, 3, FRAMES, TRAINING.season_days), statistics)
    assert sensors[0].mean != statistics[0].mean
    samples = TableSamples(TEST, "observed", FRAMES)
    classifier = Classifier(network, sensors, "observed").eval()
    with torch.inference_mode():
        alone = [classifier.vectors(tensor_batch([samples[index]], sensors)) for index in range(len(TEST))]
    expected = torch.cat(alone)[..., 0, 0].numpy()
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    with_radar = released_vectors("agrifm", pretrained, FRAMES, with_unknown_sensor(TRAINING))
    np.testing.assert_allclose(with_radar(with_unknown_sensor(TEST)), vectors, atol=1e-6)


def test_a_table_without_a_sensor_of_the_weights_is_refused(pretrained: Path) -> None:
    unknown = with_unknown_sensor(TRAINING)
    unknown = replace(unknown, series={"sentinel-1": unknown.series["sentinel-1"]})
    with pytest.raises(ModelError) as error:
        learn_probe("agrifm", pretrained, FRAMES, unknown, EMPTY, 0)
    assert error.value.facts["sensors"] == ("sentinel-2", "modis")


def test_class_means_answer_as_a_gaussian_of_each_class_does() -> None:
    """The oracle is a linear discriminant analysis whose covariance is spherical, written with SciPy."""
    rng = np.random.default_rng(3)
    classes = np.repeat([0, 1, 2], 20)
    rows = (np.eye(3, 5)[classes] * 2 + rng.standard_normal((60, 5))).astype(np.float32)
    standard = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    means = np.stack([standard[classes == number].mean(axis=0) for number in range(3)])
    variance = ((standard - means[classes]) ** 2).sum() / (57 * 5)
    density = np.stack([multivariate_normal(mean, variance * np.eye(5)).pdf(standard) for mean in means], axis=1)
    found = class_means(rows, classes, np.ones(60))(rows)
    np.testing.assert_allclose(found, density / density.sum(axis=1, keepdims=True), atol=1e-4)
    assert (found.argmax(axis=1) == NearestCentroid().fit(standard, classes).predict(standard)).all()


def test_pretrained_weights_are_probed_by_class_means_where_nothing_chooses(pretrained: Path) -> None:
    fitted = learn_probe("agrifm", pretrained, FRAMES, TRAINING, EMPTY, 0)
    assert fitted.choice == {"C": CLASS_MEANS}
    answers = fitted.probabilities(TEST)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert (answers.argmax(axis=1) == TEST.label).mean() > 0.8


def with_unknown_sensor(table: SeriesTable) -> SeriesTable:
    series = table.series["sentinel-2"]
    radar = series.input.model_copy(update={"sensor": "sentinel-1", "bands": ("VV", "VH")})
    return replace(table, series={**table.series, "sentinel-1": replace(series, input=radar, values=series.values * 3)})
