"""How many labels the rule of `agrifm samples next` saves, against labelling places at random.

For each seed, one fold in turn is the test, and the training begins with places drawn at random. Then places are
labelled in rounds, once as `agrifm samples next` chooses them (`agrifm.inference.active_learning`), and once at random;
after each round a model is trained on what is labelled and tested on the places of the fold, which are of other blocks.
The target is the macro F1 that random choice has with a share of all training places; the number is the labels that the
rule needs for it, as a share of those that random choice needs. Both come from curves that never fall (isotonic
regression of the mean over seeds).

The rule was chosen on a simulated season of another region (monsoon, 2024). The simulated season here is the demo's, a
pixel of each parcel and of other land; it is simulated and fetched below `--directory` once.

    python benchmarks/label_next.py --directory comparison --out benchmarks/results
    python benchmarks/label_next.py --model logistic
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from compare_real_sets import SETS, SIMULATED, simulated
from measure import Command, table
from numpy.typing import NDArray

from agrifm.classic.classics import fit_classic
from agrifm.classic.singles import SINGLES
from agrifm.classic.table_rows import table_columns, table_rows
from agrifm.inference.active_learning import Candidates, choose_places, margin_uncertainty
from agrifm.samples.folds import OuterFold
from agrifm.samples.table import SeriesTable
from agrifm.scores import confusion_counts, macro_f1
from agrifm.train.protocol import LabelledSet, ProtocolConfig, divide_set

FRAMES = 24
TARGETS = (0.25, 0.5, 0.75)
"""Shares of the training places whose macro F1 under random choice is the target."""
Floats = NDArray[np.float64]


class Places:
    """A set's places as rows of features, made once."""

    def __init__(self, series: SeriesTable) -> None:
        self.rows = table_rows(series, None, FRAMES)
        self.columns = table_columns(series.sensors, FRAMES)
        self.label, self.block, self.classes = series.label, series.block, len(series.legend)

    def probabilities(self, model: str, training: NDArray[np.intp], wanted: NDArray[np.intp], seed: int) -> Floats:
        """Those of a model of the training places; the class alone where there is only one."""
        found = np.zeros((len(wanted), self.classes))
        known = np.unique(self.label[training])
        if len(known) == 1:
            found[:, known] = 1
            return found
        fitted = fit_classic(
            model,
            self.rows[training],
            self.label[training],
            groups=self.block[training],
            seed=seed,
            columns=self.columns,
        )
        found[:, fitted.classes] = fitted.probabilities(self.rows[wanted])
        return found


def report(options: argparse.Namespace) -> Iterator[str]:
    """A table for each set: macro F1 by number of labels, and the share of labels that is needed."""
    yield f"model {options.model}; {options.start} places at random first, then {options.step} a round"
    config = ProtocolConfig(leaks="remove", distance=100)
    summary = []
    with TemporaryDirectory() as scratch:
        for name in options.sets:
            folder = (options.directory or Path(scratch)) / "simulated"
            labelled = simulated(folder) if name == SIMULATED else LabelledSet(name, SETS[name]())
            folds = divide_set(labelled, config).folds
            places = Places(labelled.table)
            pairs = [(folds[seed % len(folds)], seed) for seed in range(options.seeds)]
            size = int(min(len(fold.training) for fold in folds) * max(TARGETS))
            sizes = np.arange(options.start, size + 1, options.step)
            curves = {
                rule: np.array([curve(places, rule, fold, seed, sizes, options) for fold, seed in pairs])
                for rule in ("random", "next")
            }
            yield ""
            yield f"{name}: {len(labelled.table)} places, {len(folds)} folds, {options.seeds} seeds, each with one fold"
            yield from table(("labels", "random", "next", "difference", "its standard error"), points(sizes, curves))
            training = np.mean([len(fold.training) for fold in folds])
            summary += [(name, *needed(sizes, curves, share * float(training))) for share in TARGETS]
    yield ""
    yield from table(("set", "random labels", "macro F1", "next labels", "share"), summary)


