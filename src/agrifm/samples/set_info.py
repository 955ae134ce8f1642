"""`agrifm samples info` of a public set: what it is, whose, and what it holds, in lines of text."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError
from agrifm.legend import UNLABELLED, Legend
from agrifm.samples.public.public_set import PublicSet, SetWindows
from agrifm.samples.table import SeriesTable
from agrifm.season import day_date
from agrifm.work import progress

MOST_WINDOWS = 100
"""Windows whose labels are counted, evenly spread over the set: each has to be read."""
MOST_DIVISIONS = 8
"""Official divisions that have a line of their own."""


def parsed_choices(written: list[str]) -> dict[str, Any]:
    """Return the further arguments of a reader from NAME=VALUE; with commas it is several values.

    Raises:
        LabelError: one has no "=".
    """
    choices = {}
    for entry in written:
        name, equals, value = entry.partition("=")
        if not equals or not name.strip():
            raise LabelError(
                f"reading a public set: the choice {entry!r} is not NAME=VALUE, as side=24 or bands=B04,", key=entry
            )
        parts = tuple(_value(part.strip()) for part in value.split(",") if part.strip())
        choices[name.strip()] = parts if "," in value else _value(value.strip())
    return choices


def _value(text: str) -> str | int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def describe_set(public: PublicSet, describe_table: Callable[[SeriesTable], list[str]]) -> list[str]:
    """Describe a public set in lines of text: name, licence, citation, divisions, and its places or windows by class.

    Args:
        describe_table: describes a table in lines of text.

    Raises:
        LabelError: a file of one of its windows is absent or damaged.
    """
    facts = public.facts
    kind = "windows" if public.windows is not None else "places"
    lines = [
        f"{facts.title} (public set '{facts.name}'): {len(public)} {kind}",
        f"licence: {facts.licence}",
        f"citation: {facts.citation}",
        f"source: {facts.source}",
        *_divisions(public, kind),
    ]
    if public.table is not None:
        table = describe_table(public.table)
        return [*lines, *table, *(note for note in public.notes if note not in table)]
    assert isinstance(public.content, SetWindows)
    for sensor in public.sensors:
        lines.append(f"{sensor.sensor}: {', '.join(sensor.bands)} ({sensor.quantity}), {sensor.resolution:g} m")
    return [*lines, *_windows(public.content, public.legend), *public.notes]


def _divisions(public: PublicSet, kind: str) -> list[str]:
    if not public.folds:
        return ["no official division"]
    lines = []
    for name, parts in list(public.folds.items())[:MOST_DIVISIONS]:
        counts = ", ".join(f"{part} {len(indices)}" for part, indices in parts.items())
        lines.append(f"official division '{name}': {counts} {kind}")
    further = list(public.folds)[MOST_DIVISIONS:]
    return [*lines, *([f"and {len(further)} further official divisions"] if further else [])]


def _windows(content: SetWindows, legend: Legend) -> list[str]:
    """Size and dates of the windows, and the pixels of each class, from at most `MOST_WINDOWS` of them."""
    chosen = np.unique(np.linspace(0, len(content) - 1, min(len(content), MOST_WINDOWS)).round().astype(int)).tolist()
    pixels, found = np.zeros(UNLABELLED + 1, np.int64), np.zeros(UNLABELLED + 1, np.int64)
    sizes, dates, days = set(), set(), []
    with progress("windows", len(chosen)) as advance:
        for index in chosen:
            sample = content[index]
            counts: NDArray[np.int64] = np.bincount(sample.label.ravel(), minlength=UNLABELLED + 1)
            pixels, found = pixels + counts, found + (counts > 0)
            sizes.add(sample.label.shape)
            for series in sample.series.values():
                dates.add(len(series.date))
                days += [int(series.date.min()), int(series.date.max())] if len(series.date) else []
            advance(1)
    read = f"of {len(chosen)} of {len(content)} windows" if len(chosen) < len(content) else "of all windows"
    shapes = ", ".join(f"{height} x {width}" for height, width in sorted(sizes))
    lines = []
    if days:
        between = f"{day_date(min(days))} to {day_date(max(days))}"
        lines.append(f"{read}: {shapes} pixels, {min(dates)} to {max(dates)} dates of a sensor, {between}")
    order = [number for number in np.argsort(-pixels[: len(legend)], kind="stable").tolist() if pixels[number]]
    for number in order:
        entry = legend.classes[number]
        name = "" if entry.name == entry.code else f" ({entry.name})"
        lines.append(f"class {entry.code}{name}: {pixels[number]} pixels in {found[number]} windows")
    absent = [entry.code for number, entry in enumerate(legend.classes) if not pixels[number]]
    if absent:
        lines.append(f"classes without a pixel in these windows: {', '.join(absent)}")
    share = pixels[UNLABELLED] / max(pixels.sum(), 1)
    return [*lines, f"unlabelled: {share:.0%} of the pixels"]
