"""The report as one HTML page that needs no network and no script: pictures and style are inside, text is escaped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agrifm.assess.class_map import ClassMap
from agrifm.assess.confusion import Confusion
from agrifm.assess.early_season_part import early_part
from agrifm.assess.film_strip import strip_pictures
from agrifm.assess.page_pictures import draw_maps
from agrifm.legend import Legend
from agrifm.pictures import confidence_rgba, scale_bar
from agrifm.scores import interval_words

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "report.html.jinja"
UNDEFINED = "–"
SCALE_BAR_SHARE = 0.3
"""Largest share of the map's width that the scale bar covers."""
MAX_DISTRICTS = 200
"""Districts in the page; all are in the tables."""
MAX_DECIMALS = 4
"""Of an interval whose ends would look alike with fewer."""


def page_environment() -> "Environment":
    """Return the templates of pages, with filters that write numbers."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("agrifm.assess", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"ha": format_hectares, "percent": format_percent, "share": _share, "signed": _signed}
    environment.filters |= {"ha_interval": _hectares_interval, "percent_interval": _percent_interval}
    environment.filters |= {"error": _error, "short_ha": short_hectares, "short_interval": _short_interval}
    return environment


def render_page(
    report: dict[str, Any], mapped: ClassMap, confusion: Confusion, scores: dict[str, Any] | None, truth: Path | None
) -> str:
    """Return the page of a report.

    Args:
        report: the content of `report.json`.
        scores: scores on unseen blocks, with their legend.
        truth: raster of true classes to show next to the map.
    """
    environment = page_environment()
    scale, scale_share = scale_bar(mapped.grid, SCALE_BAR_SHARE)
    strip = strip_pictures(mapped, confusion.classes, report.get("early_maps", []))
    small, large = draw_maps(mapped, confusion.classes, truth, sum(picture.characters for picture in strip))
    names = [entry.name for entry in confusion.classes]
    shares = report["confusion"]["area_shares"]
    return environment.get_template(TEMPLATE).render(
        report=report,
        headline=headline(report, confusion),
        classes=confusion.classes,
        has_map=[bool(size > 0) for size in confusion.hectares],
        small=small,
        pictures=large,
        shown={layer.number for layer in small.layers},
        scale=scale,
        scale_share=scale_share,
        confidence_colors=_confidence_colors(),
        rows=_rows(report),
        chart=_chart(report["areas"]),
        matrix=matrix_cells(names, confusion.counts.tolist()),
        share_matrix=matrix_cells(names, shares),
        districts=sorted(report.get("districts", []), key=lambda one: -one["mapped_ha"])[:MAX_DISTRICTS],
        districts_left_out=max(0, len(report.get("districts", [])) - MAX_DISTRICTS),
        confidence=_confidence(report, names),
        levels=[{**level, "rows": _rows(level)} for level in report.get("levels", [])],
        models=_models(scores),
        early=early_part(report),
        strip=strip,
    )


def headline(report: dict[str, Any], confusion: Confusion) -> str:
    """Return the largest crop's area and the map's accuracy in a sentence; an area that is not estimated is counted."""
    crops = [area for area, entry in zip(report["areas"], confusion.classes, strict=True) if entry.scored]
    overall = report["overall_accuracy"]
    if not report["probability_sample"]:
        largest = max(crops or report["areas"], key=lambda area: area["mapped_ha"])
        units = "polygons" if "unit" in report["design"] else "points"
        return (
            f"{largest['name']}: {short_hectares(largest['mapped_ha'])}\xa0ha counted on the map, not estimated; "
            f"{format_percent(overall['estimate'])} right at the reference {units}"
        )
    largest = max(crops or report["areas"], key=lambda area: area["area_ha"])
    return (
        f"{largest['name']}: {short_hectares(largest['area_ha'])}\xa0ha ({_short_interval(largest)}); map accuracy "
        f"{format_percent(overall['estimate'])} ({_percent_interval(overall['interval'])})"
    )


def _hectares_interval(area: Mapping[str, Any]) -> str:
    """The interval of a class's area, with the decimals of the area."""
    more = range(MAX_DECIMALS + 1)
    return _different_ends([[format_hectares(end, _size(area), n) for end in area["interval_ha"]] for n in more])


def _short_interval(area: Mapping[str, Any]) -> str:
    """The interval of a class's area with about three digits."""
    more = range(MAX_DECIMALS + 1)
    return _different_ends([[short_hectares(end, _size(area), n) for end in area["interval_ha"]] for n in more])


def _size(area: Mapping[str, Any]) -> float:
    """What decides the decimals of an area's interval: the area, and of an area of 0 the upper end."""
    return float(area["area_ha"] or area["interval_ha"][1])


def _percent_interval(interval: Sequence[float] | None, decimals: int = 0) -> str:
    """An interval of a share as percentages; empty if it is undefined."""
    if interval is None:
        return ""
    return _different_ends([[format_percent(end, n) for end in interval] for n in range(decimals, MAX_DECIMALS + 1)])


def _different_ends(versions: Sequence[Sequence[str]]) -> str:
    """An interval as text, in the first version whose ends differ; in words if they are equal."""
    for low, high in versions:
        if low != high:
            return f"{low}\xa0to\xa0{high}"
    return "every pixel is a reference point"


