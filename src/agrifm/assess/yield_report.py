"""The assessment of a map of yields: scores and production with intervals, as JSON, as tables and as a page to read."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agrifm.assess.number_files import write_number_report
from agrifm.assess.number_map import NumberMap, numbers_of_districts, read_number_map
from agrifm.assess.number_page import render_yield_page, yield_headline
from agrifm.assess.number_pictures import FieldScatter
from agrifm.assess.pdf import find_browser
from agrifm.assess.probability_sample import ProbabilitySample
from agrifm.assess.reference_data import map_origin
from agrifm.assess.report_origin import TrainingFile, check_training, report_provenance
from agrifm.assess.report_tables import KIND, Row, estimate_row
from agrifm.assess.sample_columns import design_facts
from agrifm.assess.sampling_frame import PolygonFile
from agrifm.assess.sampling_statement import Sampling, read_method, require_probability_sample
from agrifm.assess.yield_estimates import (
    YieldErrors,
    district_production,
    errors_of_pairs,
    few_in_districts,
    production_numbers,
    sample_of_pairs,
    scores_by_design,
    scores_over_blocks,
)
from agrifm.assess.yield_reference import YieldPairs, block_numbers, read_yield_pairs
from agrifm.codes import listed
from agrifm.errors import AssessmentError, require_installed
from agrifm.files import AnyPath, as_path
from agrifm.outputs import writing
from agrifm.point_columns import NON_PROBABILITY
from agrifm.vectors import NOTHING_STATED, VectorKeys
from agrifm.yields import TONNES, YieldUnit

BLOCK = 960.0
"""Metres: side of the blocks over which intervals are made if the reference is not a probability sample."""


class _Drawn(NamedTuple):
    """How the units were drawn: their design, or None if they are not a probability sample."""

    sample: ProbabilitySample | None
    method: str | None
    warnings: list[str]


def assess_yields(
    map_path: AnyPath,
    reference: AnyPath,
    label: str,
    unit: YieldUnit,
    out: AnyPath,
    crop: str = "crop",
    keys: VectorKeys = NOTHING_STATED,
    training: TrainingFile | None = None,
    districts: PolygonFile | None = None,
    sampling: Sampling | None = None,
    pdf: bool = False,
    block: float = BLOCK,
) -> dict[str, Any]:
    """Compare a map of yields with reference yields, and write the report to the directory `out`.

    Production is estimated only if the reference states that it is a probability sample, or the user does.

    Args:
        map_path: `yield.tif` of `agrifm map`.
        reference: vector file of points or of parcels with yields.
        label, unit: its column of yields, and the unit of these numbers.
        out: the report's directory, new or with an earlier report, which is replaced.
        crop: its column of crops; rows of another crop count as no production, and have no part in scores.
        keys: what the user states of the reference file.
        training: training parcels; by default those to which the item next to the map leads.
        districts: polygons, to state the production of each as well.
        sampling: how the units were drawn, if their file does not state it.
        pdf: write `report.pdf` too, with an installed Chromium or Chrome.
        block: side in metres of the squares over which intervals are made without a probability sample.

    Returns:
        The content of `report.json`.

    Raises:
        AssessmentError: the map, the reference, or another file cannot be used; the numbers are not yields in that
            unit; or all units are training parcels.
        OutputError: `out` is not a report's directory.
    """
    map_path, reference, out = _require_unit_and_libraries(unit, map_path), as_path(reference), as_path(out)
    with writing(out, KIND):
        browser = find_browser() if pdf else None
        mapped = read_number_map(map_path)
        pairs = read_yield_pairs(mapped, reference, label, unit, crop, keys)
        check = check_training(map_path, pairs.points[pairs.paired], mapped.grid.resolution, training)
        drawn = _drawn(pairs, mapped, sampling, check.inside, f"assessing the map {map_path} with {reference}")
        errors = errors_of_pairs(pairs)
        of_districts, few = _districts(districts, mapped, pairs, drawn.sample)
        report = {
            "kind": "yields",
            **_numbers(pairs, mapped, drawn, errors, block, unit),
            **of_districts,
            "warnings": [*drawn.warnings, *mapped.warnings, *check.warnings, *few],
            "notes": [*check.notes, *pairs.notes],
            "provenance": _origin(mapped, reference, label, districts),
        }
        report["headline"] = yield_headline(report)
        page = render_yield_page(report, FieldScatter(pairs.tonnes, pairs.mapped, errors.inside, errors.paired))
        write_number_report(out, report, page, yield_rows(report), browser)
    return report


def _require_unit_and_libraries(unit: str, map_file: AnyPath) -> Path:
    map_path = as_path(map_file)
    require_installed(f"assessing the map {map_path}", "report", "matplotlib", "jinja2", kind=AssessmentError)
    if unit not in TONNES:
        raise AssessmentError(
            f"assessing the yields of {map_path}: the unit of the reference is '{unit}', and it must be one of "
            f"{', '.join(TONNES)}; state it with --unit",
            unit=unit,
        )
    return map_path


def _origin(mapped: NumberMap, reference: Path, label: str, districts: PolygonFile | None) -> dict[str, Any]:
    others = [] if districts is None else [districts.file]
    return report_provenance(mapped.path, mapped.grid, reference, label, others) | map_origin(mapped.path)


def _drawn(pairs: YieldPairs, mapped: NumberMap, stated: Sampling | None, inside_training: int, about: str) -> _Drawn:
    """Decide whether the units are a probability sample; what states nothing is not taken for one."""
    method = None if stated == NON_PROBABILITY else read_method(pairs.points, about)
    count = int(pairs.paired.sum())
    if NON_PROBABILITY in (stated, method):
        why = "it was chosen and not drawn at random"
    elif method is None and stated is None:
        if count and inside_training == count:
            require_probability_sample(None, None, count, inside_training, about)
        why = "nothing in it says how it was drawn (`--sampling simple` if at random where the map has yields)"
    else:
        require_probability_sample(method, stated, count, inside_training, about)
        sample, notes = sample_of_pairs(pairs, mapped, method, stated)
        return _Drawn(sample, method or stated, [*notes, *_without_answer(pairs)])
    sentence = (
        f"the reference is not taken for a probability sample, because {why}: scores describe its {count:,} places "
        "and may be others elsewhere, and production is not estimated"
    )
    return _Drawn(None, method, [sentence])


def _without_answer(pairs: YieldPairs) -> list[str]:
    """A warning of drawn units of which nothing was found out: they count as if they were like the others."""
    count = pairs.skipped["no yield"]
    if not count:
        return []
    return [
        f"{count} of {pairs.read} drawn points or parcels have neither a yield nor another crop, and are left out as "
        "if they were like the others; write what grows there, such as 'no crop', or the yield"
    ]


def _numbers(
    pairs: YieldPairs, mapped: NumberMap, drawn: _Drawn, errors: YieldErrors, side: float, unit: YieldUnit
) -> dict[str, Any]:
    """Scores and production as plain numbers."""
    of_parcels = pairs.of_parcels is not None
    known, sample, block = pairs.tonnes[errors.paired], drawn.sample, block_numbers(pairs.points, side)
    over_blocks = {"from": "blocks", "block_m": side, "blocks": len(np.unique(block[errors.paired]))}
    return {
        "crop": list(mapped.legend.codes),
        "unit": "t/ha",
        "level": mapped.level,
        "probability_sample": sample is not None,
        "reference": {
            "units": "parcels" if of_parcels else "points",
            "unit": unit,
            "read": pairs.read,
            "used": len(known),
            "skipped": pairs.skipped,
            "mean": float(known.mean()),
            "lowest": float(known.min()),
            "highest": float(known.max()),
        },
        **({} if sample is None else {"design": {"method": drawn.method, **design_facts(sample, False)}}),
        "intervals": over_blocks if sample is None else {"from": "design"},
        "scores": scores_over_blocks(errors, block) if sample is None else scores_by_design(errors, sample),
        "map": {
            "hectares": mapped.hectares,
            "mean": float(mapped.totals[0] / mapped.hectares),
            "sum_t": float(mapped.totals[0]),
        },
        "production": None
        if sample is None
        else production_numbers(pairs, sample, mapped.hectares, float(mapped.totals[0])),
    }


def _districts(
    stated: PolygonFile | None, mapped: NumberMap, pairs: YieldPairs, sample: ProbabilitySample | None
) -> tuple[dict[str, Any], list[str]]:
    if stated is None:
        return {}, []
    found = district_production(numbers_of_districts(mapped, stated, pairs.points), pairs, sample)
    return {"districts": found}, few_in_districts(found) if sample is not None else []


def yield_rows(report: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the rows of `scores.csv`, one number each (`agrifm.assess.report_tables.COLUMNS`)."""
    code = " ".join(report["crop"])
    about: Row = {"scope": "map", "code": code, "name": code}
    for quantity, found in report["scores"].items():
        unit = {"r2": "1", "coverage": "share"}.get(quantity, report["unit"])
        yield estimate_row({**about, "quantity": quantity, "unit": unit}, found)
    yield {**about, "quantity": "mapped_area", "unit": "ha", "value": report["map"]["hectares"]}
    yield {**about, "quantity": "mapped_mean_yield", "unit": report["unit"], "value": report["map"]["mean"]}
    yield {**about, "quantity": "map_sum", "unit": "t", "value": report["map"]["sum_t"]}
    if report["production"] is not None:
        yield from _production_rows(about, report["production"])
    for one in report.get("districts", []):
        of = {**about, "scope": "district", "of": one["code"]}
        yield {**of, "quantity": "mapped_area", "unit": "ha", "value": one["hectares"]}
        yield {**of, "quantity": "mapped_mean_yield", "unit": report["unit"], "value": one["map_mean"]}
        yield {**of, "quantity": "map_sum", "unit": "t", "value": one["map_sum_t"]}
        yield from _production_rows(of, one)


