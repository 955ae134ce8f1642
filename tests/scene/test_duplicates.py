"""One acquisition is one scene, however often and wherever it is listed; two acquisitions stay two."""

from datetime import timedelta
from typing import Any

import pystac
import pytest
from shapely import box
from tests.scene.items import s2_item
from tests.scenes import AREA, SEASON, at

from agrifm.scene.products import find_product
from agrifm.scene.providers import PROVIDERS
from agrifm.scene.search import search_items
from agrifm.scene.search_result import SearchResult

S2 = find_product("sentinel-2-c1-l2a")
MAY = at(5, 1)
WEST, SOUTH, EAST, NORTH = AREA.bounds


def find(*items: dict[str, Any], products=(S2,)) -> SearchResult:
    return search_items([pystac.Item.from_dict(item) for item in items], products, SEASON, AREA)


def names(found: SearchResult) -> list[str]:
    return [scene.id for scene in found.scenes]


def test_the_newest_processing_baseline_is_kept_wherever_it_stands() -> None:
    old, new = s2_item("S2A_T31UDQ_1", baseline="04.00"), s2_item("S2A_T31UDQ_0", baseline="05.10")
    short = s2_item("S2A_T31UDQ_1", baseline="N0509")
    for order in ((old, new), (new, old), (short, new), (new, short)):
        found = find(*order)
        assert names(found) == ["S2A_T31UDQ_0"]
        assert found.removed == {"older processing of the same acquisition": 1}


def test_of_one_baseline_what_was_made_last_is_kept() -> None:
    first = s2_item("S2A_T31UDQ_9", created="2024-05-02T00:00:00Z")
    later = s2_item("S2A_T31UDQ_1", created="2024-06-02T00:00:00Z")
    assert names(find(first, later)) == ["S2A_T31UDQ_1"]


def test_a_time_without_a_zone_is_utc_when_two_items_are_compared() -> None:
    first, again = s2_item("S2A_T31UDQ_1"), s2_item("S2A_T31UDQ_2", baseline="05.11")
    again["properties"]["datetime"] = str(again["properties"]["datetime"]).removesuffix("Z")
    assert names(find(first, again)) == ["S2A_T31UDQ_2"]


@pytest.mark.parametrize("path", [198, "198", "0198", 198.0, " 198 "])
def test_a_path_of_landsat_is_the_same_however_it_is_written(path: object) -> None:
    landsat = find_product("landsat-c2-l2")
    for other, left in ((path, 1), ("199", 2), ("none", 2)):
        items = []
        for number, stated in enumerate((198, other)):
            made = s2_item(f"LC08_{number}", collection=landsat.collection, platform="landsat-8")
            made["properties"] |= {"landsat:wrs_path": stated, "landsat:wrs_row": "027"}
            items.append(made)
        assert len(find(*items, products=(landsat,)).scenes) == left


def test_an_item_that_is_listed_twice_counts_once() -> None:
    found = find(s2_item(), s2_item())
    assert len(found.scenes) == 1
    assert found.removed == {"listed twice": 1}


def test_the_same_acquisition_at_two_providers_is_the_product_named_first() -> None:
    """Providers name items and satellites in their own ways, and state the start of the granule or of the swath."""
    (other,) = [one for one in PROVIDERS["planetary-computer"].products if one.collection == "sentinel-2-l2a"]
    here = s2_item("S2A_T31UDQ_20240501T105621_L2A", MAY + timedelta(minutes=3), platform="sentinel-2a")
    there = s2_item(
        "S2A_MSIL2A_20240501T105621_R094_T31UDQ_20240501T190000",
        MAY,
        collection=other.collection,
        platform="Sentinel-2A",
        **{"s2:mgrs_tile": "31UDQ"},
    )
    there["assets"] = {key: {"href": f"https://example.org/{key}.tif"} for key in other.assets.values()}
    for products, kept in (((S2, other), here), ((other, S2), there)):
        found = find(here, there, products=products)
        assert names(found) == [kept["id"]]
        assert found.removed == {"the same acquisition as another product": 1}


@pytest.mark.parametrize(
    "other",
    [
        {"name": "S2A_T31UEQ_1"},  # the next tile
        {"platform": "sentinel-2b"},
        {"moment": MAY + timedelta(minutes=95)},  # the next pass, at high latitudes
        {"outline": box(WEST, SOUTH, WEST + 0.2 * (EAST - WEST), NORTH)},  # the granule's other half
    ],
    ids=["tile", "satellite", "pass", "half"],
)
def test_two_acquisitions_stay_two(other: dict[str, Any]) -> None:
    one = s2_item("S2A_T31UDQ_0", platform="sentinel-2a", outline=box(WEST + 0.17 * (EAST - WEST), SOUTH, EAST, NORTH))
    found = find(one, s2_item(**{"name": "S2A_T31UDQ_1", "platform": "sentinel-2a", **other}))
    assert len(found.scenes) == 2
    assert not found.removed


def test_items_that_state_no_place_are_all_kept() -> None:
    assert len(find(s2_item("A"), s2_item("B")).scenes) == 2
