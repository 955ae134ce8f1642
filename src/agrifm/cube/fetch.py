"""`agrifm fetch`: build the cube of a project from a catalogue or local files, and resample it if requested."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from agrifm.config import Project
from agrifm.cube.build import build_cube
from agrifm.cube.earlier import describe_damage
from agrifm.cube.resample import resample_cube, resampler
from agrifm.cube.store import Cube
from agrifm.errors import ConfigError, CubeError, SceneError
from agrifm.grid import utm_zone
from agrifm.outputs import unfinished as unfinished_at
from agrifm.outputs import writing
from agrifm.scene.area import Area, read_area
from agrifm.scene.described_products import described_products
from agrifm.scene.local_files import search_files
from agrifm.scene.mask import MaskRule
from agrifm.scene.products import Product, find_product
from agrifm.scene.providers import find_provider, provider_of
from agrifm.scene.reach import ANYWHERE, Reach
from agrifm.scene.remote import TRAFFIC, is_remote, traffic_since
from agrifm.scene.scene import Scene
from agrifm.scene.scenes_file import is_answer_to, request_of, write_collection
from agrifm.scene.search import SKIPPED, SearchResult, search_catalog

SCENES = "scenes.json"
"""Item collection next to the cube: the scenes that were found, from which the cube is built."""
QA60_EMPTY = date(2022, 1, 25), date(2024, 2, 28)
"""Acquisitions for which Earth Engine had no QA60 until it was filled in again in 2024."""
MIN_CLOUD_COVERS = 3
"""Number of stated cloud covers from which it is suspicious that none is above 1 percent."""


def fetch(project: Project) -> tuple[Cube, list[str]]:
    """Find the project's scenes, build its cube and resample it if requested; a stopped run continues.

    The scenes found in a catalogue are written to scenes.json next to the cube before the first is read. A stopped
    build from a server continues with them for the same request, even if the server has other scenes by then.

    Returns:
        The cube to train and map on, and one sentence per sensor that accounts for every frame; then what was read
        from servers. The cube's notes say whether it was written or kept.

    Raises:
        ConfigError: the area, the provider or a product cannot be used.
        SceneError, CubeError, OutputError: see `search_catalog`, `search_files` and `build_cube`.
    """
    with writing(project.observed_cube, "cube"):
        return _fetch(project)


def _fetch(project: Project) -> tuple[Cube, list[str]]:
    imagery, season, before = project.imagery, project.season.season, TRAFFIC.totals()
    rule = MaskRule(imagery.masked, imagery.dilate, imagery.masks)
    if project.season.area is None or not imagery.has_source:
        missing = "area" if project.season.area is None else "catalog"
        raise ConfigError(
            f"fetching: the project has no `{missing}`, which a project of a series table needs only for a cube; give "
            "`area` under [season] and `provider`, `catalog` or [[imagery.files]]",
            key=missing,
        )
    area = read_area(project.season.area, project.directory, project.season.buffer, project.season)
    if not imagery.native_grid:
        utm_zone(area.shape)  # refused before anything is searched
    described = described_products(imagery.product)
    products = [find_product(name, described) for name in imagery.products]
    notes: list[str] = []
    try:
        search = _find_scenes(project, products, area, notes)
        cube = build_cube(
            project.observed_cube,
            search,
            season,
            area.shape,
            imagery.native_grid,
            rule,
            imagery.offset,
            missing=imagery.missing,
        )
    except (SceneError, CubeError) as error:
        # The cause may be gone from the server by now, and a damaged cube be what this run was to repair.
        more = [*notes, *describe_damage(project.observed_cube)]
        if more:
            raise type(error)("; ".join([str(error), *more]), **error.facts) from error
        raise
    failed = cube.provenance.get("failed", {})
    lines = [*area.notes, *notes, *account(search, imagery.skip, products)]
    if failed:
        lines.append(f"{len(failed)} scenes failed, are left out, and are asked for again by the next fetch:")
        lines += failed.values()
    lines += traffic_since(before)
    if imagery.resample is not None:
        frames = project.model.frames
        resamplers = {name: resampler(imagery.resample, of, season, frames) for name, of in cube.sensors.items()}
        lines += [f"{name}: {of.description}, {len(of.first)} frames" for name, of in resamplers.items()]
        resampled = resample_cube(cube, project.cube, resamplers)
        cube = replace(resampled, notes=(*cube.notes, *resampled.notes))
    return cube, lines


def _find_scenes(project: Project, products: Sequence[Product], area: Area, notes: list[str]) -> SearchResult:
    """The scenes of the project's catalogue and of its files; adds to the notes on the search."""
    imagery = project.imagery
    with TRAFFIC.purpose("search"):
        search, new = _search(project, products, area)
    notes += new
    for files in imagery.files:
        product = find_product(files.product, described_products(imagery.product))
        season = project.season.season
        search.extend(
            search_files(project.directory, files.pattern, product, season, imagery.skip, files.baseline, "skip")
        )
    if imagery.without_quality == "keep":
        search.scenes = [replace(scene, unmasked=True) for scene in search.scenes]
    if imagery.missing == "stop":  # else the build leaves them out of their frames, which stay
        search.refuse_incomplete()
    search.unusable.require_rest(search.scenes, imagery.missing)
    return search


