"""`agrifm assess --by-date`: scores of a project's models on unseen blocks as if the season ended on each of some days.

Networks, and means of networks of several seeds, answer as they are, from what was observed until the day. Classic
models are trained for each day, on the same pixels of the season until then: the best that they can do.

    models/early-season.json   scores by model and date, and the first dates of a level (`agrifm.train.early_scores`)
    models/early-season.csv    the same as a table
    models/early-season.svg    a curve of F1 by date for each class
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from hashlib import file_digest
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.cube.until import cube_until
from agrifm.early_season_panels import EARLY_SEASON, early_picture
from agrifm.errors import AssessmentError, doing
from agrifm.files import translate_os_errors, write_json, write_text
from agrifm.inference.predictor import TrainedModel, load_model
from agrifm.legend import UNLABELLED
from agrifm.outputs import unchanged, writing
from agrifm.record import TRAINABLE, is_classic, model_file
from agrifm.samples.patches import Tiles
from agrifm.season import Season
from agrifm.train.cube_classic import cube_record, fit_cube_classic
from agrifm.train.data import Data, prepare, project_labels
from agrifm.train.early_scores import LEVEL, early_content, early_lines, early_table
from agrifm.train.evaluate import counts_by_block
from agrifm.train.predictions import predict_labelled
from agrifm.train.publish import SCORES
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
        AssessmentError: the project is of a series table, its models are not trained, or were trained on other labels
            or blocks; a date is not in the season or too early, or the level is not a share.
        CubeError, LabelError, ModelError, OutputError: see `agrifm.train.run.train`.
    """
    about, level = "scoring by date", LEVEL if level is None else level
    if not project.labels.on_cube:
        raise AssessmentError(f"{about}: the project has a series table and no cube; give labels on a cube")
    if not 0 < level <= 1:
        raise AssessmentError(f"{about}: the level {level:g} is not above 0 and at most 1", level=level)
    scores = _scores(project, about)
    cube = open_cube(project.cube)
    days = _days(cube.season, dates, project.model.frames, about)
    names = [name for name in project.model.names if not TRAINABLE[name].parts]
    left_out = [name for name in project.model.names if TRAINABLE[name].parts]
    if missing := [name for name in names if name not in scores["models"]]:
        raise AssessmentError(f"{about}: {missing[0]} is not trained; run `agrifm train` first", model=missing[0])
    data = prepare(cube, project_labels(project, cube), project.labels.block, project.model)
    with writing(project.models, "models"), unchanged(cube.path, about) as require_unchanged:
        with translate_os_errors(f"writing {project.models / EARLY_SEASON}"):
            work = Resumable(project.models / "early-season.partial", _fingerprint(project, data, names))
            if not work.begun:
                work.begin()
        counts = {}
        for day in reversed(days):  # the end of the season first: it shows whether the labels are those of the training
            file = work.scratch / f"{day}.json"
            if not file.exists():
                found = {name: _counts_until(data, project, name, day) for name in names}
                require_unchanged()
                write_json(file, found)
            counts[day] = json.loads(file.read_text(encoding="utf-8"))
            if day == cube.season.end:
                _require_same_labels(counts[day], scores, about)
        content = early_content({day: counts[day] for day in days}, scores, level, data.split.blocks["test"], left_out)
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


def _fingerprint(project: Project, data: Data, names: Sequence[str]) -> str:
    """Of what decides the counts of a date."""
    files = {}
    for name in names:
        path = model_file(project.models, name, project.model.seeds)
        about = f"reading the model {path}"
        with doing(about, AssessmentError, "run `agrifm train` first", path=path), path.open("rb") as file:
            files[name] = file_digest(file, "sha256").hexdigest()
    return fingerprint([files, project.model.model_dump(mode="json"), data.cube.provenance, str(data.cube.season)])


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


def _counts_until(data: Data, project: Project, name: str, day: date) -> list[Any]:
    """Counts of a model by block, of the test pixels that had been observed until the day."""
    model, tiles = _classic_until(data, project, name, day) if is_classic(name) else _as_is(data, project, name, day)
    shown: Any = model
    shown = replace(shown, record=model.record.model_copy(update={"name": f"{name} {day}"}))  # for the progress bar
    predicted = predict_labelled(shown, tiles, data.unseen.label)
    counted = (data.unseen.label != UNLABELLED) & (predicted != UNLABELLED)
    counts: list[Any] = counts_by_block(predicted, data.unseen, counted, len(data.labels.legend)).tolist()
    return counts


def _as_is(data: Data, project: Project, name: str, day: date) -> tuple[TrainedModel, Tiles]:
    """The trained network, and the tiles of the cube until the day over the whole season."""
    model = load_model(model_file(project.models, name, project.model.seeds))
    record = model.record
    tiles = Tiles(cube_until(data.cube, day), data.sensors, data.cube.season.steps(record.frames), record.series)
    return model, tiles


def _classic_until(data: Data, project: Project, name: str, day: date) -> tuple[TrainedModel, Tiles]:
    """A classic model trained as if the season ended on the day, and its tiles."""
    config = project.model
    cube = replace(cube_until(data.cube, day), season=Season(data.cube.season.start, day))
    tiles = Tiles(cube, data.sensors, cube.season.steps(config.frames))
    until = replace(data, cube=cube, tiles=tiles)
    label: NDArray[np.uint8] = np.where(data.training.label == UNLABELLED, data.validation.label, data.training.label)
    return fit_cube_classic(until, config, cube_record(until, config, name, {}), label), tiles
