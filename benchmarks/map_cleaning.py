"""What smoothing and a minimum mapping unit do to a map: its pixels on unseen blocks, its small regions, the seconds.

    python benchmarks/map_cleaning.py DIR

DIR is a trained project on a cube, such as a finished demo. Each of its models makes a map with probabilities once,
below `--scratch`; the map's pixels are then cleaned again and again. Truth is that of the whole test blocks (in a
simulated season of all land, edges of fields included).
"""

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rasterio
from measure import DEMO, Command, table
from numpy.typing import NDArray

from agrifm.config import Project, read_project
from agrifm.cube.store import open_cube
from agrifm.legend import UNLABELLED
from agrifm.mapping.class_smoothing import smoothed_scores
from agrifm.mapping.probability_layer import ONE, PROBABILITIES_FILE
from agrifm.mapping.run import map_area
from agrifm.mapping.small_regions import without_small_regions
from agrifm.record import model_file
from agrifm.samples.split import HeldOutBlocks, held_out_blocks, split_blocks
from agrifm.scores import block_interval, confusion_counts, macro_f1, overall_accuracy
from agrifm.train.data import project_labels

MODELS = ("agrifm", "classic")
SIDES = (0, 3, 5, 7, 9)
UNITS = (0.0, 0.05, 0.1, 0.2, 0.5)
"""Hectares."""
SMALL = 10
"""Pixels below which a region is counted as small."""


def report(options: argparse.Namespace) -> Iterator[str]:
    """A table for each model."""
    project = read_project(options.directory)
    cube = open_cube(project.cube)
    labels = project_labels(project, cube)
    held = held_out_blocks(labels, split_blocks(labels, project.labels.block, project.model.seed))
    yield f"{len(np.unique(held.block[held.label != UNLABELLED]))} test blocks, pixels of {cube.target.resolution:g} m"
    for name in options.models:
        with TemporaryDirectory() as scratch:
            probabilities = _probabilities(project, name, Path(scratch))
        yield ""
        header = (name, "overall", "macro F1, all classes", "changed", f"regions < {SMALL} px", "s / 100 km2")
        yield from table(header, _rows(probabilities, held, float(cube.target.pixel_hectares()[0])))


def _probabilities(project: Project, name: str, scratch: Path) -> NDArray[np.float32]:
    """(C, H, W), NaN where the map has no class."""
    model = model_file(project.models, name, project.model.seeds)
    window = project.map.window or 96
    map_area(project.cube, model, scratch / "map", window, min(project.map.overlap, window // 2), probabilities=True)
    with rasterio.open(scratch / "map" / PROBABILITIES_FILE) as source:
        stored = source.read()
    return np.where(stored == UNLABELLED, np.nan, stored / ONE).astype(np.float32)


def _rows(probabilities: NDArray[np.float32], held: HeldOutBlocks, hectares: float) -> Iterator[list[str]]:
    known = ~np.isnan(probabilities[0])
    likeliest = np.where(known, np.nan_to_num(probabilities).argmax(axis=0), UNLABELLED).astype(np.uint8)
    km2 = known.sum() * hectares / 100
    for side in SIDES:
        number, seconds = likeliest, 0.0
        if side:
            margin = ((0, 0), *((side // 2, side // 2),) * 2)
            began = time.process_time()
            scores = smoothed_scores(np.pad(probabilities, margin, constant_values=np.nan), side)
            seconds = time.process_time() - began
            number = np.where(known, np.nan_to_num(scores, nan=-np.inf).argmax(axis=0), UNLABELLED).astype(np.uint8)
        yield [f"smoothing {side}", *_scores(number, likeliest, known, held), f"{100 * seconds / km2:.1f}"]
    for unit in UNITS[1:]:
        began = time.process_time()
        number = without_small_regions(likeliest, round(unit / hectares), np.zeros(known.shape, bool))
        seconds = time.process_time() - began
        yield [f"unit {unit:g} ha", *_scores(number, likeliest, known, held), f"{100 * seconds / km2:.1f}"]


def _scores(
    number: NDArray[np.uint8], likeliest: NDArray[np.uint8], known: NDArray[np.bool_], held: HeldOutBlocks
) -> list[str]:
    tested = known & (held.label != UNLABELLED)
    classes = len(held.scored)
    blocks = np.unique(held.block[tested])
    parts = [tested & (held.block == block) for block in blocks]
    counts = np.stack([confusion_counts(number[part], held.label[part], classes) for part in parts])
    low, high = block_interval(counts, partial(macro_f1))
    whole = counts.sum(axis=0)
    regions = without_small_regions(number, SMALL, np.zeros(known.shape, bool))
    return [
        f"{overall_accuracy(whole):.3f}",
        f"{macro_f1(whole):.3f} ({low:.3f} to {high:.3f})",
        f"{100 * (number != likeliest)[known].mean():.1f} %",
        f"{100 * (regions != number)[known].mean():.1f} % of pixels",
    ]


main = Command(
    __doc__,
    report,
    {**DEMO, "--models": {"nargs": "+", "default": list(MODELS), "help": "default: agrifm, classic"}},
    ("scipy", "rasterio", "torch"),
)

if __name__ == "__main__":
    main()
