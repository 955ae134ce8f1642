"""The assessment of a map of shares of classes: errors of shares and hectares by class, on pixels of a reference.

The reference is a raster of classes with smaller pixels, or polygons with their classes, from which the share of each
class in every pixel of the map is counted (`agrifm.samples.share_labels`). It covers what it covers: intervals are from
blocks drawn with replacement, and nothing is estimated of the rest of the map.

Shape letters: N pixels, K classes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import geopandas
import numpy as np

from agrifm.assess.class_map import open_classified
from agrifm.assess.number_files import write_number_report
from agrifm.assess.number_map import NumberMap, read_number_map
from agrifm.assess.number_page import render_share_page, share_headline
from agrifm.assess.pdf import find_browser
from agrifm.assess.reference_data import map_origin
from agrifm.assess.report_origin import TrainingFile, check_training, report_provenance
from agrifm.assess.report_tables import KIND, Row, estimate_row
from agrifm.assess.yield_reference import block_numbers
from agrifm.errors import AssessmentError, LabelError, require_installed
from agrifm.files import AnyPath, as_path
from agrifm.outputs import writing
from agrifm.samples.share_labels import ShareLabels, read_share_labels
from agrifm.shares import COVERED
from agrifm.train.share_scores import PixelShares, share_scores
from agrifm.vectors import NOTHING_STATED, VectorKeys

BLOCK_OF_SHARES = 4800.0
"""Metres: side of the blocks over which intervals are made, ten pixels of 480 m."""

WHOLE_MAP = 0.999
"""Share of the map's hectares from which a reference covers the map."""


class _Compared(NamedTuple):
    """Pixels with shares on the map and in the reference."""

    pixels: PixelShares
    places: geopandas.GeoDataFrame
    """(N,), outlines of the pixels."""
    labelled: int
    """Pixels of the reference that count."""
    hectares: float


def assess_shares(
    map_path: AnyPath,
    reference: AnyPath,
    label: str,
    out: AnyPath,
    keys: VectorKeys = NOTHING_STATED,
    training: TrainingFile | None = None,
    pdf: bool = False,
    block: float = BLOCK_OF_SHARES,
    covered: float = COVERED,
) -> dict[str, Any]:
    """Compare a map of shares with a finer raster of classes or with polygons, and write the report to `out`.

    Args:
        map_path: `fractions.tif` of `agrifm map`.
        reference: raster of class codes, or vector file of polygons; in the classes of the map.
        label: its column of class codes; not used for a raster.
        out: the report's directory, new or with an earlier report, which is replaced.
        keys: what the user states of the reference file.
        training: training parcels, in which compared pixels are counted; by default those to which the item next to the
            map leads.
        pdf: write `report.pdf` too, with an installed Chromium or Chrome.
        block: side in metres of the squares over which intervals are made.
        covered: least share of a pixel that the reference must cover for it to count.

    Returns:
        The content of `report.json`.

    Raises:
        AssessmentError: the map or the reference cannot be used, or no pixel has shares in both.
        OutputError: `out` is not a report's directory, or cannot be written.
    """
    map_path, reference, out = as_path(map_path), as_path(reference), as_path(out)
    require_installed(f"assessing the map {map_path}", "report", "matplotlib", "jinja2", kind=AssessmentError)
    with writing(out, KIND):
        browser = find_browser() if pdf else None
        mapped = read_number_map(map_path)
        about = f"comparing the shares of {map_path} with {reference}"
        try:
            known = read_share_labels(
                reference, label, mapped.grid, mapped.grid.footprint(), mapped.legend, keys=keys, covered=covered
            )
        except LabelError as error:
            raise AssessmentError(f"{about}: {error}", **error.facts) from error
        found = _compared(mapped, known, block, about)
        middles = found.places.set_geometry(found.places.geometry.centroid)
        check = check_training(map_path, middles, mapped.grid.resolution, training)
        report = {
            "kind": "shares",
            **_share_numbers(mapped, found, block),
            "warnings": [*_describes_only(found, mapped), *mapped.warnings, *check.warnings],
            "notes": [*known.labels.notes, *check.notes],
            "provenance": report_provenance(map_path, mapped.grid, reference, label) | map_origin(map_path),
        }
        names = [entry.name for entry in mapped.legend.classes]
        report["headline"] = share_headline(report)
        page = render_share_page(report, names, found.pixels.true, found.pixels.estimate)
        write_number_report(out, report, page, share_rows(report), browser)
    return report


