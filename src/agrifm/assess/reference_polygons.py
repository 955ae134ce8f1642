"""Polygons as reference: each is one unit of the sample, with the class that most of its pixels have on the map.

A labelled field says what all of it is, so it is compared as a whole: right where the map's majority inside it is its
label (Stehman and Wickham 2011, "Pixels, blocks of pixels, and polygons: Choosing a spatial unit for thematic accuracy
assessment", Remote Sensing of Environment 115, 3044-3055, doi:10.1016/j.rse.2011.06.007). Accuracies and areas are
shares of ground and not of polygons, so each polygon weighs as much as its hectares.

Shape letters: N polygons, S strata.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio import features
from shapely.geometry.base import BaseGeometry

from agrifm.assess.class_map import (
    MAX_PIXELS_PER_READ,
    NODATA,
    OUTSIDE,
    ClassMap,
    PixelsOfPoints,
    open_classified,
    pixel_of_points,
    read_window,
)
from agrifm.assess.intervals import ROUNDING, Floats, effective_shares, student_factor, sum_interval, unseen_variance
from agrifm.assess.point_estimators import Numbers, StratifiedPoints, stratified_points, within_variances
from agrifm.assess.probability_sample import CombinedStrata, ProbabilitySample
from agrifm.errors import AssessmentError
from agrifm.grid import LONLAT, Grid, Window, geodesic_hectares, reproject
from agrifm.vector_shapes import overlapping

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

MIN_STRATA = 2
"""Fewer have nothing to combine."""
PRIOR_DEGREES = 8
"""Degrees of freedom that the variance of errors which have nothing to do with size counts for."""
BY_MAP, BY_COLUMNS, NO_STRATA = "classes of the map", "columns of the reference", "none"


class PolygonsOnMap(NamedTuple):
    """Polygons and what the map has in them."""

    map_class: Numbers
    """(N,), class number that most of its pixels have; OUTSIDE or NODATA where none has a class."""
    hectares: Floats
    """(N,), of the part of the polygon that has a class on the map."""
    rows: Numbers
    """(N,), of the pixel that holds a point inside the polygon."""
    cols: Numbers


def polygons_on_map(mapped: ClassMap, polygons: "GeoDataFrame") -> PolygonsOnMap:
    """Return the majority class of the map in each polygon.

    The pixels of a polygon are those whose centre is inside; one that has none is the pixel of a point inside it. Of
    classes with equally many pixels the first in the legend counts.

    Args:
        polygons: in the CRS of the map.
    """
    rows, cols = pixel_of_points(mapped.grid, polygons.set_geometry(polygons.geometry.representative_point()))
    counted, numbers = pixels_inside(mapped, polygons), np.full(len(polygons), NODATA)
    small = counted.pixels == 0
    numbers[small] = mapped.sample(rows[small], cols[small])
    return majorities(counted, PixelsOfPoints(rows, cols, numbers))


class PixelsInside(NamedTuple):
    """The pixels of a map inside each polygon."""

    counts: Numbers
    """(N, classes), of each class."""
    pixels: Numbers
    """(N,), with a class or without."""
    hectares: Floats
    """(N,), of the part of the polygon that is on the raster."""
    is_outside: NDArray[np.bool_]
    """(N,), whether nothing of it is."""


def majorities(counted: PixelsInside, points: PixelsOfPoints) -> PolygonsOnMap:
    """Return the class of most pixels of each polygon; of one without a pixel, that of a point inside it."""
    classed, small = counted.counts.sum(axis=1), counted.pixels == 0
    map_class = np.where(classed > 0, counted.counts.argmax(axis=1), np.where(small, points.numbers, NODATA))
    # a polygon over the border of two zones has pixels of both
    share = np.where(small, map_class >= 0, np.minimum(classed / np.maximum(counted.pixels, 1), 1))
    map_class[counted.is_outside] = OUTSIDE
    return PolygonsOnMap(map_class, counted.hectares * share, points.rows, points.cols)


def pixels_inside(mapped: ClassMap, polygons: "GeoDataFrame") -> PixelsInside:
    """Count the pixels of a map whose centre is inside each polygon.

    Args:
        polygons: in the CRS of the map.
    """
    counts = np.zeros((len(polygons), len(mapped.legend)), np.int64)
    all_pixels = np.zeros(len(polygons), np.int64)
    parts = shapely.intersection(polygons.geometry.to_numpy(), shapely.box(*mapped.grid.bounds))
    parts[shapely.area(parts) == 0] = shapely.Polygon()  # what only touches the map's border is a line or a point
    with open_classified(mapped.path) as source:
        for number, part in enumerate(parts):
            for window in _windows_of(mapped.grid, part):
                inside = features.geometry_mask(
                    [part],
                    (window.height, window.width),
                    mapped.grid.window(window).transform,
                    invert=True,
                    all_touched=False,
                )
                classes = mapped.numbers(read_window(source, window))[inside]
                all_pixels[number] += classes.size
                counts[number] += np.bincount(classes[classes >= 0], minlength=counts.shape[1])
    return PixelsInside(counts, all_pixels, _hectares(parts, mapped.grid), np.asarray(shapely.is_empty(parts)))


def _windows_of(grid: Grid, part: BaseGeometry) -> list[Window]:
    """Windows of at most about 4 million pixels that cover the pixels around a shape on the grid; none of nothing."""
    if part.is_empty:
        return []
    west, south, east, north = part.bounds
    left, right = ((x - grid.transform.c) / grid.transform.a for x in (west, east))
    top, bottom = ((y - grid.transform.f) / grid.transform.e for y in (north, south))
    row, col = max(0, int(top)), max(0, int(left))
    end, edge = min(grid.shape[0], int(bottom) + 1), min(grid.shape[1], int(right) + 1)
    height = max(1, MAX_PIXELS_PER_READ // max(1, edge - col))
    if edge <= col:
        return []
    return [Window(first, col, min(height, end - first), edge - col) for first in range(row, end, height)]


def _hectares(shapes: NDArray[np.object_], grid: Grid) -> Floats:
    """Geodesic hectares of each shape, in the grid's CRS; 0 of empty ones."""
    crs = grid.crs.to_wkt()
    return np.array(
        [0.0 if one.is_empty else geodesic_hectares(reproject(one, crs, LONLAT)) for one in shapes], np.float64
    )


