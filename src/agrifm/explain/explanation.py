"""Which dates and bands decided, per class on unseen blocks and per parcel: sums over pixels of what hiding them does.

Memory holds one window, the rasters of labels, and sums by class and block.

Shape letters: K classes, U units (a class in a block, or a parcel), B rows of bands, the first is all of them; P
columns of periods, the first is the whole season; H W rows and columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.indices import greenness
from agrifm.explain.attributions import GradientSums, add_window, empty_sums, networks_of
from agrifm.explain.chosen_pixels import Samples, same_input
from agrifm.explain.mean_curve import LEAST_PIXELS, ClassSums, class_sums, label_on
from agrifm.explain.occlusion import EVERY, Hidden
from agrifm.explain.periods import PeriodKind, Periods, season_periods
from agrifm.explain.selection import Selection
from agrifm.explain.subject import Subject
from agrifm.explain.tally import Tally, empty_tally
from agrifm.grid import Window
from agrifm.inference.predictor import TrainedModel
from agrifm.legend import UNLABELLED
from agrifm.work import progress

if TYPE_CHECKING:
    from agrifm.explain.material import Material


@dataclass(frozen=True)
class Request:
    """What is to be explained, and how much of it."""

    period: PeriodKind = "month"
    """Parts of the calendar that are hidden one after the other."""
    pixels: int = 240
    """Most pixels, or places of a table, of a class."""
    blocks: int | None = None
    """Most test blocks of all classes together; None = 24 on a cube, and 400 of a table."""
    parcels: Sequence[str] = ()
    """Names of parcels, or of places of a table, to explain as well."""
    column: str | None = None
    """Column of these names in the file of labels; None = rows of the file, from 0; a table has its column of names."""
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
        frames = 0 if green is None else len(subject.source.days(green))
        return cls(
            selection,
            empty_tally(units, *shape),
            empty_sums(units, *shape),
            class_sums(curves, frames, 1),
            np.zeros((units, len(subject.record.legend)), np.int64),
        )


@dataclass(frozen=True)
class PlaceSums:
    """What is known of each place of a table by itself."""

    occlusion: Tally
    """A unit for each row."""
    predicted: NDArray[np.int64]
    """(rows,), class numbers, -1 without an observation."""


@dataclass(frozen=True)
class Explained:
    """The sums of an explanation, and what they are of."""

    subject: Subject
    material: "Material"
    periods: Periods
    bands: tuple[tuple[str, str], ...]
    """Sensor and band of each row after the first."""
    classes: Sums
    parcels: Sums
    places: "PlaceSums | None"
    """Of each row of a table by itself; None on a cube."""
    green: str | None
    """Sensor of the index curves."""
    has_gradients: bool
    """Whether any member is a PyTorch network."""
    has_bands: bool
    """Whether single bands were hidden."""

    @property
    def class_curves(self) -> NDArray[np.float64]:
        """(K, T), mean greenness of each class; NaN where it is not known."""
        least = 1 if self.subject.source.is_table else LEAST_PIXELS
        return self.classes.greenness.means(least)[..., 0]


def explain_pixels(model: TrainedModel, material: "Material", request: Request) -> Explained:
    """Explain a model on pixels or places that it fits.

    Raises:
        ModelError: the pixels are the places of a table, and the model reads windows or is exported.
    """
    explained = _begin(Subject.of(material.source, model), material, request)
    _sum_windows(explained)
    return explained


def _begin(subject: Subject, material: "Material", request: Request) -> Explained:
    """The units to explain, with sums of nothing."""
    classes, named = len(material.legend), len(material.names)
    bands = tuple((sensor.sensor, band) for sensor in subject.sensors for band in sensor.bands)
    periods = season_periods(subject.source.season, request.period)
    shape = (1 + len(bands), 1 + len(periods))
    return Explained(
        subject,
        material,
        periods,
        bands,
        Sums.empty(material.drawn, classes * material.drawn.blocks, classes, shape, subject),
        Sums.empty(material.parcels, named, named, shape, subject),
        None
        if material.table is None
        else PlaceSums(empty_tally(len(material.label), *shape), np.full(len(material.label), -1)),
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


def _sum_windows(explained: Explained) -> None:
    """Explain window after window; each pixel counts once, although windows overlap at the end of the grid."""
    wanted = (explained.classes.selection.unit >= 0) | (explained.parcels.selection.unit >= 0)
    windows = explained.subject.source.windows(wanted, explained.material.side)
    rows = 1 + len(explained.bands) if explained.has_bands else 1
    cells = rows * (1 + len(explained.periods))
    with progress(f"explain {explained.subject.record.name}", cells * len(windows)) as advance:
        for window in windows:
            where = wanted[window.slices].copy()
            wanted[window.slices] = False
            if where.any():
                _add(explained, window, where)
            advance(cells)


def _add(explained: Explained, window: Window, where: NDArray[np.bool_]) -> None:
    """Add the pixels `where` (H, W) of a window to all sums."""
    subject, curves = explained.subject, explained.material.curves
    raw = subject.read(window)
    occluded = subject.occlusions(raw, explained.periods, curves, explained.has_bands)
    _, whole = next(occluded)
    answers = subject.probabilities(whole, window, where)
    label = explained.material.label[window.slices]
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
        _add_gradients(explained, part, whole, window, where, seen)
    row = window.row + np.flatnonzero(where.any(axis=1))
    if explained.places is not None:
        explained.places.occlusion.begin(row, answers[pixel, true])
        explained.places.predicted[row[seen]] = answers[seen].argmax(axis=1)
    for hidden, samples in occluded:
        found = answers if same_input(whole, samples) else subject.probabilities(samples, window, where)
        cell = cell_of(explained.bands, hidden, subject)
        before, after = (array[pixel, true] for array in (answers, found))
        for part in (explained.classes, explained.parcels):
            unit = units[id(part)]
            of_part = unit >= 0
            part.occlusion.add(unit[of_part], cell, before[of_part], after[of_part])
        if explained.places is not None:
            explained.places.occlusion.add(row, cell, before, after)


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
    sample = explained.subject.source.on_days(next(iter(raw.values())))
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
) -> None:
    """Add the integrated gradients of the explained pixels that are observed."""
    if not explained.has_gradients:
        return
    unit = np.full(where.shape, -1, np.int32)
    unit[where] = np.where(seen, part.selection.unit[window.slices][where], -1)
    label = explained.material.label[window.slices]
    curves, periods = explained.material.curves, explained.periods
    add_window(part.gradients, explained.subject, whole, window, unit, label, periods, curves)
