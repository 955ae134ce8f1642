"""`agrifm simulate`: a synthetic season as an ordinary static STAC catalogue of COG scenes, with known truth.

    DIR/catalog.json                          the catalogue; a collection per product, a folder per scene
    DIR/area.geojson                          the area, a square
    DIR/truth/crops.tif, landcover.tif        class numbers of the legend, ESA WorldCover codes, 10 m
    DIR/truth/parcels.gpkg, legend.json       parcels with their crop and yield; the legend

The same region, year, seed and size give the same bytes. Large areas are made granule by granule, each with its land,
growth and scenes, so that memory does not grow with the area.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pyogrio
import pystac
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from shapely import Polygon, box, total_bounds
from shapely.geometry import mapping, shape

from agrifm.errors import ConfigError, CubeError, OutputError
from agrifm.files import require_ours, write_directory
from agrifm.grid import LONLAT, NEST, Grid, Window, area_grid, reproject, utm_zone
from agrifm.legend import LEGEND_TAG, UNLABELLED, Legend, legend_json
from agrifm.scene.simulator.encode import LANDSAT, MODIS, SENTINEL_2, TITLES, Raster, Scene
from agrifm.scene.simulator.granule import Acquisition, Granule, acquisitions
from agrifm.scene.simulator.region import Region, read_region
from agrifm.scene.simulator.truth import simulated_legend
from agrifm.season import Season
from agrifm.work import progress, run_tiles

KIND = "season"
SMALLEST, LARGEST = 1.0, 300.0
"""Sides of areas, kilometres."""
SHORTEST_SEASON, LONGEST_SEASON = 28, 366
"""Days."""
OFF = 130.0
"""Metres from a multiple of 480 to the area's edge, so that nothing relies on areas that fit their grid."""
MARGIN = 300.0
"""Scenes reach so many metres beyond the area's cube grid: a MODIS pixel of 463 m reaches 240 m beyond its centre."""
GRANULE = 11520.0
"""Side of the largest granules, metres: one for an area of 10 km with its margins."""
BYTES = {SENTINEL_2: 80e3, LANDSAT: 11e3, MODIS: 450}
"""On disk, for each square kilometre of a scene: measured at 10 km, with files whole and half empty."""


def simulate(
    directory: Path,
    region: str | Path = "oceanic",
    year: int = 2024,
    size: float = 5.0,
    seed: int = 0,
    season: Season | None = None,
) -> Path:
    """Write a simulated season and return the path of its catalogue.

    Args:
        directory: new, empty, or a simulated season, which is replaced.
        region: one of the regions that come with the package, or a region's file.
        year: in which the season ends.
        size: side of the square area, kilometres.
        seed: another seed gives other fields, other weather and other noise.
        season: other dates than the region's own; `year` then does not count.

    Raises:
        ConfigError: the region, the size or the dates cannot be simulated.
        OutputError: the directory holds something else, or the disk is too small.
    """
    described = read_region(region)
    if not 1900 <= year <= 2100:
        raise ConfigError(f"simulating a season: the year {year} is not between 1900 and 2100; give another")
    dates = season or described.orbits.season(year)
    if not SHORTEST_SEASON <= dates.days <= LONGEST_SEASON:
        raise ConfigError(
            f"simulating a season: {dates.start} to {dates.end} are {dates.days} days; give a month "
            f"({SHORTEST_SEASON} days) at the least and a year ({LONGEST_SEASON} days) at the most"
        )
    plan = Plan.of(described, size, seed, dates)
    require_ours(directory, KIND)
    plan.require_space(directory)
    with write_directory(directory, KIND) as partial:
        _write_catalogue(partial, _write_scenes(partial, plan), dates)
    return directory / "catalog.json"


@dataclass(frozen=True)
class Plan:
    """What is simulated, and where."""

    region: Region
    season: Season
    seed: int
    area: Polygon
    """The area asked for, in longitude and latitude."""
    grid: Grid
    """10 m pixels that scenes cover: the area's cube grid and a margin."""
    acquisitions: list[Acquisition]
    side: float = GRANULE
    """Of granules, metres."""

    @classmethod
    def of(cls, region: Region, size: float, seed: int, season: Season, side: float = GRANULE) -> "Plan":
        """A square of `size` kilometres in the middle of a region.

        Raises:
            ConfigError: the square is too small, too large, or reaches out of the region's UTM zone.
        """
        if not SMALLEST <= size <= LARGEST:
            raise ConfigError(
                f"simulating a season: an area of {size:g} x {size:g} km cannot be simulated; give a side of "
                f"{SMALLEST:g} to {LARGEST:g} km"
            )
        place = region.place
        middle = Transformer.from_crs(LONLAT, place.crs, always_xy=True).transform(place.lon, place.lat)
        left, bottom = (NEST * round((centre - size * 500) / NEST) + OFF for centre in middle)
        outline = box(left, bottom, left + size * 1000, bottom + size * 1000, ccw=True)
        area = reproject(outline, place.crs, LONLAT)
        assert isinstance(area, Polygon)
        try:
            fits = utm_zone(area) == place.crs
        except CubeError:
            fits = False
        if not fits:
            raise ConfigError(
                f"simulating a season: an area of {size:g} x {size:g} km around {place.lon:g}, {place.lat:g} reaches "
                f"out of {place.crs}, the UTM zone of the region '{region.name}'; give a smaller size"
            )
        nest = area_grid(area, 10)
        pixels = round(MARGIN / 10)
        rows, cols = (cells + 2 * pixels for cells in nest.shape)
        grid = Grid.of(place.crs, nest.transform * Affine.translation(-pixels, -pixels), (rows, cols))
        taken = acquisitions(region, season, seed, math.hypot(rows, cols) / 200)
        return cls(region, season, seed, area, grid, taken, side)

    @property
    def windows(self) -> dict[str, Window]:
        """Windows of the granules in 10 m pixels, by the end of their scenes' ids; "" where there is but one."""
        cells = round(self.side / 10)
        rows, cols = (_cut(length, cells) for length in self.grid.shape)
        if len(rows) == len(cols) == 1:
            return {"": Window(0, 0, *self.grid.shape)}
        return {
            f"_R{down:02d}C{right:02d}": Window(row, col, height, width)
            for down, (row, height) in enumerate(rows, start=1)
            for right, (col, width) in enumerate(cols, start=1)
        }

    def granule(self, part: str) -> Granule:
        """One of the granules; each is large, so that only one should be kept."""
        return Granule.draw(self.region, self.season, self.seed, self.grid.window(self.windows[part]), part)

    def require_space(self, directory: Path) -> None:
        """Refuse a season that the disk cannot hold.

        Raises:
            OutputError: it has less free space than the season will take.
        """
        square_kilometres = math.prod(self.grid.shape) / 1e4
        needed = sum(BYTES[taken.collection] for taken in self.acquisitions) * square_kilometres
        place = directory.absolute()
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        if needed > free:
            raise OutputError(
                f"writing a {KIND} to {directory}: it takes about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are "
                "free there; give a smaller size, fewer months or another disk"
            )


