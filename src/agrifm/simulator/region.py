"""Regions of the simulator: each is one readable file with every parameter from which a season is simulated.

A file has one section for each module of the simulator; this module puts them together. Functions receive the section
that they need, never the whole region.
"""

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from agrifm.errors import ConfigError, did_you_mean, doing
from agrifm.files import AnyPath, as_path
from agrifm.simulator.acquisition.orbits import Orbits
from agrifm.simulator.acquisition.sky import SkyClimate
from agrifm.simulator.land.landscape import Landscape
from agrifm.simulator.season.crops import Crop
from agrifm.simulator.season.plants import read_flora
from agrifm.simulator.season.weather import Climate
from agrifm.validation import Frozen, complaint

REGIONS = ("oceanic", "mediterranean", "monsoon", "southern")
"""Regions that are part of the package."""
CROPS = (
    "grassland", "maize", "wheat", "barley", "rapeseed_rape", "sunflower", "soy_soybeans", "dry_pulses_legumes",
    "permanent_crops", "other_temporary_crop", "rice", "cotton", "sugar_beet",
)  # fmt: skip
"""Codes of all crops that the simulator can grow."""
SHARE_TOLERANCE = 0.001
"""The shares of a region's crops may differ from a sum of 1 by this much, because they are rounded in its file."""


class Place(Frozen):
    """Location of a region."""

    crs: str = Field(pattern="^EPSG:32[67][0-9][0-9]$")
    """UTM zone of all coordinates, as an EPSG code."""
    lon: float = Field(ge=-180, le=180)
    """Longitude of the centre of simulated areas, degrees."""
    lat: float = Field(ge=-80, le=84)
    """Latitude of the centre of simulated areas, degrees."""
    latitudes: tuple[float, float]
    """Southern and northern end of the region, degrees; point mode draws its parcels between them."""


class Region(Frozen):
    """All parameters of the seasons of one region."""

    version: int = Field(ge=1)
    """Must increase with every change of a number in the file, because the season changes with it."""
    name: str
    """Short name, the value of `--region`."""
    title: str
    """One line that describes the region."""
    place: Place
    land: Landscape
    sky: SkyClimate
    orbits: Orbits
    climate: Climate
    crops: dict[str, Crop]
    """Crops by code, in the order of the legend."""

    @field_validator("crops", mode="before")
    @classmethod
    def _crops_are_known(cls, crops: dict[str, Any]) -> dict[str, Any]:
        for code in crops:  # before their keys are checked: a misspelt crop would also lack some
            _check_known("crop", code, CROPS)
        return crops

    @model_validator(mode="after")
    def _names_in_crops_are_known(self) -> Self:
        flora = read_flora()
        for code, crop in self.crops.items():
            for other in crop.after:
                _check_known(f"crop in `after` of {code}", other, self.crops)
            for kind in crop.types:
                _check_known(f"sward of {code}", kind.sward, flora.swards)
                for cycle in kind.cycles:
                    _check_known(f"plant of {code}", cycle.plant, flora.plants)
        return self

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        total = sum(self.shares.values())
        if abs(total - 1) > SHARE_TOLERANCE:
            raise ValueError(f"the crops' shares sum to {total:.4g}; they must sum to 1")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Code -> share of the cropped area, of the crops that are grown, in the order of the legend."""
        return {code: crop.share for code, crop in self.crops.items() if crop.share > 0}


def _check_known(kind: str, name: str, known: Iterable[str]) -> None:
    names = list(known)
    if name not in names:
        raise ValueError(f"unknown {kind}: {name!r}{did_you_mean(name, names)} Known are {', '.join(names)}")


def read_region(region: AnyPath) -> Region:
    """Read one of `REGIONS`, or a region from your own file.

    Args:
        region: a name, or the path of a TOML file (which ends in .toml).

    Raises:
        ConfigError: the region or the file does not exist, or the file has an unknown key or crop or a wrong value.
    """
    path = as_path(region)
    about = f"reading the region {region}"
    if path.suffix == ".toml":
        source = path
    elif str(region) in REGIONS:
        source = Path(str(files("agrifm.simulator").joinpath("regions", f"{region}.toml")))
    else:
        raise ConfigError(
            f"{about}: unknown region{did_you_mean(str(region), REGIONS)} Known regions are {', '.join(REGIONS)}; "
            "or give a file that ends in .toml",
            region=str(region),
            known=REGIONS,
        )
    with doing(about, ConfigError, "check the path and the file", path=source):
        content = tomllib.loads(source.read_text(encoding="utf-8-sig"))
    try:
        return Region.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{about}: {complaint(error, Region)}", path=source) from error
