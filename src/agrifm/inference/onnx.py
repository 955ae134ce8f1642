"""An exported network as a trained model: what mapping takes, by onnxruntime and without PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import ModelError
from agrifm.models.export_record import ExportRecord, record_of, start_session
from agrifm.record import ModelRecord
from agrifm.samples.sample import Batch, Sample, collate
from agrifm.samples.validate import require_usable


@dataclass(frozen=True)
class ExportedModel:
    """An ONNX file that `agrifm model export` wrote, ready to run."""

    exported: ExportRecord
    session: Any
    """Of onnxruntime."""

    @property
    def record(self) -> ModelRecord:
        """What the graph expects; sensors that it goes without are none of it."""
        return self.exported.standing_in

    def probabilities(self, sample: Sample) -> NDArray[np.float32]:
        """Class probabilities (classes, H, W) of a sample prepared as the record says (`series`).

        Raises:
            ModelError: the sample is not what the graph takes.
        """
        require_usable(sample, self.exported.sensors)
        inputs = graph_inputs(collate([sample]), self.exported, f"window {sample.window}")
        found: NDArray[np.float32] = self.session.run(None, inputs)[0][0]
        return found


def open_exported(path: Path, threads: int = 0) -> ExportedModel:
    """Open an exported network (.onnx).

    Args:
        threads: that it computes with; 0 = as many as there are cores.

    Raises:
        ModelError: the file is unusable, or `onnxruntime` is not installed.
    """
    session = start_session(path, threads)
    return ExportedModel(record_of(session, path), session)


def graph_inputs(batch: Batch, exported: ExportRecord, what: str) -> dict[str, NDArray[Any]]:
    """The arrays that a graph takes, by name.

    Args:
        batch: series as the model's record says; observed ones of at most the graph's number of frames.
        what: what the batch is, for errors.

    Raises:
        ModelError: a series is too long or too short, or a window has another size.
    """
    found: dict[str, NDArray[Any]] = {}
    for sensor in exported.sensors:
        name = sensor.sensor
        image, valid, day = batch.images[name], batch.valid[name], batch.day[name]
        frames = image.shape[1]
        if frames > exported.frames or (frames < exported.frames and exported.model.series != "observed"):
            raise ModelError(
                f"predicting {what} with an exported network: '{name}' has {frames} frames, the graph takes "
                f"{exported.frames}; export the network with `--frames` for the longest series"
            )
        found[f"{name}.image"] = _filled(image, exported.frames)
        found[f"{name}.valid"] = _filled(valid, exported.frames)
        found[f"{name}.day"] = _filled(day, exported.frames, last=True)
        found[f"{name}.frames"] = batch.frames[name]
        found[f"{name}.absent"] = batch.absent.get(name, np.zeros((len(image), len(sensor.bands)), bool))
    found["first_day"] = batch.first_day
    chosen = {note.name: found[note.name] for note in exported.inputs}
    _require_size(chosen, exported, what)
    return chosen


def _filled(array: NDArray[Any], frames: int, last: bool = False) -> NDArray[Any]:
    """Zeros (False), or the last frame's numbers, behind the frames (B, T, ...), up to so many."""
    missing = frames - array.shape[1]
    if not missing:
        return array
    end = [(0, 0), (0, missing), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(array, end, mode="edge") if last else np.pad(array, end)


def _require_size(arrays: Mapping[str, NDArray[Any]], exported: ExportRecord, what: str) -> None:
    for note in exported.inputs:
        shape, wanted = arrays[note.name].shape, _lengths(note.axes, len(arrays[note.name]))
        if shape != wanted:
            raise ModelError(
                f"predicting {what} with an exported network: {note.name} has the shape {shape}, the graph takes "
                f"{wanted}; map with windows of {exported.side} pixels, or export the network with another `--side`"
            )


def _lengths(axes: Sequence[str | int], samples: int) -> tuple[int, ...]:
    return tuple(samples if isinstance(axis, str) else axis for axis in axes)
