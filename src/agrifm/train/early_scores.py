"""Scores by date from confusion counts of blocks: the content of `early-season.json`, as a table and in sentences.

Shape letters: B blocks, K classes.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.files import finite_or_none
from agrifm.record import TRAINABLE, is_classic
from agrifm.scores import Counts, block_interval, draw_blocks, f1_per_class, macro_f1, percentile_interval

LEVEL = 0.8
"""F1 whose first date is stated."""
AREA_LEVEL = 0.1
"""Share by which the predicted area of a class may be wrong when it counts as known."""
COLUMNS = ("model", "date", "quantity", "code", "name", "value", "low", "high", "pixels")


def early_content(
    counts: Mapping[date, Mapping[str, Any]],
    scores: Mapping[str, Any],
    level: float,
    blocks: int,
) -> dict[str, Any]:
    """Return the content of `early-season.json`.

    Args:
        counts: by date in order and model, confusion counts (B, K, K).
        scores: the content of `scores.json`.
        level: F1 whose first date is stated.
        blocks: of the test.
    """
    legend = scores["legend"]["classes"]
    tested = [number for number, entry in enumerate(legend) if entry["code"] in scores["tested"]]
    classes = [{"code": legend[number]["code"], "name": legend[number]["name"]} for number in tested]
    models = {}
    for name in next(iter(counts.values())):
        rows = [
            {"date": day.isoformat(), **date_scores(np.array(found[name]), tested, [one["code"] for one in classes])}
            for day, found in counts.items()
        ]
        models[name] = {
            "how": _how(name),
            "fingerprint": scores["models"][name]["training"].get("fingerprint"),
            "dates": rows,
            "first": {one["code"]: _first(rows, one["code"], level) for one in classes},
        }
    content: dict[str, Any] = finite_or_none(
        {
            "level": level,
            "area_level": AREA_LEVEL,
            "dates": [day.isoformat() for day in counts],
            "classes": classes,
            "blocks": blocks,
            "models": models,
            "notes": [],
        }
    )
    return content


def _how(name: str) -> str:
    """How a model answers on a date."""
    if TRAINABLE[name].parts:
        return "mean of the network and of the classic model that is trained for each date"
    return "trained for each date" if is_classic(name) else "one model of the whole season"


def date_scores(per_block: Counts, tested: Sequence[int], codes: Sequence[str]) -> dict[str, Any]:
    """Return scores of one date from confusion counts (B, K, K), with 95 % intervals over blocks.

    `area_error` is the predicted area of a class as a share of its true area, minus 1.

    Args:
        tested: numbers of the classes of the test, and `codes` their codes.
    """
    if not per_block.size:
        unknown = dict.fromkeys(codes, float("nan"))
        nowhere = dict.fromkeys(codes, (float("nan"),) * 2)
        return {
            "pixels": 0, "macro_f1": float("nan"), "macro_f1_interval": (float("nan"),) * 2,
            "f1": unknown, "f1_interval": nowhere, "area_error": unknown, "area_error_interval": nowhere,
        }  # fmt: skip
    counts = per_block.sum(axis=0)
    drawn = [np.tensordot(times, per_block, 1) for times in draw_blocks(len(per_block))]
    found: dict[str, Any] = {
        "pixels": int(counts.sum()),
        "macro_f1": macro_f1(counts),
        "macro_f1_interval": block_interval(per_block, macro_f1),
    }
    for quantity, of_classes in (("f1", f1_per_class), ("area_error", _area_errors)):
        draws = np.array([of_classes(one) for one in drawn]).reshape(-1, counts.shape[0])
        values = of_classes(counts)
        found[quantity] = {code: float(values[number]) for code, number in zip(codes, tested, strict=True)}
        found[f"{quantity}_interval"] = {
            code: percentile_interval(draws[:, number]) for code, number in zip(codes, tested, strict=True)
        }
    return found


def _area_errors(counts: Counts) -> NDArray[np.float64]:
    """By class, the predicted pixels as a share of the true ones, minus 1; NaN of a class that does not occur."""
    predicted, true = counts.sum(axis=1).astype(float), counts.sum(axis=0)
    return np.asarray(np.divide(predicted, true, out=np.full(len(true), np.nan), where=true > 0) - 1)


def _first(rows: Sequence[Mapping[str, Any]], code: str, level: float) -> dict[str, str | None]:
    """The first dates from which on a class keeps a level until the end of the season; None = never.

    `f1`: by its F1; `f1_surely`: by the lower end of its interval; `area`: by the error of its area.
    """
    reached = {
        "f1": [row["f1"][code] >= level for row in rows],
        "f1_surely": [row["f1_interval"][code][0] >= level for row in rows],
        "area": [abs(row["area_error"][code]) <= AREA_LEVEL for row in rows],
    }
    return {
        key: next((row["date"] for at, row in enumerate(rows) if all(is_so[at:])), None)
        for key, is_so in reached.items()
    }


def early_table(content: Mapping[str, Any]) -> str:
    """Return all scores by date as CSV, a row for each number; an undefined number is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(content))
    return text.getvalue()


def _rows(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, model in content["models"].items():
        for row in model["dates"]:
            head = {"model": name, "date": row["date"], "pixels": row["pixels"]}
            low, high = row["macro_f1_interval"]
            yield {**head, "quantity": "macro_f1", "value": row["macro_f1"], "low": low, "high": high}
            for quantity in ("f1", "area_error"):
                for one in content["classes"]:
                    low, high = row[f"{quantity}_interval"][one["code"]]
                    value = row[quantity][one["code"]]
                    yield {**head, "quantity": quantity, **one, "value": value, "low": low, "high": high}


def early_lines(content: Mapping[str, Any]) -> list[str]:
    """Return the macro F1 by date of each model, and the first dates of its classes, in sentences."""
    lines = list(content["notes"])
    for name, model in content["models"].items():
        by_date = [
            f"{row['date']} {'undefined' if row['macro_f1'] is None else format(row['macro_f1'], '.3f')}"
            for row in model["dates"]
        ]
        lines.append(f"{name} ({model['how']}), macro F1 on unseen blocks: {', '.join(by_date)}")
        first = [f"{one['name']} {model['first'][one['code']]['f1'] or 'never'}" for one in content["classes"]]
        lines.append(f"{name}, F1 of at least {content['level']:g} from that date on: {', '.join(first)}")
    return lines
