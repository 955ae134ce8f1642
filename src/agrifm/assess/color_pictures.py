"""Colour pictures of reflectance: which bands are red, green and blue, and how bright they are."""

from agrifm.classic.indices import band_roles
from agrifm.cube.store import SensorCube

PICTURES = (
    ("True colour", ("red", "green", "blue")),
    ("False colour", ("nir", "swir16", "red")),
    ("False colour", ("nir", "red", "green")),
)
"""Names of pictures, and the bands that are red, green and blue in them; the first of each name that a sensor has."""
TAILS = (2, 98)
"""Percentiles of reflectance that are black and full brightness."""
GAMMA = 0.7
"""Exponent of brightness, so that dark fields differ from each other too."""


def picture_kinds(sensor: SensorCube) -> list[tuple[str, tuple[str, str, str]]]:
    """Return the kinds of pictures that a sensor has the bands for."""
    roles = band_roles(sensor.input).keys()
    kinds: dict[str, tuple[str, str, str]] = {}
    for name, bands in PICTURES:
        if set(bands) <= roles:
            kinds.setdefault(name, bands)
    return list(kinds.items())
