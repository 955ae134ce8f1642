"""The early season in a report: the scores by date next to the scores of the models, if they are of the same models."""

import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from agrifm.early_season_panels import EARLY_SEASON, early_key, early_panels
from agrifm.errors import AssessmentError, doing

_Score = Annotated[float, Field(ge=0, le=1)] | None
_Interval = tuple[float | None, float | None]


class _Read(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Class(_Read):
    code: str
    name: str


class _Row(_Read):
    """Scores of a date."""

    date: date
    pixels: NonNegativeInt
    macro_f1: _Score
    macro_f1_interval: _Interval
    f1: dict[str, _Score]
    f1_interval: dict[str, _Interval]


class _First(_Read):
    f1: str | None
    f1_surely: str | None
    area: str | None


class _Model(_Read):
    how: str
    fingerprint: str | None
    dates: tuple[_Row, ...] = Field(min_length=1)
    first: dict[str, _First]


class _Early(_Read):
    """What a report shows of the scores by date."""

    level: float
    area_level: float
    dates: tuple[date, ...] = Field(min_length=1)
    classes: tuple[_Class, ...] = Field(min_length=1)
    blocks: NonNegativeInt
    models: dict[str, _Model] = Field(min_length=1)
    notes: tuple[str, ...]

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        codes = {entry.code for entry in self.classes}
        for model in self.models.values():
            if tuple(row.date for row in model.dates) != self.dates or set(model.first) != codes:
                raise ValueError("each model must have all dates and classes")
            if any(set(row.f1) != codes or set(row.f1_interval) != codes for row in model.dates):
                raise ValueError("each date must have all classes")
        return self


def early_season_of(scores_file: Path, scores: dict[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the scores by date of the models that `scores` are of, or None; and notes.

    Args:
        scores_file: `scores.json`, next to which they are.
    """
    path = scores_file.with_name(EARLY_SEASON)
    if not path.is_file():
        return None, []
    try:
        with doing(f"reading {path}", AssessmentError, "run `agrifm assess --by-date` again", path=path):
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
            _Early.model_validate_json(json.dumps(content))
    except AssessmentError as error:
        return None, [f"the scores by date are left out: {error}"]
    for name, model in content["models"].items():
        trained = (scores["models"].get(name) or {}).get("training") or {}
        if trained.get("fingerprint") != model["fingerprint"]:
            stale = f"{name} was trained again since; run `agrifm assess --by-date`"
            return None, [f"the scores by date are left out: {stale}"]
    return content, []


def early_part(report: dict[str, Any]) -> dict[str, Any] | None:
    """Return the drawings and their key for the page of a report, or None if it has no scores by date."""
    early = report.get("early_season")
    if early is None:
        return None
    return {**early, "panels": early_panels(early), "key": early_key(early)}
