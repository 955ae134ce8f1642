"""The cost of AgriFM on tensors without content: parameters and multiply-adds, of the encoders and of the decoder."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from agrifm.models.agrifm.network import AgriFM, AgriFMConfig
from agrifm.models.cost import count_multiply_adds


class MultiplyAdds(NamedTuple):
    """Multiply-adds of a forward pass of one sample."""

    encoders: int
    """Up to the features of all sources."""
    decoder: int
    """Of neck and head, or of the pixel decoder."""

    @property
    def total(self) -> int:
        """Of both."""
        return self.encoders + self.decoder


class ParameterCount(NamedTuple):
    """Numbers that are learned."""

    encoders: int
    decoder: int


def count_parameters(config: AgriFMConfig) -> ParameterCount:
    """Count the parameters of the encoders and of the rest."""
    with torch.device("meta"):
        network = AgriFM(config)
    encoders = sum(parameter.numel() for parameter in network.encoders.parameters())
    return ParameterCount(encoders, sum(parameter.numel() for parameter in network.parameters()) - encoders)


def forward_multiply_adds(config: AgriFMConfig, frames: int, side: int) -> MultiplyAdds:
    """Count the multiply-adds of a forward pass on one sample of plain series.

    Args:
        frames: images of every series.
        side: rows and columns of the sample, target pixels.

    Raises:
        ModelError: the series do not fit the config.
    """
    network, images = _without_content(config, frames, side)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images)
    by_module = counter.get_flop_counts()
    # PyTorch counts two operations per multiply-add
    encoders = sum(by_module["AgriFM.encoders"].values()) // 2
    return MultiplyAdds(encoders, counter.get_total_flops() // 2 - encoders)


def training_multiply_adds(config: AgriFMConfig, frames: int, side: int) -> int:
    """Count the multiply-adds of a forward and a backward pass, as if the logits of attention were kept.

    Arguments and errors are those of `forward_multiply_adds`.
    """
    network, images = _without_content(config, frames, side)
    return count_multiply_adds(lambda: network(images).sum().backward())


def _without_content(config: AgriFMConfig, frames: int, side: int) -> tuple[AgriFM, dict[str, Tensor]]:
    with torch.device("meta"):
        network = AgriFM(config).eval()
        sides = {source.name: -(-side // source.pixel) for source in config.sources}
        images = {
            source.name: torch.empty(1, frames, source.channels, sides[source.name], sides[source.name])
            for source in config.sources
        }
    if config.pixel_decoder is None:
        network.heads.train()  # in evaluation it works strip by strip and reads values, which meta tensors lack
    return network, images
