"""TSViT gives the recorded numbers of the published network; its traps are in its public behaviour only."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.models.recorded_peers import load_recorded_weights, observed, recorded

from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.tsvit import PRESETS, TSViT, TSViTConfig

SHAPE = {"channels": {"s2": 10}, "frames": 6, "season_days": 365}
TINY = {"tile": 8, "dim": 16, "heads": 2, "head": 8, "depths": (2, 2)}
NAMES = {
    "embed": "to_patch_embedding.1",
    "day": "to_temporal_embedding_input",
    "class_tokens": "temporal_token",
    "place": "space_pos_embedding",
    "classify": "mlp_head",
}
for ours, theirs in (("in_time", "temporal_transformer"), ("in_space", "space_transformer")):
    NAMES[f"{ours}.normalise"] = f"{theirs}.norm"
    for layer in (0, 1):
        attention, perceptron = f"{theirs}.layers.{layer}.0", f"{theirs}.layers.{layer}.1"
        NAMES |= {
            f"{ours}.attentions.{layer}.normalise": f"{attention}.norm",
            f"{ours}.attentions.{layer}.qkv": f"{attention}.fn.to_qkv",
            f"{ours}.attentions.{layer}.join": f"{attention}.fn.to_out.0",
            f"{ours}.perceptrons.{layer}.0": f"{perceptron}.norm",
            f"{ours}.perceptrons.{layer}.1": f"{perceptron}.fn.net.0",
            f"{ours}.perceptrons.{layer}.3": f"{perceptron}.fn.net.3",
        }


def tiny(public: bool) -> tuple[TSViT, dict[str, np.ndarray]]:
    """The recorded network, and the recorded arrays."""
    arrays = recorded("tsvit")
    network = TSViT(TSViTConfig(**SHAPE, **TINY, classes=5, public_behaviour=public)).eval()
    load_recorded_weights(network, arrays, NAMES)
    return network, arrays


def series(arrays: dict[str, np.ndarray]) -> ObservedSeries:
    """The recorded series without its channel of days."""
    return observed(arrays["in/x_channels_then_doy"][:, :, :10], arrays["in/day_of_year"] - 1)


def test_recorded_logits_are_reproduced() -> None:
    network, arrays = tiny(public=True)
    with torch.no_grad():
        logits = network({"s2": series(arrays)}).numpy()
    np.testing.assert_allclose(logits, arrays["out/logits"], atol=1e-5)


@pytest.mark.parametrize(("name", "parameters"), [("base", 1_657_476), ("small", 435_524)])
def test_presets_have_as_many_parameters_as_stated(name: str, parameters: int) -> None:
    """The two published sizes with 10 bands and 19 classes."""
    with torch.device("meta"):
        network = TSViT(TSViTConfig(**SHAPE, classes=19, **PRESETS[name]))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_the_published_code_moves_the_scores_of_a_patch_into_a_row() -> None:
    """Without padding, both behaviours have the same scores; only their pixels differ."""
    network, arrays = tiny(public=False)
    with torch.no_grad():
        found = network({"s2": series(arrays)}).numpy()
    assert np.abs(found - arrays["out/logits"]).max() > 0.1
    in_rows = arrays["out/logits"].reshape(2, 5, 4, 4, 2, 2)  # rows and columns of patches, then of pixels
    expected = in_rows.transpose(0, 1, 2, 4, 3, 5).reshape(2, 5, 8, 8)
    # the position 0 is the first day of the season here and, as published, of no date
    shifted = TSViT(network.config).eval()
    weights = network.state_dict()
    weights["day.weight"] = weights["day.weight"].roll(-1, dims=1)
    shifted.load_state_dict(weights)
    with torch.no_grad():
        found = shifted({"s2": series(arrays)}).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_published_division_makes_18_days_early() -> None:
    """Counted with the published arithmetic: 13, 26, 52, 59 and 104 are among them."""
    shape = {"channels": {"s2": 1}, "classes": 2, "frames": 1, "season_days": 366}
    days = torch.arange(1.0, 366)
    positions = {}
    for public in (True, False):
        network = TSViT(TSViTConfig(**shape, dim=4, heads=1, head=4, depths=(1, 1), public_behaviour=public))
        torch.nn.init.zeros_(network.day.bias)
        network.day.weight.data = torch.arange(366.0).expand(4, 366).clone()
        positions[public] = network._day_position(days)[:, 0]
    early = days[positions[True] == days - 1].int().tolist()
    assert {13, 26, 52, 59, 104} <= set(early)
    assert len(early) == 18
    assert (positions[True] >= days - 1).all()
    assert torch.equal(positions[False], days)


@pytest.mark.parametrize("side", [1, 3, 24, 48])
def test_a_window_of_any_size_has_the_answer_of_its_tiles(side: int) -> None:
    torch.manual_seed(0)
    network = TSViT(TSViTConfig(**SHAPE, classes=3, **PRESETS["tiny"])).eval()
    image = torch.randn(1, 6, 10, 48, 48)[..., :side, :side]
    with torch.no_grad():
        whole = network({"s2": image})
        assert whole.shape == (1, 3, side, side)
        if side == 48:
            tile = network({"s2": image[..., 24:, :24]})
            torch.testing.assert_close(whole[..., 24:, :24], tile)


def test_patches_that_do_not_fill_a_tile_are_refused() -> None:
    with pytest.raises(ValidationError, match="patch"):
        TSViTConfig(**SHAPE, classes=3, tile=9)
