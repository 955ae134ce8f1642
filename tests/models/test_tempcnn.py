"""TempCNN gives the recorded numbers of the published network, pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
import torch

from agrifm.errors import ModelError
from agrifm.models.tempcnn import TempCNN, TempCNNConfig, tempcnn_preset

GOLDEN = Path(__file__).parents[1] / "golden" / "tempcnn_tiny.npz"


def test_recorded_log_probabilities_are_reproduced() -> None:
    golden = np.load(GOLDEN)
    config = TempCNNConfig(channels={"s2": 10}, frames=12, classes=5, width=8, kernel=5, dense=32)
    network = TempCNN(config).eval()
    weights = [torch.from_numpy(golden[name]) for name in golden if name.startswith("w/")]
    network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    series = torch.from_numpy(golden["in/x"])[..., None, None]  # (sample, step, band), one pixel each
    with torch.no_grad():
        found = network({"s2": series}).log_softmax(dim=1)[..., 0, 0].numpy()
    np.testing.assert_allclose(found, golden["out/log_probabilities"], atol=1e-5)


def test_the_base_preset_has_as_many_parameters_as_the_paper_says() -> None:
    """Pelletier et al. 2019: 10 bands, 45 steps, 20 classes."""
    network = TempCNN(tempcnn_preset("base", {"sentinel-2": 10}, classes=20, frames=45))
    assert sum(parameter.numel() for parameter in network.parameters()) == 787_924


def test_every_pixel_is_classified_by_itself() -> None:
    torch.manual_seed(0)
    network = TempCNN(tempcnn_preset("tiny", {"a": 2, "b": 1}, classes=3, frames=4)).eval()
    fine, coarse = torch.randn(2, 4, 2, 5, 6), torch.randn(2, 4, 1, 2, 2)
    with torch.no_grad():
        logits = network({"a": fine, "b": coarse})
        assert logits.shape == (2, 3, 5, 6)
        for row, column in ((0, 0), (4, 3)):  # the coarse sensor has pixels of 3 x 3, its second row one pixel less
            alone = {
                "a": fine[..., row : row + 1, column : column + 1],
                "b": coarse[..., row // 3 : row // 3 + 1, column // 3 : column // 3 + 1],
            }
            torch.testing.assert_close(network(alone)[..., 0, 0], logits[..., row, column])


def test_an_absent_sensor_counts_as_its_mean() -> None:
    torch.manual_seed(0)
    network = TempCNN(tempcnn_preset("tiny", {"a": 2, "b": 1}, classes=3, frames=4)).eval()
    fine = torch.randn(1, 4, 2, 3, 3)
    with torch.no_grad():
        absent, mean = network({"a": fine, "b": None}), network({"a": fine, "b": torch.zeros(1, 4, 1, 1, 1)})
    assert torch.equal(absent, mean)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ModelError, match="'tiny'"):
        tempcnn_preset("tinny", {"a": 1}, classes=2, frames=3)
