"""STAC items of models (MLM extension) and of maps: where, when, which classes, made from what and with what."""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple

import pystac
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.projection import ProjectionExtension
from shapely.geometry import box, mapping
from shapely.geometry.base import BaseGeometry

from agrifm.codes import listed
from agrifm.files import write_json
from agrifm.grid import Grid
from agrifm.legend import UNLABELLED, Legend
from agrifm.object_store import ObjectPath, Place
from agrifm.record import NUMBERS, TRAINABLE, ModelRecord, running_versions
from agrifm.season import Season
from agrifm.yields import LEVEL, YIELD_LAYERS

# pystac's class of the MLM extension writes v1.4.0 and one value scaling per input; pystac has none for processing.
MLM_SCHEMA = "https://stac-extensions.github.io/mlm/v1.6.0/schema.json"
PROCESSING_SCHEMA = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
MAP_ITEM = "item.json"
"""File name of a map's item, in the map's directory."""
MODEL_DIGEST = "agrifm:model_sha256"
"""Property of a map's item: SHA-256 of the model file that made the map."""
UNTIL_PROPERTY = "agrifm:until"
"""Property of a map's item: last day whose observations the map knows, if it is not the season's."""
TASK_PROPERTY = "agrifm:task"
"""Property of the items of a model and of its map: the model's task (`agrifm.record.Task`)."""
SETTINGS = "agrifm:settings"
"""Property of a map's item: windows, overlap, precision, and the fingerprint of the cube; the map can be made again."""
CLEANING = "agrifm:cleaning"
"""Property of a map's item: smoothing and minimum mapping unit, and the share of the pixels that they changed."""
CROPLAND_LINK = "cropland"
"""Title of a map's link to the map of cropland that was used."""
CROPLAND_DIGEST = "cropland_sha256"
"""Part of that property: SHA-256 of the raster of cropland."""
MEAN_PROPERTY = "agrifm:mean"
"""Property of the item of a mean of models (`agrifm.inference.mean`): its members with their weights and digests."""
TRAINING_DATA_ROLE = "training-data"
"""Role of the asset of a model's item that holds the parcels used in training."""
FRAMEWORKS = {
    ".safetensors": ("PyTorch", "torch", "safetensors.torch.save_file"),
    ".skops": ("scikit-learn", "scikit-learn", "skops.io.dump"),
    ".onnx": ("ONNX", "onnxruntime", "torch.onnx.export"),
}
"""By suffix of the model file: name of the framework, its package, and the function that wrote the file."""
MEDIA_TYPES = {".json": "application/geo+json", ".zarr": "application/vnd+zarr"}
"""Media types of what a map is derived from."""


class MapLayer(NamedTuple):
    """A raster of a map other than its classes and their confidence, as its item describes it."""

    file: str
    """Name in the map's directory, which ends in .tif."""
    title: str
    description: str
    classes: Sequence[Classification] = ()
    """What its pixel values mean, without nodata; none if they are numbers."""
    bands: Sequence[Mapping[str, str]] = ()
    """Name, unit, type and nodata of each band, where they are not bytes."""


def write_model_item(weights: Path, record: ModelRecord, parameters: int, training_data: Path) -> Path:
    """Write `NAME.json` next to the weights; its assets are the weights and the parcels used in training.

    Args:
        weights: model file, `.safetensors` or `.skops`.
        parameters: number of weights of a network, or of numbers of a classic model.
        training_data: GeoPackage of the parcels, in the same directory.

    Returns:
        Path of the item.
    """
    framework, package, _ = FRAMEWORKS[weights.suffix]
    item = _model_item(record, parameters, {"mlm:framework": framework})
    if package in record.versions:  # the schema accepts version numbers only
        item.properties["mlm:framework_version"] = record.versions[package]
    item.add_asset("model", _weights_asset(weights.name, "Weights and record", record))
    item.add_asset("training", _training_asset(training_data))
    path = weights.with_suffix(".json")
    write_json(path, item.to_dict(include_self_link=False))
    return path


