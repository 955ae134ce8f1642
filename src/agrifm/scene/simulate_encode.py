"""Simulated views as the providers would deliver them: digital numbers, quality bands, STAC properties.

The rules are spelled out here a second time, on purpose not taken from `providers`: were a rule wrong there, the
simulated scenes would not come back as the reflectance that went in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from shapely import Polygon

from agrifm.grid import LONLAT, Grid, Window, reproject
from agrifm.scene.simulate_growth import Ground
from agrifm.scene.simulate_view import SINUSOIDAL, Composite, SinusoidalGrid, View, coarser, masks
from agrifm.season import day_date, day_number

Planes = NDArray[np.float32]

SENTINEL_2, LANDSAT, MODIS = "sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061"
TITLES = {
    SENTINEL_2: "Simulated Sentinel-2 Level-2A, encoded as Earth Search's Collection 1",
    LANDSAT: "Simulated Landsat-8/9 Collection 2 Level-2, encoded as the Planetary Computer's",
    MODIS: "Simulated MOD09A1 version 6.1, encoded as the Planetary Computer's",
}
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
PROJECTION_WITH_EPSG = "https://stac-extensions.github.io/projection/v1.1.0/schema.json"
RASTER = "https://stac-extensions.github.io/raster/v1.1.0/schema.json"
EO = "https://stac-extensions.github.io/eo/v1.1.0/schema.json"

S2_KEYS_10M = ("blue", "green", "red", "nir")
S2_KEYS_20M = ("rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22")
S2_TILES = {"31TDM": (0.0, 0.85), "31TEM": (0.6, 1.0)}
"""Tile -> from where to where it covers the ground, west to east. Real tiles of these names are far larger."""
S2_SNAP = 60
"""Tile corners lie on multiples of so many metres."""
SWATH_EVERY, SWATH_SLOPE = 4, 0.2
"""Every fourth overpass leaves the west uncovered; the edge runs so many metres west for each metre south."""

LANDSAT_KEYS = ("blue", "green", "red", "nir08", "swir16", "swir22")
LANDSAT_PATH_ROW = "198027"
# USGS Landsat 8-9 Collection 2 Level 2 Science Product Guide, table of QA_PIXEL values. A shadow keeps the clear bit.
QA_CLEAR, QA_WATER, QA_CLOUD, QA_SHADOW, QA_CIRRUS = 21824, 21952, 22280, 23888, 54596

MODIS_KEYS = tuple(f"sur_refl_b{number:02d}" for number in range(1, 8))
MODIS_FILL, MODIS_FLAG_FILL, MODIS_QC_FILL = -28672, 65535, 787410671
MODIS_QC_BEST = 1 << 30
"""Ideal quality in all bands, atmospheric correction done."""
MODIS_PERIOD = 8
MODIS_CLOUDY, MODIS_MIXED = 0.5, 0.1
"""Share of a pixel under cloud from which it is flagged cloudy, or mixed."""


@dataclass(frozen=True)
class Raster:
    """One asset: its pixels and the STAC fields that describe them."""

    values: NDArray[Any]
    crs: str
    transform: Affine
    nodata: int
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """One STAC item with its pixels."""

    id: str
    collection: str
    footprint: Polygon
    """Outline of the pixels with data, in longitude and latitude."""
    moment: datetime | None
    """None where `properties` hold start and end."""
    properties: dict[str, Any]
    rasters: Mapping[str, Raster]
    extensions: tuple[str, ...] = (PROJECTION, RASTER, EO)


def sentinel_2_scenes(ground: Ground, views: tuple[View, View], day: int, overpass: int) -> list[Scene]:
    """The scenes of one overpass, one for each tile that it touches.

    DN = reflectance x 10000 + 1000, uint16, 0 = nodata (processing baseline 05.10); SCL at 20 m.
    """
    fine, half = views
    rng = np.random.default_rng([ground.seed, 9, day])
    covered = _covered(half.grid, rng if overpass % SWATH_EVERY == 1 else None)
    classes = np.where(covered, _scene_classes(ground, views, rng), 0).astype(np.uint8)
    bands = dict(zip(S2_KEYS_10M, fine.reflectance, strict=True))
    bands |= dict(zip(S2_KEYS_20M, half.reflectance, strict=True))
    planes: dict[str, NDArray[Any]] = {}
    for key, plane in bands.items():
        there = covered if key in S2_KEYS_20M else covered.repeat(2, 0).repeat(2, 1)
        planes[key] = np.where(there, np.clip(np.rint(plane * 10000) + 1000, 1, 65535), 0).astype(np.uint16)
    planes["scl"] = classes

    satellite = "ab"[overpass % 2]
    start = _at(day, 10, 56, 9)
    scenes = []
    for number, (tile, (west, east)) in enumerate(S2_TILES.items()):
        cols = [round(share * half.grid.shape[1] * 20 / S2_SNAP) * S2_SNAP // 20 for share in (west, east)]
        window = Window(0, cols[0], half.grid.shape[0], cols[1] - cols[0])
        seen = classes[window.slices]
        if not seen.any():
            continue
        cloudy = float(np.isin(seen[seen > 0], (8, 9, 10)).mean() * 100)
        moment = start + timedelta(seconds=10 + 14 * number)
        scenes.append(
            Scene(
                id=f"S2{satellite.upper()}_T{tile}_{start:%Y%m%dT%H%M%S}_L2A",
                collection=SENTINEL_2,
                footprint=_outline_of(half.grid.window(window), covered[window.slices]),
                moment=moment,
                properties={
                    "platform": f"sentinel-2{satellite}",
                    "constellation": "sentinel-2",
                    "instruments": ["msi"],
                    "gsd": 10,
                    "eo:cloud_cover": round(cloudy, 2),
                    "proj:code": f"EPSG:{half.grid.crs.epsg}",
                    "s2:processing_baseline": "05.10",
                    "s2:nodata_pixel_percentage": round(float((seen == 0).mean() * 100), 2),
                    "grid:code": f"MGRS-{tile}",
                },
                rasters={key: _sentinel_2_raster(key, plane, views, window) for key, plane in planes.items()},
            )
        )
    return scenes


def _sentinel_2_raster(key: str, plane: NDArray[Any], views: tuple[View, View], window: Window) -> Raster:
    fine = key in S2_KEYS_10M
    own = Window(*(2 * number for number in (window.row, window.col, window.height, window.width))) if fine else window
    grid = views[0 if fine else 1].grid.window(own)
    band: dict[str, Any] = {"nodata": 0, "data_type": plane.dtype.name, "spatial_resolution": 10 if fine else 20}
    if key != "scl":
        band |= {"scale": 0.0001, "offset": -0.1}
    return _raster(plane[own.slices], grid, 0, {"raster:bands": [band]})


def _covered(grid: Grid, rng: np.random.Generator | None) -> NDArray[np.bool_]:
    """Pixels that the swath covers: all, or with a generator those east of an edge drawn from it."""
    if rng is None:
        return np.ones(grid.shape, bool)
    left, bottom, right, top = grid.bounds
    edge = left + rng.uniform(0.1, 0.5) * (right - left)
    return np.asarray(grid.x[None] > edge + SWATH_SLOPE * (grid.y[:, None] - (bottom + top) / 2))


def _outline_of(grid: Grid, covered: NDArray[np.bool_]) -> Polygon:
    """Outline in longitude and latitude of the covered part of a grid, cut by a straight edge in the west."""
    if covered.all():
        return grid.footprint()
    first = np.where(covered.any(1), covered.argmax(1), grid.shape[1])
    rows = np.flatnonzero(covered.any(1))
    left, _, right, top = grid.bounds
    west = [(left + grid.resolution * first[row], top - grid.resolution * (row + 0.5)) for row in rows]
    y_top, y_bottom = (top - grid.resolution * edge for edge in (rows[0], rows[-1] + 1))
    ring = [(right, y_top), (west[0][0], y_top), *west, (west[-1][0], y_bottom), (right, y_bottom)]
    outline = reproject(Polygon(ring).simplify(grid.resolution), str(grid.crs), LONLAT)
    assert isinstance(outline, Polygon)
    return outline


def _scene_classes(ground: Ground, views: tuple[View, View], rng: np.random.Generator) -> NDArray[np.uint8]:
    """SCL of the whole ground: 3 shadow, 4 vegetation, 5 bare, 6 water, 8 and 9 cloud, 10 thin cirrus."""
    fine, half = views
    cloud, cirrus, shadow = masks(half, rng)
    red, infrared = coarser(fine.reflectance[2:3], 2)[0], half.reflectance[3]
    green = (infrared - red) > 0.35 * (infrared + red)
    water = coarser((ground.land.field == 0).astype(np.float32), 2) > 0.5
    conditions = [cloud & (half.cloud > 0.8), cloud, cirrus, shadow, water, green]
    return np.select(conditions, [9, 8, 10, 3, 6, 4], 5).astype(np.uint8)


def landsat_scene(ground: Ground, view: View, day: int, overpass: int) -> Scene:
    """The scene of one overpass: DN = (reflectance + 0.2) / 0.0000275, uint16, 0 = nodata; QA_PIXEL."""
    rng = np.random.default_rng([ground.seed, 10, day])
    cloud, cirrus, shadow = masks(view, rng)
    number = 8 + overpass % 2
    water = _is_water(view)
    quality = np.select([cloud, cirrus, shadow, water], [QA_CLOUD, QA_CIRRUS, QA_SHADOW, QA_WATER], QA_CLEAR)
    scaled = {"nodata": 0, "data_type": "uint16", "spatial_resolution": 30, "scale": 2.75e-5, "offset": -0.2}
    rasters = {}
    for key, plane in zip(LANDSAT_KEYS, view.reflectance, strict=True):
        numbers = np.clip(np.rint((plane.astype(np.float64) + 0.2) / 2.75e-5), 1, 65535).astype(np.uint16)
        rasters[key] = _raster(numbers, view.grid, 0, {"raster:bands": [scaled]})
    flags = {"nodata": 1, "data_type": "uint16", "spatial_resolution": 30, "unit": "bit index"}
    rasters["qa_pixel"] = _raster(quality.astype(np.uint16), view.grid, 1, {"raster:bands": [flags]})
    return Scene(
        id=f"LC0{number}_L2SP_{LANDSAT_PATH_ROW}_{day_date(day):%Y%m%d}_02_T1",
        collection=LANDSAT,
        footprint=view.grid.footprint(),
        moment=_at(day, 10, 40, 12),
        properties={
            "platform": f"landsat-{number}",
            "instruments": ["oli", "tirs"],
            "gsd": 30,
            "eo:cloud_cover": round(float((cloud | cirrus).mean() * 100), 2),
            "proj:code": f"EPSG:{view.grid.crs.epsg}",
            "landsat:collection_number": "02",
            "landsat:collection_category": "T1",
            "landsat:correction": "L2SP",
            "landsat:wrs_path": LANDSAT_PATH_ROW[:3],
            "landsat:wrs_row": LANDSAT_PATH_ROW[3:],
        },
        rasters=rasters,
    )


def _is_water(view: View) -> NDArray[np.bool_]:
    """Where green exceeds SWIR, as the mask's spectral test for water does."""
    green, swir = view.reflectance[1], view.reflectance[4]
    return np.asarray(green > 1.5 * swir)


