"""Accuracies and areas of each district, estimated from the points of the whole sample.

A district is a domain of the sample (Cochran 1977, Sampling Techniques, section 5A.14): how many points come to be in
it is chance, and the standard errors say so. What is known exactly is its mapped area, so a class's area is its
estimated share of the district times the district's mapped hectares.

Shape letters: N points, D districts, K classes, h w rows and columns of a window.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from shapely import box, unary_union

from agrifm.assess.class_map import ClassMap, block_windows, open_classified, pixel_of_points
from agrifm.assess.confusion import Confusion
from agrifm.assess.intervals import MIN_POINTS
from agrifm.assess.plain_numbers import accuracy_numbers, area_numbers
from agrifm.assess.point_estimators import point_estimates
from agrifm.assess.sampling_frame import (
    NONE,
    PolygonFile,
    PolygonStrata,
    Reader,
    frame_of_map,
    frame_of_polygons,
    polygon_strata,
    read_polygons,
    strata_at_points,
)
from agrifm.assess.zoned_map import ZonedMap, epsg_of_zone, zone_of_points
from agrifm.codes import listed
from agrifm.errors import AssessmentError
from agrifm.grid import LONLAT, Grid, Window, zone_meridian

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

FEW_POINTS = 10
"""Reference points of a district below which there is a warning."""


@dataclass(frozen=True)
class Districts:
    """The districts of a map."""

    codes: tuple[str, ...]
    """Of those that have mapped pixels."""
    hectares: NDArray[np.float64]
    """Mapped hectares of each class in each district, (D, K), in the order of the confusion's classes."""
    at_point: NDArray[np.int64]
    """(N,), number of the district of each point that is used; -1 = none."""


def read_districts(stated: PolygonFile, mapped: ClassMap, confusion: Confusion) -> Districts:
    """Read districts, count the mapped hectares of each class in each, and find the district of each point.

    Raises:
        AssessmentError: the file cannot be read, has no such column, a polygon has no code, districts overlap, or no
            mapped pixel is in any.
    """
    polygons = read_polygons(stated.file, stated.column, f"reading the districts {stated.file}", stated.keys)
    if isinstance(mapped, ZonedMap):
        return _over_zones(mapped, polygons, stated.column, confusion)
    frame = frame_of_polygons(mapped, polygons, stated.column)
    hectares = _hectares(mapped, len(frame.codes), frame.open, confusion)
    return Districts(frame.codes, hectares, strata_at_points(frame, confusion.points))


def _over_zones(mapped: ZonedMap, polygons: "GeoDataFrame", column: str, confusion: Confusion) -> Districts:
    """Districts on the map of each zone, which add up; a point is in the district of its pixel in its zone."""
    codes = polygon_strata(polygons, column, mapped.grid).names
    hectares = np.zeros((len(codes), len(confusion.codes)))
    at_point = np.full(len(confusion.points), NONE, np.int64)
    lon = confusion.points.to_crs(LONLAT).geometry.x.to_numpy()
    for zone in mapped.zones:
        near = _near_zone(polygons, zone)
        if not len(near):
            continue
        drawn = polygon_strata(near, column, zone.grid)
        number = np.array([codes.index(name) for name in drawn.names])
        opened = partial(_opened_on, drawn, zone.grid)
        hectares[number] += _hectares(zone, len(number), opened, confusion)
        here = np.flatnonzero(zone_of_points(zone, lon))
        found = _drawn_at(drawn, zone.grid, confusion.points.iloc[here])
        at_point[here[found != NONE]] = number[found[found != NONE]]
    present = np.flatnonzero(hectares.any(axis=1))
    if not len(present):
        raise AssessmentError(f"reading the strata of {mapped.path}: no pixel with a class is in any of them")
    place = np.full(len(codes) + 1, NONE, np.int64)  # the last one answers NONE, which is -1
    place[present] = np.arange(len(present))
    return Districts(tuple(codes[one] for one in present), hectares[present], place[at_point])


