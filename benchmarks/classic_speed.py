"""How fast classic models map: square kilometres of 10 m pixels a minute, with features, on all cores.

Rows are of Sentinel-2 alone (10 bands, 24 steps) with 10 classes; the numbers are random around a season per class.
That is hard: nearly all training rows become support vectors, more than of real ones. Seconds of a window are the
best of several turns; seconds of the processor are those of all cores together; from them follows what cores without
other work would map, which is an upper bound.

    OMP_NUM_THREADS=1 python benchmarks/classic_speed.py --out benchmarks/results
"""

import argparse
import os
import time
from collections.abc import Iterator
from datetime import date

import numpy as np
from measure import Command, table

from agrifm.classic.classic_model import ClassicModel, classic_record, record_columns
from agrifm.classic.classics import candidate_parts, fit_classic
from agrifm.classic.features import Columns, series_features
from agrifm.classic.singles import SINGLES
from agrifm.grid import Window
from agrifm.legend import Legend
from agrifm.record import ModelRecord, SensorInput, SensorRecord
from agrifm.samples.sample import Sample, Series
from agrifm.sensors import SENSORS

FRAMES, CLASSES, DAYS = 24, 10, 245
BANDS = SENSORS["sentinel-2"].band_names
INPUT = SensorInput(sensor="sentinel-2", bands=BANDS, quantity="surface reflectance", scale=1e-4, resolution=10)
SEASON = date(2024, 3, 1), date(2024, 10, 31)
TURNS = 3


def report(options: argparse.Namespace) -> Iterator[str]:
    """A row for each model."""
    yield f"{options.rows} training rows, {options.side} x {options.side} pixels, {os.cpu_count()} cores"
    yield from table(
        ("model", "km2/min", "of free cores", "seconds", "processor seconds", "fit seconds"), rows(options)
    )


def rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """Fit and map with each model."""
    generator = np.random.default_rng(0)
    image, _ = seasons(generator, options.side**2)
    pixels = image.reshape(FRAMES, len(BANDS), options.side, options.side)
    days = ((2 * np.arange(FRAMES) + 1) * DAYS // (2 * FRAMES)).astype(np.int32)
    valid = np.ones((FRAMES, options.side, options.side), bool)
    window = Window(0, 0, options.side, options.side)
    sample = Sample({INPUT.sensor: Series(pixels, valid, days)}, np.zeros(valid.shape[1:], np.uint8), window, 0)
    values, classes = seasons(generator, options.rows)
    for name in options.models:
        parts = candidate_parts(name)
        made = series_features([values], [INPUT], parts, days, DAYS)
        columns = Columns((INPUT,), FRAMES, parts)
        began = time.perf_counter()
        fitted = fit_classic(name, np.concatenate([made[part] for part in parts], axis=1), classes, columns=columns)
        fit = time.perf_counter() - began
        model = ClassicModel(classic_record(record(name), fitted), fitted)
        model = ClassicModel(model.record, fitted.reading(record_columns(model.record)))
        seconds, processor = fastest(model, sample, options.turns)
        area = options.side**2 * 1e-4
        free = area / (processor / (os.cpu_count() or 1)) * 60
        yield name, f"{area / seconds * 60:.0f}", f"{free:.0f}", f"{seconds:.2f}", f"{processor:.2f}", f"{fit:.1f}"


def fastest(model: ClassicModel, sample: Sample, turns: int) -> tuple[float, float]:
    """The least seconds of a window, and of the processor in it."""
    found = []
    for _ in range(turns):
        began, used = time.perf_counter(), time.process_time()
        model.probabilities(sample)
        found.append((time.perf_counter() - began, time.process_time() - used))
    return min(found)


def seasons(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Reflectances (F, C, count) of noisy seasons, and their classes (count,)."""
    classes = generator.integers(0, CLASSES, count).astype(np.uint8)
    step = np.arange(FRAMES)[:, None]
    green = np.exp(-(((step - 4 - 1.6 * classes - generator.normal(0, 1.5, count)) / 4) ** 2))
    slope = np.linspace(-0.1, 0.3, len(BANDS))[None, :, None]
    noise = generator.normal(0, 0.04, (FRAMES, len(BANDS), count))
    return (0.2 + slope * green[:, None] + noise).astype(np.float32), classes


def record(name: str) -> ModelRecord:
    """A record of a model of these classes."""
    none = (0.0,) * len(BANDS)
    return ModelRecord(
        name=name,
        family=name,
        architecture={},
        sensors=(SensorRecord(**INPUT.model_dump(), mean=none, std=none),),
        frames=FRAMES,
        side=48,
        legend=Legend.of([f"class {number}" for number in range(CLASSES)]),
        season=SEASON,
    )


main = Command(
    __doc__,
    report,
    {
        "--models": {"nargs": "+", "default": list(SINGLES)},
        "--rows": {"type": int, "default": 3000},
        "--side": {"type": int, "default": 192},
        "--turns": {"type": int, "default": TURNS},
    },
    ("scikit-learn", "lightgbm"),
    {"models": ["logistic", "minirocket"], "rows": 200, "side": 16, "turns": 1},
)

if __name__ == "__main__":
    main()
