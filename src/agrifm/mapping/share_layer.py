"""The shares of classes of a map's pixels: one COG with a band for each class, and its picture.

    map/fractions.tif    float32, a band for each class in the legend's order, named by its code: 0 to 1, NaN = nodata

Numbers are shares as they are, without scale or offset, and add up to 1. The sum of a class's shares times the pixels'
hectares is its mapped area. It is a sum of estimates, as biased as these are on average, and no design-based estimate.

Shape letters: K classes, H rows, W columns.
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import MapError
from agrifm.files import write_bytes
from agrifm.grid import Window
from agrifm.legend import LEGEND_TAG, legend_json
from agrifm.mapping.category_layer import LayerStatement, RasterLayer
from agrifm.mapping.cog import CogWriter
from agrifm.mapping.raster_styles import describe_numbers
from agrifm.mapping.windows import MapPlan
from agrifm.pictures import PNG_TAG, draw_scale_bar, drawing, reduced_shape
from agrifm.rasters import open_raster
from agrifm.record import NUMBERS
from agrifm.shares import SHARES_TAG
from agrifm.stac import MapLayer

FRACTIONS_FILE = NUMBERS["fractions"]
FRACTIONS_PROPERTY = "agrifm:fractions"
"""Property of a map's item: its classes, side of a pixel, hectares by class by sums of shares, and by whole pixels of
the largest class."""
PANELS = 9
"""Most classes that the picture shows, those of the most hectares."""


class ShareLayer(RasterLayer):
    """Writes the raster tile by tile; used like `CogWriter`."""

    def __init__(self, directory: Path, plan: MapPlan, about: Mapping[str, str]) -> None:
        """Begin the layer.

        Args:
            directory: of the map.
            about: tags of the raster.
        """
        self._plan, self._legend = plan, plan.record.legend
        tags = {**about, LEGEND_TAG: legend_json(self._legend), SHARES_TAG: "0 to 1"}
        self._raster = CogWriter(
            directory / FRACTIONS_FILE, plan.grid, self._legend.codes, tags, "AVERAGE", dtype="float32", nodata=np.nan
        )
        classes, rows = len(self._legend), plan.grid.shape[0]
        # By row, because in degrees the hectares of a pixel depend on the latitude.
        self._sums, self._whole, self._unknown = np.zeros((classes, rows)), np.zeros((classes, rows)), np.zeros(rows)
        super().__init__(self._raster)

    def write(self, tile: Window, shares: NDArray[np.floating], inside: NDArray[np.bool_]) -> None:
        """Write a tile.

        Args:
            shares: (K, H, W), NaN without a valid observation.
            inside: (H, W), the pixels inside the area.
        """
        known = inside & ~np.isnan(shares[0])
        # windows are kept in 16 bits, so their sums are 1 but for rounding
        whole = np.where(known, shares / np.maximum(shares.sum(axis=0), 1e-9), 0)
        self._raster.write(tile, np.where(known, whole, np.nan).astype(np.float32))
        rows = slice(tile.row, tile.row + tile.height)
        self._sums[:, rows] += whole.sum(axis=2)
        largest = np.where(known, whole.argmax(axis=0), -1)
        self._whole[:, rows] += (largest == np.arange(len(whole))[:, None, None]).sum(axis=2)
        self._unknown[rows] += (inside & ~known).sum(axis=1)

    def finish(self) -> tuple[dict[str, float], float, LayerStatement]:
        """Make the COG and its style.

        Returns:
            Hectares by class code, hectares inside the area without a valid observation, and what the layer says.

        Raises:
            MapError: no pixel was observed.
            OutputError: the file on disk differs from what was written.
        """
        if not self._sums.any():
            path = self._plan.cube.path
            raise MapError(
                f"mapping the cube {path}: not one pixel of its area has a usable observation; fetch more scenes",
                path=path,
            )
        self._raster.finish()
        describe_numbers(self._raster.path, 0, 1, "")
        per_row = self._plan.grid.pixel_hectares()
        codes = self._legend.codes
        hectares, whole = (dict(zip(codes, (one @ per_row).tolist(), strict=True)) for one in (self._sums, self._whole))
        unknown = float(self._unknown @ per_row) + self._plan.area.hectares_beyond()
        return hectares, unknown, self._statement(hectares, whole)

    def _statement(self, hectares: Mapping[str, float], whole: Mapping[str, float]) -> LayerStatement:
        moved = sum(abs(hectares[code] - whole[code]) for code in hectares) / 2
        content: dict[str, Any] = {
            "classes": list(hectares),
            "pixel": self._plan.grid.resolution,
            "hectares": {code: round(value, 4) for code, value in hectares.items()},
            "whole_hectares": {code: round(value, 4) for code, value in whole.items()},
            "estimate": "sum of shares times hectares of pixels; not design-based",
        }
        total = sum(hectares.values())
        line = (
            f"shares of {len(hectares)} classes (`{FRACTIONS_FILE}`, a band each, 0 to 1); hectares are sums of "
            "shares, not a design-based estimate of areas. If each pixel were wholly of its largest class, "
            f"{moved:.0f} of {total:.0f} ha would be of another class"
        )
        layer = MapLayer(
            FRACTIONS_FILE,
            "Shares of classes",
            "A band for each class in the legend's order: share of the pixel 0 to 1, float32 without scale or offset; "
            "NaN is nodata.",
            bands=tuple({"name": code, "data_type": "float32", "nodata": "nan"} for code in hectares),
        )
        return LayerStatement(line, {FRACTIONS_PROPERTY: content}, (layer,))


def write_share_picture_of_map(
    directory: Path, plan: MapPlan, title: str, hectares: Mapping[str, float], side: int
) -> None:
    """Write `map.png` with the shares of the classes that have the most hectares.

    Args:
        hectares: by class code.
        side: longer side of a panel, pixels.
    """
    from matplotlib.figure import Figure

    legend = plan.record.legend
    shown = sorted(range(len(legend)), key=lambda number: -hectares[legend.codes[number]])[:PANELS]
    with open_raster(directory / FRACTIONS_FILE) as source:
        shape = (len(legend), *reduced_shape(source.shape, side))
        shares = source.read(out_shape=shape, masked=True)
    with drawing([title, *(entry.name for entry in legend.classes)]):
        columns = min(3, len(shown))
        rows = -(-len(shown) // columns)
        height, width = plan.grid.shape
        panel = min(max(width / height, 0.5), 2) * 3.6
        figure = Figure(figsize=(columns * panel + 1.2, rows * 3.9 + 0.6), dpi=120, layout="constrained")
        every = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in every:
            axes.set_axis_off()
        for axes, number in zip(every, shown, strict=False):
            entry = legend.classes[number]
            image = axes.imshow(100 * shares[number], vmin=0, vmax=100, cmap="viridis", interpolation="nearest")
            axes.set_title(f"{entry.name}: {hectares[entry.code]:.0f} ha", fontsize="medium")
        figure.colorbar(image, ax=every.tolist(), label="share of the pixel, %", shrink=0.6)
        figure.suptitle(title)
        draw_scale_bar(every[0], plan.grid)
        file = BytesIO()
        figure.savefig(file, format="png", metadata=PNG_TAG)
    write_bytes(directory / "map.png", file.getvalue())
