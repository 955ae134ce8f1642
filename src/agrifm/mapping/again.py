"""`agrifm map --from item.json`: the same map made again, from what its STAC item says, and compared byte by byte."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date
from filecmp import cmp
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from agrifm.cube.store import open_cube
from agrifm.cube.until import cube_known
from agrifm.errors import MapError
from agrifm.files import AnyPath, as_path, content_digest
from agrifm.inference.predictor import load_record
from agrifm.map_cleaning import Cleaning
from agrifm.mapping.embedding_raster import EMBEDDING_PROPERTY
from agrifm.mapping.map_item import source_fingerprint
from agrifm.mapping.map_links import item_and_links, linked_model
from agrifm.mapping.probability_layer import PROBABILITIES_FILE
from agrifm.mapping.run import MapSummary, map_area
from agrifm.mapping.windows import plan_map
from agrifm.models.precision import Compute, Precision
from agrifm.stac import (
    CLEANING,
    CROPLAND_DIGEST,
    CROPLAND_LINK,
    MAP_ITEM,
    MODEL_DIGEST,
    SETTINGS,
    UNTIL_PROPERTY,
)
from agrifm.validation import Frozen


class _Settings(Frozen):
    """The property `agrifm:settings`."""

    window: int = Field(gt=0)
    overlap: int = Field(ge=0)
    precision: Precision
    cube: str
    lattice: bool = False


@dataclass(frozen=True)
class MapMadeAgain:
    """A map that was made again."""

    summary: MapSummary
    identical: tuple[str, ...]
    """Rasters whose bytes are those of the first map."""
    different: tuple[str, ...]
    """Other rasters of either map."""

    def lines(self) -> list[str]:
        """Describe it in sentences."""
        if not self.different:
            verdict = f"all {len(self.identical)} rasters are byte for byte those of the first map"
        else:
            verdict = (
                f"{', '.join(self.different)} differ from those of the first map, {len(self.identical)} rasters do "
                "not; other versions or another processor may be the reason (`processing:software` of both items)"
            )
        return [*self.summary.lines(), verdict]


def map_again(item: AnyPath, out: AnyPath | None = None, executor: Executor | None = None) -> MapMadeAgain:
    """Make a map again from its STAC item, with the model and the cube to which the item's links lead.

    Args:
        item: `item.json` of a map, or its directory.
        out: directory of the new map; by default NAME-again next to the first one.
        executor: see `map_area`.

    Raises:
        MapError: the item is not of a map, or is of an older version, or its model or cube was replaced since.
        CubeError, ModelError, OutputError: see `map_area`.
    """
    item, out = as_path(item), None if out is None else as_path(out)
    item = item / MAP_ITEM if item.is_dir() else item
    about = f"making the map of {item} again"
    content, links = item_and_links(item, about)
    stated = content["properties"]
    if EMBEDDING_PROPERTY in stated:
        raise MapError(f"{about}: it is of embeddings; `agrifm embed` makes them again", path=item)
    if SETTINGS not in stated or not {"model", "cube"} <= links.keys():
        raise MapError(
            f"{about}: it does not say how the map was made, as those of `agrifm map` do; map anew", path=item
        )
    settings, cleaning = _settings_of(stated, links.get(CROPLAND_LINK), about, item)
    model = linked_model(links["model"], stated.get(MODEL_DIGEST, ""), about)
    until = date.fromisoformat(stated[UNTIL_PROPERTY]) if UNTIL_PROPERTY in stated else None
    _require_cube(links["cube"], model, settings, until, about)
    assets = content["assets"].values()
    out = out or item.parent.with_name(f"{item.parent.name}-again")
    summary = map_area(
        links["cube"],
        model,
        out,
        settings.window,
        settings.overlap,
        Compute(settings.precision),
        executor,
        PROBABILITIES_FILE in {Path(asset["href"]).name for asset in assets},
        until,
        cleaning,
        settings.lattice,
    )
    names = sorted({path.name for directory in (item.parent, out) for path in directory.glob("*.tif")})
    same = tuple(name for name in names if _same(item.parent / name, out / name))
    return MapMadeAgain(summary, same, tuple(name for name in names if name not in same))


def _settings_of(
    stated: Mapping[str, Any], cropland: Path | None, about: str, item: Path
) -> tuple[_Settings, Cleaning]:
    cleaning = stated.get(CLEANING, {})
    keys = {key: value for key, value in cleaning.items() if key in Cleaning.model_fields}
    try:
        result = _Settings.model_validate(stated[SETTINGS]), Cleaning.model_validate({**keys, "cropland": cropland})
    except ValidationError as error:
        raise MapError(f"{about}: its property `{SETTINGS}` is damaged; map anew", path=item) from error
    if cropland is not None and content_digest(cropland) != cleaning.get(CROPLAND_DIGEST):
        raise MapError(f"{about}: the map of cropland {cropland} was replaced since; map anew", path=cropland)
    return result


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and cmp(one, other, shallow=False)


def _require_cube(path: Path, model: Path, settings: _Settings, until: date | None, about: str) -> None:
    cube = cube_known(open_cube(path), until)
    plan = plan_map(cube, load_record(model), settings.window, settings.overlap, settings.lattice)
    if source_fingerprint(plan) != settings.cube:
        raise MapError(
            f"{about}: the cube {path} was fetched again since and has other scenes, dates or another area; map anew",
            path=path,
        )
