"""A simulated season: its area, its acquisitions, and the granules (windows of about ten kilometres) it is made of."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import geopandas
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from shapely import Polygon, box
from shapely.geometry.base import BaseGeometry

from agrifm.errors import ConfigError, CubeError, OutputError
from agrifm.grid import LONLAT, NEST, Grid, Window, area_grid, reproject, utm_zone
from agrifm.legend import Legend
from agrifm.season import Season, day_number
from agrifm.sensors import SENSORS
from agrifm.simulator.acquisition.level2 import (
    LANDSAT,
    MODIS,
    SENTINEL_2,
    Level2Scene,
    landsat_scene,
    modis_scene,
    sentinel_2_scene,
)
from agrifm.simulator.acquisition.modis import SinusoidalGrid, modis_composite
from agrifm.simulator.acquisition.orbits import (
    COMPOSITE_DAYS,
    ORBITS,
    Overpass,
    composite_periods,
    overpasses,
    sun_position,
    swath_coverage,
)
from agrifm.simulator.acquisition.sky import is_lost
from agrifm.simulator.acquisition.view import POINT_SPREAD, Camera, Surroundings, views
from agrifm.simulator.footprint import footprint_matrix, gaussian_spread
from agrifm.simulator.land.field_map import GROUND_PIXEL, Land, draw_land
from agrifm.simulator.optics.ground import Ground
from agrifm.simulator.optics.reflectance import ViewingGeometry
from agrifm.simulator.region import Region
from agrifm.simulator.season.growth import Growth
from agrifm.simulator.season.management import first_day
from agrifm.simulator.season.weather import Weather
from agrifm.simulator.truth import crop_numbers, parcel_table, world_cover

MIN_SIZE_KM, MAX_SIZE_KM = 1.0, 300.0
"""Sides of areas that can be simulated, kilometres."""
AREA_OFFSET = 130.0
"""Metres from a multiple of 480 to the area's edge, so that code that relies on aligned areas fails."""
SCENE_MARGIN = 300.0
"""Metres of scenes beyond the area's cube grid: a MODIS pixel of 463 m extends about 240 m from its centre."""
MAX_GRANULE_SIDE = 11520.0
"""Metres: an area of 10 km with its margins is one granule."""
BYTES_PER_KM2 = {SENTINEL_2: 80e3, LANDSAT: 11e3, MODIS: 450}
"""Bytes on disk for each square kilometre of a scene: measured at 10 km, on complete and half-empty files."""
SCENE_OVERLAP = 60.0
"""Metres by which scenes of neighbouring granules overlap on each side, like real tiles."""
GROUND_MARGIN = 1020.0
"""Metres of ground drawn beyond a granule: pixels at its edge see it, and the air scatters its light into them."""


@dataclass(frozen=True)
class Acquisition:
    """An overpass of Sentinel-2 or Landsat, or the overpasses of a MODIS composite."""

    collection: str
    first: int
    """Day, or first day of the composite, since 1970-01-01."""
    overpasses: tuple[Overpass, ...]


def acquisitions(region: Region, season: Season, seed: int, reach: float) -> list[Acquisition]:
    """All acquisitions of a region in a season in order of collection and day, without scenes that were lost.

    Args:
        reach: a swath counts if it comes within so many kilometres of the region's centre.
    """
    lon, lat = region.place.lon, region.place.lat
    acquired = []
    for collection, sensor in ((SENTINEL_2, "sentinel-2"), (LANDSAT, "landsat")):
        for overpass in overpasses(sensor, season, lon, lat, reach):
            if not is_lost(region.sky, seed, overpass):
                acquired.append(Acquisition(collection, overpass.day, (overpass,)))
    daily = overpasses("modis", season, lon, lat)
    for first in composite_periods(season):
        members = tuple(overpass for overpass in daily if first <= overpass.day < first + COMPOSITE_DAYS)
        if members:
            acquired.append(Acquisition(MODIS, first, members))
    return acquired


