"""`agrifm explain`: which dates and bands decided, per class on unseen blocks and per parcel, as tables and pictures.

Memory holds one window, the rasters of labels, and sums by class and block.

Shape letters: K classes, U units (a class in a block, or a parcel), B rows of bands, the first is all of them; P
columns of periods, the first is the whole season; H W rows and columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.indices import greenness
from agrifm.config import Project
from agrifm.cube.store import open_cube
from agrifm.errors import ConfigError, LabelError, ModelError
from agrifm.explain.attributions import GradientSums, add_window, empty_sums, networks_of
from agrifm.explain.chosen_pixels import Samples, same_input
from agrifm.explain.mean_curve import ClassSums, Curves, class_sums, label_on, mean_curves
from agrifm.explain.occlusion import EVERY, Hidden
from agrifm.explain.periods import PeriodKind, Periods, season_periods
from agrifm.explain.selection import ExplainedParcel, Selection, draw_pixels_by_class, find_parcels
from agrifm.explain.subject import Subject
from agrifm.explain.tally import Tally, empty_tally
from agrifm.files import AnyPath, as_path
from agrifm.grid import Window
from agrifm.inference.predictor import load_model
from agrifm.legend import UNLABELLED
from agrifm.samples.labels import Labels
from agrifm.samples.patches import labelled_windows
from agrifm.samples.split import Split, held_out_blocks, split_blocks
from agrifm.train.data import project_labels
from agrifm.work import progress

LEAST_SIDE = 48
"""Target pixels: smaller training windows are read together."""
MOST_PARCELS = 50
"""Parcels that are explained at a time."""


@dataclass(frozen=True)
class Request:
    """What is to be explained, and how much of it."""

    period: PeriodKind = "month"
    """Parts of the calendar that are hidden one after the other."""
    pixels: int = 240
    """Most pixels of a class."""
    blocks: int = 24
    """Most test blocks of all classes together."""
    parcels: Sequence[str] = ()
    """Names of parcels to explain as well."""
    column: str | None = None
    """Column of these names in the file of labels; None = rows of the file, from 0."""
    seed: int = 0
    """Of the blocks and pixels that are drawn."""
    bands: bool = True
    """Whether single bands are hidden too, over the season and in each period: many times the work."""


@dataclass
class Sums:
    """Everything that is summed over the pixels of some units."""

    selection: Selection
    occlusion: Tally
    gradients: GradientSums
    greenness: ClassSums
    """Of the first sensor that has a greenness, by class or parcel."""
    predicted: NDArray[np.int64]
    """(U, K), pixels by predicted class."""

    @classmethod
    def empty(cls, selection: Selection, units: int, curves: int, shape: tuple[int, int], subject: Subject) -> "Sums":
        """Sums of nothing."""
        green = _greenness_sensor(subject)
        frames = 0 if green is None else len(subject.cube.sensors[green].date)
        return cls(
            selection,
            empty_tally(units, *shape),
            empty_sums(units, *shape),
            class_sums(curves, frames, 1),
            np.zeros((units, len(subject.record.legend)), np.int64),
        )


@dataclass(frozen=True)
class Explained:
    """The sums of an explanation, and what they are of."""

    subject: Subject
    labels: Labels
    periods: Periods
    bands: tuple[tuple[str, str], ...]
    """Sensor and band of each row after the first."""
    classes: Sums
    parcels: Sums
    names: tuple[ExplainedParcel, ...]
    green: str | None
    """Sensor of the index curves."""
    has_gradients: bool
    """Whether any member is a PyTorch network."""
    has_bands: bool
    """Whether single bands were hidden."""


def explain_model(project: Project, path: AnyPath, request: Request | None = None) -> Explained:
    """Explain a trained model of a project of labels on a cube.

    Args:
        path: model file.

    Raises:
        LabelError: the project has labels of a table only, none on the cube, or not the parcel that was asked for.
        ModelError: the model does not fit the cube, or has other classes than the labels.
        ConfigError: fewer than one pixel or block is asked for.
    """
    request = request or Request()
    _require_sound(project, request)
    path = as_path(path)
    trained = load_model(path)
    cube = open_cube(project.cube)
    subject = Subject.of(cube, trained)
    labels = project_labels(project, subject.cube)
    if labels.legend.codes != trained.record.legend.codes:
        raise ModelError(
            f"explaining {path}: its classes are {', '.join(trained.record.legend.codes)}, and those of the labels "
            f"{', '.join(labels.legend.codes)}; train it again on these labels",
            path=path,
        )
    split = split_blocks(labels, project.labels.block, project.model.seed)
    selection, names = find_parcels(project, labels, split, request.parcels, request.column)
    side = max(trained.record.side, LEAST_SIDE)
    explained = _begin(subject, labels, split, selection, names, request)
    curves = mean_curves(
        subject.cube, subject.sensors, split.label_of(labels, "train"), len(labels.legend), side, request.seed
    )
    _sum_windows(explained, curves, side)
    return explained


def _require_sound(project: Project, request: Request) -> None:
    if not project.labels.on_cube:
        raise LabelError(
            "explaining a model: the project's labels are a series table; models are explained on labels on a cube, "
            "so give a `file` of them under [labels]",
            path=project.labels.series,
        )
    for name, number in (("pixels", request.pixels), ("blocks", request.blocks)):
        if number < 1:
            raise ConfigError(f"explaining a model: `{name}` is {number}; give 1 or more", **{name: number})
    if len(request.parcels) > MOST_PARCELS:
        raise ConfigError(
            f"explaining {len(request.parcels)} parcels: at most {MOST_PARCELS} fit into a page; give fewer",
            parcels=len(request.parcels),
        )


def _begin(
    subject: Subject,
    labels: Labels,
    split: Split,
    parcels: Selection,
    names: Sequence[ExplainedParcel],
    request: Request,
) -> Explained:
    """The units to explain, with sums of nothing."""
    classes = len(labels.legend)
    unseen = held_out_blocks(labels, split)
    drawn = draw_pixels_by_class(unseen, classes, request.pixels, request.blocks, request.seed)
    bands = tuple((sensor.sensor, band) for sensor in subject.sensors for band in sensor.bands)
    periods = season_periods(subject.cube.season, request.period)
    shape = (1 + len(bands), 1 + len(periods))
    return Explained(
        subject,
        labels,
        periods,
        bands,
        Sums.empty(drawn, classes * drawn.blocks, classes, shape, subject),
        Sums.empty(parcels, len(names), len(names), shape, subject),
        tuple(names),
        _greenness_sensor(subject),
        bool(networks_of(subject)),
        request.bands,
    )


def _greenness_sensor(subject: Subject) -> str | None:
    """The first sensor whose bands make a greenness."""
    for sensor in subject.sensors:
        if greenness(np.zeros((1, len(sensor.bands), 0), np.float32), sensor) is not None:
            return sensor.sensor
    return None


def _sum_windows(explained: Explained, curves: Curves, side: int) -> None:
    """Explain window after window; each pixel counts once, although windows overlap at the end of the grid."""
    wanted = (explained.classes.selection.unit >= 0) | (explained.parcels.selection.unit >= 0)
    windows = labelled_windows(np.where(wanted, np.uint8(0), np.uint8(UNLABELLED)), side, side)
    rows = 1 + len(explained.bands) if explained.has_bands else 1
    cells = rows * (1 + len(explained.periods))
    with progress(f"explain {explained.subject.record.name}", cells * len(windows)) as advance:
        for window in windows:
            where = wanted[window.slices].copy()
            wanted[window.slices] = False
            if where.any():
                _add(explained, curves, window, where)
            advance(cells)


def _add(explained: Explained, curves: Curves, window: Window, where: NDArray[np.bool_]) -> None:
    """Add the pixels `where` (H, W) of a window to all sums."""
    subject = explained.subject
    raw = subject.read(window)
    occluded = subject.occlusions(raw, explained.periods, curves, explained.has_bands)
    _, whole = next(occluded)
    answers = subject.probabilities(whole, window, where)
    label = explained.labels.label[window.slices]
    true = label[where].astype(np.intp)
    pixel = np.arange(len(true))
    seen = np.isfinite(answers[:, 0])
    units = {id(part): part.selection.unit[window.slices][where] for part in (explained.classes, explained.parcels)}
    for part in (explained.classes, explained.parcels):
        unit = units[id(part)]
        counted = (unit >= 0) & seen
        part.occlusion.begin(unit[counted], answers[pixel, true][counted])
        np.add.at(part.predicted, (unit[counted], answers[counted].argmax(axis=1)), 1)
        _add_greenness(explained, part, raw, window, where)
        _add_gradients(explained, part, whole, window, where, seen, curves)
    for hidden, samples in occluded:
        found = answers if same_input(whole, samples) else subject.probabilities(samples, window, where)
        for part in (explained.classes, explained.parcels):
            unit = units[id(part)]
            of_part = unit >= 0
            before, after = (array[pixel, true][of_part] for array in (answers, found))
            part.occlusion.add(unit[of_part], cell_of(explained.bands, hidden, subject), before, after)


def cell_of(bands: Sequence[tuple[str, str]], hidden: Hidden, subject: Subject) -> tuple[int, int]:
    """Return the row and the column of what is hidden."""
    if hidden.band == EVERY:
        return 0, hidden.period + 1
    names = {sensor.sensor: sensor.bands for sensor in subject.sensors}
    return 1 + list(bands).index((hidden.sensor, names[hidden.sensor][hidden.band])), hidden.period + 1


def _add_greenness(explained: Explained, part: Sums, raw: Samples, window: Window, where: NDArray[np.bool_]) -> None:
    """Add the greenness of the explained pixels to the curves of their class or parcel."""
    if explained.green is None:
        return
    sample = next(iter(raw.values()))
    slices = window.within(sample.window).slices
    sensor = next(one for one in explained.subject.sensors if one.sensor == explained.green)
    series = sample.series[explained.green]
    ratio = len(sample.label) // series.valid.shape[1]
    unit = np.where(where, part.selection.unit[window.slices], -1)
    number = unit // part.selection.blocks if part.selection.blocks else unit
    curve = np.full(sample.label.shape, UNLABELLED, np.uint8)
    curve[slices] = np.where(unit >= 0, number, UNLABELLED)
    on_sensor = label_on(sample, explained.green, curve) if ratio > 1 else curve
    frames, _, height, width = series.image.shape
    green = greenness(series.image.reshape(frames, -1, height * width), sensor)
    assert green is not None
    part.greenness.add(green.reshape(frames, 1, height, width), series.valid, on_sensor)


def _add_gradients(
    explained: Explained,
    part: Sums,
    whole: Samples,
    window: Window,
    where: NDArray[np.bool_],
    seen: NDArray[np.bool_],
    curves: Curves,
) -> None:
    """Add the integrated gradients of the explained pixels that are observed."""
    if not explained.has_gradients:
        return
    unit = np.full(where.shape, -1, np.int32)
    unit[where] = np.where(seen, part.selection.unit[window.slices][where], -1)
    label = explained.labels.label[window.slices]
    add_window(part.gradients, explained.subject, whole, window, unit, label, explained.periods, curves)
