"""Finished windows of a map, kept on disk, so that memory does not grow and a stopped map continues.

Each finished window is one `.npz` file, which has a checksum, in a directory that belongs to one cube, model and cut
into windows.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.files import is_whole_archive, write_bytes
from agrifm.grid import Window
from agrifm.mapping.mosaic import PredictedWindow
from agrifm.mapping.windows import PROBABILITY_DTYPE

Probabilities = NDArray[np.float16] | None
"""Of a window (C, H, W), NaN where there is no valid observation; None if there is none in the whole window. With a
reference of the training data, the last layer is the dissimilarity to it instead of a probability."""


@dataclass(frozen=True)
class WindowStore:
    """The directory of finished windows."""

    path: Path

    def file(self, window: Window) -> Path:
        """Return where a window is kept."""
        return self.path / f"{window.row}_{window.col}.npz"

    def missing(self, windows: Iterable[Window]) -> list[Window]:
        """Return the windows that are not finished, or whose file is damaged."""
        return [window for window in windows if not is_whole_archive(self.file(window))]

    def write(self, window: Window, probabilities: Probabilities) -> None:
        """Keep a window's probabilities; the file is complete or absent."""
        content = io.BytesIO()
        # An empty array stands for a window without any valid observation: it counts as finished.
        np.savez(content, np.empty(0, PROBABILITY_DTYPE) if probabilities is None else probabilities)
        write_bytes(self.file(window), content.getvalue())

    def read(self, windows: Iterable[Window]) -> Iterator[PredictedWindow]:
        """Yield the windows with a valid observation and their probabilities (C, H, W)."""
        for window in windows:
            with np.load(self.file(window)) as content:
                probabilities = content["arr_0"]
            if probabilities.size:
                yield window, probabilities
