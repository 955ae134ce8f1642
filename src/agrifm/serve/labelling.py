"""Reference points labelled on the page: the answers of each interpreter in a GeoPackage.

Every answer is written at once, together with all before it, by the code of `agrifm assess read-form`. The file of the
points is only read. An answer that another process has written meanwhile stays.
"""

import re
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe
from threading import Lock
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from agrifm.assess.answers import MORE, Answers, checked_answers, labelled_points, read_answers
from agrifm.assess.interpreter_points import ANSWER, InterpreterPoints, label_classes, read_interpreter_points
from agrifm.assess.point_cubes import PointCubes, find_point_cubes
from agrifm.config import Project, read_project
from agrifm.errors import ServeError
from agrifm.files import AnyPath, as_path, write_geopackage
from agrifm.grid import LONLAT
from agrifm.legend import Legend, LegendClass
from agrifm.locks import locked
from agrifm.point_columns import NUMBER
from agrifm.serve.finished_season import FinishedSeason
from agrifm.serve.map_layers import CLASSES, FILES
from agrifm.serve.refusals import NO_SUCH, RefusedRequestError

if TYPE_CHECKING:
    from agrifm.assess.form_page import ServedForm

LONGEST_NAME = 60
LONGEST_COMMENT = 500
DEFAULT_NAMES = ("Interpreter",)
Row = dict[str, str]
"""Label, confidence, comment, and when it was answered, of one point."""


