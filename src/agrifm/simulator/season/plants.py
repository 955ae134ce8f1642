"""Parameters of plants, read from `plants.toml` and shared by all regions."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agrifm.simulator.season.crops import Crop
from agrifm.validation import Frozen


class LeafTraits(Frozen):
    """Traits of leaves that determine reflectance."""

    chlorophyll: float = Field(gt=0)
    """Chlorophyll a + b of healthy leaves, micrograms per cm2."""
    leaf_water: float = Field(gt=0)
    """Equivalent water thickness, cm."""
    leaf_dry_matter: float = Field(gt=0)
    """g per cm2."""
    leaf_structure: float = Field(ge=1)
    """Layers of PROSPECT (N)."""
    leaf_projection: float = Field(gt=0, le=1)
    """Projection of the leaves towards the zenith: 0.5 for random angles, smaller for erect leaves."""
    clumping: float = Field(gt=0, le=1)
    """1 = random leaves, smaller if rows or crowns leave gaps."""


class Plant(LeafTraits):
    """A crop that is sown, ripens and is harvested, or a perennial that grows and sheds its leaves.

    Leaf area follows Baret's model of canopy structure dynamics (Koetz et al. 2005, Remote Sensing of Environment 95,
    eq. 3) over thermal time T since sowing, or since 1 January for perennials:

        leaf_area (1 / (1 + exp(-rate (T - middle))) - exp(fading (T - senescence)))

    For senescence, bloom and maturity T is the plant's age, which drought accelerates and short days slow down.
    """

    base: float
    """Base temperature of development, degrees Celsius."""
    emergence: float = Field(ge=0)
    """Degree days from sowing to the first leaf."""
    middle: float = Field(gt=0)
    """Degree days to half the leaf area."""
    rate: float = Field(gt=0)
    """Rate of growth, per degree day."""
    senescence: float = Field(gt=0)
    """Degree days to the death of the last leaf."""
    fading: float = Field(gt=0)
    """Rate of senescence, per degree day."""
    maturity: float = Field(gt=0)
    """Degree days to harvest."""
    day_length: float = Field(0.0, ge=0)
    """Hours of daylight above which a long-day plant ages at full rate, and below more slowly; 0 = any day length."""
    leaf_area: float = Field(gt=0)
    """Maximum leaf area of a good field, m2 per m2."""
    flower: float = Field(0.0, ge=0, le=1)
    """Share of the ground covered by yellow flowers at full bloom."""
    bloom: float = Field(0.0, ge=0)
    """Degree days to full bloom."""
    bloom_length: float = Field(100.0, gt=0)
    """Standard deviation of the bloom, degree days."""
    standing: float = Field(ge=0, le=1)
    """Share of dying leaf area that remains standing as dead leaves and stems."""
    stubble: float = Field(ge=0)
    """Dead area that remains standing after harvest, m2 per m2."""
    straw: float = Field(ge=0, le=1)
    """Share of the soil under residue after harvest."""
    volunteers: float = Field(ge=0)
    """Leaf area of volunteers and weeds that emerge after harvest, m2 per m2."""
    lodging: float = Field(0.0, ge=0, le=1)
    """Share of fields that lodge."""
    harvest_index: float = Field(ge=0, le=1)
    """Yield per dry matter above ground; 0 = no harvest."""


class Sward(LeafTraits):
    """Plants that are not sown each year: grass, weeds, catch crops, trees. They grow to fill the available room."""

    base: float
    """Base temperature of growth, degrees Celsius."""
    growth: float = Field(gt=0)
    """Relative growth rate at 18 degrees Celsius without limits of room and water, per day."""
    cold: float
    """Temperature below which leaves die, degrees Celsius."""
    cold_loss: float = Field(ge=0, le=1)
    """Share of the leaves lost per day, for each degree below `cold`."""
    drought_loss: float = Field(ge=0, le=1)
    """Share of the leaves lost per day without water."""
    standing: float = Field(ge=0, le=1)
    """Share of dying leaf area that remains standing as dead leaves."""


NO_PLANT = Plant(
    base=0, emergence=0, middle=1e9, rate=1e-9, senescence=1e9, fading=1e-3, maturity=1e9, leaf_area=1e-9, standing=0,
    stubble=0, straw=0, volunteers=0.3, harvest_index=0, chlorophyll=40, leaf_water=0.01, leaf_dry_matter=0.005,
    leaf_structure=1.5, leaf_projection=0.5, clumping=1,
)  # fmt: skip
"""Parameters of fields without a crop."""


@dataclass(frozen=True)
class Flora:
    """All plants and swards, and the covers that are not crops (forest, hedge, margin)."""

    plants: Mapping[str, Plant]
    swards: Mapping[str, Sward]
    wild: Mapping[str, Crop]


def traits(records: Iterable[Frozen], name: str) -> NDArray[np.float64]:
    """A trait of each record as an array, (records,)."""
    return np.array([getattr(record, name) for record in records], np.float64)


@cache
def read_flora() -> Flora:
    """Read `plants.toml`."""
    content = tomllib.loads(files("agrifm.simulator.season").joinpath("plants.toml").read_text(encoding="utf-8"))
    return Flora(
        {name: Plant.model_validate(entry) for name, entry in content["plants"].items()},
        {name: Sward.model_validate(entry) for name, entry in content["swards"].items()},
        {name: Crop.model_validate(entry) for name, entry in content["wild"].items()},
    )
