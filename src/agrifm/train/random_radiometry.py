"""Random radiometry in pretraining: real data are calibrated and corrected in other ways than simulated ones.

The points of a place keep the same factors, so what tells them apart stays; the network learns to read other data than
the simulator's (domain randomisation, Tobin et al. 2017). The random numbers are those of PyTorch, which the training
loop seeds in every step.
"""

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor

from agrifm.models.batch import TensorBatch
from agrifm.validation import Frozen


class Radiometry(Frozen):
    """How much the values of a batch are changed; 0 leaves them as they are."""

    gain: float = Field(0.1, ge=0)
    """Standard deviation of the logarithm of a place's factor on all its values."""
    band_gain: float = Field(0.06, ge=0)
    """The same of a place's factor on each band."""
    noise: float = Field(0.03, ge=0)
    """Standard deviation of factors on each observation, and on each of its values."""

    @property
    def changes(self) -> bool:
        """Whether anything is changed."""
        return bool(self.gain or self.band_gain or self.noise)


def in_other_radiometry(batch: TensorBatch, how: Radiometry, place_B: Tensor) -> TensorBatch:
    """Return a changed batch; the tensors of the original are not changed.

    Args:
        place_B: (B,), number of the place of each sample.
    """
    places, of_sample = torch.unique(place_B, return_inverse=True)
    images = {}
    for name, image in batch.images.items():
        samples, frames, bands = image.shape[:3]

        def normal(*shape: int, device: torch.device = image.device) -> Tensor:
            return torch.randn(shape, device=device)

        gain = torch.exp(how.gain * normal(len(places), 1) + how.band_gain * normal(len(places), bands))[of_sample]
        noise = (1 + how.noise * normal(samples, frames, 1)) * (1 + how.noise * normal(samples, frames, bands))
        images[name] = image * (gain[:, None] * noise)[..., None, None]
    return replace(batch, images=images)
