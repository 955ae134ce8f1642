"""The estimators against the paper's worked example, brute force, and cases computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrifm.assess.estimators import stratified_estimates
from agrifm.errors import AssessmentError

# Olofsson et al. 2014, section 5: deforestation, forest gain, stable forest, stable non-forest (Table 8),
# mapped areas in pixels of 30 m.
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = np.array([200e3, 150e3, 3.2e6, 6.45e6])


def test_areas_are_those_of_the_published_example():
    """Deforestation 235,086 pixels +/- 68,418, in hectares 21,158 +/- 6,158; the other classes in hectares."""
    pixels = stratified_estimates(COUNTS, PIXELS).area
    assert pixels.value[0] == pytest.approx(235_086, abs=1)
    assert (pixels.high - pixels.low)[0] / 2 == pytest.approx(68_418, abs=1)

    hectares = stratified_estimates(COUNTS, PIXELS * 0.09).area
    assert hectares.value == pytest.approx([21_158, 11_686, 285_770, 581_386], abs=1)
    assert (hectares.high - hectares.low) / 2 == pytest.approx([6_158, 3_756, 15_510, 16_282], abs=1)


def test_accuracies_are_those_of_the_published_example():
    """Overall 0.95 +/- 0.02; user's 0.88 +/- 0.07, 0.73 +/- 0.10 ...; producer's 0.75 +/- 0.21, 0.85 ..."""
    found = stratified_estimates(COUNTS, PIXELS)
    assert round(float(found.overall.value), 2) == 0.95
    assert round(float(1.96 * found.overall.error), 2) == 0.02
    assert list(found.users.value.round(2)) == [0.88, 0.73, 0.93, 0.96]
    assert list((1.96 * found.users.error).round(2)) == [0.07, 0.10, 0.04, 0.02]
    assert list(found.producers.value.round(2)) == [0.75, 0.85, 0.93, 0.96]
    assert round(float(1.96 * found.producers.error[0]), 2) == 0.21


def test_accuracies_are_those_of_the_earlier_paper():
    """Olofsson et al. 2013 (Remote Sensing of Environment 129), Table 4: producer's accuracy 0.48 and 0.99."""
    counts = [[97, 0, 3], [3, 279, 18], [2, 1, 97]]
    found = stratified_estimates(counts, [22_353, 1_122_543, 610_228])
    assert list(found.users.value.round(2)) == [0.97, 0.93, 0.97]
    assert list(found.producers.value[:2].round(2)) == [0.48, 0.99]
    assert round(float(found.overall.value), 2) == 0.94


def test_two_classes_agree_with_a_calculation_by_hand():
    """10 ha with 3 of 4 right, 30 ha with 4 of 5 right: area of class 0 is 10 * 3/4 + 30 * 1/5 = 13.5 ha."""
    found = stratified_estimates([[3, 1], [1, 4]], [10, 30])
    assert found.area.value == pytest.approx([13.5, 26.5])
    error = (100 * 0.75 * 0.25 / 3 + 900 * 0.2 * 0.8 / 4) ** 0.5
    assert found.area.error == pytest.approx([error, error])
    assert float(found.overall.value) == pytest.approx((7.5 + 24) / 40)
    assert float(found.overall.error) == pytest.approx(error / 40)
    producer = 7.5 / 13.5
    spread = 100 * (1 - producer) ** 2 * 0.75 * 0.25 / 3 + producer**2 * 900 * 0.2 * 0.8 / 4
    assert found.producers.value[0] == pytest.approx(producer)
    assert found.producers.error[0] == pytest.approx(spread**0.5 / 13.5)


def draw_counts(generator, population, points):
    """Counts of points drawn per stratum from shares of a population (map class, reference class)."""
    shares = population / population.sum(1, keepdims=True)
    return np.stack([generator.multinomial(n, share) for n, share in zip(points, shares, strict=True)])


def test_intervals_hold_the_true_value_in_95_of_100_simulated_samples():
    """2000 samples from a known population; the tolerance is four binomial standard errors (0.0195)."""
    population = np.array([[80.0, 12, 8], [30, 250, 20], [40, 60, 500]])
    generator, points, draws = np.random.default_rng(8), (150, 200, 300), 2000
    truth = {
        "area": population.sum(0),
        "users": np.diagonal(population) / population.sum(1),
        "producers": np.diagonal(population) / population.sum(0),
        "overall": np.trace(population) / population.sum(),
    }
    inside = {name: np.zeros(np.shape(value)) for name, value in truth.items()}
    for _ in range(draws):
        found = stratified_estimates(draw_counts(generator, population, points), population.sum(1))
        for name, value in truth.items():
            estimate = getattr(found, name)
            inside[name] += (estimate.low <= value) & (value <= estimate.high)
    tolerance = 4 * (0.95 * 0.05 / draws) ** 0.5
    for name, number in inside.items():
        assert number / draws == pytest.approx(0.95, abs=tolerance), name


