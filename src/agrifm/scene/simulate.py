"""`agrifm simulate`: a synthetic season as an ordinary static STAC catalogue of COG scenes, with known truth.

    DIR/catalog.json                          the catalogue; a collection per product, a folder per scene
    DIR/area.geojson                          the area, a square
    DIR/truth/crops.tif, landcover.tif        class numbers of the legend, ESA WorldCover codes, 10 m
    DIR/truth/parcels.gpkg, legend.json       parcels with their crop; the legend

The same seed, side and season give the same bytes.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import geopandas
import pyogrio
import pystac
import rasterio
from shapely import total_bounds
from shapely.geometry import mapping, shape

from agrifm.errors import ConfigError
from agrifm.files import write_directory
from agrifm.legend import LEGEND_TAG, UNLABELLED, legend_json
from agrifm.scene import simulate_view as view
from agrifm.scene.simulate_encode import (
    LANDSAT,
    MODIS,
    MODIS_PERIOD,
    SENTINEL_2,
    TITLES,
    Raster,
    Scene,
    landsat_scene,
    modis_scene,
    sentinel_2_scenes,
)
from agrifm.scene.simulate_growth import Ground
from agrifm.scene.simulate_land import CROPS, Land, crop_numbers, draw_land, simulated_legend, world_cover
from agrifm.season import Season, day_number
from agrifm.work import progress, run_tiles

KIND = "season"
SMALLEST_SIDE = 1000.0
"""Metres."""
LONGEST_SEASON = 366
"""Days: fields grow one crop each."""
REVISIT = {SENTINEL_2: (0, 5), LANDSAT: (3, 8)}
"""Collection -> first day after the season's start, and days between overpasses of the two satellites."""
FIRST_SEASON = Season(date(2024, 3, 1), date(2024, 10, 31))


@dataclass(frozen=True)
class Acquisition:
    """An overpass, or the period of a composite: collection, first day since 1970-01-01, running number."""

    collection: str
    day: int
    number: int


def simulate(directory: Path, seed: int = 0, side: float = 5000, season: Season = FIRST_SEASON) -> Path:
    """Write a simulated season and return the path of its catalogue.

    Args:
        directory: new, empty, or a simulated season, which is replaced.
        seed: another seed gives other fields, other weather and other noise.
        side: of the square area, metres.
        season: scenes are made for its days; calendars are those of central France in the year in which it ends.

    Raises:
        ConfigError: the side or the season cannot be simulated.
        OutputError: the directory holds something else.
    """
    if not side >= SMALLEST_SIDE:
        raise ConfigError(f"simulating a season: an area of {side:g} m is too small; give a side of 1000 m or more")
    if season.days > LONGEST_SEASON:
        raise ConfigError(
            f"simulating a season: {season.start} to {season.end} are {season.days} days, and fields grow one crop; "
            f"give {LONGEST_SEASON} days at the most"
        )
    with write_directory(directory, KIND) as partial:
        land = draw_land(seed, side)
        ground = Ground.draw(land, seed, season.end.year)
        _write_truth(partial, land)
        _write_catalogue(partial, _write_scenes(partial, ground, season), season)
    return directory / "catalog.json"


def acquisitions(season: Season) -> list[Acquisition]:
    """What the satellites take in a season, in order of collection and day."""
    start, end = day_number(season.start), day_number(season.end)
    taken = [
        Acquisition(collection, day, number)
        for collection, (first, every) in REVISIT.items()
        for number, day in enumerate(range(start + first, end + 1, every))
    ]
    new_years = [day_number(date(year, 1, 1)) for year in range(season.start.year, season.end.year + 1)]
    # Composites start anew each year, the last one reaching into the next.
    firsts = [first + MODIS_PERIOD * number for first in new_years for number in range(46)]
    periods = [first for first in firsts if first + MODIS_PERIOD > start and first <= end]
    return taken + [Acquisition(MODIS, first, number) for number, first in enumerate(periods)]


def _write_scenes(root: Path, ground: Ground, season: Season) -> list[pystac.Item]:
    """Render and write every scene; items in order of collection and day, whichever was finished first."""
    sinusoidal = view.SinusoidalGrid.over(ground.land.grid)

    def take(acquisition: Acquisition) -> list[pystac.Item]:
        return [_write_scene(root, scene) for scene in _scenes(ground, sinusoidal, acquisition)]

    todo = acquisitions(season)
    items: dict[Acquisition, list[pystac.Item]] = {}
    workers = min(4, os.cpu_count() or 1)
    with progress("simulating scenes", len(todo)) as advance, ThreadPoolExecutor(workers) as threads:
        for acquisition, written in run_tiles(take, todo, threads, ahead=workers):
            items[acquisition] = written
            advance(1)
    return [item for acquisition in todo for item in items[acquisition]]


