"""What the map's model was trained on and scored with: its training parcels, and its scores on unseen blocks."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from agrifm.errors import AssessmentError

ITEM = "item.json"
"""STAC item beside a map of ours; its link `derived_from` leads to the model's item."""
ROLE = "training-data"
"""Role of the asset of the model's item that holds the training parcels."""


def find_training(map_path: Path) -> Path | None:
    """The file of training parcels that the STAC item beside a map leads to; None where nothing leads to one."""
    item = map_path.parent / ITEM
    for model in _local(item, (link for link in _read(item).get("links", []) if link.get("rel") == "derived_from")):
        assets = _read(model).get("assets", {}).values()
        for path in _local(model, (asset for asset in assets if ROLE in (asset.get("roles") or []))):
            return path
    return None


def _local(document: Path, entries: Iterator[dict[str, Any]]) -> Iterator[Path]:
    """Paths on this disk of the links or assets of a STAC document; hrefs may be relative to it."""
    for entry in entries:
        href = urlparse(str(entry.get("href", "")))
        if href.scheme in ("", "file") and href.path:
            yield document.parent / unquote(href.path)


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file is absent or something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def read_scores(path: Path) -> dict[str, Any]:
    """Scores on unseen blocks as `agrifm train` writes them; numbers that are not finite become None.

    Raises:
        AssessmentError: the file is absent, or holds no scores of models.
    """
    doing = f"reading the scores {path}"
    try:
        scores = _finite(json.loads(path.read_text(encoding="utf-8")))
        complete = all({"overall_accuracy", "macro_f1"} <= set(model) for model in scores["models"].values())
    except FileNotFoundError as error:
        raise AssessmentError(f"{doing}: there is no such file; `agrifm train` writes one") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AssessmentError(
            f"{doing}: it holds no scores of models; give the scores.json of `agrifm train`"
        ) from error
    if not complete:
        raise AssessmentError(f"{doing}: a model in it lacks overall_accuracy or macro_f1; train it again")
    return dict(scores)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
