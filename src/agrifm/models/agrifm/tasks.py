"""The tasks of a model beside class scores: one config per kind, what its result is, and the layers of all.

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

HIDDEN = 64
"""Channels between the two layers of a task's perceptron."""
LOG_VARIANCE_BOUND = 10.0
"""Log-variances stay within this of 0, so that no error is weighted beyond what float32 carries."""


class ClassesTask(Frozen):
    """Pixel classes: logits (B, classes, H, W)."""

    task: Literal["classes"] = "classes"
    classes: int = Field(gt=0)
    """Scores per pixel."""

    @property
    def channels(self) -> int:
        """Numbers per pixel that the task's layer gives."""
        return self.classes


class FractionsTask(Frozen):
    """Shares of the classes in coarse pixels: (B, classes, h, w), each 0..1, their sum 1.

    A share is the mean of the class probabilities of the target pixels inside. So shares add up as areas do: those of
    a large pixel are the means of those of the small ones in it. (The softmax of mean logits has not this property:
    one very sure pixel outweighs many.) Coarse pixels start at the first row and column; where the target grid ends
    inside one, its share is that of the part inside.
    """

    task: Literal["fractions"] = "fractions"
    classes: int = Field(gt=0)
    """Shares per coarse pixel."""
    side: int = Field(gt=0)
    """Side of a coarse pixel, target pixels."""

    @property
    def channels(self) -> int:
        """Numbers per pixel that the task's layer gives."""
        return self.classes


class BoundariesTask(Frozen):
    """Fields by three maps (B, 3, H, W): boundary logit, distance to the field's edge 0..1, extent logit."""

    task: Literal["boundaries"] = "boundaries"

    @property
    def channels(self) -> int:
        """Numbers per pixel that the task's layer gives."""
        return 3


class Quantity(Frozen):
    """What a regression estimates, such as a yield in t/ha."""

    name: str = Field(min_length=1)
    """What it is."""
    unit: str = Field(min_length=1)
    """Unit of the estimates; "1" for none."""
    mean: FiniteFloat
    """Of the known values in training; an untrained head starts near it."""
    std: FiniteFloat = Field(gt=0)
    """Standard deviation of the known values in training; losses count errors in it."""
    limits: tuple[FiniteFloat, FiniteFloat] | None = None
    """Lowest and highest value possible; estimates never lie beyond."""

    @model_validator(mode="after")
    def mean_lies_inside(self) -> Self:
        if self.limits is not None and not self.limits[0] < self.mean < self.limits[1]:
            raise ValueError(
                f"the mean of {self.name} ({self.mean}) lies not between its limits {self.limits}; check them"
            )
        return self

    def in_unit(self, standard: Tensor) -> Tensor:
        """Standardised numbers in the quantity's unit: 0 is the mean, and near it 1 is a standard deviation."""
        if self.limits is None:
            return self.mean + self.std * standard
        low, high = self.limits
        share = (self.mean - low) / (high - low)
        steepness = self.std / ((high - low) * share * (1 - share))
        return low + (high - low) * torch.sigmoid(math.log(share / (1 - share)) + steepness * standard)


class RegressionTask(Frozen):
    """Quantities in their units, per pixel (B, N, H, W) or per parcel (P, N).

    A parcel's estimate is made from the mean of the features of its pixels. Its row: the parcels of the batch in
    ascending order of their numbers, `parcels[parcels >= 0].unique()`; a parcel in several samples is one row.
    With `spread` there are twice as many channels: after the quantities, the log-variance of each one's error, in
    squared standard deviations of the quantity.
    """

    task: Literal["regression"] = "regression"
    quantities: tuple[Quantity, ...] = Field(min_length=1)
    """What is estimated."""
    per: Literal["pixel", "parcel"] = "pixel"
    """What an estimate belongs to."""
    spread: bool = False
    """Whether the uncertainty of every estimate is estimated too."""

    @model_validator(mode="after")
    def names_differ(self) -> Self:
        names = [quantity.name for quantity in self.quantities]
        if len(set(names)) < len(names):
            raise ValueError(f"quantities are named {', '.join(names)}; give each a name of its own")
        return self

    @property
    def channels(self) -> int:
        """Numbers per pixel or parcel that the task's layer gives."""
        return len(self.quantities) * (2 if self.spread else 1)


