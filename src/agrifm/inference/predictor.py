"""Trained models of every family, loaded by path, as mapping and scoring use them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agrifm.calibration import calibrated
from agrifm.errors import ModelError, doing, require_installed
from agrifm.files import AnyPath, as_path
from agrifm.inference.mean import load_mean, read_mean
from agrifm.inference.pixels import PIXELS_AT_ONCE, pixel_groups
from agrifm.models.precision import (
    DEFAULT_COMPUTE,
    Compute,
    Precision,
    compile_network,
    computing,
    warn_of_precision,
)
from agrifm.record import ModelRecord, target_pixels, yield_scale
from agrifm.samples.sample import Sample

if TYPE_CHECKING:
    from agrifm.models.classifier import Classifier

NETWORK, FOREST, EXPORTED, MEAN = ".safetensors", ".skops", ".onnx", ".json"
"""File formats of models: a PyTorch network, a classic model, an exported network, which runs without PyTorch, and the
mean of several models (`agrifm.inference.mean`)."""


class TrainedModel(Protocol):
    """A network or classic model with its record."""

    @property
    def record(self) -> ModelRecord:
        """What the model expects and was trained on."""

    def probabilities(self, sample: Sample) -> NDArray[np.float32]:
        """Return class probabilities (classes, H, W), calibrated, of a sample whose series are those of the record."""


@dataclass(frozen=True)
class TorchModel:
    """A network of any family in evaluation mode."""

    record: ModelRecord
    classifier: "Classifier"
    precision: Precision = "float32"
    """In which it computes (docs/precision.md)."""

    def probabilities(self, sample: Sample) -> NDArray[np.float32]:
        """Return class probabilities (classes, H, W), calibrated, of a sample prepared as the record says (`series`).

        A model of boundaries returns its maps instead (`agrifm.record.FIELD_MAPS`), one of yields shares of its highest
        yield (`agrifm.yields.YIELD_LAYERS`).

        Raises:
            ModelError: the sample does not fit the model.
        """
        return calibrated(self.record.calibration, self._computed(sample))

    def _computed(self, sample: Sample) -> NDArray[np.float32]:
        """The network's probabilities (classes, H, W), before calibration."""
        import torch

        from agrifm.inference.field_maps import as_probabilities, network_field_maps
        from agrifm.inference.tensors import tensor_batch
        from agrifm.models.yield_maps import as_yield_shares, network_yields

        if self.record.side == 1 and self.record.series == "observed":
            return self._of_pixels(sample)
        device = next(self.classifier.parameters()).device
        batch = tensor_batch([sample], self.record.sensors, self.record.absent_sensors).to(device)
        with torch.inference_mode(), computing(self.precision, device):
            if self.record.task == "boundaries":
                found = as_probabilities(network_field_maps(self.classifier, batch))[0]
            elif self.record.task == "yield":
                scale = yield_scale(self.record)
                found = as_yield_shares(network_yields(self.classifier, batch, scale), scale)[0]
            else:
                found = torch.softmax(self.classifier(batch)[0].float(), dim=0)
            result: NDArray[np.float32] = found.cpu().numpy()
        return result

    def of_places(self, samples: Sequence[Sample]) -> NDArray[np.float32]:
        """Return class probabilities (P, classes), calibrated, of samples of one pixel, at least one.

        Raises:
            ModelError: a sample does not fit the model.
        """
        import torch

        from agrifm.inference.batching import place_logits

        record, device = self.record, next(self.classifier.parameters()).device
        with torch.inference_mode(), computing(self.precision, device):
            logits = place_logits(self.classifier, samples, record.sensors, record.absent_sensors)
        found: NDArray[np.float32] = torch.softmax(logits.float(), dim=1).cpu().numpy()
        return calibrated(record.calibration, found, axis=1)

    def _of_pixels(self, sample: Sample) -> NDArray[np.float32]:
        """Class probabilities (classes, H, W) of a model of single pixels; alike where there is no observation."""
        import torch

        from agrifm.inference.tensors import tensor_batch

        classes = len(self.record.legend)
        result = np.full((classes, sample.label.size), 1 / classes, np.float32)
        device = next(self.classifier.parameters()).device
        for samples, chosen in pixel_groups(sample, PIXELS_AT_ONCE):
            batch = tensor_batch(samples, self.record.sensors, self.record.absent_sensors).to(device)
            with torch.inference_mode(), computing(self.precision, device):
                probabilities = torch.softmax(self.classifier(batch)[:, :, 0, 0].float(), dim=1)
            result[:, chosen] = probabilities.cpu().numpy().T
        return result.reshape(classes, *sample.label.shape)

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
        from agrifm.models.cost import require_memory, window_shapes
        from agrifm.models.family import FAMILIES

        config: Any = self.classifier.network.config
        batch = 1
        if self.record.side == 1:  # a model of single pixels takes a window apart
            height, width, batch = 1, 1, PIXELS_AT_ONCE
        if next(self.classifier.parameters()).device.type == "cpu":
            shapes = window_shapes(target_pixels(self.record.sensors), frames, batch, height, width)
            needed = FAMILIES[self.record.family].memory_needed(config, shapes, training=False)
            require_memory(needed, about, advice)


