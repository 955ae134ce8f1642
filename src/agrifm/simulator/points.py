"""Point mode: series of single parcels far apart, one Sentinel-2 pixel each, like tables of reference parcels.

The parcels are in cells of about 0.1 degrees, each with its own weather, sky and overpasses. Growth, optics, orbits and
sky are the same as in simulated scenes; only the land is not drawn.
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
"""Sentinel-2 bands of a series, in this order."""


@dataclass(frozen=True)
class PointSeries:
    """Sentinel-2 series of n parcels in T dekads (first, second and last third of a month).

    A parcel-dekad without a usable pixel is NaN in every band; clouds that the mask missed remain in the values.
    """

    label: NDArray[np.str_]
    """(n,) crop codes, such as `wheat`."""
    cell: NDArray[np.str_]
    """(n,) name of the parcel's cell of about 0.1 degrees; all parcels of a cell are in the same fold."""
    fold: NDArray[np.int64]
    """(n,) fold of the cross-validation, 0 .. 4."""
    dekads: NDArray[np.datetime64]
    """(T,) datetime64[D], increasing: the first day (1st, 11th or 21st) of each dekad."""
    values: NDArray[np.float32]
    """(n, T, 9) surface reflectance of `POINT_BANDS`, about 0..1, NaN = missing."""
    present: NDArray[np.bool_]
    """(n, T) whether the table has a row for the parcel-dekad; otherwise its values are NaN."""

    @property
    def ndvi(self) -> NDArray[np.float32]:
        """(n, T) normalised difference vegetation index, (B08 - B04) / (B08 + B04), NaN = missing."""
        red, near_infrared = self.values[..., POINT_BANDS.index("B04")], self.values[..., POINT_BANDS.index("B08")]
        return np.asarray((near_infrared - red) / np.maximum(near_infrared + red, 1e-6), np.float32)

    @property
    def months(self) -> NDArray[np.datetime64]:
        """(T,) datetime64[M], calendar month of each dekad."""
        return self.dekads.astype("datetime64[M]")

    def take(self, parcels: NDArray[Any]) -> "PointSeries":
        """The series of selected parcels, by index or by mask."""
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
"""Parcels of each label in the real data of western France."""
CELL_COUNT = 61
"""Cells of the real data."""
CELL_SIDE = 9000.0
"""Metres."""
FOLDS = 5
LONGITUDE_SPREAD = 1.2
"""Range of the cells' longitudes, degrees."""
SOUTHERN_SHARE = 1 / 3
"""Share of the cells in the southern fifth of the region's latitudes; the others are in the northern fifth."""
PIXEL_VIGOUR_SPREAD, PIXEL_BRIGHTNESS_SPREAD = 0.35, 0.09
"""Standard deviation of the logarithms of leaf area and of soil brightness between a pixel and its field."""
MIXED_PIXEL_SHARE = 0.4
"""Share of the pixels that contain part of a neighbouring field."""
CLOUD_THRESHOLD, SHADOW_THRESHOLD = -1.5, -0.5
"""Opacity of clouds and shadows above which the mask detects most of them; negative, because masks are dilated."""
MASK_NOISE = 0.6
"""Standard deviation of this opacity between pixels."""
MISSED_SHARE = 0.0025
"""Share of the pixels that the mask never detects as cloudy."""
SENSOR_NOISE = (0.002, 0.02)
"""Standard deviation of the reflectance of each band due to sensor and correction, absolute and relative."""
ILLUMINATION_SPREAD = 0.05
"""Relative standard deviation of illumination, the same in all bands, due to slopes and neighbouring objects."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class _Sites:
    """Positions of cells and parcels."""

    lon: Numbers
    lat: Numbers
    cell: NDArray[np.intp]
    x: Numbers
    """Of the parcels, like `y`: metres in the region's UTM zone."""
    y: Numbers


