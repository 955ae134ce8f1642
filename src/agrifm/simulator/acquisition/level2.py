"""Level-2 products of simulated images: digital numbers, quality bands and STAC properties as the providers deliver.

The rules are written here a second time, independently of the rules by which scenes are read: if one of those were
wrong, the simulated scenes would not be read as the reflectance that was written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from shapely import Polygon

from agrifm.grid import Grid
from agrifm.season import day_date, day_number
from agrifm.simulator.acquisition.cloud_masks import MaskBands, detect_clouds, landsat_quality, scene_classes
from agrifm.simulator.acquisition.modis import MODIS_CORNER, MODIS_PIXEL, SINUSOIDAL, ModisComposite, SinusoidalGrid
from agrifm.simulator.acquisition.orbits import COMPOSITE_DAYS, Overpass, SwathCoverage
from agrifm.simulator.acquisition.sky import ANGSTROM
from agrifm.simulator.acquisition.view import View
from agrifm.simulator.keyed_random import uniform

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

S2_KEYS = {
    10: ("blue", "green", "red", "nir"),
    20: ("rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22"),
}
"""Pixel size in metres -> asset keys, in the order of the sensor's bands of that size."""
OLD_BASELINE, OLD_BASELINE_SHARE = "03.01", 0.25
"""A processing baseline before 04.00, which has no offset, and the share of scenes with it."""
NEW_BASELINE, OFFSET = "05.10", 1000
LANDSAT_KEYS = ("blue", "green", "red", "nir08", "swir16", "swir22")

MODIS_KEYS = tuple(f"sur_refl_b{number:02d}" for number in range(1, 8))
MODIS_FILL, MODIS_FLAG_FILL, MODIS_QC_FILL = -28672, 65535, 787410671
MODIS_QC_BEST = 1 << 30
"""Ideal quality in all bands, atmospheric correction done."""
MODIS_TILE = 2400
"""Pixels along each side of a tile."""
MIN_CLOUDY_SHARE, MIN_MIXED_SHARE = 0.5, 0.1
"""Cloud share of a pixel above which it is flagged as cloudy, or as mixed."""
MODIS_CIRRUS = (0.006, 0.015, 0.03)
"""Reflectance of cirrus above which it is flagged as small, average and high."""


@dataclass(frozen=True)
class RasterAsset:
    """Pixels of one asset, and the STAC fields that describe them."""

    values: NDArray[Any]
    crs: str
    transform: Affine
    nodata: int
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Level2Scene:
    """One STAC item with its pixels."""

    id: str
    collection: str
    footprint: Polygon
    """Outline of the pixels with data, in longitude and latitude."""
    moment: datetime | None
    """None if `properties` contain start and end instead."""
    properties: dict[str, Any]
    rasters: Mapping[str, RasterAsset]
    extensions: tuple[str, ...] = (PROJECTION, RASTER, EO)


