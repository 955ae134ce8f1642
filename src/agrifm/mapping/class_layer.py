"""The classes of a map and their confidence: its two main rasters, and the hectares of each class.

Shape letters: C classes, H rows, W columns.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.class_raster import CONFIDENCE
from agrifm.errors import MapError
from agrifm.grid import Window
from agrifm.legend import LEGEND_TAG, UNLABELLED, legend_json
from agrifm.mapping.category_layer import RasterLayer
from agrifm.mapping.cog import CogWriter
from agrifm.mapping.raster_styles import describe_classes, describe_numbers
from agrifm.mapping.windows import MapPlan
from agrifm.pictures import class_colors

CLASSES_FILE, CONFIDENCE_FILE = "classes.tif", "confidence.tif"


class ClassLayer(RasterLayer):
    """Writes both rasters tile by tile; used like `CogWriter`."""

    def __init__(self, directory: Path, plan: MapPlan, tags: Mapping[str, str]) -> None:
        """Begin the layer.

        Args:
            directory: of the map.
            tags: of both files.
        """
        self._plan, self._legend = plan, plan.record.legend
        about = {**tags, LEGEND_TAG: legend_json(self._legend)}
        colors = class_colors(self._legend)
        self._classes = CogWriter(directory / CLASSES_FILE, plan.grid, "class", about, "MODE", colors)
        self._confidence = CogWriter(directory / CONFIDENCE_FILE, plan.grid, CONFIDENCE, tags, "AVERAGE")
        # (class, then nodata; row): by row, because in degrees the hectares of a pixel depend on the latitude.
        self._counts = np.zeros((len(self._legend) + 1, plan.grid.shape[0]), np.int64)
        super().__init__(self._classes, self._confidence)

    def write(
        self, tile: Window, probabilities: NDArray[np.floating], number: NDArray[np.uint8], inside: NDArray[np.bool_]
    ) -> None:
        """Write a tile.

        Args:
            probabilities: (C, H, W), calibrated.
            number: (H, W), the class of each pixel; 255 = none.
            inside: (H, W), the pixels inside the area.
        """
        known = number != UNLABELLED
        percent = np.full(number.shape, UNLABELLED, np.uint8)
        of_class = np.take_along_axis(probabilities[:, known], number[known][None], axis=0)[0]
        percent[known] = np.rint(100 * of_class)
        self._classes.write(tile, number)
        self._confidence.write(tile, percent)
        # 255 is clipped to the last row of the counts, which is nodata.
        rows = np.nonzero(inside)[0] + tile.row
        np.add.at(self._counts, (np.minimum(number[inside], len(self._legend)), rows), 1)

    def finish(self) -> tuple[dict[str, float], float]:
        """Make both COGs and the files of their names and colours.

        Returns:
            Mapped hectares by class code, and those inside the area without a valid observation.

        Raises:
            MapError: the whole area has no valid observation.
            OutputError: a file on disk differs from what was written.
        """
        if not self._counts[:-1].any():
            raise MapError(
                f"mapping the cube {self._plan.cube.path}: not one pixel of its area has a usable observation; fetch "
                "more scenes",
                path=self._plan.cube.path,
            )
        self._classes.finish()
        self._confidence.finish()
        describe_classes(self._classes.path, self._legend)
        describe_numbers(self._confidence.path, 0, 100, " %")
        hectares = self._counts @ self._plan.grid.pixel_hectares()
        beyond = self._plan.area.hectares_beyond()
        return dict(zip(self._legend.codes, hectares[:-1].tolist(), strict=True)), float(hectares[-1]) + beyond
