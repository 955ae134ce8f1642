"""Whether reflectances look like reflectances of these bands: order of bands over vegetation and soil, level, offset.

What is judged is relative: a swap of two bands is reported where the swapped names fit the pixels clearly better than
the names given; an offset or a scale where vegetation, which every season has, is too dark or too bright.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.qc.sample_windows import Image, Look
from agrifm.cube.qc.thresholds import Finding, limit
from agrifm.cube.store import FILL
from agrifm.season import day_date
from agrifm.sensors import SENSORS

Pairs = tuple[tuple[str, str], ...]
PIXELS = 20_000
LEAST = 200
"""Pixels below which a frame is not compared with others."""
FEW = 150
"""Pixels of a kind of ground below which its order of bands counts less."""
# Lower and higher of two bands by common name (STAC eo), over green canopies and over bare soil: chlorophyll takes blue
# and red, the red edge rises to the plateau of the near infrared, water in leaves takes 1.6 and more so 2.2 um; bare
# soil rises steadily to 1.6 um. Source: Jensen 2007, Remote Sensing of the Environment, chapters 11 and 14.
VEGETATION: Pairs = (
    ("blue", "green"), ("red", "green"), ("green", "rededge071"), ("red", "rededge071"), ("rededge071", "rededge075"),
    ("rededge075", "rededge078"), ("rededge078", "nir08"), ("red", "nir"), ("rededge075", "nir"), ("nir12", "nir"),
    ("swir16", "nir12"), ("swir16", "nir"), ("swir16", "nir08"), ("swir22", "swir16"), ("swir16", "rededge075"),
    ("swir22", "nir"), ("swir22", "nir08"), ("red", "swir16"), ("blue", "swir22"),
)  # fmt: skip
SOIL: Pairs = (
    ("blue", "green"), ("green", "red"), ("red", "rededge071"), ("rededge071", "rededge075"), ("red", "nir"),
    ("rededge075", "rededge078"), ("rededge078", "nir08"), ("rededge071", "swir22"), ("nir08", "swir16"),
    ("nir", "swir16"), ("swir22", "swir16"), ("nir", "nir12"), ("nir12", "swir16"), ("red", "swir22"),
)  # fmt: skip


def common_names(look: Look) -> tuple[str, ...]:
    """Common names (STAC eo) of a look's bands; the band's own name where the sensor's record has none."""
    known = {band.name: band.common_name for band in SENSORS[look.name].bands} if look.name in SENSORS else {}
    return tuple(known.get(band, band) for band in look.bands)


def red_and_nir(look: Look) -> tuple[int, int] | None:
    """Places of the red and the near infrared band, or None where a look has not both."""
    names = common_names(look)
    nir = next((names.index(name) for name in ("nir08", "nir") if name in names), None)
    return (names.index("red"), nir) if "red" in names and nir is not None else None


def swap_gains(look: Look) -> dict[tuple[str, str], float]:
    """By pair of bands, how much better their names fit when exchanged (negative: worse); {} where not judged."""
    names = common_names(look)
    pixels = look.pixels(PIXELS)
    if red_and_nir(look) is None or len(pixels) < FEW:
        return {}
    fineness = _fineness(look)
    given = misfit(pixels, names, look.name, fineness)
    gains = {}
    for one, other in combinations(range(len(names)), 2):
        order = list(range(len(names)))
        order[one], order[other] = other, one
        found = misfit(pixels[:, order], names, look.name, None if fineness is None else fineness[order])
        gains[look.bands[one], look.bands[other]] = given - found
    return gains


def misfit(pixels: Image, names: tuple[str, ...], sensor: str, fineness: NDArray[np.float64] | None) -> float:
    """How badly pixels (N, C) fit the names of their bands: shares of pixels in the wrong order, summed over pairs.

    A pair that cannot be judged, for lack of vegetation or soil, counts half; where there is little, in part.
    """
    place = {name: number for number, name in enumerate(names)}
    red, nir = place["red"], place.get("nir08", place.get("nir", 0))
    total = np.maximum(pixels[:, nir] + pixels[:, red], 1e-3)
    ndvi = (pixels[:, nir] - pixels[:, red]) / total
    cost = 0.0
    for pairs, ground in ((VEGETATION, pixels[ndvi > 0.6]), (SOIL, pixels[(ndvi > 0.03) & (ndvi < 0.3)])):
        for low, high in pairs:
            if low not in place or high not in place:
                continue
            wrong = float(np.mean(ground[:, place[low]] > ground[:, place[high]])) if len(ground) else 0.0
            judged = min(1.0, len(ground) / FEW)
            cost += judged * wrong + (1 - judged) * 0.5
    return cost + (_rough(names, sensor, fineness) if fineness is not None else 0.0)


