"""Estimators of points against the worked example of Stehman 2014, published change, and simulated populations."""

import numpy as np
import pytest
from scipy.stats import beta

from agrifm.assess.estimators import stratified_estimates
from agrifm.assess.intervals import design_interval, korn_graubard_interval
from agrifm.assess.point_estimators import (
    area_matrix,
    cautious_variances,
    estimate_change,
    point_estimates,
    ratio_of_totals,
    stratified_points,
)
from agrifm.errors import AssessmentError


def numbers(letters: str) -> np.ndarray:
    return np.array(["ABCD".index(letter) for letter in letters.replace(" ", "")])


# Stehman 2014, table 2: 40 points of the strata A to D, class of the map and of the reference.
STRATUM = numbers("AAAAAAAAAA BBBBBBBBBB CCCCCCCCCC DDDDDDDDDD")
MAPPED = numbers("AAAAAAABBB ABBBBBBBBB BBCCCCCCBB DDDDDDDDDD")
REFERENCE = numbers("AAAAACBABC ABBBBBAABB CCCCCDDBBA DDDDDDDCCB")
SIZE = np.array([40_000, 30_000, 20_000, 10_000.0])


@pytest.mark.parametrize(
    ("units", "overall", "area", "users", "producers"),
    [
        (
            SIZE,
            0.08464219,
            [0.08224780, 0.07585307, 0.06427977, 0.03072223],
            [0.16454202, 0.12478225, 0.21511194, 0.15267613],
            [0.14771010, 0.11654791, 0.15041083, 0.16227967],
        ),
        (
            None,
            0.08465617,
            [0.08225975, 0.07586538, 0.06429101, 0.03073181],
            [0.16456275, 0.12480228, 0.21516574, 0.15275252],
            [0.14773180, 0.11656715, 0.15044379, 0.16232419],
        ),
    ],
    ids=["corrected", "not corrected"],
)
def test_the_published_example_of_strata_that_are_not_classes(units, overall, area, users, producers) -> None:
    found = point_estimates(MAPPED, REFERENCE, 4, stratified_points(STRATUM, SIZE, units))
    assert float(found.overall.value) == pytest.approx(0.63)
    assert float(found.overall.error) == pytest.approx(overall, abs=1e-8)
    assert found.area.value / SIZE.sum() == pytest.approx([0.35, 0.34, 0.20, 0.11])
    assert found.area.error / SIZE.sum() == pytest.approx(area, abs=1e-8)
    assert found.users.value == pytest.approx([0.74193548, 0.57446809, 0.50, 0.70], abs=1e-8)
    assert found.users.error == pytest.approx(users, abs=1e-8)
    assert found.producers.value == pytest.approx([0.65714286, 0.79411765, 0.30, 0.63636364], abs=1e-8)
    assert found.producers.error == pytest.approx(producers, abs=1e-8)


def test_the_published_matrix_of_area_shares() -> None:
    shares = area_matrix(MAPPED, REFERENCE, 4, stratified_points(STRATUM, SIZE))
    expected = [[0.23, 0.04, 0.04, 0], [0.12, 0.27, 0.08, 0], [0, 0.02, 0.06, 0.04], [0, 0.01, 0.02, 0.07]]
    assert shares == pytest.approx(np.array(expected))


def test_where_the_strata_are_the_maps_classes_it_is_the_estimator_of_olofsson() -> None:
    generator = np.random.default_rng(0)
    counts = np.array([[30, 4, 2], [5, 40, 5], [1, 2, 12]])
    mapped_ha = np.array([120.0, 300, 45])
    pairs = [(i, j) for i in range(3) for j in range(3) for _ in range(counts[i, j])]
    i, j = generator.permutation(pairs).T
    found, expected = point_estimates(i, j, 3, stratified_points(i, mapped_ha)), stratified_estimates(counts, mapped_ha)
    for name in ("overall", "users", "producers", "f1", "area"):
        assert getattr(found, name).value == pytest.approx(getattr(expected, name).value)
        assert getattr(found, name).error == pytest.approx(getattr(expected, name).error)


def test_the_interval_of_korn_and_graubard_of_a_small_share() -> None:
    """OpenMRV's disturbance: share .0230653, standard error .00371743, so an effective sample of 1630.6."""
    low, high = korn_graubard_interval(0.02306530, 0.00371743, 535)
    assert (low, high) == (pytest.approx(0.01634, abs=5e-6), pytest.approx(0.03157, abs=5e-6))


