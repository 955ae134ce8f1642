"""How soon are the crops of a simulated season known? Scores by date of a network and of classic models.

    python benchmarks/early_season.py DIR

DIR is any trained project, such as a region that benchmarks/explain_truth.py made. The network is one model for all
dates, the classic model is trained for each date (docs/early-season.md).
"""

import argparse
import json
from collections.abc import Iterator
from typing import Any

from measure import DEMO, Command, table

from agrifm.config import read_project
from agrifm.train.early_season import EARLY_SEASON, assess_by_date


def report(options: argparse.Namespace) -> Iterator[str]:
    """Lines of the result: macro F1 by date, then the first dates of each class."""
    project = read_project(options.directory)
    if not options.finished:
        assess_by_date(project, level=options.level)
    early = json.loads((project.models / EARLY_SEASON).read_text(encoding="utf-8"))
    trained = json.loads((project.models / "scores.json").read_text(encoding="utf-8"))["models"]
    yield from table(("macro F1 until", *early["models"]), rows_by_date(early))
    yield ""
    yield "the end of the season in scores.json: " + ", ".join(
        f"{name} {trained[name]['macro_f1']:.3f}" for name in early["models"]
    )
    yield f"unseen blocks: {early['blocks']}; in brackets 95 % intervals over them"
    yield ""
    yield from table(("F1 until", *(entry["name"] for entry in early["classes"])), rows_of_classes(early))
    yield ""
    header = [f"{name}: {what}" for name in early["models"] for what in ("F1", "surely", "area")]
    yield from table((f"from when F1 {early['level']:g}", *header), rows_by_class(early))


def rows_by_date(early: dict[str, Any]) -> Iterator[list[str]]:
    """Macro F1 with interval of each model."""
    for at, day in enumerate(early["dates"]):
        found = [model["dates"][at] for model in early["models"].values()]
        yield [
            day,
            *(
                f"{row['macro_f1']:.3f} ({row['macro_f1_interval'][0]:.3f} to {row['macro_f1_interval'][1]:.3f})"
                for row in found
            ),
        ]


def rows_of_classes(early: dict[str, Any]) -> Iterator[list[str]]:
    """F1 of each class by date, model after model."""
    for name, model in early["models"].items():
        for row in model["dates"]:
            yield [f"{row['date']} {name}", *(f"{row['f1'][entry['code']]:.2f}" for entry in early["classes"])]


def rows_by_class(early: dict[str, Any]) -> Iterator[list[str]]:
    """First dates of each class and model."""
    for entry in early["classes"]:
        first = [model["first"][entry["code"]] for model in early["models"].values()]
        yield [entry["name"], *(one[key] or "never" for one in first for key in ("f1", "f1_surely", "area"))]


main = Command(
    __doc__,
    report,
    {
        **DEMO,
        "--level": {"type": float, "default": 0.8, "help": "of F1, default 0.8"},
        "--finished": {"action": "store_true", "help": "show what `agrifm assess --by-date` has written"},
    },
    ("torch", "lightgbm"),
)

if __name__ == "__main__":
    main()
