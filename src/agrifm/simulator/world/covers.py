"""What can grow or stand in the pretraining world, and the groups of land cover that it belongs to."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import Field

from agrifm.simulator.season.crops import CropType
from agrifm.validation import Frozen

FOLDER = "agrifm.simulator.world"


class Cover(Frozen):
    """A crop, or another cover, of the world."""

    group: str = "cropland"
    """Group of land cover."""
    temperature: tuple[float, float]
    """Mean temperatures between which it is found, Celsius: of the season of an annual crop, else of the year."""
    weight: float = Field(1.0, gt=0)
    """Relative frequency among the covers of its group that fit a place."""
    plant: str | None = None
    """Plant of an annual crop; None = nothing is sown each year."""
    sown_at: float | None = None
    """Mean temperature at sowing, Celsius: falling for plants that wait for long days, else rising. Where it does not
    occur, and without it, sowing follows the crop calendar."""
    long_season: bool = False
    """Whether varieties use the whole season; otherwise a crop that is sown by temperature ripens in its usual time."""
    flooded: bool = False
    """Whether the crop grows under water."""
    irrigated: float = Field(0.0, ge=0, le=1)
    """Share of irrigated fields in a wet climate; dry ones have more."""
    vigour: float = Field(0.3, ge=0)
    """Standard deviation of the logarithm of leaf area between fields."""
    room: float = Field(0.15, ge=0)
    """Leaf area of weeds, m2 per m2."""
    types: tuple[CropType, ...] = ()
    """Of covers that are not sown each year."""
    material: str | None = None
    """Of a cover without plants: `water`, `road` or `settlement`."""
    flood: tuple[float, float] | None = None
    """Share of the ground under water, between which each field draws."""


@dataclass(frozen=True)
class Group:
    """A group of land cover."""

    name: str
    """Name in legends."""
    codes: tuple[int, ...]
    """Classes of GLC_FCS30D."""


@cache
def read_groups() -> dict[str, Group]:
    """Return the groups of land cover by key, in the order of fractions (`land_cover.toml`)."""
    content = _read("land_cover.toml")
    return {key: Group(entry["name"], tuple(entry["codes"])) for key, entry in content.items()}


@cache
def read_covers() -> dict[str, Cover]:
    """Return the covers by key, in the order of cover numbers (`covers.toml`)."""
    content = _read("covers.toml")
    return {
        key: Cover.model_validate(entry)
        for section in ("crops", "perennial", "wild")
        for key, entry in content[section].items()
    }


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files(FOLDER).joinpath(name).read_text(encoding="utf-8"))
