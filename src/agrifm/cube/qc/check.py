"""`agrifm cube check`: check that a cube is whole and plausible. Every chunk is read once; content on sample windows.

One sensor alone does not show wrong dates (except composites that begin on fixed days of the year, and dates outside
the season) or a wrong position. Two sensors show that one of them is wrong, three show which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from agrifm.cube.info import find_cube
from agrifm.cube.qc.coregistration import check_positions
from agrifm.cube.qc.cross_sensor import (
    MatchedPairs,
    compare_levels,
    disagreement,
    independent_sensors,
    match_pairs,
    same_acquisitions,
    wrong_dates,
)
from agrifm.cube.qc.integrity import check_integrity
from agrifm.cube.qc.radiometry import check_frame_offsets, check_level, find_hidden_frames, swap_gains
from agrifm.cube.qc.sample_windows import SensorWindows, read_sample_windows
from agrifm.cube.qc.thresholds import Finding, list_days, threshold
from agrifm.cube.store import Cube
from agrifm.errors import CubeError, doing
from agrifm.files import AnyPath
from agrifm.object_store import ObjectPath

STRUCTURAL_FAULTS = {"wrong structure", "damaged chunk"}
"""Kinds of findings after which the content is not assessed."""
REFLECTANCE = "surface reflectance"
PLAUSIBLE_MEDIANS = {
    REFLECTANCE: (-0.02, 1.2),
    "top-of-atmosphere reflectance": (-0.02, 1.2),
    "index": (-1.05, 1.05),
    "backscatter (dB)": (-40.0, 0.0),
    "backscatter (linear)": (0.0, 3.0),
    "temperature": (200.0, 350.0),
}
"""Lowest and highest plausible median of a frame over land, in the quantity's unit; of several bands their median."""


