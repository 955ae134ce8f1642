"""Probabilities of all classes, and how often each pixel was observed: what `agrifm parcels` reads of a map.

    map/probabilities.tif   a band for each class in the legend's order, named by its code: 0 to 250, 250 = 1
    map/observations.tif    usable observations of the pixel by all sensors together, at most 254 (which means more too)

Both have 255 where the map has no class. Rounding changes a probability by at most 0.002.

Shape letters: C classes, H rows, W columns.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import Cube
from agrifm.grid import Window
from agrifm.legend import UNLABELLED
from agrifm.mapping.category_layer import LayerStatement, RasterLayer
from agrifm.mapping.cog import CogWriter
from agrifm.mapping.windows import MapPlan
from agrifm.stac import MapLayer

PROBABILITIES_FILE, OBSERVATIONS_FILE = "probabilities.tif", "observations.tif"
ONE = 250
"""The byte that stands for probability 1."""
MOST_COUNTED = UNLABELLED - 1


class ProbabilityLayer(RasterLayer):
    """Writes both rasters tile by tile; used like `CogWriter`."""

    def __init__(self, directory: Path, plan: MapPlan, tags: Mapping[str, str]) -> None:
        """Begin the layer.

        Args:
            directory: of the map.
            tags: of both files.
        """
        self._cube, codes = plan.cube, plan.record.legend.codes
        probabilities, observations = directory / PROBABILITIES_FILE, directory / OBSERVATIONS_FILE
        self._classes = CogWriter(probabilities, plan.grid, codes, tags, "AVERAGE", scale=1 / ONE)
        self._counts = CogWriter(observations, plan.grid, "usable observations", tags, "AVERAGE")
        super().__init__(self._classes, self._counts)

    def write(self, tile: Window, probabilities: NDArray[np.floating], number: NDArray[np.uint8]) -> None:
        """Write a tile.

        Args:
            probabilities: (C, H, W), calibrated.
            number: (H, W), the class of each pixel; 255 = none.
        """
        known = number != UNLABELLED
        stored = np.full(probabilities.shape, UNLABELLED, np.uint8)
        stored[:, known] = np.rint(ONE * probabilities[:, known])
        self._classes.write(tile, stored)
        count = np.full(known.shape, UNLABELLED, np.uint8)
        if known.any():
            count[known] = np.minimum(observation_count(self._cube, tile), MOST_COUNTED)[known]
        self._counts.write(tile, count)

    def finish(self) -> LayerStatement:
        """Make both COGs; raises as `CogWriter.finish` does."""
        self._classes.finish()
        self._counts.finish()
        return LayerStatement(
            f"the probabilities of all classes are kept (`{PROBABILITIES_FILE}`; {ONE} means 1)",
            {},
            (
                MapLayer(
                    PROBABILITIES_FILE,
                    "Probabilities of the classes",
                    f"A band for each class in the legend's order: probability times {ONE}; {UNLABELLED} is nodata.",
                ),
                MapLayer(
                    OBSERVATIONS_FILE,
                    "Usable observations",
                    f"Usable observations of the pixel by all sensors together, at most {MOST_COUNTED}; {UNLABELLED} "
                    "is nodata.",
                ),
            ),
        )


def observation_count(cube: Cube, tile: Window) -> NDArray[np.int64]:
    """Return how often each pixel of a tile was observed by the sensors of a cube, (H, W).

    Args:
        tile: in pixels of the finest sensor.

    Raises:
        CubeError: a chunk of the cube is damaged.
    """
    total = np.zeros((tile.height, tile.width), np.int64)
    for sensor in cube.sensors.values():
        ratio = round(sensor.grid.resolution / cube.target.resolution)
        first_row, first_col = tile.row // ratio, tile.col // ratio
        rows = slice(first_row, -(-(tile.row + tile.height) // ratio))
        cols = slice(first_col, -(-(tile.col + tile.width) // ratio))
        count = sensor.stored("valid", (slice(None), rows, cols)).sum(axis=0, dtype=np.int64)
        fine = count.repeat(ratio, axis=0).repeat(ratio, axis=1)
        top, left = tile.row - first_row * ratio, tile.col - first_col * ratio
        total += fine[top : top + tile.height, left : left + tile.width]
    return total
