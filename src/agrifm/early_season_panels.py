"""Curves of F1 by date, a panel for each class, as SVG: for a file that any browser opens, and for a page.

Models differ by colour, by marker and by dashes; the colours are Paul Tol's "bright" scheme, which colour-blind readers
can tell apart. Bands are 95 % intervals.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import Any

EARLY_SEASON = "early-season.json"
"""Written by `agrifm assess --by-date` next to `scores.json`, and shown by reports."""
MODEL_COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "5 2", "1 2")
WIDTH, HEIGHT = 300, 190
"""Of a panel, in units of its text, which has 12."""
LEFT, RIGHT, TOP, BOTTOM = 34, 14, 26, 26
"""Room around the axes."""
NARROWEST = 42
"""Least distance between two dates that are written."""
ACROSS = 3
"""Panels side by side in a picture."""

Early = Mapping[str, Any]
"""The content of `early-season.json`."""


def early_panels(early: Early) -> list[str]:
    """Return a drawing (an element `svg`) for the macro F1 and one for each class."""
    days = [date.fromisoformat(day) for day in early["dates"]]
    rows = [model["dates"] for model in early["models"].values()]
    means = [[(row["macro_f1"], row["macro_f1_interval"]) for row in of_model] for of_model in rows]
    panels = [_panel("Mean of the classes (macro F1)", days, means, early["level"])]
    for entry in early["classes"]:
        code = entry["code"]
        curves = [[(row["f1"][code], row["f1_interval"][code]) for row in of_model] for of_model in rows]
        panels.append(_panel(entry["name"], days, curves, early["level"]))
    return panels


def early_key(early: Early) -> list[tuple[str, str]]:
    """Return the name of each model with a drawing of its line."""
    line = '<svg viewBox="0 0 40 12" width="40" height="12" aria-hidden="true">{}</svg>'
    return [
        (name, line.format(f'<line x1="1" y1="6" x2="39" y2="6" {_stroke(number)}/>{_marker(number, 20, 6)}'))
        for number, name in enumerate(early["models"])
    ]


def early_picture(early: Early) -> str:
    """Return all panels and their key as the text of an SVG file."""
    panels, key = early_panels(early), early_key(early)
    head = 30
    parts = [
        f'<g transform="translate({10 + 150 * number} 8)">{line}<text x="46" y="11">{escape(name)}</text></g>'
        for number, (name, line) in enumerate(key)
    ]
    for number, panel in enumerate(panels):
        x, y = WIDTH * (number % ACROSS), head + HEIGHT * (number // ACROSS)
        parts.append(f'<g transform="translate({x} {y})">{panel}</g>')
    width = max(WIDTH * min(ACROSS, len(panels)), 10 + 150 * len(key))
    height = head + HEIGHT * -(-len(panels) // ACROSS)
    font = 'font-family="sans-serif" font-size="12"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'{font}><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _panel(title: str, days: Sequence[date], curves: Sequence[Sequence[tuple[Any, Any]]], level: float) -> str:
    """A drawing of several models' scores with intervals by date; a score that is None interrupts a curve."""
    length = max(1, (days[-1] - days[0]).days)
    x = [LEFT + (day - days[0]).days / length * (WIDTH - LEFT - RIGHT) for day in days]

    def y(score: float) -> float:
        return HEIGHT - BOTTOM - score * (HEIGHT - TOP - BOTTOM)

    right = WIDTH - RIGHT
    parts = [f'<text x="{LEFT}" y="15" font-weight="600">{escape(title)}</text>']
    for tick in (0.0, 0.5, 1.0):
        parts.append(f'<line x1="{LEFT}" y1="{y(tick):.1f}" x2="{right}" y2="{y(tick):.1f}" stroke="#d4d4d4"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts.append(
        f'<line x1="{LEFT}" y1="{y(level):.1f}" x2="{right}" y2="{y(level):.1f}" stroke="#555" stroke-dasharray="3 3"/>'
    )
    for at in _written(x):
        anchor = "end" if at == len(x) - 1 else "middle"
        place = right + RIGHT if at == len(x) - 1 else x[at]
        words = f"{days[at].day} {days[at]:%b}"
        parts.append(f'<text x="{place:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{words}</text>')
    for number, curve in enumerate(curves):
        parts += _curve(number, [(at, *point) for at, point in zip(x, curve, strict=True)], y)
    words = f"F1 by date: {title}; the numbers are in the table"
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg {size} role="img" aria-label="{escape(words)}">{"".join(parts)}</svg>'


def _curve(number: int, points: Sequence[tuple[float, Any, Any]], y: Any) -> list[str]:
    """The interval, line and markers of a model."""
    parts = []
    known = [(at, score, interval) for at, score, interval in points if score is not None]
    within = [(at, *interval) for at, _, interval in known if None not in interval]
    if len(within) > 1:
        corners = [(at, high) for at, _, high in within] + [(at, low) for at, low, _ in reversed(within)]
        place = " ".join(f"{at:.1f},{y(score):.1f}" for at, score in corners)
        parts.append(f'<polygon points="{place}" fill="{_color(number)}" fill-opacity=".16"/>')
    place = " ".join(f"{at:.1f},{y(score):.1f}" for at, score, _ in known)
    parts.append(f'<polyline points="{place}" fill="none" {_stroke(number)}/>')
    return [*parts, *(_marker(number, at, y(score)) for at, score, _ in known)]


def _written(x: Sequence[float]) -> list[int]:
    """Which dates are written: the last, and before it those with room for their text."""
    chosen = [len(x) - 1]
    for at in reversed(range(len(x) - 1)):
        if x[chosen[-1]] - x[at] >= NARROWEST:
            chosen.append(at)
    return chosen


def _color(number: int) -> str:
    return MODEL_COLORS[number % len(MODEL_COLORS)]


def _stroke(number: int) -> str:
    dashes = DASHES[number % len(DASHES)]
    return f'stroke="{_color(number)}" stroke-width="2"' + (f' stroke-dasharray="{dashes}"' if dashes else "")


def _marker(number: int, x: float, y: float) -> str:
    """A circle, square, diamond or triangle."""
    corners = {1: (-4, -4, 4, -4, 4, 4, -4, 4), 2: (0, -5, 5, 0, 0, 5, -5, 0), 3: (0, -5, 5, 4, -5, 4)}
    if (shape := corners.get(number % 4)) is None:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_color(number)}"/>'
    place = " ".join(f"{x + across:.1f},{y + down:.1f}" for across, down in zip(shape[::2], shape[1::2], strict=True))
    return f'<polygon points="{place}" fill="{_color(number)}"/>'
