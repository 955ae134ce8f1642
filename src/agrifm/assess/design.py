"""Reference points for a map, drawn at random, so that accuracy and areas can be estimated from them.

Stratified by the classes of the map by default, or by other strata; simple random; systematic
(`agrifm.assess.systematic_design`); clusters (`agrifm.assess.cluster_design`); or a second phase
(`agrifm.assess.two_phase_design`). How many points each stratum gets is decided in `agrifm.assess.allocation`, what a
stratum is in `agrifm.assess.sampling_frame`. Maps over several UTM zones have `agrifm.assess.zoned_design`.

Shape letters: S strata, H rows of the raster.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from agrifm.assess.allocation import describe_plan, expected_accuracies, points_of_strata
from agrifm.assess.class_map import ClassMap, read_map
from agrifm.assess.cluster_design import draw_clusters
from agrifm.assess.drawn_points import DrawnPoints, is_unlabelled, read_drawn, write_drawn
from agrifm.assess.pixel_draw import draw_in_strata
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
from agrifm.assess.zoned_design import draw_over_zones, plan_over_zones
from agrifm.assess.zoned_map import zone_mosaics
from agrifm.codes import listed
from agrifm.errors import AssessmentError, OutputError
from agrifm.files import AnyPath, as_path
from agrifm.outputs import writing_file
from agrifm.vectors import read_vector


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
        if zone_mosaics(map_path):
            return draw_over_zones(map_path, n, seed, out, design)
        frame = open_frame(map_path, design)
        if design.method == "cluster":
            return _write_clusters(np.random.default_rng(seed), frame, _stated(n), design, out)
        if design.method == "two-phase":
            return _write_second_phase(np.random.default_rng(seed), frame, _stated(n), design, out)
        points = points_of_strata(frame.codes, frame.hectares(), frame.pixels, n, design)
        earlier = read_drawn(design.earlier, frame) if design.earlier else DrawnPoints()
        generator = np.random.default_rng([seed, len(earlier.pixels)] if earlier.pixels else seed)
        if design.method == "systematic":
            cells = draw_cells(generator, frame, int(points.sum()))
            drawn = list(cells.points)
            write_drawn(frame, drawn, out, earlier, design.method, {CELL: cells.cell})
        else:
            drawn = draw_in_strata(generator, frame, points, earlier.pixels)
            write_drawn(frame, drawn, out, earlier, design.method)
    strata = [point.stratum for point in drawn]
    return {code: strata.count(number) for number, code in enumerate(frame.codes)}


def plan(map_path: AnyPath, n: int | None, design: Design = DESIGN) -> list[str]:
    """Describe in sentences what `draw_points` would draw: points per stratum, the expected error, the cost."""
    map_path = as_path(map_path)
    if zone_mosaics(map_path):
        return plan_over_zones(map_path, n, design)
    frame = open_frame(map_path, design)
    if design.method == "cluster":
        assert design.side is not None
        per = design.per_cluster or design.side**2
        lines = [f"{_stated(n):,} clusters of {design.side} x {design.side} pixels with at most {per:,} points in each"]
        return lines if design.cost is None else [*lines, f"cost at most {_stated(n) * per * design.cost:,.2f}"]
    if design.method == "two-phase":
        assert design.first is not None
        first = read_first_phase(design.first, frame)
        shares = first.sizes / first.sizes.sum() * first.hectares
        of_class = second_phase(first, _stated(n), design)
        return describe_plan(of_class, shares, expected_accuracies(design.expected, first.names), design.cost)
    hectares = frame.hectares()
    numbers = points_of_strata(frame.codes, hectares, frame.pixels, n, design)
    points = dict(zip(frame.codes, numbers.tolist(), strict=True))
    return describe_plan(points, hectares, expected_accuracies(design.expected, frame.codes), design.cost)


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