def load_model(path: AnyPath, compute: Compute = DEFAULT_COMPUTE) -> TrainedModel:
    """Load a model file written by `agrifm train` or `agrifm model export`; networks use a GPU if there is one.

    Args:
        compute: how a PyTorch network computes (`recompute` concerns training only); classic models and exported
            networks compute in one way.

    Raises:
        ModelError: the file is absent, damaged, or of an unknown kind; PyTorch or another package is needed and not
            installed; the device cannot compute in that precision; or the model does not run on PyTorch and cannot
            be computed in another way.
    """
    path = as_path(path)
    if path.suffix == MEAN:
        return load_mean(path, partial(_load_member, compute))
    if path.suffix in (FOREST, EXPORTED) and compute != DEFAULT_COMPUTE:
        raise ModelError(
            f"reading the model {path}: only PyTorch networks ({NETWORK}) compute in another precision or are "
            "compiled; leave `compute` out"
        )
    if path.suffix == FOREST:
        from agrifm.classic.classic_model import load_classic

        return load_classic(path)
    if path.suffix == EXPORTED:
        from agrifm.inference.onnx import open_exported

        return open_exported(path)
    _require_torch(path)
    import torch

    from agrifm.models.classifier import Classifier
    from agrifm.models.weights.file import load_network

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    warn_of_precision(compute.precision, device)
    network, record = load_network(path)
    with doing(f"reading the model {path}", ModelError, "train it again", path=path):
        classifier = Classifier(
            compile_network(network) if compute.compiled else network, record.sensors, record.series
        )
    return TorchModel(record, classifier.to(device).eval(), compute.precision)


def _load_member(compute: Compute, path: Path) -> TrainedModel:
    return uncalibrated(load_model(path, compute if path.suffix == NETWORK else DEFAULT_COMPUTE))


def uncalibrated(model: TrainedModel) -> TrainedModel:
    """Return a model whose probabilities are those before calibration, to average or blend them first."""
    if model.record.calibration is None:
        return model
    stored: Any = model
    plain: TrainedModel = replace(stored, record=model.record.model_copy(update={"calibration": None}))
    return plain


def load_record(path: AnyPath) -> ModelRecord:
    """Read only the record of a model file, of a mean without its members; raises as `load_model` does."""
    path = as_path(path)
    if path.suffix == MEAN:
        return read_mean(path).record
    if path.suffix in (FOREST, EXPORTED):
        return load_model(path).record
    _require_torch(path)
    from agrifm.models.weights.file import read_record

    return read_record(path)


def graph_side(path: Path) -> int | None:
    """Return the side of an exported network's windows, target pixels, which its graph fixes; of other models None."""
    if path.suffix != EXPORTED:
        return None
    from agrifm.models.export_record import read_export_record

    return read_export_record(path).side


def is_trained(path: Path, digest: str) -> bool:
    """Whether a file holds the model of this fingerprint; False too if it is absent or damaged."""
    try:
        return load_record(path).training.get("fingerprint") == digest
    except ModelError:
        return False


def _require_torch(path: Path) -> None:
    if path.suffix != NETWORK:
        raise ModelError(
            f"reading the model {path}: a model file ends in {NETWORK}, {FOREST}, {MEAN} (a mean of models) or "
            f"{EXPORTED}; `agrifm train` writes the first three, `agrifm model export` the last"
        )
    require_installed(f"reading the model {path}", "deep", "torch")
