"""The estimator in scikit-learn's own cross-validation, on classes that differ in their season."""

import pickle
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

from agrifm.errors import AgriFMError, ConfigError, LabelError
from agrifm.train.estimator import SeriesClassifier

DATES = tuple(date(2024, 3, 1) + timedelta(days=15 * step) for step in range(14))
BANDS = ("B04", "B08")
Numbers = NDArray[np.float64]


def seasons(places: int = 120, noise: float = 0.02) -> tuple[Numbers, NDArray[np.str_], NDArray[np.intp]]:
    """Winter crops are green in May, summer crops in August; fields of four places, a quarter of the dates cloudy."""
    rng = np.random.default_rng(0)
    label = np.repeat(rng.permutation(np.tile(["summer", "winter"], places // 8)), 4)
    peak = np.where(label == "winter", 75, 165)
    day = np.array([(one - DATES[0]).days for one in DATES])
    green = np.exp(-(((day - peak[:, None]) / 40) ** 2))
    series = np.stack([0.12 - 0.08 * green, 0.15 + 0.3 * green], axis=2) + rng.normal(0, noise, (places, len(day), 2))
    series[rng.random((places, len(day))) < 0.25] = np.nan
    return series, label, np.repeat(np.arange(places // 4), 4)


def estimator(model: str = "logistic", **changes: Any) -> SeriesClassifier:
    return SeriesClassifier(model, **{"dates": DATES, "bands": BANDS, **changes})


def test_cross_validation_over_fields_finds_classes_that_differ() -> None:
    X, y, fields = seasons()
    scores = cross_val_score(estimator(), X, y, groups=fields, cv=GroupKFold(3), params={"groups": fields})
    assert scores.min() > 0.98


def test_labels_without_meaning_are_not_found() -> None:
    X, y, fields = seasons()
    shuffled = np.repeat(np.random.default_rng(1).permutation(y[::4]), 4)
    scores = cross_val_score(estimator(), X, shuffled, groups=fields, cv=GroupKFold(3), params={"groups": fields})
    assert 0.2 < scores.mean() < 0.8


def test_probabilities_are_in_the_order_of_the_classes() -> None:
    X, y, fields = seasons()
    fitted = estimator().fit(X, y, groups=fields)
    assert fitted.classes_.tolist() == ["summer", "winter"]
    probability = fitted.predict_proba(X)
    assert probability.shape == (len(X), 2)
    assert np.allclose(probability.sum(axis=1), 1, atol=1e-5)
    assert (fitted.classes_[probability.argmax(axis=1)] == fitted.predict(X)).all()
    assert fitted.score(X, y) > 0.98
    assert np.isfinite(fitted.predict_proba(np.full((1, len(DATES), 2), np.nan))).all()


def test_labels_may_be_numbers_and_keep_their_type() -> None:
    X, y, _ = seasons(48)
    numbers = np.where(y == "winter", 30, 7)
    found = estimator("random-forest").fit(X, numbers).predict(X[:4])
    assert found.dtype == numbers.dtype
    assert set(found.tolist()) <= {7, 30}


def test_models_are_chosen_by_a_grid_and_copies_are_alike() -> None:
    X, y, fields = seasons(48)
    search = GridSearchCV(estimator(), {"quantity": ["index", "surface reflectance"]}, cv=GroupKFold(2))
    assert search.fit(X, y, groups=fields).best_score_ > 0.9
    copy = clone(estimator(seed=3))
    assert copy.get_params() == estimator(seed=3).get_params()
    assert (copy.fit(X, y).predict_proba(X) == estimator(seed=3).fit(X, y).predict_proba(X)).all()


def test_places_of_little_weight_decide_little() -> None:
    """Six of ten labels are of the other class, but weigh a thousandth of the right ones."""
    X, y, _ = seasons()
    wrong = np.random.default_rng(2).random(len(y)) < 0.6
    said = np.where(wrong, np.where(y == "winter", "summer", "winter"), y)
    assert estimator().fit(X, said).score(X, y) < 0.5
    assert estimator().fit(X, said, sample_weight=np.where(wrong, 0.001, 1)).score(X, y) > 0.95


@pytest.mark.parametrize(
    ("run", "kind", "facts"),
    [
        (lambda X, y: estimator(dates=DATES[1:]).fit(X, y), LabelError, {"expected": (13, 2)}),
        (lambda X, y: estimator(dates=DATES[::-1]).fit(X, y), LabelError, {"dates": 14}),
        (lambda X, y: estimator().fit(X * 10_000, y), LabelError, {"quantity": "surface reflectance"}),
        (lambda X, y: estimator().fit(X, y[1:]), LabelError, {"argument": "y"}),
        (lambda X, y: estimator().fit(X, y, groups=[1]), LabelError, {"argument": "groups"}),
        (lambda X, y: estimator().fit(X, np.full(len(y), "wheat")), LabelError, {"classes": 1}),
        (lambda X, y: estimator("logistik").fit(X, y), ConfigError, {"model": "logistik"}),
        (lambda X, y: estimator(sensor="sentinel-9").fit(X, y), ConfigError, {}),
        (lambda X, y: estimator().fit(X, y).predict(X[..., :1]), LabelError, {"expected": (14, 2)}),
    ],
    ids=["dates", "order", "integers", "labels", "groups", "one class", "model", "sensor", "bands"],
)
def test_what_does_not_fit_is_refused(
    run: Callable[[Numbers, Any], object], kind: type[AgriFMError], facts: dict[str, object]
) -> None:
    X, y, _ = seasons(48)
    with pytest.raises(kind) as error:
        run(X, y)
    assert {key: error.value.facts[key] for key in facts} == facts


def test_what_was_not_trained_cannot_predict() -> None:
    with pytest.raises(NotFittedError):
        estimator().predict(seasons(48)[0])
    pickle.loads(pickle.dumps(estimator()))


@pytest.mark.check
@pytest.mark.parametrize("model", ["classic", "tempcnn", "agrifm", "best"])
def test_all_kinds_of_models_are_trained(model: str) -> None:
    X, y, fields = seasons()
    train, test = next(GroupKFold(3).split(X, y, fields))
    fitted = estimator(model).fit(X[train], y[train], groups=fields[train])
    assert fitted.score(X[test], y[test]) > 0.9
