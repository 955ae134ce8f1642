"""The project file `agrifm.toml`: one short section per stage, unknown keys refused with the nearest known one.

The text under a field is its documentation. Paths are relative to the project file.
"""

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Self

from pydantic import Field, InstanceOf, ValidationError, field_validator, model_validator

from agrifm.area_tile import AreaTile
from agrifm.errors import ConfigError, StoreError, doing, shortened
from agrifm.files import MARKER, AnyPath, as_path
from agrifm.imagery_config import ImageryConfig
from agrifm.map_cleaning import Cleaning
from agrifm.model_config import ModelConfig
from agrifm.object_store import ObjectPath, Place
from agrifm.season import Season
from agrifm.series_columns import SeriesColumns
from agrifm.tables import has_table_suffix
from agrifm.task_keys import unused_key
from agrifm.validation import Frozen, complaint
from agrifm.vectors import VectorKeys
from agrifm.yields import TONNES, YieldUnit

PROJECT_FILE = "agrifm.toml"

MIN_TILE, MAX_TILE = 2.0, 1000.0
"""Sides of tiles, kilometres."""


class SeasonConfig(VectorKeys):
    """Where and when."""

    area: Path | tuple[float, float, float, float] | None = None
    """The area, which a cube needs: a vector file (GeoPackage, GeoJSON, Shapefile …), or west, south, east, north in
    degrees."""
    start: date
    """First day of the season."""
    end: date
    """Last day of the season; in the next year if the season crosses New Year."""
    buffer: float = Field(0.0, ge=0, le=100_000)
    """Metres added to the area on all sides. The keys `layer`, `crs` and `encoding` are for the area's file."""
    tiles: float | Path | None = None
    """Divide the area into squares of at most so many kilometres, each with its own cube and map, for areas that are
    large, in several UTM zones or across longitude 180 (docs/areas.md); or a list of squares, such as a copy of the
    `tiles/tiles.geojson` of another project."""
    halo: float | None = Field(None, ge=0, le=50_000)
    """Metres around a tile that its cube has too, because models look at neighbours; by default, 480 m
    more than the side of the prediction windows, with which the map does not depend on how the area is divided."""
    store: str | None = None
    """Address in an object store, such as "s3://bucket/season", at which `agrifm fetch` publishes the cube and `agrifm
    map` the map; where this disk has no cube, training and mapping read it there (docs/stores.md)."""

    @field_validator("start", "end", mode="before")
    @classmethod
    def _days_by_their_form(cls, day: object) -> object:
        """Read 20240301 as a date; it would be taken for seconds since 1970."""
        text = str(day).strip()
        if isinstance(day, bool | float) or (isinstance(day, int) and len(text) != 8):
            raise ValueError(f"{day!r} is not a day; write it as 2024-03-01")
        return f"{text[:4]}-{text[4:6]}-{text[6:]}" if re.fullmatch("[0-9]{8}", text) else day

    @field_validator("tiles", mode="before")
    @classmethod
    def _a_side_or_a_list(cls, tiles: object) -> object:
        if isinstance(tiles, bool) or (isinstance(tiles, int | float) and not MIN_TILE <= tiles <= MAX_TILE):
            raise ValueError(
                f"`tiles` is the side of tiles in km, from {MIN_TILE:g} to {MAX_TILE:g}, or a file (found {tiles})"
            )
        return tiles

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        assert self.season.days
        return self

    @model_validator(mode="after")
    def _keys_have_what_they_are_for(self) -> Self:
        stated = [name for name in VectorKeys.model_fields if getattr(self, name) is not None]
        if stated and not isinstance(self.area, Path):
            raise ValueError(f"`{stated[0]}` is for an area in a file, but `area` is a box in degrees; remove it")
        if self.halo is not None and self.tiles is None:
            raise ValueError("`halo` is for tiles; give `tiles`, the side of a tile in kilometres, or remove it")
        if self.store is not None and self.tiles is not None:
            raise ValueError("`store` is for one cube; remove it, or `tiles`")
        return self

    @field_validator("store")
    @classmethod
    def _an_address(cls, store: str | None) -> str | None:
        if store is not None:
            try:
                ObjectPath.of(store)
            except StoreError as error:
                raise ValueError(f"`store`: {error}") from error
        return store

    @property
    def season(self) -> Season:
        """The season."""
        return Season(self.start, self.end)


