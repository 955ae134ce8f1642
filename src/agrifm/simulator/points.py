"""Point mode: single parcels far apart, one Sentinel-2 pixel each, as tables of reference parcels hold them.

The parcels lie in cells of about 0.1 degrees that have weather, skies and overpasses of their own. Growth, optics,
orbits and skies are those of the maps; only the land is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from agrifm.grid import LONLAT
from agrifm.season import Season, day_number
from agrifm.sensors import SENSORS, Band
from agrifm.simulator import keyed_random
from agrifm.simulator.acquisition.orbits import Overpass, overpasses
from agrifm.simulator.acquisition.sky import is_lost, observed_through, sky_at
from agrifm.simulator.optics.ground import CHLOROPHYLL
from agrifm.simulator.optics.reflectance import SurfaceState, ViewingGeometry, surface_reflectance
from agrifm.simulator.region import Region, read_region
from agrifm.simulator.season.growth import Growth
from agrifm.simulator.season.management import first_day
from agrifm.simulator.season.weather import Weather

POINT_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11", "B12")
"""Bands of a series, by Sentinel-2's names and in this order."""


@dataclass(frozen=True)
class PointSeries:
    """What Sentinel-2 saw of n parcels in T dekads (first, second and last third of a month).

    A parcel-dekad without a usable pixel is NaN in every band; clouds that the mask missed stay in the values.
    """

    label: NDArray[np.str_]
    """(n,) crop codes, such as `wheat`."""
    cell: NDArray[np.str_]
    """(n,) name of the cell of about 0.1 degrees in which the parcel lies; no cell is in two folds."""
    fold: NDArray[np.int64]
    """(n,) fold of the cross-validation, 0 .. 4."""
    dekads: NDArray[np.datetime64]
    """(T,) datetime64[D], increasing: the first day (1st, 11th or 21st) of each dekad."""
    values: NDArray[np.float32]
    """(n, T, 9) surface reflectance of `POINT_BANDS`, about 0..1, NaN = missing."""
    present: NDArray[np.bool_]
    """(n, T) whether the table has a row for the parcel-dekad; where it has none the values are NaN."""

    @property
    def ndvi(self) -> NDArray[np.float32]:
        """(n, T) normalised difference vegetation index, (B08 - B04) / (B08 + B04), NaN = missing."""
        red, near_infrared = self.values[..., POINT_BANDS.index("B04")], self.values[..., POINT_BANDS.index("B08")]
        return np.asarray((near_infrared - red) / np.maximum(near_infrared + red, 1e-6), np.float32)

    @property
    def months(self) -> NDArray[np.datetime64]:
        """(T,) datetime64[M], the calendar month of each dekad."""
        return self.dekads.astype("datetime64[M]")

    def take(self, parcels: NDArray[Any]) -> "PointSeries":
        """The series of some parcels, by index or by mask."""
        return PointSeries(
            self.label[parcels],
            self.cell[parcels],
            self.fold[parcels],
            self.dekads,
            self.values[parcels],
            self.present[parcels],
        )


PARCELS = {
    "grassland": 173, "maize": 88, "wheat": 61, "other_temporary_crop": 38, "permanent_crops": 28, "sunflower": 21,
    "rapeseed_rape": 16, "barley": 16, "soy_soybeans": 13, "dry_pulses_legumes": 13,
}  # fmt: skip
"""Parcels of each label in the real set of western France."""
CELLS = 61
CELL_SIDE = 9000.0
"""Metres."""
FOLDS = 5
LONGITUDE_SPREAD = 1.2
"""Degrees of longitude over which the cells spread."""
SOUTHERN_SHARE = 1 / 3
"""Share of the cells that lie in the southern fifth of the region's latitudes; the others lie in the northern one."""
VIGOUR, BRIGHTNESS = 0.35, 0.09
"""Standard deviations of the logarithms of leaf area and soil brightness between a pixel and its field."""
MIXED_PIXEL_SHARE = 0.4
"""Share of the points whose pixel holds part of a neighbour."""
CLOUD_THRESHOLD, SHADOW_THRESHOLD = -1.5, -0.5
"""Opacity of clouds and of shadows from which the mask finds most of them; below 0, for masks are widened."""
MASK_NOISE = 0.6
"""Standard deviation of that opacity between pixels."""
MISSED_SHARE = 0.0025
"""Share of the pixels that the mask calls clear whatever lies above them."""
NOISE = (0.002, 0.02)
"""Sensor and correction: standard deviation of reflectance in each band, absolute and relative."""
ILLUMINATION = 0.05
"""Standard deviation of what slopes, the sun's angle and neighbours change in all bands alike, relative."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class _Sites:
    """Cells, and which of them each parcel lies in."""

    lon: Numbers
    lat: Numbers
    cell: NDArray[np.intp]
    x: Numbers
    """Of the parcels, metres in the region's zone."""
    y: Numbers


