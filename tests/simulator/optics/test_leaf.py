"""Leaves against a public PROSPECT, classical optics and the conservation of energy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expn

from agrifm.simulator.optics.leaf import LeafOptics, plate_transmission, surface_transmission

WAVELENGTHS = [450, 490, 560, 665, 705, 740, 783, 865, 1240, 1613, 2200]
# Reflectance and transmittance by the Python package prosail 2.0.5, run_prospect(prospect_version="D"), carotenoids a
# quarter of chlorophyll, no anthocyanins: (structure, chlorophyll, water, dry matter, brown).
PROSPECT_D = {
    (1.5, 40, 0.010, 0.009, 0.0): (
        [0.0411, 0.0426, 0.1411, 0.0378, 0.1784, 0.4057, 0.4423, 0.4421, 0.4116, 0.3026, 0.1547],
        [0.0009, 0.0075, 0.1407, 0.0098, 0.1928, 0.4345, 0.4748, 0.4742, 0.4664, 0.3877, 0.2531],
    ),
    (1.2, 60, 0.020, 0.005, 0.0): (
        [0.0410, 0.0403, 0.0803, 0.0349, 0.1057, 0.3478, 0.4014, 0.4009, 0.3537, 0.2204, 0.0937],
        [0.0001, 0.0026, 0.1217, 0.0035, 0.1756, 0.4861, 0.5494, 0.5484, 0.5195, 0.3945, 0.2419],
    ),
    (2.2, 10, 0.005, 0.012, 0.0): (
        [0.0956, 0.1553, 0.3805, 0.1595, 0.4115, 0.5163, 0.5256, 0.5256, 0.5037, 0.4062, 0.2358],
        [0.0242, 0.0584, 0.2254, 0.0711, 0.2639, 0.3565, 0.3672, 0.3668, 0.3687, 0.3172, 0.2026],
    ),
    (1.8, 0, 0.002, 0.008, 1.0): (
        [0.1516, 0.1722, 0.2015, 0.2925, 0.3358, 0.3730, 0.4112, 0.4593, 0.4769, 0.4091, 0.2696],
        [0.0944, 0.1135, 0.1455, 0.2375, 0.2788, 0.3168, 0.3552, 0.4003, 0.4399, 0.4129, 0.3191],
    ),
}


def array(*values: float) -> NDArray[np.float32]:
    """Numbers as the model takes them."""
    return np.array(values, np.float32)


@pytest.mark.parametrize("leaf", PROSPECT_D)
def test_leaves_agree_with_a_public_prospect(leaf: tuple[float, ...]) -> None:
    structure, chlorophyll, water, dry_matter, brown = leaf
    reflectance, transmittance = LeafOptics.at(WAVELENGTHS).scattering(
        array(chlorophyll), array(water), array(dry_matter), array(structure), brown
    )
    # The public table has steps of 1 nm, ours of 5 to 50 nm.
    assert reflectance[0] == pytest.approx(PROSPECT_D[leaf][0], abs=0.005)
    assert transmittance[0] == pytest.approx(PROSPECT_D[leaf][1], abs=0.005)


@given(st.floats(0, 100), st.floats(0.001, 0.06), st.floats(0.001, 0.03), st.floats(1, 3), st.floats(0, 3))
def test_a_leaf_sends_out_no_more_light_than_it_receives(
    chlorophyll: float, water: float, dry_matter: float, structure: float, brown: float
) -> None:
    reflectance, transmittance = LeafOptics.at(np.arange(400, 2451, 10).tolist()).scattering(
        array(chlorophyll), array(water), array(dry_matter), array(structure), brown
    )
    assert (reflectance > 0).all()
    assert (transmittance >= 0).all()
    assert (reflectance + transmittance < 1).all()


def test_a_leaf_that_hardly_absorbs_loses_hardly_any_light() -> None:
    reflectance, transmittance = LeafOptics.at([800.0]).scattering(array(0), array(1e-5), array(1e-5), array(1.7))
    assert (reflectance + transmittance)[0, 0] == pytest.approx(1, abs=2e-3)


def test_one_plate_follows_from_the_repeated_reflections_within_it() -> None:
    """N = 1: rays bounce between the two surfaces; the series is summed term by term."""
    optics = LeafOptics.at([560.0])
    reflectance, transmittance = optics.scattering(array(30), array(0.01), array(0.005), array(1))
    entering, leaving = optics.cone_in[0], optics.everywhere_out[0]
    observed_through = plate_transmission(array(30, 0.01, 0.005) @ optics.absorption[:3])[0]
    overpasses = entering * observed_through * ((1 - leaving) * observed_through) ** np.arange(60)
    assert transmittance[0, 0] == pytest.approx((overpasses[0::2] * leaving).sum(), abs=1e-4)
    assert reflectance[0, 0] == pytest.approx(1 - entering + (overpasses[1::2] * leaving).sum(), abs=1e-4)


def test_surfaces_reflect_diffuse_light_as_tabled_for_glass_and_water() -> None:
    """Judd (1942): 9.18 % of diffuse light for an index of 1.5; 6.6 % for water; Fresnel: 4 % of a vertical ray."""
    assert 1 - surface_transmission(90, np.array([1.5, 1.333])) == pytest.approx([0.0918, 0.066], abs=5e-4)
    assert 1 - surface_transmission(0.01, np.array([1.5])) == pytest.approx([0.04], abs=1e-6)


def test_transmission_of_a_plate_is_twice_the_third_exponential_integral() -> None:
    absorption = np.geomspace(1e-6, 12, 5000)
    assert plate_transmission(absorption.astype(np.float32)) == pytest.approx(2 * expn(3, absorption), abs=2e-6)
    assert plate_transmission(array(0))[0] == pytest.approx(1, abs=1e-6)
    assert plate_transmission(array(500))[0] < 1e-6