def _rough(names: tuple[str, ...], sensor: str, fineness: NDArray[np.float64]) -> float:
    """How far pairs of a fine and a coarse band are from showing it: 0 to 1, mean over pairs, times six."""
    size = {band.common_name: band.ground_sampling_distance for band in SENSORS[sensor].bands}
    ahead = [
        fineness[one] - fineness[other]
        for one, first in enumerate(names)
        for other, second in enumerate(names)
        if size.get(first, 0) < size.get(second, 0)
    ]
    return 6 * float(np.mean(np.clip(0.5 - np.array(ahead) / 0.2, 0, 1))) if ahead else 0.0


def _fineness(look: Look) -> NDArray[np.float64] | None:
    """Per band, how fine its detail is: second differences over one pixel beside those over two.

    Bands of 20 m that were interpolated to 10 m reach 0.35, bands of 10 m 0.45 and more. None where bands do not
    differ in their ground sampling distance, or too few neighbouring pixels are valid.
    """
    record = SENSORS.get(look.name)
    if record is None or len({band.ground_sampling_distance for band in record.bands}) == 1:
        return None
    piece = max(look.pieces, key=lambda one: one.valid.sum())
    clear = np.argsort(-piece.valid.sum(axis=(1, 2)))[:12]
    stored, valid = piece.stored[clear], piece.valid[clear]
    width = valid.shape[2] - 4
    whole = np.all([valid[:, :, start : start + width] for start in range(5)], axis=0)
    if whole.sum() < 2000:
        return None
    found = []
    for band in range(stored.shape[1]):
        a, b, c, d, e = (stored[:, band, :, start : start + width][whole].astype(np.float64) for start in range(5))
        near, far = (_clipped_power(one) for one in (b - 2 * c + d, a - 2 * c + e))
        found.append(float(np.sqrt(near / max(far, 1e-9))))
    return np.array(found)


def _clipped_power(values: NDArray[np.float64]) -> float:
    low, high = np.percentile(values, (1, 99))
    return float(np.mean(np.clip(values, low, high) ** 2))


