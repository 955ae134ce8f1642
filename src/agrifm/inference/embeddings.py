"""Vectors of pixels: what the last layer of a trained AgriFM network reads, the numbers by which it tells pixels apart.

Shape letters: K numbers of a vector, H W rows and columns.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.errors import ModelError
from agrifm.inference.pixels import PIXELS_AT_ONCE, pixel_groups
from agrifm.inference.predictor import TorchModel, TrainedModel
from agrifm.models.precision import computing
from agrifm.samples.sample import Sample


def require_vectors(model: TrainedModel, about: str) -> TorchModel:
    """Return a model as one that has vectors.

    Raises:
        ModelError: it is not one AgriFM network.
    """
    if isinstance(model, TorchModel) and model.record.family == "agrifm":
        return model
    raise ModelError(
        f"{about}: the model '{model.record.name}' is not one AgriFM network, which alone has vectors; train one "
        '(`names = ["agrifm"]` under [model]) and name it with --model',
        family=model.record.family,
    )


def vector_size(model: TorchModel) -> int:
    """Return how many numbers a vector of a model has."""
    config: Any = model.classifier.network.config
    if config.pixel_decoder is not None:
        return int(config.pixel_decoder.hidden)
    return int(config.widths(config.neck_sources[0])[-1])


def network_vectors(model: TorchModel, sample: Sample) -> NDArray[np.float32]:
    """Return the vectors (K, H, W) of a sample that is prepared as the record says; NaN without a valid observation.

    Raises:
        ModelError: the sample does not fit the model.
    """
    import torch

    from agrifm.inference.tensors import tensor_batch

    record, device = model.record, next(model.classifier.parameters()).device

    def vectors_of(samples: list[Sample]) -> NDArray[np.float32]:
        batch = tensor_batch(samples, record.sensors, record.absent_sensors).to(device)
        with torch.inference_mode(), computing(model.precision, device):
            found: NDArray[np.float32] = model.classifier.vectors(batch).float().cpu().numpy()
        return found

    valid = sample.any_valid
    if record.side > 1 or record.series != "observed":
        return np.where(valid, vectors_of([sample])[0], np.float32(np.nan))
    result = np.full((vector_size(model), sample.label.size), np.nan, np.float32)
    for samples, chosen in pixel_groups(sample, PIXELS_AT_ONCE):
        result[:, chosen] = vectors_of(samples)[:, :, 0, 0].T
    return result.reshape(-1, *sample.label.shape)
