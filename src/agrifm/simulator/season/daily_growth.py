"""State of fields on one day and the step to the next: field work, leaves, dead matter, soil water."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.simulator import keyed_random
from agrifm.simulator.season.crops import CropType
from agrifm.simulator.season.management import NEVER, SLOTS, FieldManagement
from agrifm.simulator.season.plants import NO_PLANT, Plant, Sward, read_flora, traits
from agrifm.simulator.season.weather import DayWeather

EXTINCTION = 0.5
"""Extinction coefficient of light by leaves at random angles."""
LIGHT_USE = 2.2
"""Dry matter per intercepted photosynthetically active radiation, g per MJ; half of solar radiation is active."""
DROUGHT_AGEING = 0.6
"""Relative increase of the rate of ageing for plants without water."""
READILY_AVAILABLE = 0.5
"""Readily available share of the soil water (FAO-56 table 22: 0.4 to 0.6)."""
SURFACE_WATER = 6.0
"""Water capacity of the visible soil surface, mm; half of the evaporable water in FAO-56 table 19."""
SEEDLING_AREA = 0.02
"""Leaf area with which a sward starts, m2 per m2."""
CATCH_CROP = 1.6
"""Leaf area of a good catch crop, m2 per m2."""
CATCH_CROP_MIN_GAP, CATCH_CROP_MIN_TEMPERATURE = 90, 13.0
"""A catch crop is sown if the gap has at least so many days and the tillage of stubble is warmer than this, Celsius."""
MAX_PLOUGH, MIN_NO_TILL = 0.4, 0.85
"""Uniform random numbers below the first mean ploughing, above the second direct sowing."""
MIN_DAYS_BETWEEN_CUTS = 30
"""Days."""
MIN_DAY_LENGTH = 5.0
"""Hours of daylight at which long-day plants do not age."""
MAX_DEVELOPMENT_TEMPERATURE = 27.0
"""Daily mean temperature above which development is not faster, degrees Celsius."""
SATURATING_RADIATION = 9.0
"""Solar radiation above which it does not limit the growth of swards, MJ per m2 and day."""
TREND_WEIGHT = 0.1
"""Weight of a day in the running mean of temperature that drives swards."""
MIN_LODGING_AGE, LODGING_LOSS = 0.8, 0.2
"""Share of the age of senescence from which crops lodge, and the share of the yield that lodging costs."""
YIELD_NOISE = 0.13
"""Standard deviation of the logarithm of yields that growth does not explain."""

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]


class DailyGrowth:
    """State of fields on the day of the last `step`; every array (fields,)."""

    def __init__(self, management: FieldManagement, keys: NDArray[np.int64], seed: int):
        flora = read_flora()
        self.management, self._rows = management, np.arange(len(keys))
        self._plants = {name: traits([*flora.plants.values(), NO_PLANT], name) for name in Plant.model_fields}
        self._swards = {name: traits(flora.swards.values(), name) for name in Sward.model_fields}
        numbers = [name for name, field in CropType.model_fields.items() if field.annotation in (float, bool)]
        self._types = {name: traits(management.types, name) for name in numbers}
        swards = list(flora.swards)
        self._sward_of_type = np.array([swards.index(kind.sward) for kind in management.types])
        self._weeds = swards.index("weeds")

        zeros = np.zeros(len(keys))
        self.slot = np.zeros(len(keys), np.intp)
        self.growing = zeros > 0
        self.clock, self.age, self.grown, self.crop, self.brown = (zeros.copy() for _ in range(5))
        self.residue, self.moisture = zeros + 0.1, zeros + 0.5
        self.trend = zeros + 15.0
        perennial = self._trait("perennial") > 0
        self.room = np.where(perennial, management.room[:, 0], 0.5)
        self.leaves = 0.7 * self.room
        self.sward = np.where(perennial, self._sward_of_type[management.kind[:, 0]], self._weeds)
        self.depletion = 0.4 * self._trait("water")
        self.soil = np.exp(0.25 * keyed_random.normal(seed, "soil water", keys))
        self.cut_on = np.full(len(keys), -NEVER)
        self.cut_factor = np.exp(0.35 * keyed_random.normal(seed, "cuts", keys))
        self.harvested_on = np.full(len(keys), -NEVER)
        self.ripe_on, self.stubble_on, self.seedbed_on = (np.full(len(keys), NEVER) for _ in range(3))
        self.biomass, self.yields = zeros.copy(), np.full(len(keys), np.nan)
        self._noise = np.exp(YIELD_NOISE * keyed_random.normal(seed, "yield", keys))
        self._tools = keyed_random.uniform(seed, "tillage", keys)

    @property
    def plant(self) -> NDArray[np.intp]:
        """Index of the growing crop, -1 = none."""
        return np.where(self.growing, self._planned("plant"), -1)

    def canopy(self) -> dict[str, Numbers]:
        """State of the canopy today, the input of optics, by the names of `Growth.history`."""
        plant, planned = self.plant, self._planned
        crop = {name: values[plant] for name, values in self._plants.items()}
        young = 0.7 + 0.3 * np.minimum(self.clock / crop["middle"], 1)
        of_crop = crop["chlorophyll"] * planned("nitrogen") * young * (1 - 0.4 * self._leaf_loss(plant))
        of_sward = self._swards["chlorophyll"][self.sward] * (0.75 + 0.25 * self._water_stress_factor())
        share = self.crop / np.maximum(self.crop + self.leaves, 1e-6)
        bloom = np.exp(-0.5 * ((self.age - crop["bloom"]) / crop["bloom_length"]) ** 2)
        full = np.minimum(self.grown / (0.7 * crop["leaf_area"]), 1)
        flooded = self._flooded()
        return {
            "crop": self.crop,
            "sward": self.leaves,
            "brown": self.brown + self._trait("wood"),
            "chlorophyll": share * of_crop + (1 - share) * of_sward,
            "residue": self.residue,
            "flower": crop["flower"] * bloom * full,
            "flood": flooded.astype(float),
            "lodged": self._lodged().astype(float),
            "moisture": np.where(flooded, 1.0, self.moisture),
        }

    def step(self, day: int, today: DayWeather) -> None:
        """Simulate a day (days since 1970-01-01)."""
        self.trend = self.trend + TREND_WEIGHT * (today.temperature - self.trend)
        self._harvest(day)
        self._till(day)
        self._sow(day)
        free = self._water_stress_factor()
        self._grow_crop(today, free)
        self._grow_sward(day, today, np.maximum(free, np.sqrt(self.moisture)))
        self._decay(today.temperature)
        # Biomass from intercepted light, reduced by drought and cold.
        light = 1 - np.exp(-EXTINCTION * self.crop)
        self.biomass += LIGHT_USE * 0.5 * today.radiation * light * free * np.clip(today.temperature / 12, 0, 1)
        self._update_water(today, free)

    def _planned(self, name: str) -> NDArray[Any]:
        """A planned value of each field in its current slot, by the names of `FieldManagement`."""
        values: NDArray[Any] = getattr(self.management, name)[self._rows, np.minimum(self.slot, SLOTS - 1)]
        return values

    def _trait(self, trait: str) -> Numbers:
        return np.asarray(self._types[trait][self._planned("kind")])

    def _leaf_loss(self, plant: NDArray[np.intp]) -> Numbers:
        """Share of the crop's leaves that have died, 0..1."""
        late = self._plants["fading"][plant] * (self.age - self._plants["senescence"][plant])
        return np.exp(np.minimum(late, 0))

    def _water_stress_factor(self) -> Numbers:
        """Water stress coefficient, 0 (no water) .. 1 (no stress), FAO-56 equation 84."""
        holds = self._trait("water") * self.soil
        return np.clip((holds - self.depletion) / ((1 - READILY_AVAILABLE) * holds), 0, 1)

    def _flooded(self) -> Mask:
        """Fields under water: until their crop begins to ripen."""
        return np.asarray(self.growing & self._planned("flooded") & (self._leaf_loss(self.plant) < 0.3))

    def _lodged(self) -> Mask:
        """Fields whose crop has lodged: possible as soon as the crop is heavy."""
        plant = self.plant
        heavy = self.age > MIN_LODGING_AGE * self._plants["senescence"][plant]
        return np.asarray(self.growing & heavy & (self._planned("lodging") < self._plants["lodging"][plant]))

    def _harvest(self, day: int) -> None:
        """Harvest ripe crops, and crops that must make room for the next one."""
        management, plant = self.management, self.plant
        maturity = self._plants["maturity"][plant]
        # Autumn ends the ripening of crops that are nearly mature.
        too_cold = (self.age > 0.6 * maturity) & (self.trend < self._plants["base"][plant] + 2)
        ripe = self.growing & ((self.age >= maturity) | too_cold)
        self.ripe_on = np.where(ripe, np.minimum(self.ripe_on, day), NEVER)
        following = management.sowing[self._rows, np.minimum(self.slot + 1, SLOTS - 1)]
        following = np.where(self.slot < SLOTS - 1, following, NEVER)
        again = management.again[self._rows, np.minimum(self.slot + 1, SLOTS - 1)]
        done = self.growing & (
            (day >= self.ripe_on + self._planned("late")) | (day >= following - np.where(again, 1, 6))
        )
        if not done.any():
            return
        index = self._plants["harvest_index"][plant]
        harvested = done & self._planned("yields") & (index > 0)
        left = np.where(self._lodged(), 1 - LODGING_LOSS, 1.0)
        self.yields = np.where(harvested, self.biomass * index * left * self._noise / 100, self.yields)
        perennial = self._trait("perennial") > 0
        self.brown = np.where(done & (plant >= 0), np.where(perennial, 0, self._plants["stubble"][plant]), self.brown)
        cover = 1 - (1 - self.residue) * (1 - self._plants["straw"][plant])
        self.residue = np.where(done, cover, self.residue)
        self.grown, self.crop = np.where(done, 0, self.grown), np.where(done, 0, self.crop)
        self.growing &= ~done
        self.harvested_on = np.where(done & ~again, day, self.harvested_on)
        self.slot = np.where(done, self.slot + 1, self.slot)

        # The gap: stubble with volunteers, then stubble tillage, possibly a catch crop, then the seedbed.
        gap = done & ~again
        stubble_on = day + self._planned("stubble_days")
        seedbed_on = np.maximum(following - self._planned("seedbed_days"), day + 2)
        self.seedbed_on = np.where(gap, np.where(following < NEVER, seedbed_on, NEVER), self.seedbed_on)
        self.stubble_on = np.where(gap, np.where(stubble_on < seedbed_on - 10, stubble_on, NEVER), self.stubble_on)
        self.room = np.where(gap, self._plants["volunteers"][plant] * self._planned("greening"), self.room)
        self.sward = np.where(gap & ~perennial, self._weeds, self.sward)
        self.leaves = np.where(gap & ~perennial, np.minimum(self.leaves, SEEDLING_AREA), self.leaves)

    def _till(self, day: int) -> None:
        """Till stubble and seedbeds; sow catch crops."""
        stubble, seedbed = self.stubble_on == day, self.seedbed_on == day
        tilled = stubble | seedbed
        if not tilled.any():
            return
        # Share of the residue that remains on the surface after ploughing, direct sowing, or other tillage.
        kept = np.select([self._tools < MAX_PLOUGH, self._tools > MIN_NO_TILL], [0.1, 0.9], 0.4)
        buried = 1 - (1 - self.residue) * np.exp(-0.4 * self.leaves)
        self.residue = np.where(tilled, kept * buried, self.residue)
        self.brown = np.where(tilled, 0.5 * kept * self.brown, self.brown)
        self.leaves = np.where(tilled, np.maximum(np.where(stubble, 0.3 * self.leaves, 0), SEEDLING_AREA), self.leaves)
        long = (
            (self.seedbed_on - day > CATCH_CROP_MIN_GAP)
            & (self.trend > CATCH_CROP_MIN_TEMPERATURE)
            & self._planned("catch")
        )
        greening = self._planned("greening")
        self.room = np.where(stubble, np.where(long, CATCH_CROP * greening, 0.8 * self.room), self.room)
        self.leaves = np.where(stubble & long, 5 * SEEDLING_AREA, self.leaves)
        killed_on = np.minimum(self.seedbed_on, day + self._planned("catch_days"))
        self.seedbed_on = np.where(stubble & long, killed_on, self.seedbed_on)
        self.room = np.where(seedbed, 0.4 * greening, self.room)

    def _sow(self, day: int) -> None:
        """Sow the next crop where it is due and the rest after the harvest is over."""
        ready = np.maximum(self._planned("sowing"), self.harvested_on + self._planned("rest_days"))
        sown = ~self.growing & (ready <= day) & (self.slot < SLOTS)
        if not sown.any():
            return
        self.growing |= sown
        for name in ("clock", "age", "grown", "crop", "biomass"):
            setattr(self, name, np.where(sown, 0.0, getattr(self, name)))
        new = sown & ~self._planned("again")
        self.room = np.where(sown, self._planned("room"), self.room)
        self.leaves = np.where(new, np.minimum(self.leaves, 2 * SEEDLING_AREA), self.leaves)
        self.sward = np.where(new, self._sward_of_type[self._planned("kind")], self.sward)

    def _grow_crop(self, today: DayWeather, free: Numbers) -> None:
        """Leaf area of crops: a logistic increase and an exponential decrease over thermal time (see `Plant`)."""
        plant = self.plant
        of_plant = {name: values[plant] for name, values in self._plants.items()}
        temperature = np.minimum(today.temperature, MAX_DEVELOPMENT_TEMPERATURE)
        warmth = np.maximum(temperature - of_plant["base"], 0) * self.growing * self._planned("tempo")
        # Leaf area grows by the increase of the logistic curve since yesterday, less under drought.
        clock = self.clock + warmth
        potential = 1 / (1 + np.exp(-of_plant["rate"] * (clock - of_plant["middle"])))
        before = 1 / (1 + np.exp(-of_plant["rate"] * (self.clock - of_plant["middle"])))
        step = np.where(clock > of_plant["emergence"], potential - before, 0) * (plant >= 0)
        self.grown += self._plants["leaf_area"][plant] * self._planned("vigour") * step * free
        self.clock = clock
        needed = np.maximum(of_plant["day_length"], MIN_DAY_LENGTH + 1)
        pace = np.clip((today.day_length - MIN_DAY_LENGTH) / (needed - MIN_DAY_LENGTH), 0, 1)
        self.age += warmth * np.where(of_plant["day_length"] > 0, pace, 1) * (1 + DROUGHT_AGEING * (1 - free))
        green = self.grown * (1 - self._leaf_loss(plant))
        self.brown += of_plant["standing"] * np.maximum(self.crop - green, 0)
        self.crop = green

    def _grow_sward(self, day: int, today: DayWeather, free: Numbers) -> None:
        """Leaf area of swards: logistic growth up to the room under the crop, losses by cold and drought, cuts."""
        of_plant = {name: values[self.sward] for name, values in self._swards.items()}
        shade = np.where(self._trait("perennial") > 0, 0, EXTINCTION * self.crop)
        room = np.maximum(self.room * np.exp(-shade), SEEDLING_AREA)
        warm = np.clip((self.trend - of_plant["base"]) / (18 - of_plant["base"]), 0, 1.2)
        light = np.minimum(today.radiation / SATURATING_RADIATION, 1)
        push = np.maximum(of_plant["growth"] * warm * light * free * (1 - self.leaves / room), -0.06)
        lost = of_plant["cold_loss"] * np.maximum(of_plant["cold"] - self.trend, 0)
        lost = lost + of_plant["drought_loss"] * (1 - free)
        dying = np.clip(lost + np.maximum(-push, 0), 0, 0.5) * self.leaves
        self.brown += of_plant["standing"] * dying
        self.leaves = np.maximum(self.leaves + np.maximum(push, 0) * self.leaves - dying, 0.5 * SEEDLING_AREA)
        # Mow or graze the sward.
        at = self._trait("cut_at") * self.cut_factor
        cut = self.growing & (at > 0) & (self.leaves > at) & (day - self.cut_on >= MIN_DAYS_BETWEEN_CUTS)
        self.leaves = np.where(cut, np.minimum(self._trait("cut_to") * self.cut_factor, self.leaves), self.leaves)
        self.cut_on = np.where(cut, day, self.cut_on)

    def _decay(self, temperature: Numbers) -> None:
        """Dead leaves fall and decompose, faster in warm and wet conditions."""
        pace = self.moisture * np.clip(temperature / 20, 0, 1.5)
        fallen = (0.004 + 0.012 * pace) * self.brown
        self.brown -= fallen
        self.residue = (1 - (1 - self.residue) * np.exp(-0.3 * fallen)) * (1 - 0.001 - 0.006 * pace)

    def _update_water(self, today: DayWeather, free: Numbers) -> None:
        """Water balance of the root zone and of the surface (FAO-56 dual crop coefficient, simplified)."""
        holds = self._trait("water") * self.soil
        cover = 1 - np.exp(-0.6 * (self.crop + self.leaves))
        thirsty = self._planned("irrigated") & self.growing & (self.depletion > READILY_AVAILABLE * holds)
        # Irrigation adds 25 mm whenever the readily available water is used up.
        supply = today.rain + np.where(thirsty, 25.0, 0.0)
        from_soil = today.evapotranspiration * (1.05 - cover) * self.moisture
        from_leaves = today.evapotranspiration * 1.05 * cover * free
        depletion = np.clip(self.depletion + from_soil + from_leaves - supply, 0, holds)
        self.depletion = np.where(self._flooded(), 0.0, depletion)
        wet = np.minimum(self.moisture + supply / SURFACE_WATER, 1)
        self.moisture = np.maximum(wet - (from_soil + 0.1 * from_leaves + 0.2) / SURFACE_WATER, 0.02)
