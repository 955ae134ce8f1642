"""AgriFM on points alone: every point is a series of one pixel with its own dates and gaps, beside a random forest.

Data: `bahia_cbers4_2018` under AGRIFM_DATA (default ../shared/data): western Bahia, 922 labelled points in 101 cells
of 0.25 degrees, CBERS-4 AWFI 16-day composites of six bands. Both models learn on four folds of cells and are scored on
the fifth, five times over; then once more with a third of each point's dates left out at random: AgriFM takes the dates
that are left, as it was trained with gaps of all sizes, and the forest their interpolation.

The decoder is the pixel decoder, which normalises each sample by itself. The released neck would take its statistics
over a batch of single pixels, each drawn out to 8 x 8.

    python examples/03_points_agrifm_bahia.py OUT
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from agrifm.classic.forest import TREES, ForestConfig, grow_trees
from agrifm.cube.temporal import interpolate
from agrifm.files import write_text
from agrifm.grid import Window
from agrifm.inference.batching import predict_logits
from agrifm.inference.tensors import tensor_batch
from agrifm.legend import Legend
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, Source
from agrifm.models.agrifm.point_network import POINT_DECODER, POINT_ENCODER
from agrifm.models.classifier import Classifier
from agrifm.record import SensorRecord
from agrifm.samples.sample import Sample, Series
from agrifm.scores import block_interval, confusion_counts, macro_f1, overall_accuracy, paired_interval
from agrifm.season import Season, day_number
from agrifm.train.losses import cross_entropy

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data")) / "bahia_cbers4_2018"
SENSOR = "cbers-4-awfi"
LIMITS = {
    "NDVI": (-1, 1), "EVI": (-1, 1), "BAND13": (0, 1), "BAND14": (0, 1), "BAND15": (0, 1), "BAND16": (0, 1),
}  # fmt: skip
"""Bands and the values that can be true."""
SEASON = Season(date(2018, 8, 29), date(2019, 8, 28))
FRAMES = 23
LEGEND = Legend.of(["Cropland", "Pasture", "Cerradao", "Cerrado"])
EVERY = np.ones(len(LEGEND), bool)
FOLDS, STEPS, BATCH, RATE = 5, 300, 64, 2e-3
LEFT_OUT = 1 / 3
"""Share of a point's dates that the second column goes without."""
LEAST = {"as they are": 0.8, "a third of the dates left out": 0.7}
"""Overall accuracy expected of both models; the majority class alone has 0.28."""
CONFIG = AgriFMConfig(
    sources=(Source(name=SENSOR, channels=len(LIMITS), patch=(2, 1, 1), frames=FRAMES),),
    classes=len(LEGEND),
    encoder=POINT_ENCODER,
    neck_sources=(SENSOR,),
    neck_levels=((SENSOR,),) * 3,
    pixel_decoder=POINT_DECODER,
    season_days=SEASON.days,
)


class Points:
    """The labelled points.

    Attributes:
        image: (point, T, C) float32, as delivered.
        valid: (point, T) bool, every band within its limits.
        day: (T,) int32, days since 1970-01-01.
        label, cell, fold: (point,), class number, number of the cell, fold of the cell.
    """

    def __init__(self) -> None:
        about = pd.read_csv(DATA / "splits.csv")
        series = pd.read_parquet(DATA / "series.parquet")
        wide = [series.pivot(index="sample_id", columns="date", values=band).loc[about.sample_id] for band in LIMITS]
        self.image = np.stack([table.to_numpy(np.float32) for table in wide], axis=2)
        low, high = np.array(list(LIMITS.values()), np.float32).T
        self.valid = ((self.image >= low) & (self.image <= high)).all(axis=2)
        self.day = np.array([day_number(moment.date()) for moment in wide[0].columns], np.int32)
        self.label = LEGEND.encode(about.label.to_numpy())
        self.cell = np.unique(about.cell, return_inverse=True)[1]
        self.fold = about.fold.to_numpy()


