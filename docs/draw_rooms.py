"""Draw docs/rooms.svg: the stages of agrifm, their sub-packages, and which stage imports which, read from the source.

    python docs/draw_rooms.py

The order of the stages, from the ground floor upwards, and the imports come from tests/test_house.py. Imports of the
ground floor are left out, because every stage may have them. Nothing that changes with every commit is drawn, so the
picture changes with the architecture only; tests/test_rooms.py fails if it is out of date.
"""

import sys
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.test_house import MODULES, OWN, STAGES, stage

PICTURE = Path(__file__).with_name("rooms.svg")
PURPOSES = {
    "ground": "grids, seasons, legends, records, files, errors: for every stage",
    "scene": "from catalogues and files to the pixels of a scene",
    "simulator": "synthetic seasons with known truth",
    "cube": "all scenes of a season on one grid",
    "fields": "from maps of boundaries to field polygons, and their quality",
    "samples": "labels, folds, patches, preparation of series",
    "models": "networks, their weights and their export",
    "classic": "classic models",
    "inference": "prediction with a trained model",
    "train": "data of a run, training, scores",
    "mapping": "from a cube and a model to a map",
    "assess": "accuracies and areas of a map, report",
    "explain": "which dates and bands decided, per class and parcel",
    "serve": "maps and reports in a browser",
    "plan": "what the steps will cost, before anything is downloaded",
    "top": "command line, demo",
}
TITLES = {"ground": "ground floor", "top": "top floor"}
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#444444", "#882255")
"""Safe for colour-blind readers (Okabe and Ito 2008)."""
KEY = (
    "A line goes down from a stage",
    "that imports other stages.",
    "A dot is an import, an arrow",
    "points to what is imported.",
)
WIDTH, HEIGHT, STEP_X, STEP_Y, MARGIN = 330, 44, 34, 60, 20
"""Of boxes, from one box to the next, and around the picture; pixels."""


class Room(NamedTuple):
    """A stage, its sub-packages, and the stages that it imports."""

    name: str
    packages: tuple[str, ...]
    imports: tuple[str, ...]


def read_rooms() -> list[Room]:
    """The stages that have modules, in order; imports of the ground floor left out."""
    rooms = []
    for name in STAGES:
        modules = [module for module in MODULES if stage(module) == name]
        packages = {module.split(".")[2] for module in modules if module.count(".") == 3}
        imported = {stage(other) for module in modules for other in OWN[module]} - {name, "ground"}
        if modules:
            order = sorted(imported, key=STAGES.index)
            rooms.append(Room(name, tuple(sorted(packages)), tuple(order)))
    return rooms


def draw(rooms: list[Room]) -> str:
    """The picture as SVG: a staircase of boxes, the ground floor at the bottom."""
    ground, *stages = rooms
    width = 2 * MARGIN + WIDTH + STEP_X * (len(stages) - 1)
    height = 2 * MARGIN + STEP_Y * len(stages) + HEIGHT
    left = {room.name: MARGIN + STEP_X * number for number, room in enumerate(stages)}
    top = {room.name: height - MARGIN - HEIGHT - STEP_Y * (number + 1) for number, room in enumerate(stages)}
    lines, dots = [], []
    for room in stages:
        importers = [other.name for other in stages if room.name in other.imports]
        if importers:  # one arrow into the imported stage, which all lines of its importers join
            y = top[room.name] + HEIGHT / 2
            x = left[room.name] + WIDTH
            lines.append(f'<path d="M{_lane(left[importers[-1]])} {y}H{x + 8}" stroke="#999999"/>')
            dots.append(f'<path d="M{x} {y}l9 -5v10z" fill="#666666"/>')
    for room, color in zip((room for room in stages if room.imports), cycle(COLORS), strict=False):
        x, lowest = _lane(left[room.name]), top[room.imports[0]] + HEIGHT / 2
        lines.append(f'<path d="M{x} {top[room.name] + HEIGHT}V{lowest}" stroke="{color}"/>')
        for name in room.imports:
            dots.append(f'<circle cx="{x}" cy="{top[name] + HEIGHT / 2}" r="5" fill="{color}"/>')
    key = [
        f'<text x="{MARGIN}" y="{MARGIN + 18 * number}" font-size="12" fill="#444444">{text}</text>'
        for number, text in enumerate(KEY, start=1)
    ]
    boxes = [_box(ground, MARGIN, height - MARGIN - HEIGHT, width - 2 * MARGIN)]
    boxes += [_box(room, left[room.name], top[room.name], WIDTH) for room in stages]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, sans-serif">',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            '<g fill="none" stroke-width="2.5">', *lines, "</g>",
            *dots,
            *key,
            *boxes,
            "</svg>",
        ]
    ) + "\n"  # fmt: skip


def _lane(left: float) -> float:
    """Where the line of a stage goes down: right of all boxes below it."""
    return left + WIDTH - STEP_X / 2


def _box(room: Room, x: float, y: float, width: float) -> str:
    """A stage's box: its name, sub-packages and purpose."""
    packages = f"/ {', '.join(room.packages)}" if room.packages else ""
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{HEIGHT}" rx="5" fill="#f4f4f4" stroke="#444444"/>\n'
        f'<text x="{x + 10}" y="{y + 18}" font-size="14" font-weight="bold">{TITLES.get(room.name, room.name)}'
        f'<tspan dx="5" font-weight="normal" font-size="12">{packages}</tspan></text>\n'
        f'<text x="{x + 10}" y="{y + 35}" font-size="12">{PURPOSES[room.name]}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(read_rooms()), encoding="utf-8")
