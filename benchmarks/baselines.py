"""How much accuracy a season leaves to gain: forests on all, part, and more than can be observed, on the same pixels.

All forests have 300 trees of the usual shape and learn from the same pixels of the training blocks. The noise-free
forest sees every day of the season as a sensor with Sentinel-2's bands and point spread would under a clear sky, with
the sun always at one height; the forest of a single date sees all sensors at the step that is best on the validation
blocks. Differences are to the forest on gap-filled series, with a paired interval over blocks.

    python benchmarks/baselines.py demo [--out benchmarks/results/DATE-baselines.txt]

`demo` is a finished demo: its season must be the one that `agrifm.demo` simulates, because the truth is drawn again.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
from measure import DEMO, Command, table
from numpy.typing import NDArray
from variants import read_demo

from agrifm.classic.features import FEATURE_KINDS, Columns, FeatureKind, parts_of_kind
from agrifm.classic.forest import TREES, ForestConfig, draw_pixels, grow_trees
from agrifm.classic.numbers import Rows
from agrifm.demo import WHOLE
from agrifm.legend import UNLABELLED
from agrifm.scores import macro_f1, paired_interval
from agrifm.season import day_number
from agrifm.sensors import SENSORS
from agrifm.simulator.acquisition.view import POINT_SPREAD
from agrifm.simulator.footprint import footprint_matrix, gaussian_spread
from agrifm.simulator.granule import Simulation
from agrifm.simulator.optics.reflectance import ViewingGeometry
from agrifm.simulator.region import read_region
from agrifm.train.data import Data, read_pixel_features

REGION, YEAR, SEED = "oceanic", 2024, 0
"""Of the demo's season."""
TEST_PIXELS = 20_000
"""Pixels drawn from the unseen blocks, the same for every forest."""
CLEAR = ViewingGeometry(sun_zenith=40.0, view_zenith=0.0, relative_azimuth=0.0)


Score = tuple[NDArray[np.int64], int, float]
"""Counts (block, predicted, true), number of features, seconds of growing."""


def report(options: argparse.Namespace) -> Iterator[str]:
    """A line for each forest."""
    demo = read_demo(options.directory)
    yield f"{TREES} trees, seed {SEED}"
    yield from table(("forest on", "macro F1", "difference", "features", "seconds"), rows(demo.data, demo.config.side))


def rows(data: Data, side: int) -> Iterator[tuple[str, ...]]:
    """A row for each forest."""
    split = Pixels(data, side)
    reference = split.score_features("series")
    yield split.row("gap-filled series", reference, reference)
    yield split.row("  and statistics in time", split.score_features("statistics"), reference)
    yield split.row("  and 5 x 5 neighbourhoods", split.score_features("neighbourhood"), reference)
    step, single = split.best_step()
    yield split.row(f"the best single date (step {step} of {data.tiles.steps.size})", single, reference)
    daily = split.noise_free()
    yield split.row("noise-free daily series", split.score(daily["training"], daily["test"]), reference)


