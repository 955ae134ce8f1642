"""The agreement of two interpreters in sentences, for the screen, and as rows of a table."""

from collections.abc import Iterator, Mapping
from typing import Any

from agrifm.assess.report_tables import Row, estimate_row


def agreement_lines(result: Mapping[str, Any]) -> list[str]:
    """Describe the content of `agreement.json`, warnings first."""
    one, other = result["interpreters"]
    points = result["points"]
    lines = [f"warning: {warning}" for warning in result["warnings"]]
    lines.append(
        f"{one} and {other} both labelled {points['both']} of {points['all']} points ({points['only_first']} only "
        f"{one}, {points['only_second']} only {other}), and gave {points['different']} of them different classes"
    )
    third = result.get("third")
    if third is not None:
        lines.append(
            f"{third['interpreter']} looked at {third['points']} points again: {third['agreed']} points have a label "
            f"that two of the three gave (agreed.gpkg), {third['undecided']} remain undecided (undecided.csv)"
        )
    lines.append(f"of the points, each counted once: {_both(result['at_points'])}")
    if result["of_area"] is not None:
        lines.append(f"of the area, points weighted by their hectares: {_both(result['of_area'])}")
    best, of = (result["of_area"], "area") if result["of_area"] else (result["at_points"], "points")
    for entry in best["classes"]:
        counts = f"both {entry['both']} of {entry['first']} and {entry['second']} points"
        lines.append(f"{entry['name']}: {counts}, agreement of the {of} {_one(entry)}")
    for area in result["areas"] or ():
        difference = area["difference"]
        low, high = difference["interval_ha"]
        each = f"{area['first']['area_ha']:,.1f} ha by {one}, {area['second']['area_ha']:,.1f} ha by {other}"
        lines.append(
            f"{area['name']}: {each}, difference {difference['area_ha']:+,.1f} ha ({low:+,.1f} to {high:+,.1f})"
        )
    return lines


def _both(numbers: Mapping[str, Any]) -> str:
    kappa = numbers["kappa"]
    if kappa["estimate"] is None:
        about = "kappa is undefined, because both use a single class"
    else:
        about = f"kappa {_one(kappa)}, standard error {kappa['standard_error']:.3f}"
    return f"the same class {_one(numbers['agreement'])}, {about}"


def _one(estimate: Mapping[str, Any]) -> str:
    low, high = estimate["interval"]
    return f"{estimate['estimate']:.3f} ({low:.3f} to {high:.3f})"


def agreement_rows(result: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the numbers of a comparison as rows of `agrifm.assess.report_tables.COLUMNS`.

    `scope` is points (each counted once) or area (weighted by hectares); `of` is the interpreter of an area, and
    in the matrix `code` is the label of the first and `reference_code` that of the second.
    """
    for scope, numbers in (("points", result["at_points"]), ("area", result["of_area"])):
        if numbers is None:
            continue
        for quantity in ("agreement", "kappa"):
            row = {"scope": scope, "quantity": quantity, "unit": "share" if quantity == "agreement" else ""}
            yield estimate_row(row, numbers[quantity])
        for entry in numbers["classes"]:
            about = {"scope": scope, "quantity": "class_agreement", "unit": "share"}
            yield estimate_row({**about, "code": entry["code"], "name": entry["name"]}, entry)
    codes = result["matrix"]["codes"]
    for code, line in zip(codes, result["matrix"]["counts"], strict=True):
        for other, count in zip(codes, line, strict=True):
            about = {"scope": "points", "quantity": "points", "unit": "points"}
            yield {**about, "code": code, "reference_code": other, "value": count}
    for area in result["areas"] or ():
        names = (*result["interpreters"], "second - first")
        for name, which in zip(names, ("first", "second", "difference"), strict=True):
            low, high = area[which]["interval_ha"]
            about = {"scope": "area", "of": name, "quantity": "area", "unit": "ha"}
            numbers = {"value": area[which]["area_ha"], "standard_error": area[which]["standard_error_ha"]}
            yield {**about, "code": area["code"], "name": area["name"], **numbers, "low": low, "high": high}
