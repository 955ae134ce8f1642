"""What a page shows of a project: the layers of its map, its cube, parcels and report, and what of it is missing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from shapely import Polygon

from agrifm import __version__
from agrifm.config import Project, read_project
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import AgriFMError, ServeError
from agrifm.files import AnyPath, as_path
from agrifm.map_collection import COLLECTION, box_of_tiles
from agrifm.record import NUMBERS, Task
from agrifm.serve.deciding import deciding
from agrifm.serve.greenness_composites import Composites
from agrifm.serve.imagery import Imagery
from agrifm.serve.map_layers import CLASSES, FILES, PageLayer, map_layers, other_crops
from agrifm.serve.number_layers import number_layers
from agrifm.serve.parcel_outlines import ParcelOutlines
from agrifm.serve.parcel_views import ParcelViews
from agrifm.serve.pixel_answers import PROBABILITIES, map_answer
from agrifm.serve.polygon_hectares import polygon_answer
from agrifm.serve.polygon_numbers import shares_inside, yield_inside
from agrifm.serve.refusals import NO_SUCH, RefusedRequestError
from agrifm.serve.season_tiles import SeasonTile, layers_of_tiles, open_tiles, tiles_at
from agrifm.serve.tiled_imagery import ImageryOfTiles, imagery_of_tiles, pictures_of

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
    """None too where each tile has one."""
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
    tiles: tuple[SeasonTile, ...] = ()
    """Of a divided area, those that have a map."""
    tiled_imagery: Mapping[str, ImageryOfTiles] = field(default_factory=dict)
    """Of a divided area, instead of `imagery`."""
    task: Task = "crop-type"
    """Of the map; those of `NUMBERS` have maps of numbers."""

    @property
    def first_layer(self) -> PageLayer:
        """What is seen first: the crops, or the numbers of a map of yields."""
        return next(iter(self.layers.values()))

    @property
    def pictures(self) -> Mapping[str, Imagery | Composites | ImageryOfTiles]:
        """Pictures of dates by key."""
        return {**self.imagery, **self.tiled_imagery}

    @property
    def has_series(self) -> bool:
        """Whether there is a cube."""
        return self.cube is not None or any(tile.cube is not None for tile in self.tiles)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north of the map in degrees; east is beyond 180 if the area is across it."""
        if not self.tiles:
            return self.first_layer.bounds
        west, south, east, north = box_of_tiles([one.tile for one in self.tiles])
        return west, south, east + 360 * (west > east), north

    def pixel(self, lon: float, lat: float) -> dict[str, Any] | None:
        """What the map says of a place, as `map_answer` does; of a divided area, in the tile that contains it.

        Raises:
            ServeError: a file is damaged.
        """
        if not self.tiles:
            return map_answer(self.layers, lon, lat)
        others = {key: layer for key, layer in self.layers.items() if key not in FILES}
        answers = [map_answer({**one.layers, **others}, lon, lat) for one in tiles_at(self.tiles, lon, lat)]
        found = [one for one in answers if one is not None]
        return next((one for one in found if one["values"][CLASSES] is not None), found[0] if found else None)

    def inside(self, polygon: Polygon) -> dict[str, Any]:
        """What the map says of a polygon: hectares of classes with estimates, sums of shares, or the yield.

        Raises:
            RefusedRequestError: it is not on the map, or too large.
            ServeError: a file is damaged.
        """
        if self.task == "yield":
            return yield_inside(self.first_layer, polygon)
        if self.task == "fractions":
            return shares_inside(self.first_layer, polygon)
        return polygon_answer(self.first_layer, polygon, self.report)

    def cube_at(self, lon: float, lat: float) -> Cube | None:
        """The cube of a place; None where a divided area has no tile.

        Raises:
            RefusedRequestError: there is none.
        """
        if not self.tiles and self.cube is None:
            raise RefusedRequestError(NO_SUCH, self.missing.get("Imagery and series", "there is no cube"))
        if not self.tiles:
            return self.cube
        here = tiles_at(self.tiles, lon, lat)
        if here and here[0].cube is None:
            raise RefusedRequestError(NO_SUCH, f"the tile {here[0].tile.name}: {here[0].why}")
        return here[0].cube if here else None

    @cached_property
    def outlines(self) -> ParcelOutlines | None:
        """Vector tiles of the parcels."""
        return None if self.parcels is None else ParcelOutlines(self.parcels)

    def stated(self) -> dict[str, Any]:
        """What the page is to know before it asks for anything."""
        by_code = _properties(self.item).get("agrifm:hectares")
        by_code = by_code if isinstance(by_code, dict) else {}
        legend = self.first_layer.legend
        return {
            "title": self.title,
            "task": self.task,
            "period": self.period,
            "version": __version__,
            "bounds": list(self.bounds),
            "layers": [layer.stated() for layer in self.layers.values()],
            "hectares": [_number(by_code.get(code)) for code in legend.codes] if legend else [],
            "imagery": [one.stated() for one in self.pictures.values()],
            "series": self.has_series,
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
    is_divided, task = project.season.tiles is not None, _task_of_map(project)
    missing: dict[str, str] = {}
    if is_divided and task in NUMBERS:
        raise ServeError(
            f"serving {directory}: its area is divided (`tiles` under [season]), and numbers are shown of one map; "
            f"open {maps / NUMBERS[task]} of its tiles in QGIS, which finds the colours",
            path=maps,
        )
    leading = NUMBERS.get(task, FILES[CLASSES][1])
    if not is_divided and not (maps / leading).exists():
        raise ServeError(f"serving {directory}: it has no finished map; run `agrifm map` first", path=maps)
    opened = open_tiles(project, missing) if is_divided else ()
    early = sorted(project.directory.glob(f"{maps.name}-until-*/"))
    about = _about_map(maps, missing, is_divided)
    if is_divided:
        layers = layers_of_tiles(opened, missing)
    elif task in NUMBERS:
        layers = number_layers(maps, task, _properties(about), missing)
    else:
        layers = map_layers(maps, missing)
    layers |= other_crops([*early, *map(as_path, also)], missing)
    cube = None if is_divided else _cube(project.cube, missing)
    parcels = _parcels(project.parcel_crops / "parcels.parquet", missing)
    imagery = {} if cube is None else pictures_of(cube)
    names = (
        [leading, *(name for _, name in FILES.values()), PROBABILITIES, "item.json"] if not is_divided else [COLLECTION]
    )
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
        about,
        deciding(project.path("explanation"), missing),
        {file.name: file.resolve() for file in files if file.is_file()},
        missing,
        opened,
        imagery_of_tiles(opened),
        task,
    )


