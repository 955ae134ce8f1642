"""What a map was made from, as its STAC item says: the model, the cube, and other rasters."""

import json
from hashlib import file_digest
from pathlib import Path
from typing import Any

from agrifm.errors import MapError, doing
from agrifm.stac import MEAN_PROPERTY, MODEL_DIGEST


def item_and_links(item: Path, about: str) -> tuple[dict[str, Any], dict[str, Path]]:
    """Return the content of the item of a map, and by title the files that the map is derived from.

    Raises:
        MapError: it cannot be read, or is something else.
    """
    with doing(about, MapError, "give the item of a finished map", path=item):
        content = json.loads(item.read_text(encoding="utf-8"))
        _ = content["properties"], content["assets"]
        links = [link for link in content["links"] if link["rel"] == "derived_from"]
        return content, {link["title"]: item.parent / link["href"] for link in links}


def model_of_map(item: Path) -> Path:
    """Return the model file that made a map.

    Args:
        item: STAC item of the map.

    Raises:
        MapError: the item names no model, or that model was replaced since.
    """
    about = f"reading the model of {item}"
    content, links = item_and_links(item, about)
    if "model" not in links:
        raise MapError(f"{about}: it names none; map anew", path=item)
    return linked_model(links["model"], content["properties"].get(MODEL_DIGEST, ""), about)


def linked_model(item: Path, digest: str, about: str) -> Path:
    """Return the file of a model whose item is given.

    Raises:
        MapError: it cannot be read, or is not the one with this SHA-256.
    """
    with doing(about, MapError, "put the model back, or map anew", path=item):
        content = json.loads(item.read_text(encoding="utf-8"))
        file = item if MEAN_PROPERTY in content["properties"] else item.parent / content["assets"]["model"]["href"]
        with file.open("rb") as opened:
            found = file_digest(opened, "sha256").hexdigest()
    if found != digest:
        raise MapError(
            f"{about}: the model {file} was replaced since (SHA-256 {found[:12]}, the map has {digest[:12]}); put that "
            "model back, or map anew",
            path=file,
            found=found,
            expected=digest,
        )
    return file