class Pixels:
    """The pixels of each fold, and what is observed of them."""

    def __init__(self, data: Data, side: int) -> None:
        self.data, self.classes = data, len(data.labels.legend)
        generator = np.random.default_rng(SEED)
        chosen = {
            fold: draw_pixels(label, data.labels.place, data.split.block, SEED)
            for fold, label in (("training", data.training.label), ("validation", data.validation.label))
        }
        unseen = np.flatnonzero(data.unseen.label != UNLABELLED)
        chosen["test"] = np.zeros(data.unseen.label.shape, bool)
        chosen["test"].flat[generator.choice(unseen, min(TEST_PIXELS, len(unseen)), replace=False)] = True
        most = parts_of_kind(FEATURE_KINDS[-1])
        drawn = {fold: read_pixel_features(data, wanted, side, most) for fold, wanted in chosen.items()}
        sensors = tuple(data.cube.inputs[sensor.sensor] for sensor in data.sensors)
        widths = {kind: Columns(sensors, data.tiles.steps.size, parts_of_kind(kind)).width for kind in FEATURE_KINDS}
        self.rows: dict[str, dict[FeatureKind, Rows]] = {
            fold: {kind: rows[:, :width] for kind, width in widths.items()} for fold, (rows, _) in drawn.items()
        }
        self.places: dict[str, NDArray[np.intp]] = {fold: places for fold, (_, places) in drawn.items()}
        self.label = {fold: data.labels.label.ravel()[places] for fold, places in self.places.items()}

    def score(self, training: Rows, rows: Rows, fold: str = "test") -> Score:
        """The score of a forest on a fold."""
        began = time.perf_counter()
        forest = grow_trees(training, self.label["training"], ForestConfig(), TREES, SEED)
        seconds = time.perf_counter() - began
        blocks, number = np.unique(self.data.split.block.ravel()[self.places[fold]], return_inverse=True)
        counts = np.zeros((len(blocks), self.classes, self.classes), np.int64)
        np.add.at(counts, (number, forest.predict(rows), self.label[fold]), 1)
        return counts, training.shape[1], seconds

    def score_features(self, kind: FeatureKind) -> Score:
        """The score of a forest on one kind of features on the test blocks."""
        return self.score(self.rows["training"][kind], self.rows["test"][kind])

    def best_step(self) -> tuple[int, Score]:
        """The step, counted from 1, whose forest is best on the validation blocks, and its scores on the test ones."""
        steps, first, columns = self.data.tiles.steps.size, 0, []
        for sensor in self.data.sensors:
            bands = len(sensor.bands)
            columns.append(first + np.arange(steps * bands).reshape(steps, bands))
            first += steps * bands
        by_step = np.concatenate(columns, axis=1)
        series = {fold: rows["series"] for fold, rows in self.rows.items()}
        validated = [
            self._macro(self.score(series["training"][:, chosen], series["validation"][:, chosen], "validation")[0])
            for chosen in by_step
        ]
        best = int(np.argmax(validated))
        return best + 1, self.score(*(series[fold][:, by_step[best]] for fold in ("training", "test")))

    def noise_free(self) -> dict[str, Rows]:
        """What the pixels of training and test blocks reflect, rows (pixels, days x bands)."""
        cube, bands = self.data.cube, SENSORS["sentinel-2"].bands
        region = read_region(REGION)
        plan = Simulation.of(region, WHOLE.kilometres, SEED, region.orbits.season(YEAR))
        assert len(plan.windows) == 1, "the demo's area is one granule"
        granule = plan.granule("")
        folds = ("training", "test")
        places = np.concatenate([self.places[fold] for fold in folds])
        rows, cols = np.divmod(places, cube.target.shape[1])
        x, y = cube.target.transform * (cols + 0.5, rows + 0.5)
        assert cube.target.crs == plan.grid.crs, "the cube is in the region's UTM zone"
        prints = {
            size: footprint_matrix(granule.ground.pixels, x, y, gaussian_spread(POINT_SPREAD["sentinel-2", size]))
            for size in (10, 20)
        }
        days = np.arange(day_number(cube.season.start), day_number(cube.season.end) + 1)
        reflectance = np.empty((len(places), len(days), len(bands)), np.float32)
        for number, day in enumerate(days.tolist()):
            nodes = granule.ground.nodes(day, bands, CLEAR)
            for band, column in enumerate(bands):
                reflectance[:, number, band] = prints[int(column.ground_sampling_distance)] @ nodes[:, band]
        flat = reflectance.reshape(len(places), -1)
        first = len(self.places["training"])
        return {"training": flat[:first], "test": flat[first:]}

    def row(self, title: str, score: Score, reference: Score) -> tuple[str, ...]:
        """A row of the table."""
        counts, features, seconds = score
        macro, other = self._macro(counts), self._macro(reference[0])
        low, high = paired_interval(counts, reference[0], lambda drawn: macro_f1(drawn, self.data.unseen.scored))
        difference = "" if score is reference else f"{macro - other:+.3f} ({low:+.3f} to {high:+.3f})"
        return title, f"{macro:.3f}", difference, str(features), f"{seconds:.1f}"

    def _macro(self, counts: NDArray[np.int64]) -> float:
        return macro_f1(counts.sum(axis=0), self.data.unseen.scored)


main = Command(__doc__, report, DEMO, ("scikit-learn",))

if __name__ == "__main__":
    main()
