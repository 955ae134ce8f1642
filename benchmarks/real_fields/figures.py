"""Seasonal curves of simulated parcels on those of real ones, one panel per crop."""

from io import BytesIO
from pathlib import Path

import matplotlib
import matplotlib.dates
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from real_fields.parcels import gap_filled, year_of

from agrifm.simulator.points import POINT_BANDS, PointSeries

REAL, SIMULATED = "#222222", "#d55e00"
"""Dark and vermilion of Okabe and Ito, apart for colour-blind eyes and in grey."""
QUANTITIES = {"NDVI": "NDVI", "B08": "near infrared reflectance (B08)", "B11": "shortwave infrared reflectance (B11)"}


def curves(real: PointSeries, simulated: PointSeries, quantity: str, path: Path) -> None:
    """Medians and 10-90 % ranges of gap-filled dekads of up to ten crops, real in dark, simulated in colour, as PNG."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    labels, counts = np.unique(real.label, return_counts=True)
    labels = labels[np.argsort(-counts)]
    dekads = year_of(real).dekads
    figure, axes = plt.subplots(2, 5, figsize=(13, 5), sharex=True, sharey=True, layout="constrained")
    for panel, label in zip(axes.flat, labels, strict=False):
        for series, color, name in ((real, REAL, "real"), (simulated, SIMULATED, "simulated")):
            own = _values(series, quantity)[series.label == label]
            low, middle, high = np.quantile(own, (0.1, 0.5, 0.9), axis=0)
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
    whole = BytesIO()
    figure.savefig(whole, dpi=90)
    plt.close(figure)
    # few colours suffice, and the file is a quarter as large
    Image.open(whole).convert("RGB").quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)


def _values(series: PointSeries, quantity: str) -> NDArray[np.float32]:
    """(n, 36) a quantity of the year's dekads."""
    values = gap_filled(series)
    if quantity != "NDVI":
        return values[..., POINT_BANDS.index(quantity)]
    red, near_infrared = values[..., POINT_BANDS.index("B04")], values[..., POINT_BANDS.index("B08")]
    return np.asarray((near_infrared - red) / (near_infrared + red))
