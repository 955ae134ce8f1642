"""Frames: the scenes of one sensor on one solar day, merged on a grid, and written into a cube tile by tile."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import zarr
from affine import Affine
from numpy.typing import NDArray

from agrifm.cube.guarded_store import open_unfinished, read_sound
from agrifm.cube.manifest import (
    PIXELS,
    disk_folder,
    link_files,
    pixel_files,
    record_files,
    remove_files,
)
from agrifm.cube.store import FILL, NO_DAY, SCALES, open_group
from agrifm.errors import SceneError
from agrifm.files import content_digest
from agrifm.grid import Grid, Window
from agrifm.redaction import shown
from agrifm.scene.mask import DEFAULT_RULE, MaskRule, apply_mask, count_flags
from agrifm.scene.quality import Flags, bits, no_quality, quality_flags
from agrifm.scene.read import first_band, needed_window, opened, read_asset
from agrifm.scene.scene import Asset, FileAsset, RemoteAsset, Scene
from agrifm.season import day_number
from agrifm.work import fingerprint

if TYPE_CHECKING:
    from agrifm.scene.offset_check import OffsetChoice

MERGE_RULE = (
    "scenes of one solar day are merged in the order of their ids: a pixel is of the first scene in which it is "
    "valid, else of the first that has data"
)

HIGHEST_REFLECTANCE, LOWEST_SCALED = 2.0, 0.001
"""Files of floats up to the first hold reflectance; nothing on land reflects less than the second everywhere."""


@dataclass(frozen=True)
class Frame:
    """The scenes of one sensor on one solar day."""

    sensor: str
    index: int
    """Position in the sensor's time axis."""
    scenes: tuple[Scene, ...]

    @property
    def day(self) -> date:
        """The solar day; of a composite, its first day."""
        return self.scenes[0].day

    @property
    def last_day(self) -> date:
        """The last day of a composite; otherwise the solar day."""
        return self.scenes[0].last_day or self.day

    def fingerprint(self, grid: Grid, rule: MaskRule, offset: "OffsetChoice") -> str:
        """SHA-256 of what decides the pixels of this frame on a grid; its position in the cube is not part of it."""
        content = {
            "sensor": self.sensor,
            "day": str(self.day),
            "usable": asdict(rule),
            "offset": offset,
            "grid": [grid.crs.to_wkt(), list(grid.transform), grid.shape],
            "scenes": [
                [repr(scene.product), scene.id, str(scene.day), scene.baseline, scene.offset_removed]
                for scene in self.scenes
            ],
            "files": [[key, *_identity(asset)] for scene in self.scenes for key, asset in sorted(scene.assets.items())],
        }
        return fingerprint(content)

    @property
    def content(self) -> str | None:
        """SHA-256 of what the files of this frame hold; None if one is absent, or on a server that states nothing."""
        assets = [asset for scene in self.scenes for _, asset in sorted(scene.assets.items())]
        digests = [_digest(asset) for asset in assets]
        return None if None in digests else fingerprint(digests)


@dataclass(frozen=True)
class InnerFrame:
    """A frame of a finished cube of a smaller area, of the same scenes."""

    group: zarr.Group
    """Of the sensor."""
    index: int
    """Position of the frame in it."""
    window: Window
    """The grid of that cube in the larger one."""
    fingerprint: str
    """Of the frame in that cube."""


@dataclass(frozen=True)
class FrameTile:
    """One tile of one frame: a unit of work for any thread or process, which opens the cube by its path.

    Scenes in memory (`ArrayAsset` of a dataset that was not read from a file) are pickled with their pixels: that is
    right but slow, so build them with threads.
    """

    cube: Path
    frame: Frame
    window: Window
    grid: Grid
    """Of the whole cube."""
    rule: MaskRule
    without: tuple[str, ...] = ()
    """Ids of scenes that failed and are left out."""
    before: tuple[zarr.Group, int] | None = None
    """A finished cube, and the position in it of the same frame; its tile is taken over if it is undamaged."""
    inner: InnerFrame | None = None
    """What a cube of a smaller area has of the frame; only what is around it is read."""

    @property
    def key(self) -> str:
        """How the journal names it: by its place, and by what decides its numbers and may change between two runs."""
        encodings = [[scene.encoding.offset, scene.encoding.source] for scene in self.frame.scenes]
        inner = [] if self.inner is None else [self.inner.fingerprint]
        stamp = fingerprint([self.frame.content, encodings, *inner])[:12]
        return f"{self.frame.sensor}/{self.frame.index}/{self.window.row}/{self.window.col}/{stamp}"


