"""L-TAE gives the recorded numbers of the published network; gaps and padding do not count."""

import numpy as np
import pytest
import torch
from tests.models.recorded_peers import load_recorded_weights, recorded

from agrifm.models.ltae import LTAE, PRESETS, LTAEConfig, TemporalEncoder, day_sinusoids, normalise_groups

NAMES = {
    "normalise": "inlayernorm",
    "widen": "inconv.0",
    "scale": "inconv.1.weight",
    "shift": "inconv.1.bias",
    "attention.query": "attention_heads.Q",
    "attention.key": "attention_heads.fc1_k",
    "dense": "mlp",
    "normalise_embedding": "outlayernorm",
}


def test_recorded_embeddings_and_attention_are_reproduced() -> None:
    arrays = {key: array for key, array in recorded("ltae").items() if key != "w/position_enc.weight"}
    encoder = TemporalEncoder(16, dim=32, heads=4, key=4, embedding=16, dropout=0.2, steps=6).eval()
    load_recorded_weights(encoder, arrays, NAMES)
    days = torch.tensor([10, 25, 60, 61, 120, 200]).expand(3, 6)
    with torch.no_grad():
        embedding, attention = encoder(torch.from_numpy(arrays["in/x"]), torch.ones(3, 6, dtype=torch.bool), days)
    np.testing.assert_allclose(embedding.numpy(), arrays["out/embedding"], atol=1e-5)
    np.testing.assert_allclose(attention.transpose(0, 1).numpy(), arrays["out/attention"], atol=1e-5)


def test_sinusoids_of_days_are_those_of_the_published_table() -> None:
    found = day_sinusoids(torch.tensor([10, 25, 60, 61, 120, 200]), dim=32, heads=4)
    np.testing.assert_allclose(found.numpy(), recorded("ltae")["w/position_enc.weight"], atol=1e-5)


def test_the_published_shape_has_as_many_parameters_as_stated() -> None:
    """The published configuration: 128 channels from the pixel-set encoder, 24 steps."""
    with torch.device("meta"):
        config = LTAEConfig(channels={"s2": 10}, classes=20, frames=24, season_days=365, **PRESETS["base"])
        encoder = TemporalEncoder(
            128, config.dim, config.heads, config.key, config.embedding, config.dropout, config.frames
        )
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 112_000


def test_normalisation_is_group_normalisation_of_the_valid_frames_alone() -> None:
    torch.manual_seed(0)
    series, valid = torch.randn(1, 7, 6), torch.tensor([[True, False, True, True, False, True, True]])
    expected = torch.nn.functional.group_norm(series[:, valid[0]].transpose(1, 2), 3).transpose(1, 2)
    torch.testing.assert_close(normalise_groups(series, valid, 3)[:, valid[0]], expected, atol=1e-5, rtol=0)


def test_every_pixel_is_classified_by_itself() -> None:
    torch.manual_seed(0)
    config = LTAEConfig(channels={"a": 2}, classes=3, frames=4, season_days=90, **PRESETS["tiny"])
    network, images = LTAE(config).eval(), torch.randn(1, 4, 2, 5, 6)
    with torch.no_grad():
        whole, alone = network({"a": images}), network({"a": images[..., 3:4, 2:3]})
    torch.testing.assert_close(alone[..., 0, 0], whole[..., 3, 2])


@pytest.mark.parametrize("public", [False, True])
def test_a_gap_counts_only_if_the_public_behaviour_is_chosen(public: bool) -> None:
    torch.manual_seed(0)
    encoder = TemporalEncoder(3, dim=16, heads=4, key=4, embedding=8, dropout=0.2, steps=None).eval()
    series, day = torch.randn(2, 5, 3), torch.arange(5).expand(2, 5) * 20
    valid = torch.tensor([True, True, False, True, True]).expand(2, 5)
    counted = torch.ones_like(valid) if public else valid
    with torch.no_grad():
        with_gap, _ = encoder(series * valid[..., None], counted, day)
        without, _ = encoder(series[:, valid[0]], counted[:, valid[0]], day[:, valid[0]])
    assert torch.allclose(with_gap, without, atol=1e-5) != public
