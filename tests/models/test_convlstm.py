"""ConvLSTM gives the recorded numbers of the published network; padding counts only in its public behaviour."""

import numpy as np
import torch
from tests.models.recorded_peers import load_recorded_weights, observed, recorded

from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.convlstm import PRESETS, ConvLSTM, ConvLSTMConfig

NAMES = {"gates": "convlstm_encoder.cell_list.0.conv", "classify": "classification_layer"}


def tiny(public: bool) -> tuple[ConvLSTM, dict[str, np.ndarray]]:
    """The recorded network, and the recorded arrays."""
    arrays = recorded("convlstm")
    shape = {"channels": {"s2": 10}, "classes": 5, "frames": 6, "season_days": 90, "hidden": 8}
    network = ConvLSTM(ConvLSTMConfig(**shape, public_behaviour=public)).eval()
    load_recorded_weights(network, arrays, NAMES)
    return network, arrays


def test_recorded_logits_are_reproduced() -> None:
    """The second sample has two padded dates, after which the published code takes the state."""
    network, arrays = tiny(public=True)
    with torch.no_grad():
        logits = network({"s2": observed(arrays["in/x"])}).numpy()
    np.testing.assert_allclose(logits, arrays["out/logits"], atol=1e-5)


def test_a_padded_sample_has_the_recorded_answer_of_the_sample_alone() -> None:
    network, arrays = tiny(public=False)
    with torch.no_grad():
        logits = network({"s2": observed(arrays["in/x"])}).numpy()
    np.testing.assert_allclose(logits[0], arrays["out/logits"][0], atol=1e-5)
    np.testing.assert_allclose(logits[1:], arrays["out/logits_second_sample_without_padding"], atol=1e-5)


def test_a_pixel_keeps_its_state_in_a_gap() -> None:
    """With kernels of one pixel a pixel with gaps has the answer of its valid frames alone."""
    torch.manual_seed(0)
    shape = {"channels": {"s2": 2}, "classes": 3, "frames": 5, "season_days": 90, "hidden": 4, "kernel": 1}
    network = ConvLSTM(ConvLSTMConfig(**shape)).eval()
    torch.nn.init.zeros_(network.classify.weight[:, :, 0])
    network.classify.weight.data[:, :, :, 0] = network.classify.weight.data[:, :, :, 2] = 0
    network.classify.weight.data[:, :, 2] = 0
    image, valid = torch.randn(1, 5, 2, 3, 3), torch.ones(1, 5, 3, 3, dtype=torch.bool)
    valid[:, (1, 3), 1, 2] = False
    day, first = torch.arange(5.0).expand(1, 5), torch.ones(1)
    with torch.no_grad():
        gaps = network({"s2": ObservedSeries(image, valid, day, first)})
        frames = [0, 2, 4]
        without = network({"s2": ObservedSeries(image[:, frames], valid[:, frames], day[:, frames], first)})
    torch.testing.assert_close(gaps[..., 1, 2], without[..., 1, 2])


def test_the_base_preset_has_as_many_parameters_as_stated() -> None:
    """The comparison of Garnot & Landrieu 2021 with 10 bands and 20 classes."""
    with torch.device("meta"):
        shape = {"channels": {"s2": 10}, "classes": 20, "frames": 24, "season_days": 365}
        network = ConvLSTM(ConvLSTMConfig(**shape, **PRESETS["base"]))
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_008_660