def write_mean_item(
    path: Path,
    record: ModelRecord,
    files: Sequence[str],
    content: Mapping[str, Any],
    parameters: int,
    training_data: Path,
) -> None:
    """Write the item of a mean of models; its assets are the members' files and the parcels used in training.

    Args:
        record: of the mean.
        files: names of the members' files, in the directory of the item.
        content: of the property `agrifm:mean`.
        parameters: of all members.
        training_data: see `write_model_item`.
    """
    item = _model_item(record, parameters, {})
    item.properties[MEAN_PROPERTY] = dict(content)
    for file in files:
        item.add_asset(Path(file).stem, _weights_asset(file, "Weights and record of a member of the mean", record))
    item.add_asset("training", _training_asset(training_data))
    write_json(path, item.to_dict(include_self_link=False))


def _model_item(record: ModelRecord, parameters: int, framework: Mapping[str, str]) -> pystac.Item:
    """The item of a model, without its assets."""
    item = _item(record, box(*(record.area or (-180.0, -90.0, 180.0, 90.0))), record.season, time())
    item.stac_extensions += [MLM_SCHEMA, ClassificationExtension.get_schema_uri()]
    item.properties |= {
        "mlm:name": record.name.replace("+", "-"),  # the schema accepts no plus sign
        "mlm:architecture": TRAINABLE[record.family].title if record.family in TRAINABLE else record.family,
        "mlm:tasks": ["regression" if record.task in NUMBERS else "semantic-segmentation"],
        TASK_PROPERTY: record.task,
        **framework,
        "mlm:total_parameters": parameters,
        "mlm:input": [_model_input(record)],
        "mlm:output": [_model_output(record)],
        # MLM requires that the item describes the bands of `mlm:input`; STAC itself, that then an asset has bands too
        "bands": [{"name": name} for name in _bands(record)],
    }
    return item


def _weights_asset(file: str, title: str, record: ModelRecord) -> pystac.Asset:
    asset = pystac.Asset(file, title, media_type="application/octet-stream", roles=["mlm:model"])
    bands = [{"name": name} for name in _bands(record)]
    asset.extra_fields |= {"mlm:artifact_type": FRAMEWORKS[Path(file).suffix][2], "bands": bands}
    return asset


def _training_asset(training_data: Path) -> pystac.Asset:
    return pystac.Asset(
        training_data.name,
        "Parcels and points used in training and validation",
        media_type="application/geopackage+sqlite3",
        roles=[TRAINING_DATA_ROLE],
    )


def map_title(record: ModelRecord, season: Season) -> str:
    """Return what a map shows, by which model, and of which season."""
    content = {
        "boundaries": "Fields",
        "yield": f"Yield of {listed(record.legend.codes)}",
        "fractions": "Shares of classes in pixels",
    }.get(record.task, "Crop map")
    return f"{content} by {record.name}, {season.start} to {season.end}"


