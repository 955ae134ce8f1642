"""The objective of pretraining: a weighted sum of terms, and a teacher that corrects labels.

The teacher is the mean of the weights so far (`averaging` of `Hyperparameters`; Tarvainen and Valpola 2017). Labels of
land cover are partly wrong, so in the course of training the student learns more and more from the teacher's estimate:
the target is (1 - share) label + share estimate, where the share grows linearly to `teacher` at the last step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agrifm.models.agrifm.network import AgriFM
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier
from agrifm.recipe import Augmentation
from agrifm.train.augmentation import augment
from agrifm.train.pretraining_terms import TERMS, Outputs, seen_by, shares_error
from agrifm.train.random_radiometry import Radiometry, in_other_radiometry


@dataclass(frozen=True)
class Pretraining:
    """Terms with their weights, on batches of one source."""

    weights: Mapping[str, float]
    """Term -> its weight in the loss; terms of weight 0 are left out."""
    teacher: float
    """Share of the teacher's estimate in the target of land cover at the end, 0..1; 0 = there is no teacher."""
    augmentation: Augmentation
    """Changes of what the network sees; `hidden` decides how many observations are to be reconstructed."""
    season_days: int
    radiometry: Radiometry
    """Random factors on what is seen."""
    score_noise: float = 0.05
    """The loss of the validation varies by this much between rounds by chance."""

    def loss(self, network: nn.Module, batch: TensorBatch) -> Tensor:
        """Return the loss without a teacher."""
        return self.taught_loss(network, None, batch, 0.0)

    def taught_loss(self, network: nn.Module, teacher: nn.Module | None, batch: TensorBatch, progress: float) -> Tensor:
        """Return the loss of a batch, a scalar with a gradient.

        Args:
            teacher: a network like `network`; None = labels alone.
            progress: share of the steps that are done, 0..1.
        """
        if self.radiometry.changes:
            batch = in_other_radiometry(batch, self.radiometry, batch.targets["place"])
        shown = augment(batch, self.augmentation, self.season_days)
        outputs = _outputs(network, shown)
        seen = seen_by(_classifier(network), batch, shown, self.season_days)
        total = outputs["classes"].new_zeros(())
        for name, weight in self.weights.items():
            if not weight:
                continue
            if name == "fractions" and teacher is not None and self.teacher:
                error, count = shares_error(outputs, self._target(teacher, batch, progress))
            else:
                error, count = TERMS[name](outputs, seen)
            total = total + weight * error / count.clamp(min=1)
        return total

    def _target(self, teacher: nn.Module, batch: TensorBatch, progress: float) -> Tensor:
        """Shares of land cover (B, K) that the student learns: labels, corrected by the teacher, who sees all."""
        share = self.teacher * progress
        teacher.eval()
        with torch.no_grad():
            estimate_BK = _outputs(teacher, batch)["classes"].float().softmax(dim=1)[..., 0, 0]
        return (1 - share) * batch.targets["fractions"] + share * estimate_BK

    def validation_sums(self, network: nn.Module, batch: TensorBatch) -> NDArray[np.float64]:
        """Return (2, terms): the sum of the errors and what was counted.

        Every third observation is hidden, so that reconstruction is measured without chance.
        """
        (source,) = batch.images
        shown = dict(batch.valid)
        shown[source] = batch.valid[source].clone()
        shown[source][:, 1::3] = False
        partly = replace(batch, valid=shown)
        outputs = _outputs(network, partly)
        seen = seen_by(_classifier(network), batch, partly, self.season_days)
        sums = [TERMS[name](outputs, seen) for name in self.weights]
        return np.array([[float(error) for error, _ in sums], [float(count) for _, count in sums]])

    def score(self, sums: NDArray[Any]) -> float:
        """Return minus the weighted sum of the mean errors; higher is better."""
        return -sum(
            weight * mean for weight, mean in zip(self.weights.values(), self.means(sums).values(), strict=True)
        )

    def means(self, sums: NDArray[Any]) -> dict[str, float]:
        """Return the mean error of each term."""
        error, count = sums
        return {name: float(error[k] / max(count[k], 1.0)) for k, name in enumerate(self.weights)}


def _classifier(network: nn.Module) -> Classifier:
    assert isinstance(network, Classifier)
    return network


def _outputs(network: nn.Module, batch: TensorBatch) -> Outputs:
    classifier = _classifier(network)
    assert isinstance(classifier.network, AgriFM)
    features = classifier.network.features(classifier.network_input(batch))
    tasks: Outputs = classifier.network.tasks(features, None)
    return {"features": features, "classes": classifier.network.decoder.head(features), **tasks}
