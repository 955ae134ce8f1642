"""The yields of a map and their intervals: one COG of numbers in t/ha, and its picture.

    map/yield.tif    float32 bands yield, lower, upper in t/ha (the unit of the bands), NaN = nodata

Numbers are t/ha as they are: a program that does not know of scales cannot read them in another unit. The interval of a
pixel is that of the mean yield of a field that looks like the pixel; models are trained and checked on fields.

Shape letters: H rows, W columns.
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.codes import listed
from agrifm.errors import MapError
from agrifm.files import content_digest, write_bytes
from agrifm.grid import Window
from agrifm.map_cleaning import Cleaning
from agrifm.mapping.category_layer import LayerStatement, RasterLayer
from agrifm.mapping.cog import CogWriter
from agrifm.mapping.crop_mask import CropMask
from agrifm.mapping.raster_styles import describe_numbers
from agrifm.mapping.windows import MapPlan
from agrifm.pictures import PNG_TAG, draw_scale_bar, drawing, reduced_shape
from agrifm.rasters import open_raster
from agrifm.record import NUMBERS, yield_scale
from agrifm.stac import CLEANING, CROPLAND_DIGEST, MapLayer
from agrifm.yields import CROP_TAG, LEVEL_TAG, UNIT_TAG, YIELD_BANDS, interval_of

YIELD_FILE = NUMBERS["yield"]
YIELD_PROPERTY = "agrifm:yield"
"""Property of a map's item: crop, unit, level of the intervals, hectares, mean yield, and production if the map says
where the crop is."""


class YieldLayer(RasterLayer):
    """Writes the raster tile by tile; used like `CogWriter`."""

    def __init__(self, directory: Path, plan: MapPlan, cleaning: Cleaning, about: Mapping[str, str]) -> None:
        """Begin the layer.

        Args:
            directory: of the map.
            cleaning: says where the crop is.
            about: tags of the raster.

        Raises:
            MapError, LabelError: see `CropMask`.
            ModelError: the model has no interval.
        """
        self._plan, self._scale, self._crops = plan, yield_scale(plan.record), plan.record.legend.codes
        assert self._scale.factor is not None, "training makes the interval before it writes the model"
        file = cleaning.cropland_raster
        self._mask = None if file is None else CropMask(file, cleaning, self._crops, plan.grid)
        self._values = cleaning.cropland_values
        tags = {UNIT_TAG: self._scale.unit, LEVEL_TAG: f"{self._scale.level:g}", CROP_TAG: " ".join(self._crops)}
        self._raster = CogWriter(
            directory / YIELD_FILE, plan.grid, YIELD_BANDS, {**about, **tags}, "AVERAGE", dtype="float32",
            nodata=np.nan, unit=self._scale.unit,
        )  # fmt: skip
        rows = plan.grid.shape[0]
        # By row, because in degrees the hectares of a pixel depend on the latitude.
        self._pixels, self._unknown, self._tonnes = np.zeros(rows), np.zeros(rows), np.zeros(rows)
        self._lowest, self._highest = np.inf, -np.inf
        super().__init__(self._raster)

    def write(self, tile: Window, shares: NDArray[np.floating], inside: NDArray[np.bool_]) -> None:
        """Write a tile.

        Args:
            shares: yield and spread (2, H, W) as shares of the highest yield, NaN without a valid observation.
            inside: (H, W), the pixels inside the area.
        """
        scale, factor = self._scale, self._scale.factor
        assert factor is not None, "see above"
        wanted = inside if self._mask is None else inside & self._mask.inside(tile)
        known = wanted & ~np.isnan(shares[0])
        tonnes, spread = (scale.highest * layer for layer in shares.astype(np.float64))
        bands = np.stack([tonnes, *interval_of(tonnes, spread, factor)])
        stored = np.full(bands.shape, np.float32(np.nan))
        stored[:, known] = np.round(bands[:, known], 2)
        self._raster.write(tile, stored)
        rows = slice(tile.row, tile.row + tile.height)
        self._pixels[rows] += known.sum(axis=1)
        self._unknown[rows] += (wanted & ~known).sum(axis=1)
        self._tonnes[rows] += np.where(known, stored[0], 0).sum(axis=1)
        if known.any():
            self._lowest = min(self._lowest, float(stored[0][known].min()))
            self._highest = max(self._highest, float(stored[0][known].max()))

    def finish(self) -> tuple[dict[str, float], float, LayerStatement]:
        """Make the COG and its style.

        Returns:
            Hectares with a yield by the crop's code, hectares inside the area without a valid observation, and what the
            layer says.

        Raises:
            MapError: no pixel has a yield.
            OutputError: the file on disk differs from what was written.
        """
        cube, crop = self._plan.cube.path, "+".join(self._crops)
        if not self._pixels.any():
            where = "" if self._mask is None else f" {self._mask.words}"
            raise MapError(
                f"mapping the cube {cube}: not one pixel of its area has a usable observation{where}; fetch more "
                "scenes, or check `cropland` under [map]",
                path=cube,
            )
        self._raster.finish()
        highest = self._highest if self._highest > self._lowest else self._lowest + 1
        describe_numbers(self._raster.path, self._lowest, highest, f" {self._scale.unit}")
        per_row = self._plan.grid.pixel_hectares()
        hectares, unknown, production = (float(one @ per_row) for one in (self._pixels, self._unknown, self._tonnes))
        unknown += self._plan.area.hectares_beyond() if self._mask is None else 0.0
        return {crop: hectares}, unknown, self._statement(hectares, production)

    def _statement(self, hectares: float, production: float) -> LayerStatement:
        unit, level = self._scale.unit, self._scale.level
        mean = production / hectares
        content: dict[str, Any] = {
            "crop": list(self._crops), "unit": unit, "interval": level, "hectares": round(hectares, 4),
            "mean": round(mean, 4), "masked": self._mask is not None,
        }  # fmt: skip
        line = f"yield of {listed(self._crops)} in {unit} with its {100 * level:.0f} % interval (`{YIELD_FILE}`): mean "
        line += f"{mean:.2f} {unit}"
        properties: dict[str, Any] = {YIELD_PROPERTY: content}
        if self._mask is None:
            line += (
                f"; stated on all land, as if the crop were everywhere: name a map of {listed(self._crops)} as "
                "`cropland` under [map]"
            )
        else:
            content["production_t"] = round(production, 2)
            line += f" and production {production:.0f} t on {hectares:.0f} ha {self._mask.words}"
            content["where"] = self._mask.words
            keys = {"cropland_values": list(self._values), CROPLAND_DIGEST: content_digest(self._mask.file)}
            properties[CLEANING] = keys
        return LayerStatement(line, properties, (self._layer(),))

    def _layer(self) -> MapLayer:
        unit, level = self._scale.unit, f"{100 * self._scale.level:.0f} %"
        return MapLayer(
            YIELD_FILE,
            f"Yield of {listed(self._crops)}",
            f"Bands yield, and lower and upper end of its {level} interval, float32 in {unit} without scale or offset; "
            "NaN is nodata. The interval of a pixel is that of the mean yield of a field that looks like it.",
            bands=tuple({"name": name, "unit": unit, "data_type": "float32", "nodata": "nan"} for name in YIELD_BANDS),
        )


def write_yield_picture_of_map(directory: Path, plan: MapPlan, title: str, side: int) -> None:
    """Write `map.png` with the yields and half the widths of their intervals.

    Args:
        side: longer side of a panel, pixels.
    """
    from matplotlib.figure import Figure

    with open_raster(directory / YIELD_FILE) as source:
        shape = (3, *reduced_shape(source.shape, side))
        tonnes, lower, upper = source.read(out_shape=shape, masked=True)
    scale = yield_scale(plan.record)
    with drawing([title]):
        height, width = plan.grid.shape
        panel_width = min(max(width / height, 0.5), 2) * 5
        figure = Figure(figsize=(2 * panel_width + 3, 6), dpi=120, layout="constrained")
        left, right = figure.subplots(1, 2)
        low, high = np.nanpercentile(tonnes.filled(np.nan), [2, 98])
        for axes, layer, limits, label in (
            (left, tonnes, (low, high), f"yield, {scale.unit}"),
            (right, (upper - lower) / 2, (0, None), f"half of the {100 * scale.level:.0f} % interval, {scale.unit}"),
        ):
            shown = axes.imshow(layer, vmin=limits[0], vmax=limits[1], cmap="viridis", interpolation="nearest")
            figure.colorbar(shown, ax=axes, label=label, shrink=0.7)
            axes.set_axis_off()
        figure.suptitle(title)
        draw_scale_bar(left, plan.grid)
        file = BytesIO()
        figure.savefig(file, format="png", metadata=PNG_TAG)
    write_bytes(directory / "map.png", file.getvalue())