@dataclass(frozen=True)
class Granule:
    """A window with its ground, and everything that all of its scenes share."""

    region: Region
    season: Season
    seed: int
    grid: Grid
    """10 m pixels of the truth."""
    part: str
    """Suffix of the ids of its scenes."""
    land: Land
    growth: Growth
    ground: Ground
    cameras: dict[str, list[Camera]]
    """Collection -> the pixel grids of its bands."""
    surroundings: Surroundings
    modis: SinusoidalGrid

    @classmethod
    def draw(cls, region: Region, season: Season, seed: int, grid: Grid, part: str = "") -> "Granule":
        """Draw the land of a window and grow its fields through a season."""
        land = draw_land(region.land, region.shares, seed, _padded(grid, GROUND_MARGIN, GROUND_PIXEL))
        days = first_day(season), day_number(season.end)
        place = region.place
        weather = Weather.draw(
            region.climate,
            *days,
            latitudes=np.array([place.lat]),
            middle=sum(place.latitudes) / 2,
            keys=np.array([0]),
            seed=seed,
        )
        # An area is small enough for one series of weather.
        everywhere = np.zeros(len(land.covers), np.intp)
        growth = Growth.grow(region.crops, land.covers, land.keys, weather, everywhere, season, seed)
        ground = Ground.draw(land, growth, seed)
        wide = _padded(grid, SCENE_OVERLAP, 10)
        cameras = {
            SENTINEL_2: [Camera.over(ground.pixels, "sentinel-2", size, wide.at(size)) for size in (10, 20)],
            LANDSAT: [Camera.over(ground.pixels, "landsat", 30, _landsat_grid(wide))],
        }
        around = Surroundings.over(ground.pixels, wide)
        modis = SinusoidalGrid.over(ground.pixels, grid)
        return cls(region, season, seed, grid, part, land, growth, ground, cameras, around, modis)

    def scene(self, acquisition: Acquisition) -> Level2Scene | None:
        """One scene; None if the swath does not cover the granule."""
        climate, seed = self.region.sky, self.seed
        if acquisition.collection == MODIS:
            overpasses_of_period = list(acquisition.overpasses)
            composite = modis_composite(self.ground, self.modis, climate, seed, acquisition.first, overpasses_of_period)
            return modis_scene(composite, self.modis, acquisition.first, self.part)
        (overpass,) = acquisition.overpasses
        cameras = self.cameras[acquisition.collection]
        place = self.region.place
        x, y = Transformer.from_crs(LONLAT, place.crs, always_xy=True).transform(place.lon, place.lat)
        coverage = swath_coverage(overpass, cameras[-1].grid, float(x), float(y))
        if coverage is None:
            return None
        images = views(self.ground, cameras, self.surroundings, climate, seed, overpass)
        if acquisition.collection == SENTINEL_2:
            return sentinel_2_scene(images, coverage, seed, overpass, self.part)
        return landsat_scene(images[0], coverage, seed, overpass, self.part)

    def clean_series(self, x: NDArray[np.float64], y: NDArray[np.float64], days: Sequence[int]) -> NDArray[np.float32]:
        """Nadir reflectance of points day by day under a clear sky: Sentinel-2 without haze, noise, gain or shift.

        Args:
            x, y: points in the granule, metres in the region's CRS, (points,).
            days: of the season, since 1970-01-01.

        Returns:
            Reflectance of the 10 and 20 m pixels that contain the points, (points, days, bands in the sensor's order).
        """
        bands = SENSORS["sentinel-2"].bands
        series = np.empty((len(x), len(days), len(bands)), np.float32)
        for size in (10, 20):
            columns = [column for column, band in enumerate(bands) if band.ground_sampling_distance == size]
            east, north = (size * (np.floor(place / size) + 0.5) for place in (x, y))
            spread = footprint_matrix(
                self.ground.pixels, east, north, gaussian_spread(POINT_SPREAD["sentinel-2", size])
            )
            for index, day in enumerate(days):
                # The sun's height at the mean local time of the overpass.
                hours = 24 * day + ORBITS["sentinel-2"].hour - self.region.place.lon / 15
                moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
                sun, _ = sun_position(moment, self.region.place.lon, self.region.place.lat)
                geometry = ViewingGeometry(sun, 0.0, 0.0)
                of_size = [bands[column] for column in columns]
                series[:, index, columns] = self.ground.reflectance(spread, day, of_size, geometry)
        return series

    def truth(self, legend: Legend) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Class numbers and land cover codes on the granule's grid."""
        inner = slice(round(GROUND_MARGIN / 10), -round(GROUND_MARGIN / 10))
        return crop_numbers(self.land, legend)[inner, inner], world_cover(self.land)[inner, inner]

    def parcels(self, area: BaseGeometry) -> geopandas.GeoDataFrame:
        """The parcels that intersect the granule and `area` (both in the region's CRS), with their yields."""
        table = parcel_table(self.land, area)
        yields = {f"P{key:016x}": value for key, value in zip(self.land.keys, self.growth.yields, strict=True)}
        table["yield_t_ha"] = [round(float(yields[parcel]), 2) for parcel in table.parcel_id]
        return table


