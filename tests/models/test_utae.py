"""U-TAE gives the recorded numbers of the published network; padding counts only in its public behaviour."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.models.recorded_peers import load_recorded_weights, observed, recorded

from agrifm.models.stacked import stack_sensors
from agrifm.models.utae import PRESETS, UTAE, UTAEConfig

TINY = {"encoder": (8, 8, 16), "decoder": (8, 8, 16), "dim": 32, "heads": 4, "key": 4}
NAMES = {
    "first": "in_conv.conv.conv",
    "last": "out_conv.conv.conv",
    "temporal.scale": "temporal_encoder.in_norm.weight",
    "temporal.shift": "temporal_encoder.in_norm.bias",
    "temporal.widen": "temporal_encoder.inconv",
    "temporal.attention.query": "temporal_encoder.attention_heads.Q",
    "temporal.attention.key": "temporal_encoder.attention_heads.fc1_k",
    "temporal.dense": "temporal_encoder.mlp",
    "temporal.normalise": "temporal_encoder.out_norm",
}
for number in (0, 1):
    NAMES |= {
        f"down.{number}.reduce": f"down_blocks.{number}.down.conv",
        f"down.{number}.convolution": f"down_blocks.{number}.conv1.conv",
        f"down.{number}.residual": f"down_blocks.{number}.conv2.conv",
        f"up.{number}.skip": f"up_blocks.{number}.skip_conv",
        f"up.{number}.enlarge": f"up_blocks.{number}.up",
        f"up.{number}.convolution": f"up_blocks.{number}.conv1.conv",
        f"up.{number}.residual": f"up_blocks.{number}.conv2.conv",
    }


def tiny(public: bool) -> tuple[UTAE, dict[str, np.ndarray]]:
    """The recorded network, and the recorded arrays."""
    arrays = recorded("utae")
    config = UTAEConfig(channels={"s2": 10}, classes=5, frames=6, season_days=366, public_behaviour=public, **TINY)
    network = UTAE(config).eval()
    load_recorded_weights(network, arrays, NAMES)
    return network, arrays


def test_recorded_logits_and_attention_are_reproduced() -> None:
    """The second sample has two padded dates."""
    network, arrays = tiny(public=True)
    with torch.no_grad():
        logits, attention = network.logits_and_attention({"s2": observed(arrays["in/x"], arrays["in/days"])})
    np.testing.assert_allclose(logits.numpy(), arrays["out/logits"], atol=1e-5)
    np.testing.assert_allclose(attention.transpose(0, 1).numpy(), arrays["out/attention"], atol=1e-5)


def test_without_padding_both_behaviours_are_the_recorded_one() -> None:
    network, arrays = tiny(public=False)
    with torch.no_grad():
        logits = network({"s2": observed(arrays["in/x"], arrays["in/days"])}).numpy()
        alone = network({"s2": observed(arrays["in/x"][1:, :4], arrays["in/days"][1:, :4])}).numpy()
    np.testing.assert_allclose(logits[0], arrays["out/logits"][0], atol=1e-5)
    np.testing.assert_allclose(logits[1], alone[0], atol=1e-5)
    assert np.abs(logits[1] - arrays["out/logits"][1]).max() > 1e-3  # the published answer depends on the padding


def test_one_pixel_is_encoded_as_the_middle_of_an_even_field() -> None:
    """A point of a table has no neighbours; a large field of one colour has the same features in its middle."""
    network, arrays = tiny(public=False)
    point = arrays["in/x"][:1, :, :, :1, :1]
    field = np.tile(point, (1, 1, 1, 32, 32))
    with torch.no_grad():
        encoded = network._levels(stack_sensors({"s2": observed(point)}, {"s2": 10}, 366))
        expected = network._levels(stack_sensors({"s2": observed(field)}, {"s2": 10}, 366))
        logits = network({"s2": observed(point, arrays["in/days"][:1])})
    for level, even in zip(encoded, expected, strict=True):
        middle = even.shape[-1] // 2
        np.testing.assert_allclose(level[..., 0, 0], even[..., middle, middle], atol=1e-5)
    assert logits.shape == (1, 5, 1, 1)


def test_the_base_preset_has_as_many_parameters_as_stated() -> None:
    """Garnot & Landrieu 2021 with 10 bands and 20 classes."""
    with torch.device("meta"):
        network = UTAE(UTAEConfig(channels={"s2": 10}, classes=20, frames=24, season_days=365, **PRESETS["base"]))
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_087_260


def test_widths_that_do_not_fit_are_refused() -> None:
    shape = {"channels": {"s2": 1}, "classes": 2, "frames": 3, "season_days": 90}
    with pytest.raises(ValidationError, match="last width"):
        UTAEConfig(**shape, encoder=(16, 32), decoder=(16, 16))
    with pytest.raises(ValidationError, match="divide"):
        UTAEConfig(**shape, encoder=(16, 32), decoder=(16, 32), heads=5)
