"""What models are trained and scored on: a cube and its labels, divided into folds, with the cube's statistics."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from agrifm.classic.features import Part, feature_margin
from agrifm.classic.forest import pixel_rows
from agrifm.classic.numbers import Rows
from agrifm.config import Project
from agrifm.cube.store import Cube
from agrifm.errors import LabelError
from agrifm.grid import Grid, Window
from agrifm.legend import UNLABELLED, Legend
from agrifm.model_config import ModelConfig
from agrifm.record import ModelRecord, SensorRecord, SeriesKind, is_classic, running_versions, target_pixels, with_parts
from agrifm.samples.labels import Labels, read_labels
from agrifm.samples.legends.levels import with_hierarchy
from agrifm.samples.patches import Patches, Tiles, labelled_windows, read_with_margin
from agrifm.samples.sample import Sample
from agrifm.samples.split import FOLDS, HeldOutBlocks, Split, held_out_blocks, split_blocks
from agrifm.samples.table_samples import TableSamples
from agrifm.samples.task_labels import in_task_classes

if TYPE_CHECKING:
    from agrifm.train.mixed import MixedTable

    Mix = Callable[[Cube, Sequence[SensorRecord], Split, tuple[Patches, Patches]], MixedTable]


@dataclass(frozen=True)
class Data:
    """Cube, labels and folds, prepared for every model of a run."""

    cube: Cube
    labels: Labels
    split: Split
    unseen: HeldOutBlocks
    sensors: tuple[SensorRecord, ...]
    tiles: Tiles
    """Interpolated, as classic models read them."""
    network_tiles: Tiles
    """As the networks read them; the same as `tiles` if they read interpolated series."""
    training: Patches
    """For the networks."""
    validation: Patches
    """For the networks."""
    mixed: "MixedTable | None" = None
    """The series table that networks are trained on as well."""

    def tiles_of(self, kind: SeriesKind) -> Tiles:
        """Return the tiles for a model that reads series of that kind."""
        return self.tiles if kind == "interpolated" else self.network_tiles


def project_labels(project: Project, cube: Cube) -> Labels:
    """Read the project's labels on the target grid of its cube, in the classes of its task."""
    return labels_on(project, cube.target, cube.area)


def labels_on(project: Project, grid: Grid, area: BaseGeometry) -> Labels:
    """Read the project's labels on a grid, in the classes of its task; the area is in longitude and latitude."""
    config = project.labels
    if config.file is None:
        raise LabelError("reading labels: the project has no `file` of labels on a cube; give it under [labels]")
    notes: list[str] = []
    legend = None if config.legend is None else Legend.read(project.path(config.legend), notes)
    labels = read_labels(
        project.path(config.file),
        config.column,
        grid,
        area,
        legend,
        None if config.other is None else project.path(config.other),
        config.other_values,
        config.fold_column,
        config,
        config.unlabelled,
        config.other_file,
    )
    about = f"reading labels {config.file}"
    levels = with_hierarchy(labels.legend, config.hierarchy, about)
    return in_task_classes(replace(labels, legend=levels, notes=(*notes, *labels.notes)), project.model, about)


def prepare(
    cube: Cube,
    labels: Labels,
    block: float,
    config: ModelConfig,
    mix: "Mix | None" = None,
) -> Data:
    """Divide the labels into folds and measure the statistics for normalisation.

    If networks read other series than classic models, each has its tiles, and both share the limit on memory;
    observed series are read once for both.

    Args:
        block: side of the blocks, in units of the CRS.
        mix: adds a series table that networks are trained on as well (`agrifm.train.mixed.mix_table`); the statistics
            are then the mean of both, each weighted by its share of the training steps.

    Raises:
        LabelError: no validation block has labels, a sensor has no valid observation at the training labels, or the
            table does not fit the cube.
    """
    split = split_blocks(labels, block, config.seed)
    steps = cube.season.steps(config.frames)
    sensors = _target_first(cube)
    train_label, validation_label = (split.label_of(labels, fold) for fold in FOLDS[:2])
    tiles, network_tiles = _tiles(cube, sensors, steps, config)
    training, validation = (
        Patches(network_tiles, label, labelled_windows(label, config.side, stride))
        for label, stride in ((train_label, _stride(cube, config.side)), (validation_label, config.side))
    )
    if not len(validation):
        raise LabelError(
            "dividing the labels: no validation block has labels; use smaller blocks (`block`) or label more"
        )
    mixed: MixedTable | None = None
    sources: list[tuple[float, Patches | TableSamples]] = [(1.0, training)]
    if mix is not None:
        mixed = mix(cube, sensors, split, (training, validation))
        share = mixed.training.share
        sources = [(1 - share, training), (share, mixed.training.places)]
    unseen, measured = held_out_blocks(labels, split), _statistics(sources, sensors)
    return Data(cube, labels, split, unseen, measured, tiles, network_tiles, training, validation, mixed)


def cube_record(
    data: Data, config: ModelConfig, name: str, architecture: dict[str, Any], *packages: str
) -> ModelRecord:
    """Return the record of a model before it is trained: what it expects, and what it will be trained on.

    Args:
        name: of its family.
        packages: whose versions it states.
    """
    west, south, east, north = data.cube.area.bounds
    places = {fold: int((data.split.place_fold == number).sum()) for number, fold in enumerate(FOLDS)}
    return ModelRecord(
        name=name,
        family=name,
        architecture=architecture,
        sensors=data.sensors,
        frames=config.frames,
        side=config.side,
        legend=data.labels.legend,
        task=config.task,
        season=(data.cube.season.start, data.cube.season.end),
        area=(west, south, east, north),
        training={"seed": config.seed, "places": places, "blocks": data.split.blocks},
        versions=running_versions(*packages),
    )