def _cut(length: int, cells: int) -> list[tuple[int, int]]:
    """Starts and lengths of pieces of at most about `cells` pixels, on multiples of 6, so that 20 m pixels fit."""
    count = math.ceil(length / cells)
    edges = [round(length * number / count / 6) * 6 for number in range(count)] + [length]
    return [(start, end - start) for start, end in pairwise(edges)]


def _write_scenes(root: Path, plan: Plan) -> list[pystac.Item]:
    """Render and write every scene, and the truth; items in order of collection and day."""
    workers = min(4, os.cpu_count() or 1)
    truth = _Truth.empty(plan)
    items: dict[tuple[Acquisition, str], pystac.Item] = {}
    total = len(plan.windows) * len(plan.acquisitions)
    with progress("simulating scenes", total) as advance, ThreadPoolExecutor(workers) as threads:
        for part in plan.windows:
            for acquisition, item in _write_granule(root, plan, part, truth, threads, workers):
                if item is not None:
                    items[acquisition, part] = item
                advance(1)
    truth.write(root)
    order = [(taken, part) for taken in plan.acquisitions for part in plan.windows]
    return [items[key] for key in order if key in items]


def _write_granule(
    root: Path, plan: Plan, part: str, truth: "_Truth", threads: Executor, workers: int
) -> Iterator[tuple[Acquisition, pystac.Item | None]]:
    """Write the scenes of a granule; yields items as they are finished, None where a swath covers nothing of it."""
    granule = plan.granule(part)
    truth.add(granule)

    def take(acquisition: Acquisition) -> pystac.Item | None:
        scene = granule.scene(acquisition)
        return None if scene is None else _write_scene(root, scene)

    yield from run_tiles(take, plan.acquisitions, threads, ahead=workers)


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
    item.collection_id = scene.collection
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
        "overviews": "NONE",  # scenes are small, and overviews would double the time of writing
        "num_threads": 1,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(raster.values, 1)
        if tags:
            file.update_tags(**tags)
        if colors:
            rgb = [tuple(bytes.fromhex(color.removeprefix("#"))) for color in colors]
            file.write_colormap(1, {number: (*channels, 255) for number, channels in enumerate(rgb)})


@dataclass(frozen=True)
class _Truth:
    """The truth of the whole area, which grows granule by granule: two bytes for each 10 m pixel, and the parcels."""

    plan: Plan
    legend: Legend
    crops: NDArray[np.uint8]
    cover: NDArray[np.uint8]
    parcels: list[geopandas.GeoDataFrame]

    @classmethod
    def empty(cls, plan: Plan) -> "_Truth":
        crops = plan.region.crops
        legend = simulated_legend({code: crops[code].name for code in plan.region.shares})
        unknown, nothing = (np.full(plan.grid.shape, fill, np.uint8) for fill in (UNLABELLED, 0))
        return cls(plan, legend, unknown, nothing, [])

    def add(self, granule: Granule) -> None:
        """Take over what is true of a granule."""
        window = self.plan.windows[granule.part].slices
        self.crops[window], self.cover[window] = granule.truth(self.legend)
        self.parcels.append(granule.parcels(reproject(self.plan.area, LONLAT, self.plan.region.place.crs)))

    def write(self, root: Path) -> None:
        """The area, the truth on the 10 m grid, the parcels and the legend."""
        area = {"type": "Feature", "properties": {"name": "simulated area"}, "geometry": mapping(self.plan.area)}
        (root / "area.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [area]}) + "\n")
        truth, legend = root / "truth", self.legend
        truth.mkdir()
        (truth / "legend.json").write_text(legend.model_dump_json(indent=1, exclude_none=True) + "\n")
        crs, transform = self.plan.region.place.crs, self.plan.grid.transform
        crops = Raster(self.crops, crs, transform, UNLABELLED)
        colors = [entry.color for entry in legend.classes]
        _write_cog(truth / "crops.tif", crops, colors, {LEGEND_TAG: legend_json(legend)})
        _write_cog(truth / "landcover.tif", Raster(self.cover, crs, transform, 0))
        # A parcel across granules is in both, and the same.
        parcels = pandas.concat(self.parcels).drop_duplicates("parcel_id").sort_values("parcel_id")
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
        own = [item for item in items if item.collection_id == name]
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
