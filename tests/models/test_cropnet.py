"""The CropNet-like network has the published layers, and classifies every pixel by itself."""

import torch

from agrifm.models.cropnet import CropNet, CropNetConfig


def test_the_published_size_has_the_parameters_of_its_layers() -> None:
    """By hand: 3 x 3 kernels of 128 channels, one from a single channel and seven from 128, each with a bias and two
    numbers per channel of normalisation; then 128 weights and a bias for each of 20 classes."""
    network = CropNet(CropNetConfig(channels={"sentinel-2": 10}, frames=43, classes=20))
    expected = (9 * 128 + 3 * 128) + 7 * (9 * 128 * 128 + 3 * 128) + 20 * 129
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_bands_and_steps_are_halved_once() -> None:
    network = CropNet(CropNetConfig(channels={"sentinel-2": 10}, frames=43, classes=20, width=4)).eval()
    seen: list[torch.Size] = []
    network.blocks.register_forward_hook(lambda *parts: seen.append(parts[2].shape))
    with torch.no_grad():
        network({"sentinel-2": torch.randn(1, 43, 10, 2, 3)})
    assert seen == [torch.Size((6, 4, 5, 22))]


def test_every_pixel_is_classified_by_itself() -> None:
    torch.manual_seed(0)
    network = CropNet(CropNetConfig(channels={"a": 2, "b": 1}, frames=5, classes=3, width=8)).eval()
    fine, coarse = torch.randn(2, 5, 2, 4, 6), torch.randn(2, 5, 1, 2, 3)
    with torch.no_grad():
        whole = network({"a": fine, "b": coarse})
        alone = network({"a": fine[..., 3:, 2:3], "b": coarse[..., 1:, 1:2]})
    assert whole.shape == (2, 3, 4, 6)
    torch.testing.assert_close(alone[..., 0, 0], whole[..., 3, 2])


def test_an_absent_sensor_counts_as_its_mean() -> None:
    torch.manual_seed(0)
    network = CropNet(CropNetConfig(channels={"a": 2, "b": 1}, frames=5, classes=3, width=8)).eval()
    fine = torch.randn(1, 5, 2, 3, 3)
    with torch.no_grad():
        absent, mean = network({"a": fine, "b": None}), network({"a": fine, "b": torch.zeros(1, 5, 1, 1, 1)})
    assert torch.equal(absent, mean)
