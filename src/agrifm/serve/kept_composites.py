"""Composites of greenness that are computed once: a process of low priority computes all of them while the page is
open, and keeps them in the user's folder for caches, from which later pages of the same cube read them at once.
"""

import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import CHUNK, Cube, open_cube
from agrifm.errors import AgriFMError
from agrifm.files import atomic_write, user_cache
from agrifm.serve.greenness_composites import Composites, greenness_of, median_and_highest
from agrifm.work import fingerprint

FORMAT = 1
"""Of the files; another one is computed anew."""
MOST_BYTES = 2**30
"""Of the composites of a cube; those of a larger one are computed where they are seen."""
MOST_FILES = 10
"""Cubes whose composites are kept."""
ACROSS = 4 * CHUNK
"""Pixels that are read at a time along a row of chunks."""
FIRST_WAIT = 2.0
"""Seconds that the first picture has for itself."""


@dataclass(frozen=True)
class KeptComposites:
    """Where the composites of a sensor are kept: one file, (periods, 2, H, W) places in `greenness_colors`."""

    file: Path
    cube: Path
    sensor: str
    periods: tuple[tuple[int, int], ...]
    """First date and the one after the last, of each."""
    shape: tuple[int, int]

    @property
    def fits(self) -> bool:
        """Whether they are few enough to be kept."""
        return 2 * len(self.periods) * self.shape[0] * self.shape[1] <= MOST_BYTES

    def pixels(self) -> NDArray[np.uint8] | None:
        """All of them, (periods, 2, H, W), read as they are needed; None until they are computed."""
        try:
            return self._opened
        except (OSError, ValueError):  # not there yet, or damaged: then they are computed where they are seen
            return None

    @cached_property
    def _opened(self) -> NDArray[np.uint8]:
        found = np.load(self.file, mmap_mode="r", allow_pickle=False)
        if found.dtype != np.uint8 or found.shape != (len(self.periods), 2, *self.shape):
            raise ValueError("another array")
        return np.asarray(found)

    def compute(self) -> None:
        """Compute and keep them, unless they are there."""
        if self.pixels() is not None or not self.fits:
            return
        sensor = open_cube(self.cube).sensors[self.sensor]
        with atomic_write(self.file) as temporary:
            shape = (len(self.periods), 2, *self.shape)
            found = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
            for top in range(0, self.shape[0], CHUNK):
                for left in range(0, self.shape[1], ACROSS):
                    rows, cols = slice(top, top + CHUNK), slice(left, left + ACROSS)
                    green, valid = greenness_of(sensor, slice(0, len(sensor.date)), rows, cols)
                    for number, (first, end) in enumerate(self.periods):
                        found[number, :, rows, cols] = median_and_highest(green[first:end], valid[first:end])
            found.flush()
            del found
        kept = sorted(self.file.parent.glob("[!.]*.npy"), key=lambda one: one.stat().st_mtime, reverse=True)
        for old in kept[MOST_FILES:]:
            old.unlink(missing_ok=True)


def composites_shown(pictures: Iterable[object]) -> list[Composites]:
    """The composites among the pictures of a page."""
    return [one for one in pictures if isinstance(one, Composites)]


def keep_composites(cube: Cube, composites: Sequence[Composites], folder: Path | None = None) -> KeptComposites | None:
    """Let the composites of a sensor be read from where they are kept; returns the place, None if there are none.

    Args:
        folder: of the files; by default in the user's folder for caches.
    """
    if not composites:
        return None
    sensor = composites[0].sensor
    periods = tuple((int(dates.start), int(dates.stop)) for one in composites for _, dates in one.periods.values())
    place = Path(str(cube.path)).resolve()
    root = place / "zarr.json"
    changed = root.stat().st_mtime_ns if root.exists() else 0
    content = [FORMAT, str(place), changed, sensor.input.sensor, sensor.date.tolist(), periods]
    folder = user_cache() / "composites" if folder is None else folder
    file = folder / f"{fingerprint(content)[:24]}.npy"
    kept = KeptComposites(file, place, sensor.input.sensor, periods, sensor.grid.shape)
    first = 0
    for one in composites:
        one.keep(kept.pixels, first)
        first += one.count
    return kept


def begin_computing(kept: KeptComposites | None) -> Any:
    """Compute what is not kept yet, in a process of low priority that ends with this one; returns it, or None."""
    if kept is None or not kept.fits or kept.pixels() is not None:
        return None
    process = get_context("spawn").Process(target=_compute_quietly, args=(kept,), daemon=True)
    process.start()
    return process


def _compute_quietly(kept: KeptComposites) -> None:
    """What the process does; a full disk or a damaged cube ends it, and tiles are computed where they are seen."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(os, "nice"):
        os.nice(10)
    time.sleep(FIRST_WAIT)
    try:
        kept.file.parent.mkdir(parents=True, exist_ok=True)
        kept.compute()
    except (AgriFMError, OSError):
        return