class LabelsConfig(VectorKeys):
    """Ground truth."""

    file: Path | None = None
    """Polygons or points (GeoPackage, GeoJSON, Shapefile, GeoParquet, CSV …) or a raster of class codes (GeoTIFF). With
    `series`, labels on the cube as well; or a table (CSV, Parquet) of its samples with their classes and places."""
    series: Path | None = None
    """Labelled series of points or parcels (Parquet, GeoParquet, CSV), alone or with labels on a cube in `file`."""
    series_share: float | None = Field(None, gt=0, lt=1)
    """Share of the training steps that are of `series`, if `file` is labels on a cube; by default at most 0.5."""
    products: tuple[str, ...] = ()
    """Products of the numbers in `series`, such as "sentinel-2-worldcereal", known or of [[imagery.product]]."""
    columns: SeriesColumns = SeriesColumns()
    """What the columns of `series` are called, as [labels.columns]."""
    column: str = "crop"
    """Column of the class code; not used for a raster. Also that of `series`, unless [labels.columns] has `label`."""
    value: str | None = None
    """Of the task "yield": column of the yields."""
    unit: YieldUnit | None = None
    """Of the task "yield": unit of these numbers, "t/ha", "dt/ha" (100 kg per hectare) or "kg/ha"; maps and scores have
    t/ha."""
    covered: float | None = Field(None, gt=0, le=1)
    """Of the task "fractions": least share of a pixel that must be labelled for it to be used; by default 0.9."""
    legend: Path | None = None
    """Legend (JSON or CSV: code, name, color); by default, the codes in the labels."""
    hierarchy: str | None = None
    """Published legend whose codes the labels have, such as "hcat3" (docs/train.md): scores are stated at its levels
    too. Without it, at those of the parents that the legend states."""
    other: Path | None = None
    """Land outside the crops of interest, as polygons or a land-cover raster: the class `other`."""
    other_file: VectorKeys = VectorKeys()
    """`layer`, `crs` and `encoding` of the vector file `other`, if it does not say them, as [labels.other_file]."""
    other_values: tuple[int, ...] = ()
    """Values of that raster that mean `other`, such as 10 and 80 (trees and water of ESA WorldCover)."""
    unlabelled: tuple[int | str, ...] = ()
    """Codes that mean that there is no label, such as 0 in a raster without a nodata value."""
    fold_column: str | None = None
    """Column with train, validation or test for each shape, if the split is already decided."""
    block: int = Field(960, gt=0, multiple_of=480)
    """Side in metres of the squares that separate training, validation and test."""

    @model_validator(mode="after")
    def _labels_or_a_table(self) -> Self:
        if self.series is None and self.file is None:
            raise ValueError("labels.file is missing (labels on a cube), or labels.series (a table of labelled series)")
        if self.series is not None and not self.products:
            raise ValueError(
                '`series` needs `products`, which say how its numbers are encoded, such as ["sentinel-2-worldcereal"]'
            )
        if self.series is None and (self.products or self.columns != SeriesColumns()):
            raise ValueError("`products` and `columns` are for `series`; remove them, or name the table")
        if self.series_share is not None and (self.series is None or self.file is None):
            raise ValueError("`series_share` is for labels on a cube (`file`) together with `series`; give both")
        if self.series is not None and not self.mixed and (self.other is not None or self.other_values):
            raise ValueError("`other` is for labels on a cube; give rows of the class `other` in the table")
        return self

    @property
    def mixed(self) -> bool:
        """Whether labels on a cube and a table of series are trained together."""
        both = self.series is not None and self.file is not None
        return both and (self.series_share is not None or not has_table_suffix(self.file))

    @property
    def on_cube(self) -> bool:
        """Whether there are labels on a cube."""
        return self.series is None or self.mixed


