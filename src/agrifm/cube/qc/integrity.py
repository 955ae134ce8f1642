"""Whether a cube is whole: every chunk read once, frame by frame, and counted. Memory: one shard of one frame."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.qc.thresholds import Finding, limit
from agrifm.cube.store import FILL, NO_DAY, Cube, SensorCube, reason
from agrifm.errors import ConfigError
from agrifm.grid import Window, tiles
from agrifm.scene.products import Product, find_product
from agrifm.season import day_date, day_number

RUN = 8
"""Pixels in a row with the same numbers in every band that are taken for a fill value."""
REPAIR = "fetch the cube again"


@dataclass
class Counts:
    """Pixels of one frame."""

    pixels: int = 0
    valid: int = 0
    present: int = 0
    """With a number in the first band."""
    filled: int = 0
    """Valid, and without a number in some band."""
    flat: int = 0
    """Valid, with the same number in every band (four or more)."""
    runs: int = 0
    """Valid, equal in every band to `RUN` valid pixels to their left (fewer than four bands)."""
    outside: int = 0
    """Valid, outside the range that the product can hold."""
    astray: int = 0
    """Valid, with a day outside the composite's period, or none."""


@dataclass
class Whole:
    """What reading a cube once found."""

    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, list[Counts]] = field(default_factory=dict)
    """By sensor, one for each frame."""


def read_whole(cube: Cube) -> Whole:
    """Read every chunk once; structure, dates, fill values and usable shares of every frame."""
    found = Whole()
    for name, sensor in cube.sensors.items():
        about = cube.provenance.get("sensors", {}).get(name, {})
        broken = _arrays(sensor)
        found.findings += broken
        if broken:
            continue
        found.findings += [*_encoding(sensor, about), *_dates(cube, sensor, about)]
        found.counts[name] = _read(sensor, _range(sensor, about), found.findings)
        found.findings += _frames(sensor, found.counts[name], about)
    return found


def _arrays(sensor: SensorCube) -> list[Finding]:
    """Arrays that are absent, or of another shape or type than the format's."""
    group, name = sensor.group, sensor.input.sensor
    frames, bands, shape = len(sensor.date), len(sensor.input.bands), sensor.grid.shape
    wanted: dict[str, tuple[tuple[int, ...], str]] = {
        "values": ((frames, bands, *shape), "int16"), "valid": ((frames, *shape), "bool"), "time": ((frames,), "int32"),
        "x": ((shape[1],), "float64"), "y": ((shape[0],), "float64"),
    }  # fmt: skip
    if sensor.is_composite:
        wanted |= {"day": ((frames, *shape), "int32"), "time_bounds": ((frames, 2), "int32")}
    findings = []
    for key, (own, kind) in wanted.items():
        has = (tuple(group[key].shape), str(group[key].dtype)) if key in group else None
        if has != (own, kind):
            seen = "it is absent" if has is None else f"it is {has[1]} of shape {has[0]}"
            findings.append(
                Finding("wrong structure", f"{name}/{key}", f"{seen}, not {kind} of {own}", "certain", REPAIR)
            )
    for key in ("x", "y", *(("time_bounds",) if sensor.is_composite else ())):
        if findings:
            break
        try:
            stored = np.asarray(group[key][...])
        except Exception as error:  # every codec has errors of its own
            findings.append(_unreadable(f"{name}/{key}", error))
            continue
        if key != "time_bounds" and np.abs(stored - getattr(sensor.grid, key)).max() > 1e-3:
            sentence = "its coordinates are not those of the grid in spatial_ref"
            findings.append(Finding("shifted grid", f"{name}/{key}", sentence, "certain", REPAIR))
    return findings


def _unreadable(where: str, error: Exception) -> Finding:
    return Finding("damaged chunk", where, f"it cannot be read: {reason(error)}", "certain", REPAIR)


def _product(about: dict[str, Any]) -> Product | None:
    try:
        return find_product(str(about.get("product")))
    except ConfigError:
        return None


