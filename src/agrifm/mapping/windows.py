"""Which pixels of a grid are mapped, and the overlapping windows in which they are predicted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from shapely import box, prepare
from shapely.geometry.base import BaseGeometry

from agrifm.cube.store import Cube
from agrifm.errors import MapError
from agrifm.grid import LONLAT, Grid, Window, geodesic_hectares, reproject
from agrifm.mapping.mosaic import lattice_starts, overlapping_starts, window_starts
from agrifm.record import ModelRecord, SensorRecord, predicted_layers, present_sensors, require_fit

PROBABILITY_DTYPE = np.dtype(np.float16)
"""How probabilities are kept between predicting and blending: half the disk of 32 bits, exact to 0.0005 where 0.005
decides the confidence in whole percent, and few enough bits to be blended without rounding."""
OUTLINE_POINTS = 64
"""Points along the longer side of an area before it is reprojected, because straight lines become curves."""


class AreaMask:
    """The pixels of a grid whose centre is inside an area, which is given in longitude and latitude."""

    def __init__(self, area: BaseGeometry, grid: Grid) -> None:
        extent = max(area.bounds[2] - area.bounds[0], area.bounds[3] - area.bounds[1])
        self.shape = reproject(area.segmentize(extent / OUTLINE_POINTS), LONLAT, str(grid.crs))
        self.grid = grid
        prepare(self.shape)

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Return (H, W) of the window, True where the pixel's centre is inside the area."""
        part = self.grid.window(window)
        outline = box(*part.bounds)
        # Most windows are wholly inside or wholly outside; rasterising the polygon is slow.
        if self.shape.contains(outline):
            return np.ones(part.shape, bool)
        if not self.shape.intersects(outline):
            return np.zeros(part.shape, bool)
        mask: NDArray[np.bool_] = geometry_mask([self.shape], part.shape, part.transform, invert=True)
        return mask

    def hectares_beyond(self) -> float:
        """Return the hectares of the area outside the grid; only a grid of local files can leave some out."""
        beyond = self.shape.difference(box(*self.grid.bounds))
        if self.grid.crs.geographic:
            return geodesic_hectares(beyond)
        # Some projections count in feet.
        metres_per_unit = float(self.grid.crs.proj.axis_info[0].unit_conversion_factor)
        return float(beyond.area) * metres_per_unit**2 / 1e4


@dataclass(frozen=True)
class MapPlan:
    """The windows of one map."""

    cube: Cube
    """Only the sensors that the model uses and the cube has; the finest of their grids is the map's."""
    record: ModelRecord
    side: int
    """Side of a window, pixels."""
    overlap: int
    """Pixels that neighbouring windows share."""
    area: AreaMask
    rows: tuple[int, ...]
    """First rows of windows, increasing."""
    cols: tuple[int, ...]
    """First columns of windows, increasing."""
    lattice: bool = False
    """Whether windows count from the origin of the zone."""

    @property
    def sensors(self) -> tuple[SensorRecord, ...]:
        """The sensors that are used for the map."""
        return present_sensors(self.record, self.cube.inputs)

    @property
    def absent_sensors(self) -> tuple[str, ...]:
        """Sensors that the model uses if the cube has them, and this cube lacks."""
        return tuple(sensor.sensor for sensor in self.record.sensors if sensor not in self.sensors)

    @property
    def grid(self) -> Grid:
        """The map's grid."""
        return self.area.grid

    @cached_property
    def windows(self) -> dict[tuple[int, int], Window]:
        """The windows with at least one pixel inside the area, by first row and column."""
        height, width = (min(self.side, length) for length in self.grid.shape)
        # Windows without a pixel of the area would be predicted for nothing.
        every = (Window(row, col, height, width) for row in self.rows for col in self.cols)
        return {(window.row, window.col): window for window in every if self.area.inside(window).any()}

    def windows_over(self, tile: Window) -> Iterator[Window]:
        """Yield the windows that share a pixel with a tile."""
        for row in overlapping_starts(self.rows, self.side, tile.row, tile.row + tile.height):
            for col in overlapping_starts(self.cols, self.side, tile.col, tile.col + tile.width):
                if (row, col) in self.windows:
                    yield self.windows[row, col]

    @property
    def scratch_bytes(self) -> int:
        """Most disk needed next to the map while it is made: its windows, and six rasters uncompressed."""
        height, width = self.grid.shape
        # Overlaps count more than once, because every window is kept.
        pixels = sum(window.height * window.width for window in self.windows.values())
        layers = predicted_layers(self.record) + 1  # probabilities, and the dissimilarity to the training data
        return pixels * layers * PROBABILITY_DTYPE.itemsize + 6 * height * width


