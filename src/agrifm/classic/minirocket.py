"""Convolution kernels on series and a linear head, after MiniRocket (Dempster et al. 2021), for several bands.

The 84 kernels of length 9 have three weights of 2 and six of -1 (section 3.1.1 of the paper). Each is applied with
dilations over the length of the series, to the sum of a random choice of bands (in the paper's code for several
channels a kernel sums its bands too). A feature is the share of an output above a bias, which is a quantile of the
output on a training row. Here bands are scaled first, because they have different units; and the number of features is
about 1,000 instead of 10,000, because series of a season have 10 to 40 steps, and maps have millions of pixels.

Shape letters: N rows, C channels, F steps, K pairs of a kernel and a dilation, B biases.
"""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.logistic import LinearClassifier, fit_linear
from agrifm.classic.numbers import Rows
from agrifm.classic.training_rows import Shape, TrainingRows, stored_array

LENGTH = 9
KERNELS = np.array([[2 if at in twos else -1 for at in range(LENGTH)] for twos in combinations(range(LENGTH), 3)])
"""(84, 9), in the order of the combinations of the places of 2."""
FEATURES = 1008
MAX_CHANNELS = 9
"""Channels that a kernel sums at most."""
INVERSE_PENALTY = 0.01
"""C of the linear head."""
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Kernels:
    """Kernels with their dilations, channels and biases."""

    mean: Rows
    """(C,), of the channels in training."""
    std: Rows
    """(C,)"""
    frames: int
    dilation: NDArray[np.int64]
    """(K,)"""
    kernel: NDArray[np.int64]
    """(K,), rows of `KERNELS`."""
    padded: NDArray[np.bool_]
    """(K,), whether outputs at both ends count, where the kernel is partly outside of the series."""
    chosen: NDArray[np.bool_]
    """(K, C), the channels that are summed."""
    biases: Rows
    """(K, B)"""

    def transform(self, series: Rows) -> Rows:
        """Return the shares of outputs above each bias, (N, K x B), of series (N, C, F)."""
        channels = self._scaled(series)
        found = np.empty((self.biases.size, len(series)), np.float32)
        at = 0
        for number in range(len(self.kernel)):
            output = self._output(number, channels)
            for bias in self.biases[number]:
                # counts fit into a byte, because series have at most 200 steps
                np.divide((output > bias).sum(axis=0, dtype=np.uint8), len(output), out=found[at])
                at += 1
        return found.T

    def _scaled(self, series: Rows) -> Rows:
        """(F, C, N), so that each operation runs along the rows."""
        return np.ascontiguousarray(((series - self.mean[:, None]) / self.std[:, None]).transpose(2, 1, 0))

    def _output(self, number: int, channels: Rows) -> Rows:
        """The output of one kernel, (steps, N)."""
        summed = channels[:, self.chosen[number]].sum(axis=1)
        return np.asarray(self._matrix(number) @ summed, np.float32)

    def _matrix(self, number: int) -> Rows:
        """The convolution as a matrix (steps of the output, F)."""
        reach, dilation = LENGTH // 2, int(self.dilation[number])
        edge = 0 if self.padded[number] else reach * dilation
        matrix = np.zeros((self.frames, self.frames), np.float32)
        for at, weight in enumerate(KERNELS[self.kernel[number]]):
            matrix += np.float32(weight) * np.eye(self.frames, k=(at - reach) * dilation, dtype=np.float32)
        return matrix[edge : self.frames - edge]


@dataclass(frozen=True)
class MiniRocket:
    """Kernels and the linear head on their features."""

    kernels: Kernels
    head: LinearClassifier
    columns: Any
    """`agrifm.classic.features.Columns` of the rows that it receives; None = one series of one band."""

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """Return (N, classes), rows of sum 1."""
        return self.head.probabilities(self.kernels.transform(_series(rows, self.columns)))

    def state(self) -> dict[str, Any]:
        """Return its arrays."""
        return {"kernels": dict(vars(self.kernels)), "head": self.head.state()}

    @classmethod
    def of(cls, state: dict[str, Any], shape: Shape) -> "MiniRocket":
        """Restore it; raises ValueError if the state is not one."""
        _, channels, frames = _series(np.zeros((1, shape.features), np.float32), shape.columns).shape
        kernels = _stored_kernels(state["kernels"], channels, frames)
        head = LinearClassifier.of(state["head"], Shape(kernels.biases.size, shape.classes))
        return cls(kernels, head, shape.columns)


