"""What is explained: drawn pixels of unseen blocks and named parcels, of labels on a cube or of a series table.

Shape letters: H W rows and columns; of a table H is the number of explained places and W is 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.errors import ModelError
from agrifm.explain.mean_curve import Curves, mean_curves
from agrifm.explain.selection import ExplainedParcel, Selection, draw_pixels_by_class, find_parcels, find_places
from agrifm.explain.series_source import CubeSource, SeriesSource
from agrifm.explain.table_source import TableSource
from agrifm.inference.predictor import TrainedModel
from agrifm.legend import UNLABELLED, Legend
from agrifm.record import present_sensors, require_fit
from agrifm.samples.project_table import project_table
from agrifm.samples.split import FOLDS, held_out_blocks, split_blocks
from agrifm.samples.table import SeriesTable
from agrifm.train.data import project_labels
from agrifm.train.table_folds import TableData, divide_table

LEAST_SIDE = 48
"""Target pixels: smaller training windows are read together."""
CUBE_BLOCKS, TABLE_BLOCKS = 24, 400
"""Most test blocks, if nothing else is asked for: of a cube each is read, those of a table are small."""


@dataclass(frozen=True)
class Wanted:
    """What the user asked for."""

    pixels: int
    """Most of a class."""
    blocks: int | None
    """Most test blocks; None = `CUBE_BLOCKS` or `TABLE_BLOCKS`."""
    parcels: Sequence[str]
    column: str | None
    seed: int


@dataclass(frozen=True)
class Material:
    """Pixels to explain, and what stands for "not observed" there."""

    source: SeriesSource
    legend: Legend
    label: NDArray[np.uint8]
    """(H, W), class numbers, 255 = unlabelled."""
    drawn: Selection
    """By class and block."""
    parcels: Selection
    names: tuple[ExplainedParcel, ...]
    curves: Curves
    side: int
    """Of windows, target pixels."""
    most_blocks: int
    """Of which pixels may have been drawn."""
    table: TableData | None = None
    """The explained places with their folds, in the order of rows; None on a cube."""
    notes: tuple[str, ...] = ()


def project_material(project: Project, model: TrainedModel, wanted: Wanted) -> Material:
    """Return what is explained of a project.

    Raises:
        LabelError: the labels cannot be read, or there is no parcel or place of that name.
        ModelError: the model does not fit the cube or the table, or has other classes than the labels.
    """
    return (_on_cube if project.labels.on_cube else _on_table)(project, model, wanted)


def _require_classes(model: TrainedModel, legend: Legend) -> None:
    if legend.codes != model.record.legend.codes:
        raise ModelError(
            f"explaining the model '{model.record.name}': its classes are {', '.join(model.record.legend.codes)}, and "
            f"those of the labels {', '.join(legend.codes)}; train it again on these labels",
            model=model.record.name,
        )


def _on_cube(project: Project, model: TrainedModel, wanted: Wanted) -> Material:
    cube, record = open_cube(project.source), model.record
    require_fit(record, cube.inputs, f"the cube {cube.path}")
    source = CubeSource.of(cube, record)
    labels = project_labels(project, source.cube)
    _require_classes(model, labels.legend)
    split = split_blocks(labels, project.labels.block, project.model.seed)
    parcels, names = find_parcels(project, labels, split, wanted.parcels, wanted.column)
    classes, side = len(labels.legend), max(record.side, LEAST_SIDE)
    unseen = held_out_blocks(labels, split)
    most = wanted.blocks or CUBE_BLOCKS
    drawn = draw_pixels_by_class(unseen, classes, wanted.pixels, most, wanted.seed)
    training = split.label_of(labels, "train")
    windows = source.windows(training != UNLABELLED, side)
    sensors = present_sensors(record, source.inputs)
    curves = mean_curves(source, sensors, training, classes, windows, wanted.seed)
    return Material(source, labels.legend, labels.label, drawn, parcels, tuple(names), curves, side, most)


def _on_table(project: Project, model: TrainedModel, wanted: Wanted) -> Material:
    record, season = model.record, project.season.season
    data = divide_table(project_table(project), project.model.seed)
    table = data.table
    require_fit(record, {name: one.input for name, one in table.series.items()}, f"the table {project.labels.series}")
    _require_classes(model, table.legend)
    parcels, names = find_places(table, data.fold, wanted.parcels, wanted.column)
    classes = len(table.legend)
    most = wanted.blocks or TABLE_BLOCKS
    drawn = draw_pixels_by_class(data.unseen, classes, wanted.pixels, most, wanted.seed)
    sensors = present_sensors(record, {name: one.input for name, one in table.series.items()})
    used = replace(table, series={one.sensor: table.series[one.sensor] for one in sensors})

    training = np.flatnonzero((data.fold == FOLDS.index("train")) & (table.label != UNLABELLED))
    of_training, _ = TableSource.of(used.of(training), season, record.frames)
    known = np.ones((len(training), 1), bool)
    label = of_training.table.label[:, None]
    curves = mean_curves(of_training, sensors, label, classes, of_training.windows(known), wanted.seed)

    explained = np.flatnonzero(((drawn.unit >= 0) | (parcels.unit >= 0))[:, 0])
    source, order = TableSource.of(used.of(explained), season, record.frames)
    rows = explained[order]
    return Material(
        source,
        table.legend,
        source.table.label[:, None],
        replace(drawn, unit=drawn.unit[rows]),
        replace(parcels, unit=parcels.unit[rows]),
        tuple(names),
        curves,
        0,
        most,
        TableData(source.table, data.fold[rows], data.unseen, data.blocks),
        tuple(_calendar_notes(used)),
    )


def _calendar_notes(table: SeriesTable) -> list[str]:
    """A note where the calendar of the explanation is not that of all places."""
    start = table.season_start.astype("datetime64[D]")
    day = (start - start.astype("datetime64[Y]")).astype(int)
    if day.max() - day.min() <= 1:  # of leap years
        return []
    return [
        "seasons of the places begin on different days of the year; periods are counted from the start of each, and "
        "their dates are those of the project's season"
    ]
