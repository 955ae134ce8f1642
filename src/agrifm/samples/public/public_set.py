"""A public set under one schema: series of points or parcels as a table, or windows that are read one at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from agrifm.legend import Legend
from agrifm.record import SensorInput
from agrifm.samples.sample import Sample
from agrifm.samples.table import SeriesTable

Division = Mapping[str, NDArray[np.intp]]
"""Indices of places or windows by "train", "validation" and "test"; a part that the set does not have is absent."""


@dataclass(frozen=True)
class SetFacts:
    """What its makers state about a public set."""

    name: str
    """Key in `registry.PUBLIC_SETS`."""
    title: str
    licence: str
    citation: str
    source: str
    """Where to get it; agrifm never downloads a set."""


class SetWindows(Sequence[Sample]):
    """Labelled windows, each of which is read when it is asked for, so memory holds one at a time.

    Args:
        names: the source's names of the windows.
        read: returns the sample of a window by its index.
    """

    def __init__(self, names: Sequence[str], read: Callable[[int], Sample]) -> None:
        self.names, self._read = tuple(names), read

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "SetWindows": ...
    def __getitem__(self, index: int | slice) -> "Sample | SetWindows":
        positions = range(len(self.names))[index]
        if isinstance(positions, int):
            return self._read(positions)
        return SetWindows([self.names[at] for at in positions], lambda at: self._read(positions[at]))


@dataclass(frozen=True)
class PublicSet:
    """A public set as it was distributed: a table or windows, with the divisions that its makers use."""

    facts: SetFacts
    legend: Legend
    sensors: tuple[SensorInput, ...]
    """What the samples hold, in the order of the set."""
    content: SeriesTable | SetWindows
    folds: Mapping[str, Division]
    """Official divisions by name; empty if the makers publish none."""
    notes: tuple[str, ...] = ()
    """What was checked, found and left out, in sentences."""

    def __len__(self) -> int:
        return len(self.content)

    @property
    def table(self) -> SeriesTable | None:
        """The series, if the set consists of points or parcels."""
        return self.content if isinstance(self.content, SeriesTable) else None

    @property
    def windows(self) -> SetWindows | None:
        """The windows, if the set consists of images."""
        return self.content if isinstance(self.content, SetWindows) else None

    def samples(self) -> Iterator[Sample]:
        """Yield every place or window as a sample."""
        return (self.sample(index) for index in range(len(self)))

    def sample(self, index: int) -> Sample:
        """Return a place as a sample of one pixel, or read a window."""
        return self.content.sample(index) if isinstance(self.content, SeriesTable) else self.content[index]
