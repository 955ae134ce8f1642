"""Compare sensors with each other: the same ground at near dates, in bands of near wavelength."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.qc.radiometry import red_and_nir
from agrifm.cube.qc.sample_windows import SensorWindows, coarser
from agrifm.cube.qc.thresholds import Finding, threshold
from agrifm.sensors import SENSORS, Band

MAX_WAVELENGTH_DIFFERENCE = 0.055
"""Share of the wavelength by which the centres of two bands that are compared may differ."""
MAX_DAYS_APART = 4
"""Days between observations of two sensors that are compared; twice as many for composites."""
MIN_COMMON_DAYS, COMMON_DAYS = 5, 0.9
"""Days of a sensor, and the share of them, from which two sensors with the same days are the same acquisitions."""
MIN_PIXELS = 60
"""Pairs of pixels below which two sensors are not compared."""
MAX_FRAME_PAIRS = 30
"""Pairs of frames that are compared, evenly over the season."""
MAX_PIXEL_SERIES = 80
"""Pixels of a window whose series in time are compared."""
DATE_SHIFTS = np.arange(-45, 46, 5)
"""Days by which the dates of a sensor are moved to find a better fit."""
MAX_GAP_DAYS = 20
"""Days from an observation within which NDVI is interpolated linearly."""


@dataclass(frozen=True, eq=False)
class MatchedPairs:
    """Observations of two sensors at near dates, on the pixels of the coarser sensor."""

    first: SensorWindows
    second: SensorWindows
    bands: tuple[tuple[str, str], ...]
    """Bands that are compared, of the first and the second sensor."""
    values: NDArray[np.float32]
    """(sensor 2, pixel N, band) in the quantity's unit."""


def shared_bands(first: SensorWindows, second: SensorWindows) -> tuple[tuple[str, str], ...]:
    """Pairs of bands of near wavelength, each band of the second sensor at most once.

    There are none if a sensor has no record, or their quantities differ.
    """
    if first.cube.input.quantity != second.cube.input.quantity:
        return ()
    ours, theirs = (
        [band for band in SENSORS[sensor.name].bands if band.name in sensor.bands] if sensor.name in SENSORS else []
        for sensor in (first, second)
    )
    pairs = []
    for band in theirs:
        near = [candidate for candidate in ours if _wavelength_difference(candidate, band) < MAX_WAVELENGTH_DIFFERENCE]
        if near:
            best = min(near, key=lambda candidate: (_wavelength_difference(candidate, band), candidate.name))
            pairs.append((best.name, band.name))
    return tuple(pairs)


def _wavelength_difference(one: Band, other: Band) -> float:
    return abs(one.wavelength - other.wavelength) / other.wavelength


def same_acquisitions(first: SensorWindows, second: SensorWindows) -> bool:
    """Whether two sensors are made of the same acquisitions, so that they agree even where both are wrong.

    They are if their instrument is the same, or if nearly all days of the one with fewer frames are days of the other.
    Composites of different instruments may share their periods.
    """
    known = [SENSORS[sensor.name].instrument if sensor.name in SENSORS else "" for sensor in (first, second)]
    if known[0] and known[0] == known[1]:
        return True
    if first.cube.is_composite or second.cube.is_composite:
        return False
    fewer, more = sorted((first.cube.date, second.cube.date), key=len)
    return len(fewer) >= MIN_COMMON_DAYS and float(np.isin(fewer, more).mean()) >= COMMON_DAYS


def independent_sensors(sensors: Mapping[str, SensorWindows]) -> dict[str, SensorWindows]:
    """Of sensors that are made of the same acquisitions only the first."""
    kept: dict[str, SensorWindows] = {}
    for name, sensor in sensors.items():
        if not any(same_acquisitions(other, sensor) for other in kept.values()):
            kept[name] = sensor
    return kept


