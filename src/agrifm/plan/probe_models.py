"""Measure what a project's models cost on this machine: a training step, a prediction, a fit of a classic model.

The networks have the project's shapes and random weights, the series are random numbers.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.grid import Window
from agrifm.plan.model_work import ModelUnits, ModelWork, SeriesUnits
from agrifm.process_memory import resident_bytes
from agrifm.record import NUMBERS, SeriesKind, is_network, target_pixels
from agrifm.samples.sample import Sample, Series
from agrifm.season import Season, day_number

FIRST_DAY = date(2024, 1, 1)
PREPARED, CLEAR = 48, 0.4
"""Side in pixels of the window whose series are prepared, and the share of its observations that are usable."""
REFERENCE_PIXELS, REFERENCE_NUMBERS = 2000, 40
"""Training pixels with which pixels are compared, and the numbers of each."""
LONG = 1.5
"""Seconds of a pass after which larger ones are computed from it."""
FORWARD = 3.0
"""Passes forwards that take as long as a training step: forwards, and twice as much backwards."""
LEAST_SIDE = 48
"""Side in pixels of the first window that a network predicts."""
ROWS, GROUPS = 400, 20
"""Pixels and blocks on which a classic model is fitted."""
PIXELS_OF_FIELD = 10
"""Of these, in each field with a yield."""
PREDICTED = 24
"""Side in pixels of the window that a classic model predicts."""


def measure_models(work: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Measure the models one after another; to be called in a process that does nothing else.

    Args:
        work: fields of `ModelWork`.
        seconds: of a processor, after which no further model is measured.

    Returns:
        Fields of `ModelUnits` by name; bytes of the process with its libraries under "base_bytes", the seconds in
        which it loaded them under "start_seconds", and those of measuring under "probe_seconds".
    """
    wanted = ModelWork.model_validate(work)
    import_module("agrifm.train.run")
    if any(map(is_network, wanted.names)):
        import_module("lightning")
    began = time.process_time()
    found: dict[str, Any] = {"start_seconds": began, "base_bytes": resident_bytes()}
    found["series"] = _series(wanted)
    for name in wanted.names:
        if time.process_time() - began > seconds:
            found[name] = {}
        else:
            classic = partial(_classic_numbers, wanted) if wanted.task in NUMBERS else partial(_classic, name, wanted)
            found[name] = _network(name, wanted) if is_network(name) else classic()
    return {**found, "probe_seconds": time.process_time() - began}


