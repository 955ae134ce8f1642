"""The 3D U-Net gives the recorded numbers of the published network; padding counts only in its public behaviour."""

import numpy as np
import pytest
import torch
from tests.models.recorded_peers import load_recorded_weights, observed, recorded

from agrifm.models.unet3d import PRESETS, UNet3D, UNet3DConfig, _FrameNorm

NAMES = {
    "enlarge_lowest": "center_out.3",
    "lowest.convolutions.0": "center_in.0",
    "lowest.normalisations.0": "center_in.1",
    "lowest.convolutions.1": "center_out.0",
    "lowest.normalisations.1": "center_out.1",
    "enlarge_second": "trans3.0",
    "normalise_second": "trans3.1",
    "classify": "final",
}
for ours, theirs in (("first", "en3"), ("second", "en4"), ("joined_second", "dc4"), ("joined_first", "dc3")):
    for number in (0, 1):
        NAMES[f"{ours}.convolutions.{number}"] = f"{theirs}.{3 * number}"
        NAMES[f"{ours}.normalisations.{number}"] = f"{theirs}.{3 * number + 1}"


def tiny(public: bool) -> tuple[UNet3D, dict[str, np.ndarray]]:
    """The recorded network, and the recorded arrays."""
    arrays = recorded("unet3d")
    shape = {"channels": {"s2": 10}, "classes": 5, "frames": 8, "season_days": 90, "width": 8}
    network = UNet3D(UNet3DConfig(**shape, public_behaviour=public)).eval()
    load_recorded_weights(network, arrays, NAMES)
    return network, arrays


def test_recorded_logits_are_reproduced() -> None:
    """The second sample has two padded dates."""
    network, arrays = tiny(public=True)
    with torch.no_grad():
        logits = network({"s2": observed(arrays["in/x"])}).numpy()
    np.testing.assert_allclose(logits, arrays["out/logits"], atol=1e-5)


def test_padding_changes_the_public_answer_only() -> None:
    network, arrays = tiny(public=False)
    with torch.no_grad():
        logits = network({"s2": observed(arrays["in/x"])}).numpy()
        alone = network({"s2": observed(arrays["in/x"][1:, :6])}).numpy()
    np.testing.assert_allclose(logits[0], arrays["out/logits"][0], atol=1e-5)
    np.testing.assert_allclose(logits[1], alone[0], atol=1e-5)
    assert np.abs(logits[1] - arrays["out/logits"][1]).max() > 1e-3


def test_the_base_preset_has_as_many_parameters_as_stated() -> None:
    """The comparison of Garnot & Landrieu 2021 with 10 bands and 20 classes."""
    with torch.device("meta"):
        shape = {"channels": {"s2": 10}, "classes": 20, "frames": 24, "season_days": 365}
        network = UNet3D(UNet3DConfig(**shape, **PRESETS["base"]))
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_553_796


@pytest.mark.parametrize("training", [True, False])
def test_statistics_in_training_are_those_of_the_frames_that_count(training: bool) -> None:
    torch.manual_seed(0)
    ours, usual = _FrameNorm(3).train(training), torch.nn.BatchNorm3d(3).train(training)
    x, real = torch.randn(2, 3, 5, 4, 4) + 1, torch.tensor([True, False, True, True, False])
    with torch.no_grad():
        found, expected = ours(x, real.reshape(1, 1, 5, 1, 1).expand(2, 1, 5, 1, 1)), usual(x[:, :, real])
    torch.testing.assert_close(found[:, :, real], expected)
    torch.testing.assert_close(ours.running_mean, usual.running_mean)
    torch.testing.assert_close(ours.running_var, usual.running_var)
