"""Check that reflectances are plausible for their bands: order of bands over vegetation and soil, level, offset.

The checks are relative. A swap of two bands is reported if the swapped names fit the pixels clearly better than the
given names; an offset or a scale if vegetation, which every season has, is too dark or too bright.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.qc.sample_windows import Image, SensorWindows
from agrifm.cube.qc.thresholds import Finding, list_days, threshold
from agrifm.cube.store import FILL
from agrifm.sensors import SENSORS

Pairs = tuple[tuple[str, str], ...]
SAMPLE_PIXELS = 20_000
"""Pixels of all windows and dates, or of one frame, from which statistics are computed."""
MIN_FRAME_PIXELS = 200
"""A frame with fewer pixels is not compared with others."""
MIN_GROUND_PIXELS = 150
"""With fewer pixels of vegetation or soil, their order of bands counts less."""
# Lower and higher of two bands by common name (STAC eo), over green canopies and over bare soil: chlorophyll absorbs
# blue and red, the red edge rises to the plateau of the near infrared, leaf water absorbs 1.6 and more so 2.2 um; bare
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


def common_names(sensor: SensorWindows) -> tuple[str, ...]:
    """Common names (STAC eo) of a sensor's bands; the band's name itself if the sensor's record has none."""
    known = {band.name: band.common_name for band in SENSORS[sensor.name].bands} if sensor.name in SENSORS else {}
    return tuple(known.get(band, band) for band in sensor.bands)


def red_and_nir(sensor: SensorWindows) -> tuple[int, int] | None:
    """Positions of the red and the near infrared band, or None if the sensor does not have both."""
    names = common_names(sensor)
    nir = next((names.index(name) for name in ("nir08", "nir") if name in names), None)
    return (names.index("red"), nir) if "red" in names and nir is not None else None


def swap_gains(sensor: SensorWindows) -> dict[tuple[str, str], float]:
    """By pair of bands, how much better their names fit when exchanged (negative: worse); {} if not assessed."""
    names = common_names(sensor)
    pixels = sensor.pixels(SAMPLE_PIXELS)
    if red_and_nir(sensor) is None or len(pixels) < MIN_GROUND_PIXELS:
        return {}
    detail = _detail(sensor)
    given = misfit(pixels, names, sensor.name, detail)
    gains = {}
    for one, other in combinations(range(len(names)), 2):
        order = list(range(len(names)))
        order[one], order[other] = other, one
        swapped = misfit(pixels[:, order], names, sensor.name, None if detail is None else detail[order])
        gains[sensor.bands[one], sensor.bands[other]] = given - swapped
    return gains


def misfit(pixels: Image, names: tuple[str, ...], sensor: str, detail: NDArray[np.float64] | None) -> float:
    """Measure how badly pixels (N, C) fit the names of their bands: shares of pixels in the wrong order, summed.

    A pair of bands that cannot be assessed, for lack of vegetation or soil, counts half; with little of it, in part.
    """
    position = {name: number for number, name in enumerate(names)}
    red, nir = position["red"], position.get("nir08", position.get("nir", 0))
    total = np.maximum(pixels[:, nir] + pixels[:, red], 1e-3)
    ndvi = (pixels[:, nir] - pixels[:, red]) / total
    cost = 0.0
    for pairs, ground in ((VEGETATION, pixels[ndvi > 0.6]), (SOIL, pixels[(ndvi > 0.03) & (ndvi < 0.3)])):
        for low, high in pairs:
            if low not in position or high not in position:
                continue
            wrong = float(np.mean(ground[:, position[low]] > ground[:, position[high]])) if len(ground) else 0.0
            certainty = min(1.0, len(ground) / MIN_GROUND_PIXELS)
            cost += certainty * wrong + (1 - certainty) * 0.5
    return cost + (_detail_mismatch(names, sensor, detail) if detail is not None else 0.0)


def _detail_mismatch(names: tuple[str, ...], sensor: str, detail: NDArray[np.float64]) -> float:
    """Share of pairs of a fine and a coarse band whose detail does not show which is finer, times six.

    A pair counts 0 to 1: 0 if the fine band is ahead by 0.1 or more, 1 if the coarse band is.
    """
    size = {band.common_name: band.ground_sampling_distance for band in SENSORS[sensor].bands}
    ahead = [
        detail[one] - detail[other]
        for one, first in enumerate(names)
        for other, second in enumerate(names)
        if size.get(first, 0) < size.get(second, 0)
    ]
    return 6 * float(np.mean(np.clip(0.5 - np.array(ahead) / 0.2, 0, 1))) if ahead else 0.0


