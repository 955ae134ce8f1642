"""Thresholds of `agrifm cube check`, each with its reason, and what a finding is.

`benchmarks/cube_check.py` measures them again. How they were set and on what they were tested:
docs/decisions/0008-thresholds-of-the-cube-check.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agrifm.season import day_date

Confidence = Literal["certain", "likely", "possible"]


@dataclass(frozen=True)
class Finding:
    """One fault of a cube."""

    kind: str
    """Its name, such as "swapped bands"."""
    where: str
    found: str
    confidence: Confidence
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.found} ({self.kind}, {self.confidence}); {self.fix}"


@dataclass(frozen=True)
class Threshold:
    """A number, and the reason for it."""

    value: float
    reason: str


THRESHOLDS = {
    name: Threshold(value, reason)
    for name, value, reason in (
        ("share moved", 0.0005, "usable shares are recorded to four digits; more is a change after fetching"),
        ("flat", 0.001, "share of usable pixels with one number in all bands (four or more); clean cubes have none"),
        ("flat rows", 0.02, "share of usable pixels equal to the eight to their left; clean cubes stay below 0.005"),
        ("hidden frame", 0.015, "typical difference to a clear frame near in time; clouds differ by 0.1 and more"),
        ("hidden frames", 2, "number of frames to report; clean cubes have single frames that are masked by mistake"),
        ("vegetation gap", 0.25, "nir - red, which no offset changes, of pixels that are certainly vegetation"),
        ("vegetation ndvi", 0.7, "NDVI, which no scale changes, of pixels that are certainly dense vegetation"),
        (
            "red of vegetation",
            0.095,
            "chlorophyll leaves 0.02 to 0.07 in red in the darkest tenth of frames; a missing offset adds 0.1 to all",
        ),
        ("red below", 0.0, "vegetation reflects more than 0 in red; an offset that is subtracted twice removes 0.1"),
        ("nir of vegetation", 0.75, "dense canopies reflect 0.3 to 0.6 in nir; twice the scale gives 0.8 and more"),
        ("nir below", 0.25, "dense canopies reflect 0.3 to 0.6 in nir; half the scale gives 0.24 and less"),
        ("frame offset", 0.06, "difference to frames within 40 days, in every band; growth differs by band"),
        ("frame spread", 0.05, "standard deviation over bands of that difference; growth and haze differ by band"),
        (
            "frame unevenness",
            0.022,
            "half the spread over pixels of that difference in the steadiest band; undetected clouds reach 0.03",
        ),
        ("swap", 0.5, "by how much (shares of pixels in the wrong order, summed) other names must fit better"),
        ("sensor level", 0.045, "difference of two sensors in the bands they share; clean pairs stay below 0.03"),
        ("sensor ratio", 1.4, "ratio of the medians of two sensors in the bands they share; clean: 0.9 to 1.3"),
        ("date shift", 15, "days; clean pairs of sensors agree best within 10 days of their dates"),
        (
            "date gain",
            1.25,
            "factor by which other dates must bring sensors closer (of several pairs the product); clean: at most 1.1",
        ),
        ("shift", 1 / 3, "pixels from which a note lists a scene; satellites are steady to 0.3"),
        (
            "shift of a frame",
            0.9,
            "pixels off the other scenes; simulated Sentinel-2 moves by 0.2 along each axis, so 0.85 in 10 000 scenes",
        ),
        ("shift of a sensor", 0.25, "pixels of a sensor off the finest sensor, median of its scenes"),
        ("disagreement", 0.25, "pixels (median) by which pairs may miss the position of a scene that is assessed"),
        ("peak", 10.0, "height of the peak of phase correlation in deviations of its surroundings; clear: 17 and up"),
    )
}


def threshold(name: str) -> float:
    """The number of that threshold."""
    return THRESHOLDS[name].value


def list_days(days: Sequence[int], most: int = 5) -> str:
    """The first of some days (since 1970-01-01) as dates: "2024-05-01, 2024-05-06 …"."""
    listed = ", ".join(str(day_date(day)) for day in days[:most])
    return f"{listed} …" if len(days) > most else listed
