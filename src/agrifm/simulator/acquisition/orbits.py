"""When satellites pass over a point, what their swaths cover, and the angles of the sun and the sensor.

Sentinel-2, Landsat and Terra fly sun-synchronous orbits whose ground tracks repeat. A track is that of a circular
orbit over a rotating Earth (Capderou, 2014: Handbook of Satellite Orbits, chapters 5 and 8); its position and phase
are fitted to real scenes, so the days, orbit numbers and swath edges of a simulated season are those of the calendar:
edges are right to about 2 km, times to about a minute.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pyproj import Transformer
from shapely import MultiPoint, Polygon

from agrifm.grid import LONLAT, Grid, reproject
from agrifm.season import Season, day_date, day_number
from agrifm.simulator.optics.canopy import Angle
from agrifm.simulator.optics.reflectance import ViewingGeometry
from agrifm.validation import Frozen

EARTH_RADIUS = 6371.0
"""Kilometres."""
ECCENTRICITY = 0.00669438
"""Squared eccentricity of the WGS 84 ellipsoid."""
COMPOSITE_DAYS = 8
"""Days of a MOD09A1 composite; the periods restart on every 1 January."""


class Orbits(Frozen):
    """The season in which images of the region are acquired."""

    start: str = Field(pattern="^[0-1][0-9]-[0-3][0-9]$")
    """First day of the season, month and day; in the previous year if it is later in the year than `end`."""
    end: str = Field(pattern="^[0-1][0-9]-[0-3][0-9]$")
    """Last day of the season, month and day."""

    def season(self, year: int) -> Season:
        """The season that ends in a year."""
        last = date.fromisoformat(f"{year}-{self.end}")
        first = date.fromisoformat(f"{year}-{self.start}")
        return Season(first if first < last else first.replace(year=year - 1), last)


@dataclass(frozen=True)
class Orbit:
    """A sun-synchronous orbit with a repeat cycle, and its satellites."""

    inclination: float
    """Degrees."""
    altitude: float
    """Kilometres."""
    half_swath: float
    """Kilometres from the ground track to the edge of the swath."""
    revolutions: int
    """Revolutions, and so ground tracks, of a cycle."""
    days: int
    """Days of a cycle."""
    step: int
    """Increase of the track's number from one revolution to the next."""
    longitude: float
    """Longitude at which track 1 crosses the equator southwards, degrees."""
    hour: float
    """Mean local solar time of the southward equator crossings, hours."""
    satellites: dict[str, date]
    """Name -> a day on which it flies track 1 (the solar day at the equator)."""

    def longitude_of(self, track: int) -> float:
        """Longitude at which a track crosses the equator southwards, degrees."""
        return self.longitude - self._revolutions_to(track) * 360 * self.days / self.revolutions

    def phase(self, track: int) -> float:
        """Days between track 1 and a track."""
        return self._revolutions_to(track) * self.days / self.revolutions

    def _revolutions_to(self, track: int) -> int:
        # Track numbers grow by `step` with each revolution; its modular inverse counts the revolutions.
        return (track - 1) * pow(self.step, -1, self.revolutions) % self.revolutions

    def ground_track(self, track: int, angle: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latitude and longitude in radians, by the angle (radians) flown since the southward equator crossing."""
        tilt = np.radians(self.inclination)
        # Geocentric to geodetic latitude; the Earth rotates under the orbit while the satellite flies.
        latitude = np.arctan(np.tan(np.arcsin(-np.sin(tilt) * np.sin(angle))) / (1 - ECCENTRICITY))
        turned = angle * self.days / self.revolutions
        ahead = np.arctan2(np.cos(tilt) * np.sin(angle), np.cos(angle))
        return latitude, np.radians(self.longitude_of(track)) + ahead - turned

    def tracks_near(self, lon: float, lat: float, reach: float) -> list[int]:
        """Numbers of the southward tracks whose swath comes within `reach` kilometres of a point."""
        numbers = range(1, self.revolutions + 1)
        crossing = self.angle_at(lat)
        places = np.array([self.ground_track(number, np.array(crossing))[1] for number in numbers])
        away = np.abs((places - np.radians(lon) + np.pi) % (2 * np.pi) - np.pi) * np.cos(np.radians(lat))
        # A cheap test by longitude first, then the exact distance.
        near = np.flatnonzero(away * EARTH_RADIUS < 1.2 * (self.half_swath + reach) + 50)
        return [
            int(index) + 1 for index in near if abs(self.across(int(index) + 1, lon, lat)[0]) < self.half_swath + reach
        ]

    def across(self, track: int, lon: float, lat: float) -> tuple[float, float]:
        """Kilometres from a track to a point, east positive, and the angle flown when the satellite passes it."""
        middle, width = self.angle_at(lat), 0.3
        angles, distance = np.array([middle]), np.array([0.0])
        # Search for the nearest point of the track, three times, each time around the last one and 80 times finer.
        for _ in range(3):
            angles = middle + np.linspace(-width, width, 241)
            latitude, longitude = self.ground_track(track, angles)
            distance = _distance(latitude, longitude, np.radians(lat), np.radians(lon))
            middle, width = float(angles[np.argmin(distance)]), width / 80
        best = int(np.argmin(distance))
        east = np.sin(np.radians(lon) - longitude[best]) >= 0
        return float(distance[best]) * (1 if east else -1), middle

    def view_zenith(self, across: Angle) -> Angle:
        """View zenith angle in degrees, by the distance from the track in kilometres."""
        arc = np.abs(across) / EARTH_RADIUS
        nadir = np.arctan2(np.sin(arc), 1 + self.altitude / EARTH_RADIUS - np.cos(arc))
        return np.asarray(np.degrees(nadir + arc))

    def angle_at(self, lat: float) -> float:
        """Angle in radians flown from the southward equator crossing to a latitude in degrees."""
        central = np.arctan((1 - ECCENTRICITY) * np.tan(np.radians(lat)))
        return float(np.arcsin(np.clip(-np.sin(central) / np.sin(np.radians(self.inclination)), -1, 1)))


# Sentinel-2: the swath edges in the outlines of S2A R123 28QCH 2020-07-14 and R049 37MCQ 2022-08-08 give longitude,
# half swath and, with the time of the former, the hour; days from S2A R051 31TDH 2018-01-01, S2B R051 31TCJ 2018-04-06.
# Landsat: WRS-2 (path 1 crosses at 64.60 W, row 60; USGS); hour and days from LC08 028030 2020-01-14 17:05:46 UTC and
# LC09 198030 2026-07-08. Terra: WRS-2 with the phase of Landsat 7, eight days from Landsat 8's, at 10:30: recalled; its
# drift since 2020 is left out.
_WRS = (98.2, 705.0)
ORBITS = {
    "sentinel-2": Orbit(
        98.62,
        786,
        145.7,
        143,
        10,
        1,
        168.424,
        10.5,
        {"sentinel-2a": date(2020, 7, 6), "sentinel-2b": date(2020, 7, 11)},
    ),
    "landsat": Orbit(
        *_WRS, 92.5, 233, 16, 16, -64.6, 10.2, {"landsat-8": date(2020, 1, 1), "landsat-9": date(2020, 1, 9)}
    ),
    "modis": Orbit(*_WRS, 1165.0, 233, 16, 16, -64.6, 10.5, {"terra": date(2020, 1, 9)}),
}
"""Sensor -> its orbit. Satellites fly in every year, also before their launch and after their end."""


@dataclass(frozen=True)
class Overpass:
    """One overpass of a satellite over a point."""

    sensor: str
    satellite: str
    track: int
    """Relative orbit of Sentinel-2, WRS-2 path of the others."""
    row: int
    """WRS-2 row of the point; not used for Sentinel-2."""
    moment: datetime
    """UTC, to the second."""
    day: int
    """Solar day, days since 1970-01-01."""
    across: float
    """Kilometres from the ground track to the point, east positive."""
    sun_zenith: float
    """Degrees, like all angles."""
    sun_azimuth: float
    """Clockwise from north."""
    view_zenith: float
    view_azimuth: float
    """Direction from the ground to the sensor, clockwise from north."""

    @property
    def geometry(self) -> ViewingGeometry:
        """Angles of sun and sensor, the same over the whole area."""
        return ViewingGeometry(self.sun_zenith, self.view_zenith, self.relative_azimuth)

    @property
    def relative_azimuth(self) -> float:
        """Angle between the azimuths of the sun and the sensor, 0 (sun behind the sensor) to 180."""
        return abs((self.sun_azimuth - self.view_azimuth + 180) % 360 - 180)


def overpasses(sensor: str, season: Season, lon: float, lat: float, reach: float = 0) -> list[Overpass]:
    """Overpasses of a sensor's satellites over a point in a season, by time.

    Args:
        reach: kilometres; overpasses whose swath comes within this distance are included.
    """
    orbit, passed = ORBITS[sensor], []
    for track in orbit.tracks_near(lon, lat, reach):
        across, angle = orbit.across(track, lon, lat)
        later = angle / (2 * np.pi) * orbit.days / orbit.revolutions
        for satellite, first in orbit.satellites.items():
            start = day_number(first) + orbit.hour / 24 - orbit.longitude / 360 + orbit.phase(track) + later
            # Whole cycles from the reference day to the season.
            skipped = np.floor((day_number(season.start) - 1 - start) / orbit.days)
            moments = np.arange(start + skipped * orbit.days, day_number(season.end) + 2, orbit.days)
            for moment in moments:
                day = int(np.floor(moment + lon / 360))  # solar day, not UTC
                if day_date(day) in season:
                    passed.append(_pass(sensor, satellite, track, moment, day, across, angle, lon, lat))
    return sorted(passed, key=lambda overpass: overpass.moment)


def _pass(
    sensor: str,
    satellite: str,
    track: int,
    moment: float,
    day: int,
    across: float,
    angle: float,
    lon: float,
    lat: float,
) -> Overpass:
    orbit = ORBITS[sensor]
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=round(moment * 86400))
    zenith, azimuth = sun_position(time, lon, lat)
    latitude, longitude = (float(value[0]) for value in orbit.ground_track(track, np.array([angle])))
    east = np.sin(longitude - np.radians(lon)) * np.cos(np.radians(lat))
    towards = float(np.degrees(np.arctan2(east, latitude - np.radians(lat)))) % 360
    row = round(60 + angle / (2 * np.pi) * 248)
    return Overpass(
        sensor, satellite, track, row, time, day, across, zenith, azimuth, float(orbit.view_zenith(across)), towards
    )


def sun_position(moment: datetime, lon: float, lat: float) -> tuple[float, float]:
    """Zenith angle and azimuth (clockwise from north) of the sun in degrees, without refraction.

    Source: NOAA Global Monitoring Laboratory, General Solar Position Calculations (Spencer's series, within 0.2
    degrees).
    """
    start = datetime(moment.year, 1, 1, tzinfo=UTC)
    zenith, azimuth = sun_angles((moment - start).total_seconds() / 3600, lon, lat)
    return float(zenith), float(azimuth)


def sun_angles(hours: Angle, lon: Angle, lat: Angle) -> tuple[Angle, Angle]:
    """The same for hours since New Year (UTC); single numbers, or arrays that broadcast."""
    year = 2 * np.pi / 365.25 * (hours / 24 - 0.5)
    equation = 229.18 * (
        0.000075
        + 0.001868 * np.cos(year)
        - 0.032077 * np.sin(year)
        - 0.014615 * np.cos(2 * year)
        - 0.040849 * np.sin(2 * year)
    )
    declination = (
        0.006918
        - 0.399912 * np.cos(year)
        + 0.070257 * np.sin(year)
        - 0.006758 * np.cos(2 * year)
        + 0.000907 * np.sin(2 * year)
        - 0.002697 * np.cos(3 * year)
        + 0.00148 * np.sin(3 * year)
    )
    minutes = hours % 24 * 60 + equation + 4 * lon
    angle, latitude = np.radians(minutes / 4 - 180), np.radians(lat)
    height = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(angle)
    azimuth = np.arctan2(np.sin(angle), np.cos(angle) * np.sin(latitude) - np.tan(declination) * np.cos(latitude))
    return np.degrees(np.arccos(height)), (np.degrees(azimuth) + 180) % 360


def composite_periods(season: Season) -> list[int]:
    """First days (since 1970-01-01) of the 8-day periods that overlap a season."""
    # The 46th period of a year extends into the next year.
    new_years = [day_number(date(year, 1, 1)) for year in range(season.start.year, season.end.year + 1)]
    firsts = [first + COMPOSITE_DAYS * number for first in new_years for number in range(46)]
    start, end = day_number(season.start), day_number(season.end)
    return [first for first in firsts if first + COMPOSITE_DAYS > start and first <= end]


def _distance(
    latitude: NDArray[np.float64], longitude: NDArray[np.float64], other_latitude: float, other_longitude: float
) -> NDArray[np.float64]:
    """Great-circle distance in kilometres, angles in radians (haversine)."""
    chord = (
        np.sin((latitude - other_latitude) / 2) ** 2
        + np.cos(latitude) * np.cos(other_latitude) * np.sin((longitude - other_longitude) / 2) ** 2
    )
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.sqrt(chord)))


TRACK_STEP = 10_000.0
"""Metres between two points at which the distance to the track is computed; it is linear between them."""


@dataclass(frozen=True)
class SwathCoverage:
    """The part of a grid that a swath covers."""

    pixels: NDArray[np.bool_]
    """(rows, columns)."""
    outline: Polygon
    """Outline of the covered pixels, in longitude and latitude."""


def swath_coverage(overpass: Overpass, grid: Grid, x: float, y: float) -> SwathCoverage | None:
    """The part of a grid that the swath of an overpass covers, or None.

    Args:
        x, y: a nearby point in the grid's CRS, from which the swath's edge is computed: the same for all windows of an
            area, so that their edges fit together.
    """
    across, east, north = _track_distance_plane(overpass.sensor, overpass.track, str(grid.crs), x, y)
    distance = across + east * (grid.x - x)[None] + north * (grid.y - y)[:, None]
    pixels = np.abs(distance) <= ORBITS[overpass.sensor].half_swath
    if pixels.all():
        return SwathCoverage(pixels, grid.footprint())
    return SwathCoverage(pixels, _outline(grid, pixels)) if pixels.any() else None


@lru_cache(maxsize=64)
def _track_distance_plane(sensor: str, track: int, crs: str, x: float, y: float) -> tuple[float, float, float]:
    """Distance from a track at a point in kilometres, and its increase with each metre east and north."""
    turn = Transformer.from_crs(crs, LONLAT, always_xy=True)
    places = [turn.transform(x + right, y + up) for right, up in ((0, 0), (TRACK_STEP, 0), (0, TRACK_STEP))]
    here, east, north = (ORBITS[sensor].across(track, lon, lat)[0] for lon, lat in places)
    return here, (east - here) / TRACK_STEP, (north - here) / TRACK_STEP


def _outline(grid: Grid, pixels: NDArray[np.bool_]) -> Polygon:
    """Outline in longitude and latitude of pixels between straight edges: their convex hull."""
    rows = np.flatnonzero(pixels.any(axis=1))
    left, _, _, top = grid.bounds
    west = left + grid.resolution * pixels[rows].argmax(axis=1)
    east = left + grid.resolution * (grid.shape[1] - pixels[rows, ::-1].argmax(axis=1))
    north, south = top - grid.resolution * rows, top - grid.resolution * (rows + 1)
    corners = [np.column_stack([x, y]) for x in (west, east) for y in (north, south)]
    outline = reproject(MultiPoint(np.concatenate(corners)).convex_hull, str(grid.crs), LONLAT)
    assert isinstance(outline, Polygon)
    return outline
