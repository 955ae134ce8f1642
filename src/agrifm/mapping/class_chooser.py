"""How the classes of a map are chosen: the likeliest ones; smoothed, on cropland only, and without small regions, if
the project says so.

Only classes change. Probabilities stay those of the pixel itself, so the confidence of a pixel whose class was changed
is the probability of the class that it has now.

Shape letters: C classes, H rows, W columns.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import ceil
from pathlib import Path
from typing import Any, Self

import numpy as np
import rasterio
from numpy.typing import NDArray

from agrifm.errors import MapError
from agrifm.files import content_digest
from agrifm.grid import Grid, Window, tiles
from agrifm.legend import UNLABELLED
from agrifm.map_cleaning import NO_CLEANING, Cleaning
from agrifm.mapping.blended_tiles import blended_tile
from agrifm.mapping.category_layer import LayerStatement
from agrifm.mapping.class_smoothing import smoothed_scores
from agrifm.mapping.cog import TILE_SIDE
from agrifm.mapping.cropland_gate import CroplandGate
from agrifm.mapping.small_regions import margin_of, without_small_regions
from agrifm.mapping.window_store import WindowStore
from agrifm.mapping.windows import MapPlan
from agrifm.rasters import open_raster
from agrifm.stac import CLEANING, CROPLAND_DIGEST
from agrifm.work import progress

MOST_PIXELS = 500
"""Of a minimum mapping unit: two times as many pixels around a tile are read, which bounds memory."""


class ClassChooser:
    """Chooses the classes of a map, tile by tile; used as a context, in which a raster of its first pass exists."""

    def __init__(self, plan: MapPlan, store: WindowStore, directory: Path, cleaning: Cleaning) -> None:
        """Prepare the choice.

        Args:
            directory: of the map; the raster of the first pass is in it for a while.

        Raises:
            MapError: the minimum mapping unit has more than `MOST_PIXELS` pixels, or see `CroplandGate`.
        """
        self._plan, self._store, self._cleaning = plan, store, cleaning
        self._raw = directory / ".classes.before.tif"
        self._pixels = _pixels_of(plan, cleaning.minimum_mapping_unit)
        file, legend = cleaning.cropland_raster, plan.record.legend
        self._gate = None if file is None else CroplandGate(file, cleaning, legend, plan.grid)
        self._known = self._smoothed = self._merged = self._closed = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self._pixels > 1:
                stack.callback(self._raw.unlink, missing_ok=True)
                self._write_first_pass()
                self._source = stack.enter_context(open_raster(self._raw))
            self._open = stack.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        self._open.close()

    def numbers(self, tile: Window, probabilities: NDArray[np.floating], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the class numbers of a tile (H, W), 255 where a pixel is not known.

        Args:
            probabilities: (C, H, W), calibrated.
            known: (H, W), the pixels that have a class.
        """
        if self._pixels <= 1:
            return self._first_numbers(tile, probabilities, known)
        before, number = self._read(tile), self._merged_numbers(tile)
        self._merged += int((number != before).sum())
        return number

    def statement(self) -> LayerStatement | None:
        """What was changed; None if nothing was to be."""
        if self._cleaning == NO_CLEANING:
            return None
        counts = {"smoothed": self._smoothed, "merged": self._merged, "not_cropland": self._closed}
        shares = {name: round(count / max(self._known, 1), 6) for name, count in counts.items()}
        smoothed, merged, closed = (f"{100 * share:.1f} %" for share in shares.values())
        digest = {} if self._gate is None else {CROPLAND_DIGEST: content_digest(self._gate.file)}
        gate = "" if self._gate is None else f", {closed} because they are not cropland"
        return LayerStatement(
            f"{smoothed} of the mapped pixels have another class by smoothing, {merged} by the minimum mapping "
            f"unit{gate}",
            {CLEANING: {**self._cleaning.model_dump(exclude={"cropland"}), **shares, **digest}},
            (),
        )

    def _first_numbers(
        self, tile: Window, probabilities: NDArray[np.floating], known: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        """Class numbers of a tile, smoothed and on cropland only; each tile is counted once."""
        number = np.full(known.shape, UNLABELLED, np.uint8)
        if not known.any():
            return number
        number[known] = likeliest = probabilities[:, known].argmax(axis=0).astype(np.uint8)
        if side := self._cleaning.smoothing:
            number[known] = smoothed_scores(self._around(tile, side // 2), side)[:, known].argmax(axis=0)
        closed = np.zeros(len(likeliest), bool)
        if self._gate is not None:
            shut = self._gate.closed(tile)
            number[shut & known] = self._gate.other
            closed = shut[known] & (likeliest != self._gate.other)
        self._known += len(likeliest)
        self._closed += int(closed.sum())
        self._smoothed += int(((number[known] != likeliest) & ~closed).sum())
        return number

    def _around(self, tile: Window, margin: int) -> NDArray[np.float64]:
        """Probabilities of a tile and a margin around it; NaN beyond the grid and outside the area."""
        grown = tile.grown(margin, self._plan.grid.shape)
        inside = self._plan.area.inside(grown)
        mean, _ = blended_tile(self._plan, self._store, grown, inside)
        result = np.full((len(mean), tile.height + 2 * margin, tile.width + 2 * margin), np.nan)
        rows, cols = grown.within(Window(tile.row - margin, tile.col - margin, *result.shape[1:])).slices
        result[:, rows, cols] = np.where(inside, mean, np.nan)
        return result

    def _write_first_pass(self) -> None:
        """Write the classes before small regions are merged, because those may cross tiles."""
        every = list(tiles(self._plan.grid.shape, TILE_SIDE))
        with _plain_raster(self._raw, self._plan.grid) as raw, progress("classes", len(every)) as advance:
            for tile in every:
                inside = self._plan.area.inside(tile)
                mean, _ = blended_tile(self._plan, self._store, tile, inside)
                known = inside & ~np.isnan(mean[0])
                raw.write(self._first_numbers(tile, mean, known), 1, window=tile.slices)
                advance(1)

    def _read(self, window: Window) -> NDArray[np.uint8]:
        content: NDArray[np.uint8] = self._source.read(1, window=window.slices)
        return content

    def _merged_numbers(self, tile: Window) -> NDArray[np.uint8]:
        """Class numbers of a tile without small regions."""
        shape = self._plan.grid.shape
        grown = tile.grown(margin_of(self._pixels), shape)
        cut = np.zeros((grown.height, grown.width), bool)
        cut[0], cut[-1] = grown.row > 0, grown.row + grown.height < shape[0]
        cut[:, 0] |= grown.col > 0
        cut[:, -1] |= grown.col + grown.width < shape[1]
        return without_small_regions(self._read(grown), self._pixels, cut)[tile.within(grown).slices]


def _pixels_of(plan: MapPlan, hectares: float) -> int:
    """Pixels of a minimum mapping unit; in degrees those in the middle of the grid."""
    pixel = float(np.median(plan.grid.pixel_hectares()))
    pixels = ceil(round(hectares / pixel, 6))
    if pixels > MOST_PIXELS:
        raise MapError(
            f"mapping the cube {plan.cube.path}: a minimum mapping unit of {hectares:g} hectares has {pixels} pixels; "
            f"set `minimum_mapping_unit` to at most {MOST_PIXELS * pixel:g}",
            pixels=pixels,
            most=MOST_PIXELS,
        )
    return pixels


@contextmanager
def _plain_raster(path: Path, grid: Grid) -> Iterator[Any]:
    """A compressed raster, whose tiles cannot be read if a full disk has cut them short."""
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "compress": "deflate", "bigtiff": "if_safer"}
    size = {"height": grid.shape[0], "width": grid.shape[1], "tiled": True}
    side = {"blockxsize": TILE_SIDE, "blockysize": TILE_SIDE}
    place = {"crs": grid.crs.to_wkt(), "transform": grid.transform}
    with rasterio.open(path, "w", **profile, **size, **side, **place, nodata=UNLABELLED) as raster:
        yield raster
