"""What a simulated season consists of: where, when, which acquisitions, and in which pieces it is made."""

import math
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from affine import Affine
from pyproj import Transformer
from shapely import Polygon, box

from agrifm.errors import ConfigError, CubeError, OutputError
from agrifm.grid import LONLAT, NEST, Grid, Window, area_grid, reproject, utm_zone
from agrifm.season import Season
from agrifm.simulator.acquisition.encode import LANDSAT, MODIS, SENTINEL_2
from agrifm.simulator.granule import Acquisition, Granule, acquisitions
from agrifm.simulator.region import Region

SMALLEST, LARGEST = 1.0, 300.0
"""Sides of areas, kilometres."""
OFF = 130.0
"""Metres from a multiple of 480 to the area's edge, so that nothing relies on areas that fit their grid."""
MARGIN = 300.0
"""Scenes reach so many metres beyond the area's cube grid: a MODIS pixel of 463 m reaches 240 m beyond its centre."""
GRANULE = 11520.0
"""Side of the largest granules, metres: one for an area of 10 km with its margins."""
BYTES = {SENTINEL_2: 80e3, LANDSAT: 11e3, MODIS: 450}
"""On disk, for each square kilometre of a scene: measured at 10 km, with files whole and half empty."""


@dataclass(frozen=True)
class Plan:
    """What is simulated, and where."""

    region: Region
    season: Season
    seed: int
    area: Polygon
    """The area asked for, in longitude and latitude."""
    grid: Grid
    """10 m pixels that scenes cover: the area's cube grid and a margin."""
    acquisitions: list[Acquisition]
    side: float = GRANULE
    """Of granules, metres."""

    @classmethod
    def of(cls, region: Region, size: float, seed: int, season: Season, side: float = GRANULE) -> "Plan":
        """A square of `size` kilometres in the middle of a region.

        Raises:
            ConfigError: the square is too small, too large, or reaches out of the region's UTM zone.
        """
        if not SMALLEST <= size <= LARGEST:
            raise ConfigError(
                f"simulating a season: an area of {size:g} x {size:g} km cannot be simulated; give a side of "
                f"{SMALLEST:g} to {LARGEST:g} km"
            )
        place = region.place
        middle = Transformer.from_crs(LONLAT, place.crs, always_xy=True).transform(place.lon, place.lat)
        left, bottom = (NEST * round((centre - size * 500) / NEST) + OFF for centre in middle)
        outline = box(left, bottom, left + size * 1000, bottom + size * 1000, ccw=True)
        area = reproject(outline, place.crs, LONLAT)
        assert isinstance(area, Polygon)
        try:
            fits = utm_zone(area) == place.crs
        except CubeError:
            fits = False
        if not fits:
            raise ConfigError(
                f"simulating a season: an area of {size:g} x {size:g} km around {place.lon:g}, {place.lat:g} reaches "
                f"out of {place.crs}, the UTM zone of the region '{region.name}'; give a smaller size"
            )
        nest = area_grid(area, 10)
        pixels = round(MARGIN / 10)
        rows, cols = (cells + 2 * pixels for cells in nest.shape)
        grid = Grid.of(place.crs, nest.transform * Affine.translation(-pixels, -pixels), (rows, cols))
        taken = acquisitions(region, season, seed, math.hypot(rows, cols) / 200)
        return cls(region, season, seed, area, grid, taken, side)

    @property
    def windows(self) -> dict[str, Window]:
        """Windows of the granules in 10 m pixels, by the end of their scenes' ids; "" where there is but one."""
        cells = round(self.side / 10)
        rows, cols = (_cut(length, cells) for length in self.grid.shape)
        if len(rows) == len(cols) == 1:
            return {"": Window(0, 0, *self.grid.shape)}
        return {
            f"_R{down:02d}C{right:02d}": Window(row, col, height, width)
            for down, (row, height) in enumerate(rows, start=1)
            for right, (col, width) in enumerate(cols, start=1)
        }

    def granule(self, part: str) -> Granule:
        """One of the granules; each is large, so that only one should be kept."""
        return Granule.draw(self.region, self.season, self.seed, self.grid.window(self.windows[part]), part)

    def require_space(self, directory: Path, kind: str) -> None:
        """Refuse a season that the disk cannot hold.

        Raises:
            OutputError: it has less free space than the season will take.
        """
        square_kilometres = math.prod(self.grid.shape) / 1e4
        needed = sum(BYTES[taken.collection] for taken in self.acquisitions) * square_kilometres
        place = directory.absolute()
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        if needed > free:
            raise OutputError(
                f"writing a {kind} to {directory}: it takes about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are "
                "free there; give a smaller size, fewer months or another disk"
            )


def _cut(length: int, cells: int) -> list[tuple[int, int]]:
    """Starts and lengths of pieces of at most about `cells` pixels, on multiples of 6, so that 20 m pixels fit."""
    count = math.ceil(length / cells)
    edges = [round(length * number / count / 6) * 6 for number in range(count)] + [length]
    return [(start, end - start) for start, end in pairwise(edges)]
