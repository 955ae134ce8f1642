"""Bidirectional reflectance of a canopy above the ground: SAIL (Verhoef 1984, 1985; Verhoef et al. 2007).

A canopy is a flat layer of small leaves at random positions, whose inclinations follow a distribution. Leaves and the
ground scatter light between four fluxes: sunlight, diffuse light downwards and upwards, and light to the observer. The
four coupled equations have a closed solution. If the directions of sun and observer are close, the gaps that are seen
are also lit: the hot spot (Kuusk 1985). The leaf inclination t has the density (2/pi) (1 + a cos 2t), a in -1 (erect)
to 1 (flat), so the projection towards the zenith is G(0) = (2/pi) (1 + a/3). Clumped leaves have the effect of a
smaller leaf area (Nilson 1971).
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float32]
Angle = float | NDArray[np.floating]

INCLINATIONS = np.radians(np.arange(2.5, 90, 5))
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
VIGOUR_LEVELS, LEVEL_WEIGHTS = (0.5 * (_NODES + 1)).astype(np.float32), (0.5 * _WEIGHTS).astype(np.float32)
"""Nodes and weights of Gauss-Legendre quadrature between 0 and 1."""


@dataclass(frozen=True)
class LeafAngles:
    """Leaf angles relative to the sun and the observer; every array (fields, 1), float32."""

    sun: Numbers
    """Extinction coefficient of sunlight: leaf area projected towards the sun, per area of ground."""
    view: Numbers
    """The same coefficient towards the observer."""
    flat: Numbers
    """Mean squared cosine of the inclination: 1 = all leaves are horizontal."""
    back: Numbers
    """Weight of leaf reflectance in single scattering of sunlight to the observer."""
    forth: Numbers
    """Weight of leaf transmittance in single scattering of sunlight to the observer."""
    apart: Numbers
    """Distance between the directions of sun and observer: horizontal distance per unit of height."""

    @classmethod
    def between(
        cls, sun_zenith: Angle, view_zenith: Angle, relative_azimuth: Angle, projection: Numbers
    ) -> "LeafAngles":
        """Leaf angles for directions in degrees, single or (fields,), and leaf projections G(0), (fields,)."""
        sun, view = np.radians(sun_zenith), np.radians(view_zenith)
        azimuth = np.radians(np.abs((np.asarray(relative_azimuth) + 180) % 360 - 180))
        slant_sun, slant_view = np.tan(sun), np.tan(view)
        apart = np.sqrt(np.maximum(slant_sun**2 + slant_view**2 - 2 * slant_sun * slant_view * np.cos(azimuth), 0))
        # The density is linear in its parameter a (`shape`), so every mean over inclinations is too.
        shape = np.clip(3 * (np.pi / 2 * projection - 1), -1, 1)
        tilt = INCLINATIONS[:, None]
        parts = np.stack(np.broadcast_arrays(*_one_inclination(tilt, sun, view, azimuth)))
        even, tilted = parts.mean(axis=1), (parts * np.cos(2 * tilt)).mean(axis=1)
        means = np.maximum(even + tilted * shape, 0).astype(np.float32)[:, :, None]
        flat = (0.5 + 0.25 * shape).astype(np.float32)[:, None]
        wide = np.broadcast_to(np.reshape(apart, (-1, 1)).astype(np.float32), flat.shape)
        return cls(means[0], means[1], flat, means[2], means[3], wide)

    def take(self, rows: slice) -> "LeafAngles":
        """The angles of some fields."""
        return LeafAngles(*(getattr(self, field.name)[rows] for field in fields(self)))

    def both_gaps(self, area: Numbers, hot_spot: float) -> tuple[Numbers, Numbers]:
        """Leaf area, and share of the ground, both seen and lit; (fields, 1), for leaf areas (fields, 1).

        Args:
            hot_spot: width of a leaf as a share of the canopy's height.
        """
        fade = np.maximum(0.5 * (self.sun + self.view) * area, np.float32(1e-6))
        common = np.sqrt(self.sun * self.view) * area
        decay = np.clip(self.apart / hot_spot * 2 / (self.sun + self.view), 1e-4, 1e4)
        # Nodes are even in 1 - exp(-fade * depth): the integrand is smooth there, near the hot spot and far from it.
        deepest = -np.expm1(-fade)
        left = 1 - deepest * VIGOUR_LEVELS
        depth = -np.log(left) / fade
        visible = left * np.exp(-common * np.expm1(-decay * depth) / decay) * LEVEL_WEIGHTS
        leaves = area * deepest / fade * visible.sum(axis=1, keepdims=True)
        return leaves, np.exp(-2 * fade - common * np.expm1(-decay) / decay)


def _one_inclination(
    t: NDArray[np.float64], sun: Angle, view: Angle, azimuth: Angle
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Projections to sun and observer, and scattering between them, of leaves with inclination t and random azimuth.

    Verhoef 1984 (SAIL): integrals over the leaf azimuth in closed form; all angles in radians.
    """
    turn_sun, amplitude_sun, projected_sun, level_sun, slope_sun = _towards(t, sun)
    turn_view, amplitude_view, projected_view, level_view, slope_view = _towards(t, view)
    # Azimuths at which leaves turn edge-on to sun or observer limit the intervals of integration.
    first = np.abs(turn_sun - turn_view)
    last = np.pi - np.abs(turn_sun + turn_view - np.pi)
    low, middle, high = np.sort(np.stack(np.broadcast_arrays(azimuth, first, last)), axis=0)
    level = 2 * level_sun * level_view + slope_sun * slope_view * np.cos(azimuth)
    cross = np.sin(middle) * (2 * amplitude_sun * amplitude_view + slope_sun * slope_view * np.cos(low) * np.cos(high))
    scale = 1 / (2 * np.pi * np.cos(sun) * np.cos(view))
    back, forth = ((np.pi - middle) * level + cross) * scale, (cross - middle * level) * scale
    return projected_sun / np.cos(sun), projected_view / np.cos(view), back, forth