def test_an_interval_is_never_of_width_zero() -> None:
    assert korn_graubard_interval(0.0, 0.0, 20) == (0, pytest.approx(0.16843, abs=5e-6))  # Clopper and Pearson
    assert korn_graubard_interval(1.0, 0.0, 50) == (pytest.approx(0.92888, abs=5e-6), 1)


def test_many_points_have_the_interval_of_jeffreys_and_few_the_exact_one() -> None:
    """Of 29 points 1 agrees: Jeffreys gives .001 to .148 (Brown, Cai, DasGupta 2001, table 5: n 29, x 1)."""
    few = design_interval(1 / 29, (1 / 29 * 28 / 29 / 29) ** 0.5, 29)
    assert few == korn_graubard_interval(1 / 29, (1 / 29 * 28 / 29 / 29) ** 0.5, 29)
    assert few == (pytest.approx(0.00087, abs=5e-6), pytest.approx(0.17764, abs=5e-6))  # Clopper and Pearson
    # 50 points, 25 of them: .366 to .634; with the error of 25 points twice as many, that of 50
    for error in (0.5 / 50**0.5, 0.5 / 25**0.5 / 2**0.5):
        low, high = design_interval(0.5, error, 25)
        assert (low, high) == (pytest.approx(0.3644, abs=5e-4), pytest.approx(0.6356, abs=5e-4))


def test_f1_has_the_interval_of_the_points_that_are_right_or_wrong() -> None:
    """Of 10 points with the class on map or ground 8 have it on both: 80 %, so F1 is 1.6 / 1.8."""
    mapped, reference = np.repeat([1, 1, 0], [8, 1, 1]), np.repeat([1, 0, 1], [8, 1, 1])
    found = point_estimates(mapped, reference, 2, stratified_points(np.zeros(10), [100.0])).f1
    assert found.value[1] == pytest.approx(8 / 9)
    # the standard error of 80 % of 10 is that of a simple random sample of 9, of which 7.2 have the property
    ends = np.array([beta.ppf(0.025, 7.2, 2.8), beta.ppf(0.975, 8.2, 1.8)])
    assert [found.low[1], found.high[1]] == pytest.approx(2 * ends / (1 + ends))


def test_a_stratum_whose_counted_points_agree_may_have_missed_one() -> None:
    """4 of 10 points are counted and agree: of 4 counted, 0.5 / 5 may be wrong, so 0.4 x 0.1 x 0.9 of all."""
    residual, counted = np.array([0.1] * 4 + [0.0] * 6), np.array([1.0] * 4 + [0.0] * 6)
    stratum, none, points = np.zeros(10, int), np.zeros(10), np.array([10])
    variance = np.array([0.00267])
    assert cautious_variances(variance, residual, counted, stratum, points) == pytest.approx([0.036])
    assert cautious_variances(none[:1], none, none, stratum, points) == pytest.approx([0.5 / 11 * (1 - 0.5 / 11)])
    differing = np.array([0.1, 0.1, 0.1, -0.9] + [0.0] * 6)
    assert cautious_variances(np.array([0.09]), differing, counted, stratum, points) == pytest.approx([0.09])


def test_points_of_unequal_weight_count_as_fewer() -> None:
    """Kish: weights 1 and 3 of ten points each count as (10 + 30)^2 / (10 + 90) = 16 points."""
    drawn = stratified_points(np.repeat([0, 1], 10), [10.0, 30.0])
    assert drawn.independent(np.ones(20, bool)) == 16
    assert drawn.independent(np.arange(20) < 10) == 10


SUDAN = {(0, 0): 661, (1, 1): 285, (1, 0): 185, (0, 1): 65}
"""Points of five states of Sudan by class in 2022 and in 2023: 0 other land, 1 crop."""


def test_change_between_two_seasons_is_paired() -> None:
    """Of 1196 points 185 lost and 65 won the crop: -120 / 1196, with the error of the paired difference."""
    before, after = np.array([pair for pair, count in SUDAN.items() for _ in range(count)]).T
    change = estimate_change(before, after, 2, stratified_points(np.zeros(1196, int), [1196.0]))
    assert change.transitions.value == pytest.approx(np.array([[661, 65], [185, 285]]))
    assert change.net.value == pytest.approx([120, -120])
    difference = after - before
    assert change.net.error == pytest.approx(difference.std(ddof=1) * 1196**0.5)
    separate = np.hypot(before.std(ddof=1), after.std(ddof=1)) * 1196**0.5
    assert (change.net.error < 0.75 * separate).all()


