"""Coverage of a cube: one picture of where, in which months and on which days observations are usable."""

from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import SHARD, Cube, SensorCube
from agrifm.errors import CubeError, require_installed
from agrifm.files import AnyPath, as_path
from agrifm.grid import tiles
from agrifm.outputs import replace_file
from agrifm.pictures import PNG_TAG, drawing, is_own_picture
from agrifm.season import Season, day_date, day_number

MAX_MAP_SIDE = 600
"""Pixels along the longer side of a map in the picture; larger grids are averaged in blocks."""
# Okabe and Ito 2008, Color Universal Design: distinct with every kind of colour vision.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442")
HATCHES = ("", "//", "..", "xx", "--", "++")
NEVER_COLOR = "#D55E00"
"""Of pixels without an observation: vermilion, also of that palette; maps are blue, grey and yellow."""


@dataclass(frozen=True)
class Coverage:
    """Usable observations of one sensor."""

    counts: NDArray[np.float32]
    """(rows, columns) of the picture: usable observations of a pixel over the season, mean of a block."""
    shares: NDArray[np.float64]
    """(T,), usable share of the grid on each date, 0..1."""
    never: float
    """Share of the pixels without any usable observation."""


def measure_coverage(sensor: SensorCube, longest: int = MAX_MAP_SIDE) -> Coverage:
    """Count a sensor's usable observations, shard by shard, so that memory does not grow with the area.

    Args:
        longest: pixels along the longer side of the counts; larger grids are averaged in blocks.
    """
    height, width = sensor.grid.shape
    block = -(-max(height, width) // longest)
    total = np.zeros((-(-height // block), -(-width // block)))
    usable = np.zeros(len(sensor.date), np.int64)
    never = 0
    # Windows of whole blocks, so that no block is cut by a window.
    for window in tiles(sensor.grid.shape, SHARD // block * block or block):
        valid = sensor.stored("valid", (slice(None), *window.slices))
        usable += valid.sum(axis=(1, 2))
        observations = valid.sum(axis=0)
        never += int((observations == 0).sum())
        rows, cols = np.arange(0, window.height, block), np.arange(0, window.width, block)
        sums = np.add.reduceat(np.add.reduceat(observations, rows, axis=0), cols, axis=1)
        top, left = window.row // block, window.col // block
        total[top : top + len(rows), left : left + len(cols)] = sums
    pixels = np.outer(_lengths(height, block), _lengths(width, block))
    return Coverage((total / pixels).astype(np.float32), usable / (height * width), never / (height * width))


def _lengths(length: int, block: int) -> NDArray[np.int64]:
    """Pixels in each block along an axis; the last one may be cut."""
    return np.diff(np.append(np.arange(0, length, block), length))


def per_month(sensor: SensorCube, coverage: Coverage, season: Season) -> dict[tuple[int, int], float]:
    """Usable observations of an average pixel in each (year, month) of the season.

    A composite counts at its middle; one that ends after the season, at the end of the season.
    """
    day, last = season.start.replace(day=1), season.end
    months = Counter[tuple[int, int]]()
    while day <= last:
        months[day.year, day.month] = 0
        day = day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1)
    middles = np.clip(np.mean(_spans(sensor), axis=1), day_number(season.start), day_number(season.end))
    for middle, share in zip(middles, coverage.shares, strict=True):
        when = day_date(int(middle))
        months[when.year, when.month] += share
    return dict(months)


def _spans(sensor: SensorCube) -> NDArray[np.int64]:
    """(T, 2), first day of each frame and the day after its last."""
    if sensor.is_composite:
        return np.asarray(sensor.group["time_bounds"][:]).astype(np.int64)
    return np.stack([sensor.date, sensor.date + 1], axis=1).astype(np.int64)


def coverage_png(cube: Cube) -> bytes:
    """Return a cube's usable observations as one PNG: a map per sensor, a bar per month, a strip of all dates.

    Colours are distinct with every kind of colour vision; bars are hatched as well.

    Raises:
        CubeError: matplotlib is not installed.
    """
    require_installed(f"drawing the coverage of {cube.path}", "report", "matplotlib", kind=CubeError)
    from matplotlib.figure import Figure

    coverages = {name: measure_coverage(sensor) for name, sensor in cube.sensors.items()}
    with drawing([cube.path.name, *coverages]):
        figure = Figure(figsize=_size(len(coverages)), dpi=110, layout="constrained")
        _draw_all(figure, cube, coverages)
        buffer = BytesIO()
        figure.savefig(buffer, format="png", metadata=PNG_TAG)
    return buffer.getvalue()


def draw_coverage(cube: Cube, path: AnyPath) -> None:
    """Write the picture of `coverage_png`.

    Raises:
        CubeError: see `coverage_png`.
        OutputError: the picture cannot be written, or would replace a file that agrifm did not draw.
    """
    path = as_path(path)
    require_installed(f"drawing {path}", "report", "matplotlib", kind=CubeError)
    with replace_file(path, f"drawing {path}", is_own_picture) as temporary:
        temporary.write_bytes(coverage_png(cube))


def _size(count: int) -> tuple[float, float]:
    return max(10.0, 4.2 * count), 9.0 + 0.35 * count


def _draw_all(figure: Any, cube: Cube, coverages: dict[str, Coverage]) -> None:
    count = len(coverages)
    figure.suptitle(f"Usable observations in {cube.path.name}, {cube.season.start} to {cube.season.end}", fontsize=15)
    rows = figure.add_gridspec(3, 1, height_ratios=[4.2, 2.4, 0.7 + 0.45 * count])
    maps = rows[0].subgridspec(1, count)
    for number, (name, sensor) in enumerate(cube.sensors.items()):
        _draw_map(figure, figure.add_subplot(maps[number]), sensor, name, coverages[name])
    _draw_months(figure.add_subplot(rows[1]), cube, coverages)
    _draw_dates(figure, figure.add_subplot(rows[2]), cube, coverages)


def _draw_map(figure: Any, axes: Any, sensor: SensorCube, name: str, coverage: Coverage) -> None:
    """Where: usable observations of each pixel, north up."""
    from matplotlib import colormaps

    left, bottom, right, top = sensor.grid.bounds
    unit = 1.0 if sensor.grid.crs.geographic else 1000.0
    extent = (0, (right - left) / unit, 0, (top - bottom) / unit)
    colors = colormaps["cividis"].with_extremes(bad=NEVER_COLOR)
    shown = np.ma.masked_equal(coverage.counts, 0)
    drawn = axes.imshow(shown, extent=extent, cmap=colors, vmin=0, vmax=max(1.0, float(coverage.counts.max())))
    length = "degrees" if sensor.grid.crs.geographic else "km"
    axes.set(xlabel=f"{length} east of the corner", ylabel=f"{length} north of the corner")
    never = f"{coverage.never:.1%} of the pixels never (red)" if coverage.never else "no pixel without any"
    resolution = f"{sensor.grid.resolution:g} " + ("degrees" if sensor.grid.crs.geographic else "m")
    axes.set_title(f"{name}, pixels of {resolution}\n{len(sensor.date)} dates; {never}", fontsize=11)
    figure.colorbar(drawn, ax=axes, label="usable observations of a pixel", shrink=0.85)


def _draw_months(axes: Any, cube: Cube, coverages: dict[str, Coverage]) -> None:
    """When, by month: a group of bars, one per sensor."""
    width = 0.8 / len(coverages)
    for number, (name, coverage) in enumerate(coverages.items()):
        months = per_month(cube.sensors[name], coverage, cube.season)
        positions = np.arange(len(months)) - 0.4 + width * (number + 0.5)
        style = {"color": COLORS[number % len(COLORS)], "hatch": HATCHES[number % len(HATCHES)], "edgecolor": "white"}
        axes.bar(positions, list(months.values()), width, label=name, **style)
        axes.set_xticks(np.arange(len(months)), [f"{month:02d}/{year}" for year, month in months])
    axes.set(title="By month: how often an average pixel is usable", ylabel="usable observations\nof a pixel, mean")
    axes.legend(title="sensor", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_dates(figure: Any, axes: Any, cube: Cube, coverages: dict[str, Coverage]) -> None:
    """When, by date: a row per sensor, a cell per frame, coloured by the usable share of the grid."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    scale = ScalarMappable(Normalize(0, 100), "cividis")
    for row, (name, coverage) in enumerate(coverages.items()):
        for (first, end), share in zip(_spans(cube.sensors[name]), coverage.shares, strict=True):
            axes.broken_barh([(first, end - first)], (row - 0.4, 0.8), color=scale.to_rgba(100 * share), linewidth=0)
    axes.set_yticks(range(len(coverages)), list(coverages))
    axes.set_ylim(len(coverages) - 0.5, -0.5)
    axes.set_xlim(day_number(cube.season.start) - 1, day_number(cube.season.end) + 2)
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_title("By date: a cell per acquisition or composite; white without")
    figure.colorbar(scale, ax=axes, label="usable share\nof the grid, %", fraction=0.05, pad=0.02)