def overlap_notes(polygons: "GeoDataFrame") -> list[str]:
    """Say how many polygons overlap others: their ground counts twice, and they are not independent."""
    count = int(overlapping(polygons).sum())
    if not count:
        return []
    return [
        f"{count} of {len(polygons)} reference polygons overlap others; their ground counts twice and they count as "
        "independent, which makes intervals too narrow"
    ]


@dataclass(frozen=True)
class PolygonUnits(CombinedStrata):
    """Polygons drawn at random within strata: a `agrifm.assess.probability_sample.ProbabilitySample`.

    A stratum's hectares are known and divided among its polygons by their size: a separate ratio estimator of the share
    of a stratum's ground (Cochran 1977, "Sampling Techniques", section 6.10), whose error is that of unequal clusters
    of ground (section 9A.1). There is no finite population correction, because nobody states how many there are.
    """

    stratum: Numbers
    """(N,), number of the stratum, 0..S-1."""
    size: Floats
    """(S,), hectares of each stratum."""
    area: Floats
    """(N,), hectares of each polygon."""
    strata: str
    """What the strata are: one of BY_MAP, BY_COLUMNS, NO_STRATA."""

    @property
    def points(self) -> Numbers:
        """(S,), polygons of each stratum."""
        return np.bincount(self.stratum, minlength=len(self.size))

    @property
    def hectares(self) -> float:
        """The area of all strata."""
        return float(self.size.sum())

    @property
    def weights(self) -> Floats:
        """(N,), hectares that each polygon stands for."""
        return np.asarray(self.size[self.stratum] * self.area / self._of_strata(self.area)[self.stratum])

    def degrees(self, concerned: NDArray[np.bool_]) -> float:
        """Return `independent` polygons less their strata, at least 1."""
        return max(float(self.independent(concerned) - len(np.unique(self.stratum[concerned]))), 1.0)

    def variances(self, residual: Floats, counted: Floats) -> tuple[float, float]:
        """Return the variance of a weighted sum, and a cautious one.

        In each stratum it is at least that of polygons which all agree, of which one that does not may have been
        missed.
        """
        variance, smooth = self._of_means(residual)
        sizes = self.area * np.abs(counted)
        sums, squares = (np.bincount(self.stratum, part, len(self.size)) for part in (sizes, sizes**2))
        like = np.divide(sums**2, squares, out=np.zeros_like(sums), where=squares > 0)
        unseen = squares / self._of_strata(self.area) ** 2 * unseen_variance(like)
        return float(self.size**2 @ variance), float(self.size**2 @ np.maximum(smooth, unseen))

    def smooth_variance(self, residual: Floats) -> float:
        """Return the variance of a weighted sum in which few polygons that are wrong do not decide alone."""
        return float(self.size**2 @ self._of_means(residual)[1])

    def share_interval(self, y: Floats) -> tuple[float, float] | None:
        """Return the interval of a share of the area, from those of the strata (`agrifm.assess.intervals`).

        A stratum without any polygon that is wrong extends one end only.
        """
        if len(self.size) < MIN_STRATA:
            return None
        area = self._of_strata(self.area)
        share = np.clip(self._of_strata(self.area * y) / area, 0, 1)
        kish = area**2 / self._of_strata(self.area**2)
        spread = share * (1 - share)
        smooth = student_factor(np.maximum(kish - 1, 1)) ** 2 * self._of_means(y)[1]
        effective = np.divide(spread, smooth, out=kish.copy(), where=(smooth > 0) & (spread > 0))
        low, high = sum_interval(self.size / self.hectares, effective_shares(share, effective, kish))
        return max(low, 0.0), min(high, 1.0)

    def _of_means(self, values: Floats) -> tuple[Floats, Floats]:
        """Variances of the strata's area-weighted means of values (N,): the estimated ones, and smooth ones, (S,).

        The estimate is too small where a large polygon that is wrong was missed, and too large where one was met. The
        other knows it less than the sizes of polygons allow: it is that of errors that have nothing to do with size.
        The smooth one is between them, as the mean of a scaled inverse chi-squared distribution is between an estimate
        and what was known (Gelman et al. 2013, "Bayesian Data Analysis", section 2.6), of which the latter counts as
        `PRIOR_DEGREES`. The estimate has those of a mean of so many squared sizes as polygons differ from the rest
        (Satterthwaite 1946, "An approximate distribution of estimates of variance components", Biometrics Bulletin 2,
        110-114).
        """
        count, area = self.points, self._of_strata(self.area)
        relative = self.area * (count / area)[self.stratum]
        apart = values - (self._of_strata(self.area * values) / area)[self.stratum]
        variance = within_variances(relative * apart, self.stratum, count) / np.maximum(count, 1)
        squares = self._of_strata(self.area**2)
        alike = self._of_strata(self.area * apart**2) / area * squares / area**2
        uneven = np.maximum(count * self._of_strata(self.area**4) / squares**2 - 1, 0)
        fourth = self._of_strata(apart**4)
        deciding = np.divide(self._of_strata(apart**2) ** 2, fourth, out=np.zeros_like(fourth), where=fourth > ROUNDING)
        known = PRIOR_DEGREES * uneven
        weight = np.divide(known, known + 2 * deciding, out=np.ones_like(known), where=known + 2 * deciding > 0)
        return variance, weight * alike + (1 - weight) * variance

    def independent(self, concerned: NDArray[np.bool_]) -> int:
        """Return the number of polygons of one size that would say as much (Kish 1965, section 11.7)."""
        area = self.area[concerned]
        return int(area.sum() ** 2 / (area @ area)) if area.size else 0

    def _of_strata(self, values: Floats) -> Floats:
        """Sums over the polygons of each stratum, (S,); 1 for a stratum without any."""
        sums = np.bincount(self.stratum, values, len(self.size))
        return np.where(self.points > 0, sums, 1.0)


