"""What is done about single pixels and small regions of a map: keys of `[map]`, and of a map's item."""

from pydantic import Field, field_validator

from agrifm.validation import Frozen


class Cleaning(Frozen):
    """What is done about single pixels and small regions of another class."""

    smoothing: int = Field(0, ge=0, le=21)
    """Side of the neighbourhood by which class probabilities are smoothed, pixels, odd; 0 = not at all."""
    minimum_mapping_unit: float = Field(0.0, ge=0)
    """Hectares below which a region takes the class around it; 0 = none."""

    minimum_area: float = Field(0.1, ge=0)
    """Of the task "boundaries": hectares below which a field is left out."""
    largest_hole: float = Field(0.1, ge=0)
    """Of the task "boundaries": hectares up to which a hole in a field is closed, unless another field is in it."""

    @field_validator("smoothing")
    @classmethod
    def _has_a_middle(cls, side: int) -> int:
        if side and side % 2 == 0:
            raise ValueError(f"`smoothing` ({side}) must be odd, so that a pixel is in the middle of its neighbours")
        return side


NO_CLEANING = Cleaning()
"""Each pixel keeps its likeliest class."""