def vegetation(look: Look) -> NDArray[np.float64]:
    """(T, 3) per frame: nir - red, red and nir of the tenth of its pixels with the largest nir - red; NaN where few."""
    places = red_and_nir(look)
    found = np.full((len(look.days), 3), np.nan)
    if places is None:
        return found
    for frame in range(len(look.days)):
        pixels = look.pixels(20_000, frame)
        if len(pixels) < 20:
            continue
        red, nir = pixels[:, places[0]], pixels[:, places[1]]
        top = np.argsort(nir - red)[-max(len(red) // 10, 5) :]
        found[frame] = (nir - red)[top].mean(), np.median(red[top]), np.median(nir[top])
    return found


def level(look: Look) -> list[Finding]:
    """Offset or scale of a whole sensor, from its vegetation; nothing where there is none."""
    found = vegetation(look)
    gap, red, nir = found.T
    green = gap >= limit("vegetation gap")
    dense = (nir - red) >= limit("vegetation ndvi") * (nir + red)
    findings = []
    if green.sum() >= 3:
        typical = float(np.median(red[green]))
        bright = float(np.median(nir[green]))
        about = f"over vegetation red is {typical:.3f} and nir {bright:.2f} (medians of {int(green.sum())} frames)"
        darkest = float(np.percentile(red[green], 10))  # soil within coarse pixels brightens some frames, an offset all
        if darkest > limit("red of vegetation") and bright < limit("nir of vegetation") + 0.1:
            findings.append(_offset(look, "missing offset", f"{about}: about {typical - 0.04:.2f} too bright"))
        if typical < limit("red below"):
            findings.append(_offset(look, "doubled offset", f"{about}, which cannot be"))
    if dense.sum() >= 3 and not findings:
        bright = float(np.median(nir[dense]))
        if not limit("nir below") <= bright <= limit("nir of vegetation"):
            findings.append(
                Finding(
                    "wrong scale",
                    look.name,
                    f"the densest vegetation has nir {bright:.2f} (median of {int(dense.sum())} frames), where 0.3 to "
                    f"0.6 are usual: about {bright / 0.45:.2g} times too much",
                    "likely",
                    "check the product's scale against the files and fetch again",
                )
            )
    return findings


def _offset(look: Look, kind: str, found: str) -> Finding:
    return Finding(
        kind, look.name, found, "likely", "check the product's offset and the scenes' processing baseline, fetch again"
    )


def frame_levels(look: Look) -> list[Finding]:
    """Single frames that lie a tenth of reflectance off their neighbours in time, in every band alike."""
    off: list[tuple[int, float]] = []
    frames = [
        number for number in range(len(look.days)) if sum(piece.valid[number].sum() for piece in look.pieces) >= LEAST
    ]
    for frame in frames:
        near = sorted((n for n in frames if n != frame), key=lambda n: abs(int(look.days[n]) - int(look.days[frame])))
        near = [n for n in near if abs(int(look.days[n]) - int(look.days[frame])) <= 40][:6]
        steps = [step for step in (_step(look, other, frame) for other in near) if step is not None]
        if len(steps) < 2:
            continue
        typical = np.median([step for step, _ in steps], axis=0)
        uneven = min(spread for _, spread in steps)
        middle = float(np.median(typical))
        alike = float(np.std(typical)) < limit("frame spread") and (np.abs(typical) > limit("frame offset")).all()
        if alike and uneven < limit("frame unevenness") and abs(middle) < 0.3:
            off.append((frame, middle))
    if not off:
        return []
    days = ", ".join(str(day_date(int(look.sensor.date[frame]))) for frame, _ in off[:6])
    middle = float(np.median([step for _, step in off]))
    return [
        Finding(
            "missing offset" if middle > 0 else "doubled offset",
            f"{look.name}, {len(off)} of {len(frames)} frames ({days}{' …' if len(off) > 6 else ''})",
            f"every band lies {middle:+.2f} off the frames around it",
            "likely",
            "check the processing baseline of these scenes, or list them under `skip`, and fetch again",
        )
    ]


def _step(look: Look, one: int, other: int) -> tuple[NDArray[np.float64], float] | None:
    """Median difference of two frames (C,) over pixels valid in both, and how uneven it is where it is most even.

    Unevenness is half the width of the middle two thirds, of the band in which it is least. None where pixels are few.
    """
    both = [piece.valid[one] & piece.valid[other] for piece in look.pieces]
    count = sum(int(mask.sum()) for mask in both)
    if count < LEAST:
        return None
    each = max(count // 2000, 1)
    steps = np.concatenate(
        [
            piece.stored[other][:, mask][:, ::each].astype(np.float32) - piece.stored[one][:, mask][:, ::each]
            for piece, mask in zip(look.pieces, both, strict=True)
        ],
        axis=1,
    ) * np.float32(look.sensor.input.scale)
    low, middle, high = np.percentile(steps, (16, 50, 84), axis=1)
    return middle, float((high - low).min() / 2)


def hidden_frames(look: Look) -> list[Finding]:
    """Frames of which nothing is usable although they look like a clear frame near in time."""
    usable = np.array([sum(int(piece.valid[frame].sum()) for piece in look.pieces) for frame in range(len(look.days))])
    clear = np.flatnonzero(usable >= sum(piece.valid[0].size for piece in look.pieces) / 2)
    hidden = []
    for frame in np.flatnonzero(usable == 0):
        near = [n for n in clear if abs(int(look.days[n]) - int(look.days[frame])) <= 20]
        near = sorted(near, key=lambda n: abs(int(look.days[n]) - int(look.days[frame])))[:3]
        apart = [one for one in (_apart(look, int(n), int(frame)) for n in near) if one is not None]
        if apart and min(apart) < limit("hidden frame"):
            hidden.append(int(frame))
    if len(hidden) < limit("hidden frames"):
        return []
    days = ", ".join(str(day_date(int(look.sensor.date[frame]))) for frame in hidden[:5])
    return [
        Finding(
            "all-invalid frames",
            f"{look.name}, {len(hidden)} frames ({days}{' …' if len(hidden) > 5 else ''})",
            "nothing is marked usable, yet the pixels look like those of a clear frame at most 20 days away",
            "likely",
            "check the quality band and its rule, and fetch again",
        )
    ]


def _apart(look: Look, clear: int, other: int) -> float | None:
    """Typical difference between the pixels of two frames, of which one is marked usable; None where they are few."""
    steps = []
    for piece in look.pieces:
        both = piece.valid[clear] & (piece.stored[other] != FILL).all(axis=0)
        each = max(int(both.sum()) // 2000, 1)
        steps.append(
            piece.stored[other][:, both][:, ::each].astype(np.float32) - piece.stored[clear][:, both][:, ::each]
        )
    joined = np.abs(np.concatenate(steps, axis=1)) * np.float32(look.sensor.input.scale)
    return float(np.median(joined)) if joined.shape[1] >= LEAST // 2 else None
