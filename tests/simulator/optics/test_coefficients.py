"""The table of coefficients is complete, sourced and physical."""

import numpy as np
import pytest

from agrifm.simulator.optics.coefficients import constant, read_coefficients, spectrum

TABLE = read_coefficients()
CURVES = [
    (section, name)
    for section, entries in TABLE.items()
    for name, value in entries.items()
    if isinstance(value, list) and name != "wavelength"
]
SHARES = {"dry", "saturated", "reflectance"}


@pytest.mark.parametrize("section", TABLE)
def test_every_section_names_its_source_and_how_it_is_known(section: str) -> None:
    assert TABLE[section]["known"] in {"read", "recalled", "fitted"}
    assert len(TABLE[section]["source"]) > 20


@pytest.mark.parametrize(("section", "name"), CURVES)
def test_wavelengths_of_curves_increase_and_cover_the_solar_range(section: str, name: str) -> None:
    wavelengths, values = np.array(TABLE[section]["wavelength"]), np.array(TABLE[section][name])
    assert wavelengths.shape == values.shape
    assert (np.diff(wavelengths) > 0).all()
    assert wavelengths[0] <= 400
    assert wavelengths[-1] >= 2450
    assert (values >= 0).all()
    assert name not in SHARES or values.max() < 1


def test_a_curve_is_interpolated_and_constant_beyond_its_ends() -> None:
    first, second = TABLE["soil"]["dry"][:2]
    at = spectrum("soil", "dry", [300.0, 400.0, 425.0, 450.0])
    assert at == pytest.approx([first, first, (first + second) / 2, second])
    assert constant("leaf_constants", "cone") == 40