def _production_rows(about: Row, found: Mapping[str, Any]) -> Iterator[Row]:
    for method in ("sample", "difference", "regression"):
        if found.get(method):
            yield estimate_row({**about, "quantity": f"production_{method}", "unit": "t"}, found[method])


def yield_report_lines(report: Mapping[str, Any]) -> list[str]:
    """Describe a report of yields in sentences, for the screen."""
    lines = [f"warning: {one}" for one in report["warnings"]] + [f"note: {one}" for one in report["notes"]]
    scores, reference, crops = report["scores"], report["reference"], listed(report["crop"])
    words = "the design of the sample" if report["probability_sample"] else f"{report['intervals']['blocks']} blocks"
    lines.append(f"{crops}, {reference['used']} {reference['units']} with yields; intervals of 95 % by {words}")
    names = {"rmse": "RMSE", "mae": "MAE", "bias": "bias", "r2": "R²", "coverage": "share in their interval"}
    for key, name in names.items():
        found, unit = scores[key], " t/ha" if key in ("rmse", "mae", "bias") else ""
        if found["estimate"] is None:
            lines.append(f"{name}: undefined")
            continue
        span = f" ({found['interval'][0]:.2f} to {found['interval'][1]:.2f})" if found["interval"] else ""
        lines.append(f"{name} {found['estimate']:.2f}{unit}{span}")
    whole = {"code": "the map", **(report["production"] or {"stated": None})}
    for one in (whole, *report.get("districts", [])):
        if one.get("stated"):
            low, high = one["stated"]["interval"]
            lines.append(
                f"{one['code']}: production {one['stated']['estimate']:.0f} t ({low:.0f} to {high:.0f}) by the "
                f"{one['estimator']} estimator; the map's pixels sum up to {one['map_sum_t']:.0f} t"
            )
    return lines
