"""What masks miss and invent; bits and classes by the providers' handbooks, written out here once more."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from agrifm.season import Season
from agrifm.simulator.acquisition.cloud_masks import (
    CloudMasks,
    MaskBands,
    detect_clouds,
    landsat_quality,
    scene_classes,
)
from agrifm.simulator.acquisition.orbits import overpasses
from agrifm.simulator.acquisition.sky import Sky, SkyClimate, sky_at

PASS = overpasses("sentinel-2", Season(date(2024, 6, 1), date(2024, 6, 15)), 1.71, 46.9)[0]
CLIMATE = SkyClimate(cloud=(0.55,) * 12, cirrus=0.1, aerosol=0.15, lost=0)
X, Y = np.arange(0, 6000, 60.0)[None] + 5e5, np.arange(0, 6000, 60.0)[:, None] + 5.2e6


def meadow(shape: tuple[int, int] = (100, 100), **other: float) -> MaskBands:
    values = {"blue": 0.04, "green": 0.08, "red": 0.05, "infrared": 0.4, "swir": 0.2, **other}
    return MaskBands(**{name: np.full(shape, value, np.float32) for name, value in values.items()})


def days(count: int) -> list[tuple[Sky, CloudMasks]]:
    result = []
    for day in range(19000, 19000 + count):
        overpass = replace(PASS, day=day)
        sky = sky_at(CLIMATE, 0, overpass, X, Y)
        result.append((sky, detect_clouds(sky, 0, overpass, X, Y, meadow())))
    return result


@pytest.fixture(scope="module")
def many() -> list[tuple[Sky, CloudMasks]]:
    return days(60)


def test_masks_miss_and_invent_a_little(many: list[tuple[Sky, CloudMasks]]):
    """Sen2Cor and Fmask miss 2 to 15 % of cloudy pixels and invent 1 to 8 % (CMIX, Skakun et al. 2022)."""
    cloudy = np.array([sky.cloud > 0.3 for sky, _ in many])
    clear = np.array([sky.cloud <= 0 for sky, _ in many])
    called = np.array([found.cloud for _, found in many])
    assert 0.002 < np.mean(~called[cloudy]) < 0.15
    assert 0.0001 < np.mean(called[clear]) < 0.08


def test_shadows_are_found_for_the_most_part(many: list[tuple[Sky, CloudMasks]]):
    shaded = np.array([(sky.shadow > 1) & (sky.cloud < 0) for sky, _ in many])
    called = np.array([found.shadow for _, found in many])
    free = np.array([sky.shadow < 0 for sky, _ in many])
    assert 0.6 < np.mean(called[shaded]) < 0.99
    assert np.mean(called[free]) == 0


def test_classes_exclude_each_other(many: list[tuple[Sky, CloudMasks]]):
    for _, found in many:
        kinds = np.stack([found.cloud, found.cirrus, found.shadow, found.doubtful]).sum(0)
        assert kinds.max() <= 1
        assert (found.cloud | ~found.thick).all()


def test_bright_roofs_and_soils_are_taken_for_clouds():
    overpass = replace(PASS, day=19007)
    clear = Sky(*(np.full((100, 100), value, np.float32) for value in (-3, -3, 0, 0)))
    assert np.mean(detect_clouds(clear, 0, overpass, X, Y, meadow(blue=0.3)).cloud) > 0.9
    some = np.mean(detect_clouds(clear, 0, overpass, X, Y, meadow(blue=0.17)).cloud)
    assert some < 0.5
    assert np.mean(detect_clouds(clear, 0, overpass, X, Y, meadow()).cloud) < 0.01


def nothing(shape: tuple[int, int]) -> CloudMasks:
    return CloudMasks(*(np.zeros(shape, bool) for _ in range(5)))


@pytest.mark.parametrize(
    ("colours", "expected"),
    [
        ({}, 4),
        ({"red": 0.2, "infrared": 0.28}, 5),
        ({"green": 0.06, "infrared": 0.02, "swir": 0.01}, 6),
        ({"red": 0.02, "green": 0.03, "infrared": 0.05, "swir": 0.04}, 2),
    ],
)
def test_clear_ground_is_vegetation_bare_water_or_dark(colours: dict[str, float], expected: int):
    """SCL: 2 dark, 4 vegetation, 5 not vegetated, 6 water (Sentinel-2 Level-2A ATBD)."""
    assert (scene_classes(nothing((2, 2)), meadow((2, 2), **colours)) == expected).all()


def test_scl_names_what_was_found():
    """SCL: 3 cloud shadow, 7 unclassified, 8 and 9 cloud of medium and high probability, 10 thin cirrus."""
    found = nothing((1, 5))
    for column, names in enumerate((["cloud"], ["cloud", "thick"], ["cirrus"], ["shadow"], ["doubtful"])):
        for name in names:
            getattr(found, name)[0, column] = True
    assert scene_classes(found, meadow((1, 5))).tolist() == [[8, 9, 10, 3, 7]]


def test_landsat_flags_are_the_guides_bits_and_clouds_are_dilated():
    """Bits 0 fill, 1 dilated cloud, 2 cirrus, 3 cloud, 4 shadow, 6 clear, 7 water (Collection 2 product guide)."""
    found = nothing((1, 24))
    found.cloud[0, 0], found.shadow[0, 10], found.cirrus[0, 12] = True, True, True
    colours = meadow((1, 24))
    colours.infrared[0, 20], colours.swir[0, 20], colours.green[0, 20] = 0.02, 0.01, 0.05
    bits = [[bit for bit in range(8) if value >> bit & 1] for value in landsat_quality(found, colours)[0].tolist()]
    assert 3 in bits[0]
    assert all(1 in bits[place] and 3 not in bits[place] for place in (1, 2, 3))
    assert bits[4] == [6]
    assert 4 in bits[10]
    assert 2 in bits[12]
    assert 7 in bits[20]
    assert not any(0 in own for own in bits)
