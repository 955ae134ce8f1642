"""What a map is compared with: reference points, the parcels its model was trained on, and the models' scores."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote, urlparse

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, field_validator

from agrifm.config import PROJECT_FILE, AssessConfig, read_project
from agrifm.errors import AssessmentError, did_you_mean, doing
from agrifm.files import AnyPath, as_path, finite_or_none
from agrifm.legend import Legend
from agrifm.stac import MAP_ITEM, MEAN_PROPERTY, MODEL_DIGEST, TASK_PROPERTY, TRAINING_DATA_ROLE
from agrifm.vector_shapes import VectorLayer
from agrifm.vectors import NOTHING_STATED, VectorKeys, read_vector

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


SCORES = "scores.json"
"""File of scores that `agrifm train` writes next to its models."""
POLYGONS = ("Polygon", "MultiPolygon")
"""Geometry types of a reference whose units are polygons (`agrifm.assess.reference_polygons`)."""


def reference_config(project: Path) -> AssessConfig:
    """Return what [assess] in the project file says about the reference; the defaults without a project file.

    Args:
        project: agrifm.toml, or a directory that may contain one.

    Raises:
        ConfigError: the project file cannot be read.
    """
    if project.is_dir() and not (project / PROJECT_FILE).exists():
        return AssessConfig()
    return read_project(project).assess


def require_task_of_map(project: Path, map_path: Path) -> None:
    """Refuse a map of the project whose model is of another task than the project has now.

    Args:
        project: agrifm.toml, or a directory that may contain one.
        map_path: raster of the map; maps outside the project's directory of maps may be of any task.

    Raises:
        AssessmentError: see above.
        ConfigError: the project file cannot be read.
    """
    if project.is_dir() and not (project / PROJECT_FILE).exists():
        return
    stated = read_project(project)
    if map_path.resolve().parent != stated.maps.resolve():
        return
    task = item_properties(map_path).get(TASK_PROPERTY, stated.model.task)
    if task != stated.model.task:
        raise AssessmentError(
            f"assessing the map {map_path}: its model is of the task '{task}', and `task` under [model] is "
            f"'{stated.model.task}'; train and map again, or change `task`",
            path=map_path,
            task=task,
        )


def read_reference(path: AnyPath, label: str, keys: VectorKeys = NOTHING_STATED) -> VectorLayer:
    """Read reference points, or polygons, with the column of their labels; multipoints of one point count as points.

    Raises:
        AssessmentError: as `read_vector`, or the column is absent, or the shapes are not all single points or all
            polygons: without some of them the others would not be the sample that was drawn.
    """
    path = as_path(path)
    about = f"reading the reference {path}"
    layer = read_vector(path, about, AssessmentError, ["point", "polygon"], keys)
    columns = [str(name) for name in layer.frame.columns if name != layer.frame.geometry.name]
    if label not in columns:
        raise AssessmentError(
            f"{about}: it has no column '{label}'{did_you_mean(label, columns)} "
            f"(its columns: {', '.join(columns) or 'none'}); name the column of the labels",
            column=label,
            columns=columns,
        )
    types = layer.frame.geometry.geom_type
    others = layer.left_out + Counter(types[types == "MultiPoint"])
    if (types == "Point").any():
        others += Counter(types[types.isin(POLYGONS)])
    if others:
        geometry = others.most_common(1)[0][0]
        raise AssessmentError(
            f"{about}: it contains {geometry}s, but only points or only polygons are a sample; draw points with "
            "`agrifm assess design` and label them, or give the polygons in a file of their own",
            geometry=geometry,
        )
    return layer


def count_inside_parcels(points: "GeoDataFrame", parcels: "GeoDataFrame", pixel: float) -> int:
    """Return the number of points that are inside training parcels, or in the pixel of a training point.

    Args:
        points: reference points in the map's CRS.
        parcels: polygons or points, in any CRS.
        pixel: side of the map's pixels, in units of its CRS.
    """
    parcels = parcels[parcels.geometry.notna() & ~parcels.geometry.is_empty].to_crs(points.crs)
    is_point = parcels.geometry.geom_type.isin(["Point", "MultiPoint"])
    # A training point stands for the pixel around it.
    polygons = parcels.geometry.where(~is_point, parcels.geometry.buffer(pixel / 2, cap_style="square"))
    inside = points.sindex.query(polygons, predicate="intersects")[1]
    return len(set(inside.tolist()))


def find_training_data(map_path: AnyPath) -> Path | None:
    """Return the file of training parcels to which the STAC item next to a map leads; None if it leads to none.

    The map's item links to the model's item (`derived_from`), one of whose assets is the file.

    Raises:
        AssessmentError: one of the two items is damaged.
    """
    map_path = as_path(map_path)
    item = map_path.parent / MAP_ITEM
    with doing(f"reading the item of the map {item}", AssessmentError, "name the parcels with --training"):
        for model in _local_paths(item, _derived_from(item)):
            assets = _read_object(model).get("assets", {}).values()
            for path in _local_paths(
                model, (asset for asset in assets if TRAINING_DATA_ROLE in (asset.get("roles") or []))
            ):
                return path
    return None


def find_scores(map_path: Path) -> Path | None:
    """Return the scores next to the model to which the STAC item next to a map leads; None without, or if replaced."""
    # the scores are an addition; `map_origin` complains of damaged items
    with suppress(OSError, ValueError, TypeError, AttributeError, AssessmentError):
        item = map_path.parent / MAP_ITEM
        for model in _local_paths(item, _derived_from(item)):
            if (scores := model.parent / SCORES).is_file() and replaced_model(map_path) is None:
                return scores
    return None


def map_origin(map_path: Path) -> dict[str, Any]:
    """Return what the STAC items of a map of agrifm and of its model say: the period, how the map was made, the model.

    Raises:
        AssessmentError: the item is damaged.
    """
    item = map_path.parent / MAP_ITEM
    with doing(f"reading the item of the map {item}", AssessmentError, "map again, or remove it"):
        about = dict(_read_object(item).get("properties", {}))
        period = [str(about[key])[:10] for key in ("start_datetime", "end_datetime") if about.get(key)]
        made = str(about.get("processing:lineage", ""))
        models = [_read_object(model) for model in _local_paths(item, _derived_from(item))]
        names = [str(model["properties"].get("mlm:name", "")) for model in models if "properties" in model]
        bands = [str(band["name"]) for model in models for band in model.get("properties", {}).get("bands", [])]
    found = {"period": period if len(period) == 2 else [], "made": made, "model": ", ".join(filter(None, names))}
    return {key: value for key, value in (found | {"bands": list(dict.fromkeys(bands))}).items() if value}


def item_properties(map_path: Path) -> dict[str, Any]:
    """Return the properties of the STAC item next to a map; empty without one that can be read."""
    with suppress(OSError, ValueError, TypeError, AttributeError):  # `map_origin` complains of damaged items
        return dict(_read_object(map_path.parent / MAP_ITEM).get("properties", {}))
    return {}


def stated_trust(map_path: Path) -> dict[str, dict[str, Any]]:
    """Return what the STAC item next to a map of agrifm says of its certainty and area of applicability; empty if not.

    The values are those that `agrifm map` states, by `certainty` and `applicability`; others are left out.
    """
    found: dict[str, dict[str, Any]] = {}
    about = item_properties(map_path)
    with suppress(KeyError, TypeError, AttributeError):
        for name in ("certainty", "applicability"):
            values = about.get(f"agrifm:{name}", {})
            stated = {key: value for key, value in values.items() if type(value) in (int, float)}
            if stated:
                found[name] = stated
    return found


def replaced_model(map_path: Path) -> Path | None:
    """Return the model of a map of agrifm if its file has another content than when the map was made; else None."""
    item = map_path.parent / MAP_ITEM
    with suppress(
        OSError, ValueError, KeyError, TypeError, AttributeError
    ):  # `find_training_data` complains of damaged items
        made_by = _read_object(item)["properties"][MODEL_DIGEST] if item.is_file() else None
        for model in _local_paths(item, _derived_from(item) if made_by else ()):
            content = _read_object(model)
            assets = content.get("assets", {}).values()
            weights = _local_paths(model, (asset for asset in assets if "mlm:model" in (asset.get("roles") or [])))
            stated = dict.fromkeys(weights, made_by)
            if mean := content.get("properties", {}).get(MEAN_PROPERTY):
                stated = {model: made_by, **{model.parent / one["file"]: one["sha256"] for one in mean["members"]}}
            if stated:
                return next((path for path, digest in stated.items() if file_sha256(path) != digest), None)
    return None


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of the whole content of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _derived_from(item: Path) -> Iterator[dict[str, Any]]:
    """Links of a map's item to the items of what it was made with; not those to its cube and its raster of cropland."""
    links = (link for link in _read_object(item).get("links", []) if link.get("rel") == "derived_from")
    return (link for link in links if f"{link.get('type') or link.get('href', '')}".endswith("json"))