def label_counts(data: Data) -> NDArray[np.int64]:
    """Return how many pixels of the training blocks each class has, (K,)."""
    label = data.training.label
    return np.bincount(label[label != UNLABELLED], minlength=len(data.labels.legend))


def read_pixel_features(
    data: Data, chosen: NDArray[np.bool_], side: int, parts: Sequence[Part]
) -> tuple[Rows, NDArray[np.intp]]:
    """Return rows of features of the chosen pixels (H, W), and the index of each in the flattened grid.

    Windows of `side` pixels do not overlap, but neighbouring pixels outside a window count in its features.
    """
    windows = labelled_windows(np.where(chosen, np.uint8(0), np.uint8(UNLABELLED)), side, side)

    def read(window: Window) -> Sample:
        return read_with_margin(data.tiles.sample, window, feature_margin(parts), data.cube.coarse_factor, chosen.shape)

    samples: Iterator[tuple[Window, Sample]] = ((window, read(window)) for window in windows)
    return pixel_rows(samples, chosen, data.sensors, parts, data.cube.season.days)


def _tiles(
    cube: Cube, sensors: Sequence[SensorRecord], steps: NDArray[np.int32], config: ModelConfig
) -> tuple[Tiles, Tiles]:
    """Tiles for the classic models and for the networks."""
    if config.series == "interpolated" or all(is_classic(name) for name in config.names):
        tiles = Tiles(cube, sensors, steps)
        return tiles, tiles
    sharing = len(with_parts(config.names))
    network = Tiles(cube, sensors, steps, config.series, sharing=sharing)
    raw = network if config.series == "observed" else None
    return Tiles(cube, sensors, steps, raw=raw, sharing=sharing), network


def _stride(cube: Cube, side: int) -> int:
    """Step between training windows: half a window, so that they overlap, if the sensors' pixels nest in it."""
    return side // 2 if side // 2 % cube.coarse_factor == 0 else side


def _target_first(cube: Cube) -> tuple[SensorRecord, ...]:
    """The cube's sensors, finest first, with placeholders for the statistics."""
    inputs = sorted(cube.inputs.values(), key=lambda content: content.resolution)
    return tuple(
        SensorRecord(**content.model_dump(), mean=(0.0,) * len(content.bands), std=(1.0,) * len(content.bands))
        for content in inputs
    )


def _statistics(
    sources: Sequence[tuple[float, Patches | TableSamples]], sensors: Sequence[SensorRecord]
) -> tuple[SensorRecord, ...]:
    """Mean and standard deviation per band over the valid pixels of training samples, each source with its weight."""
    moments: dict[str, list[tuple[float, NDArray[np.float64]]]] = {sensor.sensor: [] for sensor in sensors}
    for weight, samples in sources:
        for name, (count, total, squares) in _sums(samples, sensors).items():
            if count.any():
                moments[name].append((weight, np.stack([total / count, squares / count])))
    measured = []
    for sensor in sensors:
        known = moments[sensor.sensor]
        if not known:
            raise LabelError(
                f"preparing training: '{sensor.sensor}' has no valid observation at the training labels; widen the "
                "season, or leave that sensor out",
                sensor=sensor.sensor,
            )
        whole = sum(weight for weight, _ in known)
        mean, squares = np.sum([weight / whole * both for weight, both in known], axis=0)
        std = np.sqrt(np.maximum(squares - mean**2, 1e-8))
        measured.append(sensor.model_copy(update={"mean": tuple(mean.tolist()), "std": tuple(std.tolist())}))
    return tuple(measured)


def _sums(samples: Patches | TableSamples, sensors: Sequence[SensorRecord]) -> dict[str, NDArray[np.float64]]:
    """By sensor, per band (3, C): number, sum and sum of squares of the valid pixels."""
    # Sums in float64: the variance as a difference of means would lose its digits in float32.
    sums = {sensor.sensor: np.zeros((3, len(sensor.bands))) for sensor in sensors}
    for index in range(len(samples)):
        for name, series in samples[index].series.items():
            pixels = series.image.transpose(0, 2, 3, 1)[series.valid].astype(np.float64)
            sums[name] += np.stack([np.full(pixels.shape[1], len(pixels)), pixels.sum(axis=0), (pixels**2).sum(axis=0)])
    return sums


def require_step_memory(name: str, architecture: Any, data: Data, config: ModelConfig, recompute: bool) -> None:
    """Refuse a training step that would not fit into free memory; not checked on a GPU."""
    import torch

    from agrifm.models.cost import require_memory, window_shapes
    from agrifm.models.family import FAMILIES

    if torch.cuda.is_available():
        return
    dates = {sensor.sensor: len(data.cube.sensors[sensor.sensor].date) for sensor in data.sensors}
    frames = {name: count if config.series == "observed" else config.frames for name, count in dates.items()}
    height, width = (min(config.side, length) for length in data.cube.target.shape)
    shapes = window_shapes(target_pixels(data.sensors), frames, config.batch, height, width)
    about = f"training {name} on {config.batch} windows of {config.side} pixels at a time"
    needed = FAMILIES[name].memory_needed(architecture, shapes, training=True, recomputed=recompute)
    require_memory(needed, about, "choose a smaller `batch` or `side`")