class FramePixels(NamedTuple):
    """One frame on a grid."""

    values: NDArray[np.int16]
    """(band, y, x) in units of the quantity's `SCALES`."""
    valid: NDArray[np.bool_]
    """(y, x)."""
    day: NDArray[np.int32] | None
    """(y, x), the day of each pixel of a composite, else None."""
    flags: Flags
    """(y, x), of the scene that each pixel comes from."""


def identity(fingerprint: str, content: str | None) -> str:
    """What tells a frame from every other: its fingerprint and, if it is known, the content of its files."""
    return fingerprint if content is None else f"{fingerprint} {content}"


def group_frames(scenes: Iterable[Scene]) -> list[Frame]:
    """Group scenes of one sensor and solar day into frames; frames are ordered by sensor, then in time."""
    days: dict[tuple[str, date], list[Scene]] = defaultdict(list)
    for scene in scenes:
        days[scene.product.sensor, scene.day].append(scene)
    frames: list[Frame] = []
    for sensor, day in sorted(days):
        index = frames[-1].index + 1 if frames and frames[-1].sensor == sensor else 0
        # By id, so that the merge does not depend on the order in which a catalogue answers.
        frames.append(Frame(sensor, index, tuple(sorted(days[sensor, day], key=lambda scene: scene.id))))
    return frames


def scenes_of(frames: Sequence[Frame]) -> list[Scene]:
    """The scenes of all frames, in their order."""
    return [scene for frame in frames for scene in frame.scenes]


def complete(frame: Frame, failed: Iterable[str]) -> Frame:
    """A frame without the scenes that failed."""
    return replace(frame, scenes=tuple(scene for scene in frame.scenes if scene.id not in failed))


def write_frame_tile(tile: FrameTile) -> dict[str, Any]:
    """Read and write one tile of one frame, or take it over from the cube of before.

    Returns:
        How many of its pixels are valid, how many have each flag, and the marks of its files; `kept` if taken over;
        `grown` if the flags are those of the pixels around a smaller area.
    """
    group = open_group(tile.cube)[tile.frame.sensor]
    if tile.before is not None:
        before, index = tile.before
        sound = read_sound(before[tile.frame.sensor], (index,), tile.window)
        if sound is not None:
            files = _files(group, tile)
            link_files(disk_folder(before), tile.cube, dict(zip(sound[0], files, strict=True)))
            valid = int(np.count_nonzero(sound[1]))
            return {"valid": valid, "flags": {}, "files": record_files(tile.cube, files), "kept": True}
    grows = tile.inner is not None and not tile.without  # else a scene that failed would be in some of the pixels
    pixels, flags = _read_around(tile) if grows else _read_whole(tile)
    remove_files(tile.cube, _files(group, tile))
    rows, cols = tile.window.slices
    group["values"][tile.frame.index, :, rows, cols] = pixels.values
    group["valid"][tile.frame.index, rows, cols] = pixels.valid
    if pixels.day is not None:
        group["day"][tile.frame.index, rows, cols] = pixels.day
    marks = record_files(tile.cube, _files(group, tile))
    valid = int(np.count_nonzero(pixels.valid))
    return {"valid": valid, "flags": flags, "files": marks, **({"grown": True} if grows else {})}


def _read_whole(tile: FrameTile) -> tuple[FramePixels, dict[str, int]]:
    """The pixels of a tile, and how many have each flag."""
    pixels = read_frame(tile.frame, tile.grid.window(tile.window), tile.rule, tile.without)
    return pixels, count_flags(pixels.flags)


def _read_around(tile: FrameTile) -> tuple[FramePixels, dict[str, int]]:
    """The pixels of a tile, those of the smaller area from its cube; and how many of the others have each flag."""
    inner = tile.inner
    assert inner is not None
    product, shape = tile.frame.scenes[0].product, (tile.window.height, tile.window.width)
    pixels = FramePixels(
        np.full((len(product.bands), *shape), FILL, np.int16),
        np.zeros(shape, bool),
        np.full(shape, NO_DAY, np.int32) if product.is_composite else None,
        np.zeros(shape, np.uint16),
    )
    around, counted = tile.window.outside(inner.window), Counter[str]()
    for part in around if _is_cheaper(tile, around) else [tile.window]:
        _place(pixels, part.within(tile.window), read_frame(tile.frame, tile.grid.window(part), tile.rule))
    for part in around:
        counted.update(count_flags(pixels.flags[part.within(tile.window).slices]))
    if around != [tile.window]:
        common = tile.window.common(inner.window)
        rows, cols = common.within(inner.window).slices
        values, valid = (inner.group[name][inner.index, ..., rows, cols] for name in ("values", "valid"))
        day = None if pixels.day is None else inner.group["day"][inner.index, rows, cols]
        _place(pixels, common.within(tile.window), FramePixels(values, valid, day, np.zeros(valid.shape, np.uint16)))
    return pixels, dict(counted)


