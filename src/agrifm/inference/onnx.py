"""Exported networks in onnxruntime, without PyTorch: they predict samples as other trained models do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import ModelError
from agrifm.files import AnyPath, as_path
from agrifm.models.export_record import ExportRecord, session_record, start_session
from agrifm.record import ModelRecord, yield_scale
from agrifm.samples.sample import Sample, collate
from agrifm.samples.validate import require_usable


@dataclass(frozen=True)
class ExportedModel:
    """An ONNX file that `agrifm model export` wrote, ready to run."""

    exported: ExportRecord
    session: Any
    """Session of onnxruntime."""

    @property
    def record(self) -> ModelRecord:
        """What the graph expects, excluding the sensors that it was exported without."""
        return self.exported.effective_record

    def probabilities(self, sample: Sample) -> NDArray[np.float32]:
        """Return class probabilities (classes, H, W) of a sample as the record says (`series`); the graph calibrates.

        Of a task of numbers they are shares of classes, or yield and spread as shares of the scale's highest yield.

        Raises:
            ModelError: the sample does not fit the graph.
        """
        require_usable(sample, self.exported.sensors)
        found: NDArray[np.float32] = self.session.run(None, graph_inputs([sample], self.exported))[0][0]
        if self.exported.model.task == "yield":  # the graph has t/ha
            highest = np.float32(yield_scale(self.exported.model).highest)
            return np.asarray(np.clip(found / highest, 0, 1), np.float32)
        return found


def open_exported(path: AnyPath, threads: int = 0) -> ExportedModel:
    """Open an exported network (.onnx).

    Args:
        threads: used to compute; 0 uses all cores.

    Raises:
        ModelError: the file is unusable, or `onnxruntime` is not installed.
    """
    path = as_path(path)
    session = start_session(path, threads)
    return ExportedModel(session_record(session, path), session)


def graph_inputs(samples: Sequence[Sample], exported: ExportRecord) -> dict[str, NDArray[Any]]:
    """Return the input arrays of a graph by name.

    Args:
        samples: usable ones with series as the model's record says; observed series may have fewer frames than the
            graph.

    Raises:
        ModelError: a series has too many or too few frames, or a window has another size.
    """
    about = f"predicting window {samples[0].window} with an exported network"
    for sample in samples:
        for name, series in sample.series.items():
            frames = len(series.date)
            if frames > exported.frames or (frames < exported.frames and exported.model.series != "observed"):
                raise ModelError(
                    f"{about}: '{name}' has {frames} frames, the graph expects {exported.frames}; export the network "
                    "with `--frames` for the longest series",
                    sensor=name,
                    frames=frames,
                )
    batch = collate(samples, exported.frames)
    arrays: dict[str, NDArray[Any]] = {"first_day": batch.first_day}
    for sensor in exported.sensors:
        name = sensor.sensor
        arrays[f"{name}.image"] = batch.images[name]
        arrays[f"{name}.valid"] = batch.valid[name]
        arrays[f"{name}.day"] = batch.day[name]
        arrays[f"{name}.frames"] = batch.frames[name]
        arrays[f"{name}.absent"] = batch.absent.get(name, np.zeros((len(samples), len(sensor.bands)), bool))
    for note in exported.inputs:
        shape = arrays[note.name].shape
        expected = tuple(len(samples) if isinstance(axis, str) else axis for axis in note.axes)
        if shape != expected:
            raise ModelError(
                f"{about}: {note.name} has the shape {shape}, the graph expects {expected}; map with windows of "
                f"{exported.side} pixels, or export the network with another `--side`",
                input=note.name,
                shape=shape,
            )
    return {note.name: arrays[note.name] for note in exported.inputs}
