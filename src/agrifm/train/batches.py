"""Batches of training: patches in the order of a round, flipped and turned, made while the step before runs."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from agrifm.grid import Window
from agrifm.inference.tensors import tensor_batch
from agrifm.models.batch import TensorBatch
from agrifm.record import SensorRecord
from agrifm.samples.sample import Sample
from agrifm.samples.transforms import SYMMETRIES, dihedral


class TrainingSamples(Protocol):
    """A sequence of samples of the same sensors, in windows of any size."""

    @property
    def windows(self) -> Sequence[Window]:
        """The windows that occur, from whose shapes follow memory and symmetries."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, index: int, /) -> Sample:
        """Return a sample, prepared and labelled."""


@runtime_checkable
class BatchedSamples(TrainingSamples, Protocol):
    """Samples of which not every one may share a batch with every other, as of `agrifm.samples.mixed_samples`."""

    @property
    def lacking(self) -> tuple[str, ...]:
        """Sensors that a batch may lack."""

    def in_order(self, batch: int) -> Iterator[list[int]]:
        """Yield the indices of successive batches that contain every sample once."""

    def batch_of_step(self, step: int, batch: int, seed: int) -> tuple[list[int], bool]:
        """Return the indices of a training step, and whether they are single pixels, which are never turned."""


class AugmentedPatches(Dataset[Sample]):
    """Patches flipped and turned; an index is (patch, symmetry), where symmetry 0 leaves the patch as it is."""

    def __init__(self, patches: TrainingSamples) -> None:
        self.patches = patches

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: tuple[int, int]) -> Sample:
        patch, symmetry = index
        return dihedral(self.patches[patch], symmetry)


class RoundSampler(Sampler[tuple[int, int]]):
    """The patches and symmetries of a round, decided by seed and round; a patch comes again only after all others.

    Args:
        patches: number of patches.
        samples: number of samples in a round.
        symmetries: number of symmetries to draw from: `SYMMETRIES` for square patches, else 1.
    """

    def __init__(self, patches: int, samples: int, seed: int, symmetries: int = SYMMETRIES) -> None:
        self.patches, self.samples, self.seed, self.symmetries = patches, samples, seed, symmetries
        self.round = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the round; Lightning calls this at the start of each."""
        self.round = epoch

    def __len__(self) -> int:
        return self.samples

    def __iter__(self) -> Iterator[tuple[int, int]]:
        first = self.round * self.samples
        # 1, 2 and 3 keep the random numbers of symmetries, laps and dropped sensors apart.
        symmetries = np.random.default_rng([self.seed, 1, self.round]).integers(self.symmetries, size=self.samples)
        shuffles: dict[int, NDArray[np.int64]] = {}
        for position, symmetry in zip(range(first, first + self.samples), symmetries, strict=True):
            # A lap goes through all patches once; it may begin in one round and end in another.
            lap, index = divmod(position, self.patches)
            if lap not in shuffles:
                shuffles[lap] = np.random.default_rng([self.seed, 2, lap]).permutation(self.patches)
            yield int(shuffles[lap][index]), int(symmetry)


class MixedBatches(Sampler[list[tuple[int, int]]]):
    """The batches of a round of windows and places, decided by seed and step; windows are flipped and turned.

    Args:
        samples: windows and places.
        steps: batches of a round.
        batch: windows of a batch.
        symmetries: see `RoundSampler`.
    """

    def __init__(
        self, samples: BatchedSamples, steps: int, batch: int, seed: int, symmetries: int = SYMMETRIES
    ) -> None:
        self.samples, self.steps, self.batch, self.seed, self.symmetries = samples, steps, batch, seed, symmetries
        self.round = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the round; see `RoundSampler.set_epoch`."""
        self.round = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.round * self.steps, (self.round + 1) * self.steps):
            chosen, is_of_places = self.samples.batch_of_step(step, self.batch, self.seed)
            generator = np.random.default_rng([self.seed, 1, step])
            turns = generator.integers(1 if is_of_places else self.symmetries, size=len(chosen))
            yield list(zip(chosen, turns.tolist(), strict=True))


class PrefetchLoader:
    """The batches of a loader; a thread makes the next batch while the current one is used."""

    def __init__(self, loader: DataLoader[Sample]) -> None:
        self.loader = loader
        # Lightning calls its `set_epoch`
        mixed = isinstance(loader.batch_sampler, MixedBatches)
        self.sampler: Any = loader.batch_sampler if mixed else loader.sampler

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[TensorBatch]:
        batches = iter(self.loader)
        # A thread and not a process: the patches are kept in memory, and NumPy works without Python's lock.
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as executor:
            coming = executor.submit(next, batches, None)
            while (batch := coming.result()) is not None:
                coming = executor.submit(next, batches, None)
                yield batch


def training_loaders(
    sensors: Sequence[SensorRecord],
    training: TrainingSamples,
    validation: TrainingSamples,
    steps: int,
    batch: int,
    seed: int,
) -> tuple[PrefetchLoader, DataLoader[Any]]:
    """Return the batches of training, in rounds of `steps`, and of validation, in order and as they are."""
    symmetries = SYMMETRIES if all(window.height == window.width for window in training.windows) else 1
    if isinstance(training, BatchedSamples) and isinstance(validation, BatchedSamples):
        collate = partial(tensor_batch, sensors=sensors, may_lack=training.lacking)
        batches = MixedBatches(training, steps, batch, seed, symmetries)
        in_turn = [[(index, 0) for index in chosen] for chosen in validation.in_order(batch)]
        return (
            PrefetchLoader(DataLoader(AugmentedPatches(training), batch_sampler=batches, collate_fn=collate)),
            DataLoader(AugmentedPatches(validation), batch_sampler=in_turn, collate_fn=collate),
        )
    sampler = RoundSampler(len(training), steps * batch, seed, symmetries)
    collate = partial(tensor_batch, sensors=sensors)
    in_order = [(patch, 0) for patch in range(len(validation))]
    return (
        PrefetchLoader(DataLoader(AugmentedPatches(training), batch, sampler=sampler, collate_fn=collate)),
        DataLoader(AugmentedPatches(validation), batch, sampler=in_order, collate_fn=collate),
    )


def sensor_to_drop(sensors: Sequence[str], share: float, seed: int, step: int) -> str | None:
    """Return the sensor dropped in this training step, None with probability 1 - share.

    The choice follows from seed and step alone. The first sensor is never dropped: its pixels are the target grid.
    """
    generator = np.random.default_rng([seed, 3, step])
    if len(sensors) < 2 or generator.random() >= share:
        return None
    return str(generator.choice(list(sensors[1:])))
