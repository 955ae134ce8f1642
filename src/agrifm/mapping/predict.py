"""Probabilities window by window, predicted in this process or by an executor."""

from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import Cube, open_cube
from agrifm.cube.until import cube_known
from agrifm.errors import MapError
from agrifm.grid import Window
from agrifm.inference.mean import mean_where_known, members_of, reading
from agrifm.inference.predictor import TrainedModel, load_model, uncalibrated
from agrifm.inference.training_reference import TrainingReference
from agrifm.mapping.dissimilarity_layer import window_dissimilarity
from agrifm.mapping.window_store import Probabilities
from agrifm.mapping.windows import PROBABILITY_DTYPE, with_model_sensors
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.object_store import Place
from agrifm.record import ModelRecord, predicted_layers, present_sensors
from agrifm.samples.patches import read_patch, read_with_margin
from agrifm.samples.sample import Sample
from agrifm.work import run_tiles

WINDOWS_AHEAD = 1
"""Windows that are read while another one is predicted."""
PROBABILITY_TOLERANCE = 1e-3
"""By how much a probability may exceed 1: networks that compute in 16 bits round."""


@dataclass(frozen=True)
class MapSources:
    """What a process needs to predict windows of a map: plain values, which can be sent to it."""

    run: str
    """Names one run, because a later one may find other content at the same paths, and has to open it again."""
    cube: Place
    model: Path
    compute: Compute = DEFAULT_COMPUTE
    reference: Path | None = None
    """File of the training features, by which windows are compared with the training data; None = they are not."""
    until: date | None = None
    """Nothing that was observed after this day is read."""


def predict_windows(
    cube: Cube, model: TrainedModel, windows: Iterable[Window], reference: TrainingReference | None = None
) -> Generator[tuple[Window, Probabilities], None, None]:
    """Yield windows with their probabilities; the next one is read while one is predicted.

    Args:
        cube: with only the sensors that the model uses.
        reference: adds the dissimilarity to the training data as a further layer.
    """
    # One reader and one predictor: PyTorch computes on all cores, and reading waits for the disk.
    with ThreadPoolExecutor(1) as reader:
        read = partial(read_inputs, cube, model)
        for window, samples in run_tiles(read, windows, reader, 1 + WINDOWS_AHEAD):
            yield window, _predict_layers(cube, model, reference, samples, window)


def predict_windows_elsewhere(
    sources: MapSources, windows: Iterable[Window], executor: Executor
) -> Generator[tuple[Window, Probabilities], None, None]:
    """Yield windows with their probabilities in the order in which an executor finishes them."""
    yield from run_tiles(partial(predict_window, sources), windows, executor, name=_name)


def _name(window: Window) -> str:
    return f"window {window.row}_{window.col}"


def predict_window(sources: MapSources, window: Window) -> Probabilities:
    """Read and predict one window in any process that can read the files; they are opened once in each process."""
    with _OPENING:
        cube, model, reference = _open(sources)
    return _predict_layers(cube, model, reference, read_inputs(cube, model, window), window)


def _predict_layers(
    cube: Cube, model: TrainedModel, reference: TrainingReference | None, samples: Sequence[Sample], window: Window
) -> Probabilities:
    """Probabilities of a window, and its dissimilarity to the training data if there is a reference."""
    probabilities = predict_samples(model, samples, window)
    if probabilities is None or reference is None:
        return probabilities
    records = [member.model.record for member in members_of(model)]
    index = window_dissimilarity(cube, reference, window, samples, records)
    return np.concatenate([probabilities, index[None]])


_OPENING = Lock()
"""Held while files are opened, so that the threads of a process do not load a model each."""


@lru_cache(maxsize=1)
def _open(sources: MapSources) -> tuple[Cube, TrainedModel, TrainingReference | None]:
    model = uncalibrated(load_model(sources.model, sources.compute))
    reference = None if sources.reference is None else TrainingReference.read(sources.reference)
    cube = cube_known(open_cube(sources.cube), sources.until)
    return with_model_sensors(cube, model.record), model, reference


def read_inputs(cube: Cube, model: TrainedModel, window: Window) -> list[Sample]:
    """Read what each member of a model needs to predict a window; members that read alike have the same sample."""
    samples: list[Sample] = []
    records = [member.model.record for member in members_of(model)]
    for number, record in enumerate(records):
        alike = next((samples[before] for before in range(number) if reading(records[before]) == reading(record)), None)
        samples.append(_read_input(cube, record, window) if alike is None else alike)
    return samples


def _read_input(cube: Cube, record: ModelRecord, window: Window) -> Sample:
    """A window's series as a model reads them, with the margin around it that the record states."""
    sensors, steps = present_sensors(record, cube.inputs), cube.season.steps(record.frames)

    def read(wide: Window) -> Sample:
        return read_patch(cube, wide, sensors, steps, record.series)

    return read_with_margin(read, window, record.margin, cube.coarse_factor, cube.target.shape)


def predict_samples(model: TrainedModel, samples: Sequence[Sample], window: Window) -> Probabilities:
    """Predict a window from a sample for each member, which contains it.

    Raises:
        MapError: the model's result has another shape, or is not a probability.
    """
    members = members_of(model)
    found, weights = [], []
    for member, sample in zip(members, samples, strict=True):
        one = _predict_sample(member.model, sample, window)
        if one is not None:
            found.append(one)
            weights.append(member.weight)
    if not found:
        return None
    return (found[0] if len(members) == 1 else mean_where_known(found, weights)).astype(PROBABILITY_DTYPE)


def _predict_sample(model: TrainedModel, sample: Sample, window: Window) -> NDArray[np.float32] | None:
    """Predict a sample and cut the result to the window; None if there is no valid observation in all of the sample."""
    valid = sample.any_valid
    if not valid.any():
        return None
    probabilities = model.probabilities(sample)
    shape = (predicted_layers(model.record), *valid.shape)
    about = f"mapping with the model '{model.record.name}', window {sample.window}"
    if probabilities.shape != shape:
        raise MapError(
            f"{about}: its probabilities have shape {probabilities.shape}, expected {shape}; train it again",
            shape=probabilities.shape,
        )
    in_range = (probabilities[:, valid] >= 0) & (probabilities[:, valid] <= 1 + PROBABILITY_TOLERANCE)
    if not np.all(in_range):  # NaN is not in range either
        raise MapError(f"{about}: its probabilities are not all between 0 and 1; train it again")
    # A pixel that no sensor saw has no class, whatever the network makes of zeros.
    kept = np.where(valid, probabilities, np.float32(np.nan))
    return np.asarray(kept[:, *window.within(sample.window).slices])