def polygon_units(
    stated: ProbabilitySample | None,
    method: str | None,
    map_class: Numbers,
    map_hectares: Floats,
    names: tuple[str, ...],
    area: Floats,
) -> PolygonUnits:
    """Return polygons with the design that drew them.

    Args:
        stated: strata that the file states, or a simple random sample; None = the classes of the map.
        method: by which they were drawn, as the file or the user states it.
        map_class: (N,), majority class of the map.
        map_hectares: of each class.
        names: of the classes, for messages.
        area: (N,), hectares of each polygon on the map.

    Raises:
        AssessmentError: they were drawn in clusters or two phases, or a map class has fewer than two polygons.
    """
    if method in ("cluster", "two-phase"):
        raise AssessmentError(
            f"assessing with polygons: their file says that they are a {method} sample, and only points have that "
            "design; give the points of that design, or correct the column 'sampling' to simple or stratified",
            method=method,
        )
    if isinstance(stated, StratifiedPoints):
        kind = BY_COLUMNS if len(stated.size) > 1 else NO_STRATA
        return PolygonUnits(stated.stratum, stated.size, area, kind)
    if method in ("simple", "systematic"):
        return PolygonUnits(np.zeros(len(area), np.int64), np.array([map_hectares.sum()]), area, NO_STRATA)
    stratified_points(map_class, map_hectares, names=names)
    return PolygonUnits(np.asarray(map_class, np.int64), map_hectares, area, BY_MAP)
