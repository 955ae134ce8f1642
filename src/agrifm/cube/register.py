"""Whether images lie on each other: shifts to a fraction of a pixel by phase correlation, of scenes and of sensors.

What has too little texture, or too few pixels valid in both images, is not judged; never is it called fine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from agrifm.cube.between import partners
from agrifm.cube.limits import Finding, limit
from agrifm.cube.looks import Image, Look, coarser
from agrifm.cube.spectra import red_and_nir
from agrifm.season import day_date

SMALLEST = 24
"""Side in pixels below which a window is not judged."""
SEEN = 0.6
"""Share of a window that must be valid in both images."""
SMOOTH = 0.12
"""Standard deviation, cycles per pixel, of the Gaussian that weights frequencies: noise and resampling live above."""
EDGE = 8
"""Pixels over which an image fades out towards what is not valid."""
FARTHEST = 3.0
"""Pixels up to which shifts are looked for."""
STEP = 0.05
"""Pixels between the shifts at which the correlation is computed."""
NEIGHBOURS = 3
"""Frames nearest in time that a frame is laid on."""
DAYS = 45
MOST = 24
"""Pairs of frames, or frames, that are measured of one sensor or pair of sensors."""


@dataclass(frozen=True)
class Shift:
    """How far one image lies from another, in pixels: positive = further down and to the right."""

    down: float
    right: float
    peak: float
    """Height of the correlation's peak in deviations of its surroundings."""

    @property
    def length(self) -> float:
        """Distance in pixels."""
        return float(np.hypot(self.down, self.right))


def measure_shift(image: Image, reference: Image) -> Shift | None:
    """How far `image` lies from `reference`, both (C, H, W) with NaN where not valid; None where it cannot be judged.

    Phase correlation (Kuglin & Hines 1975), the normalised cross power averaged over bands and weighted with a Gaussian
    of low frequencies, evaluated on a fine grid by two matrix products (Guizar-Sicairos et al. 2008).
    """
    known = np.asarray(np.isfinite(image).all(axis=0) & np.isfinite(reference).all(axis=0))
    height, width = known.shape
    if min(height, width) < SMALLEST or known.mean() < SEEN:
        return None
    inside = np.minimum(distance_transform_edt(known) / EDGE, 1)  # else the edges of clouds, alike in both, lie still
    window = np.outer(np.hanning(height), np.hanning(width)) * np.sin(inside * np.pi / 2) ** 2
    rows, cols = np.fft.fftfreq(height), np.fft.fftfreq(width)
    power = np.zeros((height, width), complex)
    for one, other in zip(image, reference, strict=True):
        ours, theirs = (np.fft.fft2(_level(plane, known) * window) for plane in (one, other))
        cross = ours * np.conj(theirs)
        power += cross / np.maximum(np.abs(cross), 1e-12)
    power *= np.exp(-(rows[:, None] ** 2 + cols[None] ** 2) / (2 * SMOOTH**2))
    moves = np.arange(-FARTHEST, FARTHEST + STEP / 2, STEP)
    surface = np.real(np.exp(2j * np.pi * np.outer(moves, rows)) @ power @ np.exp(2j * np.pi * np.outer(cols, moves)))
    top = np.unravel_index(int(surface.argmax()), surface.shape)
    far = np.real(np.fft.ifft2(power)) * power.size
    noise = float(np.median(np.abs(far))) / 0.6745
    peak = float(surface[top]) / max(noise, 1e-12)
    if peak < limit("peak"):
        return None
    return Shift(float(moves[top[0]]), float(moves[top[1]]), peak)


