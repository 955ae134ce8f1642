"""How often candidate sets contain the true class (nominal 90 %), and where a model should not be trusted.

First simulated blocks, with three rules for thresholds. Then the real tables of `benchmarks/compare_real_sets.py`:
every place is tested once, in a block that neither the model nor the sets have seen. Then simulated seasons: a model of
one is used on its unseen blocks, on the same land in another year, on the same land two months later in the season, and
in another region, with the share outside the area of applicability. The seasons are made and fetched below
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
from agrifm.train.candidate_sets import LEAST_CLASS_BLOCKS, NOMINAL, fit_sets
from agrifm.train.data import project_labels
from agrifm.train.learners import LEARNERS
from agrifm.train.run import train

Array = NDArray[Any]
DRAWS = 100
"""Sets of simulated blocks."""
FOLDS, INNER = 5, 4
"""Of a table's test, and of its training blocks, one of which is for calibration and sets."""
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
        yield from _of_tables(options.sets, options.model)
    if "seasons" in options.parts:
        with TemporaryDirectory() as scratch:
            yield from _of_seasons(options.directory or Path(scratch), options.model, options.size, options.step)


def _of_blocks(draws: int) -> Iterator[str]:
    """Coverage of unseen blocks by three rules, and the mean size of sets, of three classes."""
    generator = np.random.default_rng(0)
    rows = []
    for pixels in (60, 6):
        for blocks in (3, 5, 10, 20, 40):
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in RULES}
            for _ in range(draws):
                seen, unseen = _drawn(blocks, pixels, generator), _drawn(60, 20, generator)
                for name, rule in RULES.items():
                    inside = candidates(rule(*seen), unseen[0], axis=1)
                    covered = [inside[unseen[1] == number, number].mean() for number in range(3)]
                    found[name].append((float(np.mean(covered)), float(inside.sum(axis=1).mean())))
            means = [np.mean(found[name], axis=0) for name in RULES]
            rows.append((str(pixels), str(blocks), *(f"{100 * cover:.1f} % ({size:.2f})" for cover, size in means)))
    yield from table(("pixels in a block", "blocks", *RULES), rows)
    yield ""


def _drawn(blocks: int, pixels: int, generator: np.random.Generator) -> tuple[Array, Array, Array]:
    """Probabilities of a model that is wrong in another way in each block, labels, blocks."""
    block = np.repeat(np.arange(blocks), pixels)
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


RULES: dict[str, Callable[[Array, Array, Array], CandidateSets]] = {
    "quantile": lambda *seen: _pooled(*seen, more=0),
    "one more block": lambda *seen: _pooled(*seen, more=1),
    "kept: blocks left out": fit_sets,
}


class Tested(NamedTuple):
    """Test places, pooled over folds."""

    label: Array
    block: Array
    covered: Array
    """(N, rules), by the rules in their order."""
    level: Array
    """(N,), by the kept rule."""


def _of_tables(names: list[str], model: str) -> Iterator[str]:
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    rows, classes = [], []
    for name in names:
        places = SETS[name]()
        tested = _tested(places, model)
        levels = [f"{100 * (tested.level == level).mean():.0f}" for level in range(3)]
        by_rule = [f"{100 * tested.covered[:, rule].mean():.1f}" for rule in range(len(RULES))]
        low, high = _interval(tested.covered[:, -1], tested.block)
        blocks = str(len(np.unique(tested.block)))
        rows.append((name, str(len(tested.label)), blocks, *by_rule, f"{low:.1f} to {high:.1f}", " / ".join(levels)))
        for number, code in enumerate(places.legend.codes):
            inside = tested.label == number
            if inside.any():
                found = tested.covered[inside, -1]
                low, high = _interval(found, tested.block[inside])
                classes.append((name, code, str(inside.sum()), f"{100 * found.mean():.1f}", f"{low:.0f} to {high:.0f}"))
    heads = [f"{rule}, %" for rule in RULES]
    yield from table(("set", "places", "blocks", *heads, "95 % interval", "certain / two / unknown, %"), rows)
    yield ""
    yield from table(("set", "class", "places", "coverage, %", "95 % interval"), classes)
    yield ""


def _tested(places: SeriesTable, model: str) -> Tested:
    """Every labelled place once, by a model and sets that have not seen its block."""
    parts = []
    for fold in outer_folds(places, FOLDS, 0):
        block, label = places.block[fold.training], places.label[fold.training]
        inner = divide_blocks(block, label, len(places.legend), min(INNER, len(np.unique(block))), 0)
        training, validation = (places.of(fold.training[where]) for where in (inner != 0, inner == 0))
        test = places.of(fold.test)
        fitted = LEARNERS[model](training, validation, 0)
        held_out = fitted.validation
        assert held_out is not None, "there are validation places"
        calibration, sets = fit_calibration(held_out, validation.label, validation.block)
        answers = calibrated(calibration, fitted.probabilities(test), axis=1)
        own = calibrated(calibration, held_out, axis=1)
        every = CandidateSets(nominal=NOMINAL, least=(None,) * len(places.legend), blocks=(0,) * len(places.legend))
        made = [RULES["quantile"], RULES["one more block"]]
        rules = [*(rule(own, validation.label, validation.block) for rule in made), sets or every]
        rank = np.arange(len(test))
        covered = np.stack([candidates(rule, answers, axis=1)[rank, test.label] for rule in rules], axis=1)
        parts.append((test.label, test.block, covered, certainty_levels(rules[-1], answers, axis=1)[0]))
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
    quick={"parts": ["blocks", "tables"], "sets": ["Bahia"], "draws": 2, "model": "logistic"},
)

if __name__ == "__main__":
    main()
