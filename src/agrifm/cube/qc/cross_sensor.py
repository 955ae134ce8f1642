"""Sensors beside each other: the same ground at near dates through bands of near wavelength."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.qc.radiometry import red_and_nir
from agrifm.cube.qc.sample_windows import Look, coarser
from agrifm.cube.qc.thresholds import Finding, limit
from agrifm.sensors import SENSORS, Band

NEAR = 0.055
"""Bands are partners where their centres differ by less than this share of the wavelength."""
DAYS = 4
"""Observations of two sensors are of one time where they lie at most so many days apart; composites twice."""
FEW = 60
PAIRS = 30
"""Pairs of frames at near dates that are compared, evenly over the season."""
PLACES = 80
"""Pixels of a window whose series are compared."""
SHIFTS = np.arange(-45, 46, 5)
"""Days by which the dates of a sensor are moved in search of a better fit."""
REACH = 20
"""Days over which NDVI is taken as straight between two observations."""


@dataclass(frozen=True, eq=False)
class Meeting:
    """Two sensors on the pixels of the coarser, at near dates."""

    first: Look
    second: Look
    bands: tuple[tuple[str, str], ...]
    """Partners, of the first and the second sensor."""
    values: NDArray[np.float32]
    """(2, N, partners) in the quantity's unit."""


def partners(first: Look, second: Look) -> tuple[tuple[str, str], ...]:
    """Bands of near wavelength, each band at most once; none where a sensor has no record or another quantity."""
    if first.sensor.input.quantity != second.sensor.input.quantity:
        return ()
    ours, theirs = (
        [band for band in SENSORS[look.name].bands if band.name in look.bands] if look.name in SENSORS else []
        for look in (first, second)
    )
    found = []
    for band in theirs:
        near = [one for one in ours if _apart(one, band) < NEAR]
        if near:
            best = min(near, key=lambda one: (_apart(one, band), one.name))
            found.append((best.name, band.name))
    return tuple(found)


def _apart(one: Band, other: Band) -> float:
    return abs(one.wavelength - other.wavelength) / other.wavelength


