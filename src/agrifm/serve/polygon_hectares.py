"""Hectares per crop inside a polygon that a reader draws, and what they are likely to be truly.

A map errs, so its pixels are counted and, where reference points of the whole map exist, corrected: each mapped class
is divided among the true classes as the points of its stratum are. That takes the errors inside the polygon to be
those of the whole map (the synthetic estimator of small areas: Rao and Molina 2015, Small Area Estimation, section
3.2), which the answer says.

Shape letters: B bands, C classes of the map, R classes of the reference, H W rows and columns of a window.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import ceil, floor
from typing import Any, NamedTuple, Self

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from rasterio import features
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from agrifm.grid import LONLAT, Grid, Window, reproject, tiles
from agrifm.legend import Legend
from agrifm.serve.map_layers import LayerRaster, PageLayer
from agrifm.serve.refusals import TOO_LARGE, WRONG, RefusedRequestError
from agrifm.validation import Frozen

MOST_CORNERS = 2000
"""Corners of a polygon."""
MOST_PIXELS = 50_000_000
"""Pixels of the map that one request may count, a square of 70 km in pixels of 10 m."""
READ_SIDE = 2048
"""Side in pixels of what is read at once."""
CORRECTABLE = ("stratified", "simple")
"""Designs of which the points of a stratum are a random sample of it."""


class DrawnPolygon(Frozen):
    """The outline of a polygon as the page sends it."""

    outline: tuple[tuple[float, float], ...]
    """Longitude and latitude of each corner."""


class SquareInside(NamedTuple):
    """A square of a map that a polygon touches."""

    read: Callable[[Sequence[int] | None], NDArray[Any]]
    """Reads bands (B, H, W) of it, by their numbers from 1; None = all."""
    inside: NDArray[np.bool_]
    """(H, W), whether the centre of a pixel is inside."""
    hectares: NDArray[np.float64]
    """(H, W), of each pixel."""


class _Reported(BaseModel):
    """A part of report.json; its other keys are not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Design(_Reported):
    method: str
    strata: str = "classes of the map"


class _Confusion(_Reported):
    codes: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _is_square(self) -> Self:
        if any(len(row) != len(self.codes) for row in self.counts) or len(self.counts) != len(self.codes):
            raise ValueError("it is not square")
        return self


class ReportedPoints(_Reported):
    """What report.json says of its reference points."""

    probability_sample: bool
    design: _Design
    confusion: _Confusion


def drawn_polygon(body: bytes) -> Polygon:
    """The polygon of a request, in longitude and latitude.

    Raises:
        RefusedRequestError: it is not JSON of an outline, has too many corners, or crosses itself.
    """
    try:
        outline = np.array(DrawnPolygon.model_validate_json(body).outline, np.float64)
    except (ValidationError, RecursionError) as error:
        raise RefusedRequestError(WRONG, 'send {"outline": [[longitude, latitude], …]}') from error
    if not 3 <= len(outline) <= MOST_CORNERS:
        raise RefusedRequestError(WRONG, f"a polygon has 3 to {MOST_CORNERS} corners; this one has {len(outline)}")
    if np.isfinite(outline).all():  # a map that shows longitude 180 in its middle counts on beyond it
        outline[:, 0] -= 360 * np.floor((outline[:, 0].mean() + 180) / 360)
    if not np.isfinite(outline).all() or (abs(outline) > (180, 90)).any():
        raise RefusedRequestError(WRONG, "corners are longitude and latitude in degrees")
    polygon = Polygon(outline)
    if not polygon.is_valid or not polygon.area:
        raise RefusedRequestError(WRONG, "the outline crosses itself; draw it without crossings")
    return polygon


def polygon_answer(layer: PageLayer, polygon: Polygon, report: Mapping[str, Any] | None) -> dict[str, Any]:
    """Hectares inside a polygon as counted, and as `corrected` by a report.

    Raises:
        RefusedRequestError, ServeError: as of `hectares_inside`.
    """
    assert layer.legend is not None
    found = hectares_inside(layer, polygon)
    return {**found, "estimates": corrected(np.array(found["hectares"]), layer.legend, report)}


def hectares_inside(layer: PageLayer, polygon: Polygon) -> dict[str, Any]:
    """Hectares of each class (C,) whose pixels have their centre inside, and of pixels without a class.

    Raises:
        RefusedRequestError: the polygon is not on the map, or so large that counting it would take too long.
        ServeError: the map is damaged.
    """
    assert layer.legend is not None
    hectares = np.zeros(256)
    for read, inside, weights in squares_inside(layer, polygon):
        hectares += np.bincount(read((1,))[0][inside], weights[inside], 256)
    classes = hectares[: len(layer.legend)]
    return {"hectares": classes.tolist(), "without_class": float(hectares.sum() - classes.sum())}


