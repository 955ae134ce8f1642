"""What `agrifm fetch` will find, read and write: from the answer to a search and the headers of some files."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pystac
from shapely.geometry.base import BaseGeometry

from agrifm.config import Project
from agrifm.cube.build import REMOTE_THREADS, THREADS
from agrifm.cube.earlier import EarlierCube
from agrifm.cube.frame_grids import native_grids, nested_grids
from agrifm.cube.frames import Frame, group_frames, scenes_of
from agrifm.cube.project_scenes import search_source, wanted_imagery, with_local_files
from agrifm.cube.store import CHUNK, SCALES, SHARD
from agrifm.cube.wanted_frames import WantedFrames
from agrifm.grid import Grid, tiles
from agrifm.plan.asset_reads import ReadCosts, sample_costs, summed_costs
from agrifm.plan.forecast import SensorForecast, StepForecast
from agrifm.plan.line_speed import Line, measure_line
from agrifm.plan.unit_costs import UnitCosts
from agrifm.scene.duplicates import footprint_of
from agrifm.scene.mask import MaskRule
from agrifm.scene.products import Product
from agrifm.scene.remote import TRAFFIC, Traffic
from agrifm.scene.remote_raster import MAX_HEADS
from agrifm.scene.scene import RemoteAsset, Scene
from agrifm.scene.search import stated_cloud_cover

SAMPLED_REMOTE, SAMPLED_LOCAL = 8, 40
"""Scenes of a product whose headers are read."""
CLOUDY = 99.5
"""Percent of clouds from which on a scene has no clear pixel."""
FRAME_BYTES = 12_000
"""Of the metadata, for each frame: its provenance and its files, both twice."""
COMPARING = 1
"""Requests by which a file on a server is compared with the one that the cube was built from."""
LEAST_OVERLAP = 0.02
"""Share of the area from which on a scene is weighed by it."""
INDEX_ENTRY, INDEX_CHECK = 16, 4
"""Bytes of the index of a shard, for each chunk and for all."""


class FoundScenes(NamedTuple):
    """What a project will build its cube from."""

    frames: list[Frame]
    grids: dict[str, Grid]
    area: BaseGeometry
    overlap: dict[str, float]
    """Share of the grid that a scene's footprint covers, by id."""
    cover: dict[str, float | None]
    """Cloud cover that a scene states, 0..1, by id."""
    search: Traffic
    """Traffic of the search."""
    kept: list[Frame]
    """The frames that the project's cube has already."""
    new: list[Frame]
    """The others, which are to be read."""


def find_scenes(project: Project) -> FoundScenes:
    """Search as a fetch does; nothing is written.

    Raises:
        ConfigError, CubeError, SceneError: see `agrifm.cube.project_scenes`.
    """
    wanted = wanted_imagery(project, "planning")
    before = TRAFFIC.totals()["search"]
    search = with_local_files(project, search_source(project, wanted).search)
    after = TRAFFIC.totals()["search"]
    traffic = Traffic(after.requests - before.requests, after.bytes - before.bytes)
    frames = group_frames(search.scenes)
    grids = native_grids(frames) if project.imagery.native_grid else nested_grids(frames, wanted.area.shape)
    items = {item.id: item for item in search.items}
    shares, covers = {}, {}
    outlines = {sensor: grid.footprint() for sensor, grid in grids.items()}
    for scene in scenes_of(frames):
        item = items.get(scene.id)
        shares[scene.id] = 1.0 if item is None else _overlap(item, outlines[scene.product.sensor])
        stated = None if item is None else stated_cloud_cover(item)
        covers[scene.id] = None if stated is None else stated / 100
    kept, new = _kept_and_new(project, frames, grids)
    return FoundScenes(frames, grids, wanted.area.shape, shares, covers, traffic, kept, new)


def resampled_frames(project: Project, days: int) -> int:
    """Return the frames that a sensor with so many days has in the resampled cube; 0 if there is none."""
    method = project.imagery.resample
    return 0 if method is None else days if method == "fill" else project.model.frames


def _kept_and_new(
    project: Project, frames: Sequence[Frame], grids: Mapping[str, Grid]
) -> tuple[list[Frame], list[Frame]]:
    """The frames of a finished cube that a fetch takes over, unless their files were replaced; and the others."""
    imagery, earlier = project.imagery, EarlierCube.at(project.observed_cube)
    rule = MaskRule(imagery.masked, imagery.dilate, imagery.masks)
    marks = WantedFrames(frames, grids, rule, imagery.offset).fingerprints
    kept, new = list[Frame](), list[Frame]()
    for frame, mark in zip(frames, marks, strict=True):
        (kept if mark in earlier.entries else new).append(frame)
    return kept, new


def _overlap(item: pystac.Item, outline: BaseGeometry) -> float:
    assert item.geometry is not None, "the search refuses items without one"
    share = footprint_of(item.geometry, item.id).intersection(outline).area / outline.area
    return float(max(share, LEAST_OVERLAP))


