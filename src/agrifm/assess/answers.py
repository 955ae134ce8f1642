"""Answers of an interpreter, from the form or a table, written into the points they are of."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agrifm.assess.class_map import read_map
from agrifm.assess.drawn_points import LABEL, NUMBER
from agrifm.assess.interpreter_points import (
    ANSWER,
    CONFIDENCES,
    InterpreterPoints,
    label_classes,
    read_interpreter_points,
)
from agrifm.codes import code_of, listed
from agrifm.errors import AssessmentError, OutputError, did_you_mean, doing
from agrifm.files import AnyPath, as_path, write_geopackage
from agrifm.grid import LONLAT
from agrifm.outputs import writing_file
from agrifm.vectors import read_vector

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

SAME_POINT = 1e-5
"""Degrees, about a metre, within which an answer is of the point with its number."""
MORE = ("interpreter", "answered")
"""What the form writes in addition: who answered, and when (ISO 8601)."""


def read_form(
    points: AnyPath, answers: AnyPath, map_path: AnyPath, out: AnyPath, also: Sequence[str] = ()
) -> dict[str, int]:
    """Write points with the answers of an interpreter as a GeoPackage; the columns of the design stay as they are.

    A point without an answer keeps the label that it had.

    Args:
        points: the file that `agrifm assess design` wrote.
        answers: CSV or GeoJSON with columns `id`, `label`, and if wanted `confidence` and `comment`, with the place
            of each point in degrees, as the form and `agrifm assess form` with a CSV write them.
        map_path: the map, whose classes labels may have.
        out: a .gpkg file that does not exist yet.
        also: further classes that labels may have, each as a code or `code=name`.

    Returns:
        Points with a label per class code, and `""` without one.

    Raises:
        AssessmentError: a file cannot be read, or an answer is of an unknown point, of a point of another file, of an
            unknown class, or one of two for a point.
        OutputError: `out` exists, or is not a GeoPackage.
    """
    points, answers, out = as_path(points), as_path(answers), as_path(out)
    classes = [entry.code for entry in label_classes(read_map(map_path), also)]
    about = f"reading the answers {answers}"
    if out.suffix.lower() != ".gpkg":
        raise OutputError(
            f"writing answers to {out}: they are written as a GeoPackage; choose a name that ends in .gpkg", path=out
        )
    with writing_file(out, f"writing answers to {out}"):
        drawn = read_interpreter_points(points)
        given = read_vector(answers, about, AssessmentError, ["point"]).frame
        place = _places(drawn, given, about)
        values = _values(given, classes, about)
        frame = drawn.frame.copy()
        for column in values:
            before = frame[column].tolist() if column in frame.columns else [None] * len(frame)
            for position, value in zip(place, values[column], strict=True):
                before[position] = value or before[position]
            frame[column] = _texts(before)
        write_geopackage(out, frame)
    codes = [code_of(value) for value in frame[LABEL]]
    return {code: codes.count(code) for code in [*sorted(set(codes) - {""}), ""]}


def _texts(values: list[Any]) -> Any:
    import pandas as pd

    return pd.Series([None if value is None or value is pd.NA else str(value) for value in values], dtype="string")


def _places(drawn: InterpreterPoints, given: "GeoDataFrame", about: str) -> list[int]:
    """Position of each answer's point in its file."""
    lacking = {NUMBER, LABEL} - set(given.columns)
    if lacking:
        raise AssessmentError(
            f"{about}: there is no column '{min(lacking)}'; give the file that the form saved, or the table "
            "of `agrifm assess form` with its columns",
            columns=sorted(lacking),
        )
    numbers = [code_of(value) for value in given[NUMBER]]
    positions = {number: position for position, number in enumerate(drawn.numbers)}
    unknown = sorted(set(numbers) - positions.keys())
    if unknown:
        raise AssessmentError(
            f"{about}: it has answers for points that are not in the file of points ({listed(unknown)}); give the "
            "points that the form was made from",
            unknown=unknown,
        )
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise AssessmentError(
            f"{about}: points have more than one answer ({listed(twice)}); leave one of them", twice=twice
        )
    place = [positions[number] for number in numbers]
    lonlat = given.geometry.to_crs(LONLAT).get_coordinates().to_numpy()
    moved = int((~(np.abs(lonlat - drawn.lonlat[place]) <= SAME_POINT)).any(axis=1).sum())
    if moved:
        raise AssessmentError(
            f"{about}: {moved} answers are at another place than the points with their numbers, so they are of another "
            "draw; give the points that the form was made from",
            moved=moved,
        )
    return place


def _values(given: "GeoDataFrame", classes: Sequence[str], about: str) -> dict[str, list[str]]:
    """The answers by column; "" where there is none."""
    with doing(about, AssessmentError, "write codes as text or whole numbers"):
        codes = [code_of(value) for value in given[LABEL]]
    unknown = sorted(set(codes) - {"", *classes})
    if unknown:
        raise AssessmentError(
            f"{about}: labels ({listed(unknown)}) are not among the classes ({listed(classes)})"
            f"{did_you_mean(unknown[0], classes)}; correct them, or name further classes with --also",
            unknown=unknown,
            known=list(classes),
        )
    values = {LABEL: codes}
    for column in (*ANSWER[1:], *MORE):
        if column in given.columns:
            values[column] = [_text(value) for value in given[column]]
    others = sorted(set(values.get("confidence", ())) - {"", *CONFIDENCES})
    if others:
        raise AssessmentError(
            f"{about}: the confidence is {listed(others)}; write {', '.join(CONFIDENCES)}, or leave it empty",
            unknown=others,
        )
    return values


def _text(value: Any) -> str:
    import pandas as pd

    if value is None or value is pd.NA or value != value:
        return ""
    return str(value.isoformat() if hasattr(value, "isoformat") else value).strip()
