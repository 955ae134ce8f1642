"""Patches: windows of a cube with the labels of one fold, read and interpolated once, kept in memory while they fit."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import Cube
from agrifm.grid import Window, starts
from agrifm.legend import UNLABELLED
from agrifm.record import SensorInput
from agrifm.samples.sample import Sample, read_sample
from agrifm.samples.transforms import interpolated

KEPT_BYTES = 800_000_000
"""Interpolated samples are kept in memory up to this size; beyond it they are read again."""


def labelled_windows(label: NDArray[np.uint8], side: int, stride: int) -> list[Window]:
    """Windows of `side` pixels in steps of `stride` that hold at least one labelled pixel.

    A grid smaller than `side` gives one window of the grid's own size.
    """
    height, width = (min(side, length) for length in label.shape)
    found = []
    for row in starts(label.shape[0], side, stride):
        for col in starts(label.shape[1], side, stride):
            window = Window(row, col, height, width)
            if (label[window.slices] != UNLABELLED).any():
                found.append(window)
    return found


class Patches:
    """A sequence of `Sample`s, every series interpolated to the same steps.

    Each item has images (F, C, H, W) float32 and labels (H, W) uint8 of one fold, 255 elsewhere and where no sensor
    saw the ground.
    """

    def __init__(
        self,
        cube: Cube,
        sensors: Sequence[SensorInput],
        steps: NDArray[np.int32],
        label: NDArray[np.uint8],
        windows: Sequence[Window],
    ) -> None:
        self.cube, self.sensors, self.steps = cube, tuple(sensors), steps
        self.label, self.windows = label, tuple(windows)
        self._kept: dict[int, Sample] = {}
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Sample:
        if index in self._kept:
            return self._kept[index]
        sample = read_patch(self.cube, self.windows[index], self.sensors, self.steps, self.label)
        size = sum(series.image.nbytes for series in sample.series.values())
        if self._kept_bytes + size <= KEPT_BYTES:
            self._kept[index] = sample
            self._kept_bytes += size
        return sample


def read_patch(
    cube: Cube,
    window: Window,
    sensors: Sequence[SensorInput],
    steps: NDArray[np.int32],
    label: NDArray[np.uint8] | None = None,
) -> Sample:
    """One window, interpolated to `steps`; labels where no sensor saw the ground are 255."""
    own = None if label is None else label[window.slices]
    sample = interpolated(read_sample(cube, window, sensors, own), steps)
    return replace(sample, label=np.where(sample.seen, sample.label, np.uint8(UNLABELLED)))
