"""Tables and curves of the differences between simulated and real parcels: spread, noise, gaps, confusions."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import matplotlib
import matplotlib.dates
import numpy as np
from measure import table
from numpy.typing import NDArray
from PIL import Image
from realism_metrics.parcels import by_month, deviations, gap_filled, held_out, ndvi_of, year_of
from sklearn.metrics import confusion_matrix

from agrifm.simulator.points import POINT_BANDS, PointSeries

REAL, SIMULATED = "#222222", "#d55e00"
"""Dark grey and the vermilion of Okabe and Ito, distinct for colour-blind readers and in print."""
QUANTITIES = {"NDVI": "NDVI", "B08": "near infrared reflectance (B08)", "B11": "shortwave infrared reflectance (B11)"}


def differences(real: PointSeries, simulated: PointSeries) -> Iterator[str]:
    """The lines of five tables."""
    for lines in (_deviations, _widths, _noise, _gaps, _confusions):
        yield from (*lines(real, simulated), "")


def _deviations(real: PointSeries, simulated: PointSeries) -> Iterator[str]:
    """Standard deviations of NDVI between parcels, for each class and month."""
    both = deviations(real), deviations(simulated)

    def cell(label: str, month: int) -> str:
        if not all((label, month) in of_set for of_set in both):
            return "- "
        first, second = (of_set[label, month] for of_set in both)
        return f".{100 * first:02.0f}/.{100 * second:02.0f}{' ' if 2 / 3 <= second / first <= 1.5 else 'x'}"

    yield "deviation of NDVI between parcels by month, real/simulated; x = beyond a factor of 1.5"
    rows = [(label, *(cell(label, month) for month in range(1, 13))) for label in np.unique(real.label)]
    yield from table(("", *map(str, range(1, 13))), rows)


def _widths(real: PointSeries, simulated: PointSeries) -> Iterator[str]:
    """Widths of the 10-90 % range of parcel-months, for each band."""
    yield "width of the 10-90 % range of parcel-months, simulated over real, median over the months"
    rows = []
    for label in np.unique(real.label):
        width = []
        for series in (real, simulated):
            low, high = np.nanquantile(by_month(year_of(series).values)[series.label == label], (0.1, 0.9), axis=0)
            width.append(high - low)
        rows.append((label, *(f"{ratio:.2f}" for ratio in np.nanmedian(width[1] / width[0], axis=0))))
    yield from table(("", *POINT_BANDS), rows)


def _noise(real: PointSeries, simulated: PointSeries) -> Iterator[str]:
    """Distance of a dekad from the line between its neighbours, if all three have a value."""
    yield "noise from dekad to dekad (1.48 x median distance from the line between neighbours, / root of 1.5)"
    rows = []
    for name, series in (("real", real), ("simulated", simulated)):
        year = year_of(series)
        values = np.concatenate([year.values, year.ndvi[..., None]], axis=-1)
        distance = np.abs(values[:, 1:-1] - (values[:, :-2] + values[:, 2:]) / 2) / np.sqrt(1.5)
        rows.append((name, *(f"{1.48 * size:.4f}" for size in np.nanmedian(distance, axis=(0, 1)))))
    yield from table(("", *POINT_BANDS, "NDVI"), rows)


def _gaps(real: PointSeries, simulated: PointSeries) -> Iterator[str]:
    """Dekads in which all, none or some parcels of a cell are missing."""
    yield "dekads of cells of at least 5 parcels: share in which all, none, some of the parcels are missing"
    rows = []
    for name, series in (("real", real), ("simulated", simulated)):
        missing = ~np.isfinite(year_of(series).values[..., 0])
        cells, counts = np.unique(series.cell, return_counts=True)
        shares = np.array([missing[series.cell == cell].mean(axis=0) for cell in cells[counts >= 5]])
        parts = (shares == 1, shares == 0, (shares > 0) & (shares < 1))
        rows.append((name, *(f"{part.mean():.2f}" for part in parts)))
    yield from table(("", "all", "none", "some"), rows)


def _confusions(real: PointSeries, simulated: PointSeries) -> Iterator[str]:
    """Confusion matrices of held-out parcels, with the forest of line a."""
    labels = np.unique(real.label)
    yield "held-out parcels of one forest, rows true, columns predicted: real | simulated"
    matrices = []
    for series in (real, simulated):
        features = gap_filled(series).reshape(len(series.label), -1)
        matrices.append(confusion_matrix(series.label, held_out(features, series.label, series.fold, 0), labels=labels))
    short = [label[:5] for label in labels]
    rows = [(label, *first, "|", *second) for label, first, second in zip(labels, *matrices, strict=True)]
    yield from table(("", *short, "|", *short), rows)


def curves(real: PointSeries, simulated: PointSeries, quantity: str, path: Path) -> None:
    """Write medians and 10-90 % ranges of gap-filled dekads of up to ten crops as PNG."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    labels, counts = np.unique(real.label, return_counts=True)
    labels = labels[np.argsort(-counts)]
    dekads = year_of(real).dekads
    figure, axes = plt.subplots(2, 5, figsize=(13, 5), sharex=True, sharey=True, layout="constrained")
    for panel, label in zip(axes.flat, labels, strict=False):
        for series, color, name in ((real, REAL, "real"), (simulated, SIMULATED, "simulated")):
            values = _values(series, quantity)[series.label == label]
            low, middle, high = np.quantile(values, (0.1, 0.5, 0.9), axis=0)
            panel.fill_between(dekads, low, high, facecolor=color, alpha=0.2, lw=0)
            panel.plot(dekads, middle, color=color, lw=2, ls="-" if series is real else "--", label=name)
        panel.set_title(f"{label} ({np.count_nonzero(real.label == label)})", fontsize=10)
        panel.xaxis.set_major_locator(matplotlib.dates.MonthLocator(bymonth=(1, 4, 7, 10)))
        panel.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%b"))
        panel.grid(alpha=0.3)
    handles, names = axes[0, 0].get_legend_handles_labels()
    names = [f"{name}: median, 10-90 %" for name in names]
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    figure.supylabel(QUANTITIES[quantity])
    picture = BytesIO()
    figure.savefig(picture, dpi=90)
    plt.close(figure)
    # A palette of 32 colours makes the file four times smaller.
    Image.open(picture).convert("RGB").quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)


def _values(series: PointSeries, quantity: str) -> NDArray[np.float32]:
    """(n, 36) a quantity of the year's dekads."""
    values = gap_filled(series)
    return ndvi_of(values) if quantity == "NDVI" else values[..., POINT_BANDS.index(quantity)]
