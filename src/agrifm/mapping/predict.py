"""Probabilities window by window, kept on disk, so that memory does not grow and a stopped map continues.

Each finished window is one `.npy` file beside a manifest that says what it belongs to.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import MapError
from agrifm.files import write_aside, write_json
from agrifm.grid import Window
from agrifm.inference.predictor import TrainedModel
from agrifm.mapping.windows import KEPT, MapPlan
from agrifm.samples.patches import read_patch, read_with_margin
from agrifm.samples.sample import Sample
from agrifm.work import progress, run_tiles

AHEAD = 1
"""Windows that are read while another one is predicted."""


@dataclass(frozen=True)
class Scratch:
    """The directory of finished windows."""

    path: Path

    @classmethod
    def open(cls, path: Path, content: dict[str, Any]) -> "Scratch":
        """The windows of this content, kept from before where it is the same, else none.

        Args:
            content: everything that decides what the windows hold, as JSON.
        """
        manifest = path / "manifest.json"
        plan = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        try:
            same = json.loads(manifest.read_text(encoding="utf-8"))["plan"] == plan
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            write_json(manifest, {"plan": plan})
        return cls(path)

    def file(self, window: Window) -> Path:
        """Where a window is kept."""
        return self.path / f"{window.row}_{window.col}.npy"

    def missing(self, windows: Iterable[Window]) -> list[Window]:
        """The windows that are not finished."""
        return [window for window in windows if not self.file(window).exists()]

    def write(self, window: Window, probabilities: NDArray[np.float16] | None) -> None:
        """Keep a window's probabilities (C, H, W), whole or not at all; None where nothing in it was ever seen."""
        content = io.BytesIO()
        np.save(content, np.empty(0, KEPT) if probabilities is None else probabilities)
        with write_aside(self.file(window)) as aside:
            aside.write_bytes(content.getbuffer())

    def read(self, windows: Iterable[Window]) -> Iterator[tuple[Window, NDArray[np.float16]]]:
        """The windows in which something was seen, with their probabilities (C, H, W)."""
        for window in windows:
            found = np.load(self.file(window))
            if found.size:
                yield window, found


def predict_missing(plan: MapPlan, model: TrainedModel, scratch: Scratch) -> None:
    """Predict the windows that are not finished; the next ones are read while one is predicted."""
    steps = plan.cube.season.steps(plan.record.frames)
    missing = scratch.missing(plan.windows.values())

    def read(window: Window) -> Sample:
        return read_patch(plan.cube, window, plan.sensors, steps, plan.record.series)

    def read_wide(window: Window) -> Sample:
        return read_with_margin(read, window, plan.record.margin, plan.cube.coarse_factor, plan.grid.shape)

    with (
        progress("predict", len(plan.windows), len(plan.windows) - len(missing)) as advance,
        ThreadPoolExecutor(1) as reader,
    ):
        for window, sample in run_tiles(read_wide, missing, reader, 1 + AHEAD):
            found = predict(model, sample)
            inside = (slice(None), *window.within(sample.window).slices)
            scratch.write(window, None if found is None else found[inside])
            advance(1)


def predict(model: TrainedModel, sample: Sample) -> NDArray[np.float16] | None:
    """Probabilities (C, H, W) in 16 bits, NaN where nothing valid was ever seen; None if that is everywhere.

    Raises:
        MapError: the model's answer has another shape, or is no probability.
    """
    seen = sample.seen
    if not seen.any():
        return None
    found = model.probabilities(sample)
    shape = (len(model.record.legend), *seen.shape)
    about = f"mapping with the model '{model.record.name}', window {sample.window}"
    if found.shape != shape:
        raise MapError(f"{about}: its probabilities have shape {found.shape}, expected {shape}; train it again")
    if not np.all((found[:, seen] >= 0) & (found[:, seen] <= 1 + 1e-3)):
        raise MapError(f"{about}: its probabilities are not all between 0 and 1; train it again")
    return np.where(seen, found, np.nan).astype(KEPT)
