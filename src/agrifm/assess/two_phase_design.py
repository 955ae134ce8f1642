"""The second phase of two-phase sampling: some points of a first phase, drawn in the classes that were seen there.

The first phase is a simple random or systematic sample of many points, whose column `label` was filled in quickly, such
as from a picture. Those classes are the strata of the second phase, whose points are looked at closely.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.allocation import allocate, expected_accuracies
from agrifm.assess.drawn_points import read_drawn
from agrifm.assess.sample_columns import FIRST
from agrifm.assess.sampling_design import Design
from agrifm.assess.sampling_frame import SamplingFrame
from agrifm.assess.sampling_statement import read_method
from agrifm.assess.strata import HECTARES, STRATUM
from agrifm.codes import read_codes
from agrifm.errors import AssessmentError
from agrifm.files import write_geopackage
from agrifm.point_columns import LABEL, METHOD, NUMBER

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

UNSEEN = "unseen"
"""Stratum of points that have no class in the first phase."""


@dataclass(frozen=True)
class FirstPhase:
    """Points of a first phase with their classes as strata."""

    frame: "GeoDataFrame"
    names: tuple[str, ...]
    stratum: NDArray[np.intp]
    """(N,), number of the stratum of each point."""
    hectares: float
    """Of the area that they were drawn on."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Points of each stratum, (S,)."""
        return np.bincount(self.stratum, minlength=len(self.names))


def read_first_phase(path: Path, frame: SamplingFrame) -> FirstPhase:
    """Read points of a first phase.

    Args:
        frame: of all mapped pixels, from which they were drawn.

    Raises:
        AssessmentError: the file is not a simple random or systematic sample of this map, or no point has a class.
    """
    about = f"reading the first phase {path}"
    points = read_drawn(path, frame).frame
    assert points is not None
    method = read_method(points, about)
    codes, _ = read_codes(points[LABEL])
    if method not in ("simple", "systematic") or not any(codes):
        raise AssessmentError(
            f"{about}: it is a {method} sample with {sum(map(bool, codes))} labelled points; draw points with "
            "`--method simple` or `systematic`, and write a class into the column `label` of each",
            method=method,
            labelled=sum(map(bool, codes)),
        )
    names, stratum = np.unique([code or UNSEEN for code in codes], return_inverse=True)
    return FirstPhase(points, tuple(names.tolist()), stratum, float(frame.hectares().sum()))


def second_phase(first: FirstPhase, n: int, design: Design) -> dict[str, int]:
    """Return how many points of each stratum of the first phase to draw, by the design's rule of allocation.

    Raises:
        AssessmentError: n is more than there are points, or less than two for each stratum.
    """
    accuracies = expected_accuracies(design.expected, first.names)
    sizes = first.sizes
    points = allocate(n, sizes.astype(np.float64), sizes, design.allocation, accuracies, design.least)
    return dict(zip(first.names, points.tolist(), strict=True))


def write_second_phase(
    generator: np.random.Generator, first: FirstPhase, numbers: Mapping[str, int], out: Path
) -> None:
    """Draw points of the second phase, so many of each stratum, and write them to be labelled anew."""
    import pandas as pd

    chosen = [
        generator.choice(np.flatnonzero(first.stratum == number), numbers[name], replace=False)
        for number, name in enumerate(first.names)
    ]
    order = generator.permutation(np.concatenate(chosen))
    stratum, sizes = first.stratum[order], first.sizes
    table = first.frame.iloc[order][[NUMBER, first.frame.geometry.name]].reset_index(drop=True)
    table[METHOD] = "two-phase"
    table[STRATUM] = np.array(first.names)[stratum]
    table[HECTARES] = (first.hectares * sizes / sizes.sum())[stratum]
    table[FIRST] = sizes[stratum]
    table[LABEL] = pd.Series([None] * len(table), dtype="string")
    write_geopackage(out, table)
