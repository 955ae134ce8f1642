"""The report as one page of HTML that needs no network: pictures and style are inside it, everything is escaped."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agrifm.assess.class_map import ClassMap
from agrifm.assess.confusion import Confusion
from agrifm.assess.estimators import Z95
from agrifm.assess.pictures import class_picture, confidence_colors, confidence_picture, scale_bar, truth_picture
from agrifm.legend import Legend

CONFIDENCE = "confidence.tif"
"""Raster of confidence that lies beside a map of ours."""
TEMPLATE = "report.html.jinja"
NONE = "–"


def render(
    report: dict[str, Any], mapped: ClassMap, confusion: Confusion, scores: dict[str, Any] | None, truth: Path | None
) -> str:
    """The page of a report.

    Args:
        report: the content of `report.json`.
        scores: scores on unseen blocks, with their legend.
        truth: raster of true classes to show beside the map.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("agrifm.assess", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"ha": hectares, "percent": percent, "share": _share, "signed": _signed}
    scale, scale_share = scale_bar(mapped.grid)
    return environment.get_template(TEMPLATE).render(
        report=report,
        headline=headline(report, confusion),
        classes=confusion.classes,
        has_map=[bool(size > 0) for size in confusion.hectares],
        pictures=_pictures(mapped, confusion, truth),
        scale=scale,
        scale_share=scale_share,
        confidence_colors=confidence_colors(),
        rows=_rows(report),
        chart=_chart(report["areas"]),
        matrix=_matrix([entry.name for entry in confusion.classes], confusion.counts.tolist()),
        models=_models(scores),
        z=Z95,
    )


def headline(report: dict[str, Any], confusion: Confusion) -> str:
    """The largest crop's area and the map's accuracy in one sentence."""
    crops = [area for area, entry in zip(report["areas"], confusion.classes, strict=True) if entry.scored]
    largest = max(crops or report["areas"], key=lambda area: area["area_ha"])
    overall = report["overall_accuracy"]
    return (
        f"{largest['name']}: {hectares(largest['area_ha'])}\xa0ha ±\xa0"
        f"{hectares(Z95 * largest['standard_error_ha'], largest['area_ha'])}\xa0ha (95\xa0%); map accuracy "
        f"{percent(overall['estimate'])} ±\xa0{percent(Z95 * overall['standard_error'])}"
    )


def hectares(value: float, beside: float | None = None) -> str:
    """Hectares with as many decimals as their size (or that of the number beside) deserves."""
    size = abs(value if beside is None else beside)
    text = f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"
    return text.replace("-", "−")


def percent(value: float | None, decimals: int = 0) -> str:
    """A share as a percentage; a dash where undefined."""
    return NONE if value is None else f"{100 * value:.{decimals}f}\xa0%".replace("-", "−")


def _share(value: float | None, interval: Sequence[float] | None = None) -> str:
    """A score with two decimals, and its interval."""
    if value is None:
        return NONE
    span = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval and None not in interval else ""
    return f"{value:.2f}{span}"


def _signed(value: float, interval: Sequence[float]) -> str:
    """A difference of scores with its sign, and its interval."""
    return f"{value:+.2f} ({interval[0]:.2f} to {interval[1]:.2f})".replace("-", "−")


def _pictures(mapped: ClassMap, confusion: Confusion, truth: Path | None) -> list[dict[str, Any]]:
    colors = {entry.code: entry.color for entry in (*mapped.legend.classes, *confusion.classes)}
    found = [{"title": "The map", "kind": "classes", "picture": class_picture(mapped, colors)}]
    if truth is not None:
        found.append({"title": "The truth", "kind": "classes", "picture": truth_picture(truth, mapped, colors)})
    confidence = mapped.path.parent / CONFIDENCE
    if confidence.exists() and confidence != mapped.path:
        picture = confidence_picture(confidence, mapped.grid)
        found.append({"title": "Confidence of the map", "kind": "confidence", "picture": picture})
    return found


def _rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything known of each class, for the table of classes."""
    lists = (report["areas"], report["users_accuracy"], report["producers_accuracy"])
    return [{**area, "users": users, "producers": producers} for area, users, producers in zip(*lists, strict=True)]


def _chart(areas: list[dict[str, Any]]) -> dict[str, Any]:
    """Where bars, whiskers and ticks lie, percent of the chart's width."""
    low = min(0.0, *(area["interval_ha"][0] for area in areas))
    high = 1.02 * max(max(area["interval_ha"][1], area["mapped_ha"]) for area in areas)
    step = _round_step((high - low) / 4)
    ticks = [step * k for k in range(int(low // step) + (low % step > 0), int(high // step) + 1)]

    def at(value: float) -> float:
        return float(round(100 * (value - low) / (high - low), 2))

    bars = [
        {
            "zero": at(0),
            "bar": at(area["area_ha"]) - at(0),
            "low": at(area["interval_ha"][0]),
            "span": at(area["interval_ha"][1]) - at(area["interval_ha"][0]),
            "mapped": at(area["mapped_ha"]),
        }
        for area in areas
    ]
    ticks_at = [(at(tick), (f"{tick:,.0f}" if step >= 1 else f"{tick:g}").replace("-", "−")) for tick in ticks]
    return {"bars": bars, "ticks": ticks_at}


def _round_step(width: float) -> float:
    """The smallest of 1, 2, 5, 10 … (or 0.1, 0.2 …) that is at least `width`."""
    power = 10.0 ** (len(str(int(width))) - 1) if width >= 1 else 10.0 ** -(len(f"{1 / width:.0f}"))
    return float(next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= width))


def _matrix(names: Sequence[str], counts: list[list[int]]) -> dict[str, Any]:
    """A confusion matrix with totals and the share of each cell in its row; classes that never occur left out."""
    columns = [sum(row[j] for row in counts) for j in range(len(names))]
    kept = [i for i in range(len(names)) if sum(counts[i]) or columns[i]]
    rows = [
        {
            "name": names[i],
            "total": sum(counts[i]),
            "cells": [(counts[i][j], round(counts[i][j] / (sum(counts[i]) or 1), 3), i == j) for j in kept],
        }
        for i in kept
    ]
    return {
        "names": [names[j] for j in kept],
        "rows": rows,
        "totals": [columns[j] for j in kept],
        "total": sum(columns),
    }


def _models(scores: dict[str, Any] | None) -> dict[str, Any] | None:
    """The models side by side, for the tables of scores on unseen blocks."""
    if scores is None:
        return None
    names = {}
    if "legend" in scores:
        names = {entry.code: entry.name for entry in Legend.model_validate(scores["legend"]).classes}
    scored = scores.get("scored") or list(names)
    models = [{"name": name, **model} for name, model in scores["models"].items()]
    return {
        "models": models,
        "majority": (scores.get("majority_class") or {}).get("overall_accuracy"),
        "blocks": scores.get("blocks"),
        "differences": [one for one in scores.get("differences") or [] if one["macro_f1"] is not None],
        "scored": [(code, names.get(code, code)) for code in scored],
        "matrices": [
            (model["name"], _matrix(list(names.values()), model["counts"]))
            for model in models
            if len(model.get("counts") or []) == len(names) > 0
        ],
    }
