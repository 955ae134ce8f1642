"""What decides the classes of a map, as `agrifm explain` found it: the periods and bands that speak most for each."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from agrifm.serve.picture_titles import title_of

FILE = "contributions.csv"
"""Table of an explanation, in its directory."""
ALL = "all"
"""Sensor or band of a row that hides all of them."""
MOST = 3
"""Periods and bands that are named."""
LARGEST = 50_000_000
"""Bytes of a table that is read."""


def deciding(directory: Path, missing: dict[str, str]) -> dict[str, dict[str, Any]]:
    """By class code, what hiding a period or a band does to the probability of the class, the largest effects first.

    Args:
        directory: of an explanation, which need not exist.
        missing: receives by title why a table that is there cannot be shown.
    """
    path = directory / FILE
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("it is too large")
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["kind"] == "class" and _is_shown(row)]
        effects = [(row, float(row["contribution"])) for row in rows if row["contribution"]]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        missing["What decides"] = f"reading {path.name}: {error}"
        return {}
    return {code: _strongest([one for one in effects if one[0]["class"] == code]) for code in _codes(rows)}


def _is_shown(row: Mapping[str, str]) -> bool:
    return row["method"] == "occlusion" and row["unit"] == "probability"


def _codes(rows: Iterable[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(row["class"] for row in rows))


def _strongest(effects: list[tuple[dict[str, str], float]]) -> dict[str, Any]:
    """The periods, with all bands, and the bands, over the season, that speak most for a class."""
    effects = sorted((one for one in effects if one[1] > 0), key=lambda one: -one[1])
    season = _season([row for row, _ in effects if row["band"] != ALL])
    periods = [(row, effect) for row, effect in effects if row["band"] == ALL]
    bands = [(row, effect) for row, effect in effects if row["band"] != ALL and (row["start"], row["end"]) == season]
    return {
        "periods": [{"start": row["start"], "end": row["end"], "effect": effect} for row, effect in periods[:MOST]],
        "bands": [
            {"sensor": title_of(row["sensor"]), "band": row["band"], "effect": effect} for row, effect in bands[:MOST]
        ],
    }


def _season(rows: list[dict[str, str]]) -> tuple[str, str] | None:
    """First and last day of the rows that are of the whole season: the longest ones."""
    return (min(row["start"] for row in rows), max(row["end"] for row in rows)) if rows else None
