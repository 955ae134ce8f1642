"""Scenes to cube: frame by frame and tile by tile, stopped at any moment, continued where it stopped.

The unit of work is one tile of one frame. Finished units stand in a journal beside the unfinished store and are not
read again. The store is put in its place when all units are done.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial as with_arguments
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from agrifm.cube.store import FILL, NO_DAY, SCALES, SHARD, Cube, consolidate, create_root, create_sensor, open_cube
from agrifm.errors import CubeError
from agrifm.files import MARKER, partial_directory, saying_what_failed
from agrifm.grid import Grid, Window, area_grid, tiles
from agrifm.record import SensorInput, running_versions
from agrifm.scene.encoding import Encoding
from agrifm.scene.mask import ALWAYS, DEFAULT_RULE, UsableRule, apply_mask, counts
from agrifm.scene.offset_check import OffsetChoice, settle
from agrifm.scene.products import Product
from agrifm.scene.quality import NO_QUALITY, QUALITY_RULES, Flags, bits
from agrifm.scene.read import ArrayAsset, Asset, FileAsset, RemoteAsset, Scene, kernel_of, opened, read_asset
from agrifm.scene.remote import shown
from agrifm.scene.search import Search, require_one_product
from agrifm.season import Season, day_number
from agrifm.sensors import find_sensor
from agrifm.work import Resumable, fingerprint

MERGE_RULE = (
    "scenes of one solar day are merged in the order of their ids: a pixel is of the first scene in which it is "
    "valid, else of the first that has data"
)
THREADS, REMOTE_THREADS = 2, 8
"""Tiles in work at once; more where scenes are on servers, so that waiting for one does not hold up the others."""


@dataclass(frozen=True)
class Frame:
    """The scenes of one sensor on one solar day."""

    sensor: str
    number: int
    scenes: tuple[Scene, ...]

    @property
    def day(self) -> date:
        """The solar day; of a composite, its first day."""
        return self.scenes[0].day


@dataclass(frozen=True)
class Unit:
    """One tile of one frame."""

    frame: Frame
    window: Window

    @property
    def key(self) -> str:
        """How the journal names it."""
        return f"{self.frame.sensor}/{self.frame.number}/{self.window.row}/{self.window.col}"


class FramePixels(NamedTuple):
    """One frame on a grid."""

    values: NDArray[np.int16]
    """(band, y, x) in units of the quantity's `SCALES`."""
    valid: NDArray[np.bool_]
    """(y, x)."""
    day: NDArray[np.int32] | None
    """(y, x), of composites the day, else None."""
    flags: Flags
    """(y, x), of the scene that each pixel is of."""


def build_cube(
    path: Path,
    search: Search,
    season: Season,
    area: BaseGeometry,
    native_grid: bool = False,
    rule: UsableRule = DEFAULT_RULE,
    offset: OffsetChoice = "refuse",
) -> Cube:
    """Build the cube of these scenes, or continue a build that was stopped.

    Args:
        area: in longitude and latitude; the grid is its UTM zone snapped to 480 m.
        native_grid: keep the grid of the files (scenes of one sensor only).
        rule: which pixels are usable.
        offset: what becomes of a scene whose metadata and pixels disagree on its offset.

    Raises:
        CubeError: the area or the scenes do not make one cube.
        SceneError: a scene is unusable; what was finished is kept.
        OutputError: the disk is full, or `path` is not ours.
    """
    frames = group_frames(search.scenes)
    grids = _native_grids(frames) if native_grid else _nested_grids(frames, area)
    _require_metres(rule, grids)
    plan = _plan(frames, grids, season, area, rule, offset)
    partial = partial_directory(path, "cube")
    if (path / MARKER).exists() and not partial.exists() and open_cube(path).provenance["plan"] == plan:
        return open_cube(path)
    with saying_what_failed(f"writing the cube {path}"):
        work = Resumable(partial, plan)
        if not work.begun:
            settled = settle(_scenes(frames), grids, offset)
            _create(partial, frames, grids, season, area)
            work.begin([asdict(scene.decided) if scene.decided else None for scene in settled])
        frames = _with_encodings(frames, work.decisions)
        root = zarr.open_group(partial, mode="r+")
        units = [Unit(frame, window) for frame in frames for window in tiles(grids[frame.sensor].shape, SHARD)]
        remote = any(isinstance(asset, RemoteAsset) for scene in search.scenes for asset in scene.assets.values())
        threads = REMOTE_THREADS if remote else THREADS
        write = with_arguments(_write_unit, root=root, grids=grids, rule=rule)
        with ThreadPoolExecutor(threads) as executor:
            done = work.run(write, units, lambda unit: unit.key, "fetch", executor, 2 * threads)
        _finish(root, frames, grids, search, plan, rule, _flags_by_frame(done))
        work.finish(path, "cube")
    return open_cube(path)