def _level(plane: Image, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The plane less its mean, over its spread, extremes cut at three spreads; 0 where not known."""
    values = plane[known]
    low, middle, high = np.percentile(values, (16, 50, 84))
    spread = max(float(high - low) / 2, 1e-6)
    return np.where(known, np.clip((plane - middle) / spread, -3, 3), 0).astype(np.float64)


def _planes(look: Look, places: Sequence[str], number: int, ratio: int = 1) -> NDArray[np.float32]:
    """(bands, T, H, W) of one window, on pixels `ratio` times as long."""
    return np.stack([coarser(look.image(look.pieces[number], band), ratio) for band in places])


def frame_shifts(look: Look) -> dict[int, Shift]:
    """By frame, how far it lies from the frames nearest in time (median); absent where it cannot be judged."""
    places = red_and_nir(look)
    bands = [look.bands[place] for place in places] if places is not None else list(look.bands[:2])
    piece = max(range(len(look.pieces)), key=lambda number: look.pieces[number].valid.sum())
    if min(look.pieces[piece].valid.shape[1:]) < SMALLEST:
        return {}
    clear = np.flatnonzero(look.pieces[piece].valid.mean(axis=(1, 2)) >= SEEN)
    clear = clear[np.linspace(0, len(clear) - 1, min(MOST, len(clear))).astype(int)] if len(clear) else clear
    planes = _planes(look, bands, piece)
    found = {}
    for frame in clear:
        near = sorted((n for n in clear if n != frame), key=lambda n: abs(int(look.days[n]) - int(look.days[frame])))
        near = [n for n in near if abs(int(look.days[n]) - int(look.days[frame])) <= DAYS][:NEIGHBOURS]
        shifts = [measure_shift(planes[:, frame], planes[:, other]) for other in near]
        known = [shift for shift in shifts if shift is not None]
        if len(known) >= 2:
            found[int(frame)] = _median(known)
    return found


def sensor_shift(first: Look, second: Look) -> tuple[Shift, int] | None:
    """How far the second sensor lies from the first in pixels of the coarser: median of pairs at near dates; and pairs.

    None where fewer than two pairs can be judged.
    """
    if first.sensor.grid.resolution > second.sensor.grid.resolution:
        found = sensor_shift(second, first)
        return None if found is None else (Shift(-found[0].down, -found[0].right, found[0].peak), found[1])
    bands = partners(first, second)
    ratio = round(second.sensor.grid.resolution / first.sensor.grid.resolution)
    known = []
    for number in range(len(first.pieces)):
        if not bands or min(second.pieces[number].valid.shape[1:]) < SMALLEST:
            continue
        ours = _planes(first, [pair[0] for pair in bands], number, ratio)
        theirs = _planes(second, [pair[1] for pair in bands], number)
        for one, other in _near(first, second)[:MOST]:
            shift = measure_shift(theirs[:, other], ours[:, one])
            if shift is not None:
                known.append(shift)
    return (_median(known), len(known)) if len(known) >= 2 else None


def _near(first: Look, second: Look) -> list[tuple[int, int]]:
    """Frames of two sensors at most ten days apart, the nearest first."""
    pairs = [(one, other) for one in range(len(first.days)) for other in range(len(second.days))]
    apart = {pair: abs(int(first.days[pair[0]]) - int(second.days[pair[1]])) for pair in pairs}
    seen = [np.mean([piece.valid.mean(axis=(1, 2)) for piece in look.pieces], axis=0) for look in (first, second)]
    clear = [pair for pair in pairs if apart[pair] <= 10 and min(seen[0][pair[0]], seen[1][pair[1]]) >= SEEN]
    return sorted(clear, key=lambda pair: apart[pair])


def _median(shifts: Sequence[Shift]) -> Shift:
    down, right, peak = np.median([(one.down, one.right, one.peak) for one in shifts], axis=0)
    return Shift(float(down), float(right), float(peak))


def shifted(looks: Mapping[str, Look]) -> tuple[list[Finding], list[str]]:
    """Frames and sensors of reflectance that lie off the others; and notes: smaller shifts, and what is not judged.

    Composites are of many days and are not judged by themselves.
    """
    findings, notes = [], []
    for name, look in looks.items():
        shifts = {} if look.sensor.is_composite else frame_shifts(look)
        if not shifts:
            notes.append(f"{name}: the position of its frames was not judged, too little that is clear or large enough")
            continue
        findings += _off_frames(look, shifts)
        lengths = [shift.length for shift in shifts.values()]
        wide = sum(length > limit("shift") for length in lengths)
        notes.append(
            f"{name}: {len(shifts)} frames lie {np.median(lengths):.2f} pixels (median) and at most {max(lengths):.2f} "
            f"off the frames around them, {wide} of them more than a third"
        )
    for one, other in combinations(looks, 2):
        found = sensor_shift(looks[one], looks[other])
        if found is None:
            notes.append(f"{one} and {other}: their position beside each other was not judged")
            continue
        shift, pairs = found
        sentence = (
            f"'{other}' lies {shift.down:+.2f} pixels down and {shift.right:+.2f} right of '{one}', in pixels of the "
            f"coarser (median of {pairs} pairs)"
        )
        if shift.length > limit("shift of a sensor"):
            fix = "check the files' corners and fetch again"
            findings.append(Finding("shifted grid", f"{one} or {other}", sentence, "likely", fix))
        else:
            notes.append(sentence)
    return findings, notes


def _off_frames(look: Look, shifts: Mapping[int, Shift]) -> list[Finding]:
    off = [frame for frame, shift in shifts.items() if shift.length > limit("shift of a frame")]
    if not off:
        return []
    days = ", ".join(str(day_date(int(look.sensor.date[frame]))) for frame in off[:5]) + (" …" if len(off) > 5 else "")
    most = max(shifts[frame].length for frame in off)
    return [
        Finding(
            "shifted grid",
            f"{look.name}, {len(off)} of {len(shifts)} frames that can be judged ({days})",
            f"they lie up to {most:.1f} pixels off the frames around them",
            "likely",
            "check the files' corners, or list the scenes under `skip`, and fetch again",
        )
    ]
