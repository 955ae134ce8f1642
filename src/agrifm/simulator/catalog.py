"""Write a simulated season as an ordinary static STAC catalogue of COG scenes, with the known truth.

    DIR/catalog.json                          the catalogue; one collection for each product, one folder for each scene
    DIR/area.geojson                          the area, a square
    DIR/truth/crops.tif, landcover.tif        class numbers of the legend, ESA WorldCover codes, 10 m
    DIR/truth/parcels.gpkg, legend.json       parcels with their crop and yield; the legend

The same region, year, seed and size give the same bytes. Large areas are made granule by granule, each with its land,
growth and scenes, so that the memory needed does not grow with the area.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pystac
import rasterio
from shapely import total_bounds
from shapely.geometry import mapping, shape

from agrifm.errors import ConfigError
from agrifm.files import AnyPath, as_path
from agrifm.outputs import require_replaceable, write_directory
from agrifm.season import Season
from agrifm.simulator.acquisition.level2 import TITLES, Level2Scene, RasterAsset
from agrifm.simulator.granule import Acquisition, Simulation
from agrifm.simulator.region import read_region
from agrifm.simulator.truth import COG, TruthWriter
from agrifm.work import progress, run_tiles

KIND = "season"
"""Kind of directory that a season replaces, see `outputs.require_replaceable`."""
MIN_SEASON_DAYS, MAX_SEASON_DAYS = 28, 366


def simulate(
    directory: AnyPath,
    region: AnyPath = "oceanic",
    year: int = 2024,
    size: float = 5.0,
    seed: int = 0,
    season: Season | None = None,
    on_scene: Callable[[pystac.Item, Path], None] | None = None,
) -> Path:
    """Write a simulated season and return the path of its catalogue.

    Args:
        directory: new, empty, or a simulated season, which is replaced.
        region: name of a region of the package, or path of a region's file.
        year: the year in which the season ends.
        size: side of the square area, kilometres.
        seed: another seed gives other fields, other weather and other noise.
        season: dates instead of the region's season; `year` is then ignored.
        on_scene: called in this thread with the item and the folder of each scene as soon as it is written.

    Raises:
        ConfigError: the region, the size or the dates cannot be simulated.
        OutputError: the directory contains other files, or the disk is too small.
    """
    directory = as_path(directory)
    parameters = read_region(region)
    if not 1900 <= year <= 2100:
        raise ConfigError(f"simulating a season: the year {year} is not between 1900 and 2100; give another", year=year)
    dates = season or parameters.orbits.season(year)
    if not MIN_SEASON_DAYS <= dates.days <= MAX_SEASON_DAYS:
        raise ConfigError(
            f"simulating a season: {dates.start} to {dates.end} are {dates.days} days; give at least "
            f"{MIN_SEASON_DAYS} and at most {MAX_SEASON_DAYS} days",
            days=dates.days,
        )
    return write_season(directory, Simulation.of(parameters, size, seed, dates), on_scene)


def write_season(
    directory: AnyPath, simulation: Simulation, on_scene: Callable[[pystac.Item, Path], None] | None = None
) -> Path:
    """Write a simulated season and return the path of its catalogue.

    Raises:
        OutputError: the directory contains anything but a simulated season, or the disk is too small.
    """
    directory = as_path(directory)
    require_replaceable(directory, KIND)
    simulation.require_space(directory, KIND)
    with write_directory(directory, KIND) as partial:
        _write_catalogue(partial, _write_scenes(partial, simulation, on_scene), simulation.season)
    return directory / "catalog.json"


def _write_scenes(
    root: Path, simulation: Simulation, on_scene: Callable[[pystac.Item, Path], None] | None
) -> list[pystac.Item]:
    """Render and write the truth and every scene; return the items in order of collection and day."""
    workers = min(4, os.cpu_count() or 1)
    truth = TruthWriter.begin(root, simulation.region, simulation.area, simulation.grid)
    items: dict[tuple[Acquisition, str], pystac.Item] = {}
    total = len(simulation.windows) * len(simulation.acquisitions)
    with progress("simulating scenes", total) as advance, ThreadPoolExecutor(workers) as threads:
        for part in simulation.windows:
            for acquisition, item in _write_granule(root, simulation, part, truth, threads, workers):
                if item is not None:
                    items[acquisition, part] = item
                    if on_scene is not None:
                        on_scene(item, root / str(item.collection_id) / item.id)
                advance(1)
    truth.finish()
    # Threads finish in any order; the catalogue must not depend on it.
    order = [(acquisition, part) for acquisition in simulation.acquisitions for part in simulation.windows]
    return [items[key] for key in order if key in items]


def _write_granule(
    root: Path, simulation: Simulation, part: str, truth: TruthWriter, threads: Executor, workers: int
) -> Iterator[tuple[Acquisition, pystac.Item | None]]:
    """Write the scenes of a granule; yield items as they are finished, None if a swath does not cover the granule."""
    granule = simulation.granule(part)
    truth.add(simulation.windows[part], *granule.truth(truth.legend), granule.parcels(truth.area))

    def acquire(acquisition: Acquisition) -> pystac.Item | None:
        scene = granule.scene(acquisition)
        return None if scene is None else _write_scene(root, scene)

    yield from run_tiles(acquire, simulation.acquisitions, threads, ahead=workers)


def _write_scene(root: Path, scene: Level2Scene) -> pystac.Item:
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


def _write_cog(path: Path, raster: RasterAsset) -> None:
    """Write one band as a COG without overviews: scenes are small, and overviews would double the time."""
    rows, cols = raster.values.shape
    profile = {
        **COG,
        "overviews": "NONE",
        "width": cols,
        "height": rows,
        "count": 1,
        "dtype": raster.values.dtype,
        "crs": rasterio.crs.CRS.from_user_input(raster.crs),
        "transform": raster.transform,
        "nodata": raster.nodata,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(raster.values, 1)


def _write_catalogue(root: Path, items: list[pystac.Item], season: Season) -> None:
    """Write a self-contained catalogue with relative links and one collection for each product."""
    catalogue = pystac.Catalog("agrifm-simulated-season", f"A simulated season, {season.start} to {season.end}")
    midnight = datetime(season.start.year, season.start.month, season.start.day, tzinfo=UTC)
    span = [midnight, midnight + timedelta(days=season.days)]
    for name, title in TITLES.items():
        members = [item for item in items if item.collection_id == name]
        if not members:
            continue
        bounds = total_bounds([shape(item.geometry or {}) for item in members]).tolist()
        extent = pystac.Extent(pystac.SpatialExtent([bounds]), pystac.TemporalExtent([list(span)]))
        collection = pystac.Collection(name, title, extent, license="CC0-1.0")
        collection.add_items(members)
        catalogue.add_child(collection)
    # An absolute path with a slash at the end: pystac treats a name that contains a dot as a file.
    catalogue.normalize_hrefs(f"{root.resolve()}/")
    catalogue.save(pystac.CatalogType.SELF_CONTAINED)
