"""AgriFM and the random forest on a finished demo: other seeds, and macro F1 against time spent on training.

`seeds` trains AgriFM as the demo does with three more seeds. The blocks are the demo's, so every model is scored on
the same unseen pixels, each against the demo's forest with a paired interval over blocks; the mean of the four
stands below them.

`time` trains both from scratch with more and more effort, up to an hour: AgriFM with more steps, each run with a
schedule of its own; the forest with more pixels of each parcel, then more trees. It writes a figure and its numbers.

    python benchmarks/demo_seeds.py seeds DIR [--out benchmarks/results/DATE-demo-seeds.txt]
    python benchmarks/demo_seeds.py time DIR [--out benchmarks/results/DATE-demo-time.txt] [--figure docs/demo-time.png]

Both continue where they were stopped: what is trained stays in DIR/seeds and DIR/time.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from agrifm.classic import forest as forests
from agrifm.config import ModelConfig, Project, read_project
from agrifm.cube.store import open_cube
from agrifm.files import write_json
from agrifm.inference.predictor import load_model
from agrifm.record import ModelRecord
from agrifm.train.data import Data, prepare, project_labels
from agrifm.train.evaluate import compare, predict_labelled, score
from agrifm.train.forest import train_forest
from agrifm.train.run import describe_differences, train_models

SEEDS = (1, 2, 3)
"""Beside the demo's own, 0."""
HOUR = 3600.0
STEPS = (50, 150, 500, 1500, 5000, 15_000, 50_000)
FORESTS = ((2, 300), (8, 300), (32, 300), (128, 300), (128, 1000), (128, 3000))
"""Pixels per parcel, and trees."""


def main() -> None:
    """Print the table, and write it with --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("seeds", "time"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    project = read_project(options.directory)
    cube = open_cube(project.cube)
    data = prepare(cube, project_labels(project, cube), project.labels.block, project.model)
    head = f"demo, {options.what}, {date.today()}, {platform.machine()}, {os.cpu_count()} cores"
    lines = [f"{head}, load before {os.getloadavg()[0]:.1f}; {data.split.blocks['test']} unseen blocks"]
    if options.what == "seeds":
        lines += seeds(project, data)
    else:
        found = list(effort(project, data))
        lines += [
            f"{one['model']:<14} {one['effort']:<28} {one['seconds']:8.0f} s  {one['macro_f1']:.3f}" for one in found
        ]
        if options.figure:
            draw(found, options.figure)
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def seeds(project: Project, data: Data) -> list[str]:
    """A line per seed, and the mean."""
    shown = data.unseen.label
    forest = predict_labelled(load_model(project.models / "random-forest.skops"), data.tiles, shown)
    other = score(forest, data.unseen, data.labels.legend.codes)["macro_f1"]
    lines, scores, differences = [f"random-forest, seed {project.model.seed}: macro F1 {other:.3f}"], [], []
    for seed in (project.model.seed, *SEEDS):
        weights = project.models / "agrifm.safetensors"
        if seed != project.model.seed:
            weights = _agrifm(project.model.model_copy(update={"seed": seed}), data, project.path(f"seeds/{seed}"))
        predicted = predict_labelled(load_model(weights), data.tiles, shown)
        own = score(predicted, data.unseen, data.labels.legend.codes)["macro_f1"]
        difference = {
            "model": f"agrifm, seed {seed}",
            "against": "random-forest",
            **compare(predicted, forest, data.unseen, len(data.labels.legend)),
        }
        lines.append(f"{own:.3f}  {describe_differences([difference])[0]}")
        scores.append(own)
        differences.append(difference["macro_f1"])
    lines.append(f"{np.mean(scores):.3f}  mean of {len(scores)} seeds: {np.mean(differences):+.3f}")
    return lines


def effort(project: Project, data: Data) -> Iterator[dict[str, Any]]:
    """Macro F1 and seconds of training, of both models with more and more effort."""
    directory = project.path("time")
    for steps in STEPS:
        own = directory / f"agrifm-{steps}"
        weights = _agrifm(project.model.model_copy(update={"steps": steps}), data, own)
        seconds = json.loads(weights.with_suffix(".timing.json").read_text(encoding="utf-8"))["seconds"]
        macro = json.loads((own / "scores.json").read_text(encoding="utf-8"))["models"]["agrifm"]["macro_f1"]
        yield {"model": "agrifm", "effort": f"{steps} steps at most", "seconds": seconds, "macro_f1": macro}
        if seconds > HOUR:
            break
    record = load_model(project.models / "random-forest.skops").record
    for pixels, trees in FORESTS:
        found = _forest(record, project.model, data, pixels, trees, directory / f"forest-{pixels}-{trees}.json")
        yield found
        if found["seconds"] > HOUR:
            break


def _agrifm(config: ModelConfig, data: Data, directory: Path) -> Path:
    """The weights of AgriFM trained into a directory, or found there."""
    weights = directory / "agrifm.safetensors"
    if not (weights.exists() and (directory / "scores.json").exists()):
        directory.mkdir(parents=True, exist_ok=True)
        train_models(data, config.model_copy(update={"names": ("agrifm",)}), directory)
    return weights


def _forest(
    record: ModelRecord, config: ModelConfig, data: Data, pixels: int, trees: int, path: Path
) -> dict[str, Any]:
    """Macro F1 and seconds, tuning among them, of a forest of that effort."""
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    forests.PIXELS_PER_PLACE, forests.TREES = pixels, trees
    began = time.perf_counter()
    model = train_forest(data, config, record)
    seconds = time.perf_counter() - began
    predicted = predict_labelled(model, data.tiles, data.unseen.label)
    macro = score(predicted, data.unseen, data.labels.legend.codes)["macro_f1"]
    described = f"{pixels} pixels, {trees} trees"
    found = {"model": "random-forest", "effort": described, "seconds": round(seconds, 1), "macro_f1": macro}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, found)
    return found


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Macro F1 against seconds of training, a line per model."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for name in dict.fromkeys(one["model"] for one in found):
        own = [one for one in found if one["model"] == name]
        axes.semilogx([one["seconds"] for one in own], [one["macro_f1"] for one in own], marker="o", label=name)
    axes.set(xlabel="seconds of training, two cores", ylabel="macro F1 on unseen blocks")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