def _encoding(sensor: SensorCube, about: dict[str, Any]) -> list[Finding]:
    """Quantity, scale and bands beside those of the product that the provenance names."""
    product, content, name = _product(about), sensor.input, sensor.input.sensor
    if product is None:
        return []
    findings = []
    if content.quantity != product.quantity:
        sentence = f"it is called {content.quantity}, but the product '{product.name}' is {product.quantity}"
        findings.append(Finding("mixed quantities", name, sentence, "certain", REPAIR))
    if sorted(content.bands) != sorted(product.bands):
        sentence = f"its bands are {', '.join(content.bands)}, those of '{product.name}' {', '.join(product.bands)}"
        findings.append(Finding("swapped bands", name, sentence, "certain", REPAIR))
    elif content.bands != product.bands:
        sentence = f"its bands are in the order {', '.join(content.bands)}, not in that of '{product.name}'"
        findings.append(Finding("swapped bands", name, sentence, "possible", REPAIR))
    return findings


def _dates(cube: Cube, sensor: SensorCube, about: dict[str, Any]) -> list[Finding]:
    """Dates increase, lie in the season, and are those of the provenance; composites begin when their product's do."""
    name, days = sensor.input.sensor, sensor.date
    first, last = day_number(cube.season.start), day_number(cube.season.end)
    ends = days
    if sensor.is_composite:
        bounds = np.asarray(sensor.group["time_bounds"][:])
        ends = bounds[:, 1] - 1
        if (bounds[:, 0] != days).any() or (ends < days).any():
            sentence = "its composites' periods do not begin on their dates"
            return [Finding("wrong dates", f"{name}/time_bounds", sentence, "certain", REPAIR)]
    findings = []

    def add(where: str, sentence: str) -> None:
        findings.append(Finding("wrong dates", f"{name}, {where}", sentence, "certain", REPAIR))

    if (np.diff(days) <= 0).any():
        add(_day(days[1:][np.diff(days) <= 0][0]), "its date is not after that of the frame before it")
    astray = (ends < first) | (days > last)
    if astray.any():
        add(_day(days[astray][0]), f"{int(astray.sum())} frames lie outside {cube.season.start} to {cube.season.end}")
    recorded = [date.fromisoformat(frame["day"]) for frame in about.get("frames", [])]
    if recorded and [day_number(day) for day in recorded] != [int(day) for day in days]:
        apart = sorted({int(day) - day_number(own) for day, own in zip(days, recorded, strict=False)})
        add("time", f"the provenance has other dates ({', '.join(f'{number:+d}' for number in apart[:5])} days)")
    product = None if "recipe" in about else _product(about)
    if product is not None and product.sensor.startswith("modis") and product.period > 1:
        # MOD09A1 and MOD13Q1 begin on day 1, 9, 17 … or 1, 17, 33 … of each year: MODIS Land product user guides.
        of_year = np.array([(day_date(int(day)) - date(day_date(int(day)).year, 1, 1)).days for day in days])
        late = int((of_year % product.period != 0).sum())
        if late:
            sentence = f"{late} composites do not begin on day 1, {1 + product.period}, {1 + 2 * product.period} …"
            findings.append(
                Finding("wrong dates", name, f"{sentence} of the year, as the product's do", "certain", REPAIR)
            )
    return findings


def _day(number: int) -> str:
    return str(day_date(int(number)))


def _range(sensor: SensorCube, about: dict[str, Any]) -> tuple[int, int]:
    """The smallest and largest stored number that the product can hold, one more on each side for rounding.

    Anything goes where the product is not known, or a cube was made from another one.
    """
    product = _product(about)
    if product is None or product.quantity != sensor.input.quantity or "recipe" in about:
        return FILL + 1, -FILL - 1
    offsets = {float(offset) for frame in about.get("frames", []) for offset in frame.get("offsets", [])}
    ends = [number * product.scale + offset for offset in offsets or {product.offset} for number in product.valid_range]
    low, high = min(ends) / sensor.input.scale - 1, max(ends) / sensor.input.scale + 1
    return max(int(np.floor(low)), FILL + 1), min(int(np.ceil(high)), -FILL - 1)


def _read(sensor: SensorCube, limits: tuple[int, int], findings: list[Finding]) -> list[Counts]:
    """Counts of every frame; what cannot be read is reported by the name of its file and left out."""
    counts = []
    for frame in range(len(sensor.date)):
        own = Counts()
        for window in tiles(sensor.grid.shape, _side(sensor)):
            arrays = dict(_chunks(sensor, frame, window, findings))
            if arrays.keys() >= {"values", "valid"}:
                _count(own, arrays, limits, sensor, frame)
        counts.append(own)
    return counts


def _side(sensor: SensorCube) -> int:
    """Side in pixels of what one file of the store holds."""
    values = sensor.group["values"]
    return int((values.shards or values.chunks)[-1])


