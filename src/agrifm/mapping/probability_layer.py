"""Probabilities of all classes, their entropy, and how often each pixel was observed.

    map/probabilities.tif   a band for each class in the legend's order, named by its code: 0 to 250, 250 = 1
    map/entropy.tif         Shannon's entropy of the probabilities, percent of its largest value, that of equal ones
    map/observations.tif    usable observations of the pixel by all sensors together, at most 254 (which means more too)

All have 255 where the map has no class. Rounding changes a probability by at most 0.002. `agrifm parcels` reads the
first and the last.

Shape letters: C classes, H rows, W columns.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from agrifm.cube.store import Cube
from agrifm.grid import Window
from agrifm.legend import UNLABELLED
from agrifm.mapping.category_layer import LayerStatement, RasterLayer
from agrifm.mapping.cog import CogWriter
from agrifm.mapping.raster_styles import describe_numbers
from agrifm.mapping.windows import MapPlan
from agrifm.stac import MapLayer

PROBABILITIES_FILE, ENTROPY_FILE, OBSERVATIONS_FILE = "probabilities.tif", "entropy.tif", "observations.tif"
ONE = 250
"""The byte that stands for probability 1."""
MOST_COUNTED = UNLABELLED - 1


class ProbabilityLayer(RasterLayer):
    """Writes the three rasters tile by tile; used like `CogWriter`."""

    def __init__(self, directory: Path, plan: MapPlan, tags: Mapping[str, str]) -> None:
        """Begin the layer.

        Args:
            directory: of the map.
            tags: of all files.
        """
        self._cube, codes = plan.cube, plan.record.legend.codes
        probabilities, observations = directory / PROBABILITIES_FILE, directory / OBSERVATIONS_FILE
        self._classes = CogWriter(probabilities, plan.grid, codes, tags, "AVERAGE", scale=1 / ONE)
        self._entropy = CogWriter(directory / ENTROPY_FILE, plan.grid, "entropy in percent", tags, "AVERAGE")
        self._counts = CogWriter(observations, plan.grid, "usable observations", tags, "AVERAGE")
        super().__init__(self._classes, self._entropy, self._counts)

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
        self._entropy.write(tile, entropy_percent(probabilities, known))
        count = np.full(known.shape, UNLABELLED, np.uint8)
        if known.any():
            count[known] = np.minimum(observation_count(self._cube, tile), MOST_COUNTED)[known]
        self._counts.write(tile, count)

    def finish(self) -> LayerStatement:
        """Make the COGs; raises as `CogWriter.finish` does."""
        self._classes.finish()
        self._entropy.finish()
        self._counts.finish()
        describe_numbers(self._entropy.path, 0, 100, " %")
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
                    ENTROPY_FILE,
                    "Entropy of the probabilities",
                    "Shannon's entropy of the class probabilities in percent of its largest value: 0 where one class "
                    f"is sure, 100 where all are equally likely; {UNLABELLED} is nodata.",
                ),
                MapLayer(
                    OBSERVATIONS_FILE,
                    "Usable observations",
                    f"Usable observations of the pixel by all sensors together, at most {MOST_COUNTED}; {UNLABELLED} "
                    "is nodata.",
                ),
            ),
        )


def entropy_percent(probabilities: NDArray[np.floating], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return Shannon's entropy of probabilities (C, H, W) in percent of the logarithm of C, (H, W); 255 = not known."""
    percent = np.full(known.shape, UNLABELLED, np.uint8)
    of_known = np.asarray(probabilities[:, known], np.float64)
    percent[known] = np.rint(100 * entr(of_known).sum(axis=0) / np.log(max(len(probabilities), 2)))
    return percent


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