def simulate_points(
    region: str, year: int, seed: int, parcels: Mapping[str, int] = PARCELS, cells: int = CELL_COUNT
) -> PointSeries:
    """Simulate series from September of the previous year to January of the next year, the period of the real data.

    Args:
        region: name or file of a region.
        year: year of the labels.
        seed: another seed gives other parcels, weather and noise.
        parcels: label -> number of parcels.
        cells: number of cells.
    """
    parameters = read_region(region)
    season = Season(date(year - 1, 9, 1), date(year + 1, 1, 31))
    labels = np.repeat(list(parcels), list(parcels.values()))
    sites = _sites(parameters, labels, cells, seed)
    growth = _grown(parameters, labels, sites, season, seed)
    dekads = _dekads(season)
    values = _composites(parameters, sites, growth, season, dekads, seed)
    names = np.array([f"{region}_{index}" for index in range(cells)])
    fold = np.argsort(keyed_random.uniform(seed, "fold", np.arange(cells))).argsort() % FOLDS
    return PointSeries(labels, names[sites.cell], fold[sites.cell], dekads, values, np.ones(values.shape[:2], bool))


def _sites(region: Region, labels: NDArray[np.str_], cells: int, seed: int) -> _Sites:
    """Draw cells at both ends of the region's latitudes, and parcels where their crop is frequent."""
    index = np.arange(cells)
    south, north = region.place.latitudes
    end = np.where(keyed_random.uniform(seed, "end", index) < SOUTHERN_SHARE, 0.0, 0.8)
    lat = south + (north - south) * (end + 0.2 * keyed_random.uniform(seed, "latitude", index))
    lon = region.place.lon + LONGITUDE_SPREAD * (keyed_random.uniform(seed, "longitude", index) - 0.5)
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
    """Growth of the parcels, followed by a hedge for each cell."""
    cells = np.arange(len(sites.lat))
    middle = sum(region.place.latitudes) / 2
    days = first_day(season), day_number(season.end)
    weather = Weather.draw(region.climate, *days, latitudes=sites.lat, middle=middle, keys=cells, seed=seed)
    covers = [*labels, *(["hedge"] * len(cells))]
    site = np.concatenate([sites.cell, cells])
    return Growth.grow(region.crops, covers, np.arange(len(covers)), weather, site, season, seed)


