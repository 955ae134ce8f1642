"""The collection of the maps of a divided area's tiles, as it is read; `agrifm map` writes it."""

import json
from collections.abc import Sequence
from pathlib import Path

from shapely import total_bounds

from agrifm.area_tile import AreaTile

COLLECTION = "collection.json"
"""Name of the file, in the directory of all maps."""


def tile_maps(maps: Path) -> tuple[Path, ...]:
    """Return the directories of the maps of tiles, as `collection.json` lists them.

    Args:
        maps: directory of the maps of all tiles.

    Raises:
        OSError, ValueError, KeyError: the collection cannot be read, or is damaged.
    """
    links = json.loads((maps / COLLECTION).read_text(encoding="utf-8"))["links"]
    return tuple((maps / link["href"]).parent for link in links if link["rel"] == "item")


def box_of_tiles(tiles: Sequence[AreaTile]) -> list[float]:
    """Bounds in degrees; west is greater than east across longitude 180 (RFC 7946, section 5.2)."""
    west, south, east, north = total_bounds([tile.area for tile in tiles]).tolist()
    eastern = [tile.area.bounds for tile in tiles if tile.area.centroid.x > 0]
    western = [tile.area.bounds for tile in tiles if tile.area.centroid.x <= 0]
    if east - west > 180 and eastern and western:
        return [min(box[0] for box in eastern), south, max(box[2] for box in western), north]
    return [west, south, east, north]