def write_map_item(
    directory: Path,
    final_directory: Path,
    record: ModelRecord,
    season: Season,
    area: BaseGeometry,
    grid: Grid,
    lineage: str,
    hectares: Mapping[str, float],
    nodata_hectares: float,
    sources: Mapping[str, Place],
    model_digest: str = "",
    layers: Sequence[MapLayer] = (),
    properties: Mapping[str, Any] | None = None,
) -> None:
    """Write `item.json` of a map.

    Args:
        directory: where it is written now.
        final_directory: where the map will be; links to its sources are relative to it.
        record: of the model that made the map.
        season: mapped season, which may differ from the one of training.
        area: polygon of the map, degrees.
        grid: of its rasters.
        lineage: how it was made, in words; see `map_lineage`.
        hectares: mapped, by class code; none of a map that has no classes.
        nodata_hectares: inside the area, without a valid observation.
        sources: what the map is derived from, by title; files that do not exist are not linked.
        model_digest: SHA-256 of the model file, if there is one.
        layers: further rasters in the directory.
        properties: further ones of the item, about these layers.
    """
    item = _item(record, area, (season.start, season.end), time.max)
    item.properties |= {
        "title": map_title(record, season),
        "processing:level": "L4",
        "processing:software": running_versions("torch", "scikit-learn", "rasterio", "zarr"),
        "processing:lineage": lineage,
        TASK_PROPERTY: record.task,
        "agrifm:hectares": {code: round(value, 4) for code, value in hectares.items()},
        "agrifm:nodata_hectares": round(nodata_hectares, 4),
    }
    item.properties |= {**(properties or {}), **({MODEL_DIGEST: model_digest} if model_digest else {})}
    item.stac_extensions.append(PROCESSING_SCHEMA)
    code = grid.crs.epsg
    ProjectionExtension.ext(item, add_if_missing=True).apply(
        code=None if code is None else f"EPSG:{code}",
        wkt2=grid.crs.to_wkt() if code is None else None,
        shape=list(grid.shape),
        transform=list(grid.transform),
    )
    if hectares and record.task not in NUMBERS:
        _add_class_assets(item, record.legend)
    _add_layer_assets(item, layers)
    for title, path in sources.items():
        if isinstance(path, ObjectPath) or path.exists():
            media_type = MEDIA_TYPES.get(Path(path.name).suffix)
            item.add_link(pystac.Link(pystac.RelType.DERIVED_FROM, _href(path, final_directory), media_type, title))
    # Hrefs stay as they are: the item has no place yet to which pystac could make them relative.
    write_json(directory / MAP_ITEM, item.to_dict(include_self_link=False, transform_hrefs=False))


def _href(place: Place, directory: Path) -> str:
    """A relative path from a directory to a file, or an address."""
    if not isinstance(place, Path):
        return str(place)
    return Path(os.path.relpath(place.resolve(), directory.resolve())).as_posix()


def _add_class_assets(item: pystac.Item, legend: Legend) -> None:
    classes = pystac.Asset("./classes.tif", "Class numbers", media_type=pystac.MediaType.COG, roles=["data"])
    item.add_asset("classes", classes)
    _classify(classes, classifications(legend), "Nothing valid seen, or outside the area")
    confidence = pystac.Asset(
        "./confidence.tif",
        "Highest class probability",
        description=f"Percent, 0 to 100; {UNLABELLED} is nodata.",
        media_type=pystac.MediaType.COG,
        roles=["data", "confidence"],
    )
    item.add_asset("confidence", confidence)


def _add_layer_assets(item: pystac.Item, layers: Sequence[MapLayer]) -> None:
    for layer in layers:
        asset = pystac.Asset(
            f"./{layer.file}", layer.title, layer.description, media_type=pystac.MediaType.COG, roles=["data"]
        )
        item.add_asset(layer.file.removesuffix(".tif"), asset)
        if layer.bands:
            asset.extra_fields["bands"] = [dict(band) for band in layer.bands]
        if layer.classes:
            _classify(asset, layer.classes, "Without a value")
    item.add_asset("preview", pystac.Asset("./map.png", "Preview", media_type="image/png", roles=["overview"]))


def _classify(asset: pystac.Asset, classes: Sequence[Classification], nodata: str) -> None:
    missing = Classification.create(UNLABELLED, name="nodata", title=nodata, nodata=True)
    ClassificationExtension.ext(asset, add_if_missing=True).classes = [*classes, missing]


def map_lineage(
    record: ModelRecord,
    sensors: Mapping[str, object],
    side: int,
    overlap: int,
    members: Sequence[tuple[ModelRecord, float]] = (),
) -> str:
    """How a map was made, in words.

    Args:
        sensors: those of the model that the cube has, by name.
        side: of the prediction windows, pixels.
        overlap: pixels that neighbouring windows share.
        members: of a mean of models, each with its weight.
    """
    series = _series_in_words(record)
    if members:
        each = [f"'{one.name}' (weight {weight:.3g}, {_series_in_words(one)})" for one, weight in members]
        series = f"the mean of {', '.join(each)}"
    result = "the class of highest probability"
    if record.task == "yield":
        result = f"yield and its interval, scaled by conformal prediction to hold {100 * LEVEL:.0f} % of the fields"
    if record.task == "fractions":
        result = "the share of each class in the pixel"
    return (
        f"model '{record.name}' on {', '.join(sensors)}, {series}; windows of {side} pixels sharing {overlap}, blended "
        f"by squared distance from their edges; {_calibration_in_words(record)}{result}, clipped to the area"
    )


