"""Check the radiometric offset that a scene's metadata state against the scene's darkest pixels.

Checked are scenes whose product has an offset that some scenes lack: digital numbers with and without it are 0.1 of
reflectance apart, more than the darkest ground varies. At each clear pixel the darkest of blue, red and the second
short-wave infrared is taken (vegetation is dark in red, soil in blue, water in the infrared), and of those values
their `DARK_QUANTILE`. Under the right offset it is a plausible reflectance of dark ground, close to that of the scenes
next to it in time; under the wrong offset it is 0.1 away, in every band. Haze and shadow that no mask found can make
the visible bands alone as dark, because atmospheric correction subtracts what the air scatters, which is almost nothing
in the infrared. An offset that was subtracted twice leaves most pixels without a valid number.

Some scenes cannot be judged: those with too few clear pixels, those too dark in the visible bands alone, and those
without dark ground, such as sand, salt or snow that no mask found. Their metadata are accepted, and the provenance
says why they were not judged.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from agrifm.errors import SceneError
from agrifm.grid import Grid
from agrifm.scene.encoding import Encoding
from agrifm.scene.mask import DEFAULT_MASKED, MaskRule
from agrifm.scene.products import Product
from agrifm.scene.quality import bits, no_quality, quality_flags
from agrifm.scene.read import read_asset
from agrifm.scene.remote import TRAFFIC
from agrifm.scene.scene import Scene
from agrifm.scene.unusable import HOPELESS, one_error
from agrifm.sensors import Band, find_sensor
from agrifm.work import progress, run_tiles

OffsetChoice = Literal["refuse", "metadata", "pixels"]
"""What happens if metadata and pixels disagree: refuse the scene, or follow the metadata or the pixels."""

DARK_BANDS = ("blue", "red", "swir22")
"""Common names of the bands that are dark over soil, vegetation and water."""
DARK_QUANTILE = 0.01
"""Share of the clear pixels whose reflectance counts as that of dark ground."""
MIN_DARK_REFLECTANCE, MAX_DARK_REFLECTANCE = -0.03, 0.09
"""Plausible reflectance of the dark quantile of a scene. Atmospheric correction errs by about 0.02 below zero; a
value above 0.09 would mean that under 1 % of the pixels are water, vegetation or shadow."""
MAX_NEIGHBOUR_DIFFERENCE, MAX_MATCH_DIFFERENCE, NEIGHBOUR_COUNT = 0.06, 0.03, 4
"""A scene also disagrees if it is farther than the first (reflectance) from the median of its neighbours in time, and
would be within the second if one offset were added or subtracted. A scene that is too bright is not doubted if one or
two offsets less would still not match its neighbours: clouds that the mask missed look like that."""
MIN_INFRARED = 0.02
"""If the darkest 1 % of SWIR 2 is at least this bright, and similar in the scenes next to it in time, the scene is not
called too dark. If 0.1 were subtracted wrongly, only ground without water, vegetation and shadow would be so bright."""
SCL_VEGETATION = 4
"""Class of SCL. Sen2Cor classifies before it corrects for the atmosphere, so the class does not depend on the offset
(Louis et al. 2022, Sen2Cor version 2.10)."""
MIN_DARK_GROUND = 0.05
"""Share of vegetation and water among the clear pixels from which the darkest hundredth must be dark."""
MAX_MISSING, MAX_MISSING_BARE = 0.5, 0.1
"""Largest share without a valid number, of the clear land pixels and of those without vegetation. If an offset was
subtracted twice, all ground darker than 0.1 in one of the bands falls below zero, where digital numbers end. If it was
subtracted rightly, a third of the vegetation may fall below zero, but not soil."""
CLEAR_RULE = MaskRule((*DEFAULT_MASKED, "uncertain"))
"""Which pixels are measured; unclassified ones are often cloud."""
MAX_SAMPLE_SIDE, MIN_CLEAR_PIXELS = 256, 100
"""Pixels per side of the sample, and the fewest clear pixels for a judgement."""
MEASURED = ("darkest", "dark_ground", "infrared", "missing", "missing_bare")
"""Fields of `DarkStatistics` that are measured."""
THREADS = 4
FEW_CLEAR = "too few clear pixels to check it"
VISIBLE_ALONE = "too dark in the visible alone, as under haze or shadow, to check it"
NOTHING_DARK = "nothing dark in it by which to check it"


@dataclass(frozen=True)
class DarkStatistics:
    """A scene, the encoding its metadata state, and how dark its darkest clear pixels are without any offset."""

    scene: Scene
    stated: Encoding
    darkest: float | None
    """Reflectance without an offset; None if too few clear pixels have a valid number."""
    dark_ground: bool = False
    """True if there is vegetation or water, which are dark in one of the bands."""
    infrared: float | None = None
    """Reflectance of the darkest clear pixels in the second short-wave infrared; those without a number count as 0."""
    missing: float = 0.0
    """Share of the clear land pixels without a valid number."""
    missing_bare: float = 0.0
    """The same share of those without vegetation."""

    @property
    def measured(self) -> dict[str, float | None]:
        """What was read of the pixels, from which the statistics are made again without reading."""
        return {name: getattr(self, name) for name in MEASURED}

    @property
    def level(self) -> float:
        """Reflectance of the darkest pixels under the stated offset."""
        assert self.darkest is not None
        return self.darkest + self.stated.offset

    @property
    def other(self) -> float:
        """The offset that is not stated."""
        return self.scene.product.offset if self.stated.offset == 0 else 0.0

    @property
    def is_removed_twice(self) -> bool:
        """True if as many numbers are missing as after an offset was subtracted twice."""
        return self.missing > MAX_MISSING or self.missing_bare > MAX_MISSING_BARE

    @property
    def likely(self) -> float | None:
        """The offset that makes its dark ground plausible, whatever is stated; None if the pixels do not show it."""
        if self.darkest is None or self.is_removed_twice:
            return None
        offsets = (self.stated.offset, self.other) if self.dark_ground else (self.stated.offset,)
        return next(
            (offset for offset in offsets if MIN_DARK_REFLECTANCE <= self.darkest + offset <= MAX_DARK_REFLECTANCE),
            None,
        )

    @property
    def fits_other_offset(self) -> bool:
        """True if the offset that is not stated makes plausible reflectances."""
        if self.darkest is None or self.is_removed_twice:
            return False
        return MIN_DARK_REFLECTANCE <= self.darkest + self.other <= MAX_DARK_REFLECTANCE


class NeighbourLevels(NamedTuple):
    """Reflectance of dark ground in the scenes next to one in time."""

    level: float
    """Of the darkest of the bands."""
    infrared: float | None
    """Of the second short-wave infrared; None if the scenes lack the band."""


@dataclass(frozen=True)
class OffsetVerdict:
    """What the pixels of a scene say about the stated offset; without doubt and reason, they agree."""

    doubt: str | None = None
    """Why the pixels contradict it, as part of a sentence."""
    unjudged: str | None = None
    """Why the pixels do not allow a judgement, as part of a sentence."""


def decide_offsets(
    scenes: Sequence[Scene],
    grids: Mapping[str, Grid],
    choice: OffsetChoice,
    failed: dict[str, str] | None = None,
    known: Mapping[int, Mapping[str, float | None]] | None = None,
) -> list[Scene]:
    """Decide the encoding of each scene; returns the scenes in their order.

    Args:
        grids: of the cube, by sensor name.
        choice: what to do if metadata and pixels disagree.
        failed: takes the ids of scenes that cannot be read, and why; without it they are an error.
        known: by position in `scenes`, what was measured of a scene before (`Encoding.dark`); it is not read.

    Raises:
        SceneError: scenes cannot be read; metadata and pixels of a scene disagree and the choice is "refuse"; or
            neither offset fits.
    """
    statistics = measure_scenes(scenes, grids, failed, known)
    verdicts = {id(dark.scene): judge_offset(dark, statistics) for dark in statistics}
    doubted = [dark for dark in statistics if verdicts[id(dark.scene)].doubt is not None]
    if doubted and choice == "refuse":
        first = doubted[0]
        more = f" (and {len(doubted) - 1} more scenes like it)" if len(doubted) > 1 else ""
        raise SceneError(
            f"checking the offset of scene {first.scene.id}{more}: its metadata say {first.stated.source}, but "
            f'{verdicts[id(first.scene)].doubt}; set `offset` of [imagery] to "pixels" to follow the pixels or to '
            '"metadata" to follow the metadata, or list its id in `skip`',
            scene=first.scene.id,
            scenes=[dark.scene.id for dark in doubted],
            doubt=verdicts[id(first.scene)].doubt,
        )
    decided = {
        id(dark.scene): replace(_decided(dark, verdicts[id(dark.scene)], choice), dark=dark.measured)
        for dark in statistics
    }
    return [replace(scene, decided=decided[id(scene)]) if id(scene) in decided else scene for scene in scenes]


def measure_scenes(
    scenes: Sequence[Scene],
    grids: Mapping[str, Grid],
    failed: dict[str, str] | None = None,
    known: Mapping[int, Mapping[str, float | None]] | None = None,
) -> list[DarkStatistics]:
    """Measure the dark pixels of each scene whose product has an offset that some scenes lack, in their order.

    Args:
        failed, known: as for `decide_offsets`.

    Raises:
        SceneError: see `read_asset`; all scenes that fail are named.
    """
    errors: dict[str, SceneError] = {}
    statistics: dict[int, DarkStatistics] = {}
    checked = [scene for scene in scenes if scene.product.offset_from_baseline is not None]
    for position, numbers in (known or {}).items():
        scene = scenes[position]
        statistics[id(scene)] = DarkStatistics(scene, scene.encoding, **dict(numbers))  # type: ignore[arg-type]
    unknown = [scene for scene in checked if id(scene) not in statistics]

    def measured(scene: Scene) -> DarkStatistics | None:
        if len(errors) >= HOPELESS and len(statistics) == len(known or ()):
            return None
        try:
            return measure_scene(scene, grids)
        except SceneError as error:
            errors[scene.id] = error
            return None

    if unknown:
        with (
            TRAFFIC.purpose("offset check"),
            ThreadPoolExecutor(THREADS) as executor,
            progress("check offsets", len(unknown)) as advance,
        ):
            for scene, dark in run_tiles(measured, unknown, executor, 2 * THREADS):
                if dark is not None:
                    statistics[id(scene)] = dark
                advance(1)
            again = [scene for scene in unknown if scene.id in errors and errors[scene.id].facts.get("may_pass")]
            for scene in again if len(statistics) > len(known or ()) else ():  # the server answers by now
                del errors[scene.id]
                if (dark := measured(scene)) is not None:
                    statistics[id(scene)] = dark
    if errors and failed is None:
        raise one_error(errors)
    if failed is not None:
        failed.update((name, str(error)) for name, error in errors.items())
    return [statistics[id(scene)] for scene in checked if id(scene) in statistics]


def measure_scene(scene: Scene, grids: Mapping[str, Grid]) -> DarkStatistics:
    """Measure how dark a scene's darkest clear pixels are, on a sample of at most `MAX_SAMPLE_SIDE` pixels per side.

    Raises:
        SceneError: see `read_asset`.
    """
    product, grid = scene.product, sample_grid(grids[scene.product.sensor])
    flags, dark = np.zeros(grid.shape, np.uint16), np.zeros(grid.shape, bool)
    for asset, encoding in scene.quality_bands.items():
        values = read_asset(scene, asset, "quality", grid, "nearest", no_quality(encoding))
        flags |= quality_flags(values, encoding)
        dark |= (encoding == "scl") & (values == SCL_VEGETATION)
    # without a scene classification, clouds and pixels without data would count as land
    classified = "scl" in scene.quality_bands.values()
    clear, water = CLEAR_RULE.usable(flags) & classified, (flags & bits(["water"])) != 0
    planes: dict[str, NDArray[np.floating]] = {}  # reflectance without an offset
    # filled: the pixel has a number in every band; possible: a clear pixel whose numbers are all in the valid range
    filled, possible = np.ones(grid.shape, bool), clear.copy()
    for band in _dark_bands(product):
        if clear.any():
            stored = read_asset(scene, product.assets[band.name], band.name, grid, "nearest", product.nodata)
            filled &= stored != product.nodata
            possible &= (stored >= product.valid_range[0]) & (stored <= product.valid_range[1])
            planes[band.common_name] = stored * product.scale
    possible &= filled
    # nothing is measured in a scene without clear pixels: its bands were not read
    enough = bool(planes) and np.count_nonzero(possible) >= MIN_CLEAR_PIXELS
    # water may be below zero rightly, so only land counts as missing
    land, bare = clear & ~water, clear & ~water & ~dark
    return DarkStatistics(
        scene,
        scene.encoding,
        _darkest(np.minimum.reduce(list(planes.values())), possible) if enough else None,
        dark_ground=bool(clear.any() and (dark | water)[clear].mean() >= MIN_DARK_GROUND),
        infrared=_darkest(planes["swir22"], clear)
        if "swir22" in planes and np.count_nonzero(clear) >= MIN_CLEAR_PIXELS
        else None,
        missing=_share(~filled, land),
        missing_bare=_share(~filled, bare),
    )


def _darkest(reflectance: NDArray[np.floating], where: NDArray[np.bool_]) -> float:
    return float(np.quantile(reflectance[where], DARK_QUANTILE))


def _share(of: NDArray[np.bool_], where: NDArray[np.bool_]) -> float:
    """Share of the pixels of a region; 0 if the region has too few pixels."""
    return float(of[where].mean()) if np.count_nonzero(where) >= MIN_CLEAR_PIXELS else 0.0


def checked_assets(scene: Scene) -> tuple[str, ...]:
    """Return the asset keys that the check reads of a scene with clear pixels; none if it needs no check."""
    if scene.product.offset_from_baseline is None:
        return ()
    return (*scene.quality_bands, *(scene.product.assets[band.name] for band in _dark_bands(scene.product)))


def _dark_bands(product: Product) -> list[Band]:
    bands = find_sensor(product.sensor).bands
    return [band for band in bands if band.common_name in DARK_BANDS and band.name in product.assets]


def sample_grid(grid: Grid) -> Grid:
    """Return the grid on which the check reads a scene of a cube's grid, at most `MAX_SAMPLE_SIDE` pixels per side."""
    step = ceil(max(grid.shape) / MAX_SAMPLE_SIDE)
    rows, cols = grid.shape
    return Grid.of(str(grid.crs), grid.transform * Affine.scale(step), (ceil(rows / step), ceil(cols / step)))


