"""Check that a cube is whole: every chunk is read once, frame by frame, and counted. Memory: one shard of one frame."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from agrifm.cube.earlier import shard_side
from agrifm.cube.manifest import reason
from agrifm.cube.qc.thresholds import Finding, list_days, threshold
from agrifm.cube.store import FILL, NO_DAY, Cube, SensorCube
from agrifm.errors import ConfigError
from agrifm.grid import Window, tiles
from agrifm.product_description import ProductDescription
from agrifm.scene.described_products import described_product
from agrifm.scene.products import Product, find_product
from agrifm.season import day_date, day_number

RUN_LENGTH = 8
"""Neighbours in a row with the same numbers in every band that look like a fill value."""
REPAIR = "fetch the cube again"


@dataclass
class FrameCounts:
    """Numbers of pixels of one frame."""

    pixels: int = 0
    valid: int = 0
    present: int = 0
    """With a number in the first band."""
    without_number: int = 0
    """Valid, but without a number in some band."""
    constant: int = 0
    """Valid, with the same number in every band (four or more)."""
    repeated: int = 0
    """Valid, equal in every band to `RUN_LENGTH` valid pixels to their left (fewer than four bands)."""
    outside: int = 0
    """Valid, outside the range that the product can hold."""
    wrong_day: int = 0
    """Valid, with a day outside the composite's period, or none."""


def check_integrity(cube: Cube) -> list[Finding]:
    """Read every chunk once; check structure, dates, fill values and the usable share of every frame."""
    findings: list[Finding] = []
    for name, sensor in cube.sensors.items():
        about = cube.provenance.get("sensors", {}).get(name, {})
        broken = _arrays(sensor)
        findings += broken
        if broken:
            continue
        findings += [*_encoding(sensor, about), *_dates(cube, sensor, about)]
        counts = _read(sensor, _range(sensor, about), findings)
        findings += _frames(sensor, counts, about)
    return findings


def _arrays(sensor: SensorCube) -> list[Finding]:
    """Find arrays that are absent, or have another shape or type than the format defines."""
    group, name = sensor.group, sensor.input.sensor
    frames, bands, shape = len(sensor.date), len(sensor.input.bands), sensor.grid.shape
    wanted: dict[str, tuple[tuple[int, ...], str]] = {
        "values": ((frames, bands, *shape), "int16"), "valid": ((frames, *shape), "bool"), "time": ((frames,), "int32"),
        "x": ((shape[1],), "float64"), "y": ((shape[0],), "float64"),
    }  # fmt: skip
    if sensor.is_composite:
        wanted |= {"day": ((frames, *shape), "int32"), "time_bounds": ((frames, 2), "int32")}
    findings = []
    for key, (wanted_shape, kind) in wanted.items():
        has = (tuple(group[key].shape), str(group[key].dtype)) if key in group else None
        if has != (wanted_shape, kind):
            actual = "it is absent" if has is None else f"it is {has[1]} of shape {has[0]}"
            findings.append(
                Finding(
                    "wrong structure", f"{name}/{key}", f"{actual}, not {kind} of {wanted_shape}", "certain", REPAIR
                )
            )
    for key in ("x", "y", *(("time_bounds",) if sensor.is_composite else ())):
        if findings:
            break
        try:
            stored = np.asarray(group[key][...])
        except Exception as error:  # every codec raises other errors
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
        if "described" in about:
            return described_product(ProductDescription.model_validate(about["described"]))
        return find_product(str(about.get("product")))
    except (ConfigError, ValidationError):
        return None


def _encoding(sensor: SensorCube, about: dict[str, Any]) -> list[Finding]:
    """Compare quantity and bands with those of the product that the provenance names."""
    product, content, name = _product(about), sensor.input, sensor.input.sensor
    if product is None:
        return []
    findings = []
    if content.quantity != product.quantity:
        sentence = f"it is labelled {content.quantity}, but the product '{product.name}' is {product.quantity}"
        findings.append(Finding("mixed quantities", name, sentence, "certain", REPAIR))
    if sorted(content.bands) != sorted(product.bands):
        sentence = f"its bands are {', '.join(content.bands)}, those of '{product.name}' {', '.join(product.bands)}"
        findings.append(Finding("swapped bands", name, sentence, "certain", REPAIR))
    elif content.bands != product.bands:
        sentence = f"its bands are in the order {', '.join(content.bands)}, not in that of '{product.name}'"
        findings.append(Finding("swapped bands", name, sentence, "possible", REPAIR))
    return findings


