"""Limits of `agrifm cube check`: one table, each with its reason; and what a finding is.

They were set on simulated cubes (region and seed: oceanic 1 and 2, southern 1, monsoon 1) and on the real Flanders and
Bahia sets. Mediterranean 1 and the Mato Grosso set were only tested. Seeds 11 and 12 were unseen until they showed that
dates of coarse sensors need all pairs together (mediterranean 11), that soil within MODIS pixels brightens red, and
that ground of which there is little must not count as if there were none (mediterranean 12); the rules were mended.
`benchmarks/cube_check.py` takes other seeds.
"""

from dataclasses import dataclass
from typing import Literal

Sureness = Literal["certain", "likely", "possible"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a cube."""

    kind: str
    """What it is called, such as "swapped bands"."""
    where: str
    found: str
    sure: Sureness
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.found} ({self.kind}, {self.sure}); {self.fix}"


@dataclass(frozen=True)
class Limit:
    """A number, and why it is that number."""

    value: float
    reason: str


LIMITS = {
    "share moved": Limit(0.0005, "usable shares are recorded to four digits; more is a change after fetching"),
    "flat": Limit(0.001, "share of usable pixels with one number in all of four bands or more; clean cubes have none"),
    "flat rows": Limit(0.02, "share of usable pixels equal to the eight to their left; clean ones stay below 0.005"),
    "hidden frame": Limit(0.015, "typical difference to a clear frame near in time; clouds differ by 0.1 and more"),
    "hidden frames": Limit(2, "frames from which this is told; single frames are masked by mistake in clean cubes too"),
    "vegetation gap": Limit(0.25, "nir - red, which no offset changes, of pixels that are vegetation for sure"),
    "vegetation ndvi": Limit(0.7, "NDVI, which no scale changes, of pixels that are dense vegetation for sure"),
    "red of vegetation": Limit(
        0.095, "chlorophyll leaves 0.02 to 0.07 in red in the darkest tenth of frames; a missing offset adds 0.1 to all"
    ),
    "red below": Limit(0.0, "reflectance of vegetation in red is positive; an offset taken twice removes 0.1"),
    "nir of vegetation": Limit(0.75, "dense canopies reflect 0.3 to 0.6 in nir; twice the scale gives 0.8 and more"),
    "nir below": Limit(0.25, "dense canopies reflect 0.3 to 0.6 in nir; half the scale gives 0.24 and less"),
    "frame offset": Limit(0.06, "on or off in every band, beside frames within 40 days; growth differs by band"),
    "frame spread": Limit(0.05, "standard deviation over bands of that difference; growth and haze differ by band"),
    "frame unevenness": Limit(
        0.022, "half the spread over pixels of that difference in the steadiest band; clouds that passed reach 0.03"
    ),
    "swap": Limit(0.5, "by how much (shares of pixels in the wrong order, summed) other names must fit better"),
    "sensor level": Limit(0.045, "difference of two sensors in the bands they share; clean pairs stay below 0.03"),
    "sensor ratio": Limit(1.4, "ratio of the medians of two sensors over the bands they share; clean: 0.9 to 1.3"),
    "date shift": Limit(15, "days; clean pairs of sensors agree best within 10 days of their own dates"),
    "date gain": Limit(
        1.25, "by how much other dates must bring sensors closer (of pairs the product); clean: at most 1.1"
    ),
    "shift": Limit(1 / 3, "pixels from which a scene's shift is told in the notes; satellites are steady to 0.3"),
    "shift of a frame": Limit(
        0.9,
        "pixels beside the other scenes; simulated Sentinel-2 wanders by 0.2 along each axis, so 0.85 in 10 000 scenes",
    ),
    "shift of a sensor": Limit(0.25, "pixels of a sensor, median of its scenes, beside the finest sensor"),
    "disagreement": Limit(0.25, "pixels by which pairs may miss a scene's position (median), else it is not told"),
    "peak": Limit(10.0, "height of the peak of phase correlation in deviations of its surroundings; clear: 17 and up"),
}


def limit(name: str) -> float:
    """The number of that limit."""
    return LIMITS[name].value