def _sample(work: ModelWork, side: int, frames: dict[str, int]) -> Sample:
    """A window of random series without gaps."""
    draw, series = np.random.default_rng(0), {}
    for sensor, pixels in target_pixels(work.sensors).items():
        record = next(one for one in work.sensors if one.sensor == sensor)
        length, count = max(side // pixels, 1), frames[sensor]
        image = draw.uniform(0.02, 0.5, (count, len(record.bands), length, length)).astype(np.float32)
        date = np.linspace(0, work.season_days - 1, count).astype(np.int32)
        valid = np.ones((count, length, length), bool)
        day = np.broadcast_to(date[:, None, None], valid.shape).copy() if work.series != "interpolated" else None
        series[sensor] = Series(image, valid, date, day)
    label = draw.integers(0, work.classes, (side, side)).astype(np.uint8)
    return Sample(series, label, Window(0, 0, side, side), 0, place=(47.0, 2.0))


def _seconds(run: Callable[[], object]) -> float:
    """Seconds of a run on a machine that does nothing else: of the clock, or of the processor if they are fewer."""
    clock, processor = time.perf_counter(), time.process_time()
    run()
    return min(time.perf_counter() - clock, time.process_time() - processor)


def _series(work: ModelWork) -> dict[str, Any]:
    """Series of the cube's dates prepared for a model, and pixels compared with training pixels."""
    from agrifm.classic.features import pixel_features
    from agrifm.inference.training_reference import nearest_distances
    from agrifm.samples.transforms import prepared

    raw = _sample(work, PREPARED, work.observed)
    draw = np.random.default_rng(1)
    gaps = {
        name: replace(part, valid=draw.random(part.valid.shape) < CLEAR, day=None) for name, part in raw.series.items()
    }
    season = Season(FIRST_DAY, FIRST_DAY + timedelta(days=work.season_days - 1))
    start = day_number(FIRST_DAY)
    raw = replace(raw, series={name: replace(part, date=part.date + start) for name, part in gaps.items()})
    made: list[Sample] = []
    kind: SeriesKind = "interpolated" if work.series == "observed" else work.series
    spent = _seconds(lambda: made.append(prepared(raw, kind, season, season.steps(work.steps))))
    numbers = sum(part.image.size for part in raw.series.values())
    chosen = np.ones((PREPARED, PREPARED), bool)
    points = draw.normal(size=(REFERENCE_PIXELS, REFERENCE_NUMBERS))

    def compare() -> None:
        rows = pixel_features(made[0], chosen, work.sensors, ("series",), work.season_days)
        nearest_distances(rows[:, :1] + draw.normal(size=(len(rows), REFERENCE_NUMBERS)), points)

    compared = _seconds(compare) if work.series == "interpolated" else 0.0
    return SeriesUnits(prepare_seconds=spent / numbers, compare_seconds=compared / PREPARED**2).model_dump()


def _network(name: str, work: ModelWork) -> dict[str, Any]:
    """One step of training and one prediction of a network of a family."""
    import torch

    from agrifm.inference.tensors import tensor_batch
    from agrifm.models.classifier import Classifier
    from agrifm.models.cost import window_shapes
    from agrifm.models.family import FAMILIES

    family = FAMILIES[name]
    given = (work.classes, work.steps, work.series, work.season_days)
    config = family.preset(work.size[name], work.sensors, *given)
    network = Classifier(family.network(config), work.sensors, work.series)
    optimiser = torch.optim.AdamW(network.parameters())

    def step(count: int) -> None:
        batch = tensor_batch([_sample(work, work.side, work.frames)] * count, work.sensors)
        logits = network(batch)
        loss = torch.nn.functional.cross_entropy(logits, batch.label.long())
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    def predict(side: int) -> None:
        with torch.inference_mode():
            network.eval()(tensor_batch([_sample(work, side, work.frames)], work.sensors))

    pixels = target_pixels(work.sensors)
    shapes = [
        window_shapes(pixels, work.frames, count, side, side)
        for count, side in ((work.batch, work.side), (1, work.window))
    ]
    sizes = {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "memory": family.memory_needed(config, shapes[0], training=True),
        "memory_to_predict": family.memory_needed(config, shapes[1], training=False),
    }
    least = min(LEAST_SIDE, work.side, work.window)
    small = _seconds(lambda: predict(least))
    if small > LONG:  # a large network: one pass has to do
        step_seconds = FORWARD * work.batch * (work.side / least) ** 2 * small
        return ModelUnits(
            step_seconds=step_seconds, window_seconds=(work.window / least) ** 2 * small, **sizes
        ).model_dump()
    step(1)
    one = _seconds(lambda: step(1))
    whole = one * work.batch if one * work.batch > LONG else _seconds(lambda: step(work.batch))
    answer = (work.window / least) ** 2 * _seconds(lambda: predict(least))
    window = answer if answer > LONG else _seconds(lambda: predict(work.window))
    return ModelUnits(step_seconds=whole, window_seconds=window, **sizes).model_dump()


def _classic_numbers(work: ModelWork) -> dict[str, Any]:
    """One fit with its choice on inner folds, and one prediction, of the classic model of yields or of shares."""
    from agrifm.classic.features import Columns
    from agrifm.classic.forest import pixel_rows
    from agrifm.classic.share_regression import PARTS_OF_SHARES, ShareRows, fit_shares
    from agrifm.classic.yield_regression import PARTS_OF_YIELDS, FieldRows, fit_yields
    from agrifm.yields import scale_of

    parts = PARTS_OF_YIELDS if work.task == "yield" else PARTS_OF_SHARES
    sample = _sample(work, PREDICTED, dict.fromkeys(work.frames, work.steps))
    chosen = np.ones((PREDICTED, PREDICTED), bool)
    made: list[NDArray[np.float32]] = []

    def features() -> None:
        made.append(pixel_rows([(sample.window, sample)], chosen, work.sensors, parts, work.season_days)[0])

    reading = _seconds(features)
    rows, draw = made[0][:ROWS], np.random.default_rng(0)
    columns = Columns(tuple(work.sensors), work.steps, parts)
    fitted: list[Any] = []
    if work.task == "yield":
        field = np.arange(len(rows)) // PIXELS_OF_FIELD
        tonnes = draw.uniform(2, 8, field.max() + 1)
        training = FieldRows(rows, field, tonnes, np.arange(len(tonnes)) % GROUPS)
        fit = _seconds(lambda: fitted.extend([fit_yields(training, columns, scale_of(tonnes), 0)[0]]))
    else:
        shares = draw.dirichlet(np.full(work.classes, 0.5), len(rows))
        mixed = ShareRows(rows, shares, np.arange(len(rows)) % GROUPS)
        fit = _seconds(lambda: fitted.extend(fit_shares(mixed, columns, 0)[0]))
    predict = _seconds(lambda: [member.probabilities(made[0]) for member in fitted])
    pixels = PREDICTED**2
    return ModelUnits(
        fit_seconds=fit / len(rows) + reading / pixels, window_seconds=(predict + reading) / pixels
    ).model_dump()


def _classic(name: str, work: ModelWork) -> dict[str, Any]:
    """One fit and one prediction of a classic model, features included."""
    from agrifm.classic.classics import candidate_parts, fit_classic
    from agrifm.classic.features import Columns
    from agrifm.classic.forest import pixel_rows

    parts = candidate_parts(name)
    frames = dict.fromkeys(work.frames, work.steps)
    sample = _sample(work, PREDICTED, frames)
    chosen = np.ones((PREDICTED, PREDICTED), bool)
    made: list[NDArray[np.float32]] = []

    def features() -> None:
        made.append(pixel_rows([(sample.window, sample)], chosen, work.sensors, parts, work.season_days)[0])

    reading = _seconds(features)
    rows = made[0][:ROWS]
    # classes that the rows tell apart for the most part, since trees on noise alone grow without end
    draw = np.random.default_rng(0)
    scores = rows @ draw.normal(size=(rows.shape[1], work.classes)) + draw.normal(size=(len(rows), work.classes))
    scores -= scores.mean(axis=0)
    label = np.argmax(scores / scores.std(axis=0), axis=1).astype(np.uint8)
    label[: work.classes] = np.arange(work.classes)
    columns = Columns(tuple(work.sensors), work.steps, parts)
    groups = np.arange(len(rows)) % GROUPS
    fitted: list[Any] = []
    fit = _seconds(lambda: fitted.append(fit_classic(name, rows, label, groups=groups, seed=0, columns=columns)))
    predict = _seconds(lambda: fitted[0].probabilities(made[0]))
    pixels = PREDICTED**2
    return ModelUnits(
        fit_seconds=fit / len(rows) + reading / pixels, window_seconds=(predict + reading) / pixels
    ).model_dump()
