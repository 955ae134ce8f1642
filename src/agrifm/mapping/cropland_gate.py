"""Cropland before crops: where another map says that land is not cropland, a map of crops has `other`.

Shape letters: H rows, W columns.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.codes import listed
from agrifm.errors import MapError
from agrifm.grid import Grid, Window
from agrifm.legend import CROPLAND, OTHER, Legend
from agrifm.map_cleaning import Cleaning
from agrifm.samples.label_rasters import raster_codes_on


class CroplandGate:
    """A raster of cropland and other land, in any grid; one of agrifm has a class `cropland`."""

    def __init__(self, file: Path, cleaning: Cleaning, legend: Legend, grid: Grid) -> None:
        """Look into the raster.

        Args:
            cleaning: with the values that mean cropland, if the raster is not one of agrifm.
            legend: of the map of crops, which needs a class `other`.
            grid: of the map of crops.

        Raises:
            MapError: the raster does not say which of its values are cropland, or the legend has no class `other`.
            LabelError: the file is not a raster of classes.
        """
        self.file, self._grid = file, grid
        self._about = f"reading the map of cropland {file}"
        if OTHER not in legend.codes:
            raise MapError(
                f"{self._about}: the map of crops has {listed(legend.codes)} and no class '{OTHER}' for what is not "
                "cropland; train with labels of other land, or remove `cropland` under [map]",
                classes=legend.codes,
            )
        self.other = legend.codes.index(OTHER)
        _, _, stated = raster_codes_on(file, grid.window(Window(0, 0, 1, 1)), self._about)
        codes = None if stated.legend is None else stated.legend.codes
        if codes is not None and CROPLAND in codes:
            self._values = [codes.index(CROPLAND)]
        elif cleaning.cropland_values:
            self._values = list(cleaning.cropland_values)
        else:
            raise MapError(
                f"{self._about}: it has no class '{CROPLAND}'; say which of its values are cropland, such as "
                "`cropland_values = [40]` under [map] (ESA WorldCover)",
                path=file,
            )

    def closed(self, tile: Window) -> NDArray[np.bool_]:
        """Return (H, W), True where the raster says that land is not cropland; False where it says nothing."""
        values, known, _ = raster_codes_on(self.file, self._grid.window(tile), self._about)
        return known & ~np.isin(values, self._values)
