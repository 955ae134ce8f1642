"""Polygons as reference on a map over several UTM zones.

A polygon belongs to the zone of a point inside it. One that reaches over the border has the pixels of both zones there,
because a pixel has a class in one of them only.

Shape letters: N polygons.
"""

from typing import TYPE_CHECKING

import numpy as np

from agrifm.assess.reference_polygons import PixelsInside, PolygonsOnMap, majorities, pixels_inside
from agrifm.assess.zoned_map import MOST_DEGREES, ZonedMap, epsg_of_zone, zone_of_points
from agrifm.grid import LONLAT, degrees_from_meridian

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


def polygons_on_zones(mapped: ZonedMap, polygons: "GeoDataFrame") -> PolygonsOnMap:
    """Return the majority class of a map over zones in each polygon (`polygons_on_map`); rows count on over the zones.

    Args:
        polygons: in any CRS.
    """
    points = polygons.set_geometry(polygons.geometry.representative_point())
    lon = points.to_crs(LONLAT).geometry.x.to_numpy()
    count = len(polygons)
    counts = np.zeros((count, len(mapped.legend)), np.int64)
    pixels, hectares, outside = np.zeros(count, np.int64), np.zeros(count), np.full(count, True)
    for zone in mapped.zones:
        own = zone_of_points(zone, lon)
        near = np.flatnonzero(own | (abs(degrees_from_meridian(lon, epsg_of_zone(zone.grid))) <= MOST_DEGREES))
        found = pixels_inside(zone, polygons.iloc[near].to_crs(zone.grid.crs.to_wkt()))
        counts[near] += found.counts
        here = own[near]
        pixels[near[here]], hectares[near[here]] = found.pixels[here], found.hectares[here]
        outside[near] &= found.is_outside
    return majorities(PixelsInside(counts, pixels, hectares, outside), mapped.locate(points))