def _error(area: Mapping[str, Any]) -> str:
    """The standard error of an area; a dash where all points of each class agree, which does not mean certainty."""
    error = area["standard_error_ha"]
    return format_hectares(error, area["area_ha"]) if error > 0 else UNDEFINED


def format_hectares(value: float, next_to: float | None = None, more: int = 0) -> str:
    """Return hectares with as many decimals as their size, or that of the number next to it, deserves, and `more`."""
    if value == 0:
        return "0"
    size = abs(value if next_to is None else next_to)
    text = f"{value:,.{more + (0 if size >= 100 else 1 if size >= 10 else 2)}f}"  # about three digits
    return text.replace("-", "−")


def short_hectares(value: float, next_to: float | None = None, more: int = 0) -> str:
    """Return hectares with about three digits, and `more`, for those who read and do not compute: 51.7 million."""
    size = abs(value if next_to is None else next_to)
    if size >= 1e6:
        return f"{format_hectares(value / 1e6, size / 1e6, more)}\xa0million"
    beyond = len(str(int(size))) - 3
    if beyond <= 0:
        return format_hectares(value, size, more)
    return format_hectares(round(value, -max(0, beyond - more)), size, max(0, more - beyond))


def format_percent(value: float | None, decimals: int = 0) -> str:
    """Return a share as a percentage, or a dash if it is undefined."""
    return UNDEFINED if value is None else f"{100 * value:.{decimals}f}\xa0%".replace("-", "−")


def _share(value: float | None, interval: Sequence[float] | None = None) -> str:
    """A score with two decimals, and its interval."""
    if value is None:
        return UNDEFINED
    span = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval and None not in interval else ""
    return f"{value:.2f}{span}"


def _signed(value: float, interval: Sequence[float | None]) -> str:
    """A difference of scores with its sign, and its interval."""
    return f"{value:+.2f} ({interval_words(interval, '.2f')})".replace("-", "−")


def _confidence_colors(steps: int = 6) -> list[str]:
    """Colours (#rrggbb) of confidence from 0 to 100 percent in equal steps."""
    return [f"#{bytes(color[:3].tolist()).hex()}" for color in confidence_rgba(np.ma.array(np.linspace(0, 100, steps)))]


def _rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Areas and accuracies by class, for the table of classes."""
    scores = ("users_accuracy", "producers_accuracy", "f1")
    lists = (report[name] for name in ("areas", *scores))
    return [{**area, "accuracies": accuracies} for area, *accuracies in zip(*lists, strict=True)]


def _chart(areas: list[dict[str, Any]]) -> dict[str, Any]:
    """Positions of bars, whiskers and ticks, percent of the chart's width."""
    # The axis includes zero and every end of an interval, with 2 % of room on the right.
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


def _confidence(report: dict[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """Rows of the confidence at the reference points, by range and by class, in per cent of the width of a bar."""
    found = report.get("confidence")
    if found is None:
        return None
    of_code = dict(zip(report["confusion"]["codes"], names, strict=True))

    def row(name: str, one: Mapping[str, Any]) -> dict[str, Any]:
        low, high = (round(100 * end, 2) for end in one["right"]["interval"])
        return {"name": name, **one, "at": 100 * one["right"]["estimate"], "low": low, "span": high - low}

    words = [
        (f"up to {one['high']:.0%}" if one["low"] == 0 else f"{one['low']:.0%} to {one['high']:.0%}").replace(
            "%", "\xa0%"
        )
        for one in found["ranges"]
    ]
    return {
        "whole": found["whole"],
        "ranges": [row(name, one) for name, one in zip(words, found["ranges"], strict=True)],
        "classes": [row(of_code[one["code"]], one) for one in found["classes"]],
    }


def _round_step(width: float) -> float:
    """The smallest of 1, 2, 5, 10 … (or 0.1, 0.2 …) that is at least `width`."""
    power = 10.0 ** (len(str(int(width))) - 1) if width >= 1 else 10.0 ** -(len(f"{1 / width:.0f}"))
    return float(next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= width))


def matrix_cells(names: Sequence[str], counts: list[list[Any]]) -> dict[str, Any]:
    """Return a matrix with totals and the share of each cell in its row; classes that never occur are left out."""
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
    if scores.get("legend"):
        names = {entry.code: entry.name for entry in Legend.model_validate(scores["legend"]).classes}
    scored = scores.get("scored") or list(names)
    tested = scores.get("tested") or scored
    models = [{"name": name, **model} for name, model in scores["models"].items()]
    return {
        "models": models,
        "one_class": next((one["name"] for model in models if (one := model.get("one_class"))), None),
        "majority": (scores.get("majority_class") or {}).get("overall_accuracy"),
        "blocks": scores.get("blocks"),
        "differences": [
            difference
            for difference in scores.get("differences") or []
            if None not in (difference["macro_f1"], *difference["macro_f1_interval"])
        ],
        "tested": [(code, names.get(code, code)) for code in tested],
        "reliability": [
            (model["name"], model["reliability"])
            for model in models
            if (model.get("reliability") or {}).get("expected_calibration_error")
        ],
        "left_out": [names.get(code, code) for code in tested if code not in scored],
        "matrices": [
            (model["name"], matrix_cells(list(names.values()), model["counts"]))
            for model in models
            if len(model.get("counts") or []) == len(names) > 0
        ],
    }
