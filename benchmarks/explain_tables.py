"""Which month decides the crops of real parcels? The explanation of a model of a series table.

    python benchmarks/explain_tables.py DIR [--models lightgbm tempcnn]

The table is `france_lpis_2023_dekads` under AGRIFM_DATA (default ../shared/data): Sentinel-2 in dekads of 500 parcels
of western France, March to October 2023. A project is made and trained in DIR (finished models are used again), and
each model is explained by month on the test places. There is no truth here, only what agronomists expect.
"""

import argparse
import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from measure import Command, table

from agrifm.config import read_project
from agrifm.explain.explanation import Request
from agrifm.explain.write_explanation import TABLE, write_explanation
from agrifm.record import model_file
from agrifm.train.project import train_project

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data")) / "france_lpis_2023_dekads"
PROJECT = """\
[season]
start = 2023-03-01
end = 2023-10-31
[labels]
series = "{data}/series.parquet"
file = "places.csv"
products = ["sentinel-2-worldcereal"]
unlabelled = ["drop"]
[labels.columns]
label = "label"
block = "cell"
period = "dekad"
[model]
names = {models}
steps = {steps}
calibration = false
"""


def report(options: argparse.Namespace) -> Iterator[str]:
    """Lines of the result: by class and model the months that speak most for it."""
    options.directory.mkdir(parents=True, exist_ok=True)
    places = pd.read_csv(DATA / "splits.csv").merge(pd.read_parquet(DATA / "samples.parquet"), on="sample_id")
    places[["sample_id", "label", "cell", "lon", "lat"]].to_csv(options.directory / "places.csv", index=False)
    text = PROJECT.format(data=DATA.resolve(), models=json.dumps(options.models), steps=options.steps)
    (options.directory / "agrifm.toml").write_text(text, encoding="utf-8")
    project = read_project(options.directory)
    scores = train_project(project)["models"]
    rows = []
    for name in options.models:
        out = options.directory / f"why-{name}"
        write_explanation(project, model_file(project.models, name), out, Request(bands=False))
        rows += list(rows_of(name, out / TABLE))
    header = ("model", "class", "places", "blocks", "first month", "points", "second month", "points")
    yield from table(header, rows, left=(0, 1, 4, 6))
    yield ""
    yield "macro F1 on the test places: " + ", ".join(f"{name} {scores[name]['macro_f1']:.3f}" for name in scores)


def rows_of(name: str, file: Path) -> Iterator[list[str]]:
    """The two months of each class whose absence costs it most, with 95 % intervals over blocks."""
    with file.open(encoding="utf-8") as text:
        found = [row for row in csv.DictReader(text) if row["unit"] == "probability" and row["contribution"]]
    for code in dict.fromkeys(row["class"] for row in found):
        own = sorted((row for row in found if row["class"] == code), key=lambda row: -float(row["contribution"]))
        shown = [
            text
            for row in own[:2]
            for text in (
                row["start"][:7],
                f"{100 * float(row['contribution']):.1f}"
                + (f" ({100 * float(row['low']):.1f} to {100 * float(row['high']):.1f})" if row["low"] else ""),
            )
        ]
        yield [name, code, own[0]["pixels"], own[0]["blocks"], *shown]


main = Command(
    __doc__,
    report,
    {
        "directory": {"type": Path, "help": "of the project; finished models are used again"},
        "--models": {"nargs": "+", "default": ["lightgbm", "tempcnn"]},
        "--steps": {"type": int, "default": 300, "help": "of training networks, default 300"},
    },
    ("torch", "lightgbm"),
)

if __name__ == "__main__":
    main()
