"""Field boundaries on unseen blocks: polygons of a network, and those of edges without learning.

    python benchmarks/boundaries.py DIR

DIR has a project (agrifm.toml) with `task = "boundaries"` and its cube. It is trained, unless it was trained before;
`models/scores.json` has the scores (docs/boundaries.md). With `--make season` a season is simulated in DIR first, with
its project; with `--make flanders` the project is of the 19 fields of `flanders_multisource_2018` under AGRIFM_DATA,
one of whose five folds is tested.
"""

import argparse
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import DEMO, SEASON_PROJECT, Command, table

from agrifm.config import Project, read_project
from agrifm.cube.fetch import fetch

MODEL = """\
[model]
task = "boundaries"
names = ["agrifm", "classic"]
frames = 12
steps = {steps}
batch = 4
"""
FLANDERS = """\
[season]
area = "area.geojson"
start = 2018-03-01
end = 2018-10-31
[[imagery.files]]
product = "sentinel-2-worldcereal"
pattern = "patch/s2_l2a_*.nc"
[labels]
file = "fields.gpkg"
other = "other.gpkg"
fold_column = "fold"
block = 480
[model]
task = "boundaries"
names = ["agrifm", "classic"]
frames = 12
series = "composites"
side = 48
steps = 100
batch = 4
"""
SCORES = {
    "f1": "object F1",
    "precision": "precision",
    "recall": "recall",
    "panoptic": "panoptic",
    "iou": "IoU",
    "over": "over-seg.",
    "under": "under-seg.",
    "edges": "boundary F1",
    "boundary_pixels_f1": "of pixels",
    "bias": "area",
}
"""Keys of the scores, and their titles in the table."""
GOALS = {"f1": 0.75, "edges": 0.76}
"""Object F1 wanted at 10 m, and boundary F1 of the AgriFM paper (Sentinel-2, EuroCrops; tolerance not stated)."""


def report(options: argparse.Namespace) -> Iterator[str]:
    """Lines of the result: counts, then a row for each model."""
    if options.make and not (options.directory / "agrifm.toml").exists():
        options.directory.mkdir(parents=True, exist_ok=True)
        (make_season if options.make == "season" else make_flanders)(options)
        fetch(read_project(options.directory))
    project = read_project(options.directory)
    if not (project.models / "scores.json").exists():
        from agrifm.train.project import train_project

        train_project(project)
    scores = json.loads((project.models / "scores.json").read_text(encoding="utf-8"))
    yield from setting(project, scores)
    rows = ([name, *(number(entry[key]) for key in SCORES)] for name, entry in scores["models"].items())
    yield from table(("on unseen blocks", *SCORES.values()), rows)
    yield ""
    yield f"goals: object F1 {GOALS['f1']}, boundary F1 {GOALS['edges']} (the AgriFM paper's, tolerance not stated)"
    yield f"boundary F1: outlines within {scores['tolerance']:g} m; of pixels: boundary pixels, without tolerance"


def make_season(options: argparse.Namespace) -> None:
    """Simulate a season, and write its project."""
    from agrifm.simulator.catalog import simulate

    simulate(options.directory / "season", size=options.size)
    text = SEASON_PROJECT.format(start="2024-03-01", end="2024-10-31").replace("block = 480", "block = 960")
    unused = ("other =", "other_values", "column", "legend")
    lines = [line for line in text.splitlines() if not line.startswith(unused)]
    (options.directory / "agrifm.toml").write_text("\n".join(lines) + "\n" + MODEL.format(steps=options.steps))


def make_flanders(options: argparse.Namespace) -> None:
    """Write a project of the fields of Flanders, as the first example prepares them; fold 0 is tested."""
    path = Path(__file__).parents[1] / "examples" / "01_two_sensors_flanders.py"
    spec = importlib.util.spec_from_file_location("flanders", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    places = example.prepare(options.directory)
    other = places.label == "no_crop"
    places[other].to_file(options.directory / "other.gpkg", driver="GPKG")
    folds = [{0: "test", 1: "validation"}.get(number, "train") for number in places.number]
    fields = places.assign(fold=folds).drop(columns="number")
    fields[~other].to_file(options.directory / "fields.gpkg", driver="GPKG")
    (options.directory / "agrifm.toml").write_text(FLANDERS)


def setting(project: Project, scores: dict[str, Any]) -> Iterator[str]:
    """Lines on what was trained on what."""
    model, fields, blocks = project.model, scores["fields"], scores["blocks"]
    yield ", ".join(f"{fold} {fields[fold]} fields in {blocks[fold]} blocks" for fold in fields)
    yield f"preset {model.preset}, {model.frames} frames, {model.steps} steps of {model.batch} windows"
    for name, entry in scores["models"].items():
        yield f"{name}: {entry['training'].get('segments') or entry['training'].get('edges')}"
    yield from (f"note: {note}" for note in scores["notes"])
    yield ""


def number(value: float | None) -> str:
    """A score with three digits."""
    return "-" if value is None else f"{value:.3f}"


main = Command(
    __doc__,
    report,
    {
        **DEMO,
        "--make": {"choices": ["season", "flanders"], "help": "what to make in the directory first"},
        "--size": {"type": float, "default": 5.0, "help": "side of the simulated square, km"},
        "--steps": {"type": int, "default": 300, "help": "training steps in a simulated season"},
    },
    ("torch", "scipy", "shapely"),
)

if __name__ == "__main__":
    main()
