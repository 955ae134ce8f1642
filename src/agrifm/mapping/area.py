"""Which pixels of a grid belong to an area: those whose centre lies inside its polygon."""

import numpy as np
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from shapely import box, prepare
from shapely.geometry.base import BaseGeometry

from agrifm.grid import LONLAT, Grid, Window, geodesic_hectares, reproject


class AreaMask:
    """An area, given in longitude and latitude, on a grid."""

    def __init__(self, area: BaseGeometry, grid: Grid) -> None:
        extent = max(area.bounds[2] - area.bounds[0], area.bounds[3] - area.bounds[1])
        self.shape = reproject(area.segmentize(extent / 64), LONLAT, str(grid.crs))
        self.grid = grid
        prepare(self.shape)

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """(H, W) of the window, True where the pixel's centre lies inside."""
        part = self.grid.window(window)
        outline = box(*part.bounds)
        if self.shape.contains(outline):
            return np.ones(part.shape, bool)
        if not self.shape.intersects(outline):
            return np.zeros(part.shape, bool)
        mask: NDArray[np.bool_] = geometry_mask([self.shape], part.shape, part.transform, invert=True)
        return mask

    def hectares_beyond(self) -> float:
        """Hectares of the area that lie outside the grid; only a grid of files of one's own may leave some out."""
        beyond = self.shape.difference(box(*self.grid.bounds))
        if self.grid.crs.geographic:
            return geodesic_hectares(beyond)
        unit = float(self.grid.crs.proj.axis_info[0].unit_conversion_factor)
        return float(beyond.area) * unit**2 / 1e4
