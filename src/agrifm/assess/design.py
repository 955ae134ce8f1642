"""Reference points for a map, drawn at random within each map class, so that accuracy and areas can be estimated.

The rule of allocation: a class gets points in proportion to its mapped area, but at least
m = min(50, n / (2 x number of classes)), never fewer than 2 and never more than it has pixels. Olofsson et al. 2014
(section 5.1) advise so: a fixed number in rare classes, the rest in proportion.
"""

from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.class_map import ClassMap, open_classified, read_map, read_window
from agrifm.assess.estimators import MIN_POINTS
from agrifm.assess.strata import DRAWN_IN, HECTARES
from agrifm.errors import AssessmentError, OutputError
from agrifm.files import AnyPath, as_path, write_geopackage
from agrifm.grid import Window
from agrifm.outputs import writing_file
from agrifm.vectors import read_vector

COLUMNS = ("id", DRAWN_IN, "map_name", "label")
"""Columns of the file of points; `label` is empty and is filled in after looking at the ground. One more has the
hectares of the stratum, so that another map can be assessed with the same points."""
RARE_CLASS_POINTS = 50
"""Points of a rare class, if there are enough in all."""


def draw_points(map_path: AnyPath, n: int, seed: int, out: AnyPath) -> dict[str, int]:
    """Draw n pixels of a map, stratified by its classes, and write their centres as a GeoPackage to be labelled.

    Within a class every hectare has the same probability (so does every pixel, except in degrees), no pixel is drawn
    twice, and nodata is never drawn. The order of the points is random too. The same map, n and seed give the
    same points.

    Args:
        out: a .gpkg file, replaced only if no label in it has been filled in.

    Returns:
        Number of points per class code.

    Raises:
        AssessmentError: the map cannot be read, or n is less than two per class or more than there are pixels.
        OutputError: `out` contains labels, or is not a file of points drawn by this function.
    """
    map_path = as_path(map_path)
    out = as_path(out)
    doing = f"writing reference points to {out}"
    if out.suffix.lower() != ".gpkg":
        raise OutputError(f"{doing}: points are written as a GeoPackage; choose a name that ends in .gpkg", path=out)
    with writing_file(out, doing, _is_unlabelled):
        return _draw_points(map_path, n, seed, out)


def _draw_points(map_path: Path, n: int, seed: int, out: Path) -> dict[str, int]:
    mapped = read_map(map_path)
    present = np.flatnonzero(mapped.pixels)
    points_per_class = allocate(n, mapped.hectares()[present], mapped.pixels[present])
    generator = np.random.default_rng(seed)
    weights = mapped.grid.pixel_hectares()
    drawn = [
        (class_number, row, rank)
        for class_number, points in zip(present, points_per_class, strict=True)
        for row, rank in _draw_class(generator, mapped.rows[class_number], weights, int(points))
    ]
    # They were drawn class by class.
    order = generator.permutation(len(drawn))
    _write(mapped, _columns(mapped, [drawn[i] for i in order]), out)
    return {mapped.legend.codes[i]: int(points) for i, points in zip(present, points_per_class, strict=True)}


