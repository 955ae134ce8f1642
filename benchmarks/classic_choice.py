"""Which classic models to average: rules for `classic`, each on real sets under the protocol of comparisons.

Every rule gets the probabilities of the inner validation, and answers with the weights of the models that are then
trained on all labels. All models are trained once; rules are free.

    python benchmarks/classic_choice.py --directory comparison --out benchmarks/results
"""

import argparse
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from compare_real_sets import SETS, overview
from measure import Command

from agrifm.classic.choice import CANDIDATES, better_half_weights
from agrifm.classic.singles import SINGLES
from agrifm.scores import probabilities_macro_f1
from agrifm.train.combination import Combination, Labels, Probability, equal_weights, weighted_mean
from agrifm.train.compare import compare_sets
from agrifm.train.learners import LEARNERS
from agrifm.train.protocol import LabelledSet, ProtocolConfig

Parts = Mapping[str, Probability]
SIX = tuple(SINGLES)


def best_weights_up_to(most: int, names: tuple[str, ...], parts: Parts, label: Labels) -> dict[str, float]:
    """The best model, or the average of the best two, three and so on, whatever has the highest macro F1 inside."""

    def score(chosen: tuple[str, ...]) -> float:
        mean = weighted_mean(parts, dict.fromkeys(chosen, 1 / len(chosen)))
        return probabilities_macro_f1(mean, label)

    if not parts:
        return dict.fromkeys(names, 1 / len(names))
    ranked = tuple(sorted(names, key=lambda name: -score((name,))))
    chosen = max((ranked[:size] for size in range(1, most + 1)), key=score)
    return dict.fromkeys(chosen, 1 / len(chosen))


RULES = {
    "better half of five": Combination(CANDIDATES, partial(better_half_weights, CANDIDATES)),
    "better half of six": Combination(SIX, partial(better_half_weights, SIX)),
    "best or average of 2 or 3 of five": Combination(CANDIDATES, partial(best_weights_up_to, 3, CANDIDATES)),
    "best of five": Combination(CANDIDATES, partial(best_weights_up_to, 1, CANDIDATES)),
    "average of five": Combination(CANDIDATES, partial(equal_weights, CANDIDATES)),
    "average of six": Combination(SIX, partial(equal_weights, SIX)),
}
"""Five are the candidates for `classic`, six also the random forest."""


def report(options: argparse.Namespace) -> Iterator[str]:
    """A row for each rule and each model."""
    sets = []
    for name in options.sets:
        table = SETS[name]()
        sets.append(LabelledSet(name, table.of(np.arange(0, len(table), options.thin))))
    config = ProtocolConfig(budgets=tuple(options.budgets), draws=options.draws, leaks="remove", distance=100)
    with TemporaryDirectory() as folder:
        content = compare_sets(sets, [*RULES, *SIX], config, options.directory or folder, LEARNERS, RULES)
    yield from overview(content)


main = Command(
    __doc__,
    report,
    {
        "--sets": {"nargs": "+", "choices": list(SETS), "default": list(SETS), "help": "default: all"},
        "--budgets": {"nargs": "+", "default": ["100 %"], "help": 'labels of each class, or shares; default "100 %%"'},
        "--draws": {"type": int, "default": 2, "help": "in each of five folds for budgets below 100 %%, default 2"},
        "--thin": {"type": int, "default": 1, "help": "every n-th place only, default 1"},
        "--directory": {"type": Path, "help": "of what was trained, to continue a stopped run"},
    },
    ("scikit-learn", "lightgbm"),
    quick={"sets": ["Bahia"], "thin": 8},
)

if __name__ == "__main__":
    main()
