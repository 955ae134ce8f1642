"""Ten weeks of one small area of the oceanic region, for the tests of what is written and of what was simulated."""

from datetime import date
from pathlib import Path

import pytest

from agrifm.season import Season
from agrifm.simulator.catalog import simulate
from agrifm.simulator.granule import Granule, Simulation
from agrifm.simulator.region import read_region

SEED, SIZE = 1, 1.2
WEEKS = Season(date(2024, 4, 1), date(2024, 6, 9))


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of the catalogue."""
    return simulate(tmp_path_factory.mktemp("simulated") / "season", size=SIZE, seed=SEED, season=WEEKS)


@pytest.fixture(scope="session")
def simulation() -> Simulation:
    """What was simulated."""
    return Simulation.of(read_region("oceanic"), SIZE, SEED, WEEKS)


@pytest.fixture(scope="session")
def granule(simulation: Simulation) -> Granule:
    """The ground that the catalogue's scenes show."""
    return simulation.granule("")
