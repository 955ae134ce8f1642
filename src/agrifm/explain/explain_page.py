"""The page of an explanation: pictures by class and parcel, what is strongest in words, and how it was computed."""

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.page import page_environment
from agrifm.explain.heat_maps import band_name, day_words
from agrifm.explain.tally import Effect

if TYPE_CHECKING:
    from agrifm.explain.explanation import Explained
    from agrifm.explain.findings import UnitFinding

TEMPLATE_OF_EXPLANATION = "explanation.html.jinja"
STRONGEST = 3
"""Periods and bands that the table names."""


def render_explanation(
    about: Mapping[str, Any], explained: "Explained", findings: Sequence["UnitFinding"], pictures: Sequence[bytes]
) -> str:
    """Return the page.

    Args:
        about: facts of the run (`agrifm.explain.write_explanation`).
        findings: classes and parcels, each with its picture.
        pictures: PNG files.
    """
    from jinja2 import ChoiceLoader, PackageLoader

    environment = page_environment()
    assert environment.loader is not None
    environment.loader = ChoiceLoader([PackageLoader("agrifm.explain", ""), environment.loader])
    shown = [
        {**_words(finding, explained), "picture": "data:image/png;base64," + base64.b64encode(picture).decode()}
        for finding, picture in zip(findings, pictures, strict=True)
    ]
    return environment.get_template(TEMPLATE_OF_EXPLANATION).render(
        about=about,
        classes=explained.material.legend.classes,
        shown=set(),
        has_bands=explained.has_bands,
        of_classes=[one for one in shown if one["kind"] == "class"],
        of_parcels=[one for one in shown if one["kind"] == "parcel"],
    )


def _words(finding: "UnitFinding", explained: "Explained") -> dict[str, Any]:
    """A finding as the page writes it."""
    legend, periods = explained.material.legend, explained.periods
    spans = [f"{day_words(start)} to {day_words(end)}" for start, end in zip(periods.starts, periods.ends, strict=True)]
    names = [band_name(*band) for band in explained.bands]
    entry = legend.classes[finding.number]
    by_period, by_band = ([part[0, 1:] for part in finding.occlusion], [part[1:, 0] for part in finding.occlusion])
    cells = finding.occlusion.mean[1:, 1:]
    return {
        "kind": finding.kind,
        "name": finding.name,
        "class_name": entry.name,
        "color": entry.color,
        "pixels": finding.pixels,
        "blocks": finding.blocks,
        "probability": finding.probability,
        "fold": finding.fold,
        "predicted": [(legend.classes[number].name, share) for number, share in finding.predicted[:STRONGEST]],
        "right": dict(finding.predicted).get(finding.number, 0.0),
        "periods": strongest(Effect(*by_period), spans),
        "bands": strongest(Effect(*by_band), names),
        "cell": _strongest_cell(cells, names, spans),
    }


def strongest(effect: Effect, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the highest contributions (n,) with their names; those of 0 or less are left out.

    Returns:
        `sure` is whether the interval is above 0; None without an interval.
    """
    order = np.argsort(-np.nan_to_num(effect.mean), kind="stable")[:STRONGEST]
    found = []
    for at in order.tolist():
        if not effect.mean[at] > 0:
            continue
        known = bool(np.isfinite(effect.low[at]))
        found.append(
            {
                "name": names[at],
                "fall": float(effect.mean[at]),
                "interval": [float(effect.low[at]), float(effect.high[at])] if known else None,
                "sure": bool(effect.low[at] > 0) if known else None,
            }
        )
    return found


def _strongest_cell(cells: NDArray[np.float64], names: Sequence[str], spans: Sequence[str]) -> str:
    """The band and period with the highest contribution in words; empty if none is above 0."""
    if not (np.nan_to_num(cells) > 0).any():
        return ""
    row, column = np.unravel_index(int(np.nan_to_num(cells).argmax()), cells.shape)
    return f"{names[int(row)]}, {spans[int(column)]}"
