"""How often candidate sets contain the true class (nominal 90 %), and where a model should not be trusted.

First simulated blocks, with five rules for thresholds. Then the real tables of `benchmarks/compare_real_sets.py`: in
each of several divisions into folds every place is tested once, in a block that neither the model nor the sets have
seen. Sets are fitted on validation blocks, a quarter of the others, or on all others, each answered by a model of the
rest, as `agrifm train` does on tables (`agrifm.train.cross_fitting`). The rule that is kept was chosen on simulated
blocks, Africa and Flanders. Intervals are over blocks, of the mean over all divisions. Then simulated seasons: a model
of one is used on its unseen blocks, on the same land in another year, on the same land two months later in the season,
and in another region, with the share outside the area of applicability. The seasons are made and fetched below
`--directory` once. Another season's pixels whose class the model does not know are counted as not covered.

    python benchmarks/conformal_coverage.py --directory seasons --out benchmarks/results
    python benchmarks/conformal_coverage.py --parts blocks tables
    python benchmarks/conformal_coverage.py --quick
"""

import argparse
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from compare_real_sets import DATA, SETS
from measure import SEASON_PROJECT, Command, table
from numpy.typing import NDArray

from agrifm.calibration import calibrated
from agrifm.certainty import CandidateSets, candidates
from agrifm.config import PROJECT_FILE, Project, read_project
from agrifm.cube.fetch import fetch
from agrifm.cube.store import open_cube
from agrifm.files import MARKER
from agrifm.grid import tiles
from agrifm.inference.certainty_levels import certainty_levels
from agrifm.inference.predictor import TrainedModel, load_model, uncalibrated
from agrifm.inference.training_reference import REFERENCE, TrainingReference
from agrifm.legend import LEGEND_TAG, UNLABELLED, Legend
from agrifm.mapping.predict import predict_windows
from agrifm.rasters import open_raster
from agrifm.record import model_file
from agrifm.samples.folds import divide_blocks, outer_folds
from agrifm.samples.split import split_blocks
from agrifm.samples.table import SeriesTable
from agrifm.season import Season
from agrifm.simulator.catalog import simulate
from agrifm.train.calibrate import fit_calibration
from agrifm.train.candidate_sets import NOMINAL, fit_sets
from agrifm.train.cross_fitting import cross_fitted
from agrifm.train.data import project_labels
from agrifm.train.learners import LEARNERS
from agrifm.train.run import train

Array = NDArray[Any]
DRAWS = 100
"""Sets of simulated blocks."""
LEAST_CLASS_BLOCKS = 3
"""With fewer blocks of a class it is a candidate everywhere, by the rules of each class alone."""
LEVELS = np.linspace(1 - NOMINAL, 0, 21)
UNEVEN, MOST_PIXELS = 0, 120
"""Pixels of a block, where they are drawn for each, and the most that are drawn."""
FOLDS, INNER = 5, 4
"""Of a table's test, and of its training blocks, one of which is for calibration and sets."""
FITS = 3
"""Models that answer for the blocks that are not for validation, as in `agrifm train`."""
MODEL = """\
[model]
names = ["{model}"]
"""


LATER = Season(date(2024, 5, 1), date(2024, 12, 31))


class SimulatedSeason(NamedTuple):
    """What is simulated, and between which days the cube is."""

    title: str
    region: str
    year: int
    start: str
    end: str
    simulated: Season | None = None
    """Days with scenes; None = the region's season."""


SEASONS = {
    "trained": SimulatedSeason("trained on", "oceanic", 2024, "2024-03-01", "2024-10-31"),
    "year": SimulatedSeason("another year", "oceanic", 2022, "2022-03-01", "2022-10-31"),
    "later": SimulatedSeason("two months later", "oceanic", 2024, "2024-05-01", "2024-12-31", LATER),
    "region": SimulatedSeason("another region", "mediterranean", 2024, "2024-03-01", "2024-10-31"),
}


