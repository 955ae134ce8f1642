"""What is done to the classes of a map after the prediction: keys of `[map]`, and of a map's item."""

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from agrifm.validation import Frozen


class Cleaning(Frozen):
    """What is done about land that is not cropland, single pixels and small regions of another class."""

    cropland: Path | None = None
    """A map of cropland (a raster, or the directory of a map of the task "cropland"): other land becomes `other`. For
    the task "yield" a map that has the crop or cropland: other land gets no yield."""
    cropland_values: tuple[int, ...] = ()
    """Values of that raster that mean cropland, if it is not one of agrifm, such as 40 of ESA WorldCover."""

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

    @model_validator(mode="after")
    def _values_are_of_a_raster(self) -> Self:
        if self.cropland_values and self.cropland is None:
            raise ValueError("`cropland_values` are of the raster `cropland`; give both")
        return self

    @property
    def cropland_raster(self) -> Path | None:
        """The raster of `cropland`."""
        if self.cropland is None or not self.cropland.is_dir():
            return self.cropland
        return self.cropland / "classes.tif"


NO_CLEANING = Cleaning()
"""Each pixel keeps its likeliest class."""
