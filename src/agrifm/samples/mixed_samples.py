"""Windows of a cube and places of a series table as one sequence of samples; a batch has one of the two."""

import math
from collections.abc import Iterator

import numpy as np

from agrifm.grid import Window
from agrifm.samples.patches import Patches
from agrifm.samples.sample import Sample
from agrifm.samples.table_samples import PLACES_PER_WINDOW, TableSamples


class MixedSamples:
    """The windows of a cube, and after them the places of a table, which may lack sensors of the cube.

    Args:
        share: of the batches of training that are of places, above 0 and below 1.
    """

    def __init__(self, patches: Patches, places: TableSamples, share: float) -> None:
        self.patches, self.places, self.share = patches, places, share
        self.windows: tuple[Window, ...] = (*patches.windows, *places.windows)
        present = set(places.table.series)
        self.lacking: tuple[str, ...] = tuple(
            sensor.sensor for sensor in patches.tiles.sensors if sensor.sensor not in present
        )
        """Sensors of the cube that the places lack."""

    def __len__(self) -> int:
        return len(self.patches) + len(self.places)

    def __getitem__(self, index: int) -> Sample:
        first = len(self.patches)
        return self.patches[index] if index < first else self.places[index - first]

    def in_order(self, batch: int) -> Iterator[list[int]]:
        """Yield the indices of batches of at most `batch` windows, then of at most eight times as many places."""
        for first, count, size in self._parts(batch):
            for start in range(0, count, size):
                yield list(range(first + start, first + min(start + size, count)))

    def batch_of_step(self, step: int, batch: int, seed: int) -> tuple[list[int], bool]:
        """Return the indices of the samples of a training step, and whether they are places.

        Everything follows from seed and step: of any number of steps a part of `share` is of places, spread evenly, and
        a window or place comes again only after all others.
        """
        shift = np.random.default_rng([seed, 4]).random()
        before, after = (math.floor(number * self.share + shift) for number in (step, step + 1))
        is_of_places = after > before
        first, count, size = self._parts(batch)[is_of_places]
        number = before if is_of_places else step - before
        # 2 and 5 keep the random numbers of the laps of windows and places apart.
        key = [seed, 5 if is_of_places else 2]
        chosen: list[int] = []
        for lap in range(number * size // count, ((number + 1) * size - 1) // count + 1):
            order = np.random.default_rng([*key, lap]).permutation(count)
            start, stop = (position - lap * count for position in (number * size, (number + 1) * size))
            chosen += (first + order[max(start, 0) : min(stop, count)]).tolist()
        return chosen, is_of_places

    def _parts(self, batch: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """First index, number and batch size of windows and of places."""
        windows, places = len(self.patches), len(self.places)
        return (0, windows, batch), (windows, places, batch * PLACES_PER_WINDOW)