@dataclass(frozen=True)
class CubeReport:
    """The findings of a check, and notes on what was not assessed."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def kinds(self) -> set[str]:
        """Kinds of the findings."""
        return {finding.kind for finding in self.findings}


def cube_check(path: AnyPath | ObjectPath) -> list[str]:
    """Check a cube; returns the lines of `agrifm cube check` if nothing is wrong.

    Raises:
        CubeError: there is no finished cube, or it has faults; one sentence for each finding.
    """
    cube = find_cube(path)
    report = check_cube(cube)
    if report.findings:
        sentences = "\n".join(f"- {finding}" for finding in report.findings)
        count = "one fault" if len(report.findings) == 1 else f"{len(report.findings)} faults"
        raise CubeError(f"checking {cube.path}: {count}\n{sentences}", kinds=sorted(report.kinds))
    return [f"{cube.path}: no fault found", *cube.notes, *report.notes]


def check_cube(cube: Cube) -> CubeReport:
    """Check the structure of the whole cube, and the content of sample windows."""
    with doing(f"checking {cube.path}", CubeError, "its record is damaged; fetch it again", path=cube.path):
        return _check(cube)


def _check(cube: Cube) -> CubeReport:
    findings = check_integrity(cube)
    if any(finding.kind in STRUCTURAL_FAULTS for finding in findings):
        return CubeReport(tuple(findings), ("the content was not assessed, as the cube is not whole",))
    sensors = read_sample_windows(cube)
    notes = [_describe_windows(sensors)]
    findings += [finding for sensor in sensors.values() for finding in check_quantity(sensor)]
    if any(finding.kind == "mixed quantities" for finding in findings):
        return CubeReport(tuple(findings), (*notes, "bands, levels, dates and positions were not assessed"))
    reflectances = {name: sensor for name, sensor in sensors.items() if sensor.cube.input.quantity == REFLECTANCE}
    findings += check_content(reflectances)
    shifted, position_notes = check_positions(reflectances)
    notes += position_notes
    independent = independent_sensors(reflectances)
    if len(independent) < len(reflectances):
        same = " and ".join(name for name in reflectances if _has_twin(name, reflectances))
        notes.append(f"{same} are of the same acquisitions, so that they agree does not show whether they are right")
    if len(independent) <= 1:
        notes.append("one sensor alone does not show whether its dates and its position are right")
    return CubeReport((*findings, *shifted), tuple(notes))


def check_content(sensors: Mapping[str, SensorWindows]) -> list[Finding]:
    """Check bands, levels and dates of reflectances; if one fault explains another, only the first is reported."""
    matches = [
        matched for one, other in combinations(sensors.values(), 2) if (matched := match_pairs(one, other)) is not None
    ]
    hidden = [finding for sensor in sensors.values() for finding in find_hidden_frames(sensor)]
    by_sensor = [
        finding for sensor in sensors.values() for finding in (*check_level(sensor), *check_frame_offsets(sensor))
    ]
    between = compare_levels(sensors, matches) if not by_sensor else []
    if by_sensor or between:
        return [*hidden, *by_sensor, *between]
    swaps = swapped_bands(sensors, matches)
    return [*hidden, *swaps, *(wrong_dates(independent_sensors(sensors)) if not swaps else [])]


def _has_twin(name: str, sensors: Mapping[str, SensorWindows]) -> bool:
    return any(same_acquisitions(sensors[name], other) for of, other in sensors.items() if of != name)


def swapped_bands(sensors: Mapping[str, SensorWindows], matches: Sequence[MatchedPairs]) -> list[Finding]:
    """Find the swap of two bands after which their names fit the pixels, and the other sensors, clearly better."""
    best: tuple[float, str, tuple[str, str]] | None = None
    for name, sensor in sensors.items():
        of_sensor = [matched for matched in matches if name in (matched.first.name, matched.second.name)]
        given = [disagreement(matched, name, {}) for matched in of_sensor]
        for pair, gain in swap_gains(sensor).items():
            exchanged = dict([pair, pair[::-1]])
            for matched, before in zip(of_sensor, given, strict=True):
                after = disagreement(matched, name, exchanged)
                gain += before - after if np.isfinite(after) else 0
            if gain > threshold("swap") and (best is None or gain > best[0]):
                best = gain, name, pair
    if best is None:
        return []
    gain, name, (first, second) = best
    return [
        Finding(
            "swapped bands",
            f"{name}, bands {first} and {second}",
            "with their names exchanged, the order of bands over vegetation and soil, their detail and the other "
            f"sensors fit better by {gain:.1f}",
            "likely" if gain > 2 * threshold("swap") else "possible",
            "check which file each band came from and fetch again",
        )
    ]


def check_quantity(sensor: SensorWindows) -> list[Finding]:
    """Find frames with a median that their quantity does not have over land."""
    quantity = sensor.cube.input.quantity
    low, high = PLAUSIBLE_MEDIANS[quantity]
    off = []
    for frame in range(len(sensor.days)):
        pixels = sensor.pixels(5000, frame)
        if len(pixels) >= 20 and not low <= float(np.median(np.median(pixels, axis=0))) <= high:
            off.append(frame)
    if not off:
        return []
    days = list_days([sensor.cube.date[frame] for frame in off])
    return [
        Finding(
            "mixed quantities",
            f"{sensor.name}, {len(off)} of {len(sensor.days)} frames ({days})",
            f"their median is outside {low:g} to {high:g}, the range of {quantity} over land",
            "likely",
            "check that every file is of the product, in its scale and quantity, and fetch again",
        )
    ]


def _describe_windows(sensors: Mapping[str, SensorWindows]) -> str:
    sensor = min(sensors.values(), key=lambda sensor: sensor.cube.grid.resolution)
    counted = "one window" if len(sensor.windows) == 1 else f"{len(sensor.windows)} windows"
    return (
        f"every chunk of {', '.join(sensors)} was read; whether the numbers are plausible was checked on "
        f"{sensor.share:.0%} of the area ({counted})"
    )