def _is_cheaper(tile: FrameTile, parts: Sequence[Window]) -> bool:
    """Whether parts of a tile need fewer bytes of a server than all of it: several may need the same blocks."""
    scene = tile.frame.scenes[0]
    key, band = first_band(scene.product)
    if len(parts) == 1 or not isinstance(scene.assets.get(key), RemoteAsset):
        return True

    def length(window: Window) -> int:
        blocks = source.blocks(needed_window(source, tile.grid.window(window)))
        return 0 if blocks is None else sum(end - start for start, end in blocks.spans)

    try:
        with opened(scene, key, band) as (source, _):
            return sum(map(length, parts)) < length(tile.window)
    except SceneError:  # which reading the scene will raise
        return True


def _place(pixels: FramePixels, window: Window, part: FramePixels) -> None:
    """Write a part into pixels at a window of them."""
    for target, source in zip(pixels, part, strict=True):
        if target is not None:
            target[..., *window.slices] = np.asarray(source)


def _files(group: zarr.Group, tile: FrameTile) -> list[str]:
    """The paths of a tile's files in its cube."""
    arrays = [group[name] for name in PIXELS if name in group]
    return [key for array in arrays for key in pixel_files(array, (tile.frame.index,), tile.window)]


def is_written(tile: FrameTile, result: Mapping[str, Any]) -> bool:
    """Whether a tile that a stopped run has written is there as it was written."""
    group = open_unfinished(tile.cube, result["files"])[tile.frame.sensor]
    return read_sound(group, (tile.frame.index,), tile.window) is not None


def read_frame(frame: Frame, grid: Grid, rule: MaskRule = DEFAULT_RULE, without: Sequence[str] = ()) -> FramePixels:
    """Read one frame on a grid; its scenes are merged by `MERGE_RULE`, but for those `without`.

    Raises:
        SceneError: a scene cannot be read; `scene` of its facts is the id.
    """
    product = frame.scenes[0].product
    values = np.full((len(product.bands), *grid.shape), FILL, np.int16)
    valid = np.zeros(grid.shape, bool)
    day = np.full(grid.shape, NO_DAY, np.int32) if product.is_composite else None
    flags = np.full(grid.shape, bits(["nodata"]), np.uint16)
    for scene in frame.scenes:
        if valid.all():  # no later scene would be used, so it need not be read
            break
        if scene.id in without:
            continue
        try:
            new_values, present, new_flags = _read_scene(scene, grid, rule)
            new_day = None if day is None else _read_days(scene, grid)
        except SceneError as error:
            error.facts["scene"] = scene.id
            raise
        if new_day is not None:
            # A pixel without a day cannot be placed in the season.
            new_flags |= (new_day == NO_DAY) * bits(["nodata"])
        usable = rule.usable(new_flags)
        # A usable pixel replaces one that is not; a pixel with data replaces one without.
        chosen = (usable & ~valid) | (present & (values[0] == FILL))
        values[:, chosen] = new_values[:, chosen]
        flags[chosen] = new_flags[chosen]
        if day is not None and new_day is not None:
            day[chosen] = new_day[chosen]
        valid |= usable
    return FramePixels(values, valid, day, flags)