def test_estimates_are_unbiased_and_errors_match_their_spread():
    population = np.array([[70.0, 30], [25, 275]])
    generator = np.random.default_rng(1)
    found = [
        stratified_estimates(draw_counts(generator, population, (40, 60)), population.sum(1)).area for _ in range(4000)
    ]
    areas, errors = np.array([e.value for e in found]), np.array([e.error for e in found])
    spread = areas.std(0)
    assert abs(areas.mean(0) - population.sum(0)).max() < 4 * spread.max() / 4000**0.5
    # the sample variance of 4000 normal numbers has a relative error of sqrt(2 / 4000)
    assert (errors**2).mean(0) == pytest.approx(spread**2, rel=4 * (2 / 4000) ** 0.5)


tables = st.integers(1, 5).flatmap(
    lambda size: st.tuples(
        st.lists(st.lists(st.integers(0, 50), min_size=size, max_size=size), min_size=size, max_size=size),
        st.lists(st.floats(0.01, 1e7), min_size=size, max_size=size),
    )
).filter(lambda table: all(sum(row) >= 2 for row in table[0]))  # fmt: skip


@given(tables)
def test_areas_sum_to_the_mapped_total(table):
    counts, mapped = table
    assert stratified_estimates(counts, mapped).area.value.sum() == pytest.approx(sum(mapped))


@given(tables, st.floats(0.001, 1000))
def test_other_units_scale_areas_and_leave_accuracies_alone(table, factor):
    counts, mapped = table
    one, other = stratified_estimates(counts, mapped), stratified_estimates(counts, np.array(mapped) * factor)
    assert other.area.value == pytest.approx(one.area.value * factor)
    assert other.area.error == pytest.approx(one.area.error * factor)
    for name in ("overall", "users", "producers"):
        a, b = getattr(one, name), getattr(other, name)
        assert b.value == pytest.approx(a.value, nan_ok=True)
        assert b.error == pytest.approx(a.error, nan_ok=True, abs=1e-12)


@given(st.lists(st.tuples(st.integers(2, 99), st.floats(0.1, 1e6)), min_size=1, max_size=6))
def test_a_perfect_map_has_no_error(strata):
    points, mapped = zip(*strata, strict=True)
    found = stratified_estimates(np.diag(points), mapped)
    assert found.area.value == pytest.approx(np.array(mapped))
    assert float(found.overall.value) == pytest.approx(1)
    for estimate in (found.overall, found.users, found.producers, found.area):
        assert not estimate.error.any()


@given(tables, st.randoms())
def test_the_order_of_the_classes_does_not_matter(table, random):
    counts, mapped = np.array(table[0]), np.array(table[1])
    order = list(range(len(mapped)))
    random.shuffle(order)
    one, other = stratified_estimates(counts, mapped), stratified_estimates(counts[np.ix_(order, order)], mapped[order])
    assert other.area.error == pytest.approx(one.area.error[order])
    assert other.producers.error == pytest.approx(one.producers.error[order], nan_ok=True, abs=1e-12)


def test_intervals_are_not_clipped():
    found = stratified_estimates([[2, 0], [1, 9]], [1.0, 100.0])
    assert found.area.low[0] < 0
    assert found.users.high[1] > 1


def test_a_reference_class_that_the_map_lacks_has_no_users_accuracy():
    found = stratified_estimates([[8, 2], [0, 0]], [50, 0])
    assert found.area.value == pytest.approx([40, 10])
    assert np.isnan(found.users.value[1])
    assert np.isnan(found.users.error[1])
    assert found.producers.value[1] == 0


def test_a_reference_class_without_points_has_no_producers_accuracy():
    found = stratified_estimates([[5, 0], [4, 0]], [50, 20])
    assert found.area.value == pytest.approx([70, 0])
    assert np.isnan(found.producers.value[1])
    assert np.isnan(found.producers.error[1])
    assert found.users.value[1] == 0


@pytest.mark.parametrize("points", [0, 1])
def test_a_map_class_with_less_than_two_points_is_refused_by_name(points):
    with pytest.raises(AssessmentError, match=r"20\.00 ha") as error:
        stratified_estimates([[5, 1], [0, points]], [50, 20], ["wheat", "maize"])
    assert error.value.facts == {"name": "maize", "points": points}
    assert "agrifm assess design" in str(error.value)


def test_a_class_whose_every_pixel_is_a_point_has_no_sampling_error():
    found = stratified_estimates([[5, 1], [1, 0]], [50, 0.01], complete=[False, True])
    assert found.area.value == pytest.approx([50 * 5 / 6 + 0.01, 50 / 6])
    assert found.users.error[1] == 0


def test_points_in_a_class_without_mapped_area_are_refused():
    with pytest.raises(AssessmentError) as error:
        stratified_estimates([[5, 0], [0, 3]], [50, 0], ["wheat", "rice"])
    assert error.value.facts == {"name": "rice", "points": 3}


def test_a_map_without_any_class_is_refused():
    with pytest.raises(AssessmentError, match="no pixel"):
        stratified_estimates([[0]], [0])
