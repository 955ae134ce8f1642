"""What may be asked of a model beside class scores: one config per kind of task, and what its result is.

Shape letters: B samples, H W rows and columns of the target grid, h w coarse pixels, P parcels, N quantities.
"""

import math
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, FiniteFloat, model_validator
from torch import Tensor

from agrifm.validation import Frozen


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
