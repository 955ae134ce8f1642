"""What a network of yields is trained for: the mean yield of fields, with the likelihood of its errors.

Labels are means of fields, so a field's estimate is the mean over its pixels in the window: pixels inside a field may
differ, and the yields of a map add up to those of its fields.

Shape letters: B samples, H W rows and columns, P fields of a batch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agrifm.legend import UNLABELLED
from agrifm.models.agrifm.tasks import parcel_means
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier
from agrifm.models.yield_maps import network_yields
from agrifm.recipe import NO_AUGMENTATION, Augmentation
from agrifm.samples.targets import NUMBER
from agrifm.train.augmentation import augment
from agrifm.train.losses import regression_loss
from agrifm.yields import YIELD, YieldScale


@dataclass(frozen=True)
class Yields:
    """The mean yield of each field: Gaussian likelihood with estimated variances, validated by R²."""

    scale: YieldScale
    augmentation: Augmentation = NO_AUGMENTATION
    season_days: int = 365
    score_noise: float = 0.05
    """Validation blocks have few fields, so R² differs by this much between rounds by chance."""

    def loss(self, network: nn.Module, batch: TensorBatch) -> Tensor:
        """Return the mean likelihood of the fields, each weighted by the root of its pixels in the window."""
        estimate_P2, target_P1, pixels_P1 = self._fields(network, augment(batch, self.augmentation, self.season_days))
        return regression_loss(estimate_P2, target_P1, pixels_P1.sqrt(), (self.scale.std,))

    def validation_sums(self, network: nn.Module, batch: TensorBatch) -> NDArray[np.float64]:
        """Return weight, and weighted sums of squared error, yield and squared yield of fields (4,)."""
        estimate_P2, target_P1, pixels_P1 = self._fields(network, batch)
        found, true, weight = (one[:, 0].double().cpu().numpy() for one in (estimate_P2, target_P1, pixels_P1.sqrt()))
        return np.array([weight.sum(), *(weight @ one for one in ((found - true) ** 2, true, true**2))])

    def score(self, sums: NDArray[Any]) -> float:
        """Return R², 1 = without error, 0 = as good as the mean yield; 0 if the validation blocks have no yields."""
        weight, squares, total, total_squares = sums
        variance = total_squares - total**2 / weight if weight else 0.0
        return float(1 - squares / variance) if variance > 0 else 0.0

    def _fields(self, network: nn.Module, batch: TensorBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Estimate and log-variance (P, 2), yield (P, 1) and number of pixels (P, 1) of the fields of a batch."""
        assert isinstance(network, Classifier), "the yields are those of its network"
        yields_B2HW = network_yields(network, batch, self.scale).float()
        target_BHW = batch.targets[YIELD].float()
        number_BHW = batch.targets[NUMBER]
        # a field in several samples counts in each, by what of it is in the window
        apart_BHW = number_BHW + torch.arange(len(number_BHW), device=number_BHW.device)[:, None, None] * (
            number_BHW.max() + 1
        )
        known_BHW = (batch.label != UNLABELLED) & (number_BHW >= 0)
        parcels_BHW = torch.where(known_BHW, apart_BHW, -1)
        layers = [yields_B2HW, torch.where(known_BHW, target_BHW, 0.0)[:, None]]
        means_P3 = parcel_means(torch.cat(layers, dim=1), parcels_BHW)
        _, pixels_P = torch.unique(parcels_BHW[known_BHW], return_counts=True)
        return means_P3[:, :2], means_P3[:, 2:], pixels_P[:, None].float()
