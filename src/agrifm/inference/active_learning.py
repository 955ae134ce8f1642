"""Which places to label next: where the model is uncertain, of scarce classes, unlike each other and what is labelled.

Uncertainty is one minus the margin between the two highest class probabilities (Scheffer, Decomain and Wrobel 2001,
"Active hidden Markov models for information extraction", IDA). Places are taken one after the other, each time the one
of greatest uncertainty times the root of the distance to the nearest place that is labelled or taken, divided by the
root of the number of these places in the class that the model gives it. Distances, in standardised features, are those
of greedy k-center (Sener and Savarese 2018, "Active learning for convolutional neural networks: a core-set approach",
ICLR, algorithm 1); scarce classes come first, because every class counts alike in macro F1 and in a table of areas. The
exponents were chosen on a simulated season of another region than the one of `benchmarks/label_next.py`. The rank of
places is by the uncertain area that resembles them.

Shape letters: P candidates, F features, K classes, N chosen places.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.numbers import Rows
from agrifm.classic.training_rows import scaling

FARTHEST = 5.0
"""Standard deviations from the mean at which features are cut, so that no single one decides a distance."""
Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Candidates:
    """Places that could be labelled."""

    uncertainty: Floats
    """(P,), 0 to 1."""
    weight: Floats
    """(P,), uncertainty times area that each stands for."""
    facts: NDArray[np.int64]
    """(P, any), whole numbers that name a place and what the model says of it."""
    predicted: NDArray[np.int64]
    """(P,), class number of highest probability."""
    rows: Rows
    """(P, F), features."""


class CandidatePool:
    """A sample of bounded size of all places that were offered, in proportion to uncertainty times area.

    Priority sampling (Duffield, Lund and Thorup 2007, "Priority sampling for estimation of arbitrary subset sums",
    Journal of the ACM 54(6), section 2.1): the `size` places of greatest weight / u stay, with u uniform in (0, 1];
    the weight of each becomes at least the greatest priority that was dropped, and sums of weights stay unbiased.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._dropped = 0.0
        self._priority = np.zeros(0)
        self._parts: Candidates | None = None

    def admitted(self, weight: Floats, generator: np.random.Generator) -> tuple[Indices, Floats]:
        """Return which places of a window would stay, by index, and their priorities; features are needed of these.

        Args:
            weight: (P,), uncertainty times area.
        """
        priority = weight / (1 - generator.random(len(weight)))
        order = np.argsort(-priority, kind="stable")
        kept = order[: self.size][priority[order[: self.size]] > self._dropped]
        beyond = order[self.size :]
        if len(beyond):
            self._dropped = max(self._dropped, float(priority[beyond[0]]))
        return np.sort(kept), priority[np.sort(kept)]

    def add(self, places: Candidates, priority: Floats) -> None:
        """Add places that were admitted, and drop those of least priority beyond the size."""
        parts = [places] if self._parts is None else [self._parts, places]
        every = np.concatenate([self._priority, priority])
        order = np.argsort(-every, kind="stable")
        if len(order) > self.size:
            self._dropped = max(self._dropped, float(every[order[self.size]]))
        kept = np.sort(order[: self.size])
        self._priority = every[kept]
        self._parts = Candidates(
            np.concatenate([part.uncertainty for part in parts])[kept],
            np.concatenate([part.weight for part in parts])[kept],
            np.concatenate([part.facts for part in parts])[kept],
            np.concatenate([part.predicted for part in parts])[kept],
            np.concatenate([part.rows for part in parts])[kept],
        )

    def candidates(self) -> Candidates | None:
        """Return the places that stayed, with the weights that stand for all; None if none was added."""
        if self._parts is None or not len(self._priority):
            return None
        held = self._parts
        return replace(held, weight=np.maximum(held.weight, self._dropped))


def margin_uncertainty(probabilities: NDArray[np.floating]) -> Floats:
    """Return one minus the difference of the two highest probabilities, (P,): 0 certain, 1 undecided.

    Args:
        probabilities: (P, K), at least two classes.
    """
    highest = np.partition(probabilities.astype(np.float64), -2, axis=1)[:, -2:]
    return np.asarray(np.clip(1 - (highest[:, 1] - highest[:, 0]), 0, 1))


def choose_places(
    candidates: Candidates,
    labelled: Rows,
    classes: NDArray[np.integer],
    number: int,
    position: NDArray[np.integer] | None = None,
    apart: int = 0,
) -> tuple[Indices, Floats]:
    """Return the places to label next, by index, and the gain of each, in descending order of it.

    The gain of a place is the sum of weights of all candidates that are nearer to it, in features, than to any other
    chosen or labelled place: the uncertain area that resembles it.

    Args:
        labelled: (L, F), features of labelled places; none is allowed.
        classes: (L,), their class numbers.
        number: of places; fewer are returned if there are fewer candidates.
        position: (P, 2), rows and columns of pixels.
        apart: chosen places are at least as many rows or columns apart.
    """
    mean, std = scaling(np.concatenate([candidates.rows, labelled]))
    rows, known = (np.clip((part - mean) / std, -FARTHEST, FARTHEST) for part in (candidates.rows, labelled))
    squares = np.einsum("pf,pf->p", rows, rows)

    def distances(centre: Rows) -> Floats:
        squared = np.maximum(squares - 2 * (rows @ centre) + centre @ centre, 0)
        return np.asarray(np.sqrt(squared), np.float64)

    nearest = np.full(len(rows), np.inf)
    for centre in known:
        nearest = np.minimum(nearest, distances(centre))
    count = np.bincount(classes, minlength=int(candidates.predicted.max(initial=0)) + 1)
    owner = np.full(len(rows), -1)
    free = np.ones(len(rows), bool)
    chosen: list[int] = []
    while len(chosen) < number and free.any():
        distance = nearest if np.isfinite(nearest).all() else 1.0
        score = candidates.uncertainty * np.sqrt(distance / (1 + count[candidates.predicted]))
        best = int(np.where(free, score, -1.0).argmax())
        away = distances(rows[best])
        away[best] = 0
        owner[away < nearest] = len(chosen)
        owner[best] = len(chosen)
        nearest = np.minimum(nearest, away)
        count[candidates.predicted[best]] += 1
        free[best] = False
        if position is not None and apart:
            free &= np.abs(position - position[best]).max(axis=1) >= apart
        chosen.append(best)
    weights = candidates.weight[owner >= 0]
    gain: Floats = np.bincount(owner[owner >= 0], weights, minlength=len(chosen)).astype(np.float64)
    order = np.argsort(-gain, kind="stable")
    return np.array(chosen, np.intp)[order], gain[order]
