"""Integrated gradients of a window: which bands and periods moved the networks of a model towards the true classes.

Shape letters: U units, B rows of bands, the first is all of them; P columns of periods, the first is the whole season;
H W rows and columns of the window.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agrifm.explain.chosen_pixels import Samples, inside, place_samples, sees_single_pixels
from agrifm.grid import Window
from agrifm.inference.mean import reading
from agrifm.inference.predictor import TorchModel
from agrifm.samples.sample import Sample, Series

if TYPE_CHECKING:
    from agrifm.explain.mean_curve import Curves, MeanCurve
    from agrifm.explain.periods import Periods
    from agrifm.explain.series_source import SeriesSource
    from agrifm.explain.subject import Subject

Numbers = NDArray[np.float64]


@dataclass
class GradientSums:
    """Sums over pixels of integrated gradients, complete when all windows have been added."""

    pixels: NDArray[np.int64]
    """(U,)."""
    total: Numbers
    """(U, B, P), nats."""
    change: Numbers
    """(U,), sum of the log probability's difference between series and baseline, which `total[:, 0, 0]` should be."""


def empty_sums(units: int, rows: int, columns: int) -> GradientSums:
    """Return sums of nothing."""
    return GradientSums(np.zeros(units, np.int64), np.zeros((units, rows, columns)), np.zeros(units))


def networks_of(subject: "Subject") -> list[tuple[TorchModel, float]]:
    """Return the PyTorch networks among the members of a model, with weights that sum to 1."""
    found = [(member.model, member.weight) for member in subject.members if isinstance(member.model, TorchModel)]
    whole = sum(weight for _, weight in found)
    return [(model, weight / whole) for model, weight in found]


def add_window(
    sums: GradientSums,
    subject: "Subject",
    samples: Samples,
    window: Window,
    unit: NDArray[np.int32],
    label: NDArray[np.uint8],
    periods: "Periods",
    curves: "Curves",
) -> None:
    """Add the attributions of the pixels of a window.

    Args:
        samples: as the members read them, nothing hidden.
        unit: (H, W), -1 = not explained; pixels that were never observed must be -1.
        label: (H, W), true classes.
        periods: of the source's season, as `curves`; they are moved to that of the samples.
    """
    present = np.unique(unit[unit >= 0])
    if not len(present):
        return
    later = subject.later(samples)
    periods, curves = periods.later(later), {name: curve.later(later) for name, curve in curves.items()}
    sums.pixels += np.bincount(unit[unit >= 0], minlength=len(sums.pixels))
    first_row = dict(zip(curves, np.cumsum([1, *(curve.value.shape[1] for curve in curves.values())]), strict=False))
    for model, weight in networks_of(subject):
        for batch, of_batch, true in _batches(
            model, samples[reading(model.record)], window, unit, label, subject.source
        ):
            _add_batch(sums, model, weight, batch, (of_batch, true), periods, curves, first_row)


def _add_batch(
    sums: GradientSums,
    model: TorchModel,
    weight: float,
    samples: Sequence[Sample],
    truth: tuple[NDArray[np.int64], NDArray[np.int64]],
    periods: "Periods",
    curves: "Curves",
    first_row: dict[str, np.int64],
) -> None:
    """Add the attributions of samples that share a batch; `truth` is their units and classes (B, H, W)."""
    import torch

    from agrifm.explain.gradients import integrated_gradients
    from agrifm.inference.tensors import tensor_batch

    device = next(model.classifier.parameters()).device
    batch = tensor_batch(samples, model.record.sensors, model.record.absent_sensors).to(device)
    baseline = {
        name: torch.from_numpy(np.stack([_baseline(sample.series[name], curves[name]) for sample in samples])).to(
            device
        )
        for name in batch.images
    }
    unit, label = (torch.from_numpy(array).to(device) for array in truth)
    present = np.unique(truth[0][truth[0] >= 0]).tolist()
    found = integrated_gradients(model.classifier, batch, baseline, unit, label, present)
    for number, attribution in zip(present, found, strict=True):
        sums.change[number] += weight * (attribution.seen - attribution.baseline)
        for name, parts in attribution.by_sensor.items():
            row = first_row[name]
            for sample, part in zip(samples, parts, strict=True):  # part: frames, bands
                column = periods.number_of(sample.series[name].date)
                cells = sums.total[number, row : row + part.shape[1]]
                np.add.at(cells.T, column[column >= 0] + 1, weight * part[column >= 0])
                cells[:, 0] += weight * part.sum(axis=0)
                np.add.at(sums.total[number, 0], column[column >= 0] + 1, weight * part[column >= 0].sum(axis=1))
        sums.total[number, 0, 0] += weight * sum(part.sum() for part in attribution.by_sensor.values())


def _baseline(series: Series, curve: "MeanCurve") -> NDArray[np.float32]:
    """The mean series (T, C, H, W) where a series is valid, and elsewhere what the series has."""
    mean = curve.at(series.date)[:, :, None, None]
    return np.where(series.valid[:, None], mean, series.image)


def _batches(
    model: TorchModel,
    sample: Sample,
    window: Window,
    unit: NDArray[np.int32],
    label: NDArray[np.uint8],
    source: "SeriesSource",
) -> Iterator[tuple[list[Sample], NDArray[np.int64], NDArray[np.int64]]]:
    """Samples that a network reads together, with units and classes (B, H, W): one, or the pixels of one."""
    slices = window.within(sample.window).slices
    wide = np.full((2, *sample.label.shape), -1, np.int64)
    wide[0][slices], wide[1][slices] = unit, np.where(unit >= 0, label, 0)
    wide[1] = np.maximum(wide[1], 0)
    if not (source.is_table or sees_single_pixels(model.record)):
        yield [sample], wide[:1], wide[1:]
        return
    for pixels, numbers in place_samples(model.record, sample, inside(sample, window, unit >= 0), source):
        of_pixel = wide.reshape(2, -1)[:, numbers, None, None]
        # Coarse pixels bring in their neighbours, which are not explained.
        yield pixels, of_pixel[0], of_pixel[1]
