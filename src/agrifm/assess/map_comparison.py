"""`agrifm assess compare`: two maps of one season, a map and another product, or the maps of two seasons.

Hectares of each pair of classes are counted on the whole maps. With reference points: which map is right more often,
with an interval that knows that the points are the same; or, of two seasons, what became of the classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.class_map import ClassMap, read_map
from agrifm.assess.confusion import Confusion, count_confusion
from agrifm.assess.cross_table import (
    NO_CLASS,
    CommonLegend,
    classes_at,
    common_legend,
    cross_hectares,
    read_translation,
)
from agrifm.assess.plain_numbers import accuracy_numbers, plain_number
from agrifm.assess.point_estimators import StratifiedPoints, estimate_change, paired_difference, point_estimates
from agrifm.assess.reference_data import file_sha256
from agrifm.assess.report_tables import Row, csv_of_rows, estimate_row
from agrifm.assess.sampling_statement import Sampling, require_probability_sample
from agrifm.codes import read_codes
from agrifm.errors import AssessmentError, did_you_mean, require_installed
from agrifm.files import MARKER, AnyPath, as_path, write_json, write_text
from agrifm.outputs import require_replaceable, write_directory, writing
from agrifm.record import running_versions
from agrifm.vectors import NOTHING_STATED, VectorKeys

KIND = "comparison of maps"
FILES = ("comparison.json", "comparison.html", "comparison.csv", MARKER)
"""Files in the directory of a comparison."""
Table = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class PairedPoints:
    """Reference points with which two maps are compared."""

    file: Path
    label: str
    """Column of the class codes, in the first map's legend."""
    later: str | None = None
    """Column of the class codes in the season of the second map, in its legend; None if both maps are of one season."""
    sampling: Sampling | None = None
    """How the points were drawn, if the file does not state it."""
    keys: VectorKeys = NOTHING_STATED


@dataclass(frozen=True)
class _Labels:
    """Reference points in numbers of the common classes and those that only the reference has."""

    codes: list[str]
    names: list[str]
    reference: NDArray[np.int64]
    confusion: Confusion


def compare_maps(
    first: AnyPath,
    second: AnyPath,
    out: AnyPath,
    points: PairedPoints | None = None,
    translate_first: AnyPath | None = None,
    translate_second: AnyPath | None = None,
) -> dict[str, Any]:
    """Compare two class maps in any grids and legends, and write `comparison.json`, `.html` and `.csv`.

    Args:
        first: the map whose classes and points lead.
        second: the other map, of the same season or of a later one.
        out: the directory, new or with an earlier comparison, which is replaced.
        points: reference points; without them there are only the hectares of the maps.
        translate_first, translate_second: tables of the classes of a map in another legend (`read_translation`).

    Returns:
        The content of `comparison.json`.

    Raises:
        AssessmentError: a map or the points cannot be used, the maps have no class in common or do not overlap, or
            the points are not a probability sample.
        OutputError: `out` is not the directory of a comparison, or cannot be written.
    """
    out = as_path(out)
    require_installed(f"comparing the map {first}", "report", "jinja2", kind=AssessmentError)
    with writing(out, KIND):
        require_replaceable(out, KIND, FILES)
        maps = read_map(first), read_map(second)
        tables = tuple(
            {} if table is None else read_translation(table) for table in (translate_first, translate_second)
        )
        legend = common_legend(*maps, *tables)
        comparison = _compare(maps, legend, tables, points)
        from agrifm.assess.map_comparison_page import render_map_comparison

        page = render_map_comparison(comparison, *maps, legend)
        with write_directory(out, KIND) as partial:
            write_json(partial / FILES[0], comparison)
            write_text(partial / FILES[1], page)
            write_text(partial / FILES[2], csv_of_rows(iter(comparison_rows(comparison))))
    return comparison


def _compare(
    maps: tuple[ClassMap, ClassMap], legend: CommonLegend, tables: tuple[Table, ...], points: PairedPoints | None
) -> dict[str, Any]:
    hectares = cross_hectares(*maps, legend)
    both = hectares[:-1, :-1]
    if not both.sum() > 0:
        raise AssessmentError(
            f"comparing {maps[0].path} with {maps[1].path}: no land has a class on both; check that they overlap",
            first=str(maps[0].path),
            second=str(maps[1].path),
        )
    result = {
        "maps": [_about(mapped) for mapped in maps],
        "areas": [
            {
                "code": entry.code,
                "name": entry.name,
                "first_ha": float(both[number].sum()),
                "second_ha": float(both[:, number].sum()),
                "both_ha": float(both[number, number]),
            }
            for number, entry in enumerate(legend.classes)
        ],
        "cross": {"codes": list(legend.codes), "hectares": both.tolist()},
        "agreement": {
            "share": float(np.trace(both) / both.sum()),
            "both_ha": float(both.sum()),
            "only_first_ha": float(hectares[:-1, -1].sum()),
            "only_second_ha": float(hectares[-1, :-1].sum()),
        },
        "rotations": _rotations(legend, both),
        "warnings": [f"{mapped.path.name}: {warning}" for mapped in maps for warning in mapped.warnings],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": running_versions("rasterio", "geopandas", "pyproj"),
    }
    if points is not None:
        _add_points(result, maps, legend, tables, points)
    return result


