"""Tables of the differences between simulated and real parcels: spread, noise, gaps, confusions."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from realism_metrics.parcels import by_month, deviations, gap_filled, held_out, year_of
from sklearn.metrics import confusion_matrix

from agrifm.simulator.points import POINT_BANDS, PointSeries


def differences(real: PointSeries, simulated: PointSeries) -> Iterator[str]:
    """The lines of five tables."""
    for table in (_deviations, _widths, _noise, _gaps, _confusions):
        yield from table(real, simulated)
        yield ""


def _deviations(real: PointSeries, simulated: PointSeries) -> Iterator[str]:
    """Standard deviations of NDVI between parcels, for each class and month."""
    own, other = deviations(real), deviations(simulated)
    yield "deviation of NDVI between parcels by month, real/simulated; x = beyond a factor of 1.5"
    for label in np.unique(real.label):
        cells = []
        for month in range(1, 13):
            if (label, month) in own and (label, month) in other:
                pair = own[label, month], other[label, month]
                mark = " " if 2 / 3 <= pair[1] / pair[0] <= 1.5 else "x"
                cells.append(f" .{100 * pair[0]:02.0f}/.{100 * pair[1]:02.0f}{mark}")
            else:
                cells.append("    -    ")
        yield f"{label:<22}" + "".join(cells)


def _widths(real: PointSeries, simulated: PointSeries) -> Iterator[str]:
    """Widths of the 10-90 % range of parcel-months, for each band."""
    yield "width of the 10-90 % range of parcel-months, simulated over real, median over the months"
    yield f"{'':<22}" + "".join(f"{band:>7}" for band in POINT_BANDS)
    for label in np.unique(real.label):
        width = []
        for series in (real, simulated):
            low, high = np.nanquantile(by_month(year_of(series).values)[series.label == label], (0.1, 0.9), axis=0)
            width.append(high - low)
        yield f"{label:<22}" + "".join(f"{ratio:>7.2f}" for ratio in np.nanmedian(width[1] / width[0], axis=0))


def _noise(real: PointSeries, simulated: PointSeries) -> Iterator[str]:
    """Distance of a dekad from the line between its neighbours, if all three have a value."""
    yield "noise from dekad to dekad (1.48 x median distance from the line between neighbours, / root of 1.5)"
    yield f"{'':<22}" + "".join(f"{name:>8}" for name in (*POINT_BANDS, "NDVI"))
    for name, series in (("real", real), ("simulated", simulated)):
        year = year_of(series)
        values = np.concatenate([year.values, year.ndvi[..., None]], axis=-1)
        distance = np.abs(values[:, 1:-1] - (values[:, :-2] + values[:, 2:]) / 2) / np.sqrt(1.5)
        yield f"{name:<22}" + "".join(f"{1.48 * size:>8.4f}" for size in np.nanmedian(distance, axis=(0, 1)))


def _gaps(real: PointSeries, simulated: PointSeries) -> Iterator[str]:
    """Dekads in which all, none or some parcels of a cell are missing."""
    yield "dekads of cells of at least 5 parcels: share in which all, none, some of the parcels are missing"
    for name, series in (("real", real), ("simulated", simulated)):
        missing = ~np.isfinite(year_of(series).values[..., 0])
        shares = np.array([missing[own].mean(axis=0) for own in _cells(series)])
        yield f"{name:<22}{(shares == 1).mean():>8.2f}{(shares == 0).mean():>8.2f}{_mixed(shares):>8.2f}"


def _cells(series: PointSeries) -> Iterator[NDArray[np.bool_]]:
    for cell in np.unique(series.cell):
        own = series.cell == cell
        if np.count_nonzero(own) >= 5:
            yield own


def _mixed(shares: NDArray[np.float64]) -> float:
    return float(((shares > 0) & (shares < 1)).mean())


def _confusions(real: PointSeries, simulated: PointSeries) -> Iterator[str]:
    """Confusion matrices of held-out parcels, with the forest of line a."""
    labels = np.unique(real.label)
    yield "held-out parcels of one forest, rows true, columns predicted: real | simulated"
    tables = []
    for series in (real, simulated):
        features = gap_filled(series).reshape(len(series.label), -1)
        tables.append(confusion_matrix(series.label, held_out(features, series.label, series.fold, 0), labels=labels))
    head = "".join(f"{label[:5]:>6}" for label in labels)
    yield f"{'':<22}{head} |{head}"
    for label, own, other in zip(labels, *tables, strict=True):
        yield f"{label:<22}" + "".join(f"{n:>6}" for n in own) + " |" + "".join(f"{n:>6}" for n in other)