def judge_offset(dark: DarkStatistics, season: Sequence[DarkStatistics]) -> OffsetVerdict:
    """Judge the stated offset of a scene by its pixels and by the other scenes of the season."""
    near, step = _neighbours(dark, season), dark.scene.product.offset
    if dark.is_removed_twice and not _is_visible_alone(dark, near):
        share = f"{dark.missing:.0%} of its clear land pixels and {dark.missing_bare:.0%} of the bare ones"
        return OffsetVerdict(f"then {share} have no number, as if the offset had been subtracted twice")
    if dark.darkest is None:
        return OffsetVerdict(unjudged=FEW_CLEAR)
    percent = f"{DARK_QUANTILE:.0%} of its clear pixels"
    # too dark: only a subtracted offset can make the level negative
    if dark.stated.offset != 0 and dark.level < MIN_DARK_REFLECTANCE:
        if _is_visible_alone(dark, near):
            return OffsetVerdict(unjudged=VISIBLE_ALONE)
        return OffsetVerdict(
            f"then {percent} reflect less than {dark.level:.3f}, as if the offset had been removed already"
        )
    if dark.level > MAX_DARK_REFLECTANCE:
        # one offset less (still in the numbers) or two (added twice) must bring it close to its neighbours
        explained = (
            near is None
            or min(abs(dark.level + times * step - near.level) for times in (1, 2)) < MAX_NEIGHBOUR_DIFFERENCE
        )
        if not (dark.dark_ground and explained):
            return OffsetVerdict(unjudged=NOTHING_DARK)
        twice = "added twice" if dark.stated.offset != 0 else "still in its numbers"
        return OffsetVerdict(f"then only {percent} reflect less than {dark.level:.3f}, as if the offset were {twice}")
    # a plausible level, but far from the same ground days before and after
    if near is None or abs(dark.level - near.level) <= MAX_NEIGHBOUR_DIFFERENCE:
        return OffsetVerdict()
    if min(abs(dark.level + shift - near.level) for shift in (step, -step)) >= MAX_MATCH_DIFFERENCE:
        return OffsetVerdict()
    return OffsetVerdict(
        f"then its darkest pixels reflect {dark.level:.3f}, those of the scenes next to it in time {near.level:.3f}"
    )


