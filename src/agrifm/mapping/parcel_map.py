"""The finished map that parcels are read from: one raster, or the mosaics of the zones of a divided area."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely

from agrifm.errors import MapError, doing
from agrifm.grid import shape_of
from agrifm.legend import LEGEND_TAG, Legend
from agrifm.map_collection import COLLECTION, tile_maps
from agrifm.mapping.probability_layer import OBSERVATIONS_FILE, PROBABILITIES_FILE
from agrifm.mapping.yield_layer import YIELD_FILE
from agrifm.mosaics import open_raster_or_mosaic
from agrifm.outputs import unchanged
from agrifm.stac import MAP_ITEM
from agrifm.yields import CROP_TAG, LEVEL_TAG


@dataclass(frozen=True)
class ParcelMap:
    """The files of a finished map that parcels are read from."""

    zones: tuple[Path, ...]
    """Directories with rasters, each in another CRS; that of the map alone where the area is not divided."""
    results: tuple[Path, ...]
    """Directories that `agrifm map` writes as a whole: the map, or those of the tiles."""
    legend: Legend
    area: Any
    """Of the map, in longitude and latitude."""
    about: dict[str, str]
    """Model and season of the map."""
    of_yields: bool = False
    """Whether it has yields instead of probabilities; the legend then has the crop alone."""

    @contextmanager
    def reading(self, about: str) -> Iterator[Callable[[], None]]:
        """While the map is read: yields a check that no part of it was replaced, which raises OutputError."""
        with ExitStack() as parts:
            checks = [parts.enter_context(unchanged(result, about)) for result in self.results]

            def check() -> None:
                for one in checks:
                    one()

            yield check


def raster_of(zone: Path, name: str) -> Path:
    """Return the path of a raster, such as `probabilities.tif`, or of the mosaic that a divided area has instead."""
    path = zone / name
    return path if path.exists() else path.with_suffix(".vrt")


def open_parcel_map(maps: Path) -> ParcelMap:
    """Read what a map says of itself.

    Args:
        maps: directory of a map, or of the maps of the tiles of a divided area.

    Raises:
        MapError: it is not there, is damaged, or has neither probabilities nor yields.
    """
    about = f"reading the map {maps}"
    if (maps / COLLECTION).exists():
        with doing(about, MapError, "run `agrifm map` again", path=maps):
            zones, results = _parts_of_collection(maps)
    else:
        zones, results = (maps,), (maps,)
    if all(raster_of(zone, YIELD_FILE).exists() for zone in zones):
        return _open_yields(zones, results, about)
    for zone in zones:
        needed = (raster_of(zone, PROBABILITIES_FILE), raster_of(zone, OBSERVATIONS_FILE))
        lacking = [path.stem for path in needed if not path.exists()]
        if lacking:
            raise MapError(
                f"{about}: it has no {lacking[0]}; run `agrifm map` with a section [parcels] in the project file, or "
                "with `probabilities = true` under [map]",
                path=maps,
                file=f"{lacking[0]}.tif",
            )
    _require_items(results, about)
    with doing(about, MapError, "make the map again", path=maps):
        with open_raster_or_mosaic(raster_of(zones[0], PROBABILITIES_FILE)) as source:
            tags = source.tags()
        legend = Legend.model_validate_json(tags[LEGEND_TAG])
        return ParcelMap(zones, results, legend, _area(results), _model_and_season(tags))


def _parts_of_collection(maps: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The directories of the zones and of the tiles of a divided area's maps."""
    tiles = tile_maps(maps)
    return tuple(dict.fromkeys(tile.parent for tile in tiles)), tiles


def _open_yields(zones: tuple[Path, ...], results: tuple[Path, ...], about: str) -> ParcelMap:
    """Read what a map of yields says of itself.

    Raises:
        MapError: its item or its raster is damaged, or is in another unit.
    """
    _require_items(results, about)
    with doing(about, MapError, "make the map again", path=zones[0]):
        with open_raster_or_mosaic(raster_of(zones[0], YIELD_FILE)) as source:
            tags, units = source.tags(), source.units
        if set(units) != {"t/ha"}:
            raise ValueError(f"its unit is {', '.join(map(str, units))}, not t/ha")
        crop = tags[CROP_TAG]
        about_yields = {**_model_and_season(tags), "crop": crop, "interval": tags[LEVEL_TAG], "unit": "t/ha"}
        legend = Legend.of([crop.replace(" ", "+")])
        return ParcelMap(zones, results, legend, _area(results), about_yields, of_yields=True)


def _require_items(results: tuple[Path, ...], about: str) -> None:
    lacking = [result for result in results if not (result / MAP_ITEM).exists()]
    if lacking:
        raise MapError(
            f"{about}: {lacking[0]} has no {MAP_ITEM}; run `agrifm map`, which makes it again",
            path=lacking[0],
            file=MAP_ITEM,
        )


def _area(results: tuple[Path, ...]) -> Any:
    """What the parts of a map cover together, in longitude and latitude."""
    items = (json.loads((result / MAP_ITEM).read_text(encoding="utf-8")) for result in results)
    return shapely.union_all([shape_of(item["geometry"]) for item in items])


def _model_and_season(tags: dict[str, str]) -> dict[str, str]:
    return {"model": tags.get("AGRIFM_MODEL", ""), "season": tags.get("AGRIFM_SEASON", "")}
