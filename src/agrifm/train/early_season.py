"""`agrifm assess --by-date`: scores of a project's models on unseen blocks as if the season ended on each of some days.

Networks, and means of networks of several seeds, answer as they are, from what was observed until the day. Classic
models are trained for each day, on the same labels and the season until then: the best that they can do. Means of both
average these answers with the weights of their training (`agrifm.train.answers_by_date`).

    models/early-season.json   scores by model and date, and the first dates of a level (`agrifm.train.early_scores`)
    models/early-season.csv    the same as a table
    models/early-season.svg    a curve of F1 by date for each class
"""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from hashlib import file_digest
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from agrifm.config import Project
from agrifm.early_season_panels import EARLY_SEASON, early_picture
from agrifm.errors import AssessmentError, doing
from agrifm.files import translate_os_errors, write_json, write_text
from agrifm.inference.mean import read_mean
from agrifm.legend import UNLABELLED
from agrifm.model_config import WITHOUT_CLASSES
from agrifm.outputs import unchanged, writing
from agrifm.record import TRAINABLE, model_file, with_parts
from agrifm.season import Season
from agrifm.train.answers_by_date import DayAnswers, LabelsByDate, labels_by_date
from agrifm.train.early_scores import LEVEL, early_content, early_lines, early_table
from agrifm.train.evaluate import counts_by_block
from agrifm.train.predictions import mean_labelled
from agrifm.train.publish import SCORES
from agrifm.train.reliability import Reliability
from agrifm.work import Resumable, fingerprint

EARLY_TABLE, EARLY_PICTURE = "early-season.csv", "early-season.svg"

Counts = dict[str, list[Any]]
"""By model, confusion counts (block, predicted class, true class) as lists."""


def assess_by_date(project: Project, dates: Sequence[date] = (), level: float | None = None) -> list[str]:
    """Score the trained models of a project by date, and write the files above; a stopped run continues.

    Args:
        dates: last days that are read; by default the ends of months. The end of the season is always one of them.
        level: F1 whose first date is stated, above 0 and at most 1; by default 0.8.

    Returns:
        The scores in sentences.

    Raises:
        AssessmentError: the models are not trained, or were trained on other labels or blocks; a date is not in the
            season or too early, or the level is not a share.
        CubeError, LabelError, ModelError, OutputError: see `agrifm.train.run.train`.
    """
    about, level = "scoring by date", LEVEL if level is None else level
    if not 0 < level <= 1:
        raise AssessmentError(f"{about}: the level {level:g} is not above 0 and at most 1", level=level)
    if project.model.task in WITHOUT_CLASSES:
        raise AssessmentError(
            f"{about}: models of the task '{project.model.task}' have no classes, which are what is scored by date; "
            "`agrifm train` with an earlier `end` under [season] scores one date",
            task=project.model.task,
        )
    scores = _scores(project, about)
    names = with_parts(project.model.names)
    if missing := [name for name in names if name not in scores["models"]]:
        raise AssessmentError(f"{about}: {missing[0]} is not trained; run `agrifm train` first", model=missing[0])
    labels = labels_by_date(project)
    days = _days(labels.season, dates, project.model.frames, about)
    with writing(project.models, "models"), unchanged(labels.path, about) as require_unchanged:
        with translate_os_errors(f"writing {project.models / EARLY_SEASON}"):
            work = Resumable(project.models / "early-season.partial", _fingerprint(project, labels, names))
            if not work.begun:
                work.begin()
        counts = {}
        for day in reversed(days):  # the end of the season first: it shows whether the labels are those of the training
            file = work.scratch / f"{day}.json"
            if not file.exists():
                found = _counts_until(labels, project, names, day, work.scratch)
                require_unchanged()
                write_json(file, found)
            counts[day] = json.loads(file.read_text(encoding="utf-8"))
            if day == labels.season.end:
                _require_same_labels(counts[day], scores, about)
        content = early_content({day: counts[day] for day in days}, scores, level, labels.blocks)
        with translate_os_errors(f"writing {project.models / EARLY_SEASON}"):
            write_text(project.models / EARLY_TABLE, early_table(content))
            write_text(project.models / EARLY_PICTURE, early_picture(content))
            write_json(project.models / EARLY_SEASON, content)  # last: the report shows it
            work.remove()
    files = (EARLY_SEASON, EARLY_TABLE, EARLY_PICTURE)
    return [*early_lines(content), *(f"wrote {project.models / name}" for name in files)]


