"""Leaks between training and test of a series table: what is in both, or too near to it.

Distances are of the sphere, in metres. Shape letters: P places.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from geopandas import points_from_xy
from numpy.typing import NDArray
from scipy.spatial import KDTree

from agrifm.errors import LabelError
from agrifm.grid import LONLAT, Grid
from agrifm.record import METRES_PER_DEGREE
from agrifm.samples.folds import Indices
from agrifm.samples.table import SeriesTable

EARTH_RADIUS = 6_371_008.8
"""Mean radius (IUGG), metres."""
SAME_PIXEL = 0.99
"""Of the side of a pixel: nearer places share one. Neighbouring pixels of a grid are one side apart, which may be 0.5 %
less on the sphere, whose radius is the mean one, than on the ellipsoid."""
NAMED = 3
"""Places named in a sentence on leaks."""

LeakKind = Literal["place", "series", "block", "pixel", "neighbour"]
KINDS: dict[LeakKind, str] = {
    "place": "the name of a test place",
    "series": "the series of a test place",
    "block": "the block of a test place",
    "pixel": "the pixel of a test place",
    "neighbour": "a test place nearer than the stated distance",
}
"""What a training place may share with the test."""


@dataclass(frozen=True)
class Leaks:
    """Training places that share something with a test place."""

    found: dict[LeakKind, Indices]
    """Indices of training places by kind; a place may be in several."""
    unplaced: int
    """Training and test places without coordinates, which no distance could be checked for."""

    @property
    def places(self) -> Indices:
        """Indices of all of them, ascending."""
        return np.unique(np.concatenate([np.zeros(0, np.intp), *self.found.values()])).astype(np.intp)

    @property
    def counts(self) -> dict[str, int]:
        """Number of training places by kind, zeros included."""
        return {kind: len(self.found.get(kind, ())) for kind in KINDS}


def find_leaks(
    table: SeriesTable, training: Indices, test: Indices, distance: float, digests: NDArray[np.str_] | None = None
) -> Leaks:
    """Find the training places that share a name, series, block or pixel with a test place, or are near one.

    Args:
        distance: metres; training places nearer than this to a test place are neighbours.
        digests: (P,), `series_digests` of the table, if they are known.
    """
    found: dict[LeakKind, Indices] = {}
    digests = series_digests(table) if digests is None else digests
    for kind, keys in _keys(table, digests):
        found[kind] = training[np.isin(keys[training], keys[test])]
    placed = np.isfinite(table.lon) & np.isfinite(table.lat)
    nearest = np.full(len(table), np.inf)
    here, there = training[placed[training]], test[placed[test]]
    if len(here) and len(there):
        position = sphere_positions(table.lon, table.lat)
        chord, _ = KDTree(position[there]).query(position[here])
        nearest[here] = 2 * EARTH_RADIUS * np.arcsin(np.minimum(chord / 2, 1))
    pixel = min((_metres(table, series.input.resolution) for series in table.series.values()), default=0.0)
    found["pixel"] = training[nearest[training] < SAME_PIXEL * pixel]
    found["neighbour"] = training[nearest[training] < distance]
    both = np.concatenate([training, test])
    return Leaks({kind: places for kind, places in found.items() if len(places)}, int((~placed[both]).sum()))


def require_no_leaks(table: SeriesTable, leaks: Leaks, fold: int, distance: float) -> None:
    """Refuse a division whose training shares something with its test.

    Raises:
        LabelError: there are leaks; the facts have the counts by kind.
    """
    if not len(leaks.places):
        return
    kinds = ", ".join(f"{len(places)} have {KINDS[kind]}" for kind, places in leaks.found.items())
    names = ", ".join(place_name(table, index) for index in leaks.places[:NAMED])
    raise LabelError(
        f"dividing a series table: of the training places of fold {fold}, {len(leaks.places)} are not apart from its "
        f'test at {distance:g} m ({kinds}), such as {names}; set `leaks` to "remove" to train without them, or use '
        "larger blocks or a smaller `distance`",
        fold=fold,
        **leaks.counts,
    )


def near_other_folds(
    table: SeriesTable, place_fold: NDArray[np.int8], grid: Grid, fold: NDArray[np.uint8], distance: float
) -> NDArray[np.bool_]:
    """Return the places (P,) that are nearer than `distance` to ground of another fold of a cube.

    Args:
        place_fold: (P,), fold of each place.
        grid: of the cube.
        fold: (H, W), fold of each of its pixels.
        distance: metres. It is measured from pixel to pixel, so that no place nearer than it is missed.
    """
    placed = np.flatnonzero(np.isfinite(table.lon) & np.isfinite(table.lat))
    points = points_from_xy(table.lon[placed], table.lat[placed], crs=LONLAT).to_crs(str(grid.crs))
    with np.errstate(invalid="ignore"):
        col, row = (np.floor(axis) for axis in ~grid.transform * (points.x, points.y))
    metres = grid.resolution if grid.resolution >= 1 else grid.resolution * METRES_PER_DEGREE
    reach = int(distance / metres) + 1
    height, width = fold.shape
    # places far from the cube (or where its projection has no place) need no search
    inside = (row >= -reach) & (row < height + reach) & (col >= -reach) & (col < width + reach)
    placed, row, col = placed[inside], row[inside].astype(int), col[inside].astype(int)
    near = np.zeros(len(placed), bool)
    steps = np.arange(-reach, reach + 1)
    gap = np.maximum(np.abs(steps) - 1, 0) * metres
    for down, right in zip(*np.nonzero(np.hypot(gap[:, None], gap) < distance), strict=True):
        r, c = row + steps[down], col + steps[right]
        on_grid = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        near[on_grid] |= fold[r[on_grid], c[on_grid]] != place_fold[placed[on_grid]]
    result = np.zeros(len(table), bool)
    result[placed[near]] = True
    return result


def place_name(table: SeriesTable, index: int) -> str:
    """Return the source's name of a place, or its row."""
    return table.place[index] if table.place else f"row {index}"


def sphere_positions(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions on the unit sphere (P, 3) of degrees; a chord between two is 2 sin(angle / 2)."""
    east, north = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=1)


def _metres(table: SeriesTable, resolution: float) -> float:
    """A pixel side in metres; below 1 it is taken for degrees."""
    return resolution if resolution >= 1 else np.radians(resolution) * EARTH_RADIUS


def _keys(table: SeriesTable, digests: NDArray[np.str_]) -> Iterator[tuple[LeakKind, NDArray[np.generic]]]:
    if table.place:
        yield "place", np.array(table.place)
    yield "series", digests
    yield "block", table.block


def series_digests(table: SeriesTable) -> NDArray[np.str_]:
    """Return a text for each place (P,) that is the same where all values, dates and gaps of all sensors are."""
    import hashlib

    result = []
    for index in range(len(table)):
        digest = hashlib.blake2b(digest_size=16)
        observed = False
        for name, series in table.series.items():
            usable = series.valid[index]
            observed |= bool(usable.any())
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(series.values[index][usable]).tobytes())
            digest.update(np.ascontiguousarray(series.date[index][usable]).tobytes())
        # Places without any observation are not one series.
        result.append(digest.hexdigest() if observed else f"nothing at {index}")
    return np.array(result)
