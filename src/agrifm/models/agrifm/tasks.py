"""Tasks in addition to class scores: a config for each kind, what its result is, and the layers that compute it.

Shape letters: B samples, H W rows and columns of the target grid, h w coarse pixels, P parcels, N quantities,
K features.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, FiniteFloat, model_validator
from torch import Tensor, nn
from torch.nn import functional

from agrifm.errors import ModelError
from agrifm.models.agrifm.timeseries import mean_of_pixels
from agrifm.validation import Frozen

TASK_HIDDEN_CHANNELS = 64
"""Channels between the two layers of a task's perceptron."""
LOG_VARIANCE_BOUND = 10.0
"""Largest absolute log-variance, so that no error gets a weight outside the range of float32."""


class ClassesTask(Frozen):
    """Pixel classes: logits (B, classes, H, W)."""

    task: Literal["classes"] = "classes"
    classes: int = Field(gt=0)
    """Scores per pixel."""

    @property
    def channels(self) -> int:
        """Channels of the task's layer."""
        return self.classes


class FractionsTask(Frozen):
    """Shares of the classes in coarse pixels: (B, classes, h, w), each 0..1, their sum 1.

    A share is the mean of the class probabilities of the target pixels inside, so shares add up as areas do: the share
    of a large pixel is the mean of those of the small pixels in it. (The softmax of mean logits does not have this
    property: one confident pixel outweighs many.) Coarse pixels start at the first row and column. If the target grid
    ends inside a coarse pixel, its share is that of the part inside.
    """

    task: Literal["fractions"] = "fractions"
    classes: int = Field(gt=0)
    """Shares per coarse pixel."""
    side: int = Field(gt=0)
    """Side of a coarse pixel, target pixels."""

    @property
    def channels(self) -> int:
        """Channels of the task's layer."""
        return self.classes


class BoundariesTask(Frozen):
    """Field delineation by three maps (B, 3, H, W): boundary logit, distance to the field's edge 0..1, extent logit."""

    task: Literal["boundaries"] = "boundaries"

    @property
    def channels(self) -> int:
        """Channels of the task's layer."""
        return 3


class EstimatedQuantity(Frozen):
    """What a regression estimates, such as a yield in t/ha."""

    name: str = Field(min_length=1)
    """Name of the quantity."""
    unit: str = Field(min_length=1)
    """Unit of the estimates; "1" for none."""
    mean: FiniteFloat
    """Mean of the known values in training; an untrained head starts near it."""
    std: FiniteFloat = Field(gt=0)
    """Standard deviation of the known values in training; losses count errors in it."""
    limits: tuple[FiniteFloat, FiniteFloat] | None = None
    """Lowest and highest possible value; estimates stay inside."""

    @model_validator(mode="after")
    def check_mean(self) -> Self:
        if self.limits is not None and not self.limits[0] < self.mean < self.limits[1]:
            raise ValueError(
                f"the mean of {self.name} ({self.mean}) is outside its limits {self.limits}; correct one of them"
            )
        return self

    def in_unit(self, standard: Tensor) -> Tensor:
        """Convert standardised numbers to the unit: 0 is the mean, and near 0 a step of 1 is a standard deviation."""
        if self.limits is None:
            return self.mean + self.std * standard
        # a sigmoid between the limits, with its value and slope at 0 set to mean and standard deviation
        low, high = self.limits
        share = (self.mean - low) / (high - low)
        steepness = self.std / ((high - low) * share * (1 - share))
        return low + (high - low) * torch.sigmoid(math.log(share / (1 - share)) + steepness * standard)


class RegressionTask(Frozen):
    """Quantities in their units, per pixel (B, N, H, W) or per parcel (P, N).

    A parcel's estimate is computed from the mean features of its pixels. Rows are the parcels of the batch in ascending
    order of their numbers, `parcels[parcels >= 0].unique()`; a parcel in several samples is one row.
    With `spread` there are twice as many channels: after the quantities, the log-variance of each one's error, in
    squared standard deviations of the quantity.
    """

    task: Literal["regression"] = "regression"
    quantities: tuple[EstimatedQuantity, ...] = Field(min_length=1)
    """The quantities to estimate."""
    per: Literal["pixel", "parcel"] = "pixel"
    """The unit of land that an estimate belongs to."""
    spread: bool = False
    """Whether the uncertainty of every estimate is estimated too."""

    @model_validator(mode="after")
    def check_names(self) -> Self:
        names = [quantity.name for quantity in self.quantities]
        if len(set(names)) < len(names):
            raise ValueError(f"quantities are named {', '.join(names)}; give each a different name")
        return self

    @property
    def channels(self) -> int:
        """Channels of the task's layer."""
        return len(self.quantities) * (2 if self.spread else 1)


class EmbeddingTask(Frozen):
    """A vector of length 1 per pixel, (B, size, H, W)."""

    task: Literal["embedding"] = "embedding"
    size: int = Field(gt=1)
    """Length of the vector."""

    @property
    def channels(self) -> int:
        """Channels of the task's layer."""
        return self.size