def match_pairs(first: SensorWindows, second: SensorWindows) -> MatchedPairs | None:
    """Match the finer sensor with the coarser one; None if they share no band or fewer than `MIN_PIXELS` pixels."""
    if first.cube.grid.resolution > second.cube.grid.resolution:
        first, second = second, first
    bands = shared_bands(first, second)
    if not bands:
        return None
    ratio = round(second.cube.grid.resolution / first.cube.grid.resolution)
    reach = MAX_DAYS_APART * (2 if second.cube.is_composite else 1)
    frames = [
        (int(near), index)
        for index, day in enumerate(second.days)
        for near in np.flatnonzero(np.abs(first.days - day) <= reach)
    ]
    frames = frames[:: max(len(frames) // MAX_FRAME_PAIRS, 1)]
    ours, theirs = ([pair[side] for pair in frames] for side in (0, 1))
    columns = []
    for our_band, their_band in bands:
        sides: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])
        for our_window, their_window in zip(first.windows, second.windows, strict=True):
            sides[0].append(coarser(first.image(our_window, our_band, ours), ratio).ravel())
            sides[1].append(second.image(their_window, their_band, theirs).ravel())
        columns.append(np.stack([np.concatenate(side) for side in sides]))
    values = np.stack(columns, axis=-1)
    known = np.isfinite(values).all(axis=(0, 2))
    values = values[:, known]
    # 20 000 pixels give medians to a hundredth of the spread; more only cost time.
    step = max(values.shape[1] // 20_000, 1)
    return MatchedPairs(first, second, bands, values[:, ::step]) if known.sum() >= MIN_PIXELS else None


def disagreement(matched: MatchedPairs, of: str, renamed: dict[str, str]) -> float:
    """Disagreement of two sensors in the bands they share, if bands of the sensor `of` were renamed; summed over bands.

    A band counts one minus its correlation, and its median difference in units of 0.05.
    """
    side = 0 if matched.first.name == of else 1
    position = {pair[side]: index for index, pair in enumerate(matched.bands)}
    total = 0.0
    for pair in matched.bands:
        band = renamed.get(pair[side], pair[side])
        if band not in position:  # the other sensor has no band to compare it with
            return float("inf")
        one, other = matched.values[side, :, position[band]], matched.values[1 - side, :, position[pair[side]]]
        total += 1 - float(np.corrcoef(one, other)[0, 1]) + float(np.median(np.abs(one - other))) / 0.05
    return total


def date_fit(
    first: SensorWindows, second: SensorWindows, shifts: NDArray[np.int64] = DATE_SHIFTS
) -> NDArray[np.float64] | None:
    """Mean difference of the NDVI of two sensors, (shifts,), if the dates of the second are moved by so many days.

    The series of the first is interpolated linearly between observations at most `MAX_GAP_DAYS` away. The median
    difference is removed first, as sensors differ in level. NaN if a shift leaves less than a third of the pairs; None
    if a sensor has no red and near infrared, or there are too few pairs.
    """
    if red_and_nir(first) is None or red_and_nir(second) is None:
        return None
    coarse = max(first.cube.grid.resolution, second.cube.grid.resolution)
    ndvi_series = [ndvi(sensor, round(coarse / sensor.cube.grid.resolution)) for sensor in (first, second)]
    differences: list[list[NDArray[np.float64]]] = [[] for _ in shifts]
    for ours, theirs in zip(*ndvi_series, strict=True):
        # Nine pairs, such as three observations of each: fewer say little about a season.
        pairs = np.isfinite(ours).sum(axis=0) * np.isfinite(theirs).sum(axis=0)
        rows, cols = np.nonzero(pairs >= 9)
        step = max(len(rows) // MAX_PIXEL_SERIES, 1)
        for row, col in zip(rows[::step], cols[::step], strict=True):
            pixels = ours[:, row, col], theirs[:, row, col]
            for index, moved in enumerate(_differences_by_shift((first.days, second.days), pixels, shifts)):
                differences[index].append(moved)
    by_shift = [np.concatenate(parts) if parts else np.zeros(0) for parts in differences]
    most = max(len(rest) for rest in by_shift)
    if most < MIN_PIXELS:
        return None
    return np.array([np.mean(np.abs(rest - np.median(rest))) if len(rest) > most / 3 else np.nan for rest in by_shift])


def _differences_by_shift(
    dates: tuple[NDArray[np.int32], NDArray[np.int32]],
    series: tuple[NDArray[np.float32], NDArray[np.float32]],
    shifts: NDArray[np.int64],
) -> list[NDArray[np.float64]]:
    """Differences of two series (T,) of one pixel: one array for each shift of the second's dates."""
    known, asked = (np.isfinite(values) for values in series)
    days, values = dates[0][known].astype(np.float64), series[0][known]
    differences = []
    for shift in shifts:
        wanted = dates[1][asked] + shift
        after = np.searchsorted(days, wanted)
        inside = (after > 0) & (after < len(days))
        after = np.clip(after, 1, len(days) - 1)
        # A long gap hides a peak: interpolation across it would say nothing about dates.
        inside &= (wanted - days[after - 1] <= MAX_GAP_DAYS) & (days[after] - wanted <= MAX_GAP_DAYS)
        differences.append((np.interp(wanted, days, values) - series[1][asked])[inside])
    return differences


def ndvi(sensor: SensorWindows, ratio: int) -> tuple[NDArray[np.float32], ...]:
    """NDVI (T, H, W) of every window, on pixels `ratio` times as long; NaN where not valid."""
    positions = red_and_nir(sensor)
    assert positions is not None
    series = []
    for window in sensor.windows:
        red, nir = (coarser(sensor.image(window, sensor.bands[position]), ratio) for position in positions)
        # the limit keeps dark pixels, such as water, from extreme values
        series.append((nir - red) / np.maximum(nir + red, np.float32(0.02)))
    return tuple(series)


def wrong_dates(sensors: Mapping[str, SensorWindows]) -> list[Finding]:
    """Find sensors whose NDVI agrees clearly better with their dates moved.

    Two sensors show that one of them is wrong, three show which.
    """
    fits = {pair: date_fit(sensors[pair[0]], sensors[pair[1]]) for pair in combinations(sensors, 2)}
    return judge_dates({pair: fit for pair, fit in fits.items() if fit is not None})


def judge_dates(fits: Mapping[tuple[str, str], NDArray[np.float64]]) -> list[Finding]:
    """Find wrong dates from the fits of pairs of sensors (`date_fit` at `DATE_SHIFTS`)."""
    moved: dict[tuple[str, str], int] = {}
    agreeing: set[str] = set()
    unmoved = len(DATE_SHIFTS) // 2
    for pair, fit in fits.items():
        if not np.isfinite(fit[unmoved]):
            continue
        best = int(np.nanargmin(fit))
        if abs(DATE_SHIFTS[best]) >= threshold("date shift") and fit[unmoved] > threshold("date gain") * fit[best]:
            moved[pair] = int(DATE_SHIFTS[best])
        elif abs(DATE_SHIFTS[best]) < threshold("date shift"):
            agreeing |= set(pair)
    names = dict.fromkeys(name for pair in fits for name in pair)
    suspects = [name for name in names if any(name in pair for pair in moved) and name not in agreeing]
    findings = []
    for pair, days in moved.items():
        named = [name for name in pair if name in suspects] or list(pair)
        is_sure = len(named) == 1
        where = named[0] if is_sure else " or ".join(pair)
        findings.append(
            Finding(
                "wrong dates",
                where,
                f"NDVI of '{pair[1]}' fits that of '{pair[0]}' best with its dates moved by {days:+d} days"
                + ("" if is_sure else "; two sensors alone cannot tell which of them is wrong"),
                "likely" if is_sure else "possible",
                "check how the dates were read and fetch again",
            )
        )
    return findings or _judge_dates_jointly(fits)


def _judge_dates_jointly(fits: Mapping[tuple[str, str], NDArray[np.float64]]) -> list[Finding]:
    """Find the sensor whose pairs, each too weak alone, agree that its dates are moved: their gains multiply."""
    best: tuple[float, str, int] | None = None
    unmoved = len(DATE_SHIFTS) // 2
    for name in dict.fromkeys(name for pair in fits for name in pair):
        # As seen from this sensor: if it is the first of a pair, moving its dates is moving the other's backwards.
        logs = [np.log(fit if pair[1] == name else fit[::-1]) for pair, fit in fits.items() if name in pair]
        total = np.sum(logs, axis=0)
        if len(logs) < 2 or not np.isfinite(total[unmoved]):
            continue
        shift = int(np.nanargmin(total))
        gain = float(np.exp(total[unmoved] - total[shift]))
        far = abs(DATE_SHIFTS[shift]) >= threshold("date shift") and all(log[shift] < log[unmoved] for log in logs)
        if far and gain > threshold("date gain") and (best is None or gain > best[0]):
            best = gain, name, int(DATE_SHIFTS[shift])
    if best is None:
        return []
    found = f"its NDVI fits that of all the others best with its dates moved by {best[2]:+d} days"
    return [Finding("wrong dates", best[1], found, "possible", "check how the dates were read and fetch again")]


def compare_levels(sensors: Mapping[str, SensorWindows], matches: Sequence[MatchedPairs]) -> list[Finding]:
    """Find sensors whose offset or scale differs from that of another sensor."""
    findings = []
    for matched in matches:
        one, other = np.median(matched.values, axis=1)
        apart = one - other
        ratio = float(np.median(one / np.where(np.abs(other) < 1e-3, np.nan, other)))
        first, second = matched.first.name, matched.second.name
        where = f"{first} or {second}"
        typical = float(np.median(apart))
        if abs(typical) > threshold("sensor level") and float(np.std(apart)) < threshold("sensor level"):
            kind = "offset"
            found = f"every band that they share is {typical:+.2f} in '{first}', of the same ground at near dates"
        elif not 1 / threshold("sensor ratio") <= ratio <= threshold("sensor ratio"):
            kind = "wrong scale"
            found = f"the bands that they share are {ratio:.2g} times as bright in '{first}' as in '{second}'"
        else:
            continue
        findings.append(
            Finding(kind, where, found, "likely", "check the scale and offset of both products and fetch again")
        )
    return findings
