"""The design of a reference in its columns: clusters, two phases, or strata, each with what its estimator needs."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.cluster_estimators import MIN_CLUSTERS, ClusterPoints
from agrifm.assess.point_estimators import StratifiedPoints, stratified_points
from agrifm.assess.probability_sample import ProbabilitySample
from agrifm.assess.reference_polygons import PolygonUnits
from agrifm.assess.sampling_statement import Sampling
from agrifm.assess.strata import HECTARES, STRATUM, area_notes, read_strata
from agrifm.assess.systematic_estimators import CellPoints, SystematicPoints, cell_points
from agrifm.assess.two_phase_estimators import TwoPhasePoints, two_phase_points
from agrifm.codes import read_codes
from agrifm.errors import AssessmentError

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

CLUSTER, CLUSTER_PIXELS, CLUSTER_HECTARES, CLUSTERS = "cluster", "cluster_px", "cluster_ha", "clusters"
"""Columns: number of a point's cluster, its pixels and hectares, and how many clusters could have been drawn."""
FIRST = "first_phase"
"""Column: how many points of the first phase are in the point's stratum."""
CELL = "cell"
"""Column: number of a systematic point's cell, along the line of cells."""
Floats = NDArray[np.float64]


def read_drawn_design(
    points: "GeoDataFrame",
    method: str | None,
    stated: Sampling | None,
    map_codes: NDArray[np.str_],
    map_hectares: float,
) -> tuple[ProbabilitySample | None, list[str]]:
    """Return the design that a reference states, and notes; None where its strata are the classes of this map.

    Args:
        points: the points that are used.
        method: by which they were drawn.
        stated: what the user states.
        map_codes: (N,), class code of the map at each point.
        map_hectares: mapped hectares of all classes.

    Raises:
        AssessmentError: columns are missing, or contradict themselves or each other.
    """
    if method == "cluster":
        return _clusters(points, map_hectares)
    if method == "two-phase":
        return _two_phases(points, map_hectares)
    if stated == "simple" and STRATUM not in points.columns:
        return stratified_points(np.zeros(len(points), np.int64), [map_hectares]), []
    return read_strata(points, map_codes, map_hectares)


def _clusters(points: "GeoDataFrame", map_hectares: float) -> tuple[ClusterPoints, list[str]]:
    about = "reading the clusters of the reference"
    number, pixels, size, clusters, whole = _numbers(
        points, (CLUSTER, CLUSTER_PIXELS, CLUSTER_HECTARES, CLUSTERS, HECTARES), about
    ).T
    names, cluster = np.unique(number, return_inverse=True)
    for column, values, group in (
        (CLUSTER_PIXELS, pixels, cluster),
        (CLUSTER_HECTARES, size, cluster),
        (CLUSTERS, clusters, np.zeros_like(cluster)),
        (HECTARES, whole, np.zeros_like(cluster)),
    ):
        _require_equal(values, group, column, about)
    first = np.unique(cluster, return_index=True)[1]
    drawn = ClusterPoints(cluster, size[first], pixels[first].astype(np.int64), int(clusters[0]), float(whole[0]))
    crowded = np.flatnonzero(drawn.points > drawn.units)
    if not MIN_CLUSTERS <= len(names) <= drawn.clusters or len(crowded):
        raise AssessmentError(
            f"{about}: {len(names)} of {drawn.clusters} clusters have labelled points, and {len(crowded)} have more "
            f"points than pixels; label points of at least {MIN_CLUSTERS} clusters, and leave the columns as they were "
            "written",
            drawn=len(names),
            clusters=drawn.clusters,
            crowded=len(crowded),
        )
    return drawn, area_notes(drawn.hectares, map_hectares)


def _two_phases(points: "GeoDataFrame", map_hectares: float) -> tuple[ProbabilitySample, list[str]]:
    about = "reading the two phases of the reference"
    _require_columns(points, (STRATUM, FIRST, HECTARES), about)
    codes, _ = read_codes(points[STRATUM])
    if not all(codes):
        raise AssessmentError(
            f"{about}: {codes.count('')} points have no '{STRATUM}'; write that of the first phase",
            points=codes.count(""),
        )
    names, stratum = np.unique(codes, return_inverse=True)
    first, size = _numbers(points, (FIRST, HECTARES), about).T
    for column, values in ((FIRST, first), (HECTARES, size)):
        _require_equal(values, stratum, column, about)
    at = np.unique(stratum, return_index=True)[1]
    whole = float(size[at].sum())
    drawn = two_phase_points(stratum, first[at].astype(np.int64), whole, tuple(names.tolist()))
    return drawn, area_notes(whole, map_hectares)