def _scenes(ground: Ground, sinusoidal: view.SinusoidalGrid, taken: Acquisition) -> list[Scene]:
    if taken.collection == SENTINEL_2:
        return sentinel_2_scenes(ground, view.sentinel_2(ground, taken.day), taken.day, taken.number)
    if taken.collection == LANDSAT:
        return [landsat_scene(ground, view.landsat(ground, taken.day), taken.day, taken.number)]
    days = range(taken.day, taken.day + MODIS_PERIOD)
    return [modis_scene(view.modis(ground, sinusoidal, days), sinusoidal, taken.day)]


def _write_scene(root: Path, scene: Scene) -> pystac.Item:
    folder = root / scene.collection / scene.id
    folder.mkdir(parents=True)
    item = pystac.Item(
        id=scene.id,
        geometry=mapping(scene.footprint),
        bbox=list(scene.footprint.bounds),
        datetime=scene.moment,
        properties=dict(scene.properties),
        stac_extensions=list(scene.extensions),
    )
    for key, raster in scene.rasters.items():
        _write_cog(folder / f"{key}.tif", raster)
        item.add_asset(
            key,
            pystac.Asset(f"./{key}.tif", media_type=pystac.MediaType.COG, roles=["data"], extra_fields=raster.fields),
        )
    return item


def _write_cog(path: Path, raster: Raster, colors: list[str] | None = None, tags: dict[str, str] | None = None) -> None:
    """One band as a cloud-optimised GeoTIFF, with a colour table and tags if given."""
    rows, cols = raster.values.shape
    profile: dict[str, Any] = {
        "driver": "COG",
        "width": cols,
        "height": rows,
        "count": 1,
        "dtype": raster.values.dtype,
        "crs": rasterio.crs.CRS.from_user_input(raster.crs),
        "transform": raster.transform,
        "nodata": raster.nodata,
        "compress": "DEFLATE",
        "level": 1,
        "predictor": "YES",
        "blocksize": 512,
        "overview_resampling": "NEAREST",
        "num_threads": 1,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(raster.values, 1)
        if tags:
            file.update_tags(**tags)
        if colors:
            rgb = [tuple(bytes.fromhex(color.removeprefix("#"))) for color in colors]
            file.write_colormap(1, {number: (*channels, 255) for number, channels in enumerate(rgb)})


def _write_truth(root: Path, land: Land) -> None:
    """The area, the truth on the 10 m grid, the parcels and the legend."""
    area = {"type": "Feature", "properties": {"name": "simulated area"}, "geometry": mapping(land.area)}
    (root / "area.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [area]}) + "\n")
    truth = root / "truth"
    truth.mkdir()
    legend = simulated_legend()
    (truth / "legend.json").write_text(legend.model_dump_json(indent=1, exclude_none=True) + "\n")
    crs, transform = str(land.grid.crs), land.grid.transform
    crops = Raster(crop_numbers(land), crs, transform, UNLABELLED)
    _write_cog(truth / "crops.tif", crops, [entry.color for entry in legend.classes], {LEGEND_TAG: legend_json(legend)})
    _write_cog(truth / "landcover.tif", Raster(world_cover(land), crs, transform, 0))

    grown = [(number, cover) for number, cover in enumerate(land.covers) if cover in CROPS]
    outlines = [land.outlines[number] for number, _ in grown]
    parcels = geopandas.GeoDataFrame(
        {
            "parcel_id": [f"P{number:05d}" for number, _ in grown],
            "crop": [cover for _, cover in grown],
            "area_ha": [round(outline.area / 1e4, 4) for outline in outlines if outline],
        },
        geometry=outlines,
        crs=crs,
    )
    # GeoPackage records when it was written, which would make two runs differ.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2024-01-01T00:00:00.000Z"})
    try:
        parcels.to_file(truth / "parcels.gpkg", layer="parcels", driver="GPKG", engine="pyogrio")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _write_catalogue(root: Path, items: list[pystac.Item], season: Season) -> None:
    """A self-contained catalogue with relative links, one collection per product."""
    catalogue = pystac.Catalog("agrifm-simulated-season", f"A simulated season, {season.start} to {season.end}")
    midnight = datetime(season.start.year, season.start.month, season.start.day, tzinfo=UTC)
    span = [midnight, midnight + timedelta(days=season.days)]
    for name, title in TITLES.items():
        own = [item for item in items if root.joinpath(name, item.id).is_dir()]
        if not own:
            continue
        bounds = total_bounds([shape(item.geometry or {}) for item in own]).tolist()
        extent = pystac.Extent(pystac.SpatialExtent([bounds]), pystac.TemporalExtent([list(span)]))
        collection = pystac.Collection(name, title, extent, license="CC0-1.0")
        collection.add_items(own)
        catalogue.add_child(collection)
    # Absolute and with a slash at the end: pystac takes a name with a dot in it for a file.
    catalogue.normalize_hrefs(f"{root.resolve()}/")
    catalogue.save(pystac.CatalogType.SELF_CONTAINED)