def _dekads(season: Season) -> NDArray[np.datetime64]:
    """First days of the dekads."""
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
    """Median of the clear observations of each dekad, (parcels, dekads, bands); NaN without one."""
    observed: list[list[NDArray[np.float32]]] = [[] for _ in dekads]
    for day, overpasses_of_cells in _calendar(region, sites, season, seed).items():
        dekad = int(np.searchsorted(dekads, np.datetime64(day, "D"), side="right")) - 1
        observed[dekad].append(_observed(region, sites, growth, day, overpasses_of_cells, seed))
    empty = np.full((len(sites.cell), len(POINT_BANDS)), np.nan, np.float32)
    return np.stack([_median(np.stack([empty, *views])) for views in observed], axis=1)


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median over the first axis without NaN; NaN if all values are NaN."""
    ordered = np.sort(values, axis=0)  # NaN last
    there = np.isfinite(values).sum(0)
    low, high = np.maximum(there - 1, 0) // 2, there // 2
    middle = [np.take_along_axis(ordered, np.minimum(at, len(values) - 1)[None], 0)[0] for at in (low, high)]
    return np.asarray((middle[0] + middle[1]) / 2, np.float32)


def _calendar(region: Region, sites: _Sites, season: Season, seed: int) -> dict[int, list[tuple[int, Overpass]]]:
    """Day -> cells that Sentinel-2 passes over on that day, each with its overpass."""
    days: dict[int, list[tuple[int, Overpass]]] = {}
    for cell, (lon, lat) in enumerate(zip(sites.lon, sites.lat, strict=True)):
        for overpass in overpasses("sentinel-2", season, float(lon), float(lat)):
            if not is_lost(region.sky, seed, overpass):
                days.setdefault(overpass.day, []).append((cell, overpass))
    return days


def _observed(
    region: Region, sites: _Sites, growth: Growth, day: int, overpasses_of_cells: list[tuple[int, Overpass]], seed: int
) -> NDArray[np.float32]:
    """Observations of the pixels on a day, (parcels, bands); NaN without an overpass or if masked as cloudy."""
    bands = [band for band in SENSORS["sentinel-2"].bands if band.name in POINT_BANDS]
    of_cell = dict(overpasses_of_cells)
    parcel = np.flatnonzero(np.isin(sites.cell, list(of_cell)))
    observed = np.full((len(sites.cell), len(bands)), np.nan, np.float32)
    of_parcel = [of_cell[cell] for cell in sites.cell[parcel]]
    geometry = ViewingGeometry(
        np.array([overpass.sun_zenith for overpass in of_parcel]),
        np.array([overpass.view_zenith for overpass in of_parcel]),
        np.array([overpass.relative_azimuth for overpass in of_parcel]),
    )
    ground = _ground(sites, growth, day, parcel, geometry, bands, seed)
    # Parcels of a track share a day's sky and its geometry.
    for track in {overpass.track for overpass in of_parcel}:
        rows = np.array([overpass.track == track for overpass in of_parcel])
        here = parcel[rows]
        example = next(overpass for overpass in of_parcel if overpass.track == track)
        sky = sky_at(region.sky, seed, example, sites.x[here], sites.y[here])
        pixel = observed_through(sky, ground[rows].T, [band.wavelength for band in bands]).T
        error = keyed_random.normal(seed, "sensor", here[:, None], day, np.arange(len(bands)))
        lit = 1 + ILLUMINATION_SPREAD * keyed_random.normal(seed, "illumination", here, day)[:, None]
        noise = (SENSOR_NOISE[0] + SENSOR_NOISE[1] * pixel) * error
        pixel = pixel * lit.astype(np.float32) + noise.astype(np.float32)
        doubt = MASK_NOISE * keyed_random.normal(seed, "mask", here, day)
        masked = (sky.cloud + doubt > CLOUD_THRESHOLD) | (sky.shadow + doubt > SHADOW_THRESHOLD)
        masked &= keyed_random.uniform(seed, "missed", here, day) > MISSED_SHARE
        observed[here] = np.where(masked[:, None], np.nan, np.clip(pixel, 0.0001, 1.6))
    return observed


def _ground(
    sites: _Sites,
    growth: Growth,
    day: int,
    parcel: NDArray[np.intp],
    geometry: ViewingGeometry,
    bands: Sequence[Band],
    seed: int,
) -> NDArray[np.float32]:
    """Reflectance of the parcels' pixels, some of them mixed with a neighbouring field, (parcels, bands)."""
    state = growth.state(day)
    neighbour = _neighbours(sites, seed)
    of_parcel = surface_reflectance(_pixels(state.take(parcel), parcel, seed), bands, geometry)
    neighbouring = surface_reflectance(state.take(neighbour[parcel]), bands, geometry)
    share = keyed_random.uniform(seed, "border", parcel)
    part = np.where(share < MIXED_PIXEL_SHARE, 0.6 * share / MIXED_PIXEL_SHARE, 0)[:, None]
    return np.asarray((1 - part) * of_parcel + part * neighbouring, np.float32)


def _pixels(state: SurfaceState, parcel: NDArray[np.intp], seed: int) -> SurfaceState:
    """The state of the pixel in each parcel, which differs from the mean state of the field."""
    vigour = np.exp(PIXEL_VIGOUR_SPREAD * keyed_random.normal(seed, "pixel vigour", parcel)).astype(np.float32)
    bright = np.exp(PIXEL_BRIGHTNESS_SPREAD * keyed_random.normal(seed, "pixel brightness", parcel)).astype(np.float32)
    return replace(
        state,
        green_area=state.green_area * vigour,
        brown_area=state.brown_area * vigour,
        chlorophyll=state.chlorophyll * vigour**CHLOROPHYLL,
        soil_brightness=state.soil_brightness * bright,
    )


def _neighbours(sites: _Sites, seed: int) -> NDArray[np.intp]:
    """Index of the neighbour of each parcel: the cell's hedge, or another parcel of the cell."""
    parcel = np.arange(len(sites.cell))
    hedge = len(parcel) + sites.cell
    # Neighbours follow each other in a random order within the cell.
    order = np.lexsort((keyed_random.uniform(seed, "neighbour", parcel), sites.cell))
    neighbouring = np.empty_like(parcel)
    neighbouring[order] = np.roll(order, 1)
    alone = sites.cell[neighbouring] != sites.cell
    return np.where(alone | (keyed_random.uniform(seed, "hedge beside", parcel) < 0.5), hedge, neighbouring)
