"""Trained models of either kind, loaded by path: what mapping and scoring use."""

from collections.abc import Mapping
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
    from agrifm.models.agrifm.network import AgriFM
    from agrifm.models.precision import Precision

SUFFIXES = {"agrifm": ".safetensors", "random-forest": ".skops"}
"""File suffix of each kind of model."""
EXPORTED = ".onnx"
"""File suffix of a network that was exported, with which maps are made without PyTorch."""


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
    precision: "Precision" = "float32"
    """In which it computes (docs/precision.md)."""

    def probabilities(self, sample: Sample) -> NDArray[np.float32]:
        """Class probabilities (classes, H, W) of a sample prepared as the record says (`series`).

        Raises:
            ModelError: the sample is not what the network takes.
        """
        import torch

        from agrifm.inference.tensors import network_input, tensors
        from agrifm.models.precision import computing

        device = next(self.network.parameters()).device
        batch = tensors([sample], self.record.sensors, self.record.absent_sensors).to(device)
        with torch.inference_mode(), computing(self.precision, device):
            logits = self.network(network_input(batch, self.record.sensors, self.record.series))
            found: NDArray[np.float32] = torch.softmax(logits[0].float(), dim=0).cpu().numpy()
        return found

    def require_memory(self, frames: Mapping[str, int], height: int, width: int, about: str, advice: str) -> None:
        """Refuse windows of which one does not fit into the processor's memory, by an estimate.

        Args:
            frames: by sensor that is present.
            height: rows of a window, target pixels.
            width: columns of a window, target pixels.
            about: what is being done, for the error.
            advice: what would need less, likewise.

        Raises:
            ModelError: it does not fit.
        """
        from agrifm.models.cost import memory_needed, require_memory, window_shapes

        if next(self.network.parameters()).device.type == "cpu":
            shapes = window_shapes(self.network.config, frames, 1, height, width)
            require_memory(memory_needed(self.network.config, shapes, training=False), about, advice)


def load_model(path: Path, precision: "Precision" = "float32", compiled: bool = False) -> TrainedModel:
    """Load a model file written by `agrifm train`, on a GPU where there is one, or by `agrifm model export`.

    Args:
        precision: in which a network computes; forests and exported networks have their own.
        compiled: a network is compiled by `torch.compile` at its first pass.

    Raises:
        ModelError: the file is absent, damaged, or of an unknown kind, PyTorch is needed and not installed, the device
            does not compute in that precision, there is nothing to compile with, or the model is no network that could
            be computed in another way.
    """
    if path.suffix in (SUFFIXES["random-forest"], EXPORTED) and (precision != "float32" or compiled):
        raise ModelError(
            f"reading the model {path}: only networks of PyTorch ({SUFFIXES['agrifm']}) compute in another precision "
            "or are compiled; leave `precision` and `compiled` out"
        )
    if path.suffix == SUFFIXES["random-forest"]:
        from agrifm.classic.forest import load_forest

        return load_forest(path)
    if path.suffix == EXPORTED:
        from agrifm.inference.onnx import open_exported

        return open_exported(path)
    _require_torch(path)
    import torch

    from agrifm.models.precision import compile_network, warn_of_precision
    from agrifm.models.weights.file import load_network

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    warn_of_precision(precision, device)
    network, record = load_network(path)
    network = network.to(device)
    return TrainedAgriFM(record, compile_network(network) if compiled else network, precision)


def load_record(path: Path) -> ModelRecord:
    """Only the record of a model file; raises as `load_model` does."""
    if path.suffix in (SUFFIXES["random-forest"], EXPORTED):
        return load_model(path).record
    _require_torch(path)
    from agrifm.models.weights.file import read_record

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
