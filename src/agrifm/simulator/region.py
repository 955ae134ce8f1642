"""Regions of the simulator: one readable file each, in which everything that a season is simulated from is written.

A region's file has one section per module of the simulator; this module only puts them together. Functions take the
section that they need, never the whole region.
"""

import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from agrifm.errors import ConfigError
from agrifm.simulator.acquisition.orbits import Orbits
from agrifm.simulator.acquisition.sky import SkyClimate
from agrifm.simulator.land.landscape import Landscape
from agrifm.simulator.season.crops import Crop
from agrifm.simulator.season.plants import read_flora
from agrifm.simulator.season.weather import Climate
from agrifm.validation import Frozen, complaint

REGIONS = ("oceanic", "mediterranean", "monsoon", "southern")
"""The regions that come with the package."""
CROPS = (
    "grassland", "maize", "wheat", "barley", "rapeseed_rape", "sunflower", "soy_soybeans", "dry_pulses_legumes",
    "permanent_crops", "other_temporary_crop", "rice", "cotton", "sugar_beet",
)  # fmt: skip
"""Codes of all crops that the simulator can grow."""
SHARE_TOLERANCE = 0.001


class Place(Frozen):
    """Where a region is."""

    crs: str = Field(pattern="^EPSG:32[67][0-9][0-9]$")
    """UTM zone of all coordinates, as an EPSG code."""
    lon: float = Field(ge=-180, le=180)
    """Longitude of the centre of simulated areas, degrees."""
    lat: float = Field(ge=-80, le=84)
    """Latitude of the centre of simulated areas, degrees."""
    latitudes: tuple[float, float]
    """Southern and northern end of the region, degrees; single parcels are drawn from between them."""


class Region(Frozen):
    """Everything that a season of one region is simulated from."""

    version: int = Field(ge=1)
    """Grows whenever a number in the file changes, because then the season does."""
    name: str
    """Short name, as in `--region`."""
    title: str
    """One line for people."""
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
        for code in crops:  # before their keys are: a misspelt crop also lacks some
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
        near = get_close_matches(name, names, n=1, cutoff=0)[0]
        raise ValueError(f"unknown {kind}: {name!r}; did you mean {near!r}? Known are {', '.join(names)}")


def read_region(region: str | Path) -> Region:
    """One of `REGIONS`, or the region in a file of one's own.

    Args:
        region: a name, or the path of a TOML file (which ends in .toml).

    Raises:
        ConfigError: there is no such region or file, or the file has an unknown key or crop or an unusable value.
    """
    about = f"reading the region {region}"
    if Path(region).suffix == ".toml":
        source = Path(region)
    elif str(region) in REGIONS:
        source = Path(str(files("agrifm.simulator").joinpath("regions", f"{region}.toml")))
    else:
        near = get_close_matches(str(region), REGIONS, n=1, cutoff=0)[0]
        raise ConfigError(
            f"{about}: there is no such region; did you mean {near!r}? Known are {', '.join(REGIONS)}, or give a "
            "file that ends in .toml"
        )
    try:
        content = tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{about}: there is no such file; check the path") from error
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{about}: {error}") from error
    try:
        return Region.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{about}: {complaint(error, Region)}") from error
