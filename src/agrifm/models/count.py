"""How much work a network is: multiply-adds, counted by PyTorch on tensors without content, so nothing is computed.

A multiply-add is one product that is added up: of linear layers, convolutions, and the two products of attention.
Normalisation, activations, resizing and the weighing of padding are not counted.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from agrifm.models.agrifm.network import AgriFM, AgriFMConfig


class Work(NamedTuple):
    """Multiply-adds of a forward pass of one sample."""

    encoders: int
    """Up to the features of all sources."""
    decoder: int
    """Of neck and head, or of the pixel decoder."""

    @property
    def whole(self) -> int:
        """Of both."""
        return self.encoders + self.decoder


class Parameters(NamedTuple):
    """Numbers that are learned."""

    encoders: int
    decoder: int


def work(config: AgriFMConfig, frames: int, side: int) -> Work:
    """Multiply-adds of a forward pass on one sample of plain series.

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
    encoders = sum(by_module["AgriFM.encoders"].values()) // 2
    return Work(encoders, counter.get_total_flops() // 2 - encoders)


def training_work(config: AgriFMConfig, frames: int, side: int) -> int:
    """Multiply-adds of a forward and a backward pass, logits of attention counted as if they were kept.

    Arguments and errors are those of `work`.
    """
    network, images = _without_content(config, frames, side)
    return multiply_adds(lambda: network(images).sum().backward())


def parameters(config: AgriFMConfig) -> Parameters:
    """Learned numbers of the encoders and of everything behind them."""
    with torch.device("meta"):
        network = AgriFM(config)
    encoders = sum(parameter.numel() for parameter in network.encoders.parameters())
    return Parameters(encoders, sum(parameter.numel() for parameter in network.parameters()) - encoders)


def multiply_adds(run: Callable[[], object]) -> int:
    """Multiply-adds of everything that `run` computes.

    PyTorch counts twice as many operations, and knows attention by its products: tensors on the processor, whose
    attention is one operation that it does not know, would lack them, so let `run` work on the `meta` device.
    """
    gradients = {torch.ops.aten.convolution_backward: _of_convolution_backward}
    with FlopCounterMode(display=False, custom_mapping=gradients) as counter:
        run()
    operations: int = counter.get_total_flops()
    return operations // 2


def _of_convolution_backward(
    grad: Sequence[int], x: Sequence[int], weight: Sequence[int], *others: object, **_: object
) -> int:
    """Operations of a convolution's gradients, from shapes: each takes what the convolution took.

    PyTorch's own count takes channels that are convolved by themselves for channels that all meet.
    """
    transposed, wanted = others[4], others[7]  # after bias, stride, padding and dilation; and at the end
    assert isinstance(wanted, Sequence)
    once: int = conv_flop_count(list(x), list(weight), list(grad), bool(transposed))
    return once * sum(bool(one) for one in wanted[:2])


def _without_content(config: AgriFMConfig, frames: int, side: int) -> tuple[AgriFM, dict[str, Tensor]]:
    with torch.device("meta"):
        network = AgriFM(config).eval()
        sides = {source.name: -(-side // source.pixel) for source in config.sources}
        images = {
            source.name: torch.empty(1, frames, source.channels, sides[source.name], sides[source.name])
            for source in config.sources
        }
    if config.pixel_decoder is None:
        network.heads.train()  # otherwise it goes strip by strip and looks at numbers that are not there
    return network, images
