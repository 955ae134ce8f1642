"""What a network is trained for: a loss, and the validation score that decides which weights are kept.

Shape letters: B samples, K classes, H W rows and columns, h w coarse pixels.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from agrifm.errors import ConfigError
from agrifm.fields.field_quality import LEAST_PIXELS, object_counts, object_f1
from agrifm.fields.segments import SegmentRule, maps_in_memory, segment_fields
from agrifm.inference.field_maps import as_probabilities, network_field_maps
from agrifm.legend import UNLABELLED, Legend
from agrifm.model_config import ModelConfig
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier
from agrifm.recipe import NO_AUGMENTATION, Augmentation, Recipe
from agrifm.samples.targets import MAPS, NUMBER, class_fractions
from agrifm.scores import confusion_counts, macro_f1
from agrifm.shares import SHARES
from agrifm.train.augmentation import augment
from agrifm.train.losses import boundaries_loss, cross_entropy, fractions_loss

LABEL_SMOOTHING = 0.05
"""Share of each label spread over all classes: some fields are mislabelled, and some pixels mixed."""


@dataclass(frozen=True)
class Classification:
    """One class per pixel: cross-entropy with label smoothing, validated by macro F1."""

    scored: NDArray[np.bool_]
    """(K,), classes that macro F1 counts."""
    score_noise: float = 0.05
    """Validation blocks are few, so macro F1 differs by this much between rounds by chance."""
    augmentation: Augmentation = NO_AUGMENTATION
    """Random changes of the batches of training."""
    season_days: int = 365
    """Length of the season, for the augmentation."""
    log_share: tuple[float, ...] | None = None
    """(K,), logarithm of each class's share of the training labels: then the loss is that of logits adjusted by it,
    so that rare classes count as much as frequent ones (Menon et al. 2021, equation 10, tau = 1); None = not."""

    def loss(self, network: nn.Module, batch: TensorBatch) -> Tensor:
        """Return the mean cross-entropy of labelled pixels, weighted by sample where the batch has weights, nats."""
        logits_BKHW = network(augment(batch, self.augmentation, self.season_days))
        if self.log_share is not None:
            logits_BKHW = logits_BKHW + logits_BKHW.new_tensor(self.log_share)[:, None, None]
        return cross_entropy(logits_BKHW, batch.label, smoothing=LABEL_SMOOTHING, weight_B=batch.weight)

    def validation_sums(self, network: nn.Module, batch: TensorBatch) -> NDArray[np.int64]:
        """Return the confusion counts of labelled pixels (predicted class, true class)."""
        predicted = network(batch).argmax(dim=1).cpu().numpy()
        return confusion_counts(predicted, batch.label.cpu().numpy(), len(self.scored))

    def score(self, sums: NDArray[Any]) -> float:
        """Return macro F1 over the scored classes that occur in the validation blocks; 0 if none does."""
        f1 = macro_f1(sums, self.scored & (sums.sum(axis=0) > 0))
        return 0.0 if np.isnan(f1) else f1


def classification(legend: Legend, counts: NDArray[Any], recipe: Recipe, season_days: int) -> Classification:
    """Return the objective of a recipe.

    Args:
        counts: (K,), labels of each class, of which shares follow if the recipe adjusts logits; a class without labels
            counts as one label.
        season_days: length of the season.
    """
    shares = np.where(counts > 0, counts, 1)
    return Classification(
        np.array([entry.scored for entry in legend.classes]),
        augmentation=recipe,
        season_days=season_days,
        log_share=tuple(np.log(shares / shares.sum()).tolist()) if recipe.logit_adjustment else None,
    )


def cube_recipe(config: ModelConfig) -> Recipe:
    """Return the recipe of networks on a cube; by default they are trained on batches as they are.

    Raises:
        ConfigError: the recipe changes what interpolated series do not have.
    """
    recipe = config.recipe or Recipe()
    if config.series == "interpolated" and recipe != recipe.without_dates:
        raise ConfigError(
            "training on a cube: `shift`, `stretch` and `bands` of [model.recipe] change dates and absent bands, which "
            'interpolated series do not have; set `series` to "composites" or "observed", or leave them out',
            series=config.series,
        )
    return recipe


@dataclass(frozen=True)
class Fractions:
    """Shares of the classes in coarse pixels, from the class probabilities of the pixels inside.

    Coarse pixels start at the first row and column of a patch, as in `agrifm.samples.targets.class_fractions`. True
    shares are counted from the labels, or are the target `agrifm.shares.SHARES` of the samples, which are then coarse
    pixels themselves (`side` 1).
    """

    classes: int
    """K."""
    side: int
    """Side of a coarse pixel, target pixels."""
    score_noise: float = 0.01
    """The score is a mean over many pixels, not a mean of few classes, and varies less than macro F1."""
    kind: Literal["l1", "cross_entropy"] = "l1"
    """Of the loss; validation is by the mean absolute error always."""
    augmentation: Augmentation = NO_AUGMENTATION
    season_days: int = 365

    def loss(self, network: nn.Module, batch: TensorBatch) -> Tensor:
        """Return the mean error of the shares, each coarse pixel weighted by its labelled share."""
        error, _ = self._error(network, augment(batch, self.augmentation, self.season_days), self.kind)
        return error

    def validation_sums(self, network: nn.Module, batch: TensorBatch) -> NDArray[np.float64]:
        """Return the sum of weighted errors and the sum of weights (2,)."""
        error, weight = self._error(network, batch, "l1")
        return np.array([error.item() * weight.item(), weight.item()])

    def score(self, sums: NDArray[Any]) -> float:
        """Return 1 - the mean absolute error of the shares; 0 if the validation blocks have no labels."""
        error, weight = sums
        return float(1 - error / weight) if weight else 0.0

    def _error(
        self, network: nn.Module, batch: TensorBatch, kind: Literal["l1", "cross_entropy"]
    ) -> tuple[Tensor, Tensor]:
        """The weighted mean error of the shares of a batch, and the sum of the weights."""
        probability_BKHW = network(batch).float().softmax(dim=1)
        if SHARES in batch.targets:
            known_BHW = (batch.label != UNLABELLED).float()
            return fractions_loss(probability_BKHW, batch.targets[SHARES], known_BHW, kind), known_BHW.sum()
        # Where the patch ends inside a coarse pixel, the mean is that of the part inside.
        share_BKhw = functional.avg_pool2d(probability_BKHW, self.side, ceil_mode=True, count_include_pad=False)
        targets = [class_fractions(label, self.classes, self.side) for label in batch.label.cpu().numpy()]
        target_BKhw, labelled_Bhw = (
            torch.from_numpy(np.stack(arrays)).to(share_BKhw.device) for arrays in zip(*targets, strict=True)
        )
        return fractions_loss(share_BKhw, target_BKhw, labelled_Bhw, kind), labelled_Bhw.sum()


USUAL_RULE = SegmentRule()


@dataclass(frozen=True)
class Boundaries:
    """Boundary, distance and extent of fields, validated by object F1 of the fields that grow from them.

    Fields of a window that are cut by its edge, or by land of other blocks, count in parts.
    """

    rule: SegmentRule = USUAL_RULE
    """How fields grow."""
    augmentation: Augmentation = NO_AUGMENTATION
    season_days: int = 365
    score_noise: float = 0.1
    """Validation blocks have few fields, and the rule by which they grow is not fitted yet."""

    def loss(self, network: nn.Module, batch: TensorBatch) -> Tensor:
        """Return the sum of the losses of the three maps where they are known."""
        assert isinstance(network, Classifier), "the maps are those of its network"
        maps_B3HW = network_field_maps(network, augment(batch, self.augmentation, self.season_days))
        return boundaries_loss(maps_B3HW, batch.targets[MAPS], batch.label != UNLABELLED)

    def validation_sums(self, network: nn.Module, batch: TensorBatch) -> NDArray[np.int64]:
        """Return how many fields correspond, were predicted, and are in the labels, (3,)."""
        assert isinstance(network, Classifier)
        found = as_probabilities(network_field_maps(network, batch)).cpu().numpy()
        counts = np.zeros(3, np.int64)
        for maps, number, label in zip(
            found, batch.targets[NUMBER].cpu().numpy(), batch.label.cpu().numpy(), strict=True
        ):
            grown = segment_fields(maps_in_memory(maps), label.shape, self.rule)
            counts += object_counts(grown.number, number, label != UNLABELLED, LEAST_PIXELS)
        return counts

    def score(self, sums: NDArray[Any]) -> float:
        """Return object F1 (`agrifm.fields.field_quality.object_f1`)."""
        return object_f1(sums)