class GivenAnswer(BaseModel):
    """An answer of a request; an empty one takes the answer back."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    interpreter: int
    id: str = Field(max_length=100)
    label: str = Field(max_length=100)
    confidence: Literal["", "low", "medium", "high"]
    comment: str = Field(max_length=LONGEST_COMMENT)


class Interpreter(NamedTuple):
    """Somebody who answers."""

    name: str
    file: Path
    """GeoPackage of the points with the answers; absent before the first one."""
    report: Path
    """Directory of the report that is made of the answers."""


@dataclass(frozen=True)
class Labelling:
    """Points of a finished season that are labelled on the page."""

    project: Project
    points: Path
    drawn: InterpreterPoints
    classes: tuple[LegendClass, ...]
    further: Sequence[str]
    """Classes that are not in the map, each as a code or `code=name`."""
    cubes: PointCubes | None
    interpreters: tuple[Interpreter, ...]
    token: str = field(default_factory=lambda: token_urlsafe(32))
    """What a request that changes something must state; foreign pages cannot read it."""
    writing: Lock = field(default_factory=Lock)
    computing: Lock = field(default_factory=Lock)
    made: "list[Future[ServedForm]]" = field(default_factory=list)
    """The form, once it has been asked for."""
    read: list[int] = field(default_factory=lambda: [0])
    """Number of the points that have been read before it opens."""

    @property
    def map_path(self) -> Path:
        """The map that the points are of; of a divided area the mosaic over its tiles."""
        name = Path(FILES[CLASSES][1])
        return self.project.maps / (name if self.project.season.tiles is None else name.with_suffix(".vrt"))

    def interpreter(self, number: int) -> Interpreter:
        """An interpreter by number.

        Raises:
            RefusedRequestError: there is none of this number.
        """
        if not 0 <= number < len(self.interpreters):
            raise RefusedRequestError(NO_SUCH, "there is no such interpreter")
        return self.interpreters[number]

    def rows(self, who: Interpreter) -> dict[str, Row]:
        """The answers of an interpreter so far, by number of the point.

        Raises:
            AssessmentError: the file cannot be read, or has answers of other points or classes.
            ServeError: somebody else has made the file.
        """
        if not who.file.exists():
            return {}
        given = read_answers(who.file, self.drawn, [entry.code for entry in self.classes])
        if not set(MORE) <= set(given.values) or set(given.values[MORE[0]]) - {"", who.name}:
            raise ServeError(
                f"opening the answers of {who.name} in {who.file}: they are of somebody else; move the file, or choose "
                "another name with --interpreter",
                path=who.file,
            )
        columns = {name: given.by_point(name) for name in (*ANSWER, MORE[1])}
        every = zip(self.drawn.numbers, *columns.values(), strict=True)
        return {number: dict(zip(columns, row, strict=True)) for number, *row in every if row[-1]}

    def answer(self, given: GivenAnswer) -> int:
        """Write an answer, and return how many points have one.

        Raises:
            AssessmentError: the point or the class is unknown.
            OutputError: another process is writing the file, or it cannot be written.
            RefusedRequestError: there is no such interpreter.
        """
        who = self.interpreter(given.interpreter)
        about = f"saving an answer of {who.name}"
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        comment = "".join(char if char.isprintable() or char == "\n" else " " for char in given.comment).strip()
        row = {**dict(zip(ANSWER, (given.label, given.confidence, comment), strict=True)), MORE[1]: now}
        with self.writing, locked(who.file, about):
            rows = self.rows(who)
            if any(row[name] for name in ANSWER):
                rows[given.id] = row
            else:
                self._answers(who, {given.id: row}, about)
                rows.pop(given.id, None)
            write_geopackage(who.file, labelled_points(self.drawn, self._answers(who, rows, about)))
        return count_answered(rows)

    def _answers(self, who: Interpreter, rows: dict[str, Row], about: str) -> Answers:
        """The answers of some points, checked as those of a file are."""
        from geopandas import GeoDataFrame, points_from_xy

        place = dict(zip(self.drawn.numbers, self.drawn.lonlat.tolist(), strict=True))
        values = {name: [row[name] for row in rows.values()] for name in (*ANSWER, MORE[1])}
        where = [place.get(number, (0.0, 0.0)) for number in rows]
        frame = GeoDataFrame(
            {NUMBER: list(rows), **values, MORE[0]: [who.name] * len(rows)},
            geometry=points_from_xy([x for x, _ in where], [y for _, y in where]),
            crs=LONLAT,
        )
        return checked_answers(frame, self.drawn, [entry.code for entry in self.classes], about)


def count_answered(rows: dict[str, Row]) -> int:
    """Points with a class, or marked as unsure; a comment alone does not count."""
    return sum(bool(row[ANSWER[0]] or row[ANSWER[1]]) for row in rows.values())


def open_labelling(
    season: FinishedSeason, directory: AnyPath, points: AnyPath, names: Sequence[str] = (), further: Sequence[str] = ()
) -> Labelling:
    """Open points for labelling on the page of a season.

    Args:
        directory: of the season's project.
        points: the file that `agrifm assess design` or `agrifm samples next` wrote. The answers of NAME are written
            next to it, as `POINTS-NAME.gpkg`.
        names: of one interpreter, or two; without any, one that is called "Interpreter".
        further: classes that labels may have in addition to those of the map, each as a code or `code=name`.

    Raises:
        AssessmentError: the points, or earlier answers, cannot be read.
        ServeError: the names cannot be used.
    """
    points, project = as_path(points).resolve(), read_project(directory)
    legend = season.layers[CLASSES].legend
    assert isinstance(legend, Legend)
    drawn = read_interpreter_points(points)
    labelling = Labelling(
        project,
        points,
        drawn,
        label_classes(legend, further),
        further,
        find_point_cubes(project.directory, drawn.frame) if season.has_series else None,
        _interpreters(points, project.directory, names or DEFAULT_NAMES),
    )
    for who in labelling.interpreters:
        labelling.rows(who)
    return labelling


def _interpreters(points: Path, directory: Path, names: Sequence[str]) -> tuple[Interpreter, ...]:
    tidied = [name.strip() for name in names]
    short = [re.sub(r"[^\w-]+", "-", name).strip("-") for name in tidied]
    fit = [name.isprintable() and len(name) <= LONGEST_NAME for name in tidied]
    if len(names) > 2 or not all(fit) or not all(short) or len({one.lower() for one in short}) < len(short):
        raise ServeError(
            f"labelling {points}: the interpreters are {', '.join(map(repr, names))}; give one name, or two different "
            f"ones, with letters or digits and at most {LONGEST_NAME} characters",
            names=list(names),
        )
    return tuple(
        Interpreter(name, points.with_name(f"{points.stem}-{one}.gpkg"), directory / f"report-{one}")
        for name, one in zip(tidied, short, strict=True)
    )
