"""Curves of simulated and real parcels."""

from io import BytesIO
from pathlib import Path

import matplotlib
import matplotlib.dates
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from realism_metrics.parcels import gap_filled, ndvi_of, year_of

from agrifm.simulator.points import POINT_BANDS, PointSeries

REAL, SIMULATED = "#222222", "#d55e00"
"""Dark grey and the vermilion of Okabe and Ito, distinct for colour-blind readers and in print."""
QUANTITIES = {"NDVI": "NDVI", "B08": "near infrared reflectance (B08)", "B11": "shortwave infrared reflectance (B11)"}


def draw(real: PointSeries, simulated: PointSeries, quantity: str, path: Path) -> None:
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
