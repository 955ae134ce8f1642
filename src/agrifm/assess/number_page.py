"""The page of a report on a map of yields or of shares; it needs no network and no script."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agrifm.assess.intervals import Floats
from agrifm.assess.number_pictures import FieldScatter, bars_of_hectares, scatter_of_shares, scatter_of_yields
from agrifm.assess.page import MAX_DISTRICTS, UNDEFINED, page_environment
from agrifm.codes import listed

TEMPLATE_OF_NUMBERS = "number_report.html.jinja"
SCORE_NAMES = {
    "rmse": ("Root mean square error", " t/ha"),
    "mae": ("Mean absolute error", " t/ha"),
    "bias": ("Bias: map minus reference", " t/ha"),
    "r2": ("R²", ""),
    "coverage": ("Share of the reference in the map's interval", ""),
}
ESTIMATORS = {
    "sample": "the reference alone",
    "difference": "difference: the map's sum, corrected by the mean error",
    "regression": "regression: likewise, with the slope that makes the error smallest",
}


def estimate_words(found: Mapping[str, Any] | None, decimals: int, unit: str = "") -> str:
    """Return an estimate and its 95 % interval as text; a dash where it is undefined."""
    if found is None or found["estimate"] is None:
        return UNDEFINED
    ends = found["interval"]
    span = "" if ends is None else f" ({_number(ends[0], decimals)} to {_number(ends[1], decimals)})"
    return f"{_number(found['estimate'], decimals)}{unit}{span}"


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}".replace("-", "−")


def yield_headline(report: Mapping[str, Any]) -> str:
    """Return the first line of a report on yields: the production, if it is estimated, and the error."""
    stated = (report["production"] or {}).get("stated")
    tonnes = "" if stated is None else f"{estimate_words(stated, 0, ' t')}; "
    return f"{listed(report['crop'])}: {tonnes}RMSE {estimate_words(report['scores']['rmse'], 2, ' t/ha')}"


def share_headline(report: Mapping[str, Any]) -> str:
    """Return the first line of a report on shares."""
    return f"Shares of {len(report['classes'])} classes: RMSE {estimate_words(report['scores']['rmse'], 3)}"


def render_yield_page(report: Mapping[str, Any], units: FieldScatter) -> str:
    """Return the page of a report on a map of yields.

    Args:
        report: the content of `report.json`.
    """
    crop, scores, production = listed(report["crop"]), report["scores"], report["production"]
    return _page(
        report,
        headline=report["headline"],
        scores=[
            (name, estimate_words(scores[key], 2, unit), scores[key]["standard_error"])
            for key, (name, unit) in SCORE_NAMES.items()
        ],
        pictures=[
            (
                scatter_of_yields(units, crop, report["level"]),
                f"Yields of the map, with their intervals, against the {report['reference']['used']} reference yields",
            )
        ],
        production=_production(production),
        districts=[
            (one, estimate_words(one.get("stated"), 0))
            for one in sorted(report.get("districts", []), key=lambda one: -one["hectares"])[:MAX_DISTRICTS]
        ],
    )


def _production(found: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Rows of the table of production."""
    if found is None or found["stated"] is None:
        return []
    rows = [("sum of the map's pixels, no estimate", _number(found["map_sum_t"], 0))]
    return rows + [(name, estimate_words(found[key], 0)) for key, name in ESTIMATORS.items() if key in found]


def render_share_page(report: Mapping[str, Any], names: Sequence[str], true: Floats, estimate: Floats) -> str:
    """Return the page of a report on a map of shares.

    Args:
        report: the content of `report.json`.
        names: of the classes, K.
        true, estimate: (N, K), shares of the compared pixels.
    """
    classes = report["classes"]
    order = sorted(range(len(names)), key=lambda number: -classes[number]["reference_ha"]["estimate"])
    of_reference, of_map = (
        np.array([one[key]["estimate"] for one in classes], np.float64) for key in ("reference_ha", "map_ha")
    )
    rows = [
        (names[number], *(estimate_words(classes[number][key], digits) for key, digits in SHARE_COLUMNS.items()))
        for number in order
    ]
    return _page(
        report,
        headline=report["headline"],
        scores=[
            (name, estimate_words(report["scores"][key], 3), report["scores"][key]["standard_error"])
            for key, name in (("rmse", "Root mean square error"), ("mae", "Mean absolute error"), ("r2", "R²"))
        ],
        pictures=[
            (scatter_of_shares(true, estimate, names, order), "Shares of classes on the map against the reference"),
            (
                bars_of_hectares(names, of_reference, of_map, order),
                "Hectares of classes in the reference and on the map",
            ),
        ],
        classes_of=rows,
    )


SHARE_COLUMNS = {"rmse": 3, "bias": 3, "r2": 2, "reference_ha": 0, "map_ha": 0, "bias_ha": 0}
"""Columns of the table of classes, with their decimals."""


def _page(report: Mapping[str, Any], **content: Any) -> str:
    known = {"production": [], "districts": [], "classes_of": [], **content}
    return page_environment().get_template(TEMPLATE_OF_NUMBERS).render(report=report, classes=(), shown=(), **known)
