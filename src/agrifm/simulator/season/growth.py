"""Growth of fields day by day: leaves, dead matter, residue and the soil's water, driven by the weather.

A field has one crop at a time, driven by thermal time, and a sward (grass, weeds, volunteers, a catch crop, trees) that
fills the remaining room. Both use the same soil water; lack of water slows growth and accelerates senescence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agrifm.season import Season, day_number
from agrifm.simulator import keyed_random
from agrifm.simulator.optics.reflectance import PLANTS, ROAD, ROOFS, WATER, SurfaceState
from agrifm.simulator.season.crops import Crop
from agrifm.simulator.season.daily_growth import DailyGrowth
from agrifm.simulator.season.management import FieldManagement, draw_management, first_day
from agrifm.simulator.season.plants import NO_PLANT, LeafTraits, read_flora, traits
from agrifm.simulator.season.weather import Weather

MATERIALS = {"water": WATER, "road": ROAD, "settlement": ROOFS}
"""Covers without plants -> their material; all other covers are plants."""
LEAF_TRAITS = tuple(name for name in LeafTraits.model_fields if name != "chlorophyll")
HISTORY = ("crop", "sward", "brown", "chlorophyll", "residue", "flower", "flood", "moisture", "lodged")
"""Arrays that are kept for every day of the season."""
LODGED_PROJECTION = 0.85
"""Projection towards the zenith of lodged leaves and stems."""
LEAF_SPREAD = {"leaf_water": 0.2, "leaf_dry_matter": 0.15, "leaf_structure": 0.06, "leaf_projection": 0.12}
"""Standard deviation of the logarithm of leaf traits between fields; structure and projection are limited."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Growth:
    """Growth of each field on each day of a season."""

    first: int
    """First day, days since 1970-01-01."""
    material: NDArray[np.int8]
    history: Mapping[str, NDArray[np.float32]]
    """(days, fields) for each of `HISTORY`: green area of crop and sward, and arrays of `SurfaceState`."""
    plant: NDArray[np.int8]
    """(days, fields) index of the plant of the day, -1 = none."""
    sward: NDArray[np.int8]
    """(days, fields) index of the sward."""
    leaf_factor: Mapping[str, NDArray[np.float32]]
    """(fields,) factor on each trait of `LEAF_SPREAD`."""
    soil_brightness: NDArray[np.float32]
    yields: NDArray[np.float32]
    """t/ha, NaN without a harvest."""

    @classmethod
    def grow(
        cls,
        crops: Mapping[str, Crop],
        covers: Sequence[str],
        keys: NDArray[np.int64],
        weather: Weather,
        site: NDArray[np.intp],
        season: Season,
        seed: int,
    ) -> "Growth":
        """Grow fields through a season and the time before it.

        Args:
            crops: of the region.
            covers: of each field: a crop of the region, `forest`, `hedge`, `margin`, `water`, `road`, `settlement`.
            keys: identity of each field.
            weather: from `first_day(season)` to at least the end of the season.
            site: row of the weather for each field.
        """
        growing = ["margin" if cover in MATERIALS else cover for cover in covers]
        management = draw_management(crops, read_flora(), growing, keys, season, seed)
        return cls.managed(management, covers, keys, weather, site, season, seed)

    @classmethod
    def managed(
        cls,
        management: FieldManagement,
        covers: Sequence[str],
        keys: NDArray[np.int64],
        weather: Weather,
        site: NDArray[np.intp],
        season: Season,
        seed: int,
    ) -> "Growth":
        """Grow fields whose management is drawn; the other arguments are those of `grow`."""
        fields = DailyGrowth(management, keys, seed)
        first, last = day_number(season.start), day_number(season.end)
        history = {name: np.zeros((last - first + 1, len(keys)), np.float32) for name in HISTORY}
        plant, sward = np.zeros((2, last - first + 1, len(keys)), np.int8)
        for day in range(first_day(season), last + 1):
            fields.step(day, weather.on(day, site))
            if day >= first:
                for name, values in fields.canopy().items():
                    history[name][day - first] = values
                plant[day - first], sward[day - first] = fields.plant, fields.sward
        spread = {
            name: np.exp(by * keyed_random.normal(seed, name, keys)).astype(np.float32)
            for name, by in LEAF_SPREAD.items()
        }
        brightness = np.exp(0.1 + 0.16 * keyed_random.normal(seed, "soil brightness", keys)).astype(np.float32)
        material = np.array([MATERIALS.get(cover, PLANTS) for cover in covers], np.int8)
        return cls(first, material, history, plant, sward, spread, brightness, fields.yields.astype(np.float32))

    def state(self, day: int) -> SurfaceState:
        """State of every field on a day of the season (days since 1970-01-01)."""
        return self.states(day - self.first, slice(None))

    def states(self, at: int | NDArray[np.intp], which: slice | NDArray[np.intp]) -> SurfaceState:
        """States of fields `which` on the days `at`, counted from the first; arrays give one state for each pair."""
        canopy = {name: values[at, which] for name, values in self.history.items()}
        green = canopy["crop"] + canopy["sward"]
        share = canopy["crop"] / np.maximum(green, 1e-6)
        flora = read_flora()
        # Leaf traits mix by the green areas of crop and sward.
        mixed = {}
        for name in LEAF_TRAITS:
            of_crop = traits([*flora.plants.values(), NO_PLANT], name)[self.plant[at, which]]
            if name == "leaf_projection":
                of_crop = np.where(canopy["lodged"] > 0, LODGED_PROJECTION, of_crop)
            of_sward = traits(flora.swards.values(), name)[self.sward[at, which]]
            mixed[name] = (share * of_crop + (1 - share) * of_sward).astype(np.float32)
            if name in self.leaf_factor:
                mixed[name] = mixed[name] * self.leaf_factor[name][which]
        mixed["leaf_structure"] = np.maximum(mixed["leaf_structure"], 1.1)
        mixed["leaf_projection"] = np.clip(mixed["leaf_projection"], 0.3, 0.9)
        return SurfaceState(
            material=self.material[which],
            green_area=green,
            brown_area=canopy["brown"],
            chlorophyll=canopy["chlorophyll"],
            flower=canopy["flower"],
            residue=canopy["residue"],
            flood=canopy["flood"],
            moisture=canopy["moisture"],
            soil_brightness=self.soil_brightness[which],
            **mixed,
        )
