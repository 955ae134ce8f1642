"""Shards as a sequence of samples for the training loop: shuffled by place, one source in each batch, a few frames.

Samples of a place stay together, because a term of pretraining compares them (`agrifm.train.pretraining_terms`).

Everything follows from the seed and the number of the step: which samples, of which source, and which frames. So a run
continues at the exact sample without any state, and any process can make any batch.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import LabelError
from agrifm.samples.sample import Sample, Series
from agrifm.samples.shards import NO_DAY, Arrays, ShardEntry, Shards
from agrifm.samples.table import ONE_PIXEL

FRAMES = 16
"""Frames of a sample, at random from its season, as in AgriFM's pretraining."""
LEAST_FRAMES = 4
"""Samples with fewer usable frames of the batch's source are passed over."""
MIXED_SHARDS = 4
"""Shards whose places are shuffled together, and kept in memory."""


class ShardSamples:
    """Samples of one source each; the counterpart of `agrifm.samples.patches.Patches` for shards.

    An index holds three numbers: the sample, the source, and the step, which decides the frames. A sample comes again
    only after all others, in each rank and over all of them.

    Args:
        entries: the shards that are used, such as those of training.
        seed: of the frames.
        most: samples that `in_order` yields of each source, at most, of evenly spaced places; None = all.
        rank, ranks: number of this process among those that train together; each gets other samples.
    """

    windows = (ONE_PIXEL,)

    def __init__(
        self,
        shards: Shards,
        entries: Sequence[ShardEntry],
        seed: int,
        frames: int = FRAMES,
        rank: int = 0,
        ranks: int = 1,
        most: int | None = None,
    ) -> None:
        if not entries:
            raise LabelError(f"reading the shards {shards.directory}: none is left; make more of them", shards=0)
        self.shards, self.entries, self.seed, self.frames = shards, tuple(entries), seed, frames
        self.rank, self.ranks, self.most = rank, ranks, most
        self.sources = tuple(sensor.sensor for sensor in shards.index.sensors)
        self.scales = {sensor.sensor: np.float32(sensor.scale) for sensor in shards.index.sensors}
        self.lacking = self.sources
        """A batch has one source and lacks the others."""
        self.ends = np.cumsum([entry.samples for entry in self.entries])
        self._loaded: OrderedDict[int, Arrays] = OrderedDict()
        self._laps: OrderedDict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64]]] = OrderedDict()
        self._orders: OrderedDict[tuple[int, int, int], NDArray[np.int64]] = OrderedDict()

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> Sample:
        rest, sample = divmod(index, len(self))
        step, number = divmod(rest, len(self.sources))
        return self._sample(sample, self.sources[number], step)

    def in_order(self, batch: int) -> Iterator[list[int]]:
        """Yield the indices of batches that contain the usable samples of every source once, with the same frames."""
        places = [rows for number in range(len(self.entries)) for rows in self._places(number)]
        if self.most is not None and len(self) > self.most:
            kept = max(1, self.most * len(places) // len(self))
            places = [places[number * len(places) // kept] for number in range(kept)]
        samples = np.concatenate(places).tolist()
        for source in range(len(self.sources)):
            usable = [sample for sample in samples if self._length(sample, source) >= LEAST_FRAMES]
            for start in range(0, len(usable), batch):
                yield [source * len(self) + sample for sample in usable[start : start + batch]]

    def batch_of_step(self, step: int, batch: int, seed: int) -> tuple[list[int], bool]:
        """Return the indices of a training step, of one source; the samples of a batch are single pixels.

        Raises:
            LabelError: no sample of the batch has enough frames of its source.
        """
        # 6 and 7 keep these random numbers apart from those of `agrifm.train.batches` and of mixed samples
        source = int(np.random.default_rng([seed, 6, step]).integers(len(self.sources)))
        first = (step * self.ranks + self.rank) * batch
        chosen = [self._at(seed, *divmod(position, len(self))) for position in range(first, first + batch)]
        usable = [sample for sample in chosen if self._length(sample, source) >= LEAST_FRAMES]
        if not usable:
            raise LabelError(
                f"reading the shards {self.shards.directory}: none of {batch} samples has {LEAST_FRAMES} usable frames "
                f"of {self.sources[source]}; make shards with longer series, or use larger batches",
                sensor=self.sources[source],
            )
        return [(step * len(self.sources) + source) * len(self) + sample for sample in usable], True

    def _at(self, seed: int, lap: int, position: int) -> int:
        """The sample at a position of a lap: places of a few shards at a time are shuffled together."""
        shards, ends = self._shards_of(seed, lap)
        group = int(np.searchsorted(ends, position, side="right")) // MIXED_SHARDS
        members = shards[group * MIXED_SHARDS :][:MIXED_SHARDS]
        first = int(ends[group * MIXED_SHARDS - 1]) if group else 0
        return int(self._order(seed, lap, group, members)[position - first])

    def _shards_of(self, seed: int, lap: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The shards of a lap in its order, and the position after the last sample of each."""
        if (seed, lap) not in self._laps:
            shards = np.random.default_rng([seed, 7, lap]).permutation(len(self.entries))
            self._laps[seed, lap] = shards, np.cumsum([self.entries[number].samples for number in shards])
            _keep_latest(self._laps, 2)  # a batch may end in the next lap
        return self._laps[seed, lap]

    def _order(self, seed: int, lap: int, group: int, shards: NDArray[np.int64]) -> NDArray[np.int64]:
        """The samples of the shards of a group in the order of their places."""
        key = (seed, lap, group)
        if key not in self._orders:
            places = [rows for number in shards for rows in self._places(int(number))]
            order = np.random.default_rng([seed, 7, lap, group]).permutation(len(places))
            self._orders[key] = np.concatenate([places[place] for place in order])
            _keep_latest(self._orders, 2)  # a batch may end in the next group
        return self._orders[key]

    def _places(self, number: int) -> list[NDArray[np.int64]]:
        """The samples of each place of a shard."""
        place = self._load(number)["place"]
        first = int(self.ends[number]) - len(place)
        return np.split(first + np.arange(len(place)), np.flatnonzero(np.diff(place)) + 1)

    def _load(self, number: int) -> Arrays:
        if number not in self._loaded:
            self._loaded[number] = self.shards.read(self.entries[number])
            _keep_latest(self._loaded, MIXED_SHARDS + 1)
        self._loaded.move_to_end(number)
        return self._loaded[number]

    def _find(self, sample: int) -> tuple[Arrays, int]:
        """The shard of a sample, and its row there."""
        number = int(np.searchsorted(self.ends, sample, side="right"))
        return self._load(number), sample - int(self.ends[number]) + self.entries[number].samples

    def _length(self, sample: int, source: int) -> int:
        arrays, row = self._find(sample)
        return int(arrays[f"{self.sources[source]}.length"][row])

    def _sample(self, sample: int, source: str, step: int) -> Sample:
        arrays, row = self._find(sample)
        length = int(arrays[f"{source}.length"][row])
        start = int(arrays["season_start"][row])
        chosen = np.arange(length)
        if length > self.frames:
            rng = np.random.default_rng([self.seed, step, sample])
            chosen = np.sort(rng.choice(length, self.frames, replace=False))
        day = arrays[f"{source}.day"][row, chosen].astype(np.int32)
        chosen, day = chosen[np.diff(day, prepend=-1) > 0], day[np.diff(day, prepend=-1) > 0]  # two satellites on a day
        values = arrays[f"{source}.values"][row, chosen].astype(np.float32) * self.scales[source]
        series = Series(values[:, :, None, None], np.ones((len(day), 1, 1), bool), day + np.int32(start))
        fractions = arrays[f"{source}.fractions"][row]
        days = np.array([arrays[f"{source}.{name}"][row] for name in ("sowing", "harvest")], np.float32)
        cover = arrays[f"{source}.cover"][row]
        targets: dict[str, NDArray[Any]] = {
            "fractions": np.asarray(fractions, np.float32),
            "cover": np.asarray(cover, np.int64),
            "place": np.asarray(arrays["place"][row], np.int64),
            "days": np.where(days == NO_DAY, np.float32(np.nan), days),
        }
        return Sample(
            {source: series},
            np.asarray(fractions.argmax(), np.uint8).reshape(1, 1),
            ONE_PIXEL,
            start,
            place=(float(arrays["lat"][row]), float(arrays["lon"][row])),
            targets=targets,
        )


def _keep_latest(kept: OrderedDict[Any, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