def month_ends(season: Season) -> list[date]:
    """Return the last days of the months of a season, and its last day."""
    days = [season.start + timedelta(days=number) for number in range(season.days)]
    return [*(day for day, following in pairwise(days) if day.month != following.month), season.end]


def _days(season: Season, dates: Sequence[date], frames: int, about: str) -> list[date]:
    """The dates in order, with the end of the season; of the ends of months those with a day for each frame."""
    first = season.start + timedelta(days=max(frames, 2) - 1)
    for day in dates:
        if day not in season:
            raise AssessmentError(
                f"{about}: {day} is not in the season, {season.start} to {season.end}; choose another date",
                day=day.isoformat(),
            )
        if day < first:
            raise AssessmentError(
                f"{about}: {day} is too early for {frames} frames of at least a day each; choose {first} or later",
                day=day.isoformat(),
            )
    return sorted({*(dates or (day for day in month_ends(season) if day >= first)), season.end})


def _scores(project: Project, about: str) -> dict[str, Any]:
    """The content of `scores.json`."""
    path = project.models / SCORES
    with doing(f"{about}: reading {path}", AssessmentError, "run `agrifm train` first", path=path):
        scores: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return scores


def _fingerprint(project: Project, labels: LabelsByDate, names: Sequence[str]) -> str:
    """Of what decides the counts of a date."""
    files = {}
    for name in names:
        path = model_file(project.models, name, project.model.seeds)
        about = f"reading the model {path}"
        with doing(about, AssessmentError, "run `agrifm train` first", path=path), path.open("rb") as file:
            files[name] = file_digest(file, "sha256").hexdigest()
    return fingerprint([files, project.model.model_dump(mode="json"), labels.content, str(labels.season)])


def _require_same_labels(counts: Counts, scores: dict[str, Any], about: str) -> None:
    """Refuse blocks that are not those of the training: models may have been trained on them."""
    for name, per_block in counts.items():
        stored = np.array(scores["models"][name]["counts"])
        if (np.array(per_block).sum(axis=(0, 1)) != stored.sum(axis=0)).any():
            raise AssessmentError(
                f"{about}: the test pixels are not those that {name} was scored on, so labels or settings have changed "
                "since the training; run `agrifm train` again",
                model=name,
            )


def _counts_until(
    labels: LabelsByDate, project: Project, names: Sequence[str], day: date, scratch: Path
) -> dict[str, list[Any]]:
    """Counts of each model by block, of the test pixels or places that had been observed until the day."""
    answers: dict[str, DayAnswers] = {}
    counts = {}
    for name in names:  # parts come before their means
        if TRAINABLE[name].parts:
            mean = read_mean(model_file(project.models, name)).record
            weights = {part: weight for part, weight in mean.training["weights"].items() if weight}
            parts, calibration = [answers[part].probabilities for part in weights], mean.calibration
        else:
            answers[name] = labels.answers(name, day, scratch / f"{name}.probabilities")
            weights, parts, calibration = {name: 1.0}, [answers[name].probabilities], answers[name].calibration
        counted = Reliability(calibration, labels.unseen, labels.classes)
        predicted, _ = mean_labelled(parts, list(weights.values()), labels.unseen.label, None, counted)
        known = (labels.unseen.label != UNLABELLED) & (predicted != UNLABELLED)
        counts[name] = counts_by_block(predicted, labels.unseen, known, labels.classes).tolist()
    return counts
