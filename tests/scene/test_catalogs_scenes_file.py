"""The file of scenes: whole items, what was searched for, and no secret."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pystac
import pytest
from tests.scene.items import s2_item
from tests.scenes import AREA, SEASON

from agrifm.errors import SceneError
from agrifm.scene.scenes_file import is_answer_to, removed_before, request_of, without_signature, write_collection
from agrifm.season import Season

NAMES = ("sentinel-2-c1-l2a",)
REQUEST = request_of("https://me:planted@host.org/stac?token=planted", SEASON, AREA, NAMES, 60, ("X",))


def written(directory: Path, *items: dict[str, Any]) -> dict[str, Any]:
    found = [pystac.Item.from_dict(item) for item in items]
    write_collection(directory / "scenes.json", found, Counter({"outside the area": 3}), REQUEST)
    content: dict[str, Any] = json.loads((directory / "scenes.json").read_text())
    return content


def test_no_signature_and_no_password_is_written(tmp_path: Path) -> None:
    item = s2_item(href="https://me:planted@host.org/{key}.tif?sv=1&sig=planted")
    item["links"] = [{"rel": "self", "href": "https://host.org/i?token=planted"}, {"rel": "next", "href": "?planted"}]
    content = written(tmp_path, item)
    assert "planted" not in json.dumps(content)
    assert content["features"][0]["assets"]["red"]["href"] == "https://host.org/red.tif"


@pytest.mark.parametrize(
    ("href", "kept"),
    [
        ("s3://bucket/a.tif", "s3://bucket/a.tif"),
        ("/data/a.tif", "/data/a.tif"),
        ("https://host.org/a?band=1", "https://host.org/a?band=1"),
        ("https://host.org/a?X-Amz-Credential=k&X-Amz-Signature=s", "https://host.org/a"),
        ("https://host.org/a?X-Goog-Signature=s", "https://host.org/a"),
    ],
)
def test_only_queries_that_sign_are_taken_away(href: str, kept: str) -> None:
    assert without_signature(href) == kept


def test_items_have_one_order_and_keep_their_properties(tmp_path: Path) -> None:
    content = written(tmp_path, s2_item("B", note="kept"), s2_item("A"))
    assert [item["id"] for item in content["features"]] == ["A", "B"]
    assert content["features"][1]["properties"]["note"] == "kept"
    assert removed_before(content, "x", SEASON, AREA, NAMES, 60) == {"outside the area": 3}
    assert removed_before({}, "x", SEASON, AREA, NAMES, 60) == {}


@pytest.mark.parametrize(
    "other",
    [
        {"source": "https://host.org/other"},
        {"season": Season(SEASON.start, SEASON.end - timedelta(1))},
        {"area": AREA.buffer(0.01)},
        {"products": (*NAMES, "landsat-c2-l2")},
        {"cloud": None},
        {"skip": ()},
    ],
)
def test_a_file_answers_the_search_that_it_was_written_for_and_no_other(tmp_path: Path, other: dict[str, Any]) -> None:
    """What an address signs or names as user plays no part, for it is not written."""
    same = {"source": "https://host.org/stac", "season": SEASON, "area": AREA, "products": NAMES, "cloud": 60}
    path = tmp_path / "scenes.json"
    assert not is_answer_to(path, REQUEST)
    written(tmp_path, s2_item())
    assert is_answer_to(path, request_of(**{**same, "skip": ("X",)}))
    assert not is_answer_to(path, request_of(**{**same, "skip": ("X",), **other}))
    path.write_text("{")
    assert not is_answer_to(path, REQUEST)


def test_a_damaged_account_is_refused(tmp_path: Path) -> None:
    content = written(tmp_path, s2_item())
    del content["agrifm"]["area"]
    with pytest.raises(SceneError, match="'agrifm' is damaged"):
        removed_before(content, "x", SEASON, AREA, NAMES, 60)