def _is_visible_alone(dark: DarkStatistics, near: NeighbourLevels | None) -> bool:
    """Return True if the infrared is plausible under the stated offset, however dark the visible bands are."""
    if dark.infrared is None or near is None or near.infrared is None:
        return False
    infrared = dark.infrared + dark.stated.offset
    return infrared >= MIN_INFRARED and infrared > near.infrared + dark.scene.product.offset / 2


def _neighbours(dark: DarkStatistics, season: Sequence[DarkStatistics]) -> NeighbourLevels | None:
    """Medians of the nearest scenes in time of the same product that show dark ground, or None."""
    others = [
        (abs((other.scene.day - dark.scene.day).days), other, offset)
        for other in season
        if other is not dark and other.scene.product == dark.scene.product and (offset := other.likely) is not None
    ]
    nearest = sorted(others, key=lambda each: each[0])[:NEIGHBOUR_COUNT]
    levels = [other.darkest + offset for _, other, offset in nearest if other.darkest is not None]
    infrared = [other.infrared + offset for _, other, offset in nearest if other.infrared is not None]
    if not levels:
        return None
    return NeighbourLevels(float(np.median(levels)), float(np.median(infrared)) if infrared else None)


def _decided(dark: DarkStatistics, verdict: OffsetVerdict, choice: OffsetChoice) -> Encoding:
    if verdict.unjudged is not None:
        return replace(dark.stated, source=f"{dark.stated.source}; {verdict.unjudged}")
    if verdict.doubt is None:
        return replace(dark.stated, source=f"{dark.stated.source}; its pixels agree")
    if choice == "metadata":
        return replace(dark.stated, source=f'{dark.stated.source}; against its pixels, by `offset` = "metadata"')
    if not dark.fits_other_offset:
        raise SceneError(
            f"checking the offset of scene {dark.scene.id}: its pixels fit neither {dark.stated.source} "
            f"({verdict.doubt}) nor offset {dark.other:g}; list its id in `skip`, or use the product that fits these "
            "files",
            scene=dark.scene.id,
        )
    return replace(
        dark.stated, offset=dark.other, source=f"offset {dark.other:g} from its pixels; against {dark.stated.source}"
    )