class MapConfig(Cleaning):
    """How the map is made."""

    model: str | None = None
    """Name of the trained model that makes the map; by default the first of `names` under [model]."""
    window: int | None = Field(None, ge=48, multiple_of=48)
    """Side of prediction windows, target pixels; by default, the side of the training windows."""
    overlap: int = Field(48, ge=0, multiple_of=48)
    """Pixels that neighbouring windows share and blend, so that no seams are visible."""
    probabilities: bool | None = None
    """Whether the map also has the probabilities of all classes and the number of observations; by default where
    [parcels] is given, which needs them."""

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.window is not None and 2 * self.overlap > self.window:
            raise ValueError(f"`overlap` ({self.overlap}) must be at most half of `window` ({self.window})")
        return self


class ParcelsConfig(VectorKeys):
    """The parcels whose crops `agrifm parcels` reads from the map."""

    file: Path
    """Polygons (GeoParquet, fiboa, GeoPackage, Shapefile, GeoJSON …), or a folder of GeoParquet files."""
    id: str | None = None
    """Column of the parcels' names; by default `id`, and without one the number of the row."""
    area: str | None = None
    """Column of the parcels' areas, which are compared with those of the outlines; by default `metrics:area` (m²) or
    `area` (hectares), as fiboa has them."""
    geopackage: bool = False
    """Write a GeoPackage too."""


class AssessConfig(VectorKeys):
    """How the map is assessed."""

    column: str = "label"
    """Column of the reference class code; `agrifm assess --label` overrides it."""
    training_file: VectorKeys = VectorKeys()
    """`layer`, `crs` and `encoding` of the file of `agrifm assess --training`, if it does not say them."""


