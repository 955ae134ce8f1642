"""What a page shows of a project: the layers of its map, its cube, parcels and report, and what of it is missing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from agrifm import __version__
from agrifm.config import read_project
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import AgriFMError, ServeError
from agrifm.files import AnyPath, as_path
from agrifm.record import NUMBERS
from agrifm.serve.deciding import deciding
from agrifm.serve.greenness_composites import Composites, composites_of
from agrifm.serve.imagery import Imagery, imagery_of
from agrifm.serve.map_layers import CLASSES, FILES, PageLayer, map_layers, other_crops
from agrifm.serve.parcel_outlines import ParcelOutlines
from agrifm.serve.parcel_views import ParcelViews
from agrifm.serve.pixel_answers import PROBABILITIES

LARGEST_JSON = 50_000_000
"""Bytes of a report or an item that are read."""


@dataclass(frozen=True)
class FinishedSeason:
    """A project with a finished map."""

    title: str
    period: tuple[str, str]
    """First and last day."""
    layers: dict[str, PageLayer]
    cube: Cube | None
    imagery: dict[str, Imagery | Composites]
    parcels: ParcelViews | None
    report: Mapping[str, Any] | None
    item: Mapping[str, Any]
    deciding: Mapping[str, Any]
    """By class code, what decides it, if it was explained."""
    downloads: dict[str, Path]
    """By name; nothing else of the disk can be downloaded."""
    missing: dict[str, str]
    """By title, why something cannot be shown."""

    @cached_property
    def outlines(self) -> ParcelOutlines | None:
        """Vector tiles of the parcels."""
        return None if self.parcels is None else ParcelOutlines(self.parcels)

    def stated(self) -> dict[str, Any]:
        """What the page is to know before it asks for anything."""
        crops = self.layers[CLASSES]
        properties = self.item.get("properties", {})
        by_code = properties.get("agrifm:hectares") if isinstance(properties, dict) else None
        by_code = by_code if isinstance(by_code, dict) else {}
        assert crops.legend is not None
        return {
            "title": self.title,
            "period": self.period,
            "version": __version__,
            "bounds": list(crops.grid.footprint().bounds),
            "layers": [layer.stated() for layer in self.layers.values()],
            "hectares": [_number(by_code.get(code)) for code in crops.legend.codes],
            "imagery": [one.stated() for one in self.imagery.values()],
            "series": self.cube is not None,
            "parcels": None if self.parcels is None else self.parcels.count,
            "outlines": None if self.outlines is None else self.outlines.stated(),
            "deciding": self.deciding,
            "downloads": list(self.downloads),
            "missing": [{"title": title, "why": why} for title, why in self.missing.items()],
            "trust": _sentence(self.report),
            "districts": _district_rows(self.report),
        }


def finished_season(directory: AnyPath, also: Sequence[AnyPath] = ()) -> FinishedSeason:
    """Open what there is of a project; only its map is needed.

    Args:
        also: directories of other maps to compare with, or of projects that have one.

    Raises:
        ConfigError: there is no project file, or it cannot be read.
        ServeError: the project has no finished map.
    """
    directory = as_path(directory)
    project = read_project(directory)
    maps = project.maps
    if project.model.task in NUMBERS:
        raise ServeError(
            f"serving {directory}: its map is of the task '{project.model.task}', and the page shows maps of classes; "
            f"open {maps / NUMBERS[project.model.task]} in QGIS, which finds its colours",
            path=maps,
        )
    if not (maps / FILES[CLASSES][1]).exists():
        raise ServeError(f"serving {directory}: it has no finished map; run `agrifm map` first", path=maps)
    missing: dict[str, str] = {}
    early = sorted(project.directory.glob("map-until-*/"))
    layers = map_layers(maps, missing) | other_crops([*early, *map(as_path, also)], missing)
    cube = _cube(project.cube, missing)
    parcels = _parcels(project.parcel_crops / "parcels.parquet", missing)
    imagery = {} if cube is None else _pictures(cube)
    names = [*(name for _, name in FILES.values()), PROBABILITIES, "item.json"]
    files = [maps / name for name in names] + [project.parcel_crops / "parcels.parquet"]
    report_directory = project.path("report")
    files += [report_directory / name for name in ("report.html", "report.json", "areas.csv", "accuracy.csv")]
    season = project.season.season
    return FinishedSeason(
        project.directory.resolve().name,
        (season.start.isoformat(), season.end.isoformat()),
        layers,
        cube,
        imagery,
        parcels,
        _json(report_directory / "report.json", "Report", missing),
        _json(maps / "item.json", "Hectares", missing) or {},
        deciding(project.path("explanation"), missing),
        {file.name: file.resolve() for file in files if file.is_file()},
        missing,
    )


def _cube(path: Path, missing: dict[str, str]) -> Cube | None:
    try:
        return open_cube(path)
    except (AgriFMError, OSError) as error:
        missing["Imagery and series"] = str(error)
        return None


def _pictures(cube: Cube) -> dict[str, Imagery | Composites]:
    """The pictures of dates by key, and after them those of months and of the season, of the smallest pixels alone."""
    dated = imagery_of(cube)
    composites = [one for imagery in list(dated.values())[:1] for one in composites_of(imagery.sensor, cube.season)]
    return {**dated, **{one.key: one for one in composites}}


def _parcels(path: Path, missing: dict[str, str]) -> ParcelViews | None:
    if not path.exists():
        return None
    try:
        return ParcelViews(path)
    except ServeError as error:
        missing["Parcels"] = str(error)
        return None


def _json(path: Path, title: str, missing: dict[str, str]) -> Mapping[str, Any] | None:
    """The content of a file of JSON that may be absent."""
    if not path.exists():
        return None
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError("it is too large")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it is not an object")
    except (OSError, ValueError, RecursionError) as error:
        missing[title] = f"reading {path.name}: {error}"
        return None
    return content


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _sentence(report: Mapping[str, Any] | None) -> str | None:
    """What the report says in one sentence on how far the map can be trusted."""
    trust = (report or {}).get("trust")
    sentence = trust.get("sentence") if isinstance(trust, dict) else None
    return sentence if isinstance(sentence, str) else None


def _district_rows(report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Districts of a report: code, points, mapped hectares, and the estimate of each class."""
    found = (report or {}).get("districts") or []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
