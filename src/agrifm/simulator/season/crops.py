"""Parameters of the crops of a region: sub-types, calendars and management."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from agrifm.validation import Frozen


class Cycle(Frozen):
    """One growth of one plant, from sowing to harvest."""

    plant: str
    """Name in `plants.toml`."""
    sowing: float
    """Mean day of sowing, counted from 1 January of the crop year; negative in the previous year."""
    spread: float = Field(10.0, ge=0)
    """Standard deviation of the sowing day between fields, days."""
    flooded: bool = False
    """Whether the field is under water from sowing until the crop ripens."""


class CropType(Frozen):
    """A sub-type of a crop: a species or a use within the class."""

    name: str
    """Description."""
    weight: float = Field(1.0, gt=0)
    """Relative frequency among the types of the crop."""
    cycles: tuple[Cycle, ...] = ()
    """In order; empty if only a sward grows."""
    main: int = 0
    """Index of the cycle of the label and the yield."""
    perennial: bool = False
    """If true, nothing is sown or tilled between crop years."""
    sward: str = "weeds"
    """Sward that grows without being sown, under the crop or instead of it; name in `plants.toml`."""
    room: float = Field(0.15, ge=0)
    """Maximum leaf area of the sward, m2 per m2; within an annual crop these are the weeds."""
    room_spread: float = Field(0.8, ge=0)
    """Standard deviation of the room's logarithm between fields."""
    bare: float = Field(0.0, ge=0, le=1)
    """Share of fields in which the sward is suppressed."""
    cut_at: float = Field(0.0, ge=0)
    """Leaf area at which the sward is mown or grazed, m2 per m2; 0 = never."""
    cut_to: float = Field(0.5, ge=0)
    """Leaf area after a cut, m2 per m2."""
    wood: float = Field(0.0, ge=0)
    """Area of trunks and branches, m2 per m2."""
    catch_crop: float = Field(0.0, ge=0, le=1)
    """Share of fields with a catch crop in a long gap before the first sowing."""
    irrigated: float = Field(0.0, ge=0, le=1)
    """Share of irrigated fields."""
    vigour: float = Field(0.3, ge=0)
    """Standard deviation of the logarithm of leaf area between fields."""
    failure: float = Field(0.06, ge=0, le=1)
    """Share of fields that fail: thin, or overgrown by weeds."""
    water: float = Field(120.0, gt=0)
    """Soil water available to roots, mm."""


class Crop(Frozen):
    """A crop of a region, or, without a share, a cover that is not a crop."""

    name: str
    """Name in legends."""
    share: float = Field(0.0, ge=0, le=1)
    """Share of the cropped area."""
    north: float = 0.0
    """Change of the logarithm of the share per degree of latitude towards the pole, within the region."""
    after: dict[str, float] = Field(default_factory=dict)
    """Crop -> weight with which it precedes this one; empty = the shares of the crops."""
    types: tuple[CropType, ...] = Field(min_length=1)
    """Sub-types."""

    @model_validator(mode="after")
    def _main_is_a_cycle(self) -> Self:
        for kind in self.types:
            if kind.cycles and not 0 <= kind.main < len(kind.cycles):
                raise ValueError(f"main = {kind.main} of the type {kind.name!r}, which has {len(kind.cycles)} cycles")
        return self


Crops = Mapping[str, Crop]