def curve(
    places: Places, rule: str, fold: OuterFold, seed: int, sizes: NDArray[np.int64], options: argparse.Namespace
) -> Floats:
    """Macro F1 (sizes,) on the test of a fold as more and more of its training places are labelled."""
    generator = np.random.default_rng([seed, fold.number])
    order = generator.permutation(fold.training)
    labelled = order[: sizes[0]]
    scores = []
    for size in sizes:
        if rule == "random":
            labelled = order[:size]
        elif size > len(labelled):
            labelled = np.concatenate([labelled, chosen(places, labelled, order, size - len(labelled), seed, options)])
        answers = places.probabilities(options.model, labelled, fold.test, seed)
        true = places.label[fold.test]
        scores.append(macro_f1(confusion_counts(answers.argmax(axis=1).astype(np.uint8), true, places.classes)))
    return np.array(scores)


def chosen(
    places: Places,
    labelled: NDArray[np.intp],
    training: NDArray[np.intp],
    number: int,
    seed: int,
    options: argparse.Namespace,
) -> NDArray[np.intp]:
    """The places that `agrifm samples next` would choose after `labelled`."""
    free = np.setdiff1d(training, labelled)
    answers = places.probabilities(options.model, labelled, free, seed)
    uncertainty = margin_uncertainty(answers)
    facts = np.zeros((len(free), 0), np.int64)
    candidates = Candidates(uncertainty, uncertainty, facts, answers.argmax(axis=1), places.rows[free])
    return np.asarray(free[choose_places(candidates, places.rows[labelled], places.label[labelled], number)[0]])


def points(sizes: NDArray[np.int64], curves: dict[str, Floats]) -> Iterator[tuple[str, ...]]:
    """A row for each of ten numbers of labels, means over seeds."""
    for at in np.unique(np.linspace(0, len(sizes) - 1, 10).round().astype(int)):
        random, rule = curves["random"][:, at], curves["next"][:, at]
        error = (rule - random).std(ddof=1) / len(rule) ** 0.5 if len(rule) > 1 else float("nan")
        numbers = (random.mean(), rule.mean(), (rule - random).mean(), error)
        yield str(sizes[at]), *(f"{number:.3f}" for number in numbers)


def needed(sizes: NDArray[np.int64], curves: dict[str, Floats], budget: float) -> tuple[str, ...]:
    """Labels for the macro F1 that random choice has with `budget` labels, and their share of the budget."""
    from scipy.optimize import isotonic_regression

    rising = {rule: isotonic_regression(found.mean(axis=0)).x for rule, found in curves.items()}
    budget = min(budget, float(sizes[-1]))
    target = float(np.interp(budget, sizes, rising["random"]))
    least = {rule: _first(sizes, found, target) for rule, found in rising.items()}
    share = least["next"] / least["random"]
    return f"{least['random']:.0f}", f"{target:.3f}", f"{least['next']:.0f}", f"{share:.2f}"


def _first(sizes: NDArray[np.int64], rising: Floats, target: float) -> float:
    """The number of labels at which a curve reaches a value, between its points; infinite if it never does."""
    at = int(np.searchsorted(rising, target - 1e-9))
    if at == len(sizes):
        return float("inf")
    if at == 0 or rising[at] == rising[at - 1]:
        return float(sizes[at])
    share = (target - rising[at - 1]) / (rising[at] - rising[at - 1])
    return float(sizes[at - 1] + share * (sizes[at] - sizes[at - 1]))


main = Command(
    __doc__,
    report,
    {
        "--sets": {"nargs": "+", "choices": [*SETS, SIMULATED], "default": [SIMULATED, "France", "Bahia"]},
        "--model": {"choices": list(SINGLES), "default": "extra-trees", "help": "trained after each round"},
        "--start": {"type": int, "default": 20, "help": "places drawn at random first, default 20"},
        "--step": {"type": int, "default": 20, "help": "places labelled in a round, default 20"},
        "--seeds": {"type": int, "default": 5, "help": "draws of the first places, each with the next fold, default 5"},
        "--directory": {"type": Path, "help": "where the simulated season is kept"},
    },
    ("scikit-learn", "lightgbm"),
    quick={"sets": ["Bahia"], "model": "logistic", "seeds": 1, "step": 150},
)

if __name__ == "__main__":
    main()