def _compared(mapped: NumberMap, known: ShareLabels, block: float, about: str) -> _Compared:
    """The pixels that have shares on the map and in the reference."""
    with open_classified(mapped.path) as source:
        estimate = source.read().astype(np.float64)
    true = known.shares.astype(np.float64)
    labelled = ~np.isnan(true[0])
    used = labelled & ~np.isnan(estimate[0])
    if not used.any():
        raise AssessmentError(
            f"{about}: the {int(labelled.sum())} pixels with reference shares have none on the map; give a reference "
            "of this area",
            labelled=int(labelled.sum()),
        )
    pixel = np.flatnonzero(used)
    hectares = np.repeat(mapped.grid.pixel_hectares(), mapped.grid.shape[1])[pixel]
    places = known.labels.places.iloc[known.labels.place.ravel()[pixel]]
    squares = block_numbers(places.set_geometry(places.geometry.centroid), block)
    shares = (one.reshape(len(one), -1)[:, pixel].T for one in (true, estimate))
    return _Compared(PixelShares(pixel, squares, hectares, *shares), places, int(labelled.sum()), float(hectares.sum()))


def _describes_only(found: _Compared, mapped: NumberMap) -> list[str]:
    """Say that a part of the map was compared; nothing of a reference that covers all of it."""
    if found.hectares >= WHOLE_MAP * mapped.hectares:
        return []
    return [
        f"the reference covers {found.hectares:,.0f} of the map's {mapped.hectares:,.0f} ha and is not a probability "
        "sample of them: errors and hectares are those of the compared pixels, and may be others elsewhere"
    ]


def _share_numbers(mapped: NumberMap, found: _Compared, block: float) -> dict[str, Any]:
    """Scores as plain numbers, with intervals from blocks."""
    codes = mapped.legend.codes
    scores = share_scores(found.pixels, codes)
    return {
        "probability_sample": False,
        "whole_map": not _describes_only(found, mapped),
        "reference": {
            "units": "pixels",
            "used": len(found.pixels.pixel),
            "hectares": found.hectares,
            "skipped": {"without shares on the map": found.labelled - len(found.pixels.pixel)},
        },
        "intervals": {"from": "blocks", "block_m": block, "blocks": len(np.unique(found.pixels.block))},
        "map": {
            "hectares": mapped.hectares,
            "sums_ha": dict(zip(codes, mapped.totals.tolist(), strict=True)),
        },
        "scores": {name: _estimate(scores, name) for name in ("rmse", "mae", "r2")},
        "displaced_ha": scores["displaced_hectares"],
        "classes": [
            {
                "code": entry.code,
                "name": entry.name,
                **{name: _estimate(scores["classes"][entry.code], name) for name in ("rmse", "mae", "r2", "bias")},
                "reference_ha": _plain_hectares(scores["classes"][entry.code]["true_hectares"]),
                "map_ha": _plain_hectares(scores["classes"][entry.code]["estimated_hectares"]),
                "bias_ha": _estimate(scores["classes"][entry.code], "bias_hectares"),
            }
            for entry in mapped.legend.classes
        ],
    }


def _estimate(scores: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A score with its interval as estimates are stated; undefined numbers are None."""
    value, (low, high) = float(scores[name]), scores[f"{name}_interval"]
    return {
        "estimate": value if np.isfinite(value) else None,
        "standard_error": None,
        "interval": [float(low), float(high)] if np.isfinite(low) else None,
    }


def _plain_hectares(value: float) -> dict[str, Any]:
    return {"estimate": float(value), "standard_error": None, "interval": None}


def share_rows(report: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the rows of `scores.csv`, one number each (`agrifm.assess.report_tables.COLUMNS`)."""
    for quantity, found in report["scores"].items():
        yield estimate_row({"scope": "map", "quantity": quantity, "unit": "share" if quantity != "r2" else "1"}, found)
    units = {"r2": "1", "reference_ha": "ha", "map_ha": "ha", "bias_ha": "ha"}
    for one in report["classes"]:
        about = {"scope": "map", "code": one["code"], "name": one["name"]}
        for quantity in ("rmse", "mae", "r2", "bias", "reference_ha", "map_ha", "bias_ha"):
            yield estimate_row({**about, "quantity": quantity, "unit": units.get(quantity, "share")}, one[quantity])


def share_report_lines(report: Mapping[str, Any]) -> list[str]:
    """Describe a report of shares in sentences, for the screen."""
    lines = [f"warning: {one}" for one in report["warnings"]] + [f"note: {one}" for one in report["notes"]]
    about, blocks = report["reference"], report["intervals"]["blocks"]
    lines.append(f"{about['used']} pixels compared ({about['hectares']:.0f} ha); intervals of 95 % by {blocks} blocks")
    rmse = report["scores"]["rmse"]
    span = f" ({rmse['interval'][0]:.3f} to {rmse['interval'][1]:.3f})" if rmse["interval"] else ""
    lines.append(f"RMSE of shares {rmse['estimate']:.3f}{span}; {report['displaced_ha']:.0f} ha are in the wrong class")
    for one in report["classes"]:
        ends = one["bias_ha"]["interval"]
        span = f" ({ends[0]:+.0f} to {ends[1]:+.0f})" if ends else ""
        lines.append(
            f"{one['name']}: reference {one['reference_ha']['estimate']:.0f} ha, map {one['map_ha']['estimate']:.0f} "
            f"ha, bias {one['bias_ha']['estimate']:+.0f} ha{span}; RMSE {one['rmse']['estimate']:.3f}"
        )
    return lines
