"""A project file for an area and a year: the season from the crop calendar, its imagery, and labels looked through.

The file is the template of `agrifm init` with what was found filled in, so every other key is still explained in it.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import date
from math import ceil, floor
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from shapely.geometry.base import BaseGeometry

from agrifm.codes import listed
from agrifm.config import PROJECT_FILE
from agrifm.crop_calendar import seasons_near
from agrifm.errors import ConfigError, did_you_mean
from agrifm.files import AnyPath, as_path, write_text
from agrifm.grid import geodesic_hectares
from agrifm.init import TEMPLATE, init
from agrifm.model_config import ModelConfig
from agrifm.outputs import writing_file
from agrifm.samples.label_summary import LabelSummary, describe_labels
from agrifm.samples.yield_columns import guess_yields
from agrifm.scene.area import Area, read_area
from agrifm.scene.providers import PROVIDERS
from agrifm.season import Season
from agrifm.validation import complaint

PROVIDER = "planetary-computer"
"""It has all three sensors, and needs no account."""
FIRST_YEARS = {"sentinel-2": 2017, "landsat": 2014, "modis": 2001}
"""First years of whole seasons of a sensor."""
FAR = 200.0
"""Kilometres from which the seasons of another place say little."""
TILES = 100
"""Side of tiles, kilometres, of areas in several UTM zones."""
LARGE = 5_000_000
"""Hectares above which one cube is a lot."""


def new_project(
    directory: AnyPath,
    area: AnyPath | None = None,
    year: int | None = None,
    labels: AnyPath | None = None,
    column: str | None = None,
    parcels: AnyPath | None = None,
    task: str | None = None,
    crop: Sequence[str] | None = None,
) -> list[str]:
    """Write a project file: with an area and a year one that `agrifm fetch` can run, else one to edit.

    Args:
        directory: of the project; it may be new.
        area: vector file of the area.
        year: of the main harvests.
        labels: ground truth, a vector file or a raster of class codes.
        column: of the class codes in the vector file; None = the likeliest one.
        parcels: existing parcels whose crops are asked for.
        task: what models tell apart (`agrifm.record.Task`); None = the crops of the labels.
        crop: code or name of the crop of the tasks "one-crop" and "yield", or several.

    Returns:
        Lines about the area, season, imagery and labels; what deserves a second look begins with "warning:".

    Raises:
        ConfigError: only one of area and year is given, or labels without them; the area cannot be read, the parcels do
            not exist, no sensor has images of the season, the task is unknown, or it and the crop do not fit.
        LabelError: the labels cannot be read, or no column can be that of the classes.
        OutputError: the project file exists already or cannot be written.
    """
    directory = as_path(directory)
    of_task = _task_keys(task, crop)
    if area is None or year is None:
        if any(given is not None for given in (area, year, labels, column, parcels)):
            raise ConfigError("writing a project: give both the area and the year (--area FILE --year Y), or neither")
        path = _write(directory, of_task) if of_task else init(directory)
        return [f"wrote {path}; edit the three places marked in it, then run `agrifm fetch` in its directory"]
    area = as_path(area)
    place = read_area(area.resolve())
    values, lines = _season_and_imagery(place, year, task == "fractions")
    values |= of_task
    values["season.area"] = _relative(area, directory)
    if labels is None:
        lines.append("labels: none given; set `file` and `column` under [labels] before `agrifm train`")
    else:
        labels = as_path(labels)
        found = describe_labels(labels, place.shape, column)
        lines += found.lines
        _require_crop(found, crop or (), labels)
        values |= {"labels.file": _relative(labels, directory)} | _label_keys(labels, found, task, lines)
    if parcels is not None:
        parcels = as_path(parcels)
        if not parcels.exists():
            raise ConfigError(f"writing a project: the parcels {parcels} do not exist; give their file", path=parcels)
        values["parcels.file"] = _relative(parcels, directory)
    path = _write(directory, values)
    return [*lines, f"wrote {path}; look through it, then run `agrifm fetch` in its directory"]


def _label_keys(labels: Path, found: LabelSummary, task: str | None, lines: list[str]) -> dict[str, object]:
    """Keys of the columns of the labels; adds lines about yields."""
    keys = {} if found.column is None else {"column": found.column}
    if task == "yield":
        yields = guess_yields(labels)
        lines += yields.lines
        keys |= yields.keys
    return {f"labels.{key}": value for key, value in keys.items()}


def _write(directory: Path, values: Mapping[str, object]) -> Path:
    path = directory / PROJECT_FILE
    with writing_file(path, f"writing the project file {path}"):
        write_text(path, filled(TEMPLATE, values))
    return path


def _task_keys(task: str | None, crop: Sequence[str] | None) -> dict[str, object]:
    """Keys of the task, if it is one."""
    given: dict[str, Any] = {"task": task, "crop": tuple(crop or ())}
    stated = {key: value for key, value in given.items() if value}
    try:
        ModelConfig.model_validate(stated)
    except ValidationError as error:
        raise ConfigError(
            f"writing a project for a task: {complaint(error, ModelConfig)}", task=task, crop=crop
        ) from error
    return {f"model.{key}": value for key, value in stated.items()}


def _require_crop(found: LabelSummary, crop: Sequence[str], labels: Path) -> None:
    """Refuse a crop that no label has; the codes of a raster are not all known."""
    for code in crop:
        if found.column is not None and code not in found.codes:
            raise ConfigError(
                f"writing a project for one crop: no label of {labels} has '{code}' in the column '{found.column}'"
                f"{did_you_mean(code, found.codes)} (labels: {listed(found.codes)}); give one of them as --crop",
                crop=code,
                known=found.codes,
            )


def _season_and_imagery(place: Area, year: int, coarse: bool) -> tuple[dict[str, object], list[str]]:
    """Keys of the season and the imagery of an area, and lines about the three; only of large pixels if `coarse`."""
    season, lines = _season(place.shape, year)
    products, hectares = _products(season)[-1:] if coarse else _products(season), geodesic_hectares(place.shape)
    lines = [f"area: {hectares:,.0f} ha", *place.notes, *lines, f"imagery: {', '.join(products)} from {PROVIDER}"]
    if hectares > LARGE:
        lines.append("warning: the area is large for one cube; begin with a part of it")
    values: dict[str, object] = {
        "season.start": season.start,
        "season.end": season.end,
        "imagery.provider": PROVIDER,
        "imagery.products": products,
    }
    west, _, east, _ = place.shape.bounds
    if ceil((east + 180) / 6) - floor((west + 180) / 6) > 1:
        values["season.tiles"] = TILES
        lines.append(f"tiles: the area is in several UTM zones, so it is divided into squares of {TILES} km")
    return values, lines


def _season(area: BaseGeometry, year: int) -> tuple[Season, list[str]]:
    """From the first day of the earlier of the two seasons of crops to the last day of the later one."""
    middle = area.representative_point()
    near = seasons_near(middle.x, middle.y, year)
    start, end = min(one.start for one in near.seasons), max(one.end for one in near.seasons)
    season = Season(start, end)
    shown = " and ".join(f"{one.start} to {one.end}" for one in near.seasons)
    lines = [f"season: {start} to {end}; crops grow from {shown} in the crop calendar"]
    if near.kilometres > FAR:
        lines.append(
            f"warning: the nearest place of the crop calendar is {near.kilometres:.0f} km away; check the season"
        )
    if end > date.today():
        lines.append("warning: the season is not over; `agrifm map --until DAY` maps what is known on a day")
    return season, lines


def _products(season: Season) -> tuple[str, ...]:
    """Products of the provider that have images of the whole season, the finest sensor first."""
    if season.start > date.today():
        raise ConfigError(
            f"writing a project: the season begins on {season.start}, which is to come; give an earlier year",
            start=season.start,
        )
    wanted = [
        sensor for sensor, first in FIRST_YEARS.items() if season.start.year >= first - 1 and season.end.year >= first
    ]
    if not wanted:
        raise ConfigError(
            f"writing a project: no sensor has images from {season.start} to {season.end}; give a year from "
            f"{min(FIRST_YEARS.values())} on",
            end=season.end,
        )
    every = PROVIDERS[PROVIDER].products
    return tuple(next(product.name for product in every if product.sensor.startswith(sensor)) for sensor in wanted)


def filled(template: str, values: Mapping[str, object]) -> str:
    """Return a project file with these keys set, each `section.key`; a key, or its section, may be commented out.

    Args:
        values: texts, days and sequences of texts; of alternatives (`catalog` and `provider`) the other one is
            commented out.
    """
    if "imagery.provider" in values:
        template = re.sub(r"^catalog = ", "# catalog = ", template, count=1, flags=re.MULTILINE)
    for name, value in values.items():
        section, key = name.split(".")
        before, header, after = re.split(rf"^((?:# )?\[{section}\]\n)", template, maxsplit=1, flags=re.MULTILINE)
        line = f"{key} = {_written(value)}\n"
        after, found = re.subn(rf"^(?:# )?{key} = .*\n", lambda _, line=line: line, after, count=1, flags=re.MULTILINE)
        assert found, name
        template = before + header.removeprefix("# ") + after
    return template


def _written(value: object) -> str:
    """A value as TOML."""
    return value.isoformat() if isinstance(value, date) else json.dumps(value, ensure_ascii=False)


def _relative(path: Path, directory: Path) -> str:
    """A path as the project file in a directory has it, with slashes."""
    try:
        return Path(os.path.relpath(path.resolve(), directory.resolve())).as_posix()
    except ValueError:  # on another drive
        return path.resolve().as_posix()
