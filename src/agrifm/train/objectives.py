"""What a network is trained for: a loss, and the validation score that decides which weights are kept.

Shape letters: B samples, K classes, H W rows and columns, h w coarse pixels.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from agrifm.models.batch import TensorBatch
from agrifm.samples.targets import class_fractions
from agrifm.scores import confusion_counts, macro_f1
from agrifm.train.losses import cross_entropy, fractions_loss

LABEL_SMOOTHING = 0.05
"""Share of each label spread over all classes: some fields are mislabelled, and some pixels mixed."""


@dataclass(frozen=True)
class Classification:
    """One class per pixel: cross-entropy with label smoothing, validated by macro F1."""

    scored: NDArray[np.bool_]
    """(K,), classes that macro F1 counts."""
    score_noise: float = 0.05
    """Validation blocks are few, so macro F1 differs by this much between rounds by chance."""
    hidden: float = 0.0
    """Most of the frames of a sample that are hidden in training, as a share: each sample has a share between 0 and
    this, so that the network knows gaps of all sizes; 0 hides none."""

    def loss(self, network: nn.Module, batch: TensorBatch) -> Tensor:
        """Return the mean cross-entropy of labelled pixels, nats."""
        shown = hide_frames(batch, self.hidden) if self.hidden else batch
        return cross_entropy(network(shown), batch.label, smoothing=LABEL_SMOOTHING)

    def validation_sums(self, network: nn.Module, batch: TensorBatch) -> NDArray[np.int64]:
        """Return the confusion counts of labelled pixels (predicted class, true class)."""
        predicted = network(batch).argmax(dim=1).cpu().numpy()
        return confusion_counts(predicted, batch.label.cpu().numpy(), len(self.scored))

    def score(self, sums: NDArray[Any]) -> float:
        """Return macro F1 over the scored classes that occur in the validation blocks; 0 if none does."""
        f1 = macro_f1(sums, self.scored & (sums.sum(axis=0) > 0))
        return 0.0 if np.isnan(f1) else f1


@dataclass(frozen=True)
class Fractions:
    """Shares of the classes in coarse pixels, from the class probabilities of the pixels inside.

    Coarse pixels start at the first row and column of a patch, as in `agrifm.samples.targets.class_fractions`.
    """

    classes: int
    """K."""
    side: int
    """Side of a coarse pixel, target pixels."""
    score_noise: float = 0.01
    """The score is a mean over many pixels, not a mean of few classes, and varies less than macro F1."""

    def loss(self, network: nn.Module, batch: TensorBatch) -> Tensor:
        """Return the mean absolute error of the shares, 0..1, each coarse pixel weighted by its labelled share."""
        error, _ = self._error(network, batch)
        return error

    def validation_sums(self, network: nn.Module, batch: TensorBatch) -> NDArray[np.float64]:
        """Return the sum of weighted errors and the sum of weights (2,)."""
        error, weight = self._error(network, batch)
        return np.array([error.item() * weight.item(), weight.item()])

    def score(self, sums: NDArray[Any]) -> float:
        """Return 1 - the mean absolute error of the shares; 0 if the validation blocks have no labels."""
        error, weight = sums
        return float(1 - error / weight) if weight else 0.0

    def _error(self, network: nn.Module, batch: TensorBatch) -> tuple[Tensor, Tensor]:
        """The weighted mean error of the shares of a batch, and the sum of the weights."""
        probability_BKHW = network(batch).float().softmax(dim=1)
        # Where the patch ends inside a coarse pixel, the mean is that of the part inside.
        share_BKhw = functional.avg_pool2d(probability_BKHW, self.side, ceil_mode=True, count_include_pad=False)
        targets = [class_fractions(label, self.classes, self.side) for label in batch.label.cpu().numpy()]
        target_BKhw, labelled_Bhw = (
            torch.from_numpy(np.stack(arrays)).to(share_BKhw.device) for arrays in zip(*targets, strict=True)
        )
        return fractions_loss(share_BKhw, target_BKhw, labelled_Bhw), labelled_Bhw.sum()


def hide_frames(batch: TensorBatch, most: float) -> TensorBatch:
    """Return the batch with random frames of each sensor and sample not valid.

    Args:
        most: greatest share of hidden frames, 0..1; each sample draws its share between 0 and this.
    """
    valid = {}
    for name, known in batch.valid.items():
        samples, frames = known.shape[:2]
        draws = torch.rand(samples, frames + 1, device=known.device)
        seen = draws[:, 1:] >= most * draws[:, :1]
        valid[name] = known & seen[:, :, None, None]
    return replace(batch, valid=valid)
