"""Classic models of yields: scikit-learn's fit on means of fields, restored as they were, and damaged ones refused."""

import numpy as np
import pytest

from agrifm.classic.features import Columns
from agrifm.classic.yield_regression import (
    CANDIDATES_OF_YIELDS,
    YIELD_KINDS,
    BoostedYields,
    FieldRows,
    RidgeYields,
    YieldEstimator,
    fit_yields,
    restored_yields,
)
from agrifm.record import SensorInput
from agrifm.yields import YieldScale, scale_of

SENSOR = SensorInput(
    sensor="sentinel-2", bands=("red", "nir"), quantity="surface reflectance", scale=1e-4, resolution=10
)
COLUMNS = Columns((SENSOR,), 3, ("series",))


@pytest.fixture(scope="module")
def fields():
    """60 fields of 1 to 6 pixels in 12 blocks; the yield is a line of two columns."""
    rng = np.random.default_rng(4)
    field = np.repeat(np.arange(60), rng.integers(1, 7, 60))
    level = rng.normal(0, 1, (60, COLUMNS.width))
    rows = (level[field] + rng.normal(0, 0.2, (len(field), COLUMNS.width))).astype(np.float32)
    tonnes = 6 + level[:, 0] - 0.5 * level[:, 3] + rng.normal(0, 0.1, 60)
    return FieldRows(rows, field, tonnes, np.arange(60) // 5)


def test_means_of_fields_are_those_of_a_loop(fields):
    shuffled = np.random.default_rng(0).permutation(len(fields.field))
    mixed = FieldRows(fields.rows[shuffled], fields.field[shuffled], fields.tonnes, fields.group)
    for number in range(60):
        assert mixed.means(mixed.rows)[number] == pytest.approx(
            fields.rows[fields.field == number].mean(axis=0), abs=1e-6
        )
    chosen = np.arange(60) % 2 == 0
    assert fields.of(chosen).means(fields.of(chosen).rows)[3] == pytest.approx(fields.means(fields.rows)[6], abs=1e-6)


def test_the_ridge_regression_is_that_of_scikit_learn(fields):
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = CANDIDATES_OF_YIELDS["ridge regression (penalty 30)"](fields, 0)
    means = np.stack([fields.rows[fields.field == number].mean(axis=0) for number in range(60)])
    expected = make_pipeline(StandardScaler(), Ridge(alpha=30.0)).fit(means, fields.tonnes)
    assert found.tonnes(fields.rows) == pytest.approx(expected.predict(fields.rows), abs=1e-4)


@pytest.mark.parametrize("name", ["ridge regression (penalty 300)", "LightGBM on fields", "LightGBM on pixels"])
def test_a_restored_model_answers_as_before(fields, name):
    scale = scale_of(fields.tonnes)
    estimator = YieldEstimator(CANDIDATES_OF_YIELDS[name](fields, 0), (0.1, 0.05, 0.2), scale)
    again = restored_yields(estimator.state(), COLUMNS, scale)
    found = again.probabilities(fields.rows)
    assert found == pytest.approx(estimator.probabilities(fields.rows), abs=1e-6)
    tonnes = scale.highest * found
    assert tonnes[:, 1] == pytest.approx(np.maximum(0.1 + 0.05 * tonnes[:, 0], 0.2), abs=1e-4)


def test_the_candidate_of_the_smallest_inner_error_is_used(fields):
    member, tried = fit_yields(fields, COLUMNS, scale_of(fields.tonnes), 0)
    best = min(tried, key=lambda one: one["inner_rmse"])
    assert best["chosen"]
    assert sum(one["chosen"] for one in tried) == 1
    assert best["inner_rmse"] < 0.6 < fields.tonnes.std()  # a line, so it can be learnt
    kind = RidgeYields if "ridge" in best["models"][0] else BoostedYields
    assert isinstance(member.model.model, kind)
    assert set(YIELD_KINDS.values()) == {RidgeYields, BoostedYields}


def test_a_damaged_state_is_refused(fields):
    scale = YieldScale(mean=6, std=1, highest=15)
    state = YieldEstimator(CANDIDATES_OF_YIELDS["ridge regression (penalty 30)"](fields, 0), (0, 0, 1), scale).state()
    short = {**state, "model": {**state["model"], "weights": state["model"]["weights"][:3]}}
    negative = {**state, "line": np.array([0, 0, -1], np.float32)}
    for damaged in (short, negative, {**state, "kind": "lightgbm", "model": {"text": "tree\n"}}):
        with pytest.raises(ValueError, match=r"its|booster"):
            restored_yields(damaged, COLUMNS, scale)
