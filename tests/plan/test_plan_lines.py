"""What a plan says to people."""

import pytest

from agrifm.plan.forecast import SensorForecast, StepForecast
from agrifm.plan.plan_lines import plan_lines, size_words, time_words
from agrifm.plan.prices import Prices
from agrifm.plan.project_plan import ProjectPlan


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0"), (999, "999 B"), (14e9, "14 GB"), (9.24e9, "9.2 GB"), (350_400_000, "350 MB"), (2.5e12, "2.5 TB")],
)
def test_sizes_are_short(size: float, words: str) -> None:
    assert size_words(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(40, "40 s"), (720, "12 min"), (9000, "2.5 h"), (36000, "10 h"), (3 * 86400, "3 days")],
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert time_words(seconds) == words


def test_the_second_line_says_what_is_needed_and_the_third_what_it_costs() -> None:
    steps = (
        StepForecast("fetch", 7000, 14 * 10**9, 0, 9 * 10**9, 0, 10**9, 7000.0, 3600.0),
        StepForecast("map", 0, 0, 9 * 10**9, 10**8, 5 * 10**8, 2 * 10**9, 3600.0, 3600.0),
    )
    sensor = SensorForecast("sentinel-2", ("p",), {"2024-05": 6}, {"2024-05": 6}, {"2024-05": 2.5}, 0, 0, 6, 9 * 10**9)
    prices = Prices(currency="EUR", per_gb_moved=1, per_gb_month=0, per_core_hour=0, per_request=0)
    lines = plan_lines(ProjectPlan(("2024-05-01", "2024-05-31"), 1e5, (sensor,), steps, 1, 2, (), prices))
    assert "14 GB of download, 9.6 GB of disk, 2.0 GB of memory, about 2.0 h" in lines[1]
    assert "14.00 EUR" in lines[2]
    assert any(line.split()[:1] == ["sentinel-2"] and line.split()[-1:] == ["6"] for line in lines)
    assert any(line.split()[-1:] == ["2.5"] for line in lines)
