"""Small networks with records, saved as `agrifm train` saves them, to be exported in tests."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

from agrifm.legend import Legend
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.models.weights.file import save_model
from agrifm.record import ModelRecord, SensorRecord, SeriesKind

SEASON = (date(2024, 4, 1), date(2024, 6, 29))
FRAMES, SIDE = 4, 24
SENSORS = (
    SensorRecord(
        sensor="sentinel-2",
        bands=("B04", "B08"),
        quantity="surface reflectance",
        scale=1e-4,
        resolution=10,
        mean=(0.2, 0.3),
        std=(0.1, 0.15),
        absent_bands=("B08",),
    ),
    SensorRecord(
        sensor="landsat",
        bands=("B04", "B05"),
        quantity="surface reflectance",
        scale=1e-4,
        resolution=30,
        mean=(0.25, 0.2),
        std=(0.1, 0.2),
    ),
)


def save_network(path: Path, kind: SeriesKind, sensors: Sequence[SensorRecord] = SENSORS, **changes: Any) -> Path:
    """A network of random weights with shifted, padded and clamped windows; `changes` are made to its config."""
    torch.manual_seed(3)
    knowing = kind != "interpolated"
    plain = preset("tiny", {one.sensor: 2 for one in sensors}, classes=3, frames=FRAMES, season_days=90)
    encoder = {"embed_dim": 8, "depths": (2, 1, 1, 1), "heads": (1, 1, 2, 2), "dates": knowing, "validity": knowing}
    config = AgriFMConfig.model_validate(
        plain.model_dump() | {"encoder": plain.encoder.model_dump() | encoder} | changes
    )
    network = AgriFM(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    record = ModelRecord(
        name="agrifm",
        architecture=config.model_dump(mode="json"),
        sensors=tuple(sensors),
        frames=FRAMES,
        series=kind,
        absent_sensors=("landsat",) if len(sensors) > 1 else (),
        side=SIDE,
        legend=Legend.of(["maize", "wheat", "other"]),
        season=SEASON,
    )
    save_model(path, network, record)
    return path
