"""How soon are the crops of a simulated season known? Scores by date of a network and of classic models.

    python benchmarks/early_season.py DIR
    python benchmarks/early_season.py DIR --each-date agrifm --steps 300

DIR is any trained project, such as a region that benchmarks/explain_truth.py made. The network is one model for all
dates, the classic model is trained for each date (docs/early-season.md).

With `--each-date` a network of single pixels is trained for each date too, and compared with one for all dates that
sees shortened seasons in training (`cut`), on the same labelled pixels of the cube of DIR and the same unseen blocks.
Intervals of the difference draw the same blocks for both.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
from measure import DEMO, Command, table

from agrifm.config import Project, read_project
from agrifm.cube.store import open_cube
from agrifm.model_config import ModelConfig
from agrifm.recipe import Recipe
from agrifm.samples.pixel_table import table_of_cube
from agrifm.samples.table import SeriesTable
from agrifm.scores import macro_f1
from agrifm.train.data import project_labels
from agrifm.train.early_season import EARLY_SEASON, assess_by_date, month_ends
from agrifm.train.evaluate import compare_predictions, counts_by_block
from agrifm.train.table_folds import divide_table, predict_unseen

MOST_LOST = 2
"""Points of macro F1 that one model for all dates may lose against one for each date."""


def report(options: argparse.Namespace) -> Iterator[str]:
    """Lines of the result: macro F1 by date, then the first dates of each class."""
    project = read_project(options.directory)
    if options.each_date is not None:
        yield from each_date(project, options)
        return
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


def each_date(project: Project, options: argparse.Namespace) -> Iterator[str]:
    """A network for all dates against one trained for each date, on pixels of the cube."""
    from agrifm.train.table_network import fit_network_on_table

    cube, name = open_cube(project.cube), options.each_date
    labels = project_labels(project, cube)
    pixels = table_of_cube(cube, labels, project.labels.block, options.pixels, project.model.seed)
    data = divide_table(pixels, project.model.seed)
    base = ModelConfig(
        names=(name,), series="observed", steps=options.steps, batch=8, learning_rate=2e-3, calibration=False
    )

    def fitted(whole: SeriesTable, recipe: Recipe, steps: int = options.steps) -> Any:
        own, config = replace(data, table=whole), base.model_copy(update={"recipe": recipe, "steps": steps})
        parts = own.part("train"), own.part("validation")
        return fit_network_on_table(*parts, config, options.seed, family=name).probabilities

    longer = options.one_steps or options.steps
    general = fitted(pixels, Recipe(hidden=0.5, cut=options.cut, cut_from=options.cut_from), longer)
    rows = []
    for day in month_ends(cube.season)[1:]:
        known = until(pixels, day)
        short = replace(known, season_days=(day - cube.season.start).days + 1)
        special = fitted(short, Recipe(hidden=0.5))
        guesses = [
            predict_unseen(answer, replace(data, table=seen)) for answer, seen in ((general, known), (special, short))
        ]
        counted = (data.unseen.label != 255) & (guesses[0] != 255)
        classes = len(pixels.legend)
        scores = [macro_f1(counts_by_block(one, data.unseen, counted, classes).sum(axis=0)) for one in guesses]
        difference = compare_predictions(guesses[0], guesses[1], data.unseen, classes)
        low, high = difference["macro_f1_interval"]
        loss = f"{100 * difference['macro_f1']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
        rows.append([day.isoformat(), str(int(counted.sum())), *(f"{score:.3f}" for score in scores), loss])
    header = ("until", "pixels", f"{name}, one model", f"{name}, trained for the date", "difference, points")
    yield from table(header, rows, left=(0,))
    yield ""
    places = {fold: len(data.part(fold)) for fold in ("train", "validation", "test")}
    yield f"macro F1; pixels {places}; unseen blocks: {data.blocks['test']}; in brackets 95 % intervals over them"
    yield f"{options.steps} steps of the training for each date, {longer} of the one model"
    yield f"the one model sees {options.cut:.0%} of its seasons cut, after {options.cut_from:.0%} of it at first"
    losses = [float(row[-1].split()[0]) for row in rows]
    kept = sum(one >= -MOST_LOST for one in losses)
    yield f"mean difference {np.mean(losses):+.1f} points; at most {MOST_LOST} lost on {kept} of {len(losses)} dates"


def until(pixels: SeriesTable, day: date) -> SeriesTable:
    """A table of single observations without those after a day."""
    series = {}
    for name, part in pixels.series.items():
        valid = part.valid & (part.date <= (day - date(1970, 1, 1)).days)
        series[name] = replace(part, valid=valid, values=np.where(valid[..., None], part.values, np.float32(0)))
    return replace(pixels, series=series)


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
        "--each-date": {"metavar": "NAME", "help": "compare a network of this family with one trained for each date"},
        "--steps": {"type": int, "default": 300, "help": "with --each-date: of each training, default 300"},
        "--pixels": {"type": int, "default": 8, "help": "with --each-date: most of a parcel, default 8"},
        "--cut": {"type": float, "default": 0.5, "help": "with --each-date: share of seasons cut, default 0.5"},
        "--cut-from": {
            "type": float,
            "default": 0.5,
            "help": "with --each-date: earliest cut, default half the season",
        },
        "--one-steps": {"type": int, "help": "with --each-date: of the one model, by default as many"},
        "--seed": {"type": int, "default": 0, "help": "with --each-date: of weights and order, default 0"},
        "--finished": {"action": "store_true", "help": "show what `agrifm assess --by-date` has written"},
    },
    ("torch", "lightgbm"),
)

if __name__ == "__main__":
    main()
