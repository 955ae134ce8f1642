"""How AgriFM is trained on series tables: recipes compared on inner blocks of the visible real sets, all sets at once.

The test places of a fold are never seen: of the training of each outer fold of `compare_real_sets.py` a quarter of the
blocks is held out, and the macro F1 of those places is the score. One recipe is chosen for all sets, by the mean over
sets. It is also chosen from the training of each fold number alone, which is the choice nested inside that fold; where
these agree with the common choice, it was not tuned on any test.

    python benchmarks/table_recipes.py --runs RUNS.jsonl [--sets Bahia Africa] [--part 0/2]     measure what is missing
    python benchmarks/table_recipes.py --runs RUNS.jsonl --table --out benchmarks/results
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from compare_real_sets import SETS
from measure import RUNS, Command, Run, by_shape, measure_missing, table

from agrifm.model_config import ModelConfig
from agrifm.recipe import TABLE_RECIPE, Recipe
from agrifm.samples.folds import inner_split
from agrifm.samples.table import SeriesTable
from agrifm.scores import confusion_counts, macro_f1
from agrifm.train.learners import FRAMES, RATES, STEPS
from agrifm.train.protocol import LabelledSet, ProtocolConfig, divide_set
from agrifm.train.table_network import fit_network_on_table

HIDDEN = TABLE_RECIPE


class Trial(NamedTuple):
    """A recipe, and how long it trains."""

    recipe: Recipe = HIDDEN
    steps: int = STEPS
    seeds: int = 1
    """Networks whose probabilities are averaged."""


TRIALS: dict[str, Trial] = {
    "hidden frames 50 %": Trial(),
    "no augmentation": Trial(Recipe()),
    "+ shift 30 days": Trial(HIDDEN.model_copy(update={"shift": 30})),
    "+ stretch 15 days": Trial(HIDDEN.model_copy(update={"stretch": 15})),
    "+ cut 20 %": Trial(HIDDEN.model_copy(update={"cut": 0.2})),
    "+ bands 20 %": Trial(HIDDEN.model_copy(update={"bands": 0.2})),
    "+ light 5 %": Trial(HIDDEN.model_copy(update={"light": 0.05})),
    "+ averaging": Trial(HIDDEN.model_copy(update={"averaging": 0.98})),
    "+ logit adjustment": Trial(HIDDEN.model_copy(update={"logit_adjustment": True})),
    "+ cut 20 %, light 5 %": Trial(HIDDEN.model_copy(update={"cut": 0.2, "light": 0.05})),
    "+ 200 steps": Trial(steps=200),
    "+ 800 steps": Trial(steps=800),
    "+ three seeds": Trial(seeds=3),
}


class Shape(NamedTuple):
    """One training."""

    set: str
    fold: int
    trial: str
    seed: int


@cache
def _set(name: str) -> LabelledSet:
    return LabelledSet(name, SETS[name]())


def inner_parts(name: str, fold: int) -> tuple[SeriesTable, SeriesTable]:
    """The training and the validation places inside the training of an outer fold."""
    labelled = _set(name)
    division = divide_set(labelled, ProtocolConfig(leaks="remove", distance=100))
    outer = division.folds[fold]
    training, validation = inner_split(labelled.table, outer.training, 0)
    return labelled.table.of(training), labelled.table.of(validation)


def measure(shape: Shape, known: Mapping[Shape, Run]) -> Run:
    """Train once, and score the validation places."""
    training, validation = inner_parts(shape.set, shape.fold)
    trial = TRIALS[shape.trial]
    config = ModelConfig(
        names=("agrifm",), frames=FRAMES, steps=trial.steps, learning_rate=RATES["agrifm"], recipe=trial.recipe
    )
    began = time.process_time()
    probability = np.zeros((len(validation), len(training.legend)))
    for seed in range(shape.seed, shape.seed + trial.seeds):
        fitted = fit_network_on_table(training, training, config, seed)
        probability += fitted.probabilities(validation)
    guess = probability.argmax(axis=1)
    counts = confusion_counts(guess, validation.label, len(training.legend))
    return {
        "shape": shape._asdict(),
        "macro_f1": macro_f1(counts),
        "seconds": round(time.process_time() - began, 1),
    }


def shapes(options: argparse.Namespace) -> list[Shape]:
    """All trainings, one trial after the other in each set and fold, so that a stopped run compares equal numbers."""
    return [
        Shape(name, fold, trial, seed)
        for seed in range(options.seeds)
        for fold in options.folds
        for name in options.sets
        for trial in options.trials
    ]


def scores(options: argparse.Namespace, runs: Mapping[Shape, Run], trial: str) -> np.ndarray:
    """Macro F1 (sets, folds, seeds) of a trial; NaN where it was not trained."""
    return np.array(
        [
            [
                [runs.get(Shape(name, fold, trial, seed), {}).get("macro_f1", np.nan) for seed in range(options.seeds)]
                for fold in options.folds
            ]
            for name in options.sets
        ]
    )


def report(options: argparse.Namespace) -> Iterator[str]:
    """Measure what is missing, or report the table and the choices."""
    if not options.table:
        measure_missing(Shape, shapes(options), options, measure)
        return
    runs = by_shape(Shape, options.runs)
    found = {trial: scores(options, runs, trial) for trial in options.trials}
    first, rows = options.trials[0], []
    for trial, values in found.items():
        gain = (values - found[first]).mean(axis=2).ravel()
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        by_set = [f"{value:.3f}" for value in values.mean(axis=(1, 2))]
        seconds = np.median([run["seconds"] for shape, run in runs.items() if shape.trial == trial])
        rows.append((trial, *by_set, f"{values.mean():.3f}", f"{gain.mean():+.3f}", f"{error:.3f}", f"{seconds:.0f}"))
    header = ("recipe", *options.sets, "mean", "gain", "its standard error", "seconds")
    yield from table(header, rows)
    yield ""
    yield f"chosen on all inner blocks: {_best(found, slice(None))}"
    for at, fold in enumerate(options.folds):
        yield f"chosen inside the training of fold {fold} alone: {_best(found, slice(at, at + 1))}"


def _best(found: Mapping[str, np.ndarray], folds: slice) -> str:
    return max(found, key=lambda trial: float(np.nan_to_num(found[trial][:, folds].mean(), nan=-1)))


OPTIONS = {
    **RUNS,
    "--sets": {"nargs": "+", "choices": list(SETS), "default": ["France", "Bahia", "Mato Grosso", "Africa"]},
    "--folds": {"nargs": "+", "type": int, "default": [0, 1, 2, 3, 4], "help": "outer folds"},
    "--trials": {"nargs": "+", "choices": list(TRIALS), "default": list(TRIALS)},
    "--seeds": {"type": int, "default": 1, "help": "trainings of each trial in each fold, default 1"},
    "--table": {"action": "store_true", "help": "report what was measured"},
}
main = Command(__doc__, report, OPTIONS, ("torch",))

if __name__ == "__main__":
    main()