def _stored_kernels(state: dict[str, Any], channels: int, frames: int) -> Kernels:
    biases = stored_array(state, "biases", (None, None))
    pairs = len(biases)
    dilation, kernel = (stored_array(state, key, (pairs,), np.int64) for key in ("dilation", "kernel"))
    padded = stored_array(state, "padded", (pairs,), np.bool_)
    chosen = stored_array(state, "chosen", (pairs, channels), np.bool_)
    mean, std = (stored_array(state, key, (channels,)) for key in ("mean", "std"))
    outside = (dilation < 1) | (dilation > frames) | (kernel < 0) | (kernel >= len(KERNELS))
    if outside.any() or (~padded & ((LENGTH - 1) * dilation >= frames)).any() or not (std > 0).all():
        raise ValueError("its kernels do not fit its series")
    return Kernels(mean, std, frames, dilation, kernel, padded, chosen, biases)


def _series(rows: Rows, columns: Any) -> Rows:
    return rows[:, None] if columns is None else columns.series_of(rows)


def fit_minirocket(training: TrainingRows, seed: int) -> MiniRocket:
    """Choose kernels, set their biases on training rows, and fit the head; classes count alike."""
    series = _series(training.rows, training.columns)
    kernels = fit_kernels(series, seed)
    head = fit_linear(replace(training, rows=kernels.transform(series), columns=None), INVERSE_PENALTY, seed)
    return MiniRocket(kernels, head, training.columns)


def fit_kernels(series: Rows, seed: int) -> Kernels:
    """Choose dilations, channels and biases for series (N, C, F)."""
    generator = np.random.default_rng(seed)
    count, channels, frames = series.shape
    mean = series.mean(axis=(0, 2), dtype=np.float64).astype(np.float32)
    std = series.std(axis=(0, 2), dtype=np.float64).astype(np.float32)
    dilations = _dilations(frames)
    kernel, dilation = (part.ravel() for part in np.meshgrid(np.arange(len(KERNELS)), dilations, indexing="ij"))
    pairs = len(kernel)
    padded = (np.arange(pairs) % 2 == 0) | (frames <= (LENGTH - 1) * dilation)
    most = min(channels, MAX_CHANNELS)
    sizes = np.floor(2 ** generator.uniform(0, np.log2(most + 1), pairs)).astype(int)
    chosen = np.zeros((pairs, channels), bool)
    for row, size in zip(chosen, sizes, strict=True):
        row[generator.choice(channels, min(size, most), replace=False)] = True
    biases = max(FEATURES // pairs, 1)
    empty = Kernels(
        mean, np.where(std > 0, std, 1).astype(np.float32), frames, dilation, kernel, padded, chosen,
        np.zeros((pairs, biases), np.float32),
    )  # fmt: skip
    # a low-discrepancy sequence of quantiles, over all kernels
    quantiles = (np.arange(1, pairs * biases + 1) * GOLDEN % 1).reshape(pairs, biases)
    for number in range(pairs):
        example = empty._scaled(series[generator.integers(count)][None])
        empty.biases[number] = np.quantile(empty._output(number, example)[:, 0], quantiles[number])
    return empty


def _dilations(frames: int) -> NDArray[np.int64]:
    """Whole numbers, exponentially spaced, with which kernels fit into the series; at least 1."""
    largest = max(np.log2(max(frames - 1, 1) / (LENGTH - 1)), 0)
    return np.unique(np.floor(2 ** np.linspace(0, largest, 32)).astype(np.int64))