def sentinel_2_scene(
    views: Sequence[View], covered: SwathCoverage, seed: int, overpass: Overpass, part: str = ""
) -> Level2Scene:
    """A scene of Sentinel-2 from its images at 10 and 20 m: uint16, 0 = nodata, SCL at 20 m.

    DN = reflectance x 10000 + 1000 since processing baseline 04.00; some scenes have an older baseline, without the
    offset of 1000.

    Args:
        covered: coverage of the swath at 20 m.
        part: suffix of the id, which distinguishes granules of the same overpass.
    """
    fine, coarse = views
    is_old = bool(uniform(seed, "baseline", overpass.day, overpass.track) < OLD_BASELINE_SHARE)
    # The scene classification has 20 m pixels; visible bands are averaged to them.
    blue, green, red = (_halved(plane) for plane in fine.reflectance[:3])
    bands = MaskBands(blue, green, red, coarse.reflectance[3], coarse.reflectance[4])
    masks = detect_clouds(coarse.sky, seed, overpass, coarse.camera.grid.x[None], coarse.camera.grid.y[:, None], bands)
    classes = np.where(covered.pixels, scene_classes(masks, bands), 0).astype(np.uint8)
    rasters = {}
    for view in views:
        size = int(view.camera.grid.resolution)
        covered_pixels = covered.pixels.repeat(20 // size, 0).repeat(20 // size, 1)
        band: dict[str, Any] = {"nodata": 0, "data_type": "uint16", "spatial_resolution": size, "scale": 0.0001}
        band |= {} if is_old else {"offset": -0.1}
        for key, plane in zip(S2_KEYS[size], view.reflectance, strict=True):
            numbers = np.clip(np.rint(plane * 10000) + (0 if is_old else OFFSET), 1, 65535)
            rasters[key] = _raster(np.where(covered_pixels, numbers, 0).astype(np.uint16), view.camera.grid, 0, band)
    flags = {"nodata": 0, "data_type": "uint8", "spatial_resolution": 20}
    rasters["scl"] = _raster(classes, coarse.camera.grid, 0, flags)
    classified = classes[classes > 0]
    tile = mgrs_square(coarse.camera.grid)
    return Level2Scene(
        id=f"S2{overpass.satellite[-1].upper()}_T{tile}_{overpass.moment:%Y%m%dT%H%M%S}_L2A{part}",
        collection=SENTINEL_2,
        footprint=covered.outline,
        moment=overpass.moment,
        properties={
            "platform": overpass.satellite,
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "gsd": 10,
            "eo:cloud_cover": round(float(np.isin(classified, (8, 9, 10)).mean() * 100), 2),
            "proj:code": f"EPSG:{coarse.camera.grid.crs.epsg}",
            "s2:processing_baseline": OLD_BASELINE if is_old else NEW_BASELINE,
            "s2:nodata_pixel_percentage": round(float((classes == 0).mean() * 100), 2),
            "sat:relative_orbit": overpass.track,
            "grid:code": f"MGRS-{tile}",
            **_sun(overpass),
        },
        rasters=rasters,
    )


def landsat_scene(view: View, covered: SwathCoverage, seed: int, overpass: Overpass, part: str = "") -> Level2Scene:
    """A scene of Landsat: DN = (reflectance + 0.2) / 0.0000275, uint16, 0 = nodata; the fill of QA_PIXEL is 1."""
    grid = view.camera.grid
    bands = MaskBands(*view.reflectance[:5])
    masks = detect_clouds(view.sky, seed, overpass, grid.x[None], grid.y[:, None], bands)
    quality = np.where(covered.pixels, landsat_quality(masks, bands), 1)
    scaled = {"nodata": 0, "data_type": "uint16", "spatial_resolution": 30, "scale": 2.75e-5, "offset": -0.2}
    rasters = {}
    for key, plane in zip(LANDSAT_KEYS, view.reflectance, strict=True):
        numbers = np.clip(np.rint((plane.astype(np.float64) + 0.2) / 2.75e-5), 1, 65535)
        rasters[key] = _raster(np.where(covered.pixels, numbers, 0).astype(np.uint16), grid, 0, scaled)
    flags = {"nodata": 1, "data_type": "uint16", "spatial_resolution": 30, "unit": "bit index"}
    rasters["qa_pixel"] = _raster(quality.astype(np.uint16), grid, 1, flags)
    number = overpass.satellite[-1]
    return Level2Scene(
        id=f"LC0{number}_L2SP_{overpass.track:03d}{overpass.row:03d}_{overpass.moment:%Y%m%d}_02_T1{part}",
        collection=LANDSAT,
        footprint=covered.outline,
        moment=overpass.moment,
        properties={
            "platform": overpass.satellite,
            "instruments": ["oli", "tirs"],
            "gsd": 30,
            "eo:cloud_cover": round(float((masks.cloud | masks.cirrus)[covered.pixels].mean() * 100), 2),
            "proj:code": f"EPSG:{grid.crs.epsg}",
            "landsat:collection_number": "02",
            "landsat:collection_category": "T1",
            "landsat:correction": "L2SP",
            "landsat:wrs_path": f"{overpass.track:03d}",
            "landsat:wrs_row": f"{overpass.row:03d}",
            **_sun(overpass),
        },
        rasters=rasters,
    )


def modis_scene(composite: ModisComposite, pixels: SinusoidalGrid, first: int, part: str = "") -> Level2Scene:
    """The MOD09A1 scene of a period: DN = reflectance x 10000, int16, fill -28672; flags; the day of each pixel."""
    start = day_date(first)
    made = datetime(start.year, start.month, start.day, 3, 15, tzinfo=UTC) + timedelta(days=COMPOSITE_DAYS + 1)

    def raster(values: NDArray[Any], dtype: type, fill: int, extra: dict[str, Any]) -> RasterAsset:
        numbers: NDArray[Any] = np.full(pixels.shape, fill, dtype)
        numbers.flat[pixels.index] = values.astype(dtype)
        band = {"data_type": numbers.dtype.name, "spatial_resolution": 500, **extra}
        return RasterAsset(numbers, SINUSOIDAL, pixels.transform, fill, {"raster:bands": [band]})

    rasters = {
        key: raster(np.clip(np.rint(plane * 10000), -100, 16000), np.int16, MODIS_FILL, {"scale": 0.0001})
        for key, plane in zip(MODIS_KEYS, composite.reflectance, strict=True)
    }
    # All pixels have ideal quality; clouds are flagged in the state word only.
    best = np.full(len(pixels.index), MODIS_QC_BEST)
    day_of_year = composite.day - day_number(start.replace(month=1, day=1)) + 1
    rasters["sur_refl_state_500m"] = raster(_state(composite), np.uint16, MODIS_FLAG_FILL, {})
    rasters["sur_refl_qc_500m"] = raster(best, np.uint32, MODIS_QC_FILL, {})
    rasters["sur_refl_day_of_year"] = raster(day_of_year, np.uint16, MODIS_FLAG_FILL, {})
    column, row = (
        int(round(metres / MODIS_PIXEL) // MODIS_TILE)
        for metres in (pixels.transform.c - MODIS_CORNER[0], MODIS_CORNER[1] - pixels.transform.f)
    )
    return Level2Scene(
        id=f"MOD09A1.A{start:%Y%j}.h{column:02d}v{row:02d}.061.{made:%Y%j%H%M%S}{part}",
        collection=MODIS,
        footprint=Grid.of(SINUSOIDAL, pixels.transform, pixels.shape).footprint(),
        moment=None,
        properties={
            "start_datetime": f"{start}T00:00:00Z",
            "end_datetime": f"{day_date(first + COMPOSITE_DAYS - 1)}T23:59:59Z",
            "platform": "terra",
            "instruments": ["modis"],
            "modis:horizontal-tile": column,
            "modis:vertical-tile": row,
            "proj:epsg": None,
            "proj:wkt2": CRS(SINUSOIDAL).to_wkt(),
            "proj:shape": list(pixels.shape),
            "proj:transform": list(pixels.transform)[:6],
        },
        rasters=rasters,
        extensions=(PROJECTION_WITH_EPSG, RASTER),
    )


def _state(composite: ModisComposite) -> NDArray[np.int64]:
    """State word: bits 0-1 cloud, 2 shadow, 3-5 land or water, 6-7 aerosol, 8-9 cirrus."""
    red, infrared = composite.reflectance[0], composite.reflectance[1]
    cloud = np.select([composite.cloud >= MIN_CLOUDY_SHARE, composite.cloud >= MIN_MIXED_SHARE], [1, 2], 0)
    shadow = (composite.shadow >= MIN_MIXED_SHARE).astype(int)
    surface = np.where((infrared < red) & (infrared < 0.08), 3, 1)  # shallow inland water, land
    depth = composite.haze * (469 / 490) ** -ANGSTROM
    aerosol = np.select([depth > 0.02, depth > 0.008], [3, 2], 1)
    cirrus = np.searchsorted(MODIS_CIRRUS, composite.cirrus, side="right")
    return np.asarray(cloud | shadow << 2 | surface << 3 | aerosol << 6 | cirrus << 8, np.int64)


def mgrs_square(grid: Grid) -> str:
    """MGRS zone, band and 100 km square of the middle of a UTM grid, such as 31TCM (NGA.SIG.0012)."""
    zone = int(str(grid.crs.epsg)[-2:])  # EPSG:326zz and EPSG:327zz
    left, bottom, right, top = grid.bounds
    centre = grid.footprint().centroid
    band = "CDEFGHJKLMNPQRSTUVWX"[min(int(centre.y + 80) // 8, 19)]
    column = "ABCDEFGHJKLMNPQRSTUVWXYZ"[(zone - 1) % 3 * 8 + int((left + right) / 2e5) - 1]
    row = "ABCDEFGHJKLMNPQRSTUV"[(int((bottom + top) / 2e5) + (5 if zone % 2 == 0 else 0)) % 20]
    return f"{zone:02d}{band}{column}{row}"


def _sun(overpass: Overpass) -> dict[str, float]:
    return {
        "view:sun_azimuth": round(overpass.sun_azimuth, 2),
        "view:sun_elevation": round(90 - overpass.sun_zenith, 2),
        "view:incidence_angle": round(overpass.view_zenith, 2),
    }


def _halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 2 x 2 pixels."""
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) / np.float32(4)


def _raster(values: NDArray[Any], grid: Grid, nodata: int, band: dict[str, Any]) -> RasterAsset:
    """A raster whose STAC fields include the shape and transform of its grid."""
    placed = {"proj:shape": list(grid.shape), "proj:transform": list(grid.transform)[:6]}
    return RasterAsset(values, str(grid.crs), grid.transform, nodata, {**placed, "raster:bands": [band]})
