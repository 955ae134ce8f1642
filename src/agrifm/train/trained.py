"""Trained models of either kind, loaded by path: what mapping and scoring use."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import ModelError
from agrifm.record import ModelRecord
from agrifm.samples.sample import Sample

if TYPE_CHECKING:
    from agrifm.models.agrifm import AgriFM

SUFFIXES = {"agrifm": ".safetensors", "random-forest": ".skops"}
"""File suffix of each kind of model."""


class TrainedModel(Protocol):
    """A network or forest with its record."""

    @property
    def record(self) -> ModelRecord:
        """What the model expects and was trained on."""

    def probabilities(self, sample: Sample) -> NDArray[np.float32]:
        """Class probabilities (classes, H, W) of a sample whose series are those of the record."""


@dataclass(frozen=True)
class TrainedAgriFM:
    """AgriFM in evaluation mode."""

    record: ModelRecord
    network: "AgriFM"

    def probabilities(self, sample: Sample) -> NDArray[np.float32]:
        """Class probabilities (classes, H, W) of a sample prepared as the record says (`series`).

        Raises:
            ModelError: the sample is not what the network takes.
        """
        import torch

        from agrifm.train.batch import network_input, tensors

        device = next(self.network.parameters()).device
        batch = tensors([sample], self.record.sensors, self.record.absent_sensors).to(device)
        with torch.inference_mode():
            logits = self.network(network_input(batch, self.record.sensors, self.record.series))
            found: NDArray[np.float32] = torch.softmax(logits[0], dim=0).cpu().numpy()
        return found


def load_model(path: Path) -> TrainedModel:
    """Load a model file written by `agrifm train`; on a GPU where there is one.

    Raises:
        ModelError: the file is absent, damaged, or of an unknown kind, or PyTorch is needed and not installed.
    """
    if path.suffix == SUFFIXES["random-forest"]:
        from agrifm.classic.forest import load_forest

        return load_forest(path)
    _require_torch(path)
    import torch

    from agrifm.models.weights import load_network

    network, record = load_network(path)
    return TrainedAgriFM(record, network.to("cuda" if torch.cuda.is_available() else "cpu"))


def load_record(path: Path) -> ModelRecord:
    """Only the record of a model file; raises as `load_model` does."""
    if path.suffix == SUFFIXES["random-forest"]:
        return load_model(path).record
    _require_torch(path)
    from agrifm.models.weights import read_record

    return read_record(path)


def _require_torch(path: Path) -> None:
    if path.suffix != SUFFIXES["agrifm"]:
        raise ModelError(
            f"reading the model {path}: a model file ends in {' or '.join(SUFFIXES.values())}; `agrifm train` writes it"
        )
    if find_spec("torch") is None:
        raise ModelError(
            f"reading the model {path}: AgriFM needs PyTorch, which is not installed; pip install 'agrifm[deep]'"
        )