def allocate(n: int, hectares: NDArray[np.float64], pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return points per class, summing to n: in proportion to area, within the bounds given at the top of this module.

    Args:
        n: points in all.
        hectares, pixels: (class,), mapped area and number of pixels.

    Raises:
        AssessmentError: n is less than two per class, or more than there are pixels.
    """
    classes = len(pixels)
    if n < MIN_POINTS * classes or n > pixels.sum():
        raise AssessmentError(
            f"drawing {n} reference points: the map has {classes} classes and {pixels.sum():,} pixels; choose at least "
            f"{MIN_POINTS * classes} points (two per class, better 50) and at most one per pixel",
            n=n,
            classes=classes,
            pixels=int(pixels.sum()),
        )
    low = np.minimum(max(MIN_POINTS, min(RARE_CLASS_POINTS, n // (2 * classes))), pixels).astype(float)
    # The upper end is so dense that even the smallest class gets all its pixels.
    few, many = 0.0, float(n) * pixels.sum() / hectares[hectares > 0].min() + n
    for _ in range(200):  # bisect the points per hectare at which the bounded numbers sum to n
        density = (few + many) / 2
        if np.clip(density * hectares, low, pixels).sum() < n:
            few = density
        else:
            many = density
    # Whole points: round down, then give what is left to the largest remainders.
    exact = np.clip(many * hectares, low, pixels)
    # A rounding error just below a whole number must not cost a point.
    whole = np.floor(exact + 1e-9).astype(np.int64)
    rest = np.argsort(whole - exact, kind="stable")[: n - whole.sum()]
    whole[rest] += 1
    return np.asarray(whole)


def _draw_class(
    generator: np.random.Generator, counts: NDArray[np.int64], weights: NDArray[np.float64], points: int
) -> list[tuple[int, int]]:
    """Draw different pixels of one class, as (row, rank among the class's pixels of that row).

    Args:
        counts: (row,), pixels of the class.
        weights: (row,), hectares of one pixel.
    """
    if 2 * points > counts.sum():  # drawing again and again would take long; list every pixel instead
        row = np.repeat(np.arange(counts.size), counts)
        rank = np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts)
        chosen = generator.choice(row.size, points, replace=False, p=weights[row] / weights[row].sum())
        return list(zip(row[chosen].tolist(), rank[chosen].tolist(), strict=True))
    probability = counts * weights / (counts @ weights)
    drawn: dict[tuple[int, int], None] = {}  # keeps the order, drops pixels that are drawn twice
    while len(drawn) < points:
        # First a row, in proportion to its hectares of the class, then one of its pixels.
        rows = generator.choice(counts.size, points, p=probability)
        ranks = (generator.random(points) * counts[rows]).astype(np.int64)
        for pixel in zip(rows.tolist(), ranks.tolist(), strict=True):
            if len(drawn) < points:
                drawn[pixel] = None
    return list(drawn)


def _columns(mapped: ClassMap, drawn: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Convert (class, row, rank) to (class, row, column); each row is read once."""
    columns: dict[tuple[int, int, int], int] = {}
    with open_classified(mapped.path) as source:
        for row, points in groupby(sorted(drawn, key=itemgetter(1)), itemgetter(1)):
            pixels = read_window(source, Window(row, 0, 1, mapped.grid.shape[1]))[0]
            for class_number, _, rank in points:
                same = np.flatnonzero((pixels == mapped.values[class_number]).filled(False))
                columns[class_number, row, rank] = int(same[rank])
    return [(class_number, row, columns[class_number, row, rank]) for class_number, row, rank in drawn]


def _write(mapped: ClassMap, points: list[tuple[int, int, int]], out: Path) -> None:
    import geopandas as gpd
    import pandas as pd

    classes = [mapped.legend.classes[number] for number, _, _ in points]
    frame = gpd.GeoDataFrame(
        {
            "id": np.arange(1, len(points) + 1),
            DRAWN_IN: [entry.code for entry in classes],
            "map_name": [entry.name for entry in classes],
            HECTARES: mapped.hectares()[[number for number, _, _ in points]],
            "label": pd.Series([None] * len(points), dtype="string"),
        },
        geometry=gpd.points_from_xy(
            mapped.grid.x[[col for _, _, col in points]], mapped.grid.y[[row for _, row, _ in points]]
        ),
        crs=str(mapped.grid.crs),
    )
    write_geopackage(out, frame)


def _is_unlabelled(points: Path) -> bool:
    """Whether a file is one of points that `draw_points` drew; labelled ones are refused."""
    try:
        frame = read_vector(points, f"reading the points {points}", AssessmentError).frame
    except AssessmentError:
        return False
    if not set(COLUMNS) <= set(frame.columns):
        return False
    filled = int((frame["label"].fillna("").astype(str).str.strip() != "").sum())
    if filled:
        raise OutputError(
            f"writing reference points to {points}: {filled} of its {len(frame)} points are labelled, and would be "
            "lost; choose another name",
            path=points,
            labelled=filled,
        )
    return True