def _chunks(
    sensor: SensorCube, frame: int, window: Window, findings: list[Finding]
) -> Iterator[tuple[str, NDArray[Any]]]:
    rows, cols = window.slices
    for key in ("values", "valid", *(("day",) if sensor.is_composite else ())):
        place = (frame, slice(None), rows, cols) if key == "values" else (frame, rows, cols)
        try:
            yield key, np.asarray(sensor.group[key][place])
        except Exception as error:  # every codec has errors of its own
            middle = "0/" if key == "values" else ""
            side = _side(sensor)
            file = f"{sensor.input.sensor}/{key}/c/{frame}/{middle}{window.row // side}/{window.col // side}"
            findings.append(_unreadable(file, error))


def _count(
    own: Counts, arrays: dict[str, NDArray[Any]], limits: tuple[int, int], sensor: SensorCube, frame: int
) -> None:
    values, valid = arrays["values"], arrays["valid"]
    own.pixels += valid.size
    own.valid += int(valid.sum())
    own.present += int((values[0] != FILL).sum())
    own.filled += int((valid & (values == FILL).any(axis=0)).sum())
    outside = ((values < limits[0]) | (values > limits[1])) & (values != FILL)
    own.outside += int((valid & outside.any(axis=0)).sum())
    if len(values) >= 4:
        own.flat += int((valid & (values == values[0]).all(axis=0)).sum())
    elif valid.shape[1] > RUN:
        same = valid[:, 1:] & valid[:, :-1] & (values[:, :, 1:] == values[:, :, :-1]).all(axis=0)
        own.runs += int(np.lib.stride_tricks.sliding_window_view(same, RUN, axis=1).all(axis=-1).sum())
    if "day" in arrays:
        first, last = (int(number) for number in np.asarray(sensor.group["time_bounds"][frame]))
        day = arrays["day"]
        own.astray += int((valid & ((day == NO_DAY) | (day < first) | (day >= last))).sum())


def _frames(sensor: SensorCube, counts: list[Counts], about: dict[str, Any]) -> list[Finding]:
    """What the counts say of single frames, one finding for each kind of fault."""
    name = sensor.input.sensor
    recorded = [frame.get("valid_share") for frame in about.get("frames", [])]
    valid = sum(own.valid for own in counts)
    findings = []

    def add(kind: str, frames: list[int], sentence: str) -> None:
        if frames:
            days = ", ".join(_day(sensor.date[frame]) for frame in frames[:5]) + (" …" if len(frames) > 5 else "")
            where = f"{name}, {len(frames)} of {len(counts)} frames ({days})"
            findings.append(Finding(kind, where, sentence, "certain", REPAIR))

    if counts and not valid:
        findings.append(Finding("all-invalid frames", name, "no pixel of any frame is usable", "certain", REPAIR))
    add(
        "nodata stored as data",
        [frame for frame, own in enumerate(counts) if own.filled],
        f"{sum(own.filled for own in counts)} pixels without a number are marked usable",
    )
    add(
        "nodata stored as data",
        [frame for frame, own in enumerate(counts) if own.flat > max(limit("flat") * own.valid, 3)],
        "pixels with one and the same number in every band are marked usable, as a fill value would look",
    )
    add(
        "nodata stored as data",
        [
            frame
            for frame, own in enumerate(counts)
            if len(sensor.input.bands) < 4 and own.runs > max(limit("flat rows") * own.valid, RUN)
        ],
        f"rows of more than {RUN} pixels with the same numbers are marked usable, as a fill value would look",
    )
    add(
        "values out of range",
        [frame for frame, own in enumerate(counts) if own.outside],
        f"{sum(own.outside for own in counts)} usable pixels hold what the product cannot: another scale, offset, "
        "quantity or fill value",
    )
    add(
        "wrong dates",
        [frame for frame, own in enumerate(counts) if own.astray],
        f"{sum(own.astray for own in counts)} usable pixels have a day outside their composite's period",
    )
    if len(recorded) == len(counts):
        moved = [
            frame
            for frame, own in enumerate(counts)
            if own.pixels and recorded[frame] is not None
            and abs(own.valid / own.pixels - float(recorded[frame])) > limit("share moved")
        ]  # fmt: skip
        emptied = [frame for frame in moved if counts[frame].valid == 0]
        add("all-invalid frames", emptied, "nothing is usable, though the provenance says that something was")
        rest = [frame for frame in moved if counts[frame].valid]
        add("changed after fetching", rest, "the usable share is not the one that the provenance has")
    return findings
