"""The report as one HTML page that needs no network: pictures and style are inside it, and all text is escaped.

Pictures are read at reduced size, so that large maps do not fill the memory.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cos, radians
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling

from agrifm.assess.class_map import ClassMap, open_classified
from agrifm.assess.confusion import Confusion
from agrifm.class_raster import read_class_raster
from agrifm.codes import code_of
from agrifm.errors import AssessmentError
from agrifm.grid import Grid
from agrifm.legend import UNLABELLED, Legend
from agrifm.pictures import class_rgba, confidence_rgba, png, read_reduced, reduced_shape, rgb, scale_bar

CONFIDENCE_FILE = "confidence.tif"
"""Raster of confidence that agrifm writes next to a map."""
TEMPLATE = "report.html.jinja"
UNDEFINED = "–"
PICTURE_SIDE = 1200
"""Longer side of a picture, pixels."""
UNKNOWN_COLOR = "#000000"
"""Colour of classes in the truth that the map does not have."""
SCALE_BAR_SHARE = 0.3
"""Largest share of the map's width that the scale bar covers."""


@dataclass(frozen=True)
class PagePicture:
    """A PNG as a data URL, and the ratio of its width to its height on the ground."""

    address: str
    pixels: tuple[int, int]
    """Height and width in pixels."""
    ratio: float


def render_page(
    report: dict[str, Any], mapped: ClassMap, confusion: Confusion, scores: dict[str, Any] | None, truth: Path | None
) -> str:
    """Return the page of a report.

    Args:
        report: the content of `report.json`.
        scores: scores on unseen blocks, with their legend.
        truth: raster of true classes to show next to the map.
    """
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
    scale, scale_share = scale_bar(mapped.grid, SCALE_BAR_SHARE)
    return environment.get_template(TEMPLATE).render(
        report=report,
        headline=headline(report, confusion),
        classes=confusion.classes,
        has_map=[bool(size > 0) for size in confusion.hectares],
        pictures=_pictures(mapped, confusion, truth),
        scale=scale,
        scale_share=scale_share,
        confidence_colors=_confidence_colors(),
        rows=_rows(report),
        chart=_chart(report["areas"]),
        matrix=_matrix([entry.name for entry in confusion.classes], confusion.counts.tolist()),
        districts=report.get("districts", []),
        levels=[{**level, "rows": _rows(level)} for level in report.get("levels", [])],
        models=_models(scores),
    )


def headline(report: dict[str, Any], confusion: Confusion) -> str:
    """Return the largest crop's area and the map's accuracy in one sentence."""
    crops = [area for area, entry in zip(report["areas"], confusion.classes, strict=True) if entry.scored]
    largest = max(crops or report["areas"], key=lambda area: area["area_ha"])
    overall = report["overall_accuracy"]
    return (
        f"{largest['name']}: {format_hectares(largest['area_ha'])}\xa0ha ({_hectares_interval(largest)}, 95\xa0%); map "
        f"accuracy {format_percent(overall['estimate'])} ({_percent_interval(overall['interval'])})"
    )


def _hectares_interval(area: Mapping[str, Any]) -> str:
    """The interval of a class's area, with the decimals of the area."""
    return "\xa0to\xa0".join(format_hectares(end, area["area_ha"]) for end in area["interval_ha"])


def _percent_interval(interval: Sequence[float] | None, decimals: int = 0) -> str:
    """An interval of a share as percentages; empty if it is undefined."""
    return "\xa0to\xa0".join(format_percent(end, decimals) for end in interval or ())


def format_hectares(value: float, next_to: float | None = None) -> str:
    """Return hectares with as many decimals as their size, or that of the number next to it, deserves."""
    size = abs(value if next_to is None else next_to)
    text = f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"  # about three digits
    return text.replace("-", "−")


def format_percent(value: float | None, decimals: int = 0) -> str:
    """Return a share as a percentage, or a dash if it is undefined."""
    return UNDEFINED if value is None else f"{100 * value:.{decimals}f}\xa0%".replace("-", "−")


def _share(value: float | None, interval: Sequence[float] | None = None) -> str:
    """A score with two decimals, and its interval."""
    if value is None:
        return UNDEFINED
    span = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval and None not in interval else ""
    return f"{value:.2f}{span}"


def _signed(value: float, interval: Sequence[float]) -> str:
    """A difference of scores with its sign, and its interval."""
    return f"{value:+.2f} ({interval[0]:.2f} to {interval[1]:.2f})".replace("-", "−")


