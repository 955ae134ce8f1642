"""Do pretrained weights help with few labels? Frozen features of AgriFM, read by simple classifiers.

    agrifm pretrain pretraining
    python benchmarks/pretrained_probe.py --weights pretraining/pretrained.safetensors --out benchmarks/results

Features are what the last layer of the network of points reads: of pretrained weights, and of random ones; next to them
the series itself, interpolated to 24 steps. Regions of the simulator and the real set never occur in the pretraining
world. Test places are in other cells than the labels, of which there are 5 of each class; macro F1 is the mean over
draws of labels, with its standard error.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from compare_real_sets import france
from measure import Command, table
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler
from torch import nn

from agrifm.legend import PALETTE, Legend, LegendClass
from agrifm.models.agrifm.network import AgriFM
from agrifm.models.agrifm.point_network import point_config
from agrifm.models.classifier import Classifier
from agrifm.record import SensorInput
from agrifm.samples.table import SeriesTable, TableSeries
from agrifm.samples.table_samples import TableSamples
from agrifm.scores import confusion_counts, macro_f1
from agrifm.season import day_number
from agrifm.simulator.points import POINT_BANDS, simulate_points
from agrifm.simulator.region import read_region
from agrifm.train.initialise import point_start
from agrifm.train.table_folds import table_statistics
from agrifm.train.table_network import table_logits

SEASON_DAYS, STEPS = 365, 24
CLASSIFIERS = {"nearest class mean": NearestCentroid, "logistic regression": lambda: LogisticRegression(max_iter=500)}


def simulated(region: str) -> SeriesTable:
    """About 450 parcels of a region as a table, from 1 November of the year before (in the south 1 July)."""
    shares = read_region(region).shares
    points = simulate_points(region, 2023, 11, {code: max(15, round(400 * part)) for code, part in shares.items()})
    codes = sorted(set(points.label.tolist()))
    start = day_number(date(2022, 7, 1) if region == "southern" else date(2022, 11, 1))
    valid = np.isfinite(points.values).all(axis=2)
    count, frames = valid.shape
    days = points.dekads.astype(np.int64).astype(np.int32) + 5
    sensor = SensorInput(
        sensor="sentinel-2", bands=POINT_BANDS, quantity="surface reflectance", scale=0.0001, resolution=10
    )
    series = TableSeries(
        sensor,
        np.where(valid[..., None], points.values, 0).astype(np.float32),
        valid,
        np.tile(days, (count, 1)),
        np.full(count, frames),
    )
    classes = tuple(LegendClass(code=code, name=code, color=PALETTE[k]) for k, code in enumerate(codes))
    return SeriesTable(
        legend=Legend(classes=classes),
        label=np.array([codes.index(label) for label in points.label], np.uint8),
        series={"sentinel-2": series},
        season_start=np.full(count, start, np.int32),
        season_days=SEASON_DAYS,
        lon=np.full(count, np.nan),
        lat=np.full(count, np.nan),
        block=np.unique(points.cell, return_inverse=True)[1].astype(np.int32),
        fold=points.fold.astype(np.int8),
    )


def of_season(whole: SeriesTable, shift: int) -> SeriesTable:
    """Sentinel-2 of 365 days, which begin some days after the table's season."""
    series = whole.series["sentinel-2"]
    start = whole.season_start + np.int32(shift)
    inside = (series.date >= start[:, None]) & (series.date < start[:, None] + SEASON_DAYS)
    valid = series.valid & inside
    kept = replace(series, values=np.where(valid[..., None], series.values, 0), valid=valid)
    narrow = replace(whole, series={"sentinel-2": kept}, season_start=start, season_days=SEASON_DAYS)
    return narrow.of(np.flatnonzero((narrow.label != 255) & (valid.sum(axis=1) >= 4)))


def features(places: SeriesTable, weights: Path | None, seed: int) -> np.ndarray:
    """What the last layer reads, (P, features)."""
    sensors = table_statistics(places)
    config = point_config(sensors, len(places.legend), STEPS, places.season_days)
    torch.manual_seed(seed)
    start = point_start(weights)
    network, sensors = (AgriFM(config), sensors) if start is None else start(config, sensors)
    network.decoder.head = nn.Identity()
    classifier = Classifier(network, sensors, "observed").eval()
    return table_logits(classifier, sensors, TableSamples(places, "observed", STEPS)).numpy()


def series_features(places: SeriesTable) -> np.ndarray:
    """The series at 24 equal steps, (P, steps x bands)."""
    samples = TableSamples(places, "interpolated", STEPS)
    return np.stack([samples[index].series["sentinel-2"].image.ravel() for index in range(len(places))])


def scores(places: SeriesTable, vectors: np.ndarray, budget: int, draws: int) -> dict[str, list[float]]:
    """Macro F1 of each classifier for each draw of labels; each draw has another fold to test on."""
    assert places.fold is not None
    folds = np.unique(places.fold[places.fold >= 0])
    found: dict[str, list[float]] = {name: [] for name in CLASSIFIERS}
    for draw in range(draws):
        rng = np.random.default_rng([5, draw])
        is_test = places.fold == folds[draw % len(folds)]
        chosen = []
        for code in range(len(places.legend)):
            pool = np.flatnonzero((places.label == code) & ~is_test & (places.fold >= 0))
            if len(pool) >= budget:
                chosen.extend(rng.choice(pool, budget, replace=False))
        known = np.unique(places.label[chosen])
        test = np.flatnonzero(is_test & np.isin(places.label, known))
        scale = StandardScaler().fit(vectors[chosen])
        for name, make in CLASSIFIERS.items():
            model = make().fit(scale.transform(vectors[chosen]), places.label[chosen])
            predicted = model.predict(scale.transform(vectors[test]))
            counts = confusion_counts(predicted, places.label[test], len(places.legend))
            found[name].append(macro_f1(counts, counts.sum(axis=0) > 0))
    return found


def report(options: argparse.Namespace) -> Iterator[str]:
    """Score the features on every set."""
    sets = {f"simulated {region}": simulated(region) for region in options.regions}
    sets = {name: of_season(places, 0) for name, places in sets.items()}
    if options.real:
        sets["France, real"] = of_season(france(), 61)
    rows = []
    for name, places in sets.items():
        kinds = {
            "pretrained": features(places, options.weights, 0),
            "random weights": features(places, None, 0),
            "series": series_features(places),
        }
        for kind, vectors in kinds.items():
            found = scores(places, vectors, options.budget, options.draws)
            cells = [
                f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1) / np.sqrt(len(values)):.1f}"
                for values in found.values()
            ]
            rows.append([name, kind, *cells])
    yield f"macro F1 in percent, {options.budget} labels of each class, {options.draws} draws, with standard error"
    yield from table(["set", "features", *CLASSIFIERS], rows)


main = Command(
    __doc__,
    report,
    {
        "--weights": {"type": Path, "required": True, "help": "weights that `agrifm pretrain` wrote"},
        "--regions": {"nargs": "*", "default": ["oceanic", "southern"]},
        "--real": {"type": int, "default": 1, "help": "whether the real set is scored too: 1 or 0"},
        "--budget": {"type": int, "default": 5},
        "--draws": {"type": int, "default": 20},
    },
    ("torch", "scikit-learn"),
)

if __name__ == "__main__":
    main()
