"""Overpasses of Sentinel-2 and Landsat over a place, all at once: the orbits of simulated seasons, without their edges.

The swath's edge is that of `agrifm.simulator.acquisition.orbits` to about 3 km, because the ground track is taken for a
straight line near the place.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from agrifm.season import day_number
from agrifm.simulator.acquisition.orbits import EARTH_RADIUS, ORBITS, sun_angles

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Passes:
    """Overpasses of a sensor over a place, by day; arrays (passes,), angles in degrees."""

    day: NDArray[np.int64]
    """Solar day, days since 1970-01-01."""
    sun_zenith: Numbers
    view_zenith: Numbers
    relative_azimuth: Numbers

    def of(self, rows: NDArray[np.bool_]) -> "Passes":
        """Return selected overpasses."""
        return Passes(self.day[rows], self.sun_zenith[rows], self.view_zenith[rows], self.relative_azimuth[rows])


def passes_over(sensor: str, lon: float, lat: float, first: int, last: int, satellites: int) -> Passes:
    """Return the overpasses over a place between two days (days since 1970-01-01).

    Args:
        satellites: how many of the sensor's satellites count.
    """
    orbit = ORBITS[sensor]
    longitudes, phases = _tracks(sensor)
    angle = orbit.angle_at(lat)
    # the track near the place: two points on it, kilometres apart
    latitude, longitude = orbit.ground_track(1, np.array([angle - 1e-3, angle, angle + 1e-3]))
    east = (longitude[2] - longitude[0]) * np.cos(np.radians(lat))
    north = latitude[2] - latitude[0]
    slant = np.abs(north) / np.hypot(east, north)
    crossing = np.degrees(longitude[1]) - longitudes[0] + longitudes
    away = (lon - crossing + 180) % 360 - 180
    across = np.radians(away) * np.cos(np.radians(lat)) * EARTH_RADIUS * slant
    near = np.flatnonzero(np.abs(across) < orbit.half_swath)
    later = angle / (2 * np.pi) * orbit.days / orbit.revolutions
    moments, distances = [], []
    for start in list(orbit.satellites.values())[:satellites]:
        for track in near:
            begin = day_number(start) + orbit.hour / 24 - orbit.longitude / 360 + phases[track] + later
            begin += np.floor((first - 1 - begin) / orbit.days) * orbit.days
            every = np.arange(begin, last + 2, orbit.days)
            moments.append(every)
            distances.append(np.full(len(every), across[track]))
    moment = np.concatenate(moments) if moments else np.empty(0)
    distance = np.concatenate(distances) if distances else np.empty(0)
    order = np.argsort(moment)
    moment, distance = moment[order], distance[order]
    day = np.floor(moment + lon / 360).astype(np.int64)
    dates = np.floor(moment).astype(np.int64).astype("datetime64[D]")
    new_year = dates.astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    sun_zenith, sun_azimuth = sun_angles((moment - new_year) * 24, lon, lat)
    # the sensor looks at right angles to its track: from the side where the track is
    towards = np.degrees(np.arctan2(east, north)) + np.where(distance > 0, 90, -90)
    apart = np.abs((sun_azimuth - towards + 180) % 360 - 180)
    result = Passes(day, np.asarray(sun_zenith), np.asarray(orbit.view_zenith(distance)), np.asarray(apart))
    return result.of((day >= first) & (day <= last) & (result.sun_zenith < 78))


@cache
def _tracks(sensor: str) -> tuple[Numbers, Numbers]:
    """Longitude of the equator crossing of every track in degrees, and its phase in days."""
    orbit = ORBITS[sensor]
    numbers = range(1, orbit.revolutions + 1)
    return np.array([orbit.longitude_of(track) for track in numbers]), np.array(
        [orbit.phase(track) for track in numbers]
    )