class Project(Frozen):
    """The project file: one season, read by every command."""

    season: SeasonConfig
    imagery: ImageryConfig = ImageryConfig()
    labels: LabelsConfig
    model: ModelConfig = ModelConfig()
    map: MapConfig = MapConfig()
    parcels: ParcelsConfig | None = None
    assess: AssessConfig = AssessConfig()
    directory: Path = Field(Path(), exclude=True)
    tile: InstanceOf[AreaTile] | None = Field(None, exclude=True)
    """Of a project whose area is divided, the tile whose cube and map are meant."""

    @model_validator(mode="after")
    def _scenes_or_a_table(self) -> Self:
        if self.labels.on_cube and self.season.area is None:
            raise ValueError("season.area: give a vector file, or four numbers west, south, east, north")
        if self.labels.on_cube and not self.imagery.has_source:
            raise ValueError("imagery: give `provider`, `catalog` (a STAC catalogue) or [[imagery.files]] tables")
        if self.season.tiles is not None and (self.season.area is None or self.imagery.native_grid):
            raise ValueError(
                "season.tiles: tiles are parts of an area in UTM zones; give `area`, and leave out `native_grid`"
            )
        return self

    @model_validator(mode="after")
    def _yields_have_a_column_and_a_unit(self) -> Self:
        stated = [key for key in ("value", "unit") if getattr(self.labels, key) is not None]
        if self.model.task != "yield" and stated:
            raise ValueError(f'labels.{stated[0]} is for `task` "yield"; remove it, or set `task` under [model]')
        if self.model.task == "yield" and len(stated) < 2:
            missing = "unit" if stated == ["value"] else "value"
            raise ValueError(
                f'`task` "yield" needs `{missing}` under [labels]: `value`, the column of the yields, and `unit`, one '
                f"of {', '.join(TONNES)}"
            )
        if self.model.task == "yield" and self.labels.series is not None:
            raise ValueError('`task` "yield" needs fields or points on a cube (`file`), and no table of `series`')
        return self

    @model_validator(mode="after")
    def _the_task_uses_every_key(self) -> Self:
        labels, of_map = (
            {key for key in section.model_fields_set if getattr(section, key)} for section in (self.labels, self.map)
        )
        if reason := unused_key(self.model.task, labels, of_map, self.parcels is not None):
            raise ValueError(reason)
        return self

    @model_validator(mode="after")
    def _a_period_has_a_day(self) -> Self:
        if self.model.frames > self.season.season.days:
            raise ValueError(
                f"`frames` ({self.model.frames}) must be at most the number of days of the season "
                f"({self.season.season.days}); divide it into fewer periods"
            )
        return self

    def path(self, path: Path | str) -> Path:
        """A path in the project file; relative paths start at the file's directory."""
        return self.directory / path

    @property
    def training(self) -> ModelConfig:
        """[model] as models are trained: with all names, and `weights` as a path that can be opened."""
        weights = None if self.model.weights is None else self.path(self.model.weights)
        return self.model.model_copy(update={"names": self.model.every_name, "weights": weights})

    def of_tile(self, tile: AreaTile) -> "Project":
        """The same project for one of its tiles: its area, its cube and its map."""
        return self.model_copy(update={"tile": tile})

    @property
    def results(self) -> Path:
        """The directory of the cube and of the scenes that were found for it.

        Raises:
            ConfigError: each tile has a cube, and none of them is chosen.
        """
        if self.season.tiles is None:
            return self.directory
        if self.tile is None:
            raise ConfigError(
                "opening the project's cube: its area is divided (`tiles` under [season]), and this command works on "
                "one cube; give it a project file without `tiles`",
                key="tiles",
            )
        return self.path("tiles") / self.tile.name

    @property
    def observed_cube(self) -> Path:
        """Where `agrifm fetch` writes the cube of the observations."""
        return self.results / "cube.zarr"

    @property
    def cube(self) -> Path:
        """The cube to train and map on: that of the observations, or the one that is resampled from it."""
        method = self.imagery.resample
        return self.observed_cube if method is None else self.results / f"cube-{method}.zarr"

    def published(self, result: Path) -> ObjectPath | None:
        """Where a result of this project is published in the object store; None without one."""
        return None if self.season.store is None else ObjectPath.of(self.season.store) / result.name

    @property
    def source(self) -> Place:
        """The cube that training and mapping read: that on this disk, else the published one."""
        published = None if self.is_fetched else self.published(self.cube)
        return self.cube if published is None else published

    @property
    def is_fetched(self) -> bool:
        """Whether the cube is finished."""
        return (self.cube / MARKER).exists()

    @property
    def models(self) -> Path:
        """Where `agrifm train` writes models and their scores."""
        return self.path("models")

    @property
    def map_model(self) -> str:
        """Name of the model that makes the map."""
        return self.map.model or self.model.names[0]

    @property
    def maps(self) -> Path:
        """Where `agrifm map` writes the map; of a divided area, the maps of its tiles."""
        if self.season.tiles is None:
            return self.path("map")
        return self.path("maps") if self.tile is None else self.path("maps") / self.tile.name

    @property
    def parcel_crops(self) -> Path:
        """Where `agrifm parcels` writes the parcels with their crops."""
        return self.path("parcels")


def read_project(path: AnyPath) -> Project:
    """Read a project file, or `agrifm.toml` in a directory.

    Raises:
        ConfigError: the file does not exist, is not TOML, or has an unknown key or an invalid value.
    """
    path = as_path(path)
    file = path / PROJECT_FILE if path.is_dir() else path
    if not file.exists():
        raise ConfigError(f"reading the project file: {file} does not exist; `agrifm init DIR` writes one")
    with doing(f"reading the project file {file}", ConfigError, path=file):
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    for key in content.keys() & {"directory", "tile"}:
        raise ConfigError(f"reading the project file {file}: unknown key '{key}'")
    try:
        return Project.model_validate({**content, "directory": file.parent})
    except ValidationError as error:
        raise ConfigError(f"reading the project file {file}: {_complaint(error)}") from error


def _complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["loc"][:2] == ("season", "area"):  # pydantic would name every kind of path that it tried
        found = shortened(repr(first["input"]))
        return f"season.area: give a vector file, or four numbers west, south, east, north (found {found})"
    return complaint(error, Project)