def systematic_points(
    drawn: ProbabilitySample | None, points: "GeoDataFrame", row: NDArray[np.int64], column: NDArray[np.int64]
) -> ProbabilitySample | None:
    """Return the points of a systematic sample with their cells, or of another program's grid with its lines.

    Args:
        drawn: the same points as a random sample; one of several strata stays as it is.
        row, column: (N,), pixel of each point.

    Raises:
        AssessmentError: a number of a cell is missing.
    """
    if not isinstance(drawn, StratifiedPoints) or len(drawn.size) > 1:
        return drawn
    if CELL not in points.columns:
        return SystematicPoints(drawn, row, column)
    (cell,) = _numbers(points, (CELL,), "reading the systematic points of the reference").T
    return cell_points(drawn, cell.astype(np.int64))


def design_facts(drawn: ProbabilitySample, by_map: bool) -> dict[str, Any]:
    """Return what a report states of a design as plain numbers: its strata, their sizes and points, or its clusters.

    Args:
        by_map: whether the strata are the classes of the map, with the estimators of Olofsson et al. 2014.
    """
    if isinstance(drawn, PolygonUnits):
        sizes = {"stratum_ha": drawn.size.tolist(), "stratum_points": drawn.points.tolist()}
        about = {"unit": "polygon", "strata": drawn.strata, "estimator": "Stehman and Wickham 2011", **sizes}
        return {**about, "polygons_ha": float(drawn.area.sum())}
    if isinstance(drawn, ClusterPoints):
        return {
            "strata": "none",
            "estimator": "Lohr 2019, chapter 5",
            "clusters_drawn": len(drawn.size),
            "clusters": drawn.clusters,
        }
    if isinstance(drawn, TwoPhasePoints):
        size = drawn.hectares * drawn.first / drawn.first.sum()
        of_phase = {"first_phase_points": drawn.first.tolist()}
        about = {"strata": "labels of the first phase", "estimator": "Cochran 1977, section 12.4", **of_phase}
        return {**about, "stratum_ha": size.tolist(), "stratum_points": drawn.points.tolist()}
    if isinstance(drawn, CellPoints):
        return {**design_facts(drawn.drawn, by_map), "cells": len(np.unique(drawn.group))}
    if isinstance(drawn, SystematicPoints):
        return design_facts(drawn.drawn, by_map)
    assert isinstance(drawn, StratifiedPoints)
    return {
        "strata": "classes of the map" if by_map else "columns of the reference",
        "estimator": "Olofsson et al. 2014" if by_map else "Stehman 2014",
        "stratum_ha": drawn.size.tolist(),
        "stratum_points": drawn.points.tolist(),
    }


def _numbers(points: "GeoDataFrame", columns: tuple[str, ...], about: str) -> Floats:
    """Columns as numbers above 0, (N, columns)."""
    import pandas as pd

    _require_columns(points, columns, about)
    values = np.stack([pd.to_numeric(points[name], errors="coerce").to_numpy(np.float64) for name in columns], axis=1)
    for column, of_column in zip(columns, values.T, strict=True):
        wrong = int((~(of_column > 0) | ~np.isfinite(of_column)).sum())
        if wrong:
            raise AssessmentError(
                f"{about}: the column '{column}' has no number above 0 at {wrong} points; leave it as `agrifm assess "
                "design` wrote it",
                column=column,
                points=wrong,
            )
    return values


def _require_columns(points: "GeoDataFrame", columns: tuple[str, ...], about: str) -> None:
    lacking = [name for name in columns if name not in points.columns]
    if lacking:
        raise AssessmentError(
            f"{about}: there is no column '{lacking[0]}'; keep the columns that `agrifm assess design` wrote",
            columns=lacking,
        )


def _require_equal(values: Floats, group: NDArray[np.intp], column: str, about: str) -> None:
    first = values[np.unique(group, return_index=True)[1]][group]
    wrong = int((np.abs(values - first) > 1e-6 * np.abs(first)).sum())
    if wrong:
        raise AssessmentError(
            f"{about}: the column '{column}' differs at {wrong} points from others that it should equal; leave it as "
            "`agrifm assess design` wrote it",
            column=column,
            points=wrong,
        )