def _towards(t: NDArray[np.float64], zenith: Angle) -> tuple[NDArray[np.float64], ...]:
    """Azimuth at which leaves of inclination t turn edge-on to a direction, amplitude, projection and its two terms."""
    # The cosine of incidence is level + slope * cos(azimuth); only steep leaves turn edge-on.
    level, slope = np.cos(t) * np.cos(zenith), np.sin(t) * np.sin(zenith)
    edge = np.abs(slope) > np.abs(level)
    turn = np.where(edge, np.arccos(np.clip(-level / np.where(edge, slope, 1), -1, 1)), np.pi)
    projected = 2 / np.pi * ((turn - np.pi / 2) * level + np.sin(turn) * slope)
    return turn, np.where(edge, slope, level), projected, level, slope


def canopy_reflectance(
    leaf_reflectance: Numbers,
    leaf_transmittance: Numbers,
    ground: Numbers,
    area: Numbers,
    angles: LeafAngles,
    hot_spot: float,
) -> Numbers:
    """Bidirectional reflectance factor of a canopy on the ground, (fields, wavelengths).

    Args:
        leaf_reflectance, leaf_transmittance, ground: (fields, wavelengths).
        area: effective leaf area, m2 per m2, (fields, 1).
        hot_spot: width of a leaf as a share of the canopy's height.
    """
    r, t, ks, ko = leaf_reflectance, leaf_transmittance, angles.sun, angles.view
    # Scattering coefficients: diffuse to diffuse (back, forth), sun to diffuse, diffuse to observer, sun to observer.
    total, turned = 0.5 * (r + t), 0.5 * angles.flat * (r - t)
    backward, gone = total + turned, 1 - (total - turned)
    sun_back, sun_forth = ks * total + turned, ks * total - turned
    view_back, view_forth = ko * total + turned, ko * total - turned
    # Diffuse light decays by exp(-decay * area); `deep` is the reflectance of an infinitely deep canopy.
    decay = np.sqrt(np.maximum(gone**2 - backward**2, np.float32(1e-8)))
    deep = backward / (gone + decay)
    faded = np.exp(-decay * area)
    # Integrals of products of exponentials through the layer (J1, J2 in the papers).
    sun_gap, view_gap = np.exp(-ks * area), np.exp(-ko * area)
    sun_along, sun_against = _along(decay, ks, area, faded), (1 - sun_gap * faded) / (ks + decay)
    view_along, view_against = _along(decay, ko, area, faded), (1 - view_gap * faded) / (ko + decay)
    sun_down, sun_up = sun_forth + sun_back * deep, sun_forth * deep + sun_back
    view_down, view_up = view_forth + view_back * deep, view_forth * deep + view_back
    # Reflection and transmission of the layer for diffuse light, and from sun and to observer.
    echo, rest = deep * faded, 1 / (1 - (deep * faded) ** 2)
    down, up = sun_down * sun_along, sun_up * sun_against
    seen_down, seen_up = view_down * view_along, view_up * view_against
    diffuse_back, sun_through = deep * (1 - faded**2) * rest, (down - echo * up) * rest
    through_view, back_view = (seen_down - echo * seen_up) * rest, (seen_up - echo * seen_down) * rest
    # Light scattered more than once, then once, then at the ground.
    both = (1 - sun_gap * view_gap) / (ks + ko)
    many = view_up * sun_down * (both - sun_along * view_gap) / (ko + decay)
    many += view_down * sun_up * (both - view_along * sun_gap) / (ks + decay)
    many = (many - (back_view * up + through_view * down) * deep) / (1 - deep**2)
    lit_leaves, lit_ground = angles.both_gaps(area, hot_spot)
    once = (angles.back * r + angles.forth * t) * lit_leaves
    returned = (sun_gap + sun_through) * through_view + (sun_through + sun_gap * ground * diffuse_back) * view_gap
    return np.asarray(once + many + ground * (lit_ground + returned / (1 - ground * diffuse_back)))


def _along(decay: Numbers, extinction: Numbers, area: Numbers, faded: Numbers) -> Numbers:
    """Integral of two exponentials that decay in the same direction: (e^-mL - e^-kL) / (k - m), also for k = m."""
    # Near k = m the quotient loses all digits; a small difference replaces it.
    difference = (extinction - decay) * area
    difference = np.where(np.abs(difference) < 1e-3, np.float32(1e-3), difference)
    return np.asarray(area * faded * (1 - np.exp(-difference)) / difference)