def _near_zone(polygons: "GeoDataFrame", zone: ClassMap) -> "GeoDataFrame":
    """The parts of polygons that are near a UTM zone; the projection of a zone is not made for places far from it."""
    middle = zone_meridian(epsg_of_zone(zone.grid))
    reach = unary_union(
        [box(max(middle + turn - 6, -180), -90, min(middle + turn + 6, 180), 90) for turn in (-360, 0, 360)
         if abs(middle + turn) < 186]
    )  # fmt: skip
    parts = polygons.to_crs(LONLAT)
    parts = parts.set_geometry(parts.geometry.intersection(reach))
    return parts[~parts.geometry.is_empty]


@contextmanager
def _opened_on(drawn: PolygonStrata, grid: Grid) -> Iterator[Reader]:
    yield lambda window: drawn.on(grid.window(window))


def _drawn_at(drawn: PolygonStrata, grid: Grid, points: "GeoDataFrame") -> NDArray[np.int64]:
    """The number of the polygon that contains the pixel of each point, (N,), or NONE."""
    rows, cols = pixel_of_points(grid, points.to_crs(grid.crs.to_wkt()))
    windows = (Window(int(row), int(col), 1, 1) for row, col in zip(rows, cols, strict=True))
    return np.array([drawn.on(grid.window(window))[0, 0] for window in windows], np.int64)


def district_numbers(districts: Districts, confusion: Confusion) -> list[dict[str, Any]]:
    """Return the estimates of each district as plain numbers; None where it has fewer than two points."""
    classes = [{"code": entry.code, "name": entry.name} for entry in confusion.classes]
    result = []
    for number, code in enumerate(districts.codes):
        inside, hectares = districts.at_point == number, districts.hectares[number]
        about: dict[str, Any] = {"code": code, "points": int(inside.sum()), "mapped_ha": float(hectares.sum())}
        if inside.sum() < MIN_POINTS:
            result.append({**about, "overall_accuracy": None, "areas": None})
            continue
        estimates = point_estimates(
            confusion.map_number,
            confusion.reference_number,
            len(classes),
            confusion.drawn,
            domain=inside,
            size=float(hectares.sum()),
        )
        numbers = accuracy_numbers(confusion.codes, estimates)
        result.append({**about, **numbers, "areas": area_numbers(classes, hectares, estimates.area)})
    return result


def district_notes(districts: Districts) -> list[str]:
    """Say which districts have few points, and how many points are in none."""
    count = np.bincount(districts.at_point[districts.at_point >= 0], minlength=len(districts.codes))
    few = [f"{code} ({points})" for code, points in zip(districts.codes, count, strict=True) if points < FEW_POINTS]
    notes = [f"few reference points for numbers of their own: {listed(few)}"] if few else []
    outside = int((districts.at_point < 0).sum())
    return [*notes, *([f"{outside} reference points are in none of the districts"] if outside else [])]


def _hectares(
    mapped: ClassMap, districts: int, opened: Callable[[], AbstractContextManager[Reader]], confusion: Confusion
) -> NDArray[np.float64]:
    """Mapped hectares of each class in each district, (D, K), window by window.

    Args:
        opened: opens the numbers of the districts.
    """
    classes = frame_of_map(mapped)
    position = [confusion.codes.index(code) for code in classes.codes]
    result = np.zeros((districts, len(confusion.codes)))
    weights = mapped.grid.pixel_hectares()
    with open_classified(mapped.path) as source:
        windows = list(block_windows(source))
    with opened() as of_district, classes.open() as of_class:
        for window in windows:
            district, number = of_district(window), of_class(window)
            known = (district != NONE) & (number != NONE)
            pair = district[known].astype(np.int64) * len(classes.codes) + number[known]
            area = np.broadcast_to(weights[window.row : window.row + window.height, None], known.shape)[known]
            counted = np.bincount(pair, area, districts * len(classes.codes))
            result[:, position] += counted.reshape(districts, -1)
    return result
