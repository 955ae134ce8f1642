"""Patches: windows of a cube with the labels of one fold, prepared once and kept in memory while they fit."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import Cube
from agrifm.grid import Window, starts
from agrifm.legend import UNLABELLED
from agrifm.record import SensorInput, SeriesKind
from agrifm.samples.sample import Sample, Series, read_sample
from agrifm.samples.transforms import cut, observed, prepared

TILE = 96
"""Side in target pixels of what is read and prepared at once; a chunk of the cube, and a multiple of 480 m."""
MAX_KEPT_BYTES = 800_000_000
"""Prepared tiles are kept in memory up to this size; beyond it they are read again."""


def labelled_windows(label: NDArray[np.uint8], side: int, stride: int) -> list[Window]:
    """Return the windows of `side` pixels, in steps of `stride`, that contain at least one labelled pixel.

    A grid smaller than `side` gives one window of the grid's own size.
    """
    height, width = (min(side, length) for length in label.shape)
    windows = []
    for row in starts(label.shape[0], side, stride):
        for col in starts(label.shape[1], side, stride):
            window = Window(row, col, height, width)
            if (label[window.slices] != UNLABELLED).any():
                windows.append(window)
    return windows


class Tiles:
    """Prepared tiles of a cube, from which the samples of windows are assembled.

    Interpolated series and composites are prepared once for each tile. Observed series keep every
    frame, because the frames of a sample depend on its window.

    Args:
        steps: (F,), days since 1970-01-01, to which series are interpolated; composites have as many periods.
        kind: how the series are prepared.
        raw: observed tiles of the same cube, prepared instead of reading the cube again.
        sharing: number of `Tiles` that share the limit on memory.
    """

    def __init__(
        self,
        cube: Cube,
        sensors: Sequence[SensorInput],
        steps: NDArray[np.int32],
        kind: SeriesKind = "interpolated",
        raw: "Tiles | None" = None,
        sharing: int = 1,
    ) -> None:
        self.cube, self.sensors, self.steps, self.kind = cube, tuple(sensors), steps, kind
        self.raw, self.sharing = raw, sharing
        assert raw is None or raw.kind == "observed"
        self._kept: dict[Window, Sample] = {}
        self._kept_bytes = 0

    def sample(self, window: Window) -> Sample:
        """Return the sample of a window, unlabelled: images (T, C, H, W) float32 of the frames of this kind."""
        tiles = [self.tile(tile) for tile in tiles_under(window, self.cube.target.shape)]
        whole = assemble(tiles, window)
        return observed(whole) if self.kind == "observed" else whole

    def tile(self, window: Window) -> Sample:
        """Return a tile, and keep it if it fits into memory."""
        if window in self._kept:
            return self._kept[window]
        sample = self._make(window)
        size = sum(series.nbytes for series in sample.series.values())
        if self._kept_bytes + size <= MAX_KEPT_BYTES // self.sharing:
            self._kept[window] = sample
            self._kept_bytes += size
        return sample

    def _make(self, window: Window) -> Sample:
        if self.kind == "observed":
            return read_sample(self.cube, window, self.sensors)
        if self.raw is not None:
            return prepared(self.raw.tile(window), self.kind, self.cube.season, self.steps)
        return read_patch(self.cube, window, self.sensors, self.steps, self.kind)


class Patches:
    """A sequence of `Sample`s with all series prepared in the same way.

    Each item has images (T, C, H, W) float32 and labels (H, W) uint8 of one fold, 255 elsewhere and where no sensor
    has a valid observation.
    """

    def __init__(self, tiles: Tiles, label: NDArray[np.uint8], windows: Sequence[Window]) -> None:
        self.tiles, self.label, self.windows = tiles, label, tuple(windows)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Sample:
        sample = self.tiles.sample(self.windows[index])
        label = np.where(sample.any_valid, self.label[sample.window.slices], np.uint8(UNLABELLED))
        return replace(sample, label=label)


def tiles_under(window: Window, shape: tuple[int, int]) -> list[Window]:
    """Return the tiles of `TILE` pixels that a window touches, cut at the edge of the grid."""
    rows, cols = (
        # From the tile that holds the first pixel.
        range(first - first % TILE, first + length, TILE)
        for first, length in ((window.row, window.height), (window.col, window.width))
    )
    return [Window(row, col, min(TILE, shape[0] - row), min(TILE, shape[1] - col)) for row in rows for col in cols]


def assemble(tiles: Sequence[Sample], window: Window) -> Sample:
    """Assemble the sample of a window from the samples of the tiles under it; all have the same sensors and dates.

    If one tile contains the window, the series are views of the tile's.
    """
    series = {}
    for name, first in tiles[0].series.items():
        # target pixels along a pixel of this sensor
        ratio = tiles[0].window.height // first.image.shape[-2]
        if len(tiles) == 1:
            _, part = _shared(tiles[0].window, window, ratio)
            day = None if first.day is None else first.day[..., *part]
            series[name] = Series(first.image[..., *part], first.valid[..., *part], first.date, day, first.absent)
        else:
            series[name] = _merged([(tile.window, tile.series[name]) for tile in tiles], window, ratio)
    unlabelled = np.full((window.height, window.width), UNLABELLED, np.uint8)
    return Sample(series, unlabelled, window, tiles[0].season_start, place=tiles[0].place)


def _merged(parts: Sequence[tuple[Window, Series]], window: Window, ratio: int) -> Series:
    first = parts[0][1]
    height, width = window.height // ratio, window.width // ratio
    # The tiles cover the window, so every pixel is written.
    image = np.empty((*first.image.shape[:2], height, width), np.float32)
    valid = np.empty((len(first.valid), height, width), bool)
    day = None if first.day is None else np.empty(valid.shape, np.int32)
    for tile, part in parts:
        to, of = _shared(tile, window, ratio)
        image[..., *to] = part.image[..., *of]
        valid[..., *to] = part.valid[..., *of]
        if day is not None and part.day is not None:
            day[..., *to] = part.day[..., *of]
    return Series(image, valid, first.date, day, first.absent)


def _shared(tile: Window, window: Window, ratio: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The overlap of a tile and a window, as slices of the window and of the tile, in pixels `ratio` times as long."""
    of_window, of_tile = [], []
    for first, length, tile_first, tile_length in (
        (window.row, window.height, tile.row, tile.height),
        (window.col, window.width, tile.col, tile.width),
    ):
        start, stop = max(first, tile_first), min(first + length, tile_first + tile_length)
        of_window.append(slice((start - first) // ratio, (stop - first) // ratio))
        of_tile.append(slice((start - tile_first) // ratio, (stop - tile_first) // ratio))
    return (of_window[0], of_window[1]), (of_tile[0], of_tile[1])


def read_with_margin(
    read: Callable[[Window], Sample], window: Window, margin: int, nest: int, shape: tuple[int, int]
) -> Sample:
    """Read the sample of a window and of `margin` pixels around it, cut at the edge of the grid.

    Args:
        read: returns the sample of a window whose numbers are multiples of `nest`.
        nest: target pixels along the coarsest pixel of the cube.
        shape: of the target grid.
    """
    if not margin:
        return read(window)
    # Windows are read at edges of the coarsest pixels; what is too much is cut off.
    wide = read(window.grown(-(-margin // nest) * nest, shape))
    return cut(wide, window.grown(margin, shape))


def read_patch(
    cube: Cube,
    window: Window,
    sensors: Sequence[SensorInput],
    steps: NDArray[np.int32],
    kind: SeriesKind = "interpolated",
) -> Sample:
    """Read one window as a model receives it, unlabelled; `steps` (F,) as in `Tiles`."""
    return prepared(read_sample(cube, window, sensors), kind, cube.season, steps)