def squares_inside(layer: PageLayer, polygon: Polygon) -> Iterator[SquareInside]:
    """Go through a polygon on the rasters of a layer, square by square.

    Raises:
        RefusedRequestError: the polygon is not on the map, or so large that counting it would take too long.
        ServeError: the map is damaged.
    """
    parts = [part for raster in layer.rasters if (part := _part(raster, polygon)) is not None]
    if not parts:
        raise RefusedRequestError(WRONG, "the polygon is not on the map")
    if sum(window.height * window.width for _, _, window in parts) > MOST_PIXELS:
        raise RefusedRequestError(TOO_LARGE, f"the polygon spans more than {MOST_PIXELS:,} pixels; draw a smaller one")
    for raster, outline, window in parts:
        for square in tiles((window.height, window.width), READ_SIDE):
            here = Window(window.row + square.row, window.col + square.col, square.height, square.width)
            grid = raster.grid.window(here)
            inside = features.rasterize([(outline, 1)], grid.shape, transform=grid.transform, dtype="uint8").astype(
                bool
            )
            if inside.any():
                hectares = np.broadcast_to(grid.pixel_hectares()[:, None], inside.shape)
                yield SquareInside(partial(raster.read_bands, here, grid.shape), inside, hectares)


def _part(raster: LayerRaster, polygon: Polygon) -> tuple[LayerRaster, BaseGeometry, Window] | None:
    """A raster with the polygon in its CRS and the pixels that it touches; of a tile, its part of the polygon."""
    shape: BaseGeometry = polygon
    if raster.area is not None:
        common = shapely.get_parts(polygon.intersection(raster.area))
        shape = shapely.union_all([part for part in common if part.geom_type == "Polygon"])
        if shape.is_empty:
            return None
    outline = reproject(shape.segmentize(0.01), LONLAT, str(raster.grid.crs))
    window = _window(raster.grid, outline)
    return None if window is None else (raster, outline, window)


def _window(grid: Grid, outline: BaseGeometry) -> Window | None:
    """The pixels of a grid that a shape in its CRS touches; None if there are none."""
    west, south, east, north = outline.bounds
    if not np.isfinite([west, south, east, north]).all():
        return None
    transform, (height, width) = grid.transform, grid.shape
    top, bottom = (north - transform.f) / transform.e, (south - transform.f) / transform.e
    left, right = (west - transform.c) / transform.a, (east - transform.c) / transform.a
    row, col = max(floor(top), 0), max(floor(left), 0)
    last_row, last_col = min(ceil(bottom), height), min(ceil(right), width)
    if row >= last_row or col >= last_col:
        return None
    return Window(row, col, last_row - row, last_col - col)


def corrected(
    hectares: NDArray[np.float64], legend: Legend, report: Mapping[str, Any] | None
) -> list[dict[str, Any]] | None:
    """Estimated hectares of each class of the legend with 95 % intervals; None where the report allows none.

    Args:
        hectares: (C,), mapped inside the polygon.
        report: content of report.json.
    """
    from agrifm.assess.intervals import stratum_shares, sum_interval  # loads scipy.stats, which is slow

    codes, counts = _points_of(report)
    if not codes or not set(legend.codes) <= set(codes):
        return None
    points = counts.sum(axis=1)
    mapped = np.array([hectares[legend.codes.index(code)] if code in legend.codes else 0.0 for code in codes])
    if (points[mapped > 0] < 2).any():  # a class of the polygon that no points tell of
        return None
    estimates = []
    for number, code in enumerate(codes):
        shares = stratum_shares(counts[:, number], points, np.zeros(len(codes), bool))
        low, high = sum_interval(mapped, shares)
        value = float(mapped @ shares.value)
        estimates.append({"code": code, "hectares": value, "low": max(low, 0.0), "high": min(high, mapped.sum())})
    return estimates


def _points_of(report: Mapping[str, Any] | None) -> tuple[list[str], NDArray[np.float64]]:
    """Codes of the classes, and points (R, R) by class of the map and of the reference; none if they are not random."""
    nothing: tuple[list[str], NDArray[np.float64]] = [], np.zeros((0, 0))
    try:
        found = ReportedPoints.model_validate(report)
    except ValidationError:
        return nothing
    codes, counts = list(found.confusion.codes), np.array(found.confusion.counts, np.float64)
    by_class = found.design.method in CORRECTABLE and "classes of the map" in found.design.strata
    return (codes, counts) if found.probability_sample and by_class else nothing
