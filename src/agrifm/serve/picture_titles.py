"""What sensors and greenness are called on the page, and the colours of greenness."""

from functools import cache

import numpy as np

from agrifm.cube.store import SensorCube
from agrifm.pictures import RGBA
from agrifm.sensors import SENSORS

GREENNESS_KEY = "ndvi"
STEPS = 100
"""Colours between a greenness of 0 and of 1."""


def sensor_title(sensor: SensorCube) -> str:
    """What the sensor of a cube is called."""
    return title_of(sensor.input.sensor)


def title_of(name: str) -> str:
    """What a sensor of this name is called."""
    return SENSORS[name].title if name in SENSORS else name


@cache
def greenness_colors() -> tuple[RGBA, ...]:
    """Colours of greenness from 0, sand, to 1, dark green, and at last that of nothing (ColorBrewer's YlGn)."""
    from matplotlib import colormaps

    table = colormaps["YlGn"](np.linspace(0, 1, STEPS + 1), bytes=True).tolist()
    return (*((int(r), int(g), int(b), int(a)) for r, g, b, a in table), (0, 0, 0, 0))
