"""A class map over several UTM zones: the mosaics of the zones that `agrifm map` writes for a divided area, together.

A pixel belongs to the zone that contains its centre, so hectares of the zones add up. A reference point has the class
of the pixel of the zone that contains it, and the strata of estimates are the classes of the map in each zone, because
points are drawn zone by zone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rasterio.vrt import WarpedVRT

from agrifm.assess.class_map import OUTSIDE, ClassMap, PixelsOfPoints, open_classified, read_map
from agrifm.assess.point_estimators import StratifiedPoints, stratified_points
from agrifm.errors import AssessmentError, doing
from agrifm.files import AnyPath, as_path
from agrifm.grid import LONLAT, Grid, degrees_from_meridian
from agrifm.map_collection import COLLECTION, tile_maps
from agrifm.mapping.tile_mosaics import grid_over
from agrifm.mosaics import is_mosaic

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

BY_ZONE = "map classes by UTM zone"
"""What a report calls the strata."""
MOST_DEGREES = 4
"""From the middle of a zone, in which its map may have a pixel: half the width of a zone, and the halo of its tiles."""


@dataclass(frozen=True)
class ZonedMap(ClassMap):
    """The maps of several zones as one, with the rows of all zones one below the other."""

    zones: tuple[ClassMap, ...] = ()

    def hectares(self) -> NDArray[np.float64]:
        """Return mapped hectares of all zones, (class,)."""
        return np.asarray(np.sum([zone.hectares() for zone in self.zones], axis=0))

    def nodata_hectares(self) -> float:
        """Return the hectares of the rasters without a class, which zones have beyond the area too."""
        return sum(zone.nodata_hectares() for zone in self.zones)

    def locate(self, points: "GeoDataFrame") -> PixelsOfPoints:
        """Return row, column and class number at each point, in its zone; rows count on from zone to zone.

        Within half a pixel of a zone's border, a point whose pixel there has no class has that of the other zone.
        """
        count = len(points)
        rows, cols, numbers = np.full(count, -1), np.full(count, -1), np.full(count, OUTSIDE, np.int64)
        lon = points.to_crs(LONLAT).geometry.x.to_numpy()
        firsts = np.cumsum([0, *(zone.grid.shape[0] for zone in self.zones)])
        for in_own_zone in (True, False):
            for zone, first in zip(self.zones, firsts, strict=False):
                own = zone_of_points(zone, lon)
                near = abs(degrees_from_meridian(lon, epsg_of_zone(zone.grid))) <= MOST_DEGREES
                at = np.flatnonzero(own if in_own_zone else ~own & near & (numbers < 0))
                found = zone.locate(points.iloc[at].to_crs(zone.grid.crs.to_wkt()))
                used = (found.numbers >= 0) | in_own_zone
                rows[at[used]] = first + found.rows[used]
                cols[at[used]], numbers[at[used]] = found.cols[used], found.numbers[used]
        return PixelsOfPoints(rows, cols, numbers)

    def strata(self, rows: NDArray[np.int64], numbers: NDArray[np.int64]) -> StratifiedPoints:
        """Return the strata of points: the classes of each zone.

        Args:
            rows, numbers: (N,), of `locate`, of points that have a class.

        Raises:
            AssessmentError: a class of a zone has fewer than two points.
        """
        ends = np.cumsum([zone.grid.shape[0] for zone in self.zones])
        classes = len(self.legend)
        cell = np.searchsorted(ends, rows, "right") * classes + numbers
        size = np.concatenate([zone.hectares() for zone in self.zones])
        units = np.concatenate([zone.pixels for zone in self.zones])
        present = np.flatnonzero(units)
        names = [f"{entry.name} in {epsg_of_zone(zone.grid)}" for zone in self.zones for entry in self.legend.classes]
        return stratified_points(
            np.searchsorted(present, cell), size[present], units[present], tuple(names[one] for one in present)
        )

    def reduced(self, coarse: Grid) -> "np.ma.MaskedArray[Any, Any]":
        """Return the values of all zones on a grid in the CRS of this map, nearest pixels; masked without a class."""
        (height, width), crs = coarse.shape, coarse.crs.to_wkt()
        place = {"crs": crs, "transform": coarse.transform, "height": height, "width": width}
        values, known = np.zeros((height, width), np.uint8), np.zeros((height, width), bool)
        for zone in self.zones:
            with open_classified(zone.path) as source, WarpedVRT(source, **place, src_nodata=source.nodata) as view:
                part = view.read(1, masked=True)
            new = ~known & ~np.ma.getmaskarray(part)
            values[new], known[new] = part.data[new], True
        return np.ma.MaskedArray(values, ~known)


def zone_mosaics(path: Path) -> tuple[Path, ...]:
    """Return the mosaics of the zones of which a file is the mosaic over all, from west to east; none of other files.

    Raises:
        AssessmentError: the collection of the maps is damaged.
    """
    maps = path.parent
    if not is_mosaic(path) or not (maps / COLLECTION).exists():
        return ()
    with doing(f"reading the maps {maps}", AssessmentError, "run `agrifm map` again", path=maps):
        places = dict.fromkeys(tile.parent for tile in tile_maps(maps))
    found = sorted(place / path.name for place in places)
    return tuple(found) if len(found) > 1 else ()


def read_assessed_map(path: AnyPath) -> ClassMap:
    """Count a class map as `read_map` does; of the mosaic over several zones of a divided area, the map of each zone.

    Raises:
        AssessmentError: as of `read_map`; or the zones have other legends.
    """
    path = as_path(path)
    mosaics = zone_mosaics(path)
    if not mosaics:
        return read_map(path)
    zones = tuple(read_map(mosaic) for mosaic in mosaics)
    first = zones[0]
    for zone in zones[1:]:
        if (zone.legend, zone.values, zone.has_legend) != (first.legend, first.values, True):
            raise AssessmentError(
                f"reading the map {path}: the legends of {first.path} and {zone.path} differ, so they are of different "
                "models; run `agrifm map` again",
                path=zone.path,
            )
    grid = grid_over([zone.grid for zone in zones])
    rows = np.concatenate([zone.rows for zone in zones], axis=1)
    warnings = tuple(dict.fromkeys(note for zone in zones for note in zone.warnings))
    return ZonedMap(path, grid, first.legend, True, first.values, rows, warnings, zones)


def require_zone_design(method: str | None, columns: list[str], about: str) -> None:
    """Refuse points whose design is not that of strata which are the classes of the map.

    Args:
        method: by which they were drawn, as their file states it.
        columns: of their file.

    Raises:
        AssessmentError: see above.
    """
    found = method if method in ("systematic", "cluster", "two-phase") else "stratum" if "stratum" in columns else None
    if found is not None:
        raise AssessmentError(
            f"{about}: the map is over several UTM zones, and the points are of another design ({found}) than classes "
            "of the map; assess each zone by itself (--map maps/ZONE/classes.vrt)",
            design=found,
        )


def zone_of_points(zone: ClassMap, lon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether each longitude (N,) is in the UTM zone of a map."""
    away = degrees_from_meridian(lon, epsg_of_zone(zone.grid))
    return (away >= -3) & (away < 3)


def epsg_of_zone(grid: Grid) -> str:
    """Return the EPSG code of the zone of a grid, such as "EPSG:32631"."""
    return f"EPSG:{grid.crs.to_epsg()}"