def _read_scene(scene: Scene, grid: Grid, rule: MaskRule) -> tuple[NDArray[np.int16], NDArray[np.bool_], Flags]:
    """Values, whether all bands have a number that can be stored, and flags (nodata if they do not)."""
    product = scene.product
    encoding = scene.encoding
    low, high = product.valid_range
    values = np.empty((len(product.bands), *grid.shape), np.int16)
    present = np.ones(grid.shape, bool)
    for index, (band, key) in enumerate(product.assets.items()):
        stored = read_asset(scene, key, band, grid, product.kernel, product.nodata)
        numbered = (stored != product.nodata) & (stored >= low) & (stored <= high)
        _require_the_scale(scene, key, stored[numbered])
        present &= numbered
        # From the product's digital numbers to the cube's; the fill value is not available to measurements.
        numbers = np.round((stored * encoding.scale + encoding.offset) / SCALES[product.quantity])
        values[index] = np.where(present, np.clip(numbers, FILL + 1, -FILL - 1), FILL)
    flags = _read_flags(scene, grid, rule) | (~present * bits(["nodata"]))
    if rule.masks:
        # Masks of plug-ins read values in the quantity's unit.
        image = np.where(present, values, 0).astype(np.float32) * np.float32(SCALES[product.quantity])
        for name in rule.masks:
            usable = apply_mask(name, image, product.bands, f"reading scene {scene.id}")
            flags |= ~usable * bits(["plug-in"])
    return values, present, flags


def _require_the_scale(scene: Scene, key: str, numbers: NDArray[Any]) -> None:
    """Refuse reflectance from 0 to 1 that a project describes with the scale of integers up to 10000."""
    product = scene.product
    if product.integers or "reflectance" not in product.quantity or numbers.dtype.kind != "f" or not numbers.size:
        return
    highest = float(numbers.max())
    if highest <= HIGHEST_REFLECTANCE and highest * product.scale < LOWEST_SCALED:
        raise SceneError(
            f"reading scene {scene.id}: '{key}' holds numbers up to {highest:.3g}, and `scale` of [imagery.product] is "
            f"{product.scale:g}, so they would reflect at most {highest * product.scale:.1g}; set it to 1.0 if they "
            "are reflectances already",
            asset=key,
            highest=highest,
        )


def _read_flags(scene: Scene, grid: Grid, rule: MaskRule) -> Flags:
    """Dilated flags of the scene's quality bands on a grid; read with a margin, so that tiles match at their edges."""
    margin = rule.margin(grid.resolution)
    wide = Grid.of(
        str(grid.crs),
        grid.transform * Affine.translation(-margin, -margin),
        (grid.shape[0] + 2 * margin, grid.shape[1] + 2 * margin),
    )
    flags = np.zeros(wide.shape, np.uint16)
    # Categories are never interpolated; several quality bands add their flags.
    for asset, encoding in scene.quality_bands.items():
        quality = read_asset(scene, asset, "quality", wide, "nearest", no_quality(encoding))
        flags |= quality_flags(quality, encoding)
    rows, cols = grid.shape
    return rule.dilated(flags, grid.resolution)[margin : margin + rows, margin : margin + cols]


def _read_days(scene: Scene, grid: Grid) -> NDArray[np.int32]:
    """Days since 1970-01-01 from a composite's day of year, `NO_DAY` if it is not one.

    Composites cross New Year: of two years, the day is of the one in which it is nearer to the composite's start.
    """
    assert scene.product.day_asset is not None
    of_year = read_asset(scene, scene.product.day_asset, "day", grid, "nearest", 0).astype(np.int32)
    start = scene.day
    first = start.timetuple().tm_yday
    # Days of the year count from 1, so the day before 1 January is added.
    years = [day_number(date(start.year + later, 1, 1)) - 1 for later in (0, 1)]
    # A day of year more than half a year before the start is of the next year.
    days = np.where(of_year < first - 183, years[1], years[0]).astype(np.int32) + of_year
    return np.where((of_year >= 1) & (of_year <= 366), days, NO_DAY).astype(np.int32)


def _identity(asset: Asset) -> tuple[str, object]:
    """What distinguishes an asset from others: its place in a file, or for pixels in memory the pixels themselves."""
    if isinstance(asset, RemoteAsset):
        # Without the query: a signature changes with every request, the file does not.
        return shown(asset.href), asset.index or 1
    if asset.path is not None:  # not its folder, as a project may be moved; `Frame.content` knows what is in the file
        return asset.path.name, (asset.index or 1) if isinstance(asset, FileAsset) else str(asset.pixels.name)
    return "memory", hashlib.sha256(np.ascontiguousarray(asset.pixels.values).tobytes()).hexdigest()


def _digest(asset: Asset) -> str | None:
    """What distinguishes the content of an asset from others of the same name."""
    if isinstance(asset, RemoteAsset):
        return asset.stated
    return "memory" if asset.path is None else content_digest(asset.path)
