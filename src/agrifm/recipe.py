"""`[model.recipe]` of the project file: how networks are trained, apart from their size, steps and learning rate.

Dates move for all sensors of a sample alike. Only series with dates (composites and observed series) know them.
"""

from typing import Self

from pydantic import Field

from agrifm.validation import Frozen


class Augmentation(Frozen):
    """How much a batch of training is changed; 0 leaves it as it is."""

    hidden: float = Field(0.0, ge=0, le=1)
    """Most of the frames of a sample that are hidden, as a share: each sample draws its share between 0 and this."""
    shift: float = Field(0.0, ge=0)
    """Most days by which a sample's season is earlier or later."""
    stretch: float = Field(0.0, ge=0)
    """Most days by which the middle of a sample's season is moved while its ends stay."""
    cut: float = Field(0.0, ge=0, le=1)
    """Share of the samples of which nothing is seen after a random day of the second half of the season."""
    cut_from: float = Field(0.5, gt=0, lt=1)
    """Where the days of `cut` begin, as a share of the season, if it is not its second half."""
    bands: float = Field(0.0, ge=0, lt=1)
    """Share of the bands of each sensor that a sample lacks; one is always left."""
    light: float = Field(0.0, ge=0)
    """Standard deviation of a sample's factor on all its values, as a share of them."""

    @property
    def without_dates(self) -> Self:
        """The part that changes series that know neither dates nor absent bands, as interpolated ones."""
        return self.model_copy(update={"shift": 0.0, "stretch": 0.0, "bands": 0.0})


NO_AUGMENTATION = Augmentation()


class Recipe(Augmentation):
    """How a network is trained, apart from its size and the steps."""

    averaging: float = Field(0.0, ge=0, lt=1)
    """Share of the averaged weights that remains after a step, such as 0.98 (exponential moving average of weights);
    the averaged weights are validated and kept. 0 = the weights of the last step."""
    logit_adjustment: bool = False
    """Whether rare classes count as much as frequent ones: the loss is that of logits to which the logarithm of each
    class's share of the labels is added (Menon et al. 2021)."""


TABLE_RECIPE = Recipe(hidden=0.5)
"""Of AgriFM on series tables, unless the project has another (docs/decisions/0013-agrifm-on-tables.md)."""