def group_frames(scenes: Sequence[Scene]) -> list[Frame]:
    """Scenes of one sensor and solar day make a frame; frames by sensor, in time.

    Raises:
        SceneError: two products of one sensor; a cube holds one encoding per sensor.
    """
    require_one_product(scenes, "building a cube")
    days: dict[str, dict[date, list[Scene]]] = defaultdict(lambda: defaultdict(list))
    for scene in scenes:
        days[scene.product.sensor][scene.day].append(scene)
    return [
        Frame(sensor, number, tuple(sorted(days[sensor][day], key=lambda scene: scene.id)))
        for sensor in sorted(days)
        for number, day in enumerate(sorted(days[sensor]))
    ]


def _nested_grids(frames: Sequence[Frame], area: BaseGeometry) -> dict[str, Grid]:
    base = area_grid(area)
    return {frame.sensor: base.at(find_sensor(frame.sensor).resolution) for frame in frames}


def _native_grids(frames: Sequence[Frame]) -> dict[str, Grid]:
    sensors = {frame.sensor for frame in frames}
    if len(sensors) > 1:
        raise CubeError(
            f"building a cube on the grid of its files: it has the sensors {', '.join(sorted(sensors))}, and a native "
            "grid holds one; leave out `native_grid`"
        )
    first = frames[0].scenes[0]
    asset = first.asset(*_first_band(first.product))
    if isinstance(asset, ArrayAsset):
        height, width = asset.pixels.shape
        return {first.product.sensor: Grid.of(asset.crs, asset.transform, (height, width))}
    with opened(first, *_first_band(first.product)) as (source, about):
        crs, transform, shape = source.crs, source.transform, source.shape
    if transform.b or transform.d:
        raise CubeError(f"{about} is rotated, which a cube's grid cannot be; leave out `native_grid`")
    return {first.product.sensor: Grid.of(crs.to_wkt(), transform, shape)}


def _require_metres(rule: UsableRule, grids: dict[str, Grid]) -> None:
    for sensor, grid in grids.items():
        unit = grid.crs.proj.axis_info[0].unit_name
        if rule.dilate and unit != "metre":
            raise CubeError(
                f"building a cube: `dilate` is {rule.dilate:g} metres, but the pixels of '{sensor}' are in units of "
                f"{unit}; leave out `dilate` or `native_grid`"
            )


def _first_band(product: Product) -> tuple[str, str]:
    band, key = next(iter(product.assets.items()))
    return key, band


def _plan(
    frames: Sequence[Frame],
    grids: dict[str, Grid],
    season: Season,
    area: BaseGeometry,
    rule: UsableRule,
    offset: OffsetChoice,
) -> str:
    """A fingerprint of everything that decides what the cube will hold."""
    content = {
        "season": [str(season.start), str(season.end)],
        "area": area.wkt,
        "usable": asdict(rule),
        "offset": offset,
        "grids": {name: [str(grid.crs), list(grid.transform), grid.shape] for name, grid in grids.items()},
        "scenes": [
            [repr(scene.product), scene.id, str(scene.day), scene.baseline, scene.offset_removed]
            for scene in _scenes(frames)
        ],
        "files": [[key, *_identity(asset)] for scene in _scenes(frames) for key, asset in sorted(scene.assets.items())],
    }
    return fingerprint(content)


def _identity(asset: Asset) -> tuple[str, object]:
    """What tells an asset from others: its place in a file, or the pixels themselves where they are in memory."""
    if isinstance(asset, RemoteAsset):
        return shown(asset.href), asset.index
    if asset.path is not None:
        return str(asset.path), asset.index if isinstance(asset, FileAsset) else str(asset.pixels.name)
    return "memory", hashlib.sha256(np.ascontiguousarray(asset.pixels.values).tobytes()).hexdigest()


def _scenes(frames: Sequence[Frame]) -> list[Scene]:
    return [scene for frame in frames for scene in frame.scenes]


