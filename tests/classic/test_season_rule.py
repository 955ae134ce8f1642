"""The naive rule: one threshold on one number of the season."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from agrifm.classic.indices import rule_numbers
from agrifm.classic.season_rule import SeasonRule, fit_season_rule
from agrifm.classic.training_rows import Shape, TrainingRows
from agrifm.record import SensorInput

SENSOR = SensorInput(
    sensor="sentinel-2",
    bands=("B04", "B08", "B11"),
    quantity="surface reflectance",
    scale=1e-4,
    resolution=10,
)


def training(rows: np.ndarray, classes: np.ndarray) -> TrainingRows:
    return TrainingRows(rows.astype(np.float32), classes.astype(np.uint8), np.ones(len(rows)), np.arange(len(rows)))


def test_the_numbers_are_of_the_curve_of_the_season() -> None:
    """Worked by hand: NDVI 0.2 and 0.6; LSWI of the first date (0.3 - 0.1) / 0.4 = 0.5."""
    values = np.array([[0.2, 0.3, 0.1], [0.1, 0.4, 0.2]], np.float32)[:, :, None]
    names, found = rule_numbers([values], [SENSOR], np.array([10, 40]))
    assert len(names) == 4
    np.testing.assert_allclose(found[0], [0.6, 0.4, 40, 0.3], rtol=1e-5)


def test_a_sensor_without_greenness_has_the_mean_of_its_first_band() -> None:
    radar = SensorInput(sensor="radar", bands=("VV",), quantity="backscatter (dB)", scale=1e-2, resolution=10)
    names, found = rule_numbers([np.array([-12, -8], np.float32)[:, None, None]], [radar], np.array([1, 2]))
    assert len(names) == 1
    assert found.tolist() == [[-10.0]]


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_on_either_column_has_a_higher_macro_f1(seed: int) -> None:
    """Oracle: scikit-learn's macro F1 of every threshold and direction, one by one."""
    generator = np.random.default_rng(seed)
    classes = (generator.random(60) < 0.3).astype(int)
    rows = generator.normal(0, 1, (60, 2)) + classes[:, None] * np.array([0.5, -1.0])
    rule = fit_season_rule(training(rows, classes), 0)
    found = f1_score(classes, rule.probabilities(rows.astype(np.float32)).argmax(axis=1), average="macro")
    each = [
        f1_score(classes, (column >= at) == above, average="macro")
        for column in rows.T
        for at in column
        for above in (False, True)
    ]
    assert found == pytest.approx(max(each), abs=1e-6)


def test_a_stored_rule_is_the_same_and_another_state_is_refused() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (40, 3))
    rule = fit_season_rule(training(rows, rows[:, 1] > 0.5), 0)
    assert rule.column == 1
    again = SeasonRule.of(rule.state(), Shape(3, 2))
    np.testing.assert_array_equal(again.probabilities(rows.astype("f4")), rule.probabilities(rows.astype("f4")))
    with pytest.raises(ValueError, match="column"):
        SeasonRule.of({**rule.state(), "column": 3}, Shape(3, 2))