class EmbeddingTask(Frozen):
    """A vector of length 1 per pixel, (B, size, H, W)."""

    task: Literal["embedding"] = "embedding"
    size: int = Field(gt=1)
    """Numbers per pixel."""

    @property
    def channels(self) -> int:
        """Numbers per pixel that the task's layer gives."""
        return self.size


TaskName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Task = Annotated[
    ClassesTask | FractionsTask | BoundariesTask | RegressionTask | EmbeddingTask, Field(discriminator="task")
]


class TaskHeads(nn.Module):
    """A perceptron per task on shared features, pixel by pixel; that for boundaries sees 3 x 3 pixels.

    Args:
        tasks: by name.
        width: channels of the features.
    """

    def __init__(self, tasks: Mapping[str, Task], width: int) -> None:
        super().__init__()
        self.tasks = dict(tasks)
        # the suffix keeps names such as `values` apart from what a ModuleDict has already
        self.layers = nn.ModuleDict({f"{name}_head": _perceptron(width, task) for name, task in self.tasks.items()})

    def forward(self, x_BKHW: Tensor, parcels_BHW: Tensor | None = None) -> dict[str, Tensor]:
        """What each task's config describes, by the task's name.

        Args:
            x_BKHW: features on the target grid.
            parcels_BHW: number of the parcel at each pixel, any integer type, -1 = none; left out, the result lacks
                the tasks per parcel.

        Raises:
            ModelError: the parcels do not lie on the grid of the features, or are no integers.
        """
        if parcels_BHW is not None:
            _check_parcels(parcels_BHW, x_BKHW)
        found: dict[str, Tensor] = {}
        for name, task in self.tasks.items():
            layer = self.layers[f"{name}_head"]
            if isinstance(task, RegressionTask) and task.per == "parcel":
                if parcels_BHW is not None:
                    means_PK = parcel_means(x_BKHW, parcels_BHW)
                    found[name] = _finished(layer(means_PK[:, :, None, None]), task)[:, :, 0, 0]
            else:
                found[name] = _finished(layer(x_BKHW), task)
        return found


def _perceptron(width: int, task: Task) -> nn.Sequential:
    # a border is a difference between neighbours
    side = 3 if isinstance(task, BoundariesTask) else 1
    return nn.Sequential(
        nn.Conv2d(width, HIDDEN, side, padding=side // 2), nn.GELU(), nn.Conv2d(HIDDEN, task.channels, 1)
    )


def _finished(raw_BCHW: Tensor, task: Task) -> Tensor:
    """From the numbers of a task's layer to those that its config describes."""
    match task:
        case ClassesTask():
            return raw_BCHW
        case FractionsTask():
            return mean_of_pixels(raw_BCHW.softmax(dim=1), (task.side, task.side))
        case BoundariesTask():
            boundary, distance, extent = raw_BCHW.unbind(dim=1)
            return torch.stack([boundary, distance.sigmoid(), extent], dim=1)
        case RegressionTask():
            values = [quantity.in_unit(raw_BCHW[:, number]) for number, quantity in enumerate(task.quantities)]
            free = raw_BCHW[:, len(values) :]
            bounded = LOG_VARIANCE_BOUND * torch.tanh(free / LOG_VARIANCE_BOUND)
            return torch.cat([torch.stack(values, dim=1), bounded], dim=1)
        case EmbeddingTask():
            return functional.normalize(raw_BCHW, dim=1)


def parcel_means(x_BKHW: Tensor, parcels_BHW: Tensor) -> Tensor:
    """Mean features (P, K) of the parcels of a batch, in ascending order of their numbers.

    Pixels are sorted by parcel and each parcel is added up in the order of its pixels, not in the order in which
    threads happen to arrive: the same input has the same result to the bit.

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
    # a sum of many pixels needs the digits of float32
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
        raise ModelError(f"the parcels are {parcels_BHW.dtype}, not whole numbers; give integers, -1 where none lies")