def _with_encodings(frames: Sequence[Frame], decided: Sequence[dict[str, Any] | None]) -> list[Frame]:
    """The frames with the encodings of their scenes as they were decided when the build began."""
    encodings = iter(decided)
    return [
        replace(
            frame,
            scenes=tuple(
                replace(scene, decided=Encoding(**encoding)) if (encoding := next(encodings)) else scene
                for scene in frame.scenes
            ),
        )
        for frame in frames
    ]


def _create(partial: Path, frames: Sequence[Frame], grids: dict[str, Grid], season: Season, area: BaseGeometry) -> None:
    partial.parent.mkdir(parents=True, exist_ok=True)
    root = create_root(partial, season, area)
    for sensor, grid in grids.items():
        own = [frame for frame in frames if frame.sensor == sensor]
        product = own[0].scenes[0].product
        content = SensorInput(
            sensor=sensor,
            bands=product.bands,
            quantity=product.quantity,
            scale=SCALES[product.quantity],
            resolution=grid.resolution,
        )
        last = [frame.scenes[0].last_day or frame.day for frame in own] if product.is_composite else None
        create_sensor(root, content, grid, [frame.day for frame in own], last)


def _write_unit(unit: Unit, root: zarr.Group, grids: dict[str, Grid], rule: UsableRule) -> dict[str, int]:
    """Read and write one tile of one frame; returns the pixels that have each flag."""
    group = root[unit.frame.sensor]
    pixels = read_frame(unit.frame, grids[unit.frame.sensor].window(unit.window), rule)
    rows, cols = unit.window.slices
    group["values"][unit.frame.number, :, rows, cols] = pixels.values
    group["valid"][unit.frame.number, rows, cols] = pixels.valid
    if pixels.day is not None:
        group["day"][unit.frame.number, rows, cols] = pixels.day
    return counts(pixels.flags)


def _flags_by_frame(done: Mapping[str, Mapping[str, int]]) -> dict[tuple[str, int], Counter[str]]:
    """Pixels of each frame, by sensor and number, that have each flag."""
    found: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for key, flags in done.items():
        sensor, number, *_ = key.split("/")
        found[sensor, int(number)].update(flags)
    return found


def read_frame(frame: Frame, grid: Grid, rule: UsableRule = DEFAULT_RULE) -> FramePixels:
    """One frame on a grid, its scenes merged by `MERGE_RULE`."""
    product = frame.scenes[0].product
    values = np.full((len(product.bands), *grid.shape), FILL, np.int16)
    valid = np.zeros(grid.shape, bool)
    day = np.full(grid.shape, NO_DAY, np.int32) if product.is_composite else None
    flags = np.full(grid.shape, bits(["nodata"]), np.uint16)
    for scene in frame.scenes:
        if valid.all():
            break
        new_values, present, new_flags = _read_scene(scene, grid, rule)
        if day is not None:
            new_day = _read_days(scene, grid)
            new_flags |= (new_day == NO_DAY) * bits(["nodata"])
        usable = rule.usable(new_flags)
        take = (usable & ~valid) | (present & (values[0] == FILL))
        values[:, take] = new_values[:, take]
        flags[take] = new_flags[take]
        if day is not None:
            day[take] = new_day[take]
        valid |= usable
    return FramePixels(values, valid, day, flags)


def _read_scene(scene: Scene, grid: Grid, rule: UsableRule) -> tuple[NDArray[np.int16], NDArray[np.bool_], Flags]:
    """Values, where all bands have a number that can be stored, and flags (nodata where they have none)."""
    product = scene.product
    encoding = scene.encoding
    low, high = product.valid_range
    values = np.empty((len(product.bands), *grid.shape), np.int16)
    present = np.ones(grid.shape, bool)
    for number, (band, key) in enumerate(product.assets.items()):
        stored = read_asset(scene, key, band, grid, product.kernel, product.nodata)
        present &= (stored != product.nodata) & (stored >= low) & (stored <= high)
        numbers = np.round((stored * encoding.scale + encoding.offset) / SCALES[product.quantity])
        values[number] = np.where(present, np.clip(numbers, FILL + 1, -FILL - 1), FILL)
    flags = _read_flags(scene, grid, rule) | (~present * bits(["nodata"]))
    if rule.masks:
        image = np.where(present, values, 0).astype(np.float32) * np.float32(SCALES[product.quantity])
        for name in rule.masks:
            usable = apply_mask(name, image, product.bands, f"reading scene {scene.id}")
            flags |= ~usable * bits(["plug-in"])
    return values, present, flags


