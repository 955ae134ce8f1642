"""Pictures of an explanation: what each band and period contributed, under the index curve and over the calendar.

Blue speaks for the class and red against it (ColorBrewer's RdBu, which colour-blind readers can tell apart; Harrower
and Brewer 2003). White means no effect. Needs the extra `report`.

Shape letters: B rows of bands, the first is all of them; P columns of periods, the first is the whole season.
"""

from collections.abc import Sequence
from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.pictures import LONGEST_NAME, PNG_TAG, drawing
from agrifm.sensors import SENSORS

if TYPE_CHECKING:
    from agrifm.explain.explanation import Explained
    from agrifm.explain.findings import UnitFinding
    from agrifm.explain.periods import Periods
    from agrifm.explain.tally import Effect

COLORMAP = "RdBu"
WIDTH = 8.6
"""Inches."""
ROW = 0.2
"""Height of a band's row, inches."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LEAST_SCALE = 0.005
"""Smallest end of the scale of probabilities: less is noise and stays pale."""


def finding_picture(finding: "UnitFinding", explained: "Explained", compared: NDArray[np.float64]) -> bytes:
    """Return a PNG of a class or parcel: index curve, periods with intervals, and a heat map for each method.

    Args:
        compared: (T,), greenness to compare with: the mean of all classes, or of a parcel that of its class.
    """
    from matplotlib.figure import Figure

    legend = explained.material.legend
    rows = len(explained.bands)
    heats = []
    if explained.has_bands:
        heats.append(("occlusion", 100 * finding.occlusion.mean[1:, 1:], 100 * LEAST_SCALE, "points of probability"))
    if finding.gradients is not None:
        heats.append(("integrated gradients", finding.gradients.mean[1:, 1:], LEAST_SCALE, "nats"))
    heights = [1.5, 1.3, *[max(0.9, ROW * rows)] * len(heats)]
    names = [band_name(*band) for band in explained.bands]
    color = legend.classes[finding.number].color
    with drawing([finding.name, *(entry.name for entry in legend.classes), *names]):
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.55 * len(heights)), dpi=120, layout="constrained")
        axes = figure.subplots(len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights}, squeeze=False)
        curve, bars, *maps = axes[:, 0]
        _draw_curve(curve, finding, explained, compared, color)
        _draw_bars(bars, finding.occlusion, explained.periods)
        for place, (method, values, least, unit) in zip(maps, heats, strict=True):
            _draw_heat(figure, place, values, names, explained.periods, least, unit)
            place.set_title(f"band by period, {method}", loc="left", fontsize="small")
        _draw_calendar(axes[-1, 0], explained.periods)
        file = BytesIO()
        figure.savefig(file, format="png", metadata=PNG_TAG)
    return file.getvalue()


def band_name(sensor: str, band: str) -> str:
    """Return a band with the common name that its sensor's record gives it, and other sensors than Sentinel-2."""
    known = {one.name: one.common_name for one in SENSORS[sensor].bands} if sensor in SENSORS else {}
    common = known.get(band) or ""
    text = band if common in ("", band) else f"{band} {common}"
    return text if sensor == "sentinel-2" else f"{sensor} {text}"


def day_words(day: date) -> str:
    """Return a day in words, such as `3 May`."""
    return f"{day.day} {MONTHS[day.month - 1]}"


def _draw_curve(
    axes: Any, finding: "UnitFinding", explained: "Explained", compared: NDArray[np.float64], color: str
) -> None:
    """The greenness of the class or parcel, and in grey what it is compared with."""
    axes.set_title(f"{finding.name[:LONGEST_NAME]}: greenness (NDVI)", loc="left", fontsize="small")
    if explained.green is None:
        axes.text(0.5, 0.5, "the bands make no greenness", ha="center", transform=axes.transAxes, fontsize="small")
        axes.set_yticks([])
        return
    day = explained.subject.source.days(explained.green)
    for values, shade, width, label in (
        (compared, "#999999", 1.2, "mean of the classes" if finding.kind == "class" else "mean of the class"),
        (finding.curve, color, 2.0, "this " + finding.kind),
    ):
        known = np.isfinite(values)
        # A dark edge, so that a pale class colour is seen on white.
        axes.plot(day[known], values[known], color="#333333", linewidth=width + 1, alpha=0.35)
        axes.plot(day[known], values[known], color=shade, linewidth=width, marker=".", markersize=4, label=label)
    axes.grid(color="#e2e2e2", linewidth=0.6)
    axes.legend(frameon=False, fontsize="x-small", loc="upper left", ncols=2)


def _draw_bars(axes: Any, effect: "Effect", periods: "Periods") -> None:
    """What hiding each period takes from the probability, with intervals."""
    left, width = periods.edges[:-1], np.diff(periods.edges)
    mean, low, high = (100 * part[0, 1:] for part in effect)
    colors = ["#2166ac" if value >= 0 else "#b2182b" for value in np.nan_to_num(mean)]
    axes.bar(left, np.nan_to_num(mean), width, align="edge", color=colors, edgecolor="white")
    known = np.isfinite(low)
    axes.vlines((left + width / 2)[known], low[known], high[known], color="#1c1c1c", linewidth=1.4)
    axes.axhline(0, color="#555555", linewidth=0.8)
    axes.set_title("a period is hidden, all bands: fall of the probability, points", loc="left", fontsize="small")
    axes.grid(axis="y", color="#e2e2e2", linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_heat(
    figure: Any,
    axes: Any,
    values: NDArray[np.float64],
    names: Sequence[str],
    periods: "Periods",
    least: float,
    unit: str,
) -> None:
    """Contributions (bands, periods) in diverging colours around 0."""
    end = max(float(np.nanmax(np.abs(values), initial=0.0)), least)
    edges = np.arange(len(names) + 1)
    drawn = axes.pcolormesh(
        periods.edges, edges, np.ma.masked_invalid(values), cmap=COLORMAP, vmin=-end, vmax=end, edgecolors="#ffffff",
        linewidth=0.6,
    )  # fmt: skip
    axes.set_facecolor("#dddddd")
    axes.set_ylim(len(names), 0)
    axes.set_yticks(edges[:-1] + 0.5, names, fontsize="x-small")
    figure.colorbar(drawn, ax=axes, pad=0.01).set_label(unit, fontsize="x-small")


def _draw_calendar(axes: Any, periods: "Periods") -> None:
    """Months along the axis of days that all parts share."""
    starts = periods.starts
    first_of_month = [at for at, day in enumerate(starts) if day.day == 1 or at == 0]
    axes.set_xlim(periods.edges[0], periods.edges[-1])
    ticks = [int(periods.edges[at]) for at in first_of_month]
    axes.set_xticks(ticks, [day_words(starts[at]) for at in first_of_month], fontsize="small", ha="left")
