"""Reference points for a map, drawn at random, so that accuracy and areas can be estimated from them.

Stratified by the classes of the map by default, or by other strata; simple random; systematic
(`agrifm.assess.systematic_design`); clusters (`agrifm.assess.cluster_design`); or a second phase
(`agrifm.assess.two_phase_design`). How many points each stratum gets is decided in `agrifm.assess.allocation`, what a
stratum is in `agrifm.assess.sampling_frame`.

Shape letters: S strata, H rows of the raster.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.allocation import allocate, describe_plan, expected_accuracies, sample_size
from agrifm.assess.class_map import ClassMap, read_map
from agrifm.assess.cluster_design import draw_clusters
from agrifm.assess.drawn_points import DrawnPoint, DrawnPoints, is_unlabelled, read_drawn, write_drawn
from agrifm.assess.sample_columns import CELL, CLUSTER, CLUSTER_HECTARES, CLUSTER_PIXELS, CLUSTERS
from agrifm.assess.sampling_design import DESIGN, Design
from agrifm.assess.sampling_frame import (
    SamplingFrame,
    frame_of_map,
    frame_of_polygons,
    frame_of_whole,
    frame_outside,
    frame_with_edges,
    read_polygons,
)
from agrifm.assess.systematic_design import draw_cells
from agrifm.assess.two_phase_design import read_first_phase, second_phase, write_second_phase
from agrifm.codes import listed
from agrifm.errors import AssessmentError, OutputError
from agrifm.files import AnyPath, as_path
from agrifm.grid import Window
from agrifm.outputs import writing_file
from agrifm.vectors import read_vector

SHORT = 512
"""Pixels of which the places are listed at once."""


class _Pixel(NamedTuple):
    """A drawn pixel, by its place among those of its stratum in its row."""

    stratum: int
    row: int
    rank: int


def draw_points(map_path: AnyPath, n: int | None, seed: int, out: AnyPath, design: Design = DESIGN) -> dict[str, int]:
    """Draw pixels of a map and write their centres as a GeoPackage to be labelled.

    Within a stratum every hectare has the same probability (so does every pixel, except in degrees), no pixel is drawn
    twice, and nodata is never drawn. The order of the points is random too. The same map, n and seed give the
    same points.

    Args:
        n: points to draw; None = as many as `design.error` needs. A systematic sample has an even number.
            Of a design of clusters, how many clusters.
        out: a .gpkg file, replaced only if no label in it has been filled in.

    Returns:
        Number of points per code of the strata.

    Raises:
        AssessmentError: the map or the strata cannot be read, n is less than two per stratum or more than there are
            pixels, or the design contradicts itself.
        OutputError: `out` contains labels, or is not a file of points drawn by this function.
    """
    map_path, out = as_path(map_path), as_path(out)
    doing = f"writing reference points to {out}"
    if out.suffix.lower() != ".gpkg":
        raise OutputError(f"{doing}: points are written as a GeoPackage; choose a name that ends in .gpkg", path=out)
    with writing_file(out, doing, is_unlabelled):
        frame = open_frame(map_path, design)
        if design.method == "cluster":
            return _write_clusters(np.random.default_rng(seed), frame, _stated(n), design, out)
        if design.method == "two-phase":
            return _write_second_phase(np.random.default_rng(seed), frame, _stated(n), design, out)
        points = _numbers(frame, n, design)
        earlier = read_drawn(design.earlier, frame) if design.earlier else DrawnPoints()
        generator = np.random.default_rng([seed, len(earlier.pixels)] if earlier.pixels else seed)
        if design.method == "systematic":
            cells = draw_cells(generator, frame, int(points.sum()))
            drawn = list(cells.points)
            write_drawn(frame, drawn, out, earlier, design.method, {CELL: cells.cell})
        else:
            drawn = _draw(generator, frame, points, earlier)
            write_drawn(frame, drawn, out, earlier, design.method)
    strata = [point.stratum for point in drawn]
    return {code: strata.count(number) for number, code in enumerate(frame.codes)}


def plan(map_path: AnyPath, n: int | None, design: Design = DESIGN) -> list[str]:
    """Describe in sentences what `draw_points` would draw: points per stratum, the expected error, the cost."""
    frame = open_frame(as_path(map_path), design)
    if design.method == "cluster":
        assert design.side is not None
        per = design.per_cluster or design.side**2
        lines = [f"{_stated(n):,} clusters of {design.side} x {design.side} pixels with at most {per:,} points in each"]
        return lines if design.cost is None else [*lines, f"cost at most {_stated(n) * per * design.cost:,.2f}"]
    if design.method == "two-phase":
        assert design.first is not None
        first = read_first_phase(design.first, frame)
        shares = first.sizes / first.sizes.sum() * first.hectares
        numbers = second_phase(first, _stated(n), design)
        return describe_plan(numbers, shares, expected_accuracies(design.expected, first.names), design.cost)
    points = dict(zip(frame.codes, _numbers(frame, n, design).tolist(), strict=True))
    return describe_plan(points, frame.hectares(), expected_accuracies(design.expected, frame.codes), design.cost)


def open_frame(map_path: Path, design: Design) -> SamplingFrame:
    """Return the sampling frame of a design.

    Raises:
        AssessmentError: a file cannot be read, or the design contradicts itself.
    """
    _require_consistent(map_path, design)
    if sum((design.method != "stratified", design.strata is not None, design.edge is not None)) > 1:
        raise AssessmentError(
            f"drawing points for {map_path}: a {design.method} sample, strata and a stratum along edges are stated "
            "together; choose one of them",
            method=design.method,
        )
    if design.method in ("systematic", "cluster", "two-phase") and design.earlier is not None:
        raise AssessmentError(
            f"drawing points for {map_path}: a {design.method} sample is drawn at once, and cannot be added to earlier "
            "points; draw all points at once, or use another method",
            method=design.method,
        )
    by_raster = design.strata is not None and _is_raster(design.strata)
    mapped = read_map(design.strata if by_raster and design.strata else map_path)
    frame = _frame_of(mapped, design, by_raster)
    if design.outside is None:
        return frame
    about = f"reading the polygons {design.outside}, in which no point is drawn"
    return frame_outside(frame, mapped, read_vector(design.outside, about, AssessmentError, ["polygon"]).frame)


def _frame_of(mapped: ClassMap, design: Design, by_raster: bool) -> SamplingFrame:
    """The sampling frame before any place is left out."""
    if by_raster:
        return replace(frame_of_map(mapped), is_map=False)
    if design.method != "stratified":
        return frame_of_whole(mapped)
    if design.edge is not None:
        return frame_with_edges(mapped, design.edge)
    if design.strata is None:
        return frame_of_map(mapped)
    polygons = read_polygons(design.strata, design.column, f"reading the strata {design.strata}")
    return frame_of_polygons(mapped, polygons, design.column)


def _require_consistent(map_path: Path, design: Design) -> None:
    """Refuse options of another method, and those that a method lacks."""
    wanted = {"cluster": ("side",), "two-phase": ("first",)}.get(design.method, ())
    allowed = {"cluster": ("side", "per_cluster"), "two-phase": ("first",)}.get(design.method, ())
    stated = [name for name in ("side", "per_cluster", "first") if getattr(design, name) is not None]
    lacking = [name for name in wanted if name not in stated]
    foreign = [name for name in stated if name not in allowed]
    if lacking or foreign:
        raise AssessmentError(
            f"drawing points for {map_path}: a {design.method} sample {'needs' if lacking else 'has no'} "
            f"{listed(lacking or foreign)}; clusters have a side and points per cluster, and two phases a first one",
            method=design.method,
            lacking=lacking,
            foreign=foreign,
        )


def _stated(n: int | None) -> int:
    """The number, where it cannot follow from a wished error."""
    if n is None:
        raise AssessmentError(
            "drawing clusters, or a second phase: the error depends on how alike the points are, so a wished standard "
            "error does not set their number; give it",
            n=n,
        )
    return n


def _write_clusters(
    generator: np.random.Generator, frame: SamplingFrame, n: int, design: Design, out: Path
) -> dict[str, int]:
    assert design.side is not None
    drawn = draw_clusters(generator, frame, n, design.side, design.per_cluster)
    columns = {
        CLUSTER: drawn.cluster,
        CLUSTER_PIXELS: drawn.pixels,
        CLUSTER_HECTARES: drawn.hectares,
        CLUSTERS: np.full(len(drawn.points), drawn.clusters),
    }
    write_drawn(frame, drawn.points, out, DrawnPoints(), design.method, columns)
    return {frame.codes[0]: len(drawn.points)}


def _write_second_phase(
    generator: np.random.Generator, frame: SamplingFrame, n: int, design: Design, out: Path
) -> dict[str, int]:
    assert design.first is not None
    first = read_first_phase(design.first, frame)
    numbers = second_phase(first, n, design)
    write_second_phase(generator, first, numbers, out)
    return numbers


def _is_raster(path: Path) -> bool:
    return path.suffix.lower() in {".tif", ".tiff", ".vrt", ".img", ".jp2"}


def _numbers(frame: SamplingFrame, n: int | None, design: Design) -> NDArray[np.int64]:
    """Points of each stratum, (S,)."""
    hectares, pixels = frame.hectares(), frame.pixels
    accuracies = expected_accuracies(design.expected, frame.codes)
    if (n is None) == (design.error is None):
        raise AssessmentError("drawing reference points: give a number of points, or a wished standard error", n=n)
    if n is None:
        assert design.error is not None
        n = sample_size(design.error, hectares, pixels, design.allocation, accuracies, design.least)
    return allocate(n, hectares, pixels, design.allocation, accuracies, design.least)


def _draw(
    generator: np.random.Generator, frame: SamplingFrame, points: NDArray[np.int64], earlier: DrawnPoints
) -> list[DrawnPoint]:
    """Draw pixels that are not among the earlier ones, in random order."""
    weights = frame.grid.pixel_hectares()
    taken = _ranks(frame, earlier.pixels)
    drawn = [
        _Pixel(stratum, row, rank)
        for stratum, count in enumerate(points)
        for row, rank in _draw_stratum(
            generator,
            frame.rows[stratum],
            weights,
            int(count),
            [(p.row, p.rank) for p in taken if p.stratum == stratum],
        )
    ]
    # They were drawn stratum by stratum.
    return _with_columns(frame, [drawn[i] for i in generator.permutation(len(drawn))])


def _draw_stratum(
    generator: np.random.Generator,
    counts: NDArray[np.int64],
    weights: NDArray[np.float64],
    points: int,
    taken: Sequence[tuple[int, int]],
) -> list[tuple[int, int]]:
    """Draw different pixels of one stratum, as (row, rank among the stratum's pixels of that row).

    Args:
        counts: (H,), pixels of the stratum.
        weights: (H,), hectares of one pixel.
        taken: pixels that are not drawn again.

    Raises:
        AssessmentError: there are too few pixels.
    """
    free = int(counts.sum()) - len(taken)
    if points > free:
        raise AssessmentError(
            f"drawing {points} more reference points: a stratum has {free} pixels that are not points yet; draw fewer",
            points=points,
            pixels=free,
        )
    if 2 * points > free:  # drawing again and again would take long; list every pixel instead
        row = np.repeat(np.arange(counts.size), counts)
        rank = np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts)
        chance = weights[row]
        for pixel in taken:
            chance[(row == pixel[0]) & (rank == pixel[1])] = 0
        if not points:
            return []
        chosen = generator.choice(row.size, points, replace=False, p=chance / chance.sum())
        return list(zip(row[chosen].tolist(), rank[chosen].tolist(), strict=True))
    probability = counts * weights / (counts @ weights)
    drawn: dict[tuple[int, int], None] = dict.fromkeys(taken)  # keeps the order, drops pixels that are drawn twice
    while len(drawn) < points + len(taken):
        # First a row, in proportion to its hectares of the stratum, then one of its pixels.
        rows = generator.choice(counts.size, points, p=probability)
        ranks = (generator.random(points) * counts[rows]).astype(np.int64)
        for pixel in zip(rows.tolist(), ranks.tolist(), strict=True):
            if len(drawn) < points + len(taken):
                drawn[pixel] = None
    return list(drawn)[len(taken) :]


def _with_columns(frame: SamplingFrame, drawn: list[_Pixel]) -> list[DrawnPoint]:
    """Find the column of each pixel; each row is read once."""
    columns: dict[_Pixel, int] = {}
    with frame.open() as read:
        for row, points in groupby(sorted(drawn, key=attrgetter("row")), attrgetter("row")):
            strata = read(Window(row, 0, 1, frame.grid.shape[1]))[0]
            for point in points:
                columns[point] = _place_of_rank(strata == point.stratum, point.rank)
    return [DrawnPoint(point.stratum, point.row, columns[point]) for point in drawn]


def _place_of_rank(inside: NDArray[np.bool_], rank: int) -> int:
    """Where the true value is that has `rank` true ones before it; counting halves is faster than listing places."""
    first, last = 0, inside.size
    while last - first > SHORT:
        middle = (first + last) // 2
        count = int(np.count_nonzero(inside[first:middle]))
        if rank < count:
            last = middle
        else:
            first, rank = middle, rank - count
    return first + int(np.flatnonzero(inside[first:last])[rank])


def _ranks(frame: SamplingFrame, points: Sequence[DrawnPoint]) -> list[_Pixel]:
    """Find the rank of each pixel among those of its stratum in its row."""
    found = []
    with frame.open() as read:
        for row, of_row in groupby(sorted(points, key=attrgetter("row")), attrgetter("row")):
            strata = read(Window(row, 0, 1, frame.grid.shape[1]))[0]
            found += [_Pixel(point.stratum, row, int((strata[: point.col] == point.stratum).sum())) for point in of_row]
    return found