def _read_flags(scene: Scene, grid: Grid, rule: UsableRule) -> Flags:
    """Flags of the scene's quality bands on a grid, dilated; read with a margin, so that tiles fit together."""
    product, margin = scene.product, rule.margin(grid.resolution)
    wide = Grid.of(
        str(grid.crs),
        grid.transform * Affine.translation(-margin, -margin),
        (grid.shape[0] + 2 * margin, grid.shape[1] + 2 * margin),
    )
    flags = np.zeros(wide.shape, np.uint16)
    for asset, encoding in product.quality_bands.items():
        quality = read_asset(scene, asset, "quality", wide, "nearest", NO_QUALITY[encoding])
        flags |= QUALITY_RULES[encoding](quality)
    rows, cols = grid.shape
    return rule.dilated(flags, grid.resolution)[margin : margin + rows, margin : margin + cols]


def _read_days(scene: Scene, grid: Grid) -> NDArray[np.int32]:
    """Days since 1970-01-01 from a composite's day of year, `NO_DAY` where it is none.

    The day is of the year in which it lies nearer to the composite's start: composites cross New Year.
    """
    assert scene.product.day_asset is not None
    of_year = read_asset(scene, scene.product.day_asset, "day", grid, "nearest", 0).astype(np.int32)
    start = scene.day
    first = start.timetuple().tm_yday
    years = [day_number(date(start.year + later, 1, 1)) - 1 for later in (0, 1)]
    days = np.where(of_year < first - 183, years[1], years[0]).astype(np.int32) + of_year
    return np.where((of_year >= 1) & (of_year <= 366), days, NO_DAY).astype(np.int32)


def _kernels(scene: Scene, grid: Grid) -> dict[str, str]:
    """By band, how it came to the grid."""
    product = scene.product
    return {band: kernel_of(scene, key, band, grid, product.kernel) for band, key in product.assets.items()}


def _finish(
    root: zarr.Group,
    frames: Sequence[Frame],
    grids: dict[str, Grid],
    search: Search,
    plan: str,
    rule: UsableRule,
    flags: Mapping[tuple[str, int], Mapping[str, int]],
) -> None:
    """Provenance into the store's attributes."""
    sensors: dict[str, Any] = {}
    for sensor in grids:
        own = [frame for frame in frames if frame.sensor == sensor]
        product = own[0].scenes[0].product
        group = root[sensor]
        shares = [float(np.mean(group["valid"][frame.number])) for frame in own]
        if not any(shares):
            raise CubeError(
                f"building a cube: none of the {len(own)} frames of '{sensor}' has a usable pixel on its grid; check "
                "that the scenes cover the area, and that they are of the product"
            )
        sensors[sensor] = {
            "product": product.name,
            "scale": product.scale,
            "kernel": f"{product.kernel}; area mean where the grid is coarser by half or more; categories nearest",
            "kernels": _kernels(own[0].scenes[0], grids[sensor]),
            "resampled_before": product.resampled_before,
            "quality": dict(product.quality_bands),
            "frames": [
                {
                    "day": frame.day.isoformat(),
                    "scenes": [scene.id for scene in frame.scenes],
                    "offsets": [scene.encoding.offset for scene in frame.scenes],
                    "encodings": [scene.encoding.source for scene in frame.scenes],
                    "valid_share": round(share, 4),
                    "flags": dict(sorted(flags[sensor, frame.number].items())),
                }
                for frame, share in zip(own, shares, strict=True)
            ],
        }
    about = dict(root.attrs["agrifm"])
    about["sensors"] = list(grids)
    about["provenance"] = {
        "plan": plan,
        "merge_rule": MERGE_RULE,
        "usable": {**asdict(rule), "always": list(ALWAYS)},
        "removed": dict(sorted(search.removed.items())),
        "skipped": sorted([*(scene.id for scene in search.skipped), *search.unread]),
        "sources": sorted({scene.source.rpartition("/")[0] or scene.source for scene in search.scenes})[:20],
        "sensors": sensors,
        "versions": running_versions("rasterio", "zarr"),
    }
    root.attrs["agrifm"] = about
    consolidate(root)
