"""Which months decided the crop of one pixel of a map: what its probability loses when a month is not observed."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import Cube
from agrifm.explain.periods import season_periods
from agrifm.explain.series_source import CubeSource
from agrifm.explain.subject import Subject
from agrifm.grid import Window
from agrifm.inference.predictor import TrainedModel


@dataclass(frozen=True)
class PeriodEffect:
    """What hiding a period does to the probability of a class."""

    start: date
    end: date
    """Its last day."""
    effect: float
    """Probability with all observations, less that without those of the period."""
    other: str
    """Code of the most probable class without them."""


@dataclass(frozen=True)
class PlacePeriods:
    """What decided one pixel."""

    code: str
    """Of the most probable class."""
    probability: float
    periods: tuple[PeriodEffect, ...]
    """In the order of time."""


def explain_place(model: TrainedModel, cube: Cube, row: int, col: int) -> PlacePeriods | None:
    """Return what hiding each month does to the most probable class of a pixel; None where it was not observed.

    A network with neighbours reads one window with the pixel in its middle, where a map blends several, so its
    probability may differ a little from the map's.

    Args:
        cube: which fits the model.
        row, col: of the cube's target grid.

    Raises:
        CubeError: the cube is damaged.
    """
    subject = Subject.of(CubeSource.of(cube, model.record), model)
    window = _window_around(cube, row, col, model.record.side)
    where = np.zeros((window.height, window.width), bool)
    where[row - window.row, col - window.col] = True
    months = season_periods(cube.season)
    occluded = subject.occlusions(subject.read(window), months, {}, bands=False)
    answers = [(hidden, subject.probabilities(samples, window, where)[0]) for hidden, samples in occluded]
    whole = answers[0][1]
    if not np.isfinite(whole).all():
        return None
    number, codes = int(whole.argmax()), model.record.legend.codes

    def effect(period: int, found: NDArray[np.float32]) -> PeriodEffect:
        lost = float(whole[number] - found[number])
        return PeriodEffect(months.starts[period], months.ends[period], lost, codes[int(found.argmax())])

    # Without the only month that was observed there is no answer, and so no effect to state.
    known = [(hidden.period, found) for hidden, found in answers[1:] if np.isfinite(found).all()]
    return PlacePeriods(codes[number], float(whole[number]), tuple(effect(*one) for one in known))


def _window_around(cube: Cube, row: int, col: int, side: int) -> Window:
    """A window of `side` pixels or more with a pixel near its middle, at edges of the coarsest pixels of the cube."""
    nest = cube.coarse_factor
    side = -(-side // nest) * nest
    corner = []
    for place, length in ((row, cube.target.shape[0]), (col, cube.target.shape[1])):
        first = place // nest * nest - (side // nest - 1) // 2 * nest
        first = max(min(first, (length - side) // nest * nest), 0)
        corner.append((first, min(side, length - first)))
    (top, height), (left, width) = corner
    return Window(top, left, height, width)
