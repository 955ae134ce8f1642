"""Shares of an area with a map's help, against a worked example, identities of the estimators, and simulation."""

import numpy as np
import pytest

from agrifm.assess.estimators import stratified_estimates
from agrifm.assess.model_assisted import assisted_share
from agrifm.assess.point_estimators import stratified_points
from agrifm.errors import AssessmentError

# 50 points of a simple random sample: map and reference; the map says that 36 % of the area is crop.
PAIRS = {(1, 1): 13, (1, 0): 2, (0, 1): 4, (0, 0): 31}
MAPPED, REFERENCE = np.array([pair for pair, count in PAIRS.items() for _ in range(count)]).T
ONE_STRATUM = stratified_points(np.zeros(50, int), [1.0])


@pytest.mark.parametrize(
    ("method", "share", "error"),
    [("sample", 0.34, 0.0676727), ("difference", 0.40, 0.0491561), ("regression", 0.3851429, 0.0464063)],
)
def test_the_worked_example(method, share, error) -> None:
    found = assisted_share(REFERENCE, MAPPED, 0.36, ONE_STRATUM, method)
    assert float(found.value) == pytest.approx(share, abs=5e-8)
    assert float(found.error) == pytest.approx(error, abs=5e-8)


def test_the_regression_on_a_class_is_the_post_stratified_estimate() -> None:
    regression = assisted_share(REFERENCE, MAPPED, 0.36, ONE_STRATUM)
    post_stratified = stratified_estimates([[13, 2], [4, 31]], [0.36, 0.64])
    assert float(regression.value) == pytest.approx(float(post_stratified.area.value[0]))
    assert float(post_stratified.area.error[0]) == pytest.approx(0.0478453, abs=5e-8)


def test_a_probability_map_makes_the_error_smaller_and_leaves_no_bias() -> None:
    generator = np.random.default_rng(0)
    size = np.array([30_000, 10_000])
    stratum = np.repeat([0, 1], size)
    probability = np.clip(generator.beta(1, 3, 40_000) + 0.4 * stratum, 0, 1)
    crop = generator.random(40_000) < 0.8 * probability + 0.05  # the map is not calibrated
    means = np.array([probability[stratum == number].mean() for number in (0, 1)])
    found: dict[str, list] = {"sample": [], "difference": [], "regression": []}
    for _ in range(600):
        rows = np.concatenate([generator.choice(np.flatnonzero(stratum == n), 100, replace=False) for n in (0, 1)])
        drawn = stratified_points(stratum[rows], size)
        for method, several in found.items():
            several.append(assisted_share(crop[rows], probability[rows], means, drawn, method))
    spread = {}
    for method, several in found.items():
        values, errors = (np.array([float(getattr(one, name)) for one in several]) for name in ("value", "error"))
        spread[method] = values.std()
        assert values.mean() == pytest.approx(crop.mean(), abs=4 * values.std() / 600**0.5 + 1e-3)
        assert np.mean(errors**2) == pytest.approx(values.var(), rel=0.2)
        inside = np.mean([(one.low <= crop.mean()) & (crop.mean() <= one.high) for one in several])
        assert inside >= 0.935 - 4 * (0.95 * 0.05 / 600) ** 0.5
    assert spread["regression"] < spread["sample"]


def test_a_mean_that_is_no_share_and_too_few_points_are_refused() -> None:
    with pytest.raises(AssessmentError) as error:
        assisted_share(REFERENCE, MAPPED, 36, ONE_STRATUM)
    assert error.value.facts["found"] == (36, 36)
    with pytest.raises(AssessmentError) as error:
        assisted_share([1, 0], [1, 0], 0.5, stratified_points([0, 0], [1.0]))
    assert error.value.facts == {"stratum": 0, "points": 2}


def test_points_that_are_all_as_the_map_says_leave_an_interval() -> None:
    reference = np.repeat([0.0, 1.0], [30, 20])
    found = assisted_share(reference, reference, 0.36, stratified_points(np.zeros(50, int), [100.0]))
    assert found.error == pytest.approx(0, abs=1e-9)
    assert found.value == pytest.approx(0.36)
    assert found.low < 0.35
    assert found.high > 0.37
