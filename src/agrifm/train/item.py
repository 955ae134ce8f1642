"""The model's STAC item (MLM extension), beside its weights."""

from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pystac
from shapely.geometry import box, mapping

from agrifm.files import write_json
from agrifm.record import ModelRecord

MLM = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
FRAMEWORKS = {".safetensors": ("PyTorch", "torch"), ".skops": ("scikit-learn", "scikit-learn")}


def write_model_item(weights: Path, record: ModelRecord, parameters: int, training_data: Path) -> Path:
    """Write `NAME.json` beside the weights; its assets are the weights and the parcels used in training."""
    framework, package = FRAMEWORKS[weights.suffix]
    area = record.area or (-180.0, -90.0, 180.0, 90.0)
    start, end = (datetime.combine(day, time(), UTC) for day in record.season)
    item = pystac.Item(
        id=f"{record.name}-{record.season[0]:%Y%m%d}-{record.season[1]:%Y%m%d}",
        geometry=mapping(box(*area)),
        bbox=list(area),
        datetime=None,
        start_datetime=start,
        end_datetime=end,
        properties={
            "mlm:name": record.name,
            "mlm:architecture": "AgriFM" if weights.suffix == ".safetensors" else "random forest",
            "mlm:tasks": ["semantic-segmentation"],
            "mlm:framework": framework,
            "mlm:framework_version": record.versions.get(package, "unknown"),
            "mlm:total_parameters": parameters,
            "mlm:input": [_input(record)],
            "mlm:output": [_output(record)],
        },
        stac_extensions=[MLM, CLASSIFICATION],
    )
    item.add_asset(
        "model",
        pystac.Asset(weights.name, "Weights and record", media_type="application/octet-stream", roles=["mlm:model"]),
    )
    item.add_asset(
        "training",
        pystac.Asset(
            training_data.name,
            "Parcels and points used in training and validation",
            media_type="application/geopackage+sqlite3",
            roles=["training-data"],
        ),
    )
    path = weights.with_suffix(".json")
    content = item.to_dict(include_self_link=False)
    write_json(path, content)
    return path


def _input(record: ModelRecord) -> dict[str, Any]:
    frames = -1 if record.series == "observed" else record.frames
    return {
        "name": "composites" if record.series == "composites" else f"{record.series} series",
        "description": "Per sensor (batch, time, band, y, x), normalised per band; see the record in the weights file",
        "bands": [f"{sensor.sensor}:{band}" for sensor in record.sensors for band in sensor.bands],
        "input": {
            "shape": [-1, frames, sum(len(sensor.bands) for sensor in record.sensors), record.side, record.side],
            "dim_order": ["batch", "time", "bands", "height", "width"],
            "data_type": "float32",
        },
        "value_scaling": [
            {"type": "z-score", "mean": mean, "stddev": std}
            for sensor in record.sensors
            for mean, std in zip(sensor.mean, sensor.std, strict=True)
        ],
    }


def _output(record: ModelRecord) -> dict[str, Any]:
    classes = [
        {"value": number, "name": entry.code, "title": entry.name, "color_hint": entry.color.lstrip("#").upper()}
        for number, entry in enumerate(record.legend.classes)
    ]
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