def _dates(cube: Cube, sensor: SensorCube, about: dict[str, Any]) -> list[Finding]:
    """Check that dates increase, are in the season, match the provenance, and begin as the product's composites do."""
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
    outside = (ends < first) | (days > last)
    if outside.any():
        add(_day(days[outside][0]), f"{int(outside.sum())} frames are outside {cube.season.start} to {cube.season.end}")
    recorded = [date.fromisoformat(frame["day"]) for frame in about.get("frames", [])]
    if recorded and [day_number(day) for day in recorded] != [int(day) for day in days]:
        differences = sorted({int(day) - day_number(other) for day, other in zip(days, recorded, strict=False)})
        listed = ", ".join(f"{difference:+d}" for difference in differences[:5])
        add("time", f"the provenance has other dates ({listed} days)")
    product = None if "resampled" in about else _product(about)
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
    """The smallest and largest stored number that the product can contain, and one more on each side for rounding.

    Every number is allowed if the product is unknown, or the cube was resampled from another one.
    """
    product = _product(about)
    if product is None or product.quantity != sensor.input.quantity or "resampled" in about:
        return FILL + 1, -FILL - 1
    offsets = {float(offset) for frame in about.get("frames", []) for offset in frame.get("offsets", [])}
    ends = [number * product.scale + offset for offset in offsets or {product.offset} for number in product.valid_range]
    low, high = min(ends) / sensor.input.scale - 1, max(ends) / sensor.input.scale + 1
    return max(int(np.floor(low)), FILL + 1), min(int(np.ceil(high)), -FILL - 1)


def _read(sensor: SensorCube, value_range: tuple[int, int], findings: list[Finding]) -> list[FrameCounts]:
    """Count the pixels of every frame; a file that cannot be read is reported and left out."""
    counts = []
    for frame in range(len(sensor.date)):
        of_frame = FrameCounts()
        for window in tiles(sensor.grid.shape, shard_side(sensor)):
            arrays = dict(_chunks(sensor, frame, window, findings))
            if arrays.keys() >= {"values", "valid"}:
                _count(of_frame, arrays, value_range, sensor, frame)
        counts.append(of_frame)
    return counts


def _chunks(
    sensor: SensorCube, frame: int, window: Window, findings: list[Finding]
) -> Iterator[tuple[str, NDArray[Any]]]:
    rows, cols = window.slices
    for key in ("values", "valid", *(("day",) if sensor.is_composite else ())):
        selection = (frame, slice(None), rows, cols) if key == "values" else (frame, rows, cols)
        try:
            yield key, np.asarray(sensor.group[key][selection])
        except Exception as error:  # every codec raises other errors
            middle = "0/" if key == "values" else ""
            side = shard_side(sensor)
            file = f"{sensor.input.sensor}/{key}/c/{frame}/{middle}{window.row // side}/{window.col // side}"
            findings.append(_unreadable(file, error))