def modis_scene(composite: Composite, own: SinusoidalGrid, first: int) -> Scene:
    """The composite that begins on a day: DN = reflectance x 10000, int16, fill -28672; flags, true day per pixel."""
    grid = Grid.of(SINUSOIDAL, own.transform, own.shape)
    start = day_date(first)
    made = _at(first + MODIS_PERIOD + 1, 3, 15, 0)
    cloud = np.select([composite.cloud >= MODIS_CLOUDY, composite.cloud >= MODIS_MIXED], [1, 2], 0)
    shadow = (composite.shadow >= MODIS_MIXED).astype(int)
    surface = np.where(composite.water > 0.5, 3, 1)  # shallow inland water, land
    state = cloud | shadow << 2 | surface << 3 | 1 << 6  # little aerosol
    day_of_year = composite.day - day_number(start.replace(month=1, day=1)) + 1

    def raster(values: NDArray[Any], dtype: type, fill: int, extra: dict[str, Any]) -> Raster:
        numbers: NDArray[Any] = np.where(own.complete, values, fill).astype(dtype)
        band = {"data_type": numbers.dtype.name, "spatial_resolution": 500, **extra}
        return Raster(numbers, SINUSOIDAL, own.transform, fill, {"raster:bands": [band]})

    rasters = {
        key: raster(np.clip(np.rint(plane * 10000), -100, 16000), np.int16, MODIS_FILL, {"scale": 0.0001})
        for key, plane in zip(MODIS_KEYS, composite.reflectance, strict=True)
    }
    rasters["sur_refl_state_500m"] = raster(state, np.uint16, MODIS_FLAG_FILL, {})
    rasters["sur_refl_qc_500m"] = raster(np.full(own.shape, MODIS_QC_BEST), np.uint32, MODIS_QC_FILL, {})
    rasters["sur_refl_day_of_year"] = raster(day_of_year, np.uint16, MODIS_FLAG_FILL, {})
    return Scene(
        id=f"MOD09A1.A{start:%Y%j}.h18v04.061.{made:%Y%j%H%M%S}",
        collection=MODIS,
        footprint=grid.footprint(),
        moment=None,
        properties={
            "start_datetime": f"{start}T00:00:00Z",
            "end_datetime": f"{day_date(first + MODIS_PERIOD - 1)}T23:59:59Z",
            "platform": "terra",
            "instruments": ["modis"],
            "modis:horizontal-tile": 18,
            "modis:vertical-tile": 4,
            "proj:epsg": None,
            "proj:wkt2": CRS(SINUSOIDAL).to_wkt(),
            "proj:shape": list(own.shape),
            "proj:transform": list(own.transform)[:6],
        },
        rasters=rasters,
        extensions=(PROJECTION_WITH_EPSG, RASTER),
    )


def _raster(values: NDArray[Any], grid: Grid, nodata: int, fields: dict[str, Any]) -> Raster:
    """A raster whose STAC fields also say where its pixels are."""
    placed = {"proj:shape": list(grid.shape), "proj:transform": list(grid.transform)[:6]}
    return Raster(values, str(grid.crs), grid.transform, nodata, {**placed, **fields})


def _at(day: int, hour: int, minute: int, second: int) -> datetime:
    date = day_date(day)
    return datetime(date.year, date.month, date.day, hour, minute, second, tzinfo=UTC)
