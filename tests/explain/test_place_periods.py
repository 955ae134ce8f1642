"""What decided one pixel, against a model whose answer follows from one band of the last step."""

import numpy as np
import pytest
from tests.explain.test_write_explanation import JuneModel
from tests.toy import SEASON, toy_project

from agrifm.cube.store import open_cube
from agrifm.explain.place_periods import explain_place
from agrifm.season import day_date, day_number


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    return open_cube(toy_project(tmp_path_factory.mktemp("toy")).cube)


def answer_of(nir):
    middle = np.array([0.46, 0.14, 0.3])
    scores = np.exp(-((nir - middle) ** 2) / 0.005)
    return scores / scores.sum()


@pytest.mark.parametrize(("row", "col"), [(5, 100), (100, 60), (191, 191), (3, 188)])
def test_only_the_month_that_the_model_reads_has_an_effect(cube, row, col):
    sensor = cube.sensors["sentinel-2"]
    seen = sensor.stored("valid", (slice(None), row, col)).astype(bool)
    nir = sensor.stored("values", (slice(None), 1, row, col)) * 1e-4
    days, last = sensor.date, SEASON.steps(4)[-1]  # the day that the model reads
    whole = answer_of(np.interp(last, days[seen], nir[seen]))
    before_june = seen & (days < day_number(SEASON.end.replace(day=1)))
    without = answer_of(np.interp(last, days[before_june], nir[before_june]))

    found = explain_place(JuneModel(), cube, row, col)
    codes = JuneModel().record.legend.codes
    assert found.code == codes[whole.argmax()]
    assert found.probability == pytest.approx(whole.max(), abs=1e-5)
    assert [(one.start.month, one.end.month) for one in found.periods] == [(4, 4), (5, 5), (6, 6)]
    assert found.periods[-1].end == SEASON.end
    april, may, june = (one.effect for one in found.periods)
    assert june == pytest.approx(whole.max() - without[whole.argmax()], abs=1e-5)
    assert abs(june) > 1e-4
    assert found.periods[-1].other == codes[without.argmax()]
    assert april == pytest.approx(0, abs=1e-6)
    assert may == pytest.approx(0, abs=1e-6)
    assert day_date(int(days[seen][-1])).month == 6


def test_a_pixel_that_was_never_observed_has_no_answer(cube):
    assert explain_place(JuneModel(), cube, 1, 1) is None
