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
NORMAL = 1.959964
"""Quantile of the normal distribution that some packages use for the papers' 1.96."""


def test_a_users_accuracy_of_few_points_has_the_exact_interval() -> None:
    """Six of six are right: Clopper and Pearson's begins at .025^(1/6) = .541; 20 of 40 have Jeffreys', from .350."""
    users = stratified_estimates([[6, 0], [20, 20]], [30.0, 70.0]).users
    assert (users.low[0], users.high[0]) == (pytest.approx(0.5407, abs=5e-5), 1)
    assert (users.low[1], users.high[1]) == (pytest.approx(0.350, abs=1e-3), pytest.approx(0.650, abs=1e-3))


def test_areas_are_those_of_the_published_example():
    """Deforestation 235,086 pixels +/- 68,418, in hectares 21,158 +/- 6,158; the other classes in hectares."""
    pixels = stratified_estimates(COUNTS, PIXELS).area
    assert pixels.value[0] == pytest.approx(235_086, abs=1)
    assert 1.96 * pixels.error[0] == pytest.approx(68_418, abs=1)

    hectares = stratified_estimates(COUNTS, PIXELS * 0.09).area
    assert hectares.value == pytest.approx([21_158, 11_686, 285_770, 581_386], abs=1)
    assert 1.96 * hectares.error == pytest.approx([6157.634, 3755.826, 15_509.836, 16_281.656], abs=0.001)


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
    assert float(found.overall.value) == pytest.approx(0.9444168, abs=1e-7)
    assert found.area.value == pytest.approx([45_112.40, 1_050_067.27, 659_944.33], abs=0.005)
    assert 1.96 * found.area.error == pytest.approx([21_072.75, 34_598.0, 36_526.3], abs=0.05)
    assert NORMAL * found.users.error == pytest.approx([0.03360292, 0.02892031, 0.03360292], abs=1e-8)
    assert NORMAL * found.producers.error == pytest.approx([0.22453045, 0.01132522, 0.04120541], abs=1e-7)


def test_accuracies_are_those_of_the_earlier_papers_second_example():
    found = stratified_estimates([[127, 66, 54], [2, 322, 17], [0, 15, 540]], [0.007, 0.295, 0.698])
    assert found.users.value == pytest.approx([0.51417, 0.94428, 0.97297], abs=5e-6)
    assert found.producers.value == pytest.approx([0.67535, 0.93072, 0.97664], abs=1e-5)
    assert NORMAL * found.users.error == pytest.approx([0.06246, 0.02438, 0.01350], abs=5e-6)
    assert NORMAL * found.producers.error == pytest.approx([0.30458, 0.02938, 0.00960], abs=5e-6)


def test_a_buffer_around_disturbance_is_a_stratum():
    """OpenMRV's example of Colombia: forest, other land, disturbance, and a buffer that the reference does not have."""
    counts = [[271, 3, 1, 0], [6, 193, 1, 0], [2, 1, 27, 0], [23, 0, 7, 0]]
    found = stratified_estimates(counts, [0.551, 0.407, 0.0137, 0.0287])
    # the weights sum to 1.0004
    assert found.area.value[:3] == pytest.approx([0.57811212, 0.39922258, 0.02306530], abs=1e-8)
    assert found.area.error[:3] == pytest.approx([0.00675197, 0.00634656, 0.00371743], abs=1e-8)
    assert float(found.overall.value) * 1.0004 == pytest.approx(0.9480705, abs=1e-7)
    assert found.users.value[:3] == pytest.approx([0.98545, 0.965, 0.9], abs=5e-6)
    assert found.producers.value[:3] == pytest.approx([0.93924, 0.98380, 0.53457], abs=5e-6)


# Cropland of Sudan, nasaharvest/crop-mask (Apache-2.0): pixels of crop and other, points (map other: other, crop; map
# crop: other, crop), hectares in all, hectares of crop and half of its interval, as the notebooks print them.
SUDAN = [
    ((41324727, 338066188), (151, 5, 14, 20), 3722486.33, 344825.07, 114436.55),
    ((44429693, 334961222), (157, 6, 14, 13), 3722486.33, 330870.98, 126852.23),
    ((156205424, 641092690), (265, 12, 18, 16), 7822789.75, 993735.10, 301577.83),
    ((151713058, 645589960), (325, 8, 19, 20), 7822736.06, 915522.91, 258550.11),
    ((36499980, 195607757), (89, 2, 6, 5), 2277401.57, 204968.84, 124883.25),
    ((37112692, 194995045), (89, 2, 6, 5), 2277401.57, 207569.36, 126444.71),
]


@pytest.mark.parametrize(("pixels", "points", "total", "crop", "half"), SUDAN)
def test_hectares_are_those_of_real_maps_of_cropland(pixels, points, total, crop, half):
    counts = np.array(points).reshape(2, 2)[::-1, ::-1]  # crop first
    found = stratified_estimates(counts, np.array(pixels) * total / sum(pixels))
    assert found.area.value[0] == pytest.approx(crop, rel=1e-6)
    assert 1.96 * found.area.error[0] == pytest.approx(half, rel=1e-6)