def main() -> None:
    """Train and score both models on five folds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    torch.set_num_threads(1)  # of networks this small, a second thread costs more than it saves
    start = time.process_time()
    points = Points()
    kept = np.random.default_rng(0).random(points.valid.shape) >= LEFT_OUT
    columns = {"as they are": np.ones_like(kept), "a third of the dates left out": kept}
    found = {(model, column): points.label.copy() for model in ("AgriFM", "random forest") for column in columns}
    for fold in range(FOLDS):
        training, test = np.flatnonzero(points.fold != fold), np.flatnonzero(points.fold == fold)
        classifier, sensors = train_classifier(points, training, seed=fold)
        forest = grow_trees(
            rows(points, training, points.valid), points.label[training], ForestConfig(), TREES, seed=fold
        )
        for column, use in columns.items():
            samples = [sample_of(points, point, use[point]) for point in test]
            found["AgriFM", column][test] = classes_of(classifier, samples, sensors)
            found["random forest", column][test] = forest.predict(rows(points, test, points.valid & use))
    lines = list(table(points, found, tuple(columns)))
    seconds = time.process_time() - start
    options.out.mkdir(parents=True, exist_ok=True)
    write_text(options.out / "table.txt", "\n".join(lines) + "\n")
    print("\n".join(lines))
    print(f"{seconds:.0f} s of processor time, {options.out / 'table.txt'}")
    low = {
        place: accuracy
        for place, predicted in found.items()
        if (accuracy := float((predicted == points.label).mean())) < LEAST[place[1]]
    }
    if low:
        raise SystemExit(f"expected accuracies of at least {LEAST}, found {low}; look into it")


def sample_of(points: Points, point: int, use: NDArray[np.bool_]) -> Sample:
    """Return one point as a sample of one pixel: those of its dates that are used, and no others."""
    valid = points.valid[point, use]
    image = np.where(valid[:, None], points.image[point, use], np.float32(0))
    series = Series(image[:, :, None, None], valid[:, None, None], points.day[use])
    return Sample({SENSOR: series}, points.label[point].reshape(1, 1), Window(0, 0, 1, 1), day_number(SEASON.start))


def train_classifier(
    points: Points, training: NDArray[np.intp], seed: int
) -> tuple[Classifier, tuple[SensorRecord, ...]]:
    """Return a classifier trained for a fixed number of steps, and its sensor with the statistics of the training."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    usable = points.image[training][points.valid[training]]
    sensor = SensorRecord(
        sensor=SENSOR,
        bands=tuple(LIMITS),
        quantity="surface reflectance",
        scale=1e-4,
        resolution=64,
        mean=tuple(usable.mean(axis=0).tolist()),
        std=tuple(usable.std(axis=0).tolist()),
    )
    whole = np.ones(len(points.day), bool)
    samples = [sample_of(points, point, whole) for point in training]
    network = AgriFM(CONFIG)
    classifier = Classifier(network, [sensor], "observed")
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS, pct_start=0.1)
    for _ in range(STEPS):
        chosen = generator.choice(len(training), BATCH, replace=False)
        batch = tensor_batch([samples[number] for number in chosen], [sensor])
        valid = batch.valid[SENSOR]
        seen = torch.rand(valid.shape) >= 0.5 * torch.rand(len(chosen), 1, 1, 1)  # gaps come in all sizes
        logits = classifier(replace(batch, valid={SENSOR: valid & seen}))
        optimiser.zero_grad()
        cross_entropy(logits, batch.label, smoothing=0.05).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return classifier.eval(), (sensor,)


@torch.inference_mode()
def classes_of(classifier: Classifier, samples: Sequence[Sample], sensors: Sequence[SensorRecord]) -> NDArray[np.uint8]:
    """Return the best class of each point; series of any length are predicted together."""
    logits = predict_logits(classifier, samples, sensors, batch_size=256)
    return torch.stack(logits)[:, :, 0, 0].argmax(dim=1).numpy().astype(np.uint8)


def rows(points: Points, chosen: NDArray[np.intp], usable: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What the forest sees (point, T x C): usable values, interpolated in time to all dates.

    Args:
        usable: (point, T) of all points.
    """
    image = np.moveaxis(points.image[chosen], 0, -1)[:, :, None]
    valid = usable[chosen].T[:, None]
    filled, _ = interpolate(np.where(valid[:, None], image, np.float32(0)), valid, points.day, points.day)
    return filled.reshape(-1, len(chosen)).T


def table(points: Points, found: dict[tuple[str, str], NDArray[np.uint8]], columns: tuple[str, ...]) -> list[str]:
    """Overall accuracy and macro F1 of both models in each column, with intervals from drawing cells."""
    majority = np.bincount(points.label).max() / len(points.label)
    cells = points.cell.max() + 1
    lines = [
        f"{len(points.label)} points in {cells} cells, each scored by models that saw none of its cell; the majority "
        f"class has {majority:.3f}",
        f"{'model':<15}{'dates':<31}{'overall accuracy':<24}macro F1",
    ]
    counts = {place: counts_per_cell(points, predicted) for place, predicted in found.items()}
    for (model, column), own in counts.items():
        lines.append(f"{model:<15}{column:<31}{shown(own, overall_accuracy):<24}{shown(own, macro)}")
    for column in columns:
        first, second = (counts[model, column] for model in ("AgriFM", "random forest"))
        low, high = paired_interval(first, second, macro)
        mean = macro(first.sum(axis=0)) - macro(second.sum(axis=0))
        verdict = "AgriFM wins" if low > 0 else "AgriFM loses" if high < 0 else "no winner"
        lines.append(f"AgriFM minus forest, {column}: macro F1 {mean:+.3f} ({low:+.3f} to {high:+.3f}), {verdict}")
    return lines


def macro(counts: NDArray[np.int64]) -> float:
    """Macro F1 over all classes."""
    return macro_f1(counts, EVERY)


def counts_per_cell(points: Points, predicted: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(cell, predicted, true)."""
    cells = range(points.cell.max() + 1)
    inside = [points.cell == cell for cell in cells]
    return np.stack([confusion_counts(predicted[own], points.label[own], len(LEGEND)) for own in inside])


def shown(counts: NDArray[np.int64], score: Callable[[NDArray[np.int64]], float]) -> str:
    """A score with its interval."""
    low, high = block_interval(counts, score)
    return f"{score(counts.sum(axis=0)):.3f} ({low:.3f}-{high:.3f})"


if __name__ == "__main__":
    main()
