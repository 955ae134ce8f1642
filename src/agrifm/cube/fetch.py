"""`agrifm fetch`: the project's scenes, from a catalogue or from files of one's own, to its cube."""

from collections.abc import Sequence
from pathlib import Path

from shapely import box, make_valid
from shapely.geometry.base import BaseGeometry

from agrifm.config import Project
from agrifm.cube.build import build_cube, group_frames
from agrifm.cube.store import Cube
from agrifm.errors import ConfigError
from agrifm.grid import LONLAT
from agrifm.scene.own import search_files
from agrifm.scene.products import Product, find_product
from agrifm.scene.read import Scene
from agrifm.scene.search import Search, search_catalog
from agrifm.scene.usable import UsableRule
from agrifm.vectors import read_vector


def fetch(project: Project) -> tuple[Cube, list[str]]:
    """Find the project's scenes and build its cube, or continue a build that was stopped.

    Returns:
        The cube, and one sentence per sensor that accounts for every frame.

    Raises:
        ConfigError: the area or a product cannot be used.
        SceneError, CubeError, OutputError: see `search_catalog`, `search_files` and `build_cube`.
    """
    imagery, season = project.imagery, project.season.season
    rule = UsableRule(imagery.masked, imagery.dilate, imagery.masks)
    area = read_area(project.season.area, project.directory)
    search = Search()
    products = [find_product(name) for name in imagery.products]
    if imagery.catalog is not None:
        search.extend(search_catalog(project.path(imagery.catalog), products, season, area, imagery.skip))
    for files in imagery.files:
        product = find_product(files.product)
        search.extend(search_files(project.directory, files.pattern, product, season, imagery.skip, files.baseline))
    cube = build_cube(project.cube, search, season, area, imagery.native_grid, rule, imagery.offset)
    return cube, account(search, imagery.skip, products)


def read_area(area: Path | tuple[float, float, float, float], directory: Path = Path()) -> BaseGeometry:
    """The area in longitude and latitude: the union of a vector file's shapes, or a box (west, south, east, north).

    Raises:
        ConfigError: the file is absent, has no CRS, or the area is empty.
    """
    if not isinstance(area, Path):
        west, south, east, north = area
        if not (west < east and south < north):
            raise ConfigError(
                f"reading the area: west {west}, south {south}, east {east}, north {north} is empty; "
                "west must be less than east and south less than north"
            )
        return box(*area)
    path = directory / area
    frame = read_vector(path, f"reading the area {path}", ConfigError)
    shape: BaseGeometry = make_valid(frame.to_crs(LONLAT).union_all())
    if shape.is_empty or shape.area == 0:
        raise ConfigError(f"reading the area {path}: it is empty; it needs at least one polygon")
    return shape


def account(search: Search, skip: Sequence[str] = (), products: Sequence[Product] = ()) -> list[str]:
    """One sentence per sensor: frames requested, found and skipped, the skipped scenes by name; then what was amiss.

    Args:
        skip: ids of scenes that were to be left out.
        products: products that were asked for.
    """
    found, requested = (_frames_per_sensor(scenes) for scenes in (search.scenes, search.scenes + search.skipped))
    lines = []
    for sensor, days in requested.items():
        skipped = [scene.id for scene in search.skipped if scene.product.sensor == sensor]
        note = f", skipped on request: {', '.join(sorted(skipped))}" if skipped else ""
        lines.append(f"{sensor}: {days} frames requested, {found.get(sensor, 0)} found{note}")
    came = {scene.product.name for scene in search.scenes + search.skipped}
    lines += [
        f"{own.sensor}: no scene of '{own.name}' in the season and area" for own in products if own.name not in came
    ]
    unknown = sorted(set(skip) - {scene.id for scene in search.skipped})
    if unknown:
        lines.append(f"to be skipped, but not among the scenes: {', '.join(unknown)}")
    return lines


def _frames_per_sensor(scenes: Sequence[Scene]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for frame in group_frames(scenes):
        counts[frame.sensor] = counts.get(frame.sensor, 0) + 1
    return counts
