"""Recorded outputs and weight files of released networks, which are not part of the repository."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.data_sets import PEERS


def released_outputs(name: str) -> dict[str, NDArray[np.float32]]:
    """Arrays of a recording by name; skips the test where there is none."""
    path = PEERS / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"needs the recorded outputs {path.name}, which are not distributed with agrifm")
    content = np.load(path)
    return {key: content[key] for key in content if key != "config"}


def released_file(name: str) -> Path:
    """Path of a released weight file; skips the test where there is none."""
    path = PEERS / "weights" / name
    if not path.exists():
        pytest.skip(f"needs the released weights {name}, which are not distributed with agrifm")
    return path


def pretend_released(encoder: torch.nn.Module, path: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    """Write a file like a released one with random weights; returns its tensors."""
    generator = torch.Generator().manual_seed(0)
    state = {
        f"{prefix}{name}": 0.1 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in encoder.state_dict().items()
    }
    torch.save(state, path)
    return state