def _task_of_map(project: Project) -> Task:
    """The task of a project's map, which may be older than its project file."""
    found: list[Task] = [task for task, name in NUMBERS.items() if (project.maps / name).exists()]
    return found[0] if found else project.model.task


def _about_map(maps: Path, missing: dict[str, str], is_divided: bool) -> Mapping[str, Any]:
    """The item of a map, or what a collection says of the maps of tiles, as an item does."""
    if not is_divided:
        return _json(maps / "item.json", "Hectares", missing) or {}
    return {"properties": _json(maps / COLLECTION, "Hectares", missing) or {}}


def _properties(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The properties of an item."""
    found = item.get("properties")
    return found if isinstance(found, dict) else {}


def _cube(path: Path, missing: dict[str, str]) -> Cube | None:
    try:
        return open_cube(path)
    except (AgriFMError, OSError) as error:
        missing["Imagery and series"] = str(error)
        return None


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
    """What the report says in one sentence on how far the map can be trusted, or on the errors of numbers."""
    trust = (report or {}).get("trust")
    sentence = trust.get("sentence") if isinstance(trust, dict) else (report or {}).get("headline")
    return sentence if isinstance(sentence, str) else None


def _district_rows(report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Districts of a report: code, points, mapped hectares, and the estimate of each class."""
    found = (report or {}).get("districts") or []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