def _count(
    counts: FrameCounts,
    arrays: dict[str, NDArray[Any]],
    value_range: tuple[int, int],
    sensor: SensorCube,
    frame: int,
) -> None:
    """Add the pixels of one part of a frame to its counts."""
    values, valid = arrays["values"], arrays["valid"]
    counts.pixels += valid.size
    counts.valid += int(valid.sum())
    counts.present += int((values[0] != FILL).sum())
    counts.without_number += int((valid & (values == FILL).any(axis=0)).sum())
    outside = ((values < value_range[0]) | (values > value_range[1])) & (values != FILL)
    counts.outside += int((valid & outside.any(axis=0)).sum())
    if len(values) >= 4:
        counts.constant += int((valid & (values == values[0]).all(axis=0)).sum())
    elif valid.shape[1] > RUN_LENGTH:
        # With few bands a pixel alone may have equal numbers by chance, a whole row of pixels not.
        same = valid[:, 1:] & valid[:, :-1] & (values[:, :, 1:] == values[:, :, :-1]).all(axis=0)
        counts.repeated += int(np.lib.stride_tricks.sliding_window_view(same, RUN_LENGTH, axis=1).all(axis=-1).sum())
    if "day" in arrays:
        first, last = (int(number) for number in np.asarray(sensor.group["time_bounds"][frame]))
        day = arrays["day"]
        counts.wrong_day += int((valid & ((day == NO_DAY) | (day < first) | (day >= last))).sum())


def _frames(sensor: SensorCube, counts: list[FrameCounts], about: dict[str, Any]) -> list[Finding]:
    """Find faults of single frames in their counts; one finding for each kind of fault."""
    faults: list[tuple[str, list[int], str]] = [*_pixel_faults(sensor, counts), *_changed_shares(counts, about)]
    findings = []
    if counts and not any(of_frame.valid for of_frame in counts):
        sentence = "no pixel of any frame is usable"
        findings.append(Finding("all-invalid frames", sensor.input.sensor, sentence, "certain", REPAIR))
    for kind, frames, sentence in faults:
        if frames:
            days = list_days([sensor.date[frame] for frame in frames])
            where = f"{sensor.input.sensor}, {len(frames)} of {len(counts)} frames ({days})"
            findings.append(Finding(kind, where, sentence, "certain", REPAIR))
    return findings


def _pixel_faults(sensor: SensorCube, counts: list[FrameCounts]) -> Iterator[tuple[str, list[int], str]]:
    """Kind, frames and sentence of the faults of usable pixels."""

    def where(is_fault: Callable[[FrameCounts], bool]) -> list[int]:
        return [frame for frame, of_frame in enumerate(counts) if is_fault(of_frame)]

    kind = "nodata stored as data"
    total = sum(of_frame.without_number for of_frame in counts)
    yield kind, where(lambda one: one.without_number > 0), f"{total} pixels without a number are marked usable"
    sentence = "pixels with the same number in every band are marked usable; they look like a fill value"
    yield kind, where(lambda one: one.constant > max(threshold("flat") * one.valid, 3)), sentence
    if len(sensor.input.bands) < 4:
        sentence = f"rows of more than {RUN_LENGTH} pixels with the same numbers are marked usable, like a fill value"
        yield kind, where(lambda one: one.repeated > max(threshold("flat rows") * one.valid, RUN_LENGTH)), sentence
    total = sum(of_frame.outside for of_frame in counts)
    sentence = f"{total} usable pixels are outside the range of the product: another scale, offset, quantity or fill"
    yield "values out of range", where(lambda one: one.outside > 0), sentence
    total = sum(of_frame.wrong_day for of_frame in counts)
    sentence = f"{total} usable pixels have a day outside their composite's period"
    yield "wrong dates", where(lambda one: one.wrong_day > 0), sentence


def _changed_shares(counts: list[FrameCounts], about: dict[str, Any]) -> list[tuple[str, list[int], str]]:
    """Kind, frames and sentence of usable shares that differ from the recorded ones."""
    recorded = [frame.get("valid_share") for frame in about.get("frames", [])]
    if len(recorded) != len(counts):
        return []
    changed = [
        frame
        for frame, (of_frame, share) in enumerate(zip(counts, recorded, strict=True))
        if of_frame.pixels
        and share is not None
        and abs(of_frame.valid / of_frame.pixels - float(share)) > threshold("share moved")
    ]
    emptied = [frame for frame in changed if counts[frame].valid == 0]
    rest = [frame for frame in changed if counts[frame].valid]
    return [
        ("all-invalid frames", emptied, "no pixel is usable, but the provenance records usable pixels"),
        ("changed after fetching", rest, "the usable share is not the one in the provenance"),
    ]
