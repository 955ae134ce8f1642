"""One tile of a project whose area is divided: what it has, without the arithmetic (`agrifm.area_tiles`)."""

from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

Edges = tuple[int, int, int, int]
"""Left, bottom, right and top in whole metres of a UTM zone, multiples of 480."""


@dataclass(frozen=True)
class AreaTile:
    """A square of a UTM zone, the part of the area in it, and the pixels around that part which its cube has too."""

    name: str
    """Zone and lower left corner in whole kilometres, such as "32632/e499n5391"; a relative path as well."""
    crs: str
    """EPSG code of the zone."""
    core: Edges
    """The square; those of a zone neither overlap nor leave a gap."""
    extent: Edges
    """What the cube covers: the area in the square, snapped outwards to 480 m, and the halo around it."""
    wkb: bytes
    """The area in the square, in longitude and latitude."""

    @property
    def area(self) -> BaseGeometry:
        """The part of the area in the square, in longitude and latitude; a pixel belongs to one tile."""
        shape: BaseGeometry = shapely.from_wkb(self.wkb)
        return shape
