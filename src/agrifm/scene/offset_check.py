"""Offsets held against pixels: metadata are believed as far as a scene's dark pixels agree.

Checked are scenes whose product has an offset that some scenes lack: numbers with it and numbers without it are 0.1 of
reflectance apart, more than the darkest ground varies. The darkest of blue, red and the second short-wave infrared is
taken at each clear pixel (vegetation is dark in red, soil in blue, water in the infrared), and of those their
`QUANTILE`. Under the right offset it is a possible reflectance of dark ground, near that of the scenes next to it in
time; under the wrong one it is 0.1 away, in every band. Haze and shadow that no mask found can make it as dark in the
visible alone, where atmospheric correction takes off what the air scatters, which is next to nothing in the infrared.
An offset that was taken off twice leaves most pixels without a number.

A scene that cannot be judged is not doubted, which its provenance says: one with too few clear pixels, one too dark in
the visible alone, and one bright all over where nothing need be dark, such as sand, salt or snow that no mask found.
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
from agrifm.scene.mask import MASKED, MaskRule
from agrifm.scene.quality import NO_QUALITY, QUALITY_RULES, bits
from agrifm.scene.read import read_asset
from agrifm.scene.remote import METER
from agrifm.scene.scene import Scene
from agrifm.sensors import find_sensor
from agrifm.work import progress, run_tiles

OffsetChoice = Literal["refuse", "metadata", "pixels"]
"""What becomes of a scene whose metadata and pixels disagree: refused, or settled by the one or by the other."""

DARK = ("blue", "red", "swir22")
"""Common names of the bands that are dark over soil, vegetation and water."""
QUANTILE = 0.01
LOWEST, HIGHEST = -0.03, 0.09
"""Reflectance that the dark quantile of a scene may have. Atmospheric correction errs by about 0.02 below zero; above
0.09 there would be neither water nor vegetation nor shadow in a hundred pixels."""
UNLIKE, LIKE, NEIGHBOURS = 0.06, 0.03, 4
"""A scene that is farther than `UNLIKE` from the median of its neighbours in time, and one offset more or less nearer
than `LIKE`, disagrees as well. One that is too bright, but an offset or two less would make unlike its neighbours too,
is not doubted: clouds that the mask missed do that."""
INFRARED = 0.02
"""A scene whose darkest hundredth in the second short-wave infrared reflects this much, and about what it does in the
scenes next to it in time, is not too dark in every band. With 0.1 taken off wrongly, only ground would that has no
water, green or shadow in it and was less dry before and after."""
VEGETATION = 4
"""Class of SCL, which Sen2Cor finds before it corrects for the atmosphere, so not from the numbers that are checked
(Louis et al. 2022, Sen2Cor version 2.10)."""
DARK_GROUND = 0.05
"""Share of vegetation and water among the clear pixels from which their darkest hundredth must be dark."""
MISSING, MISSING_BARE = 0.5, 0.1
"""Share of clear land pixels, or of those without vegetation, that have no number, from which an offset was taken off
twice: what is darker than 0.1 in one of the bands falls below zero, where numbers end. Rightly removed, a third of the
vegetation may fall below zero, soil not."""
CLEAR = MaskRule((*MASKED, "uncertain"))
"""Which pixels are looked at; unclassified ones are often cloud."""
SAMPLE, FEWEST = 256, 100
"""Pixels of a side that are looked at, and the fewest clear ones that say something."""
THREADS = 4
FEW_CLEAR = "too few clear pixels to check it"
VISIBLE_ALONE = "too dark in the visible alone, as under haze or shadow, to check it"
NOTHING_DARK = "nothing dark in it by which to check it"


@dataclass(frozen=True)
class Look:
    """A scene, what its metadata state, and how dark its darkest clear pixels are without any offset."""

    scene: Scene
    stated: Encoding
    darkest: float | None
    """Reflectance without an offset; None where too few clear pixels have a number."""
    dark_ground: bool = False
    """Whether there is vegetation or water, which are dark in one of the bands."""
    infrared: float | None = None
    """That of the darkest clear pixels in the second short-wave infrared alone, 0 where they have no number."""
    missing: float = 0.0
    """Share of the clear land pixels that have no number."""
    missing_bare: float = 0.0
    """Of those without vegetation, the same."""

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
    def off_twice(self) -> bool:
        """Whether so many numbers are missing as where an offset is taken off twice."""
        return self.missing > MISSING or self.missing_bare > MISSING_BARE

    @property
    def likely(self) -> float | None:
        """The offset that makes its dark ground possible, whatever is stated; None where the pixels do not tell it."""
        if self.darkest is None or self.off_twice:
            return None
        offsets = (self.stated.offset, self.other) if self.dark_ground else (self.stated.offset,)
        return next((offset for offset in offsets if LOWEST <= self.darkest + offset <= HIGHEST), None)

    @property
    def fits_other(self) -> bool:
        """Whether the offset that is not stated makes possible reflectances."""
        return self.darkest is not None and not self.off_twice and LOWEST <= self.darkest + self.other <= HIGHEST


class Dark(NamedTuple):
    """Reflectance of dark ground in the scenes next to one in time."""

    level: float
    """Of the darkest of the bands."""
    infrared: float | None
    """Of the second short-wave infrared; None where they have no such band."""


@dataclass(frozen=True)
class Verdict:
    """What the pixels of a scene say about the offset that is stated; neither, and they agree."""

    doubt: str | None = None
    """Why they contradict it, as a part of a sentence."""
    unjudged: str | None = None
    """Why they say nothing, likewise."""


def settle(scenes: Sequence[Scene], grids: Mapping[str, Grid], choice: OffsetChoice) -> list[Scene]:
    """The scenes with their encoding decided, in their order.

    Args:
        grids: of the cube, by sensor name.
        choice: what becomes of a scene whose metadata and pixels disagree.

    Raises:
        SceneError: a scene's metadata and pixels disagree and the choice is "refuse", or neither offset fits.
    """
    found = looks(scenes, grids)
    verdicts = {id(one.scene): judge(one, found) for one in found}
    doubted = [one for one in found if verdicts[id(one.scene)].doubt is not None]
    if doubted and choice == "refuse":
        first = doubted[0]
        more = f" (and {len(doubted) - 1} more scenes like it)" if len(doubted) > 1 else ""
        raise SceneError(
            f"checking the offset of scene {first.scene.id}{more}: its metadata say {first.stated.source}, but "
            f'{verdicts[id(first.scene)].doubt}; set `offset` of [imagery] to "pixels" to follow the pixels or to '
            '"metadata" to follow the metadata, or list its id in `skip`'
        )
    decided = {id(one.scene): _decided(one, verdicts[id(one.scene)], choice) for one in found}
    return [replace(scene, decided=decided[id(scene)]) if id(scene) in decided else scene for scene in scenes]


def looks(scenes: Sequence[Scene], grids: Mapping[str, Grid]) -> list[Look]:
    """What is seen of each scene whose product has an offset that some scenes lack, in their order.

    Raises:
        SceneError: see `read_asset`.
    """
    checked = [scene for scene in scenes if scene.product.offset_from_baseline is not None]
    found: dict[int, Look] = {}
    if checked:
        with (
            METER.purpose("offset check"),
            ThreadPoolExecutor(THREADS) as executor,
            progress("check offsets", len(checked)) as advance,
        ):
            for scene, seen in run_tiles(lambda scene: look(scene, grids), checked, executor, 2 * THREADS):
                found[id(scene)] = seen
                advance(1)
    return [found[id(scene)] for scene in checked]


def look(scene: Scene, grids: Mapping[str, Grid]) -> Look:
    """Read how dark a scene's darkest clear pixels are, on at most `SAMPLE` pixels a side.

    Raises:
        SceneError: see `read_asset`.
    """
    product, grid = scene.product, _sample(grids[scene.product.sensor])
    flags, dark = np.zeros(grid.shape, np.uint16), np.zeros(grid.shape, bool)
    for asset, encoding in product.quality_bands.items():
        values = read_asset(scene, asset, "quality", grid, "nearest", NO_QUALITY[encoding])
        flags |= QUALITY_RULES[encoding](values)
        dark |= (encoding == "scl") & (values == VEGETATION)
    clear, water = CLEAR.usable(flags), (flags & bits(["water"])) != 0
    planes: dict[str, NDArray[np.floating]] = {}
    filled, possible = np.ones(grid.shape, bool), clear.copy()
    for band in find_sensor(product.sensor).bands:
        if clear.any() and band.common_name in DARK:
            stored = read_asset(scene, product.assets[band.name], band.name, grid, "nearest", product.nodata)
            filled &= stored != product.nodata
            possible &= (stored >= product.valid_range[0]) & (stored <= product.valid_range[1])
            planes[band.common_name] = stored * product.scale
    possible &= filled
    enough = bool(planes) and np.count_nonzero(possible) >= FEWEST
    land, bare = clear & ~water, clear & ~water & ~dark
    return Look(
        scene,
        scene.encoding,
        _darkest(np.minimum.reduce(list(planes.values())), possible) if enough else None,
        dark_ground=bool(clear.any() and (dark | water)[clear].mean() >= DARK_GROUND),
        infrared=_darkest(planes["swir22"], clear)
        if "swir22" in planes and np.count_nonzero(clear) >= FEWEST
        else None,
        missing=_share(~filled, land),
        missing_bare=_share(~filled, bare),
    )


def _darkest(reflectance: NDArray[np.floating], where: NDArray[np.bool_]) -> float:
    return float(np.quantile(reflectance[where], QUANTILE))


def _share(of: NDArray[np.bool_], where: NDArray[np.bool_]) -> float:
    """Share of the pixels of a region; 0 where it has too few."""
    return float(of[where].mean()) if np.count_nonzero(where) >= FEWEST else 0.0


def _sample(grid: Grid) -> Grid:
    step = ceil(max(grid.shape) / SAMPLE)
    rows, cols = grid.shape
    return Grid.of(str(grid.crs), grid.transform * Affine.scale(step), (ceil(rows / step), ceil(cols / step)))


def judge(one: Look, found: Sequence[Look]) -> Verdict:
    """What the pixels of a scene say, beside those of the others that were looked at."""
    near, step = _neighbours(one, found), one.scene.product.offset
    if one.off_twice and not _is_visible_alone(one, near):
        share = f"{one.missing:.0%} of its clear land pixels and {one.missing_bare:.0%} of the bare ones"
        return Verdict(f"then {share} have no number, as if the offset had been taken off twice")
    if one.darkest is None:
        return Verdict(unjudged=FEW_CLEAR)
    percent = f"{QUANTILE:.0%} of its clear pixels"
    if one.stated.offset != 0 and one.level < LOWEST:
        if _is_visible_alone(one, near):
            return Verdict(unjudged=VISIBLE_ALONE)
        return Verdict(f"then {percent} reflect less than {one.level:.3f}, as if the offset had been removed already")
    if one.level > HIGHEST:
        explained = near is None or min(abs(one.level + times * step - near.level) for times in (1, 2)) < UNLIKE
        if not (one.dark_ground and explained):
            return Verdict(unjudged=NOTHING_DARK)
        twice = "added twice" if one.stated.offset != 0 else "still in its numbers"
        return Verdict(f"then only {percent} reflect less than {one.level:.3f}, as if the offset were {twice}")
    if near is None or abs(one.level - near.level) <= UNLIKE:
        return Verdict()
    if min(abs(one.level + shift - near.level) for shift in (step, -step)) >= LIKE:
        return Verdict()
    return Verdict(
        f"then its darkest pixels reflect {one.level:.3f}, those of the scenes next to it in time {near.level:.3f}"
    )


def _is_visible_alone(one: Look, near: Dark | None) -> bool:
    """Whether the infrared is as it should be under the stated offset, however dark the visible is."""
    if one.infrared is None or near is None or near.infrared is None:
        return False
    infrared = one.infrared + one.stated.offset
    return infrared >= INFRARED and infrared > near.infrared + one.scene.product.offset / 2


def _neighbours(one: Look, found: Sequence[Look]) -> Dark | None:
    """Medians of the nearest scenes of the product in time that show dark ground, or None."""
    others = [
        (abs((other.scene.day - one.scene.day).days), other, offset)
        for other in found
        if other is not one and other.scene.product == one.scene.product and (offset := other.likely) is not None
    ]
    nearest = sorted(others, key=lambda each: each[0])[:NEIGHBOURS]
    levels = [other.darkest + offset for _, other, offset in nearest if other.darkest is not None]
    infrared = [other.infrared + offset for _, other, offset in nearest if other.infrared is not None]
    if not levels:
        return None
    return Dark(float(np.median(levels)), float(np.median(infrared)) if infrared else None)


def _decided(one: Look, verdict: Verdict, choice: OffsetChoice) -> Encoding:
    if verdict.unjudged is not None:
        return replace(one.stated, source=f"{one.stated.source}; {verdict.unjudged}")
    if verdict.doubt is None:
        return replace(one.stated, source=f"{one.stated.source}; its pixels agree")
    if choice == "metadata":
        return replace(one.stated, source=f'{one.stated.source}; against its pixels, by `offset` = "metadata"')
    if not one.fits_other:
        raise SceneError(
            f"checking the offset of scene {one.scene.id}: its pixels fit neither {one.stated.source} "
            f"({verdict.doubt}) nor offset {one.other:g}; list its id in `skip`, or use the product that fits these "
            "files"
        )
    return replace(
        one.stated, offset=one.other, source=f"offset {one.other:g} from its pixels; against {one.stated.source}"
    )