def report(options: argparse.Namespace) -> Iterator[str]:
    """The lines of the result."""
    if "blocks" in options.parts:
        yield from _of_blocks(options.draws)
    if "tables" in options.parts:
        yield from _of_tables(options.sets, options.model, options.splits, options.fits)
    if "seasons" in options.parts:
        with TemporaryDirectory() as scratch:
            yield from _of_seasons(options.directory or Path(scratch), options.model, options.size, options.step)


def _of_blocks(draws: int) -> Iterator[str]:
    """Coverage of unseen blocks by three rules, and the mean size of sets, of three classes."""
    generator = np.random.default_rng(0)
    rows = []
    for pixels in (60, 6, UNEVEN):
        for blocks in (3, 5, 10, 20, 40):
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in RULES}
            for _ in range(draws):
                seen, unseen = _drawn(blocks, pixels, generator), _drawn(60, 20, generator)
                for name, rule in RULES.items():
                    inside = candidates(rule(*seen), unseen[0], axis=1)
                    covered = [inside[unseen[1] == number, number].mean() for number in range(3)]
                    found[name].append((float(np.mean(covered)), float(inside.sum(axis=1).mean())))
            means = [np.mean(found[name], axis=0) for name in RULES]
            rows.append(
                (
                    str(pixels) if pixels != UNEVEN else f"1 to {MOST_PIXELS}",
                    str(blocks),
                    *(f"{100 * cover:.1f} % ({size:.2f})" for cover, size in means),
                )
            )
    yield from table(("pixels in a block", "blocks", *RULES), rows)
    yield ""


def _drawn(blocks: int, pixels: int, generator: np.random.Generator) -> tuple[Array, Array, Array]:
    """Probabilities of a model that is wrong in another way in each block, labels, blocks."""
    sizes = generator.integers(1, MOST_PIXELS + 1, blocks) if pixels == UNEVEN else np.full(blocks, pixels)
    block = np.repeat(np.arange(blocks), sizes)
    logits = generator.normal(0, 1.5, (len(block), 3))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = (true.cumsum(axis=1) < generator.random((len(block), 1))).sum(axis=1).clip(max=2).astype(np.uint8)
    logits += generator.normal(0, 0.7, (blocks, 3))[block]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), label, block


def _pooled(probabilities: Array, label: Array, block: Array, more: int) -> CandidateSets:
    """Quantiles of the pooled distributions of blocks, and of `more` blocks in which the class has probability 0."""
    least: list[float | None] = []
    for number in range(probabilities.shape[1]):
        _, index, pixels = np.unique(block[label == number], return_inverse=True, return_counts=True)
        if len(pixels) < LEAST_CLASS_BLOCKS or more / (len(pixels) + more) > 1 - NOMINAL + 1e-9:
            least.append(None)
            continue
        values = probabilities[label == number, number]
        order = np.argsort(values)
        below = (more + np.cumsum(1 / pixels[index][order])) / (len(pixels) + more)
        least.append(float(values[order][min(int(np.searchsorted(below, 1 - NOMINAL + 1e-9)), len(order) - 1)]))
    return CandidateSets(nominal=NOMINAL, least=tuple(least), blocks=(0,) * len(least))


def _alone(probabilities: Array, label: Array, block: Array) -> CandidateSets:
    """The highest quantile of each class by which it is contained often enough when its blocks are left out in turn."""
    least: list[float | None] = []
    for number in range(probabilities.shape[1]):
        _, index, pixels = np.unique(block[label == number], return_inverse=True, return_counts=True)
        values = probabilities[label == number, number]
        if len(pixels) < LEAST_CLASS_BLOCKS:
            least.append(None)
            continue

        def quantiles(where: Array, values: Array = values, weight: Array = 1 / pixels[index]) -> Array:
            order = np.argsort(values[where], kind="stable")
            below = np.cumsum(weight[where][order])
            first = np.searchsorted(below / below[-1], LEVELS + 1e-9)
            return values[where][order][np.minimum(first, len(order) - 1)]

        covered = sum((values[index == one, None] >= quantiles(index != one)).mean(0) for one in range(len(pixels)))
        enough = np.flatnonzero(covered >= (NOMINAL - 1e-9) * len(pixels))
        least.append(float(quantiles(np.ones(len(values), bool))[enough[0] if len(enough) else -1]))
    return CandidateSets(nominal=NOMINAL, least=tuple(least), blocks=(0,) * len(least))