def _pictures(mapped: ClassMap, confusion: Confusion, truth: Path | None) -> list[dict[str, Any]]:
    colors = {entry.code: entry.color for entry in (*mapped.legend.classes, *confusion.classes)}
    pictures = [{"title": "The map", "kind": "classes", "picture": _class_picture(mapped, colors)}]
    if truth is not None:
        pictures.append({"title": "The truth", "kind": "classes", "picture": _truth_picture(truth, mapped, colors)})
    confidence = mapped.path.parent / CONFIDENCE_FILE
    if confidence.exists() and confidence != mapped.path:
        with open_classified(confidence) as source:
            percent = read_reduced(source, PICTURE_SIDE, Resampling.average)
        picture = _picture(confidence_rgba(percent), mapped.grid)
        pictures.append({"title": "Confidence of the map", "kind": "confidence", "picture": picture})
    return pictures


def _class_picture(mapped: ClassMap, colors: Mapping[str, str]) -> PagePicture:
    """The map in its classes' colours (#rrggbb per code), north up, nodata transparent."""
    with open_classified(mapped.path) as source:
        pixels = read_reduced(source, PICTURE_SIDE)
    return _colored(pixels, mapped.grid, dict(zip(mapped.values, mapped.legend.codes, strict=True)), colors)


def _truth_picture(path: Path, mapped: ClassMap, colors: Mapping[str, str]) -> PagePicture:
    """True classes on the ground of the map; matched by the truth's legend, or by pixel value as code.

    Raises:
        AssessmentError: the file cannot be read as a raster, or has no CRS.
    """
    from rasterio.vrt import WarpedVRT

    height, width = reduced_shape(mapped.grid.shape, PICTURE_SIDE)
    rows, cols = mapped.grid.shape
    # The map's grid with larger pixels, so that both pictures show the same ground.
    fine = mapped.grid.transform
    transform = Affine(fine.a * cols / width, 0, fine.c, 0, fine.e * rows / height, fine.f)
    with open_classified(path) as source:
        if source.crs is None:
            raise AssessmentError(
                f"reading the truth {path}: it has no coordinate reference system; assign one", path=path
            )
        stated = read_class_raster(source, path, f"reading the truth {path}", AssessmentError)
        crs, legend = mapped.grid.crs.to_wkt(), stated.legend
        nodata = source.nodata if source.nodata is not None else (UNLABELLED if legend else None)
        with WarpedVRT(source, crs=crs, transform=transform, width=width, height=height, src_nodata=nodata) as view:
            pixels = view.read(1, masked=True)
    if legend:
        codes = {float(number): code for number, code in enumerate(legend.codes)}
    else:
        codes = {value: code_of(value) for value in np.unique(pixels.compressed()).astype(float).tolist()}
    return _colored(pixels, mapped.grid, codes, colors)


def _colored(
    pixels: np.ma.MaskedArray[Any, Any], grid: Grid, codes: Mapping[float, str], colors: Mapping[str, str]
) -> PagePicture:
    by_value = {value: (*rgb(colors.get(code, UNKNOWN_COLOR)), 255) for value, code in codes.items()}
    return _picture(class_rgba(pixels, by_value), grid)


def _picture(rgba: NDArray[np.uint8], grid: Grid) -> PagePicture:
    if grid.transform.e > 0:  # rows run northwards
        rgba = rgba[::-1]
    left, bottom, right, top = grid.bounds
    ratio = (right - left) / (top - bottom)
    if grid.crs.geographic:  # a degree of longitude is shorter than one of latitude
        ratio *= cos(radians((bottom + top) / 2))
    address = "data:image/png;base64," + base64.b64encode(png(rgba)).decode()
    return PagePicture(address, (rgba.shape[0], rgba.shape[1]), ratio)


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
    if scores.get("legend"):
        names = {entry.code: entry.name for entry in Legend.model_validate(scores["legend"]).classes}
    scored = scores.get("scored") or list(names)
    tested = scores.get("tested") or scored
    models = [{"name": name, **model} for name, model in scores["models"].items()]
    return {
        "models": models,
        "majority": (scores.get("majority_class") or {}).get("overall_accuracy"),
        "blocks": scores.get("blocks"),
        "differences": [
            difference
            for difference in scores.get("differences") or []
            if None not in (difference["macro_f1"], *difference["macro_f1_interval"])
        ],
        "tested": [(code, names.get(code, code)) for code in tested],
        "left_out": [names.get(code, code) for code in tested if code not in scored],
        "matrices": [
            (model["name"], _matrix(list(names.values()), model["counts"]))
            for model in models
            if len(model.get("counts") or []) == len(names) > 0
        ],
    }