def _detail(sensor: SensorWindows) -> NDArray[np.float64] | None:
    """Detail of each band (C,): ratio of second differences over one pixel to those over two.

    Bands of 20 m that were interpolated to 10 m reach 0.35, bands of 10 m 0.45 and more. None if all bands have the
    same ground sampling distance, or too few neighbouring pixels are valid.
    """
    record = SENSORS.get(sensor.name)
    if record is None or len({band.ground_sampling_distance for band in record.bands}) == 1:
        return None
    window = max(sensor.windows, key=lambda window: window.valid.sum())
    clear = np.argsort(-window.valid.sum(axis=(1, 2)))[:12]
    stored, valid = window.stored[clear], window.valid[clear]
    width = valid.shape[2] - 4
    whole = np.all([valid[:, :, start : start + width] for start in range(5)], axis=0)
    if whole.sum() < 2000:
        return None
    ratios = []
    for band in range(stored.shape[1]):
        # five neighbours along a row
        a, b, c, d, e = (stored[:, band, :, start : start + width][whole].astype(np.float64) for start in range(5))
        near, far = (_clipped_power(difference) for difference in (b - 2 * c + d, a - 2 * c + e))
        ratios.append(float(np.sqrt(near / max(far, 1e-9))))
    return np.array(ratios)


def _clipped_power(values: NDArray[np.float64]) -> float:
    """Mean square without the extremes, such as edges of clouds."""
    low, high = np.percentile(values, (1, 99))
    return float(np.mean(np.clip(values, low, high) ** 2))


