"""Offsets held against pixels: metadata are believed as far as a scene's dark pixels agree.

Checked are scenes whose product has an offset that some scenes lack: numbers with it and numbers without it are 0.1 of
reflectance apart, more than the darkest ground varies. The darkest of blue, red and the second short-wave infrared is
taken at each clear pixel (vegetation is dark in red, soil in blue, water in the infrared), and of those their
`QUANTILE`. Under the right offset it is a possible reflectance of dark ground, near that of the scenes next to it in
time; under the wrong one it is 0.1 away.

A scene with too few clear pixels is not checked, which its provenance says; so is nothing else.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

import numpy as np
from affine import Affine

from agrifm.errors import SceneError
from agrifm.grid import Grid
from agrifm.scene.encoding import Encoding
from agrifm.scene.quality import NO_QUALITY, QUALITY_RULES
from agrifm.scene.read import Scene, read_asset
from agrifm.scene.usable import MASKED, UsableRule
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
"""A scene that is farther than `UNLIKE` from the median of its neighbours in time, and with the other offset nearer
than `LIKE`, disagrees as well. One that is too bright, but with the other offset unlike its neighbours too, is not
doubted: clouds that the mask missed do that."""
CLEAR = UsableRule((*MASKED, "uncertain"))
"""Which pixels are looked at; unclassified ones are often cloud."""
SAMPLE, FEWEST = 256, 100
"""Pixels of a side that are looked at, and the fewest clear ones that say something."""
THREADS = 4


@dataclass(frozen=True)
class Look:
    """A scene, what its metadata state, and how dark its darkest clear pixels are without any offset."""

    scene: Scene
    stated: Encoding
    darkest: float | None
    """Reflectance without an offset; None where too few pixels are clear."""

    @property
    def level(self) -> float:
        """Reflectance of the darkest pixels under the stated offset."""
        assert self.darkest is not None
        return self.darkest + self.stated.offset

    @property
    def other(self) -> float:
        """The offset that is not stated."""
        return self.scene.product.offset if self.stated.offset == 0 else 0.0


def settle(scenes: Sequence[Scene], grids: Mapping[str, Grid], choice: OffsetChoice) -> list[Scene]:
    """The scenes with their encoding decided, in their order.

    Args:
        grids: of the cube, by sensor name.
        choice: what becomes of a scene whose metadata and pixels disagree.

    Raises:
        SceneError: a scene's metadata and pixels disagree and the choice is "refuse", or neither offset fits.
    """
    checked = [scene for scene in scenes if scene.product.offset_from_baseline is not None]
    looks: dict[int, Look] = {}
    if checked:
        with ThreadPoolExecutor(THREADS) as executor, progress("check offsets", len(checked)) as advance:
            for scene, seen in run_tiles(lambda scene: look(scene, grids), checked, executor, 2 * THREADS):
                looks[id(scene)] = seen
                advance(1)
    found = [looks[id(scene)] for scene in checked]
    doubts = {id(one.scene): doubt for one in found if (doubt := _doubt(one, found)) is not None}
    if doubts and choice == "refuse":
        first = next(one for one in found if id(one.scene) in doubts)
        more = f" (and {len(doubts) - 1} more scenes like it)" if len(doubts) > 1 else ""
        raise SceneError(
            f"checking the offset of scene {first.scene.id}{more}: its metadata say {first.stated.source}, but "
            f'{doubts[id(first.scene)]}; set `offset` of [imagery] to "pixels" to follow the pixels or to "metadata" '
            "to follow the metadata, or list its id in `skip`"
        )
    return [
        replace(scene, decided=_decided(looks[id(scene)], doubts.get(id(scene)), choice))
        if id(scene) in looks
        else scene
        for scene in scenes
    ]


def look(scene: Scene, grids: Mapping[str, Grid]) -> Look:
    """Read how dark a scene's darkest clear pixels are, on at most `SAMPLE` pixels a side.

    Raises:
        SceneError: see `read_asset`.
    """
    product, grid = scene.product, _sample(grids[scene.product.sensor])
    flags = np.zeros(grid.shape, np.uint16)
    for asset, encoding in product.quality_bands.items():
        flags |= QUALITY_RULES[encoding](read_asset(scene, asset, "quality", grid, "nearest", NO_QUALITY[encoding]))
    clear, darkest = CLEAR.usable(flags), np.full(grid.shape, np.inf)
    for band in find_sensor(product.sensor).bands:
        if clear.any() and band.common_name in DARK:
            stored = read_asset(scene, product.assets[band.name], band.name, grid, "nearest", product.nodata)
            clear &= (
                (stored != product.nodata) & (stored >= product.valid_range[0]) & (stored <= product.valid_range[1])
            )
            darkest = np.minimum(darkest, stored * product.scale)
    enough = np.count_nonzero(clear) >= FEWEST
    return Look(scene, scene.encoding, float(np.quantile(darkest[clear], QUANTILE)) if enough else None)


def _sample(grid: Grid) -> Grid:
    step = ceil(max(grid.shape) / SAMPLE)
    rows, cols = grid.shape
    return Grid.of(str(grid.crs), grid.transform * Affine.scale(step), (ceil(rows / step), ceil(cols / step)))


def _doubt(one: Look, found: Sequence[Look]) -> str | None:
    """Why the pixels contradict what is stated, as a part of a sentence; None where they do not."""
    if one.darkest is None:
        return None
    percent, near = f"{QUANTILE:.0%} of its clear pixels", _neighbours(one, found)
    away = None if near is None else abs(one.darkest + one.other - near)
    if one.other == 0 and one.level < LOWEST:
        return f"then {percent} reflect less than {one.level:.3f}, as if the offset had been removed already"
    if one.other != 0 and one.level > HIGHEST and (away is None or away < UNLIKE):
        return f"then only {percent} reflect less than {one.level:.3f}, as if the offset were still in its numbers"
    if near is None or away is None or abs(one.level - near) <= UNLIKE or away >= LIKE:
        return None
    return f"then its darkest pixels reflect {one.level:.3f}, those of the scenes next to it in time {near:.3f}"


def _neighbours(one: Look, found: Sequence[Look]) -> float | None:
    """Median level of the nearest plausible scenes of the product in time, or None."""
    others = [
        other
        for other in found
        if other is not one
        and other.scene.product == one.scene.product
        and other.darkest is not None
        and LOWEST <= other.level <= HIGHEST
    ]
    others.sort(key=lambda other: abs((other.scene.day - one.scene.day).days))
    return float(np.median([other.level for other in others[:NEIGHBOURS]])) if others else None


def _decided(one: Look, doubt: str | None, choice: OffsetChoice) -> Encoding:
    if one.darkest is None:
        return replace(one.stated, source=f"{one.stated.source}; too few clear pixels to check it")
    if doubt is None:
        return replace(one.stated, source=f"{one.stated.source}; its pixels agree")
    if choice == "metadata":
        return replace(one.stated, source=f'{one.stated.source}; against its pixels, by `offset` = "metadata"')
    if not LOWEST <= one.darkest + one.other <= HIGHEST:
        raise SceneError(
            f"checking the offset of scene {one.scene.id}: its pixels fit neither {one.stated.source} ({doubt}) nor "
            f"offset {one.other:g}; list its id in `skip`, or use the product that fits these files"
        )
    return replace(
        one.stated, offset=one.other, source=f"offset {one.other:g} from its pixels; against {one.stated.source}"
    )