def forecast_fetch(
    project: Project, found: FoundScenes, units: UnitCosts, workers: int = 1, line: Line | None = None
) -> tuple[StepForecast, list[SensorForecast]]:
    """Forecast the step and describe what was found, sensor by sensor.

    Args:
        units: what this machine needs for a unit of work.
        workers: machines like this one that share the work.
        line: speed of the line, if it is known; by default it is measured by reading a part of one file.

    Raises:
        SceneError: the files of a product cannot be opened.
    """
    before, notes = TRAFFIC.totals()["scenes"], list[str]()
    total, sensors, seconds = _by_sensor(project, found, units, notes)
    after = TRAFFIC.totals()["scenes"]
    if after.requests > before.requests:
        size = (after.bytes - before.bytes) / 1e6
        notes.append(f"for this plan {after.requests - before.requests} headers of files were read, {size:.1f} MB")
    remote = _remote_assets(found.new)
    if remote:
        line = measure_line(remote[0], seconds) if line is None else line
        notes.append(line.note)
    requests, moved = _traffic(total, found)
    disk = _disk(project, found, sensors, notes)
    core = _core_seconds(found, total, units)
    step = StepForecast(
        "fetch",
        requests=round(requests),
        moved_bytes=round(moved),
        # the files of a cube are read once more for their checksums
        read_bytes=round(disk + total.from_disk + total.digests),
        disk_bytes=round(disk),
        memory_bytes=_memory(found, units, bool(remote)),
        core_seconds=units.start_seconds + core,
        seconds=_seconds(core, requests, moved, units, workers, line if remote else None),
        start_seconds=units.start_seconds,
        pieces=sum(len(list(tiles(found.grids[frame.sensor].shape, SHARD))) for frame in found.frames),
        notes=tuple(notes),
    )
    return step, sensors


def _by_sensor(
    project: Project, found: FoundScenes, units: UnitCosts, notes: list[str]
) -> tuple[ReadCosts, list[SensorForecast], list[float]]:
    """What all scenes cost, sensor by sensor; and seconds per request of those on servers."""
    rule = MaskRule(project.imagery.masked, project.imagery.dilate, project.imagery.masks)
    total, sensors, seconds = ReadCosts(), list[SensorForecast](), list[float]()
    for sensor, grid in found.grids.items():
        new = [frame for frame in found.new if frame.sensor == sensor]
        costs, opened, spent = _costs_of_sensor(new, grid, rule, found, notes)
        total, seconds = total + costs, [*seconds, *spent]
        held = sum(path.stat().st_size for path in (project.observed_cube / sensor).rglob("*") if path.is_file())
        disk = (_disk_of_sensor(new, grid, costs, found, units) if new else 0.0) + held
        sensors.append(_describe(sensor, found, opened, disk))
    return total, sensors, seconds


def _traffic(total: ReadCosts, found: FoundScenes) -> tuple[float, float]:
    """Requests and bytes, with those of the search and of comparing the files of frames that are kept."""
    again = total.files > MAX_HEADS  # heads that the offset check read are forgotten
    requests = total.requests + total.check_requests + total.files + again * total.checked_files
    moved = total.bytes + total.check_bytes + total.heads + again * total.checked_heads
    compared = COMPARING * len(_remote_assets(found.kept))
    return requests + found.search.requests + compared, moved + found.search.bytes


def _disk(project: Project, found: FoundScenes, sensors: Sequence[SensorForecast], notes: list[str]) -> float:
    """Bytes of the cube with its metadata, and of the resampled one if there is one."""
    described = sum(path.stat().st_size for path in project.observed_cube.glob("*") if path.is_file())
    described += FRAME_BYTES * len(found.new)
    resampled = 0.0
    for one in sensors:
        days = sum(one.frames.values())
        resampled += one.disk_bytes * resampled_frames(project, days) / days
    if resampled:
        notes.append(f"the resampled cube is {resampled / 1e6:.0f} MB of the disk; its time is not forecast")
    return described + resampled + sum(one.disk_bytes for one in sensors)


def _remote_assets(frames: Sequence[Frame]) -> list[RemoteAsset]:
    every = (asset for scene in scenes_of(frames) for asset in scene.assets.values())
    return [asset for asset in every if isinstance(asset, RemoteAsset)]


