"""Layers of a map: of several rasters, and of few categories (a COG with colours and names, and their hectares)."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from agrifm.grid import Grid, Window
from agrifm.legend import LEGEND_TAG, Legend, legend_json
from agrifm.mapping.cog import CogWriter
from agrifm.mapping.raster_styles import describe_classes
from agrifm.pictures import class_colors
from agrifm.stac import MapLayer


class LayerStatement(NamedTuple):
    """What a finished layer says of the map."""

    line: str
    """In a sentence."""
    properties: dict[str, Any]
    """Of the map's item."""
    rasters: tuple[MapLayer, ...]
    """Its files, for the map's item."""


class RasterLayer:
    """Opens the writers of a layer's rasters together, and closes them together."""

    def __init__(self, *writers: AbstractContextManager[Any]) -> None:
        self._writers = writers

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for writer in self._writers:
                stack.enter_context(writer)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        self._open.close()


class CategoryLayer:
    """Writes a layer tile by tile, and counts its pixels; used like `CogWriter`."""

    def __init__(self, path: Path, grid: Grid, title: str, legend: Legend, tags: Mapping[str, str]) -> None:
        """Begin a layer.

        Args:
            path: of the COG.
            title: of its band.
            legend: the categories.
            tags: of the file; the legend is added.
        """
        self.legend, self._grid = legend, grid
        tags = {**tags, LEGEND_TAG: legend_json(legend)}
        self._writer = CogWriter(path, grid, title, tags, "MODE", class_colors(legend))
        # By row, because in degrees the hectares of a pixel depend on the latitude.
        self._counts = np.zeros((len(legend), grid.shape[0]), np.int64)

    def __enter__(self) -> "CategoryLayer":
        self._writer.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self._writer.__exit__(*failure)

    def write(self, tile: Window, number: NDArray[np.uint8]) -> None:
        """Write the category of each pixel of a tile (H, W); 255 = nodata."""
        self._writer.write(tile, number)
        for category in range(len(self.legend)):
            self._counts[category, tile.row : tile.row + tile.height] += (number == category).sum(axis=1)

    def finish(self) -> NDArray[np.float64]:
        """Make the COG and the files of its names and colours; returns the hectares of each category.

        Raises:
            OutputError: the file on disk differs from what was written.
        """
        self._writer.finish()
        describe_classes(self._writer.path, self.legend)
        return np.asarray(self._counts @ self._grid.pixel_hectares())