def simulate_points(
    region: str, year: int, seed: int, parcels: Mapping[str, int] = PARCELS, cells: int = CELLS
) -> PointSeries:
    """Series from September of the year before to January of the next, as the real ones run.

    Args:
        region: name or file of a region.
        year: the year that the labels mean.
        parcels: label -> number of parcels.
        cells: number of cells.
    """
    described = read_region(region)
    season = Season(date(year - 1, 9, 1), date(year + 1, 1, 31))
    labels = np.repeat(list(parcels), list(parcels.values()))
    sites = _sites(described, labels, cells, seed)
    growth = _grown(described, labels, sites, season, seed)
    dekads = _dekads(season)
    values = _composites(described, sites, growth, season, dekads, seed)
    names = np.array([f"{region}_{number}" for number in range(cells)])
    fold = np.argsort(keyed_random.uniform(seed, "fold", np.arange(cells))).argsort() % FOLDS
    return PointSeries(labels, names[sites.cell], fold[sites.cell], dekads, values, np.ones(values.shape[:2], bool))


def _sites(region: Region, labels: NDArray[np.str_], cells: int, seed: int) -> _Sites:
    """Cells at both ends of the region's latitudes; parcels where their crop is grown."""
    number = np.arange(cells)
    south, north = region.place.latitudes
    end = np.where(keyed_random.uniform(seed, "end", number) < SOUTHERN_SHARE, 0.0, 0.8)
    lat = south + (north - south) * (end + 0.2 * keyed_random.uniform(seed, "latitude", number))
    lon = region.place.lon + LONGITUDE_SPREAD * (keyed_random.uniform(seed, "longitude", number) - 0.5)
    poleward = np.abs(lat) - abs(south + north) / 2
    lean = np.array([region.crops[label].north for label in labels])
    weights = np.cumsum(np.exp(lean[:, None] * poleward), axis=1)
    parcel = np.arange(len(labels))
    chance = keyed_random.uniform(seed, "cell", parcel) * weights[:, -1]
    cell = (weights < chance[:, None]).sum(1)
    x, y = Transformer.from_crs(LONLAT, region.place.crs, always_xy=True).transform(lon, lat)
    off = [CELL_SIDE * (keyed_random.uniform(seed, axis, parcel) - 0.5) for axis in ("east", "north")]
    return _Sites(lon, lat, cell, x[cell] + off[0], y[cell] + off[1])


def _grown(region: Region, labels: NDArray[np.str_], sites: _Sites, season: Season, seed: int) -> Growth:
    """Growth of the parcels, and behind them of a hedge for each cell."""
    cells = np.arange(len(sites.lat))
    middle = sum(region.place.latitudes) / 2
    days = first_day(season), day_number(season.end)
    weather = Weather.draw(region.climate, *days, latitudes=sites.lat, middle=middle, keys=cells, seed=seed)
    covers = [*labels, *(["hedge"] * len(cells))]
    place = np.concatenate([sites.cell, cells])
    return Growth.grow(region.crops, covers, np.arange(len(covers)), weather, place, season, seed)


def _dekads(season: Season) -> NDArray[np.datetime64]:
    """First days of the thirds of the months."""
    days = np.arange(np.datetime64(season.start), np.datetime64(season.end) + 1)
    of_month = (days - days.astype("datetime64[M]")).astype(int)
    return np.asarray(days[np.isin(of_month, (0, 10, 20))])


