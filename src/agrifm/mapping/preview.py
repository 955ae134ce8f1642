"""A picture of a map: its classes with legend and scale bar, and its confidence beside them."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from agrifm.files import write_aside
from agrifm.grid import LONLAT, Grid, reproject
from agrifm.legend import UNLABELLED
from agrifm.mapping.cog import colors
from agrifm.mapping.windows import MapPlan

PIXELS = 1000
"""Longest side of the maps in the picture, pixels."""
MOST_CLASSES = 20
"""Classes in the picture's legend, those of most hectares; the others are counted."""


def write_preview(directory: Path, plan: MapPlan, hectares: Mapping[str, float], nodata_hectares: float) -> None:
    """Write `map.png` from the COGs in a directory.

    Args:
        hectares: mapped, by class code.
        nodata_hectares: inside the area, where nothing valid was seen.
    """
    from matplotlib.figure import Figure  # here, because it is slow to import

    height, width = plan.grid.shape
    wide = min(max(width / height, 0.5), 2) * 5
    figure = Figure(figsize=(2 * wide + 4, 6), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    table = np.zeros((256, 4), np.uint8)
    for number, color in colors(plan.record.legend).items():
        table[number] = color
    left.imshow(table[_read(directory / "classes.tif")], interpolation="nearest")
    percent = _read(directory / "confidence.tif")
    shown = right.imshow(np.ma.masked_equal(percent, UNLABELLED), vmin=0, vmax=100, cmap="viridis")
    figure.colorbar(shown, ax=right, label="confidence, %", shrink=0.7)
    for axes in (left, right):
        axes.set_axis_off()
    season = plan.cube.season
    figure.suptitle(f"Crop map by {plan.record.name}, {season.start} to {season.end}")
    _scale_bar(left, plan.grid, percent.shape[1])
    _legend(figure, plan, hectares, nodata_hectares)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    with write_aside(directory / "map.png") as aside:
        aside.write_bytes(content.getbuffer())


def _read(path: Path) -> NDArray[np.uint8]:
    """A raster of at most `PIXELS` on its longer side, from its overviews."""
    with rasterio.open(path) as source:
        shrink = max(1, max(source.shape) / PIXELS)
        shape = tuple(max(1, round(side / shrink)) for side in source.shape)
        pixels: NDArray[np.uint8] = source.read(1, out_shape=shape, resampling=Resampling.nearest)
    return pixels


def _legend(figure: Any, plan: MapPlan, hectares: Mapping[str, float], nodata_hectares: float) -> None:
    from matplotlib.patches import Patch

    mapped = [entry for entry in plan.record.legend.classes if hectares[entry.code] > 0]
    shown = sorted(mapped, key=lambda entry: -hectares[entry.code])[:MOST_CLASSES]
    patches = [Patch(color=entry.color, label=f"{entry.name}  {hectares[entry.code]:,.1f} ha") for entry in shown]
    if len(mapped) > len(shown):
        patches.append(Patch(color="none", label=f"and {len(mapped) - len(shown)} more"))
    if nodata_hectares >= 0.05:
        patches.append(Patch(facecolor="white", edgecolor="grey", label=f"nothing seen  {nodata_hectares:,.1f} ha"))
    figure.legend(handles=patches, loc="outside left upper", frameon=False, fontsize="small")


def _scale_bar(axes: Any, grid: Grid, columns: int) -> None:
    """A bar of a round length, about a quarter of the map's width."""
    metres = _width_metres(grid)
    power = 10 ** np.floor(np.log10(metres / 4))
    length = power * max(step for step in (1, 2, 5) if step * power <= metres / 4)
    share = length / metres
    name = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    axes.plot([0, share], [-0.03, -0.03], transform=axes.transAxes, color="black", linewidth=3, clip_on=False)
    axes.text(share / 2, -0.045, name, transform=axes.transAxes, ha="center", va="top", fontsize="small")
    axes.set_xlim(-0.5, columns - 0.5)


def _width_metres(grid: Grid) -> float:
    """Geodesic length of the grid's middle row."""
    from pyproj import Geod
    from shapely import LineString

    left, bottom, right, top = grid.bounds
    middle = LineString([(left, (bottom + top) / 2), (right, (bottom + top) / 2)])
    return float(Geod(ellps="WGS84").geometry_length(reproject(middle, str(grid.crs), LONLAT)))
