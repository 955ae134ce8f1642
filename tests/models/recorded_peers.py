"""Outputs recorded from published code, with their random weights under its names (`tests/golden/README.md`)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agrifm.models.agrifm.timeseries import ObservedSeries

GOLDEN = Path(__file__).parents[1] / "golden"


def recorded(name: str) -> dict[str, NDArray]:
    """Arrays of a recorded file: `w/` weights, `in/` inputs, `out/` outputs."""
    with np.load(GOLDEN / f"{name}_tiny.npz") as file:
        return {key: file[key] for key in file.files}


def load_recorded_weights(network: nn.Module, arrays: Mapping[str, NDArray], names: Mapping[str, str]) -> None:
    """Fill a network with all recorded weights.

    Args:
        names: published name of each module or parameter by its name here; the longest that fits counts.
    """
    state, used = {}, set()
    for key, tensor in network.state_dict().items():
        here = max((name for name in names if key == name or key.startswith(f"{name}.")), key=len)
        there = names[here] + key.removeprefix(here)
        weight = torch.from_numpy(arrays[f"w/{there}"])
        if key in names and weight.ndim == 2 and weight.shape != tensor.shape:
            weight = weight.T
        assert weight.numel() == tensor.numel(), key
        state[key] = weight.reshape(tensor.shape)  # kernels of one pixel or step are matrices here
        used.add(f"w/{there}")
    network.load_state_dict(state)
    assert used == {key for key in arrays if key.startswith("w/")}


def observed(image: NDArray, day: NDArray | None = None) -> ObservedSeries:
    """A series (B, T, C, H, W) in which frames of zeros are padding."""
    series = torch.from_numpy(image)
    B, T, _, H, W = series.shape
    real = (series != 0).flatten(2).any(dim=2)
    days: Tensor = torch.arange(T).expand(B, T) if day is None else torch.from_numpy(day)
    return ObservedSeries(
        series, real[:, :, None, None].expand(B, T, H, W), days.float(), torch.ones(B), frames=real.sum(dim=1)
    )