def _composites(
    region: Region,
    sites: _Sites,
    growth: Growth,
    season: Season,
    dekads: NDArray[np.datetime64],
    seed: int,
) -> NDArray[np.float32]:
    """Median of the clear pixels of each dekad, (parcels, dekads, bands), NaN where none was clear."""
    seen: list[list[NDArray[np.float32]]] = [[] for _ in dekads]
    for day, taken in _calendar(region, sites, season, seed).items():
        dekad = int(np.searchsorted(dekads, np.datetime64(day, "D"), side="right")) - 1
        seen[dekad].append(_observed(region, sites, growth, day, taken, seed))
    empty = np.full((len(sites.cell), len(POINT_BANDS)), np.nan, np.float32)
    return np.stack([_median(np.stack([empty, *views])) for views in seen], axis=1)


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median over the first axis of what is there, NaN where nothing is."""
    ordered = np.sort(values, axis=0)  # NaN last
    there = np.isfinite(values).sum(0)
    low, high = np.maximum(there - 1, 0) // 2, there // 2
    middle = [np.take_along_axis(ordered, np.minimum(at, len(values) - 1)[None], 0)[0] for at in (low, high)]
    return np.asarray((middle[0] + middle[1]) / 2, np.float32)


def _calendar(region: Region, sites: _Sites, season: Season, seed: int) -> dict[int, list[tuple[int, Overpass]]]:
    """Day -> cells that Sentinel-2 passes on it, with the pass."""
    days: dict[int, list[tuple[int, Overpass]]] = {}
    for cell, (lon, lat) in enumerate(zip(sites.lon, sites.lat, strict=True)):
        for taken in overpasses("sentinel-2", season, float(lon), float(lat)):
            if not is_lost(region.sky, seed, taken):
                days.setdefault(taken.day, []).append((cell, taken))
    return days


def _observed(
    region: Region, sites: _Sites, growth: Growth, day: int, taken: list[tuple[int, Overpass]], seed: int
) -> NDArray[np.float32]:
    """What the pixels show on a day, (parcels, bands), NaN where none was taken or the mask calls it cloudy."""
    bands = [band for band in SENSORS["sentinel-2"].bands if band.name in POINT_BANDS]
    of_cell = dict(taken)
    parcel = np.flatnonzero(np.isin(sites.cell, list(of_cell)))
    seen = np.full((len(sites.cell), len(bands)), np.nan, np.float32)
    own = [of_cell[cell] for cell in sites.cell[parcel]]
    geometry = ViewingGeometry(
        np.array([one.sun_zenith for one in own]),
        np.array([one.view_zenith for one in own]),
        np.array([one.relative_azimuth for one in own]),
    )
    ground = _ground(sites, growth, day, parcel, geometry, bands, seed)
    for track in {one.track for one in own}:
        rows = np.array([one.track == track for one in own])
        here = parcel[rows]
        example = next(one for one in own if one.track == track)
        sky = sky_at(region.sky, seed, example, sites.x[here], sites.y[here])
        pixel = observed_through(sky, ground[rows].T, [band.wavelength for band in bands]).T
        error = keyed_random.normal(seed, "sensor", here[:, None], day, np.arange(len(bands)))
        lit = 1 + ILLUMINATION * keyed_random.normal(seed, "illumination", here, day)[:, None]
        pixel = pixel * lit.astype(np.float32) + ((NOISE[0] + NOISE[1] * pixel) * error).astype(np.float32)
        doubt = MASK_NOISE * keyed_random.normal(seed, "mask", here, day)
        masked = (sky.cloud + doubt > CLOUD_THRESHOLD) | (sky.shadow + doubt > SHADOW_THRESHOLD)
        masked &= keyed_random.uniform(seed, "missed", here, day) > MISSED_SHARE
        seen[here] = np.where(masked[:, None], np.nan, np.clip(pixel, 0.0001, 1.6))
    return seen


def _ground(
    sites: _Sites,
    growth: Growth,
    day: int,
    parcel: NDArray[np.intp],
    geometry: ViewingGeometry,
    bands: Sequence[Band],
    seed: int,
) -> NDArray[np.float32]:
    """Reflectance of the parcels' pixels, some of which hold part of a neighbour, (parcels, bands)."""
    state = growth.state(day)
    neighbour = _neighbours(sites, seed)
    own = surface_reflectance(_pixels(state.take(parcel), parcel, seed), bands, geometry)
    beside = surface_reflectance(state.take(neighbour[parcel]), bands, geometry)
    share = keyed_random.uniform(seed, "border", parcel)
    part = np.where(share < MIXED_PIXEL_SHARE, 0.6 * share / MIXED_PIXEL_SHARE, 0)[:, None]
    return np.asarray((1 - part) * own + part * beside, np.float32)


def _pixels(state: SurfaceState, parcel: NDArray[np.intp], seed: int) -> SurfaceState:
    """The state of the pixel in each parcel, which differs a little from the field's."""
    vigour = np.exp(VIGOUR * keyed_random.normal(seed, "pixel vigour", parcel)).astype(np.float32)
    bright = np.exp(BRIGHTNESS * keyed_random.normal(seed, "pixel brightness", parcel)).astype(np.float32)
    return replace(
        state,
        green_area=state.green_area * vigour,
        brown_area=state.brown_area * vigour,
        chlorophyll=state.chlorophyll * vigour**CHLOROPHYLL,
        soil_brightness=state.soil_brightness * bright,
    )


def _neighbours(sites: _Sites, seed: int) -> NDArray[np.intp]:
    """Row of the field beside each parcel: the cell's hedge, or another parcel of the cell."""
    parcel = np.arange(len(sites.cell))
    hedge = len(parcel) + sites.cell
    order = np.lexsort((keyed_random.uniform(seed, "neighbour", parcel), sites.cell))
    beside = np.empty_like(parcel)
    beside[order] = np.roll(order, 1)
    alone = sites.cell[beside] != sites.cell
    return np.where(alone | (keyed_random.uniform(seed, "hedge beside", parcel) < 0.5), hedge, beside)
