"""A picture of a series table: its places by class, and the median series of each class."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError, require_installed
from agrifm.outputs import replace_file
from agrifm.pictures import PNG_TAG, drawing, is_own_picture
from agrifm.samples.table import SeriesTable, TableSeries
from agrifm.sensors import SENSORS

MOST_DRAWN = 12
"""Most classes in a picture, the most frequent ones."""
STEP_DAYS = 15
"""Days of a season that are one step of the median series."""


def draw_table(table: SeriesTable, path: Path, title: str) -> None:
    """Draw the places of a table and the median series of its most frequent classes into one PNG.

    Raises:
        LabelError: matplotlib is not installed.
        OutputError: the picture cannot be written, or would replace a file that agrifm did not draw.
    """
    require_installed(f"drawing {path}", "report", "matplotlib", kind=LabelError)
    from matplotlib.figure import Figure

    counts = np.bincount(table.label[table.label < len(table.legend)], minlength=len(table.legend))
    drawn = [int(number) for number in np.argsort(-counts, kind="stable")[:MOST_DRAWN] if counts[number]]
    with (
        replace_file(path, f"drawing {path}", is_own_picture) as temporary,
        drawing([title, *(entry.name for entry in table.legend.classes)]),
    ):
        figure = Figure(figsize=(12.0, 5.4), dpi=110, layout="constrained")
        figure.suptitle(f"{title}: {len(table)} places", fontsize=14)
        left, right = figure.subplots(1, 2)
        _draw_places(left, table, drawn)
        _draw_series(right, table, drawn)
        handles, names = right.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)
        buffer = BytesIO()
        figure.savefig(buffer, format="png", metadata=PNG_TAG)
        temporary.write_bytes(buffer.getvalue())


def _draw_places(axes: Any, table: SeriesTable, drawn: list[int]) -> None:
    for number in drawn:
        own = table.label == number
        axes.scatter(table.lon[own], table.lat[own], s=9, color=table.legend.classes[number].color)
    axes.set(xlabel="longitude", ylabel="latitude", title="places by class")
    axes.grid(alpha=0.3)


def _draw_series(axes: Any, table: SeriesTable, drawn: list[int]) -> None:
    """Median greenness, or of the first band, of each class by days since the start of the season."""
    name, series = next(iter(table.series.items()))
    shown, what = _greenness(series)
    day = series.date - table.season_start[:, None]
    edges = np.arange(0, table.season_days + STEP_DAYS, STEP_DAYS)
    for number in drawn:
        of_class = table.label == number
        usable = series.valid[of_class]
        step = np.digitize(day[of_class][usable], edges) - 1
        values = shown[of_class][usable]
        steps = np.unique(step)
        medians = [np.median(values[step == one]) for one in steps]
        entry = table.legend.classes[number]
        axes.plot(edges[steps] + STEP_DAYS / 2, medians, color=entry.color, label=entry.name, linewidth=1.6)
    axes.set(xlabel="days since the start of the season", title=f"{name}: median {what} of each class")
    axes.grid(alpha=0.3)


def _greenness(series: TableSeries) -> tuple[NDArray[np.float32], str]:
    """Normalised difference of near infrared and red (P, T), or the first band, and its name."""
    known = (
        {band.common_name: band.name for band in SENSORS[series.input.sensor].bands}
        if (series.input.sensor in SENSORS)
        else {}
    )
    bands = series.input.bands
    pair = [bands.index(known.get(name, name)) for name in ("nir", "red") if known.get(name, name) in bands]
    if len(pair) < 2:
        return series.values[:, :, 0], bands[0]
    nir, red = series.values[:, :, pair[0]], series.values[:, :, pair[1]]
    return np.asarray((nir - red) / np.maximum(nir + red, np.float32(0.02)), np.float32), "NDVI"
