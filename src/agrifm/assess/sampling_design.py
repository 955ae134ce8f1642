"""How reference points are drawn: the choices, with their defaults."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Method = Literal["stratified", "simple", "systematic", "cluster", "two-phase"]
METHODS = get_args(Method)
Allocation = Literal["rare", "proportional", "equal", "neyman"]
"""Rules: in proportion to area with a fixed number in rare strata (Olofsson et al. 2014 advise so), in proportion to
area, the same number everywhere, or in proportion to area times standard deviation, which makes the error of the
overall accuracy smallest."""
ALLOCATIONS = get_args(Allocation)


@dataclass(frozen=True)
class Design:
    """How reference points are drawn."""

    method: Method = "stratified"
    """Within strata; among all mapped pixels; on a square grid with a random start; blocks of pixels; or some of the
    points of a first phase, within the classes seen there."""
    allocation: Allocation = "rare"
    least: int = 2
    """Points of a stratum at least."""
    expected: Sequence[str] = ()
    """Expected user's accuracies, such as "0.85" or "maize=0.7", for the rule "neyman" and for the expected error."""
    strata: Path | None = None
    """Polygons, or a raster of classes of the same area; None = the classes of the map."""
    column: str = "stratum"
    """Of the codes of polygons."""
    edge: float | None = None
    """Width of a stratum along the edges of the map's classes, in units of its CRS; None = without."""
    outside: Path | None = None
    """Polygons in which no point is drawn, such as a complete list of parcels."""
    error: float | None = None
    """Wished standard error of the overall accuracy, which sets the number of points."""
    cost: float | None = None
    """Of one point."""
    earlier: Path | None = None
    """Points of the same design, which are kept; as many as are wanted are drawn in addition."""
    side: int | None = None
    """Of a cluster, pixels; the number of points is then that of clusters."""
    per_cluster: int | None = None
    """Points in each cluster; None = all its pixels."""
    first: Path | None = None
    """Points of the first phase, with their classes."""


DESIGN = Design()
