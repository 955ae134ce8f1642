"""The ground: dry, moist, under straw and under water."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agrifm.simulator.optics.soil import SoilOptics, shade

WAVELENGTHS = [490.0, 560.0, 665.0, 865.0, 1610.0, 2200.0]
SOIL = SoilOptics.at(WAVELENGTHS)


def ground(moisture: float, brightness: float = 1, residue: float = 0, flood: float = 0) -> NDArray[np.float32]:
    """One ground at the wavelengths above."""
    parts = (np.array([value], np.float32) for value in (moisture, brightness, residue, flood))
    return SOIL.reflectance(*parts)[0]


def test_dry_soil_is_its_tabled_spectrum_times_its_brightness() -> None:
    assert ground(0, 1.2) == pytest.approx(1.2 * SOIL.dry, rel=1e-6)


@given(st.floats(0, 0.95), st.floats(0.02, 0.05), st.floats(0, 1))
def test_moisture_darkens_soil_and_straw_at_every_wavelength(moisture: float, more: float, residue: float) -> None:
    assert (ground(moisture + more, residue=residue) < ground(moisture, residue=residue)).all()


def test_wet_soil_is_half_as_bright_and_darker_where_water_absorbs() -> None:
    """Lobell and Asner 2002: saturation about halves visible reflectance; 2200 nm falls most."""
    kept = ground(1) / ground(0)
    assert 0.4 < kept[2] < 0.65
    assert kept[5] < kept[4] < kept[3]


def test_the_first_moisture_darkens_more_than_the_last() -> None:
    assert (ground(0) - ground(0.3) > ground(0.7) - ground(1)).all()


def test_straw_and_not_soil_absorbs_at_2100_nm_like_cellulose() -> None:
    """Cellulose absorption index (Daughtry 2001): 0.5 (R2000 + R2200) - R2100 in percent, positive for straw."""
    soil = SoilOptics.at([2000.0, 2100.0, 2200.0])
    none, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    straw, bare = (soil.reflectance(none, one, cover, none)[0] for cover in (one, none))
    assert 0.5 * (straw[0] + straw[2]) - straw[1] > 0.02
    assert 0.5 * (bare[0] + bare[2]) - bare[1] < 0.005


def test_parts_of_the_ground_mix_by_their_areas() -> None:
    assert ground(0.3, residue=1) == pytest.approx(
        SOIL.wet_residue + (SOIL.residue - SOIL.wet_residue) * np.exp(-0.3 * SOIL.rate), rel=1e-5
    )
    assert ground(0.3, residue=0.25) == pytest.approx(0.75 * ground(0.3) + 0.25 * ground(0.3, residue=1), rel=1e-5)
    assert ground(0.3, flood=1) == pytest.approx(SOIL.water, abs=1e-6)
    assert ground(0.3, flood=0.4) == pytest.approx(0.6 * ground(0.3) + 0.4 * SOIL.water, rel=1e-5)


def test_soil_shows_most_shadow_against_a_low_sun() -> None:
    assert shade(45, 0, 0) == pytest.approx(1)
    assert shade(20, 0, 0) > 1 > shade(70, 0, 0) > 0.7
    forth, down, back = shade(45, 30, 180), shade(45, 0, 0), shade(45, 30, 0)
    assert forth < down < back
    assert [shade(45, 10, azimuth) for azimuth in (0, 90, 180)] == pytest.approx([1] * 3, abs=0.03)
    assert shade(89, 60, 180) == pytest.approx(0.6)


def test_no_shadows_are_visible_in_the_direction_of_the_sun() -> None:
    """Roujean et al. 1992: with the sun in the back no shadow shows; f1 = tan^2 / 2 - 2 tan / pi by hand."""
    slope = np.tan(np.radians(40))
    expected = (1 + 0.15 * (slope**2 / 2 - 2 * slope / np.pi)) / (1 - 0.15 * 2 / np.pi)
    assert shade(40, 40, 0) == pytest.approx(expected, rel=1e-6)


def test_shade_darkens_soil_and_straw_but_not_water() -> None:
    none, half = np.zeros(1, np.float32), np.full(1, 0.5, np.float32)
    args = (none, none + 1, half)
    assert SOIL.reflectance(*args, none, 0.8) == pytest.approx(0.8 * SOIL.reflectance(*args, none), rel=1e-6)
    assert SOIL.reflectance(*args, none + 1, 0.8)[0] == pytest.approx(SOIL.water, abs=1e-6)
