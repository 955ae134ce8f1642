"""The report of a comparison as one HTML page that needs no network: pictures and style are inside, text is escaped."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from agrifm.train.comparison_pictures import budget_plot, calibration_plot, dot_plot

TEMPLATE = "comparison.html.jinja"
DASH = "–"


def render_comparison(content: Mapping[str, Any]) -> str:
    """Return the page of a comparison.

    Args:
        content: of `comparison.json`.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("agrifm.train", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "within": _within, "signed": _signed, "seconds": _seconds}
    rows = list(content["results"])
    budgets = list(dict.fromkeys(row["budget"] for row in rows))
    scored = [row for row in rows if not row["failure"]]
    full = budgets[-1] if "100 %" not in budgets else "100 %"
    return environment.get_template(TEMPLATE).render(
        content=content,
        budgets=budgets,
        full=full,
        headline=_headline(scored, full),
        tables=[(budget, _table(rows, content, budget)) for budget in budgets],
        sets=[_set(name, about, scored, budgets, full) for name, about in content["sets"].items()],
        failures=[row for row in rows if row["failure"]],
    )


def _headline(rows: Sequence[Mapping[str, Any]], budget: str) -> str:
    """Which model has the highest mean macro F1 over the sets, in one sentence."""
    names = {row["set"] for row in rows}
    means = {
        model: sum(row["macro_f1"] for row in found) / len(found)
        for model in dict.fromkeys(row["model"] for row in rows)
        if len(found := [row for row in rows if row["model"] == model and row["budget"] == budget]) == len(names)
    }
    if not means:
        return "No model was scored on every set"
    best = max(means, key=lambda model: means[model])
    what = f"{len(names)} sets" if len(names) > 1 else next(iter(names))
    return f"{best} has the highest macro F1, {means[best]:.3f} on {what} with {budget} of the labels"


def _table(rows: Sequence[Mapping[str, Any]], content: Mapping[str, Any], budget: str) -> list[dict[str, Any]]:
    """A row for each model, with its result on each set, and whether it is the best there."""
    found = {(row["set"], row["model"]): row for row in rows if row["budget"] == budget}
    names = list(content["sets"])
    best = {
        name: max(
            (row["macro_f1"] for (of, _), row in found.items() if of == name and not row["failure"]), default=None
        )
        for name in names
    }
    table = []
    for model in content["models"]:
        cells = [found.get((name, model)) for name in names]
        scores = [cell["macro_f1"] for cell in cells if cell and not cell["failure"]]
        table.append(
            {
                "model": model,
                "cells": [
                    None if not cell or cell["failure"] else {**cell, "is_best": cell["macro_f1"] == best[cell["set"]]}
                    for cell in cells
                ],
                "mean": sum(scores) / len(scores) if len(scores) == len(names) else None,
            }
        )
    return table


def _set(
    name: str, about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], budgets: Sequence[str], full: str
) -> dict[str, Any]:
    """What the section of a set shows."""
    own = [row for row in rows if row["set"] == name]
    complete = [row for row in own if row["budget"] == full]
    baseline = complete[0]["against"] if complete else ""
    pictures = []
    if complete:
        title = f"{name}, {full}"
        text = "Macro F1 of each model; the tick marks that of the scored classes"
        pictures.append((text, dot_plot(complete, baseline, title)))
        text = "Confidence and truth; numbers are calibration errors"
        pictures.append((text, calibration_plot(complete, title)))
    if own and len(budgets) > 1:
        pictures.insert(1, ("Macro F1 by number of labels", budget_plot(own, budgets, name)))
    names = {entry["code"]: entry["name"] for entry in about["legend"]["classes"]}
    return {
        "name": name,
        "about": about,
        "classes": [(names[code], code, count) for code, count in about["test_per_class"].items()],
        "pictures": [(text, "data:image/png;base64," + base64.b64encode(png).decode()) for text, png in pictures],
        "rows": own,
        "complete": complete,
        "leaks": {
            kind: sum(fold[kind] for fold in about["leaks"].values())
            for kind in next(iter(about["leaks"].values()), {})
        },
    }


def _number(value: float | None, decimals: int = 3) -> str:
    return DASH if value is None else f"{value:.{decimals}f}"


def _within(interval: Sequence[float | None], decimals: int = 3) -> str:
    return DASH if None in interval else "\xa0to\xa0".join(f"{end:.{decimals}f}" for end in interval).replace("-", "−")


def _signed(value: float | None, decimals: int = 3) -> str:
    return DASH if value is None else f"{value:+.{decimals}f}".replace("-", "−")


def _seconds(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