def meet(first: Look, second: Look) -> Meeting | None:
    """The finer sensor beside the coarser one; None where they share no band or hardly a date."""
    if first.sensor.grid.resolution > second.sensor.grid.resolution:
        first, second = second, first
    bands = partners(first, second)
    if not bands:
        return None
    ratio = round(second.sensor.grid.resolution / first.sensor.grid.resolution)
    reach = DAYS * (2 if second.sensor.is_composite else 1)
    frames = [
        (int(near), number)
        for number, day in enumerate(second.days)
        for near in np.flatnonzero(np.abs(first.days - day) <= reach)
    ]
    frames = frames[:: max(len(frames) // PAIRS, 1)]
    ours, theirs = ([pair[side] for pair in frames] for side in (0, 1))
    columns = []
    for own, other in bands:
        sides: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])
        for piece, partner in zip(first.pieces, second.pieces, strict=True):
            sides[0].append(coarser(first.image(piece, own, ours), ratio).ravel())
            sides[1].append(second.image(partner, other, theirs).ravel())
        columns.append(np.stack([np.concatenate(side) for side in sides]))
    values = np.stack(columns, axis=-1)
    known = np.isfinite(values).all(axis=(0, 2))
    values = values[:, known]
    step = max(values.shape[1] // 20_000, 1)
    return Meeting(first, second, bands, values[:, ::step]) if known.sum() >= FEW else None


def disagreement(meeting: Meeting, of: str, renamed: dict[str, str]) -> float:
    """How badly the bands that two sensors share agree, if bands of the sensor `of` were renamed: summed over partners.

    A pair of partners counts one minus their correlation, and their typical difference in units of 0.05.
    """
    side = 0 if meeting.first.name == of else 1
    places = {pair[side]: number for number, pair in enumerate(meeting.bands)}
    total = 0.0
    for pair in meeting.bands:
        own = renamed.get(pair[side], pair[side])
        if own not in places:
            return float("inf")
        one, other = meeting.values[side, :, places[own]], meeting.values[1 - side, :, places[pair[side]]]
        total += 1 - float(np.corrcoef(one, other)[0, 1]) + float(np.median(np.abs(one - other))) / 0.05
    return total


def date_fit(first: Look, second: Look, shifts: NDArray[np.int64] = SHIFTS) -> NDArray[np.float64] | None:
    """(shifts,) how far the NDVI of two sensors is apart where the dates of the second are moved by so many days.

    The first sensor's series is taken as straight between observations at most `REACH` days off; the mean difference is
    removed, and the mean of the absolute rest told; NaN where less than a third of the most pairs remain.
    None where a sensor has no red and near infrared, or too few pairs.
    """
    if red_and_nir(first) is None or red_and_nir(second) is None:
        return None
    coarse = max(first.sensor.grid.resolution, second.sensor.grid.resolution)
    series = [ndvi(look, round(coarse / look.sensor.grid.resolution)) for look in (first, second)]
    differences: list[list[NDArray[np.float64]]] = [[] for _ in shifts]
    for ours, theirs in zip(*series, strict=True):
        seen = np.isfinite(ours).sum(axis=0) * np.isfinite(theirs).sum(axis=0)
        rows, cols = np.nonzero(seen >= 9)
        step = max(len(rows) // PLACES, 1)
        for row, col in zip(rows[::step], cols[::step], strict=True):
            pixels = ours[:, row, col], theirs[:, row, col]
            for number, moved in enumerate(_apart_in_time((first.days, second.days), pixels, shifts)):
                differences[number].append(moved)
    joined = [np.concatenate(one) if one else np.zeros(0) for one in differences]
    most = max(len(one) for one in joined)
    if most < FEW:
        return None
    return np.array([np.mean(np.abs(one - np.median(one))) if len(one) > most / 3 else np.nan for one in joined])


def _apart_in_time(
    dates: tuple[NDArray[np.int32], NDArray[np.int32]],
    series: tuple[NDArray[np.float32], NDArray[np.float32]],
    shifts: NDArray[np.int64],
) -> list[NDArray[np.float64]]:
    """Differences of two series (T,) of one pixel, one array for each shift of the second's dates."""
    known, asked = (np.isfinite(one) for one in series)
    days, values = dates[0][known].astype(np.float64), series[0][known]
    found = []
    for shift in shifts:
        wanted = dates[1][asked] + shift
        after = np.searchsorted(days, wanted)
        inside = (after > 0) & (after < len(days))
        after = np.clip(after, 1, len(days) - 1)
        inside &= (wanted - days[after - 1] <= REACH) & (days[after] - wanted <= REACH)
        found.append((np.interp(wanted, days, values) - series[1][asked])[inside])
    return found


def ndvi(look: Look, ratio: int) -> tuple[NDArray[np.float32], ...]:
    """NDVI (T, H, W) of every window on pixels `ratio` times as long, NaN where not valid."""
    places = red_and_nir(look)
    assert places is not None
    found = []
    for piece in look.pieces:
        red, nir = (coarser(look.image(piece, look.bands[place]), ratio) for place in places)
        found.append((nir - red) / np.maximum(nir + red, np.float32(0.02)))
    return tuple(found)


def wrong_dates(looks: Mapping[str, Look]) -> list[Finding]:
    """Sensors whose seasons agree clearly better with their dates moved; which of two cannot be known, of three can."""
    fits = {pair: date_fit(looks[pair[0]], looks[pair[1]]) for pair in combinations(looks, 2)}
    return judge_dates({pair: fit for pair, fit in fits.items() if fit is not None})


def judge_dates(fits: Mapping[tuple[str, str], NDArray[np.float64]]) -> list[Finding]:
    """What the fits (`date_fit` at `SHIFTS`) of pairs of sensors say of their dates."""
    moved: dict[tuple[str, str], int] = {}
    agreeing: set[str] = set()
    unmoved = len(SHIFTS) // 2
    for pair, fit in fits.items():
        if not np.isfinite(fit[unmoved]):
            continue
        best = int(np.nanargmin(fit))
        if abs(SHIFTS[best]) >= limit("date shift") and fit[unmoved] > limit("date gain") * fit[best]:
            moved[pair] = int(SHIFTS[best])
        elif abs(SHIFTS[best]) < limit("date shift"):
            agreeing |= set(pair)
    names = dict.fromkeys(name for pair in fits for name in pair)
    guilty = [name for name in names if any(name in pair for pair in moved) and name not in agreeing]
    findings = []
    for pair, days in moved.items():
        own = [name for name in pair if name in guilty] or list(pair)
        sure = len(own) == 1
        where = own[0] if sure else " or ".join(pair)
        findings.append(
            Finding(
                "wrong dates",
                where,
                f"NDVI of '{pair[1]}' fits that of '{pair[0]}' best with its dates moved by {days:+d} days"
                + ("" if sure else "; which of the two is wrong, they alone cannot tell"),
                "likely" if sure else "possible",
                "check how the dates were read and fetch again",
            )
        )
    return findings or _together(fits)


def _together(fits: Mapping[tuple[str, str], NDArray[np.float64]]) -> list[Finding]:
    """The sensor whose pairs, each too weak alone, agree that its dates are moved: their gains multiply."""
    best: tuple[float, str, int] | None = None
    unmoved = len(SHIFTS) // 2
    for name in dict.fromkeys(name for pair in fits for name in pair):
        own = [np.log(fit if pair[1] == name else fit[::-1]) for pair, fit in fits.items() if name in pair]
        total = np.sum(own, axis=0)
        if len(own) < 2 or not np.isfinite(total[unmoved]):
            continue
        place = int(np.nanargmin(total))
        gain = float(np.exp(total[unmoved] - total[place]))
        far = abs(SHIFTS[place]) >= limit("date shift") and all(one[place] < one[unmoved] for one in own)
        if far and gain > limit("date gain") and (best is None or gain > best[0]):
            best = gain, name, int(SHIFTS[place])
    if best is None:
        return []
    found = f"its NDVI fits that of all the others best with its dates moved by {best[2]:+d} days"
    return [Finding("wrong dates", best[1], found, "possible", "check how the dates were read and fetch again")]


def levels(looks: Mapping[str, Look], meetings: Sequence[Meeting]) -> list[Finding]:
    """Offset or scale of one sensor against another."""
    findings = []
    for meeting in meetings:
        one, other = np.median(meeting.values, axis=1)
        apart = one - other
        ratio = float(np.median(one / np.where(np.abs(other) < 1e-3, np.nan, other)))
        first, second = meeting.first.name, meeting.second.name
        where = f"{first} or {second}"
        typical = float(np.median(apart))
        if abs(typical) > limit("sensor level") and float(np.std(apart)) < limit("sensor level"):
            kind = "offset"
            found = f"every band that they share is {typical:+.2f} in '{first}', of the same ground at near dates"
        elif not 1 / limit("sensor ratio") <= ratio <= limit("sensor ratio"):
            kind = "wrong scale"
            found = f"the bands that they share are {ratio:.2g} times as bright in '{first}' as in '{second}'"
        else:
            continue
        findings.append(
            Finding(kind, where, found, "likely", "check the scale and offset of both products and fetch again")
        )
    return findings
