"""Where a crop grows, by another map: yields are only stated there.

Shape letters: H rows, W columns.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.codes import listed
from agrifm.errors import MapError
from agrifm.grid import Grid, Window
from agrifm.legend import CROPLAND
from agrifm.map_cleaning import Cleaning
from agrifm.samples.label_rasters import raster_codes_on


class CropMask:
    """A raster of crops or of cropland, in any grid."""

    def __init__(self, file: Path, cleaning: Cleaning, crops: Sequence[str], grid: Grid) -> None:
        """Look into the raster.

        Args:
            cleaning: with the values that mean the crop, which count before what the raster says of itself.
            crops: codes of the crop; of a map of agrifm classes with these codes count, or else its class `cropland`.
            grid: of the map of yields.

        Raises:
            MapError: the raster does not say which of its values are the crop.
            LabelError: the file is not a raster of classes.
        """
        self.file, self._grid = file, grid
        self._about = f"reading where the crop is, {file}"
        _, _, stated = raster_codes_on(file, grid.window(Window(0, 0, 1, 1)), self._about)
        classes = () if stated.legend is None else stated.legend.classes
        wanted = [at for at, entry in enumerate(classes) if entry.code in crops]
        cropland = [at for at, entry in enumerate(classes) if entry.code == CROPLAND]
        members = [at for at, entry in enumerate(classes) if set(entry.members or ()) & set(crops)]
        self._values = list(cleaning.cropland_values) or wanted or members or cropland
        name = file.parent.name if file.name == "classes.tif" else file.name
        self.words = f"where the map {name} has {listed(crops)}"
        """Where yields are stated, in words."""
        if cleaning.cropland_values:
            values = ", ".join(map(str, cleaning.cropland_values))
            self.words = f"where the map {name} has {values}, as if all of it were {listed(crops)}"
        elif not wanted and not members:
            self.words = f"where the map {name} has cropland, as if all of it were {listed(crops)}"
        if not self._values:
            found = f"; it has {listed([entry.code for entry in classes])}" if classes else ""
            raise MapError(
                f"{self._about}: it has no class {listed(crops)} or {CROPLAND}{found}; say which of its values are the "
                "crop as `cropland_values` under [map]",
                path=file,
            )

    def inside(self, tile: Window) -> NDArray[np.bool_]:
        """Return (H, W), True where the raster says that the crop is; False where it says nothing."""
        values, known, _ = raster_codes_on(self.file, self._grid.window(tile), self._about)
        return known & np.isin(values, self._values)