def vegetation(sensor: SensorWindows) -> NDArray[np.float64]:
    """Per frame (T, 3): nir - red, red and nir of the tenth of its pixels with the largest nir - red; NaN if few."""
    positions = red_and_nir(sensor)
    statistics = np.full((len(sensor.days), 3), np.nan)
    if positions is None:
        return statistics
    for frame in range(len(sensor.days)):
        pixels = sensor.pixels(SAMPLE_PIXELS, frame)
        if len(pixels) < 20:
            continue
        red, nir = pixels[:, positions[0]], pixels[:, positions[1]]
        top = np.argsort(nir - red)[-max(len(red) // 10, 5) :]
        statistics[frame] = (nir - red)[top].mean(), np.median(red[top]), np.median(nir[top])
    return statistics


def check_level(sensor: SensorWindows) -> list[Finding]:
    """Check offset and scale of a sensor on its vegetation; without vegetation nothing is found."""
    gap, red, nir = vegetation(sensor).T
    green = gap >= threshold("vegetation gap")
    dense = (nir - red) >= threshold("vegetation ndvi") * (nir + red)
    findings = []
    if green.sum() >= 3:
        typical = float(np.median(red[green]))
        bright = float(np.median(nir[green]))
        about = f"over vegetation red is {typical:.3f} and nir {bright:.2f} (medians of {int(green.sum())} frames)"
        darkest = float(np.percentile(red[green], 10))  # soil in coarse pixels brightens some frames, an offset all
        if darkest > threshold("red of vegetation") and bright < threshold("nir of vegetation") + 0.1:
            findings.append(_offset(sensor, "missing offset", f"{about}: about {typical - 0.04:.2f} too bright"))
        if typical < threshold("red below"):
            findings.append(_offset(sensor, "doubled offset", f"{about}, which cannot be"))
    if dense.sum() >= 3 and not findings:
        bright = float(np.median(nir[dense]))
        if not threshold("nir below") <= bright <= threshold("nir of vegetation"):
            findings.append(
                Finding(
                    "wrong scale",
                    sensor.name,
                    f"the densest vegetation has nir {bright:.2f} (median of {int(dense.sum())} frames), where 0.3 to "
                    f"0.6 are usual: about {bright / 0.45:.2g} times too much",
                    "likely",
                    "check the product's scale against the files and fetch again",
                )
            )
    return findings


def _offset(sensor: SensorWindows, kind: str, found: str) -> Finding:
    return Finding(
        kind,
        sensor.name,
        found,
        "likely",
        "check the product's offset and the scenes' processing baseline, fetch again",
    )


def check_frame_offsets(sensor: SensorWindows) -> list[Finding]:
    """Find frames that differ from their neighbours in time by about 0.1 of reflectance, in every band alike."""
    off: list[tuple[int, float]] = []
    frames = [
        number
        for number in range(len(sensor.days))
        if sum(window.valid[number].sum() for window in sensor.windows) >= MIN_FRAME_PIXELS
    ]
    for frame in frames:
        near = sorted(
            (n for n in frames if n != frame), key=lambda n: abs(int(sensor.days[n]) - int(sensor.days[frame]))
        )
        near = [n for n in near if abs(int(sensor.days[n]) - int(sensor.days[frame])) <= 40][:6]
        steps = [step for step in (_step(sensor, other, frame) for other in near) if step is not None]
        if len(steps) < 2:  # one neighbour may be the wrong one
            continue
        typical = np.median([step for step, _ in steps], axis=0)
        uneven = min(spread for _, spread in steps)
        middle = float(np.median(typical))
        alike = (
            float(np.std(typical)) < threshold("frame spread") and (np.abs(typical) > threshold("frame offset")).all()
        )
        if alike and uneven < threshold("frame unevenness") and abs(middle) < 0.3:
            off.append((frame, middle))
    if not off:
        return []
    days = list_days([sensor.cube.date[frame] for frame, _ in off], 6)
    middle = float(np.median([step for _, step in off]))
    return [
        Finding(
            "missing offset" if middle > 0 else "doubled offset",
            f"{sensor.name}, {len(off)} of {len(frames)} frames ({days})",
            f"every band is {middle:+.2f} off the frames around it",
            "likely",
            "check the processing baseline of these scenes, or list them under `skip`, and fetch again",
        )
    ]


def _step(sensor: SensorWindows, one: int, other: int) -> tuple[NDArray[np.float64], float] | None:
    """Median difference of two frames (C,) over pixels valid in both, and its unevenness; None if these are few.

    Unevenness is half the width of the middle two thirds of the pixels, in the band in which it is least.
    """
    both = [window.valid[one] & window.valid[other] for window in sensor.windows]
    count = sum(int(mask.sum()) for mask in both)
    if count < MIN_FRAME_PIXELS:
        return None
    each = max(count // 2000, 1)
    steps = np.concatenate(
        [
            window.stored[other][:, mask][:, ::each].astype(np.float32) - window.stored[one][:, mask][:, ::each]
            for window, mask in zip(sensor.windows, both, strict=True)
        ],
        axis=1,
    ) * np.float32(sensor.cube.input.scale)
    low, middle, high = np.percentile(steps, (16, 50, 84), axis=1)
    return middle, float((high - low).min() / 2)


def find_hidden_frames(sensor: SensorWindows) -> list[Finding]:
    """Find frames without a usable pixel that look like a clear frame near in time."""
    usable = np.array(
        [sum(int(window.valid[frame].sum()) for window in sensor.windows) for frame in range(len(sensor.days))]
    )
    clear = np.flatnonzero(usable >= sum(window.valid[0].size for window in sensor.windows) / 2)
    hidden = []
    for frame in np.flatnonzero(usable == 0):
        near = [n for n in clear if abs(int(sensor.days[n]) - int(sensor.days[frame])) <= 20]
        near = sorted(near, key=lambda n: abs(int(sensor.days[n]) - int(sensor.days[frame])))[:3]
        apart = [one for one in (_apart(sensor, int(n), int(frame)) for n in near) if one is not None]
        if apart and min(apart) < threshold("hidden frame"):
            hidden.append(int(frame))
    if len(hidden) < threshold("hidden frames"):
        return []
    days = list_days([sensor.cube.date[frame] for frame in hidden])
    return [
        Finding(
            "all-invalid frames",
            f"{sensor.name}, {len(hidden)} frames ({days})",
            "no pixel is marked usable, but the pixels look like those of a clear frame at most 20 days away",
            "likely",
            "check the quality band and its rule, and fetch again",
        )
    ]


def _apart(sensor: SensorWindows, clear: int, other: int) -> float | None:
    """Median difference of two frames, of which the first is marked usable; None if they share few pixels."""
    steps = []
    for window in sensor.windows:
        both = window.valid[clear] & (window.stored[other] != FILL).all(axis=0)
        each = max(int(both.sum()) // 2000, 1)
        steps.append(
            window.stored[other][:, both][:, ::each].astype(np.float32) - window.stored[clear][:, both][:, ::each]
        )
    joined = np.abs(np.concatenate(steps, axis=1)) * np.float32(sensor.cube.input.scale)
    return float(np.median(joined)) if joined.shape[1] >= MIN_FRAME_PIXELS // 2 else None
