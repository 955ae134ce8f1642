"""Shares of an area with a map's help, against a worked example, identities of the estimators, and simulation."""

import numpy as np
import pytest

from agrifm.assess.estimators import stratified_estimates
from agrifm.assess.model_assisted import assisted_mean, assisted_share
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


def test_intervals_of_a_mean_hold_the_truth_of_the_whole_and_of_a_part() -> None:
    """Yields in two strata of unequal size, which the map sees with a bias and too little contrast."""
    generator = np.random.default_rng(7)
    size = np.array([16_000, 4_000])
    stratum = np.repeat([0, 1], size)
    true = np.maximum(generator.normal(6 + 2 * stratum, 1.5), 0)
    mapped = 0.6 * true + 3.5 + generator.normal(0, 0.8, 20_000)
    part = generator.random(20_000) < 0.3
    members = [np.flatnonzero(stratum == number) for number in (0, 1)]
    held, width = {}, {}
    for method, inside in (("sample", None), ("difference", None), ("regression", None), ("regression", part)):
        where = np.ones(20_000, bool) if inside is None else inside
        several = []
        for _ in range(300):
            rows = np.concatenate([generator.choice(one, 40, replace=False) for one in members])
            drawn = stratified_points(stratum[rows], size)
            domain = None if inside is None else inside[rows]
            several.append(assisted_mean(true[rows], mapped[rows], mapped[where].mean(), drawn, method, domain))
        ends = np.array([(one.low, one.high) for one in several]).T
        key = method if inside is None else "part"
        held[key] = ((ends[0] <= true[where].mean()) & (true[where].mean() <= ends[1])).mean()
        width[key] = (ends[1] - ends[0]).mean()
    assert min(held.values()) >= 0.95 - 3 * (0.95 * 0.05 / 300) ** 0.5
    assert width["regression"] < width["sample"]
    assert width["difference"] < width["sample"]


def test_a_mean_by_difference_is_that_of_the_strata_added_up() -> None:
    """Särndal et al. 1992, section 6.3, in strata: the map's mean and the weighted mean error."""
    generator = np.random.default_rng(1)
    stratum, size = np.repeat([0, 1, 2], [9, 12, 6]), np.array([50.0, 20.0, 30.0])
    true, mapped = generator.normal(5, 1, (2, 27))
    found = assisted_mean(true, mapped, 4.8, stratified_points(stratum, size), "difference")
    error = true - mapped
    parts = [(share, error[stratum == number]) for number, share in enumerate(size / size.sum())]
    assert float(found.value) == pytest.approx(4.8 + sum(share * one.mean() for share, one in parts))
    by_hand = sum(share**2 * one.var(ddof=1) / len(one) for share, one in parts) ** 0.5
    assert float(found.error) == pytest.approx(by_hand)
    with pytest.raises(AssessmentError):
        assisted_mean(true[:2], mapped[:2], 4.8, stratified_points([0, 0], [1.0]))