def _search(project: Project, products: Sequence[Product], area: Area) -> tuple[SearchResult, list[str]]:
    """Search the project's provider or catalogue and write the result next to the cube.

    A note says if an earlier result was used instead.
    """
    imagery, season = project.imagery, project.season.season
    source = imagery.catalog
    if imagery.provider is not None:
        provider = find_provider(imagery.provider)
        foreign = [product.name for product in products if provider_of(product) != provider]
        if foreign:
            raise ConfigError(
                f"searching {provider.title}: it has no product {', '.join(map(repr, foreign))}; it has "
                f"{', '.join(product.name for product in provider.products)}"
            )
        source = provider.url
    if source is None:
        return SearchResult(), []
    if not is_remote(source):
        path = project.path(source)
        source = str(path / "catalog.json" if path.is_dir() else path)
    written = project.path(SCENES)
    request = request_of(source, season, area.shape, imagery.products, imagery.cloud, imagery.skip)
    unfinished = unfinished_at(project.observed_cube).exists()
    # agrifm wrote the project's own scenes.json, which may name any folder that an earlier catalogue was in
    reach = ANYWHERE if source == str(written) else Reach.of(source, imagery.reach, project.directory)
    if unfinished and is_remote(source) and is_answer_to(written, request):
        search = search_catalog(str(written), products, season, area.shape, imagery.skip, imagery.cloud, reach, "skip")
        return search, [f"continued with the {len(search.items)} scenes of {SCENES}; delete it to search anew"]
    search = search_catalog(source, products, season, area.shape, imagery.skip, imagery.cloud, reach, "skip")
    if is_remote(source) or Path(source).resolve() != written.resolve():
        write_collection(written, search.items, search.removed, request, search.unusable.reasons)
    return search, []


def account(search: SearchResult, skip: Sequence[str] = (), products: Sequence[Product] = ()) -> list[str]:
    """Account for all scenes: removed by filters; requested, found and skipped per sensor; missing.

    Args:
        skip: ids of scenes to leave out.
        products: requested products.
    """
    lines = []
    removed = [f"{count} {reason}" for reason, count in search.removed.items() if reason != SKIPPED]
    if removed:
        lines.append(f"scenes left out: {', '.join(removed)}")
    if search.without_cloud_cover:
        lines.append(f"{search.without_cloud_cover} scenes state no cloud cover and were kept")
    if len(search.cloud_covers) >= MIN_CLOUD_COVERS and 0 < max(search.cloud_covers) <= 1:
        lines.append(
            f"all {len(search.cloud_covers)} scenes state a cloud cover of at most 1 percent; if this catalogue states "
            "fractions instead, give `cloud` as a fraction too"
        )
    used, requested = (_frames_per_sensor(scenes) for scenes in (search.scenes, search.scenes + search.skipped))
    for sensor, days in requested.items():
        skipped = [scene.id for scene in search.skipped if scene.product.sensor == sensor]
        note = f", skipped on request: {', '.join(sorted(skipped))}" if skipped else ""
        lines.append(f"{sensor}: {days} frames requested, {used.get(sensor, 0)} found{note}")
        lines += _about_quality(sensor, [scene for scene in search.scenes if scene.product.sensor == sensor])
    products_found = {scene.product.name for scene in search.scenes + search.skipped}
    for product in products:
        if product.name not in products_found:
            what = "no frame is" if product.sensor in requested else "no scene in the season and area is"
            lines.append(f"{product.sensor}: {what} of '{product.name}'")
    if search.unread:
        lines.append(f"skipped on request, and not usable: {', '.join(sorted(search.unread))}")
    unknown = sorted(set(skip) - {scene.id for scene in search.skipped} - set(search.unread))
    if unknown:
        lines.append(f"in `skip`, but not among the scenes: {', '.join(unknown)}")
    return lines


def _about_quality(sensor: str, scenes: Sequence[Scene]) -> list[str]:
    """Say how many frames have a scene whose clouds are not known."""
    lines = []
    days = {scene.day for scene in scenes}
    unmasked = {scene.day for scene in scenes if scene.lacks_quality}
    if unmasked:
        lines.append(
            f"{sensor}: {len(unmasked)} of {len(days)} frames have no quality band; their clouds are not masked"
        )
    first, last = QA60_EMPTY
    empty = {scene.day for scene in scenes if "QA60" in scene.quality_bands and first <= scene.day <= last}
    if empty:
        lines.append(
            f"{sensor}: {len(empty)} frames have QA60 of {first} to {last}, which Earth Engine left empty for years; "
            "clouds are not masked where it is, so export SCL"
        )
    return lines


def _frames_per_sensor(scenes: Sequence[Scene]) -> dict[str, int]:
    """Days with scenes, by sensor; skipped scenes may be of two products of one sensor."""
    return dict(Counter(sensor for sensor, _ in sorted({(scene.product.sensor, scene.day) for scene in scenes})))
