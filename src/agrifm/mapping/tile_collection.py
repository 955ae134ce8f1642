"""The STAC collection of the maps of tiles: an item for each tile, the mosaics as assets, hectares of all."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pystac

from agrifm.area_tile import AreaTile
from agrifm.files import write_json
from agrifm.map_collection import COLLECTION, box_of_tiles
from agrifm.mapping.kept_map import renew_note
from agrifm.season import Season
from agrifm.stac import MAP_ITEM


def write_map_collection(
    directory: Path, tiles: Sequence[AreaTile], season: Season, mosaics: Mapping[str, Path], failed: Mapping[str, str]
) -> dict[str, Any]:
    """Write `collection.json` over the items of the tiles' maps, and return its summary of hectares.

    Args:
        directory: of the maps of all tiles.
        tiles: those that have a map.
        mosaics: files in the directory, by the name of their asset.
        failed: tiles that are left out, with their reasons.
    """
    hectares, unknown, name = Counter[str](), 0.0, ""
    for tile in tiles:
        item = json.loads((directory / tile.name / MAP_ITEM).read_text(encoding="utf-8"))
        hectares.update(item["properties"]["agrifm:hectares"])
        unknown += item["properties"]["agrifm:nodata_hectares"]
        name = name or str(item["properties"]["title"])
    identity = f"map-{season.start:%Y%m%d}-{season.end:%Y%m%d}"
    for tile in tiles:
        _join(directory / tile.name, tile, identity)
    moments = [datetime.combine(season.start, time(), UTC), datetime.combine(season.end, time.max, UTC)]
    extent = pystac.Extent(pystac.SpatialExtent([box_of_tiles(tiles)]), pystac.TemporalExtent([moments]))
    collection = pystac.Collection(identity, f"{name}, in {len(tiles)} tiles", extent, name, license="other")
    for asset, path in mosaics.items():
        href = f"./{path.relative_to(directory).as_posix()}"
        collection.add_asset(asset, pystac.Asset(href, media_type="application/x-gdal-vrt", roles=["data"]))
    for tile in tiles:
        link = pystac.Link(pystac.RelType.ITEM, f"./{tile.name}/{MAP_ITEM}", "application/geo+json", tile.name)
        collection.add_link(link)
    summary = {
        "agrifm:hectares": {code: round(value, 4) for code, value in hectares.items()},
        "agrifm:nodata_hectares": round(unknown, 4),
        "agrifm:tiles": len(tiles),
        "agrifm:left_out": dict(failed),
    }
    collection.extra_fields |= summary
    write_json(directory / COLLECTION, collection.to_dict(include_self_link=False, transform_hrefs=False))
    return summary


def _join(directory: Path, tile: AreaTile, identity: str) -> None:
    """Make the item of a tile's map one of the collection, if it is not."""
    path = directory / MAP_ITEM
    item = json.loads(path.read_text(encoding="utf-8"))
    if item.get("collection") == identity:
        return
    href = f"{'../' * (tile.name.count('/') + 1)}{COLLECTION}"
    links = [link for link in item["links"] if link["rel"] != "collection"]
    item |= {
        "id": f"{item['id']}-{tile.name.replace('/', '-')}",
        "collection": identity,
        "links": [{"rel": "collection", "href": href, "type": "application/json"}, *links],
    }
    write_json(path, item)
    renew_note(directory)
