"""How certain each pixel of a map is: one candidate class, two, or unknown; from the candidate sets of the model.

    map/certainty.tif   0 certain, 1 two candidates, 2 unknown, 255 = nodata; colours, names and legend inside
    map/second.tif      where there are two candidates, the class number of the one that the map does not have

Shape letters: C classes, H rows, W columns.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.certainty import CandidateSets
from agrifm.codes import listed
from agrifm.grid import Grid, Window
from agrifm.inference.certainty_levels import certainty_levels
from agrifm.legend import LEGEND_TAG, UNLABELLED, Legend, legend_json
from agrifm.mapping.category_layer import CategoryLayer, LayerStatement, RasterLayer
from agrifm.mapping.cog import CogWriter
from agrifm.mapping.raster_styles import describe_classes
from agrifm.pictures import class_colors
from agrifm.record import ModelRecord
from agrifm.stac import MapLayer, classifications

CERTAINTY_FILE, SECOND_FILE = "certainty.tif", "second.tif"
# Paul Tol's "vibrant" scheme: distinct for colour-blind readers, also in print.
LEVELS = Legend.of(
    ["certain", "two", "unknown"],
    {"certain": "Certain", "two": "Two candidates", "unknown": "Unknown"},
    {"certain": "#0077bb", "two": "#ee7733", "unknown": "#bbbbbb"},
)
"""Categories in the order of `CERTAIN`, `TWO`, `UNKNOWN` (`agrifm.inference.certainty_levels`)."""
MOST_ALWAYS = 2
"""With more classes that are always candidates every pixel is unknown, and there is no layer."""


def why_without_certainty(record: ModelRecord) -> str | None:
    """Return why a map of a model has no layer of certainty, in words; None if it has one."""
    if record.candidates is None:
        return (
            "there is no layer of certainty, because the model has no candidate sets (they need three validation "
            "blocks and `calibration = true` under [model], and a model of this version)"
        )
    if len(record.candidates.always) > MOST_ALWAYS:
        codes = listed([record.legend.codes[number] for number in record.candidates.always])
        return (
            f"there is no layer of certainty, because in the model the classes {codes} are always candidates, as in "
            "older versions where fewer than three validation blocks had a class; train it again"
        )
    return None


class CertaintyLayer(RasterLayer):
    """Writes both rasters tile by tile; used like `CogWriter`."""

    def __init__(self, directory: Path, grid: Grid, sets: CandidateSets, legend: Legend, tags: Mapping[str, str]):
        """Begin the layer of a model with candidate sets.

        Args:
            directory: of the map.
            legend: of the map's classes.
            tags: of both files.
        """
        self._sets, self._classes = sets, legend
        self._levels = CategoryLayer(directory / CERTAINTY_FILE, grid, "certainty of the class", LEVELS, tags)
        about = {**tags, LEGEND_TAG: legend_json(legend)}
        second = directory / SECOND_FILE
        self._second = CogWriter(second, grid, "other one of two candidates", about, "MODE", class_colors(legend))
        super().__init__(self._levels, self._second)

    def write(self, tile: Window, probabilities: NDArray[np.floating], number: NDArray[np.uint8]) -> None:
        """Write a tile.

        Args:
            probabilities: (C, H, W), calibrated.
            number: (H, W), the class of each pixel; 255 = none.
        """
        level, second = certainty_levels(self._sets, probabilities, number)
        missing = number == UNLABELLED
        level[missing], second[missing] = UNLABELLED, UNLABELLED
        self._levels.write(tile, level)
        self._second.write(tile, second)

    def finish(self) -> LayerStatement:
        """Make both COGs; raises as `CogWriter.finish` does."""
        hectares = self._levels.finish()
        self._second.finish()
        describe_classes(self._second.path, self._classes)
        shares, nominal = hectares / hectares.sum(), self._sets.nominal
        aim = f"candidates are to contain the true class in {100 * nominal:.0f} % of the pixels of each class"
        certain, two, unknown = (100 * shares).tolist()
        return LayerStatement(
            f"of the mapped area {certain:.1f} % are certain (one candidate class), {two:.1f} % have two candidates, "
            f"{unknown:.1f} % are unknown; {aim}",
            {
                "agrifm:certainty": {
                    "nominal": nominal,
                    **dict(zip(LEVELS.codes, shares.round(6).tolist(), strict=True)),
                }
            },
            (
                MapLayer(
                    CERTAINTY_FILE,
                    "How certain the class is",
                    "One candidate class, two, or unknown (more than two, none, or only others than the class of the "
                    f"map); {aim}.",
                    classifications(LEVELS),
                ),
                MapLayer(
                    SECOND_FILE,
                    "Second candidate class",
                    "Class number of the other candidate where there are two.",
                    classifications(self._classes),
                ),
            ),
        )