TaskName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Task = Annotated[
    ClassesTask | FractionsTask | BoundariesTask | RegressionTask | EmbeddingTask, Field(discriminator="task")
]


class TaskHeads(nn.Module):
    """One perceptron per task on shared features, pixel by pixel; that for boundaries reads 3 x 3 pixels.

    Args:
        tasks: by name.
        width: channels of the features.
    """

    def __init__(self, tasks: Mapping[str, Task], width: int) -> None:
        super().__init__()
        self.tasks = dict(tasks)
        # the suffix avoids clashes with attributes of ModuleDict, such as `values`
        self.layers = nn.ModuleDict({f"{name}_head": _perceptron(width, task) for name, task in self.tasks.items()})

    def forward(self, x_BKHW: Tensor, parcels_BHW: Tensor | None = None) -> dict[str, Tensor]:
        """Return the result of each task by its name, as the task's config describes it.

        Args:
            x_BKHW: features on the target grid.
            parcels_BHW: number of the parcel at each pixel, any integer type, -1 = none. Without it the result
                lacks the tasks per parcel.

        Raises:
            ModelError: the parcels have another shape than the features, or are not integers.
        """
        if parcels_BHW is not None:
            _check_parcels(parcels_BHW, x_BKHW)
        results: dict[str, Tensor] = {}
        for name, task in self.tasks.items():
            layer = self.layers[f"{name}_head"]
            if isinstance(task, RegressionTask) and task.per == "parcel":
                if parcels_BHW is not None:
                    means_PK = parcel_means(x_BKHW, parcels_BHW)
                    results[name] = _finished(layer(means_PK[:, :, None, None]), task)[:, :, 0, 0]
            else:
                results[name] = _finished(layer(x_BKHW), task)
        return results


def _perceptron(width: int, task: Task) -> nn.Sequential:
    # a boundary is a difference between neighbours, so its layer needs to see them
    side = 3 if isinstance(task, BoundariesTask) else 1
    return nn.Sequential(
        nn.Conv2d(width, TASK_HIDDEN_CHANNELS, side, padding=side // 2),
        nn.GELU(),
        nn.Conv2d(TASK_HIDDEN_CHANNELS, task.channels, 1),
    )


def _finished(raw_BCHW: Tensor, task: Task) -> Tensor:
    """Convert the output of a task's layer to the result that its config describes."""
    match task:
        case ClassesTask():
            return raw_BCHW
        case FractionsTask():
            return mean_of_pixels(raw_BCHW.softmax(dim=1), (task.side, task.side))
        case BoundariesTask():
            # two maps stay logits, because their losses read logits; the distance is a share
            boundary, distance, extent = raw_BCHW.unbind(dim=1)
            return torch.stack([boundary, distance.sigmoid(), extent], dim=1)
        case RegressionTask():
            values = [quantity.in_unit(raw_BCHW[:, number]) for number, quantity in enumerate(task.quantities)]
            free = raw_BCHW[:, len(values) :]
            return torch.cat([torch.stack(values, dim=1), bounded_log_variance(free)], dim=1)
        case EmbeddingTask():
            return functional.normalize(raw_BCHW, dim=1)


def bounded_log_variance(free: Tensor) -> Tensor:
    """Return log-variances within `LOG_VARIANCE_BOUND` from numbers without limits."""
    # tanh and not a clamp, which has no gradient beyond its limits
    return LOG_VARIANCE_BOUND * torch.tanh(free / LOG_VARIANCE_BOUND)


def parcel_means(x_BKHW: Tensor, parcels_BHW: Tensor) -> Tensor:
    """Mean features (P, K) of the parcels of a batch, in ascending order of their numbers.

    Pixels are sorted by parcel and added up in this order, and not in the order in which threads finish, so that the
    same input has the same result to the bit.

    Args:
        x_BKHW: features.
        parcels_BHW: number of the parcel at each pixel, negative = none.
    """
    parcels, pixels = parcels_BHW.flatten().sort(stable=True)
    inside = parcels >= 0
    _, lengths = torch.unique_consecutive(parcels[inside], return_counts=True)
    if not len(lengths):
        return x_BKHW.new_zeros((0, x_BKHW.shape[1]))
    features = x_BKHW.movedim(1, -1).flatten(0, 2).index_select(0, pixels[inside])
    # a sum of many pixels in half precision would lose its digits
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    return torch.segment_reduce(exact, "mean", lengths=lengths).to(features.dtype)


def _check_parcels(parcels_BHW: Tensor, x_BKHW: Tensor) -> None:
    B, _, H, W = x_BKHW.shape
    if parcels_BHW.shape != (B, H, W):
        raise ModelError(
            f"the parcels have the shape {tuple(parcels_BHW.shape)}, but the target grid is {(B, H, W)} (samples, "
            "rows, columns); give the number of the parcel at every target pixel"
        )
    if parcels_BHW.is_floating_point() or parcels_BHW.is_complex() or parcels_BHW.dtype == torch.bool:
        raise ModelError(
            f"the parcels are {parcels_BHW.dtype}, not whole numbers; give integers, -1 for pixels without a parcel"
        )
