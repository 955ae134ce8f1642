"""Boundary, distance and extent of fields from a network of any family.

Shape letters: B samples, H rows, W columns.
"""

import torch
from torch import Tensor

from agrifm.models.agrifm.network import AgriFM, AgriFMConfig
from agrifm.models.agrifm.tasks import BoundariesTask
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier

TASK = "fields"
"""Name of AgriFM's task for boundaries."""


def with_boundaries(config: AgriFMConfig) -> AgriFMConfig:
    """Return the configuration of a network that predicts boundaries too."""
    return AgriFMConfig.model_validate({**config.model_dump(), "tasks": {TASK: BoundariesTask()}})


def network_field_maps(classifier: Classifier, batch: TensorBatch) -> Tensor:
    """Return boundary logit, distance 0..1 and extent logit (B, 3, H, W).

    AgriFM has a head for boundaries; of other families the three scores of each pixel are used.
    """
    network = classifier.network
    if isinstance(network, AgriFM):
        maps: Tensor = network.predict_tasks(classifier.network_input(batch))[TASK]
        return maps
    boundary, distance, extent = classifier(batch).unbind(dim=1)
    return torch.stack([boundary, distance.sigmoid(), extent], dim=1)


def as_probabilities(maps_B3HW: Tensor) -> Tensor:
    """Return the three maps 0..1, from `network_field_maps`."""
    boundary, distance, extent = maps_B3HW.float().unbind(dim=1)
    return torch.stack([boundary.sigmoid(), distance, extent.sigmoid()], dim=1)
