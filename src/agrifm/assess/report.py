"""The assessment of a map: accuracies and true areas with intervals, as JSON and as a page to read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.class_map import ClassMap, read_map
from agrifm.assess.composite import composite_numbers, declared_notes, read_declared
from agrifm.assess.confidence_check import confidence_check
from agrifm.assess.confusion import Confusion, count_confusion
from agrifm.assess.districts import district_notes, district_numbers, read_districts
from agrifm.assess.early_season_part import early_season_of
from agrifm.assess.estimators import stratified_estimates
from agrifm.assess.film_strip import early_maps
from agrifm.assess.pdf import find_browser, print_pdf
from agrifm.assess.plain_numbers import accuracy_numbers, area_numbers
from agrifm.assess.point_estimators import area_matrix, point_estimates
from agrifm.assess.probability_sample import ProbabilitySample
from agrifm.assess.reference_data import find_scores, map_origin, read_scores, stated_trust
from agrifm.assess.report_origin import TrainingFile, check_training, report_provenance
from agrifm.assess.report_tables import FILES, KIND, report_tables
from agrifm.assess.sample_columns import design_facts
from agrifm.assess.sampling_frame import PolygonFile
from agrifm.assess.sampling_statement import Sampling, require_probability_sample
from agrifm.assess.trust import outside_warnings, trust_of, trust_sentence
from agrifm.assess.zoned_map import BY_ZONE, ZonedMap, read_assessed_map
from agrifm.errors import AssessmentError, require_installed
from agrifm.files import AnyPath, as_path, write_json, write_text
from agrifm.legend import Legend
from agrifm.outputs import require_replaceable, write_directory, writing
from agrifm.samples.legends.levels import Level, levels_of
from agrifm.scores import Counts, merged_counts
from agrifm.vectors import NOTHING_STATED, VectorKeys


class Shown(NamedTuple):
    """Rasters that are shown in the page."""

    truth: Path | None
    """True classes."""
    whole_map: Path | None
    """The map of which the assessed one is a part."""


class Places(NamedTuple):
    """Polygons that a report is of as well."""

    districts: PolygonFile | None = None
    declared: PolygonFile | None = None


def assess(
    map_path: AnyPath,
    reference: AnyPath,
    label: str,
    out: AnyPath,
    scores: AnyPath | None = None,
    training: AnyPath | None = None,
    truth: AnyPath | None = None,
    keys: VectorKeys = NOTHING_STATED,
    training_keys: VectorKeys = NOTHING_STATED,
    districts: PolygonFile | None = None,
    whole_map: AnyPath | None = None,
    pdf: bool = False,
    sampling: Sampling | None = None,
    declared: PolygonFile | None = None,
) -> dict[str, Any]:
    """Estimate a map's accuracies and the true areas of its classes; write the report to the directory `out`.

    It is written as a page (`report.html`), as `report.json`, and as tables (`agrifm.assess.report_tables`). The
    estimators are those of the design of the points, by default strata that are the map's classes. Intervals are 95 %.

    Args:
        map_path: GeoTIFF of classes, from agrifm or any other source.
        reference: vector file of points or polygons.
        label: its column of class codes.
        out: the report's directory, new or with an earlier report, which is replaced.
        scores: `scores.json` of the training, to show models side by side on unseen blocks; by default that next to
            the model to which the STAC item next to the map leads, if the model is still the one of the map.
        training: vector file of the training parcels, in which reference points are counted; by default the one
            to which the STAC item next to the map leads, if any.
        truth: raster of true classes, shown next to the map.
        keys: what the user states of the reference file.
        training_keys: what the user states of `training`.
        districts: polygons, to state accuracies and areas of each as well.
        whole_map: the map of which `map_path` is a part, such as that outside training parcels
            (`agrifm.assess.outside_parcels`); it is shown, and the report says of how much of it the numbers are.
        pdf: write `report.pdf` too, with an installed Chromium or Chrome.
        sampling: how the points were drawn, if their file does not state it. "non-probability" accepts points that are
            not a probability sample; the report then begins with that.
        declared: parcels with their crops, complete where they are, whose areas are added (`agrifm.assess.composite`).

    Returns:
        The content of `report.json`.

    Raises:
        AssessmentError: the map, the reference, or another file cannot be used, a map class has fewer than two
            points, nothing says that the points are a probability sample, or there is no browser to print with.
        OutputError: `out` is not a report's directory, or cannot be written.
    """
    map_path, reference, out = as_path(map_path), as_path(reference), as_path(out)
    scores = None if scores is None else as_path(scores)
    parcels = None if training is None else TrainingFile(as_path(training), training_keys)
    shown = Shown(*(None if one is None else as_path(one) for one in (truth, whole_map)))
    require_installed(f"assessing the map {map_path}", "report", "matplotlib", "jinja2", kind=AssessmentError)
    with writing(out, KIND):
        require_replaceable(out, KIND, FILES)
        places, browser = Places(districts, declared), find_browser() if pdf else None
        return _assess(map_path, reference, label, out, scores, parcels, shown, keys, places, browser, sampling)


def _assess(
    map_path: Path,
    reference: Path,
    label: str,
    out: Path,
    scores: Path | None,
    training: TrainingFile | None,
    shown: Shown,
    keys: VectorKeys,
    places: Places,
    browser: Path | None,
    sampling: Sampling | None,
) -> dict[str, Any]:
    """Estimate and write; see `assess`."""
    block_scores, missing = _block_scores(map_path if shown.whole_map is None else shown.whole_map, scores)
    mapped = read_assessed_map(map_path)
    _require_one_zone(mapped, places)
    whole = mapped if shown.whole_map is None else read_map(shown.whole_map)
    confusion = count_confusion(mapped, reference, label, keys, sampling)
    check = check_training(map_path, confusion.points, mapped.grid.resolution, training)
    about = f"assessing the map {map_path} with {reference}"
    first = require_probability_sample(confusion.method, sampling, len(confusion.points), check.inside, about)
    stated = stated_trust(whole.path)
    by_date, other_maps = early_maps(whole.path)
    warnings = [*first, *mapped.warnings, *confusion.warnings, *check.warnings, *outside_warnings(stated)]
    of_places, notes, facts_of_places = _of_places(places, mapped, confusion)
    warnings += notes
    report = {
        "probability_sample": not first,
        **_models(block_scores),
        **_numbers(confusion, mapped.legend),
        **of_places,
        **({"confidence": checked} if (checked := confidence_check(whole.path, confusion)) else {}),
        "points": {"read": confusion.read, "used": len(confusion.points), "skipped": confusion.skipped},
        "nodata_ha": mapped.nodata_hectares(),
        **({"map_states": stated} if stated else {}),
        **({"early_maps": by_date} if by_date else {}),
        **({} if whole is mapped else {"part": _part(mapped, whole)}),
        "warnings": warnings,
        "notes": [*check.notes, *facts_of_places, *missing, *other_maps],
        "provenance": report_provenance(mapped.path, mapped.grid, reference, label, [one.file for one in places if one])
        | map_origin(whole.path),
    }
    report |= _about_zones(report, mapped)
    trust = trust_of(report, [entry.scored for entry in confusion.classes])
    facts = {name: list(fact) if isinstance(fact, tuple) else fact for name, fact in trust._asdict().items()}
    report["trust"] = {**facts, "sentence": trust_sentence(trust, not first)}
    from agrifm.assess.page import render_page

    page = render_page(report, whole, confusion, block_scores, shown.truth)
    with write_directory(out, KIND) as partial:
        write_json(partial / "report.json", report)
        write_text(partial / "report.html", page)
        for name, table in report_tables(report).items():
            write_text(partial / name, table)
        if browser is not None:
            print_pdf(partial / "report.html", partial / "report.pdf", browser)
    return report


def _require_one_zone(mapped: ClassMap, places: Places) -> None:
    """Refuse declared parcels on a map over several zones."""
    if isinstance(mapped, ZonedMap) and places.declared is not None:
        raise AssessmentError(
            f"assessing the map {mapped.path}: it is over several UTM zones, and declared parcels are of one; assess "
            "each zone by itself (--map maps/ZONE/classes.vrt)",
            path=mapped.path,
        )


def _about_zones(report: dict[str, Any], mapped: ClassMap) -> dict[str, Any]:
    """What a report states otherwise of a map over several zones."""
    if not isinstance(mapped, ZonedMap):
        return {}
    crs = ", ".join(f"EPSG:{zone.grid.crs.to_epsg()}" for zone in mapped.zones)
    return {"design": report["design"] | {"strata": BY_ZONE}, "provenance": report["provenance"] | {"crs": crs}}


def _block_scores(map_path: Path, scores: Path | None) -> tuple[dict[str, Any] | None, list[str]]:
    """The scores on unseen blocks that the user names, or those next to the model of a map of agrifm; and notes."""
    found = scores or find_scores(map_path)
    try:
        if found is None:
            return None, []
        read = read_scores(found)
        early, notes = early_season_of(found, read)
        return {**read, **({"early_season": early} if early else {})}, notes
    except AssessmentError as error:
        if scores:
            raise
        return None, [f"the scores of the model are left out: {error}"]


def _numbers(confusion: Confusion, legend: Legend) -> dict[str, Any]:
    """Return the estimates as plain numbers; undefined ones are None."""
    names = [entry.name for entry in confusion.classes]
    if confusion.strata is None:
        estimates = stratified_estimates(confusion.counts, confusion.hectares, names, confusion.complete)
    else:
        estimates = point_estimates(confusion.map_number, confusion.reference_number, len(names), confusion.strata)
    levels = [_level_numbers(confusion, level) for level in levels_of(legend, confusion.codes)]
    return {
        **({"levels": levels} if levels else {}),
        "design": {
            "method": confusion.method,
            **design_facts(confusion.drawn, confusion.strata is None),
        },
        **accuracy_numbers(confusion.codes, estimates),
        "areas": area_numbers(
            [{"code": entry.code, "name": entry.name} for entry in confusion.classes],
            confusion.hectares,
            estimates.area,
        ),
        "confusion": _matrix(
            confusion.codes, confusion.counts, confusion.map_number, confusion.reference_number, confusion.drawn
        ),
    }


def _matrix(
    codes: Sequence[str],
    counts: Counts,
    mapped: NDArray[np.int64],
    reference: NDArray[np.int64],
    drawn: ProbabilitySample,
) -> dict[str, Any]:
    """The matrix in points and in shares of the area."""
    shares = area_matrix(mapped, reference, len(codes), drawn)
    return {"codes": list(codes), "counts": counts.tolist(), "area_shares": shares.tolist()}


def _of_places(places: Places, mapped: ClassMap, confusion: Confusion) -> tuple[dict[str, Any], list[str], list[str]]:
    """The estimates of each district, and those with declared parcels, for the report; warnings, and notes."""
    numbers: dict[str, Any] = {}
    warnings, notes = [], []
    if places.districts is not None:
        districts = read_districts(places.districts, mapped, confusion)
        numbers["districts"] = district_numbers(districts, confusion)
        warnings += district_notes(districts)
    if places.declared is not None:
        declared = read_declared(places.declared, mapped, confusion)
        numbers["composite"] = composite_numbers(declared, mapped, confusion)
        notes += declared_notes(declared, confusion)
    return numbers, warnings, notes


def _level_numbers(confusion: Confusion, level: Level) -> dict[str, Any]:
    """Return the estimates of merged classes as plain numbers: the points and their strata stay as they were drawn."""
    about = level.about(confusion.codes)
    codes = [group["code"] for group in about["groups"]]
    counts, _ = merged_counts(confusion.counts, level.groups)
    number = np.array([codes.index(group) for group in level.groups])
    estimates = point_estimates(
        number[confusion.map_number],
        number[confusion.reference_number],
        len(codes),
        confusion.drawn,
    )
    mapped = np.bincount(number, confusion.hectares, len(codes)).astype(float)
    return {
        "level": level.name,
        "without_parent": about["without_parent"],
        "estimator": "Stehman 2014",
        **accuracy_numbers(codes, estimates),
        "areas": area_numbers(about["groups"], mapped, estimates.area),
        "confusion": _matrix(
            codes, counts, number[confusion.map_number], number[confusion.reference_number], confusion.drawn
        ),
    }


def _models(scores: dict[str, Any] | None) -> dict[str, Any]:
    """Return the scores on unseen blocks of each model, and how the blocks were divided."""
    if scores is None:
        return {}
    about = {
        key: scores[key] for key in ("majority_class", "scored", "tested", "blocks", "differences") if key in scores
    }
    early = {"early_season": scores["early_season"]} if "early_season" in scores else {}
    return {"models": scores["models"], "unseen_blocks": about, **early}


def _part(mapped: ClassMap, whole: ClassMap) -> dict[str, Any]:
    """Which part of the whole map the numbers are of, hectares with a class."""
    return {
        "of": whole.path.name,
        "assessed_ha": float(mapped.hectares().sum()),
        "whole_ha": float(whole.hectares().sum()),
    }
