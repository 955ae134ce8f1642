"""Answers of an interpreter, from the form or a table, written into the points they are of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agrifm.assess.interpreter_points import (
    ANSWER,
    CONFIDENCES,
    InterpreterPoints,
    label_classes,
    read_interpreter_points,
)
from agrifm.assess.zoned_map import read_assessed_map
from agrifm.codes import code_of, listed
from agrifm.errors import AssessmentError, OutputError, did_you_mean, doing
from agrifm.files import AnyPath, as_path, write_geopackage
from agrifm.grid import LONLAT
from agrifm.outputs import writing_file
from agrifm.point_columns import LABEL, NUMBER
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
    classes = [entry.code for entry in label_classes(read_assessed_map(map_path).legend, also)]
    if out.suffix.lower() != ".gpkg":
        raise OutputError(
            f"writing answers to {out}: they are written as a GeoPackage; choose a name that ends in .gpkg", path=out
        )
    with writing_file(out, f"writing answers to {out}"):
        drawn = read_interpreter_points(points)
        given = read_answers(answers, drawn, classes)
        frame = labelled_points(drawn, given)
        write_geopackage(out, frame)
    codes = [code_of(value) for value in frame[LABEL]]
    return {code: codes.count(code) for code in [*sorted(set(codes) - {""}), ""]}


@dataclass(frozen=True)
class Answers:
    """What an interpreter answered."""

    points: int
    """Of the file that the answers are of."""
    place: tuple[int, ...]
    """Position of each answer's point in that file."""
    values: dict[str, list[str]]
    """The answers by column; "" where there is none."""

    def by_point(self, column: str) -> list[str]:
        """Return a column in the order of the points, "" for points without an answer and columns that are missing."""
        found = [""] * self.points
        for position, value in zip(self.place, self.values.get(column, [""] * len(self.place)), strict=True):
            found[position] = value
        return found


def labelled_points(drawn: InterpreterPoints, given: Answers) -> "GeoDataFrame":
    """Return points with the answers of an interpreter; one without an answer keeps the label that it had."""
    frame = drawn.frame.copy()
    for column in given.values:
        before = frame[column].tolist() if column in frame.columns else [None] * len(frame)
        frame[column] = _texts([new or old for new, old in zip(given.by_point(column), before, strict=True)])
    return frame


def read_answers(path: Path, drawn: InterpreterPoints, classes: Sequence[str] | None) -> Answers:
    """Read the answers of an interpreter, CSV or GeoJSON as in `read_form`.

    Args:
        drawn: the points that the answers may be of.
        classes: codes that labels may have; None = any.

    Raises:
        AssessmentError: the file cannot be read, or an answer is of an unknown point, of a point of another file, of an
            unknown class, or one of two for a point.
    """
    about = f"reading the answers {path}"
    return checked_answers(read_vector(path, about, AssessmentError, ["point"]).frame, drawn, classes, about)


def checked_answers(
    given: "GeoDataFrame", drawn: InterpreterPoints, classes: Sequence[str] | None, about: str
) -> Answers:
    """Return the answers of a table with their places; raises as `read_answers`.

    Args:
        about: what is being done, for the error.
    """
    return Answers(len(drawn.numbers), tuple(_places(drawn, given, about)), _values(given, classes, about))


def points_of_answers(*paths: Path) -> InterpreterPoints:
    """Return the points that answers are of, each once, for answers without the file of points.

    Raises:
        AssessmentError: a file cannot be read, or has no column for the points' numbers or the labels.
    """
    import pandas as pd
    from geopandas import GeoDataFrame

    frames = []
    for path in paths:
        about = f"reading the answers {path}"
        frame = read_vector(path, about, AssessmentError, ["point"]).frame
        _require_answers(frame, about)
        frames.append(GeoDataFrame({NUMBER: frame[NUMBER]}, geometry=frame.geometry.to_crs(LONLAT).array, crs=LONLAT))
    found = pd.concat(frames, ignore_index=True)
    found = found[~found[NUMBER].map(code_of).duplicated()].reset_index(drop=True)
    numbers = tuple(code_of(value) for value in found[NUMBER])
    return InterpreterPoints(found, numbers, found.geometry.get_coordinates().to_numpy())


def _texts(values: list[Any]) -> Any:
    import pandas as pd

    return pd.Series([None if value is None or value is pd.NA else str(value) for value in values], dtype="string")


def _places(drawn: InterpreterPoints, given: "GeoDataFrame", about: str) -> list[int]:
    """Position of each answer's point in its file."""
    _require_answers(given, about)
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


def _require_answers(given: "GeoDataFrame", about: str) -> None:
    lacking = {NUMBER, LABEL} - set(given.columns)
    if lacking:
        raise AssessmentError(
            f"{about}: there is no column '{min(lacking)}'; give the file that the form saved, or the table "
            "of `agrifm assess form` with its columns",
            columns=sorted(lacking),
        )


def _values(given: "GeoDataFrame", classes: Sequence[str] | None, about: str) -> dict[str, list[str]]:
    """The answers by column; "" where there is none."""
    with doing(about, AssessmentError, "write codes as text or whole numbers"):
        codes = [code_of(value) for value in given[LABEL]]
    unknown = [] if classes is None else sorted(set(codes) - {"", *classes})
    if classes is not None and unknown:
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
