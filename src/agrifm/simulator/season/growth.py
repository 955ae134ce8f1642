"""Growth of fields day by day: leaves, dead matter, residue and the soil's water, driven by the weather.

A field has one crop at a time, which follows thermal time, and a sward (grass, weeds, volunteers, a catch crop, trees)
that fills the room it is given. Both draw on the same soil water; lack of water slows growth and hastens senescence.
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
from agrifm.simulator.season.management import draw_management, first_day
from agrifm.simulator.season.plants import NO_PLANT, LeafTraits, read_flora, traits
from agrifm.simulator.season.weather import Weather

MATERIALS = {"water": WATER, "road": ROAD, "settlement": ROOFS}
"""Covers that are no plants; all others are."""
LEAF_TRAITS = tuple(name for name in LeafTraits.model_fields if name != "chlorophyll")
HISTORY = ("crop", "sward", "brown", "chlorophyll", "residue", "flower", "flood", "moisture", "lodged")

LODGED_PROJECTION = 0.85
"""Projection towards the zenith of leaves and stems that lie."""
LEAF_SPREAD = {"leaf_water": 0.2, "leaf_dry_matter": 0.15, "leaf_structure": 0.06, "leaf_projection": 0.12}
"""Standard deviation of the logarithm of leaf traits between fields; structure and projection are kept in bounds."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Growth:
    """What grew on each field on each day of a season."""

    first: int
    """First day, days since 1970-01-01."""
    material: NDArray[np.int8]
    history: Mapping[str, NDArray[np.float32]]
    """(days, fields) of each of `HISTORY`: green area of crop and sward, and what `SurfaceState` has of these names."""
    plant: NDArray[np.int8]
    """(days, fields) index of the plant of the day, -1 = none."""
    sward: NDArray[np.int8]
    """(days, fields) index of the sward."""
    leaf_factor: Mapping[str, NDArray[np.float32]]
    """(fields,) factor on each trait of `LEAF_SPREAD`."""
    soil_brightness: NDArray[np.float32]
    yields: NDArray[np.float32]
    """t/ha, NaN where nothing is harvested."""

    @classmethod
    def grow(
        cls,
        crops: Mapping[str, Crop],
        covers: Sequence[str],
        keys: NDArray[np.int64],
        weather: Weather,
        place: NDArray[np.intp],
        season: Season,
        seed: int,
    ) -> "Growth":
        """Grow fields through a season and the year before it.

        Args:
            crops: of the region.
            covers: what stands on each field: a crop of the region, `forest`, `hedge`, `margin`, `water`, `road`,
                `settlement`.
            keys: identity of each field.
            weather: from `first_day(season)` to the season's end or longer.
            place: row of the weather for each field.
        """
        growing = ["margin" if cover in MATERIALS else cover for cover in covers]
        plans = draw_management(crops, read_flora(), growing, keys, season, seed)
        fields = DailyGrowth(plans, keys, seed)
        first, last = day_number(season.start), day_number(season.end)
        history = {name: np.zeros((last - first + 1, len(keys)), np.float32) for name in HISTORY}
        plant, sward = np.zeros((2, last - first + 1, len(keys)), np.int8)
        for day in range(first_day(season), last + 1):
            fields.step(day, weather.on(day, place))
            if day >= first:
                for name, values in fields.shown().items():
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
        """Every field on a day of the season (days since 1970-01-01)."""
        at = day - self.first
        shown = {name: values[at] for name, values in self.history.items()}
        green = shown["crop"] + shown["sward"]
        share = shown["crop"] / np.maximum(green, 1e-6)
        flora = read_flora()
        mixed = {}
        for name in LEAF_TRAITS:
            of_crop = traits([*flora.plants.values(), NO_PLANT], name)[self.plant[at]]
            if name == "leaf_projection":
                of_crop = np.where(shown["lodged"] > 0, LODGED_PROJECTION, of_crop)
            of_sward = traits(flora.swards.values(), name)[self.sward[at]]
            mixed[name] = (share * of_crop + (1 - share) * of_sward).astype(np.float32)
            if name in self.leaf_factor:
                mixed[name] = mixed[name] * self.leaf_factor[name]
        mixed["leaf_structure"] = np.maximum(mixed["leaf_structure"], 1.1)
        mixed["leaf_projection"] = np.clip(mixed["leaf_projection"], 0.3, 0.9)
        return SurfaceState(
            material=self.material,
            green_area=green,
            brown_area=shown["brown"],
            chlorophyll=shown["chlorophyll"],
            flower=shown["flower"],
            residue=shown["residue"],
            flood=shown["flood"],
            moisture=shown["moisture"],
            soil_brightness=self.soil_brightness,
            **mixed,
        )
