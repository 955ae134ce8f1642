"""How often intervals of yields hold the yields of unseen fields (nominal 90 %), over many divisions into blocks.

A project of the task "yield" with its cube is trained again for each seed, which divides the blocks anew: `classic` and
the mean yield. Every division has other training, validation and unseen blocks of the same season, so the divisions are
not independent. Coverage is also stated by thirds of the true yield, and the error next to the mean yield's.

    python examples/14_rice_yield_simulated.py DIR
    python benchmarks/yield_coverage.py DIR --seeds 10 --out benchmarks/results
"""

import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measure import Command, table

from agrifm.config import PROJECT_FILE, read_project
from agrifm.train.project import train_project

MODELS = ("classic", "mean")


def report(options: Namespace) -> Iterator[str]:
    """Train with each seed; yield a line for each, then the means over all."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in MODELS}
    rows = []
    for seed in range(options.seeds):
        scores = scores_of(options.directory, seed)
        for name in MODELS:
            found[name].append(scores["models"][name])
        cells = [f"{scores['models'][name][key]:.3f}" for name in MODELS for key in ("coverage", "rmse")]
        rows.append([str(seed), str(scores["fields"]["validation"]), str(scores["fields"]["test"]), *cells])
    heads = [
        "seed",
        "validation fields",
        "unseen fields",
        *(f"{name} {key}" for name in MODELS for key in ("in", "RMSE")),
    ]
    yield from table(heads, rows)
    yield ""
    summary = []
    for name in MODELS:
        coverage = np.array([entry["coverage"] for entry in found[name]])
        thirds = np.mean([entry["coverage_of_thirds"]["true"] for entry in found[name]], axis=0)
        numbers = [coverage.mean(), coverage.std(), coverage.min(), coverage.max(), *thirds]
        means = [np.mean([entry[key] for entry in found[name]]) for key in ("half_width", "rmse", "r2", "bias")]
        summary.append([name, *(f"{one:.3f}" for one in (*numbers, *means))])
    yield from table(
        ["model", "in, mean", "std", "lowest", "highest", "lowest third", "middle", "highest third", "half width, t/ha",
         "RMSE", "R²", "bias"],
        summary,
    )  # fmt: skip


def scores_of(directory: Path, seed: int) -> dict[str, Any]:
    """Train `classic` of a project with a seed in a directory of its own, on the same cube."""
    with TemporaryDirectory(prefix="yields-") as place:
        for path in directory.iterdir():
            if path.name not in ("models", PROJECT_FILE) and not path.name.startswith("."):
                os.symlink(path.resolve(), Path(place) / path.name)
        (Path(place) / PROJECT_FILE).write_text((directory / PROJECT_FILE).read_text())
        project = read_project(place)
        model = project.model.model_copy(update={"names": ("classic",), "seed": seed})
        return train_project(project.model_copy(update={"model": model}))


OPTIONS: dict[str, dict[str, Any]] = {
    "directory": {"type": Path, "help": "a project of yields with its cube (example 14)"},
    "--seeds": {"type": int, "default": 10, "help": "divisions into blocks"},
}
main = Command(__doc__, report, OPTIONS, ("scikit-learn", "lightgbm"))

if __name__ == "__main__":
    main()