def _landsat_grid(within: Grid) -> Grid:
    """30 m pixels within a grid; their corners are 15 m off multiples of 30 m, as in real Landsat scenes."""
    left, bottom, right, top = within.bounds
    x, y = np.ceil((left - 15) / 30) * 30 + 15, np.floor((top - 15) / 30) * 30 + 15
    shape = (int((y - bottom) // 30), int((right - x) // 30))
    return Grid.of(str(within.crs), Affine(30, 0, x, 0, -30, y), shape)


def _padded(grid: Grid, margin: float, size: float) -> Grid:
    """A wider grid of pixels of another size."""
    left, bottom, right, top = grid.bounds
    rows, cols = (round((length + 2 * margin) / size) for length in (top - bottom, right - left))
    return Grid.of(str(grid.crs), Affine(size, 0, left - margin, 0, -size, top + margin), (rows, cols))


@dataclass(frozen=True)
class Simulation:
    """Everything that defines a simulated season: where, when, and which acquisitions."""

    region: Region
    season: Season
    seed: int
    area: Polygon
    """The requested area, in longitude and latitude."""
    grid: Grid
    """10 m pixels that scenes cover: the area's cube grid with a margin."""
    acquisitions: list[Acquisition]
    side: float = MAX_GRANULE_SIDE
    """Largest side of granules, metres."""

    @classmethod
    def of(cls, region: Region, size: float, seed: int, season: Season, side: float = MAX_GRANULE_SIDE) -> "Simulation":
        """A square of `size` kilometres in the middle of a region.

        Raises:
            ConfigError: the square is too small, too large, or extends beyond the region's UTM zone.
        """
        if not MIN_SIZE_KM <= size <= MAX_SIZE_KM:
            raise ConfigError(
                f"simulating a season: an area of {size:g} x {size:g} km cannot be simulated; give a side of "
                f"{MIN_SIZE_KM:g} to {MAX_SIZE_KM:g} km",
                size=size,
            )
        place = region.place
        middle = Transformer.from_crs(LONLAT, place.crs, always_xy=True).transform(place.lon, place.lat)
        left, bottom = (NEST * round((centre - size * 500) / NEST) + AREA_OFFSET for centre in middle)
        outline = box(left, bottom, left + size * 1000, bottom + size * 1000, ccw=True)
        area = reproject(outline, place.crs, LONLAT)
        assert isinstance(area, Polygon)
        try:
            fits = utm_zone(area) == place.crs
        except CubeError:
            fits = False
        if not fits:
            raise ConfigError(
                f"simulating a season: an area of {size:g} x {size:g} km around {place.lon:g}, {place.lat:g} extends "
                f"beyond {place.crs}, the UTM zone of the region '{region.name}'; give a smaller size",
                size=size,
                crs=place.crs,
            )
        # The cube's grid of the area with a margin, so that every pixel of a cube has data.
        nest = area_grid(area, 10)
        pixels = round(SCENE_MARGIN / 10)
        rows, cols = (cells + 2 * pixels for cells in nest.shape)
        grid = Grid.of(place.crs, nest.transform * Affine.translation(-pixels, -pixels), (rows, cols))
        overpass = acquisitions(region, season, seed, math.hypot(rows, cols) / 200)
        return cls(region, season, seed, area, grid, overpass, side)

    @property
    def windows(self) -> dict[str, Window]:
        """Windows of the granules in 10 m pixels, by the suffix of their scenes' ids; "" for a single granule."""
        pixels = round(self.side / 10)
        rows, cols = (_split(length, pixels) for length in self.grid.shape)
        if len(rows) == len(cols) == 1:
            return {"": Window(0, 0, *self.grid.shape)}
        return {
            f"_R{down:02d}C{right:02d}": Window(row, col, height, width)
            for down, (row, height) in enumerate(rows, start=1)
            for right, (col, width) in enumerate(cols, start=1)
        }

    def granule(self, part: str) -> Granule:
        """Draw one of the granules; each needs much memory, so keep only one."""
        return Granule.draw(self.region, self.season, self.seed, self.grid.window(self.windows[part]), part)

    def require_space(self, directory: Path, kind: str) -> None:
        """Check that the disk has room for the season.

        Raises:
            OutputError: the free space is smaller than the season.
        """
        square_kilometres = math.prod(self.grid.shape) / 1e4
        needed = sum(BYTES_PER_KM2[overpass.collection] for overpass in self.acquisitions) * square_kilometres
        place = directory.absolute()
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        if needed > free:
            raise OutputError(
                f"writing a {kind} to {directory}: it needs about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are "
                "free; give a smaller size, fewer months or another disk",
                needed=needed,
                free=free,
                path=directory,
            )


def _split(length: int, pixels: int) -> list[tuple[int, int]]:
    """Starts and lengths of parts of about `pixels` pixels or fewer, on multiples of 6 so that 20 m pixels fit."""
    count = math.ceil(length / pixels)
    edges = [round(length * number / count / 6) * 6 for number in range(count)] + [length]
    return [(start, end - start) for start, end in pairwise(edges)]