def _costs_of_sensor(
    frames: Sequence[Frame], grid: Grid, rule: MaskRule, found: FoundScenes, notes: list[str]
) -> tuple[ReadCosts, int, list[float]]:
    """What all scenes of a sensor cost; how many were opened; seconds per request of those on servers."""
    by_product: dict[str, list[Scene]] = defaultdict(list)
    for scene in scenes_of(frames):
        by_product[scene.product.name].append(scene)
    total, opened, seconds = ReadCosts(), 0, []
    for name, scenes in by_product.items():
        remote = any(isinstance(asset, RemoteAsset) for asset in scenes[0].assets.values())
        began = time.perf_counter()
        sample, failed = sample_costs(
            scenes,
            grid,
            rule,
            SAMPLED_REMOTE if remote else SAMPLED_LOCAL,
            lambda scene: (found.cover[scene.id] or 0) * 100 < CLOUDY,
        )
        known = summed_costs(sample.values())
        if remote and known.files:
            seconds.append((time.perf_counter() - began) / known.files)
        weighed = sum(found.overlap[scene] for scene in sample)
        rest = sum(found.overlap[scene.id] for scene in scenes if scene.id not in sample)
        total += known.times(1 + rest / weighed)
        opened += len(sample)
        notes += [f"{name}: {len(failed)} scenes could not be opened: {next(iter(failed.values()))}"] if failed else []
    return total, opened, seconds


def _disk_of_sensor(
    frames: Sequence[Frame], grid: Grid, costs: ReadCosts, found: FoundScenes, units: UnitCosts
) -> float:
    """Bytes of a sensor in the cube: its pixels as the files compress them, and the indexes of its shards."""
    product: Product = frames[0].scenes[0].product
    rows, cols = grid.shape
    shards = len(list(tiles(grid.shape, SHARD)))
    arrays = 3 if product.is_composite else 2
    index = shards * arrays * ((SHARD // CHUNK) ** 2 * INDEX_ENTRY + INDEX_CHECK)
    # compressed bytes of a pixel with data: what is outside the footprint compresses to nothing
    covered = [min(1.0, sum(found.overlap[scene.id] for scene in frame.scenes)) for frame in frames]
    every = [found.overlap[scene.id] for scene in scenes_of(frames)]
    stored = costs.payload / max(costs.pixels * float(np.mean(every)), 1.0)
    levels = math.log2(product.scale / SCALES[product.quantity]) / 8  # finer steps in the files cost bits there
    held = units.cube_bytes(min(stored, 4.0)) + min(levels, 0.0)
    return sum(covered) * rows * cols * len(product.bands) * max(held, 0.05) + len(frames) * index


def _describe(sensor: str, found: FoundScenes, opened: int, disk: float) -> SensorForecast:
    frames = [frame for frame in found.frames if frame.sensor == sensor]
    scenes = Counter(f"{scene.day:%Y-%m}" for scene in scenes_of(frames))
    days = Counter(f"{frame.day:%Y-%m}" for frame in frames)
    usable: dict[str, float] = defaultdict(float)
    for frame in frames:
        seen = sum(found.overlap[scene.id] * (1 - (found.cover[scene.id] or 0)) for scene in frame.scenes)
        usable[f"{frame.day:%Y-%m}"] += min(1.0, seen)
    return SensorForecast(
        sensor,
        tuple(sorted({scene.product.name for scene in scenes_of(frames)})),
        dict(sorted(scenes.items())),
        dict(sorted(days.items())),
        {month: round(count, 2) for month, count in sorted(usable.items())},
        sum(found.cover[scene.id] is None for scene in scenes_of(frames)),
        sum(frame.sensor == sensor for frame in found.kept),
        opened,
        round(disk),
    )


def _memory(found: FoundScenes, units: UnitCosts, remote: bool) -> int:
    """Bytes of the process: its libraries, and a tile of the largest sensor in each thread."""
    by_sensor: Mapping[str, int] = {
        frame.sensor: min(math.prod(found.grids[frame.sensor].shape), SHARD**2) * len(frame.scenes[0].product.bands)
        for frame in found.new
    }
    threads = min(REMOTE_THREADS if remote else THREADS, len(found.new))
    return round(units.fetch_base_bytes + threads * max(by_sensor.values(), default=0) * units.fetch_pixel_bytes)


def _core_seconds(found: FoundScenes, total: ReadCosts, units: UnitCosts) -> float:
    pixels = sum(
        min(1.0, found.overlap[scene.id]) * math.prod(found.grids[scene.product.sensor].shape)
        * len(scene.product.bands)
        for scene in scenes_of(found.new)
    )  # fmt: skip
    opened = sum(
        (len(scene.assets)) * len(list(tiles(found.grids[scene.product.sensor].shape, SHARD)))
        for scene in scenes_of(found.new)
    )
    return (
        (opened + total.checked_files) * units.fetch_asset_seconds
        + (pixels + total.check_pixels) * units.fetch_pixel_seconds
    )  # fmt: skip


def _seconds(core: float, requests: float, moved: float, units: UnitCosts, workers: int, line: Line | None) -> float:
    """From beginning to end: the longest of computing, of waiting for answers, and of what the line can carry."""
    threads = REMOTE_THREADS if line is not None else THREADS
    computing = core / min(threads, units.cores) / workers
    if line is None:
        return units.start_seconds + computing
    waiting = (core + requests * line.latency) / threads / workers
    return units.start_seconds + max(computing, waiting, moved / line.bytes_per_second)
