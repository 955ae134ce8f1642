"""`agrifm cube check`: whether a cube is whole and plausible. Every chunk is read once; content is judged on windows.

What one sensor alone cannot tell: its dates (but for composites that begin on fixed days of the year, and dates outside
the season), and its position on the ground. Two sensors show that one of them is wrong, three which.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from agrifm.cube.info import find_cube
from agrifm.cube.qc.coregistration import shifted
from agrifm.cube.qc.cross_sensor import Meeting, disagreement, levels, meet, wrong_dates
from agrifm.cube.qc.integrity import read_whole
from agrifm.cube.qc.radiometry import frame_levels, hidden_frames, level, swap_gains
from agrifm.cube.qc.sample_windows import Look, look_at
from agrifm.cube.qc.thresholds import Finding, limit
from agrifm.cube.store import Cube
from agrifm.errors import CubeError
from agrifm.season import day_date

BROKEN = {"wrong structure", "damaged chunk"}
"""Kinds of findings after which content is not judged."""
REFLECTANCE = "surface reflectance"
PLAUSIBLE = {
    REFLECTANCE: (-0.02, 1.2),
    "index": (-1.05, 1.05),
    "backscatter (dB)": (-40.0, 0.0),
    "backscatter (linear)": (0.0, 3.0),
    "temperature": (200.0, 350.0),
}
"""Between what the median of a frame of land lies, in the quantity's unit; of several bands their median."""


@dataclass(frozen=True)
class Report:
    """What a check found, and what it could not judge."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def kinds(self) -> set[str]:
        """Kinds of the findings."""
        return {finding.kind for finding in self.findings}


def check(path: Path) -> list[str]:
    """The lines of `agrifm cube check` where nothing is wrong.

    Raises:
        CubeError: there is no finished cube, or something is wrong with it; one sentence for each finding.
    """
    cube = find_cube(path)
    report = check_cube(cube)
    if report.findings:
        sentences = "\n".join(f"- {finding}" for finding in report.findings)
        number = "one thing is" if len(report.findings) == 1 else f"{len(report.findings)} things are"
        raise CubeError(f"checking {cube.path}: {number} wrong\n{sentences}")
    return [f"{cube.path}: nothing wrong found", *report.notes]


def check_cube(cube: Cube) -> Report:
    """Structure of the whole cube, content of windows of it."""
    whole = read_whole(cube)
    findings = list(whole.findings)
    if any(finding.kind in BROKEN for finding in findings):
        return Report(tuple(findings), ("content was not judged, as the cube is not whole",))
    looks = look_at(cube)
    notes = [_looked(looks)]
    findings += [finding for look in looks.values() for finding in other_quantity(look)]
    if any(finding.kind == "mixed quantities" for finding in findings):
        return Report(tuple(findings), (*notes, "bands, levels, dates and positions were not judged"))
    known = {name: look for name, look in looks.items() if look.sensor.input.quantity == REFLECTANCE}
    found = content(known)
    moved, silent = shifted(known)
    notes += [*silent, *_cannot_tell(known)]
    return Report((*findings, *found, *moved), tuple(notes))


def content(looks: Mapping[str, Look]) -> list[Finding]:
    """Bands, levels and dates of reflectances; a fault that explains another one is told alone."""
    meetings = [meeting for one, other in combinations(looks.values(), 2) if (meeting := meet(one, other)) is not None]
    hidden = [finding for look in looks.values() for finding in hidden_frames(look)]
    alone = [finding for look in looks.values() for finding in (*level(look), *frame_levels(look))]
    beside = levels(looks, meetings) if not alone else []
    if alone or beside:
        return [*hidden, *alone, *beside]
    swaps = swapped_bands(looks, meetings)
    return [*hidden, *swaps, *(wrong_dates(looks) if not swaps else [])]


def swapped_bands(looks: Mapping[str, Look], meetings: Sequence[Meeting]) -> list[Finding]:
    """The swap of two bands that makes the names fit the pixels, and the other sensors, clearly better."""
    best: tuple[float, str, tuple[str, str]] | None = None
    for name, look in looks.items():
        own = [meeting for meeting in meetings if name in (meeting.first.name, meeting.second.name)]
        given = [disagreement(meeting, name, {}) for meeting in own]
        for pair, gain in swap_gains(look).items():
            exchanged = dict([pair, pair[::-1]])
            for meeting, before in zip(own, given, strict=True):
                after = disagreement(meeting, name, exchanged)
                gain += before - after if np.isfinite(after) else 0
            if gain > limit("swap") and (best is None or gain > best[0]):
                best = gain, name, pair
    if best is None:
        return []
    gain, name, (first, second) = best
    return [
        Finding(
            "swapped bands",
            f"{name}, bands {first} and {second}",
            f"with their names exchanged the order of bands over vegetation and soil, the fineness of detail and the "
            f"other sensors fit better by {gain:.1f}",
            "likely" if gain > 2 * limit("swap") else "possible",
            "check which file each band came from and fetch again",
        )
    ]


def other_quantity(look: Look) -> list[Finding]:
    """Frames whose typical value lies where their quantity cannot."""
    quantity = look.sensor.input.quantity
    low, high = PLAUSIBLE[quantity]
    off = []
    for frame in range(len(look.days)):
        pixels = look.pixels(5000, frame)
        if len(pixels) >= 20 and not low <= float(np.median(np.median(pixels, axis=0))) <= high:
            off.append(frame)
    if not off:
        return []
    days = ", ".join(str(day_date(int(look.sensor.date[frame]))) for frame in off[:5]) + (" …" if len(off) > 5 else "")
    return [
        Finding(
            "mixed quantities",
            f"{look.name}, {len(off)} of {len(look.days)} frames ({days})",
            f"their median lies outside {low:g} to {high:g}, where {quantity} of land lies",
            "likely",
            "check that every file is of the product, in its scale and quantity, and fetch again",
        )
    ]


def _looked(looks: Mapping[str, Look]) -> str:
    look = min(looks.values(), key=lambda one: one.sensor.grid.resolution)
    windows = "one window" if len(look.pieces) == 1 else f"{len(look.pieces)} windows"
    return (
        f"every chunk of {', '.join(looks)} was read; whether the numbers are plausible was judged on {look.share:.0%} "
        f"of the area ({windows})"
    )


def _cannot_tell(looks: Mapping[str, Look]) -> list[str]:
    if len(looks) > 1:
        return []
    return ["one sensor alone does not tell whether its dates and its place on the ground are right"]
