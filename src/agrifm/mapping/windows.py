"""What a map consists of: its grid, its area, the windows that are predicted and the tiles that are written."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from agrifm.cube.store import Cube
from agrifm.errors import MapError
from agrifm.grid import Grid, Window
from agrifm.mapping.area import AreaMask
from agrifm.mapping.mosaic import layout, touching
from agrifm.record import ModelRecord, SensorRecord, present_sensors, require_fit

KEPT = np.dtype(np.float16)
"""How probabilities are kept between predicting and blending: half the disk of 32 bits, exact to 0.0005 where 0.005
decides the confidence in whole percent, and few enough bits to be blended without rounding."""


@dataclass(frozen=True)
class MapPlan:
    """The windows of one map."""

    cube: Cube
    """Only the sensors that the model takes and the cube has; the finest of their grids is the map's."""
    record: ModelRecord
    side: int
    """Of a window, pixels."""
    overlap: int
    area: AreaMask
    rows: tuple[int, ...]
    """First rows of windows, increasing."""
    cols: tuple[int, ...]
    """First columns of windows, increasing."""

    @property
    def sensors(self) -> tuple[SensorRecord, ...]:
        """The sensors that are mapped with."""
        return present_sensors(self.record, self.cube.inputs)

    @property
    def absent_sensors(self) -> tuple[str, ...]:
        """Sensors that the model takes where they are, and the cube lacks."""
        return tuple(sensor.sensor for sensor in self.record.sensors if sensor not in self.sensors)

    @property
    def grid(self) -> Grid:
        """The map's grid."""
        return self.area.grid

    @cached_property
    def windows(self) -> dict[tuple[int, int], Window]:
        """By first row and column, the windows with at least one pixel inside the area."""
        height, width = (min(self.side, length) for length in self.grid.shape)
        every = (Window(row, col, height, width) for row in self.rows for col in self.cols)
        return {(window.row, window.col): window for window in every if self.area.inside(window).any()}

    def touching(self, tile: Window) -> Iterator[Window]:
        """The windows that share a pixel with a tile."""
        for row in touching(self.rows, self.side, tile.row, tile.row + tile.height):
            for col in touching(self.cols, self.side, tile.col, tile.col + tile.width):
                if (row, col) in self.windows:
                    yield self.windows[row, col]

    @property
    def scratch_bytes(self) -> int:
        """Disk needed beside the map while it is made: the windows' probabilities and both rasters uncompressed."""
        height, width = self.grid.shape
        classes = len(self.record.legend)
        kept = sum(window.height * window.width for window in self.windows.values()) * classes * KEPT.itemsize
        return kept + 2 * height * width


def plan_map(cube: Cube, record: ModelRecord, side: int, overlap: int) -> MapPlan:
    """Cut the area of a cube into windows for a model.

    Args:
        side: of a window, pixels of the map; with several sensors a multiple of 480 m.
        overlap: pixels that neighbours share, at most half of `side`; with several sensors a multiple of 480 m.

    Raises:
        ModelError: the model does not fit the cube.
        MapError: window and overlap do not fit each other or the sensors, or no pixel lies inside the area.
    """
    require_fit(record, cube.inputs, f"the cube {cube.path}")
    present = present_sensors(record, cube.inputs)
    cube = replace(cube, sensors={wanted.sensor: cube.sensors[wanted.sensor] for wanted in present})
    grid = cube.target
    rows, cols = layout(grid.shape, side, overlap, cube.coarse_factor)
    plan = MapPlan(cube, record, side, overlap, AreaMask(cube.area, grid), tuple(rows), tuple(cols))
    if not plan.windows:
        raise MapError(f"mapping the cube {cube.path}: no pixel's centre lies inside its area; fetch a larger area")
    return plan
