"""The canopy against public runs of SAIL, a numerical solution of its equations, and its limits."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm

from agrifm.simulator.optics.canopy import LeafAngles, canopy_reflectance


def array(*values: float) -> NDArray[np.float32]:
    """Numbers as the model takes them, one field, (1, wavelengths)."""
    return np.array([values], np.float32)


def reflectance(
    projection: float,
    leaf: tuple[float, float],
    area: float,
    ground: float,
    directions: tuple[float, float, float],
    hot_spot: float,
) -> float:
    """One canopy at one wavelength."""
    angles = LeafAngles.between(*directions, array(projection)[0])
    seen = canopy_reflectance(array(leaf[0]), array(leaf[1]), array(ground), array(area), angles, hot_spot)
    return float(seen[0, 0])


# Python package prosail 2.0.5, foursail (its element rsot), given the leaf inclinations that follow from the first
# number: G(0), leaf reflectance, transmittance, leaf area, ground, zeniths of sun and view, azimuth, hot spot, result.
SAIL = [
    (0.75, 0.41, 0.24, 2.5, 0.05, 25.0, 25.0, 1.0, 0.10, 0.37757),
    (0.46, 0.04, 0.45, 1.0, 0.33, 57.0, 14.0, 50.0, 0.10, 0.16343),
    (0.82, 0.45, 0.38, 0.1, 0.26, 32.0, 39.0, 121.0, 0.10, 0.26877),
    (0.66, 0.15, 0.40, 0.1, 0.05, 31.0, 40.0, 22.0, 0.20, 0.05623),
    (0.53, 0.45, 0.40, 0.5, 0.36, 6.0, 46.0, 0.0, 0.05, 0.35615),
    (0.61, 0.12, 0.16, 1.0, 0.41, 15.0, 18.0, 21.0, 0.05, 0.20392),
    (0.71, 0.24, 0.36, 2.5, 0.17, 21.0, 8.0, 143.0, 0.10, 0.18187),
    (0.64, 0.13, 0.03, 1.0, 0.47, 65.0, 5.0, 151.0, 0.20, 0.13602),
    (0.58, 0.48, 0.19, 0.5, 0.29, 70.0, 40.0, 43.0, 0.05, 0.31415),
    (0.70, 0.35, 0.22, 2.5, 0.13, 29.0, 38.0, 117.0, 0.05, 0.19205),
]


@pytest.mark.parametrize("case", SAIL)
def test_canopies_agree_with_a_public_sail(case: tuple[float, ...]) -> None:
    projection, *leaf, area, ground, sun, view, azimuth, hot_spot, expected = case
    result = reflectance(projection, (leaf[0], leaf[1]), area, ground, (sun, view, azimuth), hot_spot)
    assert result == pytest.approx(expected, rel=3e-3)


def test_a_spherical_canopy_agrees_with_the_fortran_run_that_prosail_ships() -> None:
    """github.com/jgomezdans/prosail, tests/data/REFL_CAN.txt, column rsot at 500, 550, 600, 670, 700, 720 nm.

    Leaf: PROSPECT-5 of N 1.5, chlorophyll 40, carotenoids 8, water 0.01, dry matter 0.009; dry soil; leaf area 3,
    spherical, sun 30, view 10, azimuth 0, hot spot 0.01. Our nearest distribution is not quite spherical.
    """
    leaf_reflectance = array(0.04579, 0.1147, 0.06756, 0.04071, 0.1211, 0.31167)
    leaf_transmittance = array(0.01746, 0.12558, 0.07135, 0.00879, 0.14144, 0.33255)
    soil = array(0.2333, 0.2587, 0.2828, 0.321, 0.3355, 0.3469)
    angles = LeafAngles.between(30.0, 10.0, 0.0, array(0.5)[0])
    result = canopy_reflectance(leaf_reflectance, leaf_transmittance, soil, array(3), angles, 0.01)
    assert result[0] == pytest.approx([0.025576, 0.057275, 0.03757, 0.027381, 0.065402, 0.19758], rel=0.06)


@pytest.mark.parametrize("projection", [0.43, 0.5, 0.64, 0.8])
def test_leaves_project_as_the_integral_over_their_inclinations_says(projection: float) -> None:
    """G towards 50 degrees, by brute force over inclinations and orientations."""
    angles = LeafAngles.between(50.0, 0.0, 0.0, array(projection)[0])
    tilt = np.radians(np.arange(0.5, 90))[:, None]
    turn = np.radians(np.arange(0.5, 360))
    density = 1 + 3 * (np.pi / 2 * projection - 1) * np.cos(2 * tilt)
    zenith = np.radians(50)
    facing = np.abs(np.cos(tilt) * np.cos(zenith) + np.sin(tilt) * np.sin(zenith) * np.cos(turn))
    brute = (density * facing).mean() / np.cos(zenith)
    assert angles.sun[0, 0] == pytest.approx(brute, rel=3e-3)
    assert angles.view[0, 0] == pytest.approx(projection, rel=3e-3)


@pytest.mark.parametrize("area", [0.3, 1.5, 5.0])
def test_the_closed_solution_solves_the_four_equations(area: float) -> None:
    """Verhoef 1984: dE/dx = A E for sunlight, light down, light up and light seen, solved as a matrix exponential.

    Far from the hot spot (a tiny leaf) gaps seen and gaps lit are independent, as the equations assume.
    """
    r, t, ground, directions = 0.44, 0.35, 0.2, (40.0, 20.0, 100.0)
    angles = LeafAngles.between(*directions, array(0.55)[0])
    ks, ko, flat = (float(value[0, 0]) for value in (angles.sun, angles.view, angles.flat))
    seen_at_once = float(angles.back[0, 0]) * r + float(angles.forth[0, 0]) * t
    mean, turned = (r + t) / 2, flat * (r - t) / 2
    a, sigma = 1 - mean + turned, mean + turned
    # Rows: sunlight, down, up, seen; depth x rises upwards.
    matrix = area * np.array(
        [
            [ks, 0, 0, 0],
            [-(ks * mean - turned), a, -sigma, 0],
            [ks * mean + turned, sigma, -a, 0],
            [seen_at_once, ko * mean + turned, ko * mean - turned, -ko],
        ]
    )
    up = expm(matrix)
    # Unknown at the bottom: sunlight s and light down d; there light up and light seen are ground * (s + d).
    bottom = np.array([[1, 0], [0, 1], [ground, ground], [ground, ground]], float)
    s_and_d = np.linalg.solve((up @ bottom)[:2], [1, 0])
    expected = (up @ bottom @ s_and_d)[3]
    result = reflectance(0.55, (r, t), area, ground, directions, hot_spot=1e-5)
    assert result == pytest.approx(expected, rel=2e-3)


def test_without_leaves_one_sees_the_ground() -> None:
    assert reflectance(0.5, (0.4, 0.4), 0, 0.23, (40, 10, 60), 0.1) == pytest.approx(0.23, abs=1e-6)


def test_a_deep_canopy_hides_the_ground_and_grows_no_brighter() -> None:
    light, dark = (reflectance(0.5, (0.45, 0.4), 25, ground, (40, 10, 60), 1e-5) for ground in (0.6, 0.0))
    assert light == pytest.approx(dark, abs=2e-4)
    assert reflectance(0.5, (0.45, 0.4), 50, 0.0, (40, 10, 60), 1e-5) == pytest.approx(dark, rel=1e-3)


def test_where_the_sun_is_in_the_back_every_gap_seen_is_lit() -> None:
    """Black leaves: the ground shows through exp(-k L) of the canopy, not through its square."""
    angles = LeafAngles.between(35.0, 35.0, 0.0, array(0.5)[0])
    gap = float(np.exp(-angles.sun[0, 0] * 2))
    assert reflectance(0.5, (0, 0), 2, 0.3, (35, 35, 0), 0.1) == pytest.approx(0.3 * gap, rel=1e-3)
    assert reflectance(0.5, (0, 0), 2, 0.3, (35, 35, 180), 0.01) == pytest.approx(0.3 * gap**2, rel=0.03)


def test_white_leaves_on_white_ground_send_back_all_light() -> None:
    """Reflectance over all views, weighted by their projection, is the albedo; nothing is absorbed here."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    cosines = 0.5 * (nodes + 1)
    zeniths, azimuths = np.meshgrid(np.degrees(np.arccos(cosines)), np.arange(5, 360, 10))
    angles = LeafAngles.between(40.0, zeniths.ravel(), azimuths.ravel(), np.full(zeniths.size, 0.5, np.float32))
    white = np.ones((zeniths.size, 1), np.float32)
    seen = canopy_reflectance(0.55 * white, 0.445 * white, white, 1.5 * white, angles, 1e-5)
    albedo = (seen.reshape(zeniths.shape).mean(axis=0) * weights * cosines).sum()
    assert albedo == pytest.approx(1, abs=0.02)


def test_azimuths_are_alike_on_both_sides_and_after_a_full_turn() -> None:
    results = [reflectance(0.5, (0.4, 0.3), 2, 0.1, (40, 30, azimuth), 0.1) for azimuth in (70, -70, 290, 430)]
    assert results == pytest.approx([results[0]] * 4, rel=1e-5)