def _alike(probabilities: Array, label: Array, block: Array) -> CandidateSets:
    """The kept rule, but of a level that contains the mean block of each class often enough, and not the mean pixel."""
    group, index = np.unique(block.astype(np.int64) * probabilities.shape[1] + label, return_inverse=True)
    return fit_sets(probabilities, label, block, importance=len(label) / len(group) / np.bincount(index)[index])


RULES: dict[str, Callable[[Array, Array, Array], CandidateSets]] = {
    "quantile": lambda *seen: _pooled(*seen, more=0),
    "one more block": lambda *seen: _pooled(*seen, more=1),
    "each class alone": _alone,
    "blocks alike": _alike,
    "kept": fit_sets,
}


class Tested(NamedTuple):
    """Test places, pooled over folds."""

    label: Array
    block: Array
    covered: Array
    """(N, rules), by the rules in their order on validation blocks, then by the kept one on all blocks."""
    before: Array
    """(N,), level by each class alone on validation blocks."""
    level: Array
    """(N,), by the kept rule on all blocks."""
    weaker: Array
    """(N,), whether covered by that rule, where a model answers that has not seen the validation blocks."""


def _of_tables(names: list[str], model: str, splits: int, fits: int) -> Iterator[str]:
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    rows, classes = [], []
    for name in names:
        places = SETS[name]()
        parts = [_tested(places, model, seed, fits) for seed in range(splits)]
        tested = Tested(*(np.concatenate(list(part)) for part in zip(*parts, strict=True)))
        levels = [
            " / ".join(f"{100 * (found == level).mean():.0f}" for level in range(3))
            for found in (tested.before, tested.level)
        ]
        by_rule = [f"{100 * share:.1f}" for share in tested.covered.mean(axis=0)]
        low, high = _interval(tested.covered[:, -1], tested.block)
        blocks = str(len(np.unique(tested.block)))
        apart = np.std([100 * part.covered[:, -1].mean() for part in parts])
        group = np.unique(tested.block.astype(np.int64) * len(places.legend) + tested.label, return_inverse=True)[1]
        of_blocks = np.bincount(group, tested.covered[:, -1]) / np.bincount(group)
        weaker = f"{100 * tested.weaker.mean():.1f}"
        means = weaker, f"{100 * of_blocks.mean():.1f}", f"{apart:.1f}", f"{low:.1f} to {high:.1f}"
        rows.append((name, str(len(tested.label) // splits), blocks, *by_rule, *means, *levels))
        for number, code in enumerate(places.legend.codes):
            inside = tested.label == number
            if inside.any():
                found = tested.covered[inside, -1]
                low, high = _interval(found, tested.block[inside])
                count = str(inside.sum() // splits)
                classes.append((name, code, count, f"{100 * found.mean():.1f}", f"{low:.0f} to {high:.0f}"))
    yield f"coverage of places in per cent, mean of {splits} divisions into folds: thresholds from validation blocks,"
    yield "then from all blocks but the test's (kept, all); of these, coverage where a model of three quarters of the"
    yield "blocks answers, as when thresholds were fitted; the mean over blocks and classes, the standard deviation of"
    yield "divisions, and the 95 % interval over blocks"
    yield "certain / two / unknown in per cent: by each class alone, then by the kept rule on all blocks"
    yield ""
    heads = (*RULES, "kept, all", "of 3/4", "mean block", "divisions", "95 % interval", "alone", "kept, all")
    yield from table(("set", "places", "blocks", *heads), rows)
    yield ""
    yield from table(("set", "class", "places", "coverage, %", "95 % interval"), classes)
    yield ""


def _tested(places: SeriesTable, model: str, seed: int, fits: int) -> Tested:
    """Every labelled place once, by a model and sets that have not seen its block."""
    parts = []
    every = CandidateSets(nominal=NOMINAL, least=(None,) * len(places.legend), blocks=(0,) * len(places.legend))
    for fold in outer_folds(places, FOLDS, seed):
        known = places.of(fold.training)
        most = min(INNER, len(np.unique(known.block)))
        inner = divide_blocks(known.block, known.label, len(known.legend), most, seed)
        validation, test = known.of(np.flatnonzero(inner == 0)), places.of(fold.test)
        fitted = LEARNERS[model](known.of(np.flatnonzero(inner != 0)), validation, seed)
        assert fitted.validation is not None, "there are validation places"

        def answer(training: Array, held_out: Array, known: SeriesTable = known) -> Array:
            found = LEARNERS[model](known.of(training), known.of(held_out), seed).validation
            assert found is not None, "there are places to answer"
            return found

        everywhere = cross_fitted(inner == 0, known.label, known.block, fitted.validation, answer, fits)
        raw, rank = fitted.probabilities(test), np.arange(len(test))
        covered, levels = [], []
        calibration, sets = fit_calibration(fitted.validation, validation.label, validation.block)
        own = calibrated(calibration, fitted.validation, axis=1)
        rules = [RULES[name](own, validation.label, validation.block) for name in RULES if name != "kept"]
        wider, of_all = fit_calibration(everywhere, known.label, known.block)
        used = [*((calibration, rule) for rule in (*rules, sets or every)), (wider, of_all or every)]
        for scale, rule in used:
            answers = calibrated(scale, raw, axis=1)
            covered.append(candidates(rule, answers, axis=1)[rank, test.label])
            levels.append(certainty_levels(rule, answers, axis=1)[0])
        before = levels[list(RULES).index("each class alone")]
        none = known.of(np.zeros(0, np.intp))
        other = LEARNERS[model](known.of(np.flatnonzero(inner != 0)), none, seed).probabilities(test)
        weaker = candidates(of_all or every, calibrated(wider, other, axis=1), axis=1)[rank, test.label]
        parts.append((test.label, test.block, np.stack(covered, axis=1), before, levels[-1], weaker))
    return Tested(*(np.concatenate(list(part)) for part in zip(*parts, strict=True)))


def _interval(covered: Array, block: Array, draws: int = 1000) -> tuple[float, float]:
    """95 % interval of the coverage in percent, by drawing blocks with replacement."""
    _, index = np.unique(block, return_inverse=True)
    sums = np.stack([np.bincount(index, covered), np.bincount(index)], axis=1)
    drawn = sums[np.random.default_rng(0).integers(len(sums), size=(draws, len(sums)))].sum(axis=1)
    low, high = np.percentile(100 * drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return float(low), float(high)


def _of_seasons(directory: Path, model: str, size: float, step: int) -> Iterator[str]:
    """A model of one simulated season on others."""
    projects = {name: _project(directory / name, season, model, size) for name, season in SEASONS.items()}
    train(projects["trained"])
    path = model_file(projects["trained"].models, model)
    trained, reference = load_model(path), TrainingReference.read(path.with_name(REFERENCE))
    rows = []
    for name, project in projects.items():
        found = _used(project, trained, reference, name == "trained", step)
        known = ~np.isnan(found["index"])
        found = {key: values[known] for key, values in found.items()}
        outside = np.rint(100 * found["index"]) > 100 * reference.facts.threshold
        title = SEASONS[name].title if name != "trained" else "unseen blocks"
        cells = [f"{100 * outside.mean():.1f}", f"{np.median(found['index']):.2f}"]
        for key in ("right", "covered"):
            values = found[key]
            parts = [values[where].mean() if where.any() else np.nan for where in (~outside, outside)]
            cells += [f"{100 * values.mean():.1f}", " / ".join(f"{100 * part:.1f}" for part in parts)]
        cells.append(" / ".join(f"{100 * (found['level'] == level).mean():.0f}" for level in range(3)))
        rows.append((title, str(len(outside)), *cells))
    yield f"{model}, {size:g} km, threshold {reference.facts.threshold:.2f}, {len(reference.points)} training pixels"
    heads = ("accuracy, %", "inside / outside", "coverage, %", "inside / outside", "certain / two / unknown, %")
    yield from table(("used on", "pixels", "outside, %", "median index", *heads), rows)


def _project(folder: Path, season: SimulatedSeason, model: str, size: float) -> Project:
    """A project of a simulated season with its cube."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROJECT_FILE).write_text((SEASON_PROJECT + MODEL).format(start=season.start, end=season.end, model=model))
    project = read_project(folder)
    if not (folder / "season" / MARKER).exists():
        simulate(folder / "season", season.region, season.year, size, season=season.simulated)
    if not project.cube.exists():
        fetch(project)
    return project


def _used(
    project: Project, model: TrainedModel, reference: TrainingReference, only_unseen: bool, step: int
) -> dict[str, Array]:
    """What the model says of every `step`-th window of a season: whether it is right and covered, and the index."""
    cube, record = open_cube(project.cube), model.record
    assert record.candidates is not None, "a season has enough blocks"
    windows = list(tiles(cube.target.shape, 48))[::step]
    parts: list[tuple[Array, ...]] = []
    unseen = _unseen(project) if only_unseen else None
    for window, layers in predict_windows(cube, uncalibrated(model), windows, reference):
        if layers is None:
            continue
        label = _truth(project, cube.target.window(window), record.legend)
        where = ~np.isnan(layers[0]) if unseen is None else ~np.isnan(layers[0]) & unseen[window.slices]
        answers = calibrated(record.calibration, layers[:-1, where].astype(np.float64).T, axis=1)
        inside, true = candidates(record.candidates, answers, axis=1), label[where]
        known = true != UNLABELLED
        covered = known & inside[np.arange(len(true)), np.where(known, true, 0)]
        level = certainty_levels(record.candidates, answers, axis=1)[0]
        parts.append((answers.argmax(axis=1) == true, covered, level, layers[-1, where].astype(np.float64)))
    whole = (np.concatenate(list(part)) for part in zip(*parts, strict=True))
    return dict(zip(("right", "covered", "level", "index"), whole, strict=True))


def _unseen(project: Project) -> Array:
    """(H, W), the labelled pixels of the test blocks."""
    labels = project_labels(project, open_cube(project.cube))
    split = split_blocks(labels, project.labels.block, project.model.seed)
    return np.asarray(split.label_of(labels, "test") != UNLABELLED)


def _truth(project: Project, part: Any, legend: Legend) -> Array:
    """True class numbers (H, W) in the legend of the model; 255 where it does not have the class."""
    import rasterio.windows

    with open_raster(project.path(Path("season/truth/crops.tif"))) as source:
        stated = Legend.model_validate_json(source.tags()[LEGEND_TAG])
        view = rasterio.windows.from_bounds(*part.bounds, source.transform)
        values = source.read(1, window=view.round_offsets().round_lengths())
    numbers = [legend.codes.index(code) if code in legend.codes else UNLABELLED for code in stated.codes]
    table_of = np.full(256, UNLABELLED, np.uint8)
    table_of[: len(numbers)] = numbers
    return np.asarray(table_of[values])


OPTIONS = {
    "--parts": {"nargs": "+", "choices": ["blocks", "tables", "seasons"], "default": ["blocks", "tables", "seasons"]},
    "--splits": {"type": int, "default": 5, "help": "divisions of a table into folds, default 5"},
    "--fits": {"type": int, "default": FITS, "help": f"models that answer for a table's blocks, default {FITS}"},
    "--draws": {"type": int, "default": DRAWS, "help": f"of simulated blocks, default {DRAWS}"},
    "--sets": {"nargs": "+", "choices": list(SETS), "default": list(SETS), "help": "real tables, default: all"},
    "--model": {"default": "extra-trees", "help": "default extra-trees"},
    "--size": {"type": float, "default": 2.5, "help": "side of the simulated area, km, default 2.5"},
    "--step": {"type": int, "default": 1, "help": "use every n-th window of a season, default 1"},
    "--directory": {"type": Path, "help": "of the simulated seasons, which are kept; default: a scratch folder"},
}
main = Command(
    __doc__,
    report,
    OPTIONS,
    ("scikit-learn",),
    quick={"parts": ["blocks", "tables"], "sets": ["Bahia"], "draws": 2, "splits": 1, "model": "logistic"},
)

if __name__ == "__main__":
    main()