def plan_map(cube: Cube, record: ModelRecord, side: int, overlap: int, lattice: bool = False) -> MapPlan:
    """Cut the area of a cube into windows for a model.

    Args:
        side: of a window, pixels of the map; with several sensors a multiple of 480 m.
        overlap: pixels that neighbours share, at most half of `side`; with several sensors a multiple of 480 m.
        lattice: the cube is of a tile of a larger area, whose windows count from the origin of the zone.

    Raises:
        ModelError: the model does not fit the cube.
        MapError: window and overlap do not fit each other or the sensors, the area contains no pixel's centre, or the
            tile's halo is too narrow for the windows.
    """
    require_fit(record, cube.inputs, f"the cube {cube.path}")
    cube = with_model_sensors(cube, record)
    grid = cube.target
    area = AreaMask(cube.area, grid)
    rows, cols = window_starts(grid.shape, side, overlap, cube.coarse_factor)
    if lattice and record.side > 1:
        rows, cols = _starts_on_lattice(cube, area, side, side - overlap, record.margin)
    plan = MapPlan(cube, record, side, overlap, area, tuple(rows), tuple(cols), lattice)
    if not plan.windows:
        raise MapError(
            f"mapping the cube {cube.path}: its area contains no pixel's centre; fetch a larger area", path=cube.path
        )
    return plan


def _starts_on_lattice(cube: Cube, area: AreaMask, side: int, stride: int, margin: int) -> list[list[int]]:
    """First rows and columns of the windows of the zone's lattice that are within the cube of a tile.

    Args:
        margin: pixels around a window that the model reads too.

    Raises:
        MapError: a window that shares a pixel with the area is not within the cube.
    """
    grid = area.grid
    left, bottom, right, top = area.shape.bounds
    west, _, _, north = grid.bounds
    # The grid's corner is a whole number of pixels from the origin of the zone, and rows count from the north.
    axes = (
        (-north, north - top, north - bottom, grid.shape[0]),
        (west, left - west, right - west, grid.shape[1]),
    )
    found = []
    for origin, begin, end, length in axes:
        within = lattice_starts(round(origin / grid.resolution) + margin, length - 2 * margin, side, stride)
        starts = [start + margin for start in within]
        first, last = floor(begin / grid.resolution), ceil(end / grid.resolution) - 1
        # the windows before and after these do not reach the area
        if not starts or starts[0] - stride + side > first or starts[-1] + stride <= last:
            metres = (side + margin) * grid.resolution
            raise MapError(
                f"mapping the cube {cube.path}: windows of {side} pixels at the edge of this tile need "
                f"{metres:g} m around its area; set `halo = {metres:g}` under [season], and fetch and map again",
                path=cube.path,
                halo=metres,
            )
        found.append(starts)
    return found


def with_model_sensors(cube: Cube, record: ModelRecord) -> Cube:
    """Return the cube with only the sensors that the model uses, in the order of its record."""
    present = present_sensors(record, cube.inputs)
    return replace(cube, sensors={wanted.sensor: cube.sensors[wanted.sensor] for wanted in present})
