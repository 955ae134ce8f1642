"""What decides the cost of a project's models, and what each of them needs."""

from agrifm.record import SensorRecord, SeriesKind, Task
from agrifm.validation import Frozen


class ModelWork(Frozen):
    """What decides the cost of a project's models."""

    names: tuple[str, ...]
    """Networks and single classic models."""
    size: dict[str, str]
    """Preset of each network."""
    sensors: tuple[SensorRecord, ...]
    frames: dict[str, int]
    """By sensor, of the series that networks receive."""
    observed: dict[str, int]
    """By sensor, frames of the cube."""
    steps: int
    """Equal periods of the season."""
    series: SeriesKind
    season_days: int
    classes: int
    """Layers that are predicted: classes, or the two numbers of a yield."""
    task: Task = "crop-type"
    """Of tasks of numbers; models of classes cost the same in all others."""
    batch: int
    side: int
    """Of training windows."""
    window: int
    """Of prediction windows."""


class SeriesUnits(Frozen):
    """What preparing series needs, whatever the model."""

    prepare_seconds: float = 0.0
    """Of one processor for a number of the cube that is prepared for a model."""
    compare_seconds: float = 0.0
    """Of one processor for a pixel that is compared with the training data."""


class ModelUnits(Frozen):
    """What one model needs; what was not measured is None."""

    step_seconds: float | None = None
    """Of one training step."""
    window_seconds: float | None = None
    """Of the prediction of one window of the map; of a classic model of one pixel."""
    fit_seconds: float | None = None
    """Of a classic model for each row of a fit."""
    parameters: int = 0
    memory: int = 0
    """Bytes of a training step beyond those of the process."""
    memory_to_predict: int = 0
    """Bytes of the prediction of a window of the map, likewise."""
