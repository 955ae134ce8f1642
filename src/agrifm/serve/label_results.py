"""What follows from answers given on the page: the report of the assessment, and the agreement of two interpreters."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agrifm.assess.agreement import FILES_OF_AGREEMENT, compare_interpreters
from agrifm.assess.agreement_lines import agreement_lines
from agrifm.assess.report import assess
from agrifm.point_columns import LABEL, NUMBER
from agrifm.serve.labelling import Interpreter, Labelling, count_answered
from agrifm.serve.refusals import NO_SUCH, RefusedRequestError

TOO_EARLY = 428
"""Status of a result that is asked for before every point has an answer, and without insisting."""


def report_of_answers(labelling: Labelling, number: int, early: bool) -> dict[str, Any]:
    """Assess the map with the answers of an interpreter; writes the report and returns its hectares.

    Args:
        early: although some points have no answer.

    Raises:
        AgriFMError: see `agrifm.assess.report.assess`.
        RefusedRequestError: not every point has an answer, and it is not `early`.
    """
    who = labelling.interpreter(number)
    _require_complete(labelling, [who], early, "the hectares are then of the others alone, and wrong if they differ")
    with labelling.computing:
        training = labelling.project.assess.training_file
        found = assess(labelling.map_path, who.file, LABEL, who.report, training_keys=training)
    return {
        "areas": found["areas"],
        "sentence": found["trust"]["sentence"],
        "warnings": found["warnings"],
        "wrote": f"{_shown(labelling, who.report)}/, from {who.file.name}",
    }


def agreement_of_answers(labelling: Labelling, _: int, early: bool) -> dict[str, Any]:
    """Compare the first two interpreters; writes `agreement/` and returns its sentences and the points that differ.

    Args:
        early: although some points have no answer.

    Raises:
        AgriFMError: no point has a label of both, or the directory cannot be written.
        RefusedRequestError: there is one interpreter, or not every point has an answer, and it is not `early`.
    """
    if len(labelling.interpreters) < 2:
        raise RefusedRequestError(NO_SUCH, "there is one interpreter")
    first, second = labelling.interpreters
    _require_complete(labelling, [first, second], early, "who sees the answers of another one is led by them")
    out = labelling.project.directory / "agreement"
    with labelling.computing:
        found = compare_interpreters(
            first.file, second.file, out, labelling.points, labelling.map_path, labelling.further
        )
        table = out / FILES_OF_AGREEMENT[2]
        different: list[dict[str, str]] = []
        if found["points"]["different"]:
            with table.open(newline="", encoding="utf-8") as file:
                different = list(csv.DictReader(file))
    names = {entry.code: entry.name for entry in labelling.classes}
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
        "wrote": f"{_shown(labelling, out)}/",
    }


def _shown(labelling: Labelling, path: Path) -> str:
    return f"{labelling.project.directory.resolve().name}/{path.name}"


def _require_complete(labelling: Labelling, people: Sequence[Interpreter], early: bool, why: str) -> None:
    counts = [(who.name, count_answered(labelling.rows(who))) for who in people]
    every = len(labelling.drawn.numbers)
    if not early and any(count < every for _, count in counts):
        stated = ", ".join(f"{name} has answered {count} of {every} points" for name, count in counts)
        raise RefusedRequestError(TOO_EARLY, f"{stated}; {why}")