def test_two_classes_agree_with_a_calculation_by_hand():
    """10 ha with 3 of 4 right, 30 ha with 4 of 5 right: area of class 0 is 10 * 3/4 + 30 * 1/5 = 13.5 ha."""
    found = stratified_estimates([[3, 1], [1, 4]], [10, 30])
    assert found.area.value == pytest.approx([13.5, 26.5])
    error = (100 * 0.75 * 0.25 / 3 + 900 * 0.2 * 0.8 / 4) ** 0.5
    assert found.area.error == pytest.approx([error, error])
    assert float(found.overall.value) == pytest.approx((7.5 + 24) / 40)
    assert float(found.overall.error) == pytest.approx(error / 40)
    assert found.f1.value[0] == pytest.approx(2 * 7.5 / (10 + 13.5))
    producer = 7.5 / 13.5
    spread = 100 * (1 - producer) ** 2 * 0.75 * 0.25 / 3 + producer**2 * 900 * 0.2 * 0.8 / 4
    assert found.producers.value[0] == pytest.approx(producer)
    assert found.producers.error[0] == pytest.approx(spread**0.5 / 13.5)


def draw_counts(generator, population, points):
    """Counts of points drawn per stratum from shares of a population (map class, reference class)."""
    shares = population / population.sum(1, keepdims=True)
    return np.stack([generator.multinomial(n, share) for n, share in zip(points, shares, strict=True)])


POPULATIONS = {
    "many points": ([[80.0, 12, 8], [30, 250, 20], [40, 60, 500]], (150, 200, 300), 800),
    "a class that the map omits": ([[45.0, 5], [50, 9900]], (50, 500), 400),
    "a rare class in a large one": ([[9.0, 1, 0], [0.5, 95, 4.5], [0.5, 20, 900]], (50, 50, 200), 400),
    "a map nearly without errors": ([[99.5, 0.5], [0.3, 299.7]], (60, 140), 400),
    "a map without errors": ([[100.0, 0], [0, 300]], (60, 140), 20),
    "few points": ([[30.0, 10, 5], [5, 60, 5], [2, 3, 90]], (10, 10, 20), 400),
}


@pytest.mark.parametrize(("population", "points", "draws"), POPULATIONS.values(), ids=list(POPULATIONS))
def test_intervals_hold_the_true_value_in_95_of_100_simulated_samples(population, points, draws):
    """At least 93.5 %, less four binomial standard errors of the draws; with many points at most 96.5 % and those."""
    population = np.array(population)
    generator = np.random.default_rng(8)
    mapped, true, right = population.sum(1), population.sum(0), np.diagonal(population)
    truth = {
        "area": true,
        "users": right / mapped,
        "producers": right / true,
        "f1": 2 * right / (mapped + true),
        "overall": right.sum() / population.sum(),
    }
    inside = {name: np.zeros(np.shape(value)) for name, value in truth.items()}
    for _ in range(draws):
        found = stratified_estimates(draw_counts(generator, population, points), mapped)
        for name, value in truth.items():
            estimate = getattr(found, name)
            # a class without reference points does not have a producer's accuracy
            inside[name] += ((estimate.low <= value) & (value <= estimate.high)) | np.isnan(estimate.value)
            assert (estimate.low < estimate.high)[~np.isnan(estimate.value)].all()
    tolerance = 4 * (0.95 * 0.05 / draws) ** 0.5
    for name, number in inside.items():
        assert (number / draws >= 0.935 - tolerance).all(), name
        if points == (150, 200, 300):
            assert (number / draws <= 0.965 + tolerance).all(), name


def test_estimates_are_unbiased_and_errors_match_their_spread():
    population = np.array([[70.0, 30], [25, 275]])
    generator = np.random.default_rng(1)
    found = [
        stratified_estimates(draw_counts(generator, population, (40, 60)), population.sum(1)).area for _ in range(2000)
    ]
    areas, errors = np.array([e.value for e in found]), np.array([e.error for e in found])
    spread = areas.std(0)
    assert abs(areas.mean(0) - population.sum(0)).max() < 4 * spread.max() / 2000**0.5
    # the sample variance of 2000 normal numbers has a relative error of sqrt(2 / 2000)
    assert (errors**2).mean(0) == pytest.approx(spread**2, rel=4 * (2 / 2000) ** 0.5)


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


@given(tables)
def test_intervals_hold_their_values_and_stay_within_the_possible(table):
    counts, mapped = table
    found = stratified_estimates(counts, mapped)
    scales = {"overall": 1.0, "users": 1.0, "producers": 1.0, "f1": 1.0, "area": sum(mapped)}
    for name, most in scales.items():
        estimate, rounding = getattr(found, name), 1e-9 * most
        known = ~np.isnan(estimate.value)
        value, low, high = (
            np.atleast_1d(part)[np.atleast_1d(known)] for part in (estimate.value, estimate.low, estimate.high)
        )
        assert (-rounding <= low).all()
        assert (low <= value + rounding).all()
        assert (value <= high + rounding).all()
        assert (high <= most + rounding).all()


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
    assert found.users.low[1] == found.users.high[1] == 0


def test_points_in_a_class_without_mapped_area_are_refused():
    with pytest.raises(AssessmentError) as error:
        stratified_estimates([[5, 0], [0, 3]], [50, 0], ["wheat", "rice"])
    assert error.value.facts == {"name": "rice", "points": 3}


def test_a_map_without_any_class_is_refused():
    with pytest.raises(AssessmentError, match="no pixel"):
        stratified_estimates([[0]], [0])
