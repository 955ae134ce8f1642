"""Class logits of samples of any length and any sensors; each sample gets the result that it gets alone.

Samples share a batch only if each of their series becomes a token grid of the same size: every attention window then
has the same tokens as for the sample alone, and `agrifm.samples.sample.collate` pads the shorter series.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from agrifm.inference.tensors import tensor_batch
from agrifm.models.classifier import Classifier
from agrifm.record import SensorRecord
from agrifm.samples.sample import Sample

PLACES_AT_ONCE = 256
"""Samples of one pixel that are predicted together."""


def predict_logits(
    classifier: Classifier,
    samples: Sequence[Sample],
    sensors: Sequence[SensorRecord],
    may_lack: Collection[str] = (),
    batch_size: int = 16,
) -> list[Tensor]:
    """Return the logits (classes, H, W) of each sample, in order.

    Args:
        samples: their series may differ in sensors, frames, rows and columns.
        sensors: those of the classifier, with their statistics.
        may_lack: names of sensors that a sample may lack.
        batch_size: largest number of samples in a batch.

    Raises:
        ModelError: a sample does not fit the classifier.
    """
    logits: dict[int, Tensor] = {}
    device = next(classifier.parameters()).device
    for group in group_samples(classifier, samples):
        for start in range(0, len(group), batch_size):
            chosen = group[start : start + batch_size]
            batch = tensor_batch([samples[index] for index in chosen], sensors, may_lack).to(device)
            logits.update(zip(chosen, classifier(batch).unbind(), strict=True))
    return [logits[index] for index in range(len(samples))]


def place_logits(
    classifier: Classifier, samples: Sequence[Sample], sensors: Sequence[SensorRecord], may_lack: Collection[str] = ()
) -> Tensor:
    """Return the logits (P, classes) of samples of one pixel; arguments and errors are those of `predict_logits`.

    Args:
        samples: at least one.
    """
    return torch.stack(predict_logits(classifier, samples, sensors, may_lack, PLACES_AT_ONCE))[:, :, 0, 0]


def group_samples(classifier: Classifier, samples: Sequence[Sample]) -> list[list[int]]:
    """Return groups of indices of samples that may share a batch, in the order of their first samples."""
    patch_frames: dict[str, int] = {}
    if classifier.series != "interpolated":
        config: Any = classifier.network.config
        # networks that do not join frames to tokens count frames
        patch_frames = {source.name: source.patch[0] for source in getattr(config, "sources", ())}
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        groups[_batch_shape(sample, patch_frames)].append(index)
    return list(groups.values())


def _batch_shape(sample: Sample, patch_frames: dict[str, int]) -> Hashable:
    """What samples must have in common to share a batch.

    Args:
        patch_frames: frames of a token by sensor. A sensor without an entry counts frames: a network that reads
            interpolated series cannot know which of its frames are padding.
    """
    shapes = {
        # rounded up, because the network fills the last token with padding in any case
        (name, -(-len(series.date) // patch_frames.get(name, 1)), series.image.shape[1:], series.day is None)
        for name, series in sample.series.items()
    }
    return sample.label.shape, frozenset(shapes)
