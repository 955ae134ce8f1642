"""Pixels of the pretraining world."""

import numpy as np
import pytest

from agrifm.simulator.world.footprints import draw_footprints
from agrifm.simulator.world.places import draw_place


def test_coarse_pixels_show_less_of_their_field():
    main: dict[str, list[float]] = {"sentinel-2": [], "landsat": [], "modis": []}
    for number in range(20):
        place = draw_place(0, number, 12)
        for sensor, weights in draw_footprints(np.random.default_rng(number), place).items():
            assert weights.sum(axis=1) == pytest.approx(np.ones(12), abs=1e-5)
            main[sensor].extend(np.diag(weights))
    means = {sensor: np.mean(values) for sensor, values in main.items()}
    assert means["sentinel-2"] > means["landsat"] > means["modis"] + 0.2
