"""The numbers of a report as CSV: areas, accuracies and the matrix, all in one form of row.

A row is one number. Its columns are those of `COLUMNS`; an undefined number is empty.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from agrifm.files import MARKER

KIND = "report"
FILES = (
    "report.json", "report.html", "report.pdf", "areas.csv", "accuracy.csv", "matrix.csv", "scores.csv", MARKER,
)  # fmt: skip
"""Files in a report's directory."""
COLUMNS = (
    "scope", "of", "quantity", "unit", "code", "name", "reference_code", "value", "standard_error", "low", "high",
)  # fmt: skip
"""`scope` is map, district, level or composite (declared parcels and points), and `of` the name of the district or
level; `code` and `name` are of the class, on the map where there are two; `reference_code` is the class on the ground
in the matrix; `low` and `high` are the ends of the 95 % interval."""
ACCURACIES = ("users_accuracy", "producers_accuracy", "f1")
"""Of each class."""

Row = dict[str, Any]


def csv_of_rows(rows: Iterator[Row]) -> str:
    """Return rows as the text of a CSV with the columns of `COLUMNS`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def report_tables(report: Mapping[str, Any]) -> dict[str, str]:
    """Return the tables of a report, by name of their file.

    Args:
        report: the content of `report.json`.
    """
    parts = list(_parts(report))
    return {
        "areas.csv": csv_of_rows(
            row for about, numbers in [*parts, *_composite(report)] for row in area_rows(about, numbers["areas"] or ())
        ),
        "accuracy.csv": csv_of_rows(row for about, numbers in parts for row in _accuracy_rows(about, numbers)),
        "matrix.csv": csv_of_rows(row for about, numbers in parts for row in _matrix_rows(about, numbers)),
    }


def _parts(report: Mapping[str, Any]) -> Iterator[tuple[Row, Mapping[str, Any]]]:
    """The whole map, its districts, and its merged classes: what a row says of each, and its numbers."""
    yield {"scope": "map"}, report
    for district in report.get("districts", []):
        yield {"scope": "district", "of": district["code"]}, district
    for level in report.get("levels", []):
        yield {"scope": "level", "of": level["level"]}, level


def _composite(report: Mapping[str, Any]) -> Iterator[tuple[Row, Mapping[str, Any]]]:
    """Declared parcels and points together, which have areas only."""
    if "composite" in report:
        yield {"scope": "composite"}, report["composite"]


def area_rows(about: Row, areas: Any) -> Iterator[Row]:
    """Yield mapped and estimated hectares of each class.

    Args:
        about: what is the same in all rows.
        areas: as `areas` in `report.json`.
    """
    for area in areas:
        row = {**about, "unit": "ha", "code": area["code"], "name": area["name"]}
        yield {**row, "quantity": "mapped_area", "value": area["mapped_ha"]}
        low, high = area["interval_ha"]
        error = area["standard_error_ha"]
        yield row | {"quantity": "area", "value": area["area_ha"], "standard_error": error, "low": low, "high": high}


def _accuracy_rows(about: Row, numbers: Mapping[str, Any]) -> Iterator[Row]:
    if numbers["overall_accuracy"] is None:  # a district with too few points
        return
    row = {**about, "unit": "share"}
    yield estimate_row(row | {"quantity": "overall_accuracy"}, numbers["overall_accuracy"])
    for quantity in ACCURACIES:
        for area, score in zip(numbers["areas"], numbers[quantity], strict=True):
            yield estimate_row(row | {"quantity": quantity, "code": score["code"], "name": area["name"]}, score)


def estimate_row(about: Row, estimate: Mapping[str, Any]) -> Row:
    """Return the row of an estimate with its standard error and interval."""
    low, high = estimate["interval"] or (None, None)
    error = estimate["standard_error"]
    return {**about, "value": estimate["estimate"], "standard_error": error, "low": low, "high": high}


def _matrix_rows(about: Row, numbers: Mapping[str, Any]) -> Iterator[Row]:
    matrix = numbers.get("confusion")
    if matrix is None:
        return
    names = {area["code"]: area["name"] for area in numbers["areas"]}
    for quantity, unit, cells in (("points", "points", "counts"), ("area_share", "share", "area_shares")):
        for code, row in zip(matrix["codes"], matrix[cells], strict=True):
            for other, value in zip(matrix["codes"], row, strict=True):
                yield {
                    **about,
                    "quantity": quantity,
                    "unit": unit,
                    "code": code,
                    "name": names[code],
                    "reference_code": other,
                    "value": value,
                }
