"""`agrifm fetch`: build the cube of a project from a catalogue or local files, and resample it if requested."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import replace
from datetime import date

from agrifm.config import Project
from agrifm.cube.build import build_cube
from agrifm.cube.earlier import describe_damage, require_known_format
from agrifm.cube.project_scenes import SCENES, search_source, wanted_imagery, with_local_files
from agrifm.cube.resample import resample_cube, resampler
from agrifm.cube.store import Cube
from agrifm.errors import CubeError, SceneError
from agrifm.outputs import writing
from agrifm.publishing import publishing
from agrifm.scene.mask import MaskRule
from agrifm.scene.products import Product
from agrifm.scene.remote import TRAFFIC, traffic_since
from agrifm.scene.scene import Scene
from agrifm.scene.search_result import SKIPPED, SearchResult

QA60_EMPTY = date(2022, 1, 25), date(2024, 2, 28)
"""Acquisitions for which Earth Engine had no QA60 until it was filled in again in 2024."""
MIN_CLOUD_COVERS = 3
"""Number of stated cloud covers from which it is suspicious that none is above 1 percent."""


def fetch(project: Project, executor: Executor | None = None) -> tuple[Cube, list[str]]:
    """Find the project's scenes, build its cube and resample it if requested; a stopped run continues.

    The scenes found in a catalogue are written to scenes.json next to the cube before the first is read. A stopped
    build from a server continues with them for the same request, even if the server has other scenes by then.

    Args:
        executor: where tiles are read and resampled: that of `open_cluster`, or see `build_cube`.

    Returns:
        The cube to train and map on, and one sentence per sensor that accounts for every frame; then what was read
        from servers. The cube's notes say whether it was written or kept.

    Raises:
        ConfigError: the area, the provider or a product cannot be used.
        SceneError, CubeError, OutputError: see `search_catalog`, `search_files` and `build_cube`.
        StoreError: the object store refuses the cube, which is on this disk then; the next fetch publishes it.
    """
    for path in {project.observed_cube, project.cube}:
        require_known_format(path)
    with ExitStack() as stack:
        stack.enter_context(writing(project.observed_cube, "cube"))
        cubes = dict.fromkeys((project.observed_cube, project.cube))
        published = [stack.enter_context(publishing(cube, project.published(cube), "cube")) for cube in cubes]
        for cube in published:
            cube.bring()
        made, lines = _fetch(project, executor)
        return made, [*lines, *(line for cube in published for line in cube.publish())]


def _fetch(project: Project, executor: Executor | None) -> tuple[Cube, list[str]]:
    imagery, season, before = project.imagery, project.season.season, TRAFFIC.totals()
    rule = MaskRule(imagery.masked, imagery.dilate, imagery.masks)
    wanted = wanted_imagery(project)
    area, products, notes = wanted.area, wanted.products, list[str]()
    try:
        answer = search_source(project, wanted)
        notes += answer.notes
        answer.keep(project.results / SCENES)
        search = with_local_files(project, answer.search)
        cube = build_cube(
            project.observed_cube,
            search,
            season,
            area.shape,
            imagery.native_grid,
            rule,
            imagery.offset,
            executor,
            missing=imagery.missing,
            grid=wanted.grid,
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
        resampled = resample_cube(cube, project.cube, resamplers, executor)
        cube = replace(resampled, notes=(*cube.notes, *resampled.notes))
    return cube, lines


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
