"""Cohen's kappa: printed numbers, other implementations, designs, and how often its interval holds the truth."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from agrifm.assess.kappa import design_kappa, kappa_of_points
from agrifm.assess.point_estimators import stratified_points

PUBLISHED = [
    # PubMed Central 2648993, table 2: kappa 0.906, asymptotic standard error 0.092
    ([[7, 1, 0], [0, 8, 0], [0, 0, 2]], 0.906, 0.092),
    # Agresti, "Categorical Data Analysis", section 10.5: two pathologists on 118 slides, 0.493 and 0.057
    ([[22, 2, 2, 0], [5, 7, 14, 0], [0, 2, 36, 0], [0, 1, 17, 10]], 0.493, 0.057),
]


def labels(table):
    """Class numbers of both interpreters, from counts."""
    return np.repeat(np.indices(np.shape(table)).reshape(2, -1), np.ravel(table), axis=1)


@pytest.mark.parametrize(("table", "value", "error"), PUBLISHED)
def test_published_kappas_and_their_standard_errors(table, value, error):
    found = kappa_of_points(*labels(table), len(table))
    assert (round(float(found.value), 3), round(float(found.error), 3)) == (value, error)
    assert found.low < found.value < found.high <= 1


@pytest.mark.parametrize("seed", range(8))
def test_other_implementations_agree(seed):
    """statsmodels has the variance of Fleiss, Cohen and Everitt (1969)."""
    generator = np.random.default_rng(seed)
    classes = 2 + seed % 4
    table = generator.multinomial(40 + 30 * seed, generator.dirichlet(np.ones(classes**2))).reshape(classes, classes)
    found, theirs = kappa_of_points(*labels(table), classes), cohens_kappa(table)
    assert float(found.value) == pytest.approx(cohen_kappa_score(*labels(table)))
    assert float(found.error) == pytest.approx(theirs.std_kappa)


def population(generator, sizes=(6000, 2000, 400)):
    """Stratum, and labels of two interpreters who differ more in some strata than in others."""
    stratum = np.repeat(np.arange(3), sizes)
    first = np.where(generator.random(len(stratum)) < 0.85, stratum, generator.integers(3, size=len(stratum)))
    differs = generator.random(len(stratum)) < np.array([0.05, 0.3, 0.2])[stratum]
    return stratum, first, np.where(differs, generator.integers(3, size=len(stratum)), first)


def test_the_error_is_that_of_a_jackknife():
    """Kappa of scikit-learn with weights, each point left out once within its stratum (Lohr 2019, section 9.3.2)."""
    generator = np.random.default_rng(4)
    stratum, first, second = population(generator)
    sizes = np.array([6000.0, 2000.0, 400.0])
    chosen = np.concatenate([generator.choice(np.flatnonzero(stratum == one), 80, replace=False) for one in range(3)])
    stratum, first, second = stratum[chosen], first[chosen], second[chosen]
    variance = 0.0
    for one in range(3):
        without = []
        for left_out in np.flatnonzero(stratum == one):
            kept = np.arange(240) != left_out
            weights = (sizes / np.bincount(stratum[kept]))[stratum[kept]]
            without.append(cohen_kappa_score(first[kept], second[kept], sample_weight=weights))
        variance += 79 / 80 * float(((np.array(without) - np.mean(without)) ** 2).sum())
    found = design_kappa(first, second, 3, stratified_points(stratum, sizes))
    assert float(found.error) == pytest.approx(np.sqrt(variance), rel=0.03)


@pytest.mark.check
def test_points_count_by_the_area_that_they_stand_for():
    """Kappa, its mean and its standard error over 1,500 stratified samples against the kappa of every pixel."""
    generator = np.random.default_rng(3)
    stratum, first, second = population(generator)
    truth = cohen_kappa_score(first, second)
    found, equal, hits = [], [], 0
    for _ in range(1500):
        chosen = np.concatenate(
            [generator.choice(np.flatnonzero(stratum == one), 50, replace=False) for one in range(3)]
        )
        drawn = stratified_points(stratum[chosen], [6000.0, 2000.0, 400.0])
        kappa = design_kappa(first[chosen], second[chosen], 3, drawn)
        found.append((float(kappa.value), float(kappa.error)))
        equal.append(float(kappa_of_points(first[chosen], second[chosen], 3).value))
        hits += float(kappa.low) <= truth <= float(kappa.high)
    values, errors = np.array(found).T
    assert values.mean() == pytest.approx(truth, abs=0.005)
    assert abs(np.mean(equal) - truth) > 0.02  # points of small strata count too much
    assert errors.mean() == pytest.approx(values.std(), rel=0.08)
    assert hits >= 0.935 * 1500


def test_equally_likely_points_have_one_kappa():
    one, other = labels(PUBLISHED[1][0])
    found = design_kappa(one, other, 4, stratified_points(np.zeros(118, int), [55.0]))
    plain = kappa_of_points(one, other, 4)
    assert float(found.value) == pytest.approx(float(plain.value))
    # the formula divides by n, the estimate for a sample by n - 1
    assert float(found.error) == pytest.approx(float(plain.error) * np.sqrt(118 / 117))


def test_interpreters_who_never_differ_are_not_said_to_be_equal():
    same = np.repeat([0, 1], [20, 10])
    for found in (kappa_of_points(same, same, 2), design_kappa(same, same, 2, stratified_points(same, [1.0, 3.0]))):
        assert (float(found.value), float(found.high)) == (1, 1)
        assert 0.4 < float(found.low) < 0.95


def test_one_class_has_no_kappa():
    assert np.isnan(float(kappa_of_points([1, 1, 1], [1, 1, 1], 2).value))


@pytest.mark.check
@pytest.mark.parametrize("points", [60, 150])
@pytest.mark.parametrize("right", [0.6, 0.85, 0.95])
@pytest.mark.parametrize("shares", [(0.6, 0.3, 0.1), (0.85, 0.1, 0.05), (0.25,) * 4])
def test_the_interval_covers(points, right, shares):
    """2,000 tables each; the interval of 1.96 standard errors holds the truth in 85 to 95 % of them."""
    generator = np.random.default_rng(1)
    classes = len(shares)
    joint = np.array(shares)[:, None] * (np.full((classes, classes), (1 - right) / classes) + np.eye(classes) * right)
    chance = float(joint.sum(axis=1) @ joint.sum(axis=0))
    truth = (np.trace(joint) - chance) / (1 - chance)
    hits = 0
    for _ in range(2000):
        table = generator.multinomial(points, joint.ravel()).reshape(classes, classes)
        found = kappa_of_points(*labels(table), classes)
        hits += float(found.low) <= truth <= float(found.high)
    assert hits >= 0.925 * 2000


def test_kappa_with_an_interpreter_of_one_class_is_zero_with_an_interval():
    first, second = [0, 1, 2] * 4, [0] * 12
    found = kappa_of_points(first, second, 3)
    assert float(found.value) == pytest.approx(cohen_kappa_score(first, second))
    assert -1 < found.low < 0 < found.high < 1
