"""Maps of fields whose truth is known everywhere, from which `interval_coverage.py` draws samples."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from agrifm.assess.sampling_frame import WHOLE, Reader, SamplingFrame
from agrifm.grid import Grid

CLASSES, SIDE = 4, 240
FIELDS = 22
"""Along each side of the map, of unequal width."""
SHARES = (0.5, 0.33, 0.15, 0.02)
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Population:
    """A map, the truth of two seasons, and the map's probability of its first class; flat arrays of its pixels."""

    mapped: Numbers
    true: Numbers
    later: Numbers
    probability: NDArray[np.float64]
    near_edge: NDArray[np.bool_]
    column: Numbers
    field: Numbers
    """Number of the field of each pixel; all of it is of one true class."""

    def __len__(self) -> int:
        return len(self.true)


def straight_fields(generator: np.random.Generator) -> Numbers:
    """The number of the field of each pixel, (SIDE, SIDE): rows and columns of unequal width, as wide as the map."""
    row, col = (
        np.searchsorted(np.sort(generator.choice(SIDE, FIELDS - 1, replace=False)), np.arange(SIDE)) for _ in range(2)
    )
    return np.asarray(row[:, None] * FIELDS + col)


def irregular_fields(generator: np.random.Generator) -> Numbers:
    """The number of the field of each pixel, (SIDE, SIDE): that of the nearest of random places (Voronoi)."""
    pixels = np.stack(np.divmod(np.arange(SIDE**2), SIDE), axis=1)
    field = KDTree(generator.random((FIELDS**2, 2)) * SIDE).query(pixels)[1]
    return np.asarray(np.unique(field, return_inverse=True)[1].reshape(SIDE, SIDE))


POPULATIONS = {"straight": straight_fields, "irregular": irregular_fields}


def make_population(form: str = "straight", seed: int = 0) -> Population:
    """Fields of one class; one in fourteen mapped wrongly as a whole, and a third of the pixels along edges."""
    generator = np.random.default_rng(seed)
    field = POPULATIONS[form](generator)
    fields = field.max() + 1
    crops, others = (generator.choice(CLASSES, fields, p=SHARES) for _ in range(2))
    true, other = crops[field], others[field]
    edge = ndimage.maximum_filter(true, 3) != ndimage.minimum_filter(true, 3)
    neighbour = np.roll(true, (1, 1), (0, 1))
    mapped = np.where((generator.random(fields) < 0.07)[field], other, true)
    mapped = np.where(edge & (generator.random(true.shape) < 0.33), neighbour, mapped)
    later = np.where((generator.random(fields) < 0.3)[field], other, true)
    probability = np.clip(np.where(mapped == 0, 0.8, 0.1) + generator.normal(0, 0.08, true.shape), 0, 1)
    column = np.broadcast_to(np.arange(SIDE), true.shape)
    return Population(*(part.ravel() for part in (mapped, true, later, probability, edge, column, field)))


def frame_of(population: Population) -> SamplingFrame:
    """All pixels of the map, of 10 m."""
    grid = Grid.of("EPSG:32631", Affine(10, 0, 600_000, 0, -10, 5_500_000), (SIDE, SIDE))
    everywhere = population.true.reshape(SIDE, SIDE).astype(np.int16) * 0

    @contextmanager
    def opened() -> Iterator[Reader]:
        yield lambda window: everywhere[window.slices]

    return SamplingFrame(grid, (WHOLE,), (WHOLE,), np.full((1, SIDE), SIDE), opened)
