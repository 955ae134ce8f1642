"""Yields and their spread from a network of any family.

Shape letters: B samples, H rows, W columns.
"""

import torch
from torch import Tensor

from agrifm.models.agrifm.network import AgriFM, AgriFMConfig
from agrifm.models.agrifm.tasks import EstimatedQuantity, RegressionTask, bounded_log_variance
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier
from agrifm.yields import YIELD_LAYERS, YieldScale

YIELD_TASK = YIELD_LAYERS[0]
"""Name of AgriFM's task for yields."""


def quantity_of(scale: YieldScale) -> EstimatedQuantity:
    """Return the quantity that a network estimates, from 0 to the scale's highest yield."""
    return EstimatedQuantity(
        name=YIELD_TASK, unit=scale.unit, mean=scale.mean, std=scale.std, limits=(0.0, scale.highest)
    )


def with_yields(config: AgriFMConfig, scale: YieldScale) -> AgriFMConfig:
    """Return the configuration of a network that estimates yields too."""
    task = RegressionTask(quantities=(quantity_of(scale),), spread=True)
    return AgriFMConfig.model_validate({**config.model_dump(), "tasks": {YIELD_TASK: task}})


def network_yields(classifier: Classifier, batch: TensorBatch, scale: YieldScale) -> Tensor:
    """Return yields in t/ha and the log-variance of their errors in squared standard deviations (B, 2, H, W).

    AgriFM has a head for yields; of other families the two numbers of each pixel are used.
    """
    network = classifier.network
    if isinstance(network, AgriFM):
        found: Tensor = network.predict_tasks(classifier.network_input(batch))[YIELD_TASK]
        return found
    standard, free = classifier(batch).unbind(dim=1)
    return torch.stack([quantity_of(scale).in_unit(standard), bounded_log_variance(free)], dim=1)


def tonnes_and_spread(yields_B2HW: Tensor, scale: YieldScale) -> Tensor:
    """Return yield and spread (B, 2, H, W), both in t/ha, from `network_yields`."""
    tonnes, log_variance = yields_B2HW.float().unbind(dim=1)
    return torch.stack([tonnes, scale.std * torch.exp(log_variance / 2)], dim=1)


def as_yield_shares(yields_B2HW: Tensor, scale: YieldScale) -> Tensor:
    """Return yield and spread, both as shares 0..1 of the scale's highest yield, from `network_yields`."""
    return (tonnes_and_spread(yields_B2HW, scale) / scale.highest).clamp(0, 1)