def test_unequal_strata_are_estimated_without_bias_and_errors_match_their_spread() -> None:
    """Strata of another number than classes, and of unequal points, of a known population."""
    generator = np.random.default_rng(3)
    size = np.array([5000, 3000, 400, 1600, 90])
    stratum = np.repeat(np.arange(5), size)
    reference = generator.choice(3, len(stratum), p=[0.6, 0.3, 0.1])
    reference[stratum == 2] = generator.choice(3, 400, p=[0.1, 0.1, 0.8])
    mapped = np.where(generator.random(len(stratum)) < 0.8, reference, generator.choice(3, len(stratum)))
    true_area = np.bincount(reference, minlength=3)
    true_producers = np.array([(mapped == reference)[reference == c].mean() for c in range(3)])
    areas, area_errors, producers, inside, draws = [], [], [], np.zeros(3), 400
    for _ in range(draws):
        rows = np.concatenate([
            generator.choice(np.flatnonzero(stratum == number), points, replace=False)
            for number, points in enumerate((120, 60, 40, 30, 15))
        ])  # fmt: skip
        found = point_estimates(mapped[rows], reference[rows], 3, stratified_points(stratum[rows], size))
        areas.append(found.area.value)
        area_errors.append(found.area.error)
        producers.append(found.producers.value)
        inside += (found.area.low <= true_area) & (true_area <= found.area.high)
    spread = np.std(areas, axis=0)
    assert (np.abs(np.mean(areas, axis=0) - true_area) < 4 * spread / draws**0.5).all()
    assert np.mean(area_errors, axis=0) == pytest.approx(spread, rel=0.15)
    assert np.mean(producers, axis=0) == pytest.approx(true_producers, abs=0.02)
    assert (inside / draws >= 0.935 - 4 * (0.95 * 0.05 / draws) ** 0.5).all()


def test_a_class_that_nobody_has_is_not_a_number() -> None:
    found = ratio_of_totals(np.zeros(4), np.zeros(4), stratified_points([0, 0, 1, 1], [1.0, 2.0]))
    assert np.isnan([found.value, found.error, found.low, found.high]).all()


@pytest.mark.parametrize(
    ("stratum", "size", "name", "points"),
    [([0, 0, 1], [1.0, 1.0], "forest", 1), ([0, 0, 1, 1], [1.0, 0.0], "forest", 2)],
)
def test_strata_without_points_or_without_area_are_refused(stratum, size, name, points) -> None:
    with pytest.raises(AssessmentError) as error:
        stratified_points(stratum, size, names=("crop", "forest"))
    assert error.value.facts == {"name": name, "points": points}


def test_where_all_points_agree_the_interval_is_like_that_of_olofsson() -> None:
    """Jeffreys' intervals of the strata, combined, know that a class that is all right can only lose; these do not."""
    mapped = np.repeat([0, 1, 2], [12, 30, 60])
    size = np.array([10.0, 20, 15])
    found = point_estimates(mapped, mapped, 3, stratified_points(mapped, size))
    other = stratified_estimates(np.diag([12, 30, 60]), size)
    assert found.area.error == pytest.approx(0, abs=1e-9)
    for end in ("low", "high"):
        width, expected = (np.abs(getattr(one.area, end) - size) for one in (found, other))
        assert (width > 0.4 * expected).all()
        assert (width < 3 * expected).all()


def test_shares_that_rounding_lifts_above_one_have_an_interval() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        stratum = np.repeat([0, 1, 2], generator.integers(3, 40, 3))
        found = ratio_of_totals(
            np.ones(len(stratum)), np.ones(len(stratum)), stratified_points(stratum, generator.random(3))
        )
        assert found.value == pytest.approx(1)
        assert 0 < found.low < found.high == 1


def test_a_census_of_every_stratum_has_no_width() -> None:
    stratum, units = np.repeat([0, 1], [4, 6]), np.array([4.0, 6.0])
    found = ratio_of_totals(np.arange(10) % 2, np.ones(10), stratified_points(stratum, units, units))
    assert (found.low, found.error, found.high) == (found.value, 0, found.value)


def test_a_net_change_that_no_point_shows_has_an_interval() -> None:
    same = np.repeat([0, 1], [40, 60])
    net = estimate_change(same, same, 2, stratified_points(same, [40.0, 60.0])).net
    assert net.value.tolist() == [0, 0]
    assert (net.low < -0.1).all()
    assert (net.high > 0.1).all()
