"""Multiply-adds: one layer of each kind and the released decoder by hand."""

import pytest
import torch
from torch import nn

from agrifm.errors import ModelError
from agrifm.models.agrifm.attention import fused_attention
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.models.agrifm.network_cost import count_parameters, forward_multiply_adds, training_multiply_adds
from agrifm.models.cost import count_multiply_adds

META = torch.device("meta")


def counted(layer: nn.Module, *shape: int) -> int:
    """Multiply-adds of a layer on a tensor of that shape."""
    return count_multiply_adds(lambda: layer.to(META)(torch.empty(*shape, device=META)))


def test_layers_of_each_kind_are_counted_as_by_hand() -> None:
    assert counted(nn.Linear(5, 7), 11, 5) == 11 * 5 * 7
    assert counted(nn.Conv2d(5, 7, 1), 2, 5, 6, 4) == 2 * 6 * 4 * 5 * 7
    assert counted(nn.Conv2d(5, 7, 3, padding=1), 2, 5, 6, 4) == 2 * 6 * 4 * 5 * 7 * 9
    assert counted(nn.Conv2d(6, 6, 5, padding=2, groups=6), 1, 6, 8, 8) == 8 * 8 * 6 * 25
    assert counted(nn.Conv2d(12, 7, 4, stride=4), 3, 12, 8, 8) == 3 * 2 * 2 * 12 * 7 * 16


def test_gradients_of_depthwise_convolutions_are_counted_as_by_hand() -> None:
    """One of the weights, and one of the image where it has one."""
    layer = nn.Conv2d(6, 6, 5, padding=2, groups=6).to(META)
    image = torch.empty(1, 6, 8, 8, device=META)
    once = 8 * 8 * 6 * 25
    assert count_multiply_adds(lambda: layer(image).sum().backward()) == 2 * once
    image.requires_grad_()
    assert count_multiply_adds(lambda: layer(image).sum().backward()) == 3 * once


def test_attention_is_two_products_forward_and_four_back() -> None:
    """Q K^T and the weighing of V, R x S x K each, for every window and head; each has two gradients."""
    shape = 3, 2, 10, 8
    q, k, v = (torch.empty(shape, device=META, requires_grad=True) for _ in range(3))
    bias = torch.empty(2, 10, 10, device=META)
    product = 3 * 2 * 10 * 10 * 8
    with torch.no_grad():
        assert count_multiply_adds(lambda: fused_attention(q, k, v, bias, None)) == 2 * product
    assert count_multiply_adds(lambda: fused_attention(q, k, v, bias, None).sum().backward()) == 6 * product


def test_the_released_decoder_is_counted_as_by_hand() -> None:
    """Of the public configuration at 256 pixels: three levels, a last pair of convolutions, the head; 8 classes."""
    pair = 9 * 1024 * (2 * 1024) + 9 * 1024 * 1024
    levels = pair * (32**2 + 64**2 + 128**2)
    last = 2 * 9 * 1024 * 1024 * 128**2
    head = (9 * 1024 * 512 + 512 * 8) * 256**2
    found = forward_multiply_adds(preset("base", {"sentinel-2": 10}, classes=8), frames=32, side=256)
    assert found.decoder == levels + last + head
    assert found.encoders < 0.25 * found.decoder  # 83 percent of the work is the decoder's


def test_a_tiny_encoder_is_counted_as_by_hand() -> None:
    """One window per stage: 48 pixels in patches of 4 are 12 x 12 tokens, but the window is 3 x 3; 24 frames are 6."""
    config = preset("tiny", {"sentinel-2": 10}, classes=8, frames=24)
    expected = 6 * 12 * 12 * 16 * (10 * 4 * 4 * 4)
    for width, (steps, side) in zip((16, 32, 64, 128), ((6, 12), (3, 6), (2, 3), (1, 2)), strict=True):
        tokens, window = steps * side**2, steps * min(side, 3) ** 2
        expected += 2 * tokens * (12 * width**2 + 2 * window * width)
        if width < 128:
            expected += -(-steps // 2) * (-(-side // 2)) ** 2 * 4 * width * 2 * width
    counted = forward_multiply_adds(config, frames=24, side=48).encoders
    assert counted == pytest.approx(expected, rel=0.06)  # shifted windows are cut
    whole = config.model_copy(update={"encoder": config.encoder.model_copy(update={"window": (6, 12, 12)})})
    attention = sum(2 * 2 * (t * s * s) ** 2 * w for w, (t, s) in zip((16, 32), ((6, 12), (3, 6)), strict=True))
    small = sum(2 * 2 * (t * s * s) * t * 9 * w for w, (t, s) in zip((16, 32), ((6, 12), (3, 6)), strict=True))
    assert forward_multiply_adds(whole, frames=24, side=48).encoders == expected - small + attention


def test_parameters_are_those_of_a_network_that_exists() -> None:
    config = preset("tiny", {"sentinel-2": 10, "landsat": 6}, classes=4, frames=8)
    network = AgriFM(config)
    found = count_parameters(config)
    assert sum(found) == sum(parameter.numel() for parameter in network.parameters())
    assert found.decoder == sum(parameter.numel() for parameter in network.decoder.parameters())


def test_training_is_two_to_three_times_the_forward_pass() -> None:
    """A product has two gradients; the first layer needs one of them only, as images have none."""
    config: AgriFMConfig = preset("tiny", {"sentinel-2": 10}, classes=4, frames=8)
    forward = forward_multiply_adds(config, frames=8, side=48).total
    assert 2.5 * forward < training_multiply_adds(config, frames=8, side=48) < 3 * forward


def test_another_length_is_refused() -> None:
    with pytest.raises(ModelError, match="7 frames"):
        forward_multiply_adds(preset("tiny", {"sentinel-2": 10}, classes=4, frames=8), frames=7, side=48)