def _calibration_in_words(record: ModelRecord) -> str:
    known = record.calibration is not None and record.calibration.kind != "none"
    return f"then calibrated ({record.calibration.describe()}); " if known and record.calibration else ""


def _series_in_words(record: ModelRecord) -> str:
    return {
        "interpolated": f"interpolated to {record.frames} steps",
        "composites": f"of each of {record.frames} equal periods the observation nearest its middle",
        "observed": "every observation with its date",
    }[record.series]


def classifications(legend: Legend) -> list[Classification]:
    """The classes as the classification extension writes them.

    Its names may contain only letters, digits, - and _; other characters of a code become _, and where codes are alike
    then, the class number follows.
    """
    names = [re.sub(r"[^0-9A-Za-z_-]", "_", entry.code) or "_" for entry in legend.classes]
    return [
        Classification.create(
            number,
            name=name if names.count(name) == 1 else f"{name}_{number}",
            title=entry.name,
            color_hint=entry.color.removeprefix("#").upper(),
        )
        for number, (entry, name) in enumerate(zip(legend.classes, names, strict=True))
    ]


def _item(record: ModelRecord, area: BaseGeometry, season: tuple[date, date], last_moment: time) -> pystac.Item:
    start, end = season
    return pystac.Item(
        id=f"{record.name}-{start:%Y%m%d}-{end:%Y%m%d}",
        geometry=mapping(area),
        bbox=list(area.bounds),
        datetime=None,
        start_datetime=datetime.combine(start, time(), UTC),
        end_datetime=datetime.combine(end, last_moment, UTC),
        properties={},
    )


def _bands(record: ModelRecord) -> list[str]:
    """Bands of all sensors in the order of the record, such as "sentinel-2:red"."""
    return [f"{sensor.sensor}:{band}" for sensor in record.sensors for band in sensor.bands]


def _model_input(record: ModelRecord) -> dict[str, Any]:
    frames = -1 if record.series == "observed" else record.frames
    bands = _bands(record)
    return {
        "name": "composites" if record.series == "composites" else f"{record.series} series",
        "description": "Per sensor (batch, time, band, y, x), normalised per band; see the record in the weights file",
        "bands": bands,
        "input": {
            "shape": [-1, frames, len(bands), record.side, record.side],
            "dim_order": ["batch", "time", "bands", "height", "width"],
            "data_type": "float32",
        },
        "value_scaling": [
            {"type": "z-score", "mean": mean, "stddev": std}
            for sensor in record.sensors
            for mean, std in zip(sensor.mean, sensor.std, strict=True)
        ],
    }


def _model_output(record: ModelRecord) -> dict[str, Any]:
    if record.task == "yield":
        return {
            "name": YIELD_LAYERS[0],
            "tasks": ["regression"],
            "description": "Yield and spread of its error, as shares of the highest yield of the record",
            "result": {
                "shape": [-1, len(YIELD_LAYERS), record.side, record.side],
                "dim_order": ["batch", "quantity", "height", "width"],
                "data_type": "float32",
            },
        }
    if record.task == "fractions":
        return {
            "name": "fractions",
            "tasks": ["regression"],
            "description": f"Shares of the classes {listed(record.legend.codes)} in each pixel, of sum 1",
            "result": {
                "shape": [-1, len(record.legend), record.side, record.side],
                "dim_order": ["batch", "class", "height", "width"],
                "data_type": "float32",
            },
        }
    # The MLM schema refers to version 1 of the classification extension, in which descriptions are required.
    classes = [{**entry.to_dict(), "description": entry.title} for entry in classifications(record.legend)]
    return {
        "name": "classes",
        "tasks": ["semantic-segmentation"],
        "result": {
            "shape": [-1, len(classes), record.side, record.side],
            "dim_order": ["batch", "class", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": classes,
    }