def _local_paths(document: Path, entries: Iterable[dict[str, Any]]) -> Iterator[Path]:
    """Paths on this disk of the links or assets of a STAC document, whose hrefs may be relative to it."""
    for entry in entries:
        href = urlparse(str(entry.get("href", "")))
        if href.scheme in ("", "file") and href.path:
            yield document.parent / unquote(href.path)


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty if the file is absent."""
    return dict(json.loads(path.read_text(encoding="utf-8-sig"))) if path.is_file() else {}


class _Shown(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


_Share = Annotated[float, Field(ge=0, le=1)] | None
_Ends = tuple[float | None, float | None]


class _Steps(_Shown):
    """A calibration error before and after calibration."""

    before: _Share = None
    after: _Share = None
    before_interval: _Ends | None = None
    after_interval: _Ends | None = None


class _Intervals(_Shown):
    before: _Ends | None = None
    after: _Ends | None = None


class _ModelReliability(_Shown):
    """Of `agrifm.train.reliability.Reliability.describe`, what a report shows."""

    kind: str = "none"
    blocks: NonNegativeInt = 0
    expected_calibration_error: _Steps = _Steps()
    expected_calibration_error_interval: _Intervals = _Intervals()
    classes: dict[str, _Steps] = Field(default_factory=dict)


class _OneClass(_Shown):
    """Of a task of two classes, the scores of the one that is asked for."""

    name: str
    f1: _Share
    iou: _Share
    precision: _Share
    recall: _Share
    f1_interval: _Ends
    iou_interval: _Ends
    precision_interval: _Ends
    recall_interval: _Ends


class _ModelScores(_Shown):
    """Of `agrifm.train.evaluate.score`, what a report shows."""

    overall_accuracy: _Share
    overall_accuracy_interval: _Ends | None = None
    macro_f1: _Share
    macro_f1_interval: _Ends | None = None
    macro_f1_scored: _Share = None
    macro_f1_scored_interval: _Ends | None = None
    macro_f1_parcels: _Share = None
    f1: dict[str, _Share] = Field(default_factory=dict)
    counts: tuple[tuple[NonNegativeInt, ...], ...] = ()
    reliability: _ModelReliability = _ModelReliability()
    one_class: _OneClass | None = None

    @field_validator("counts")
    @classmethod
    def _are_square(cls, counts: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        if any(len(row) != len(counts) for row in counts):
            raise ValueError("each row must have a count for each class")
        return counts


class _Difference(_Shown):
    model: str
    against: str
    macro_f1: float | None
    macro_f1_interval: _Ends
    blocks: NonNegativeInt


class _Majority(_Shown):
    overall_accuracy: _Share


class _Blocks(_Shown):
    train: NonNegativeInt
    validation: NonNegativeInt
    test: NonNegativeInt


class _Scores(_Shown):
    """What a report shows of the scores that `agrifm train` writes."""

    models: dict[str, _ModelScores]
    differences: tuple[_Difference, ...] | None = None
    majority_class: _Majority | None = None
    legend: Legend | None = None
    scored: tuple[str, ...] | None = None
    tested: tuple[str, ...] | None = None
    """Codes of the classes that occur in the test; scores of earlier versions lack it, and their macro F1 is that of
    the scored classes."""
    blocks: _Blocks | None = None


def read_scores(path: AnyPath) -> dict[str, Any]:
    """Read scores on unseen blocks as `agrifm train` writes them; numbers that are not finite become None.

    Raises:
        AssessmentError: the file is absent, or does not contain scores of models.
    """
    path = as_path(path)
    with doing(f"reading the scores {path}", AssessmentError, "give the scores.json of `agrifm train`", path=path):
        scores: dict[str, Any] = finite_or_none(json.loads(path.read_text(encoding="utf-8-sig")))
        _Scores.model_validate_json(json.dumps(scores))
    return scores
