"""Reference points labelled on the page: the answers of each interpreter in a GeoPackage, and what follows from them.

Every answer is written at once, together with all before it, by the code of `agrifm assess read-form`. The file of the
points is only read. An answer that another process has written meanwhile stays.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe
from threading import Lock
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from agrifm.assess.answers import MORE, Answers, checked_answers, labelled_points, read_answers
from agrifm.assess.drawn_points import LABEL, NUMBER
from agrifm.assess.interpreter_points import ANSWER, InterpreterPoints, label_classes, read_interpreter_points
from agrifm.config import Project, read_project
from agrifm.cube.store import Cube
from agrifm.errors import ServeError
from agrifm.files import AnyPath, as_path, write_geopackage
from agrifm.grid import LONLAT
from agrifm.legend import Legend, LegendClass
from agrifm.locks import locked
from agrifm.serve.finished_season import FinishedSeason
from agrifm.serve.map_layers import CLASSES, FILES
from agrifm.serve.refusals import NO_SUCH, RefusedRequestError

TOO_EARLY = 428
"""Status of a result that is asked for before every point has an answer, and without insisting."""
LONGEST_NAME = 60
LONGEST_COMMENT = 500
SEED = 0
"""Of the order of the points, as in `agrifm assess form`."""
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
    cube: Cube | None
    interpreters: tuple[Interpreter, ...]
    token: str = field(default_factory=lambda: token_urlsafe(32))
    """What a request that changes something must state; foreign pages cannot read it."""
    writing: Lock = field(default_factory=Lock)
    computing: Lock = field(default_factory=Lock)
    made: dict[str, str] = field(default_factory=dict)
    """The page, once it has been asked for."""

    @property
    def map_path(self) -> Path:
        """The map that the points are of."""
        return self.project.maps / FILES[CLASSES][1]

    def page(self) -> str:
        """The form with its pictures; reads the cube when it is first asked for."""
        from agrifm.assess.form_page import render_served_form

        with self.computing:
            if not self.made:
                names = [one.name for one in self.interpreters]
                stem = self.points.stem
                self.made["page"] = render_served_form(self.drawn, self.classes, self.cube, stem, SEED, names)
            return self.made["page"]

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
        return _answered(rows)

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

    def report(self, number: int, early: bool) -> dict[str, Any]:
        """Assess the map with the answers of an interpreter; writes the report and returns its hectares.

        Args:
            early: although some points have no answer.

        Raises:
            AgriFMError: see `agrifm.assess.report.assess`.
            RefusedRequestError: not every point has an answer, and it is not `early`.
        """
        from agrifm.assess.report import assess

        who = self.interpreter(number)
        self._require_complete([who], early, "the hectares are then of the others alone, and wrong if they differ")
        with self.computing:
            training = self.project.assess.training_file
            found = assess(self.map_path, who.file, LABEL, who.report, training_keys=training)
        return {
            "areas": found["areas"],
            "sentence": found["trust"]["sentence"],
            "warnings": found["warnings"],
            "wrote": f"{self._shown(who.report)}/, from {who.file.name}",
        }

    def agreement(self, early: bool) -> dict[str, Any]:
        """Compare the first two interpreters; writes `agreement/` and returns its sentences and the points that differ.

        Args:
            early: although some points have no answer.

        Raises:
            AgriFMError: no point has a label of both, or the directory cannot be written.
            RefusedRequestError: there is one interpreter, or not every point has an answer, and it is not `early`.
        """
        from agrifm.assess.agreement import FILES_OF_AGREEMENT, compare_interpreters
        from agrifm.assess.agreement_lines import agreement_lines

        if len(self.interpreters) < 2:
            raise RefusedRequestError(NO_SUCH, "there is one interpreter")
        first, second = self.interpreters
        self._require_complete([first, second], early, "who sees the answers of another one is led by them")
        out = self.project.directory / "agreement"
        with self.computing:
            found = compare_interpreters(first.file, second.file, out, self.points, self.map_path, self.further)
            table = out / FILES_OF_AGREEMENT[2]
            different: list[Row] = []
            if found["points"]["different"]:
                with table.open(newline="", encoding="utf-8") as file:
                    different = list(csv.DictReader(file))
        names = {entry.code: entry.name for entry in self.classes}
        return {
            "lines": agreement_lines(found),
            "kappa": found["at_points"]["kappa"],
            "disagreements": [
                {
                    "id": row[NUMBER],
                    "first": names[row["first_label"]],
                    "second": names[row["second_label"]],
                    "hectares": float(row["hectares"]) if row["hectares"] else None,
                }
                for row in different
            ],
            "wrote": f"{self._shown(out)}/",
        }

    def _shown(self, path: Path) -> str:
        return f"{self.project.directory.resolve().name}/{path.name}"

    def _require_complete(self, people: Sequence[Interpreter], early: bool, why: str) -> None:
        counts = [(who.name, _answered(self.rows(who))) for who in people]
        every = len(self.drawn.numbers)
        if not early and any(count < every for _, count in counts):
            stated = ", ".join(f"{name} has answered {count} of {every} points" for name, count in counts)
            raise RefusedRequestError(TOO_EARLY, f"{stated}; {why}")


def _answered(rows: dict[str, Row]) -> int:
    """Points with a class, or marked as unsure; a comment alone is no answer."""
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
    labelling = Labelling(
        project,
        points,
        read_interpreter_points(points),
        label_classes(legend, further),
        further,
        season.cube,
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