def _about(mapped: ClassMap) -> dict[str, Any]:
    epsg = mapped.grid.crs.to_epsg()
    return {
        "name": mapped.path.name,
        "crs": f"EPSG:{epsg}" if epsg else mapped.grid.crs.proj.name,
        "pixel_ha": float(np.median(mapped.grid.pixel_hectares())),
        "hectares": float(mapped.hectares().sum()),
        "sha256": file_sha256(mapped.path),
    }


def _rotations(legend: CommonLegend, both: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Pairs of classes of the maps, the largest first."""
    pairs = [
        {"from": one.code, "from_name": one.name, "to": other.code, "to_name": other.name, "mapped_ha": float(area)}
        for one, row in zip(legend.classes, both, strict=True)
        for other, area in zip(legend.classes, row, strict=True)
        if area > 0
    ]
    return sorted(pairs, key=lambda pair: -pair["mapped_ha"])


def _add_points(
    result: dict[str, Any],
    maps: tuple[ClassMap, ClassMap],
    legend: CommonLegend,
    tables: tuple[Table, ...],
    points: PairedPoints,
) -> None:
    """Add what the reference points say."""
    confusion = count_confusion(maps[0], as_path(points.file), points.label, points.keys, points.sampling)
    about = f"comparing maps with {points.file}"
    if confusion.of_polygons:
        raise AssessmentError(
            f"{about}: it has polygons, and two maps are compared at points; give points", unit="polygon"
        )
    first = require_probability_sample(confusion.method, points.sampling, len(confusion.points), 0, about)
    result["warnings"] = [*first, *result["warnings"], *confusion.warnings]
    result["probability_sample"] = not first
    result["reference"] = {
        "name": as_path(points.file).name,
        "label": points.label,
        "read": confusion.read,
        "used": len(confusion.points),
        "sha256": file_sha256(as_path(points.file)),
    }
    codes = [confusion.codes[number] for number in confusion.reference_number]
    labels = _labels(legend, codes, tables[0], confusion)
    if points.later is None:
        result["accuracy"] = _accuracy(maps, legend, labels)
    else:
        result["change"] = _change(labels, points.later, tables[1], about)


def _labels(legend: CommonLegend, codes: list[str], table: Table, confusion: Confusion) -> _Labels:
    known = list(legend.codes)
    names = [entry.name for entry in legend.classes]
    translated = [table.get(code, (code, ""))[0] for code in codes]
    more = sorted(set(translated) - set(known))
    known, names = [*known, *more], [*names, *more]
    return _Labels(known, names, np.array([known.index(code) for code in translated]), confusion)


def _accuracy(maps: tuple[ClassMap, ClassMap], legend: CommonLegend, labels: _Labels) -> dict[str, Any]:
    """Accuracy of both maps where both have a class, and the paired difference."""
    confusion = labels.confusion
    frame, drawn = confusion.points, confusion.drawn
    one = classes_at(maps[0], frame, legend.of_first)
    other = classes_at(maps[1], frame, legend.of_second)
    inside = (one != NO_CLASS) & (other != NO_CLASS)
    paired = paired_difference(one == labels.reference, other == labels.reference, drawn, inside)
    estimates = [
        accuracy_numbers(
            labels.codes,
            point_estimates(np.where(inside, number, 0), labels.reference, len(labels.codes), drawn, inside),
        )
        for number in (one, other)
    ]
    return {
        "points": int(inside.sum()),
        "first": estimates[0],
        "second": estimates[1],
        "difference": plain_number(paired.difference),
        "only_first_right": paired.only_first,
        "only_second_right": paired.only_second,
        "mcnemar_p": paired.mcnemar if isinstance(drawn, StratifiedPoints) and len(drawn.size) == 1 else None,
    }


def _change(labels: _Labels, later: str, table: Table, about: str) -> dict[str, Any]:
    """Hectares of each transition and net change, from points with a label in both seasons."""
    frame, drawn = labels.confusion.points, labels.confusion.drawn
    columns = [str(name) for name in frame.columns if name != frame.geometry.name]
    if later not in columns:
        raise AssessmentError(
            f"{about}: it has no column '{later}'{did_you_mean(later, columns)} (its columns: {', '.join(columns)}); "
            "name the column of the labels of the second season",
            column=later,
            columns=columns,
        )
    written, _ = read_codes(frame[later], tuple(table) or tuple(labels.codes))
    codes = [table.get(code, (code, ""))[0] for code in written]
    kept = np.array([bool(code) for code in codes])
    more = sorted(set(codes) - set(labels.codes) - {""})
    known, names = [*labels.codes, *more], [*labels.names, *more]
    after = np.array([known.index(code) if code else 0 for code in codes])
    change = estimate_change(labels.reference, after, len(known), drawn, kept)
    transitions = [
        {
            "from": known[one],
            "from_name": names[one],
            "to": known[other],
            "to_name": names[other],
            "points": int(((labels.reference == one) & (after == other) & kept).sum()),
            **_hectares(change.transitions, (one, other)),
        }
        for one in range(len(known))
        for other in range(len(known))
    ]
    seen = [entry for entry in transitions if entry["points"]]
    return {
        "points": int(kept.sum()),
        "without_later_label": int((~kept).sum()),
        "transitions": sorted(seen, key=lambda entry: -entry["area_ha"]),
        "net": [
            {"code": code, "name": names[number], **_hectares(change.net, (number,))}
            for number, code in enumerate(known)
        ],
    }


def _hectares(estimate: Any, at: tuple[int, ...]) -> dict[str, Any]:
    value, error, low, high = (float(part[at]) for part in vars(estimate).values())
    return {"area_ha": value, "standard_error_ha": error, "interval_ha": [low, high]}


def comparison_rows(comparison: Mapping[str, Any]) -> list[Row]:
    """Return the numbers of a comparison as rows of `agrifm.assess.report_tables.COLUMNS`.

    `code` is a class of the first map or season, `reference_code` one of the second.
    """
    names = {area["code"]: area["name"] for area in comparison["areas"]}
    cross, rows = comparison["cross"], []
    for code, line in zip(cross["codes"], cross["hectares"], strict=True):
        about = {"scope": "maps", "quantity": "area", "unit": "ha", "code": code, "name": names[code]}
        rows += [
            {**about, "reference_code": other, "value": area} for other, area in zip(cross["codes"], line, strict=True)
        ]
    rows.append({"scope": "maps", "quantity": "agreement", "unit": "share", "value": comparison["agreement"]["share"]})
    if accuracy := comparison.get("accuracy"):
        for which in ("first", "second"):
            row = {"scope": "points", "of": which, "quantity": "overall_accuracy", "unit": "share"}
            rows.append(estimate_row(row, accuracy[which]["overall_accuracy"]))
        row = {"scope": "points", "of": "first - second", "quantity": "overall_accuracy", "unit": "share"}
        rows.append(estimate_row(row, accuracy["difference"]))
    change = comparison.get("change", {"transitions": [], "net": []})
    for entry in change["transitions"]:
        pair = {"code": entry["from"], "name": entry["from_name"], "reference_code": entry["to"]}
        rows.append(_area_row({"scope": "points", "quantity": "transition", **pair}, entry))
    for entry in change["net"]:
        about = {"scope": "points", "quantity": "net_change", "code": entry["code"], "name": entry["name"]}
        rows.append(_area_row(about, entry))
    return rows


def _area_row(about: Row, entry: Mapping[str, Any]) -> Row:
    low, high = entry["interval_ha"]
    numbers = {"value": entry["area_ha"], "standard_error": entry["standard_error_ha"], "low": low, "high": high}
    return {**about, "unit": "ha", **numbers}


def map_comparison_lines(comparison: Mapping[str, Any]) -> list[str]:
    """Describe a comparison in sentences, warnings first."""
    agreement = comparison["agreement"]
    lines = [f"warning: {warning}" for warning in comparison["warnings"]]
    lines.append(f"same class on {agreement['share']:.1%} of {agreement['both_ha']:,.0f} ha that both maps have")
    lines += [
        f"{area['name']}: {area['first_ha']:,.1f} ha and {area['second_ha']:,.1f} ha, both {area['both_ha']:,.1f} ha"
        for area in comparison["areas"]
    ]
    if accuracy := comparison.get("accuracy"):
        low, high = accuracy["difference"]["interval"]
        each = " and ".join(f"{accuracy[which]['overall_accuracy']['estimate']:.3f}" for which in ("first", "second"))
        difference = accuracy["difference"]["estimate"]
        lines.append(
            f"overall accuracy {each} at {accuracy['points']} points; {difference:+.3f} ({low:+.3f} to {high:+.3f})"
        )
    for entry in comparison.get("change", {}).get("transitions", [])[:10]:
        low, high = entry["interval_ha"]
        lines.append(
            f"{entry['from_name']} -> {entry['to_name']}: {entry['area_ha']:,.1f} ha ({low:,.1f} to {high:,.1f})"
        )
    return lines
