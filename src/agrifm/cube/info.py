"""`agrifm cube info`: the content of a cube as lines of text, sensor by sensor. It reads no pixels."""

from collections import Counter
from itertools import pairwise
from typing import Any

from agrifm.cube.store import Cube, SensorCube, open_cube
from agrifm.errors import CubeError, doing
from agrifm.files import AnyPath, as_path
from agrifm.object_store import ObjectPath, as_place
from agrifm.published import current
from agrifm.season import day_date, day_number

ZARR_FILE = "zarr.json"
"""The file that every Zarr store has."""
CUBE_NAME = "cube.zarr"
"""Name of the cube in the directory of a project."""
MAX_SOURCES = 4
"""Number of sources of offsets that are listed."""
CLEAR_SHARE = 0.1
"""Usable share from which a frame ends a gap in time."""


def find_cube(path: AnyPath | ObjectPath) -> Cube:
    """Open the cube at a path or an address: the store itself, or the one in a project's directory.

    Raises:
        CubeError: neither exists, or the cube is unfinished.
    """
    place = current(as_place(path))
    return open_cube(place if place.name == CUBE_NAME or (place / ZARR_FILE).exists() else place / CUBE_NAME)


def cube_info(path: AnyPath | ObjectPath, picture: AnyPath | None = None) -> list[str]:
    """Describe a cube in the lines of `agrifm cube info`.

    Args:
        path: a cube, or the directory of a project that has one.
        picture: PNG to draw of when and where the area was observed; None draws nothing.

    Raises:
        CubeError: there is no finished cube.
        OutputError: the picture cannot be written.
    """
    picture = None if picture is None else as_path(picture)
    cube = find_cube(path)
    if picture is None:
        return describe_cube(cube)
    from agrifm.cube.coverage import draw_coverage

    draw_coverage(cube, picture)
    return [*describe_cube(cube), f"wrote {picture}"]


def describe_cube(cube: Cube) -> list[str]:
    """Describe a cube in lines of text: season, area, sensors, and how they were processed."""
    with doing(f"describing the cube {cube.path}", CubeError, "its record is damaged; fetch it again", path=cube.path):
        return _lines(cube)


def _lines(cube: Cube) -> list[str]:
    about = cube.provenance
    west, south, east, north = cube.area.bounds
    rows = [
        ("cube", str(cube.path)),
        ("season", f"{cube.season.start} to {cube.season.end}, {cube.season.days} days"),
        ("area", f"west {west:.4f}, south {south:.4f}, east {east:.4f}, north {north:.4f}"),
        ("removed", _counts(about.get("removed")) or "none"),
        ("skipped", ", ".join(about.get("skipped", [])) or "none"),
        *_failed(about.get("failed", {})),
        ("merging", str(about.get("merge_rule", "not stated"))),
        ("masked", _rule(about.get("usable", {}))),
        ("versions", ", ".join(f"{name} {number}" for name, number in about.get("versions", {}).items())),
    ]
    for name, sensor in cube.sensors.items():
        rows += [("", ""), ("sensor", name), *_sensor_rows(cube, sensor, about.get("sensors", {}).get(name, {}))]
    rows += [("note", note) for note in cube.notes]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {text}".rstrip() for name, text in rows]


def _failed(failed: dict[str, str]) -> list[tuple[str, str]]:
    """A row for each scene that failed and was left out."""
    return [("failed" if number == 0 else "", reason) for number, reason in enumerate(failed.values())]


def _rule(rule: dict[str, Any]) -> str:
    """Describe which flags make a pixel unusable."""
    if not rule:
        return "not stated"
    masks, metres = rule.get("masks", []), rule.get("dilate", 0)
    flags = [flag for flag in [*rule.get("always", []), *rule.get("masked", [])] if flag != "plug-in" or masks]
    grown = f"; clouds, cirrus and shadows grown by {metres:g} m" if metres else ""
    plug_ins = f"; plug-ins {', '.join(masks)}" if masks else ""
    return f"{', '.join(flags)}{grown}{plug_ins}"


def _sensor_rows(cube: Cube, sensor: SensorCube, about: dict[str, Any]) -> list[tuple[str, str]]:
    grid, content = sensor.grid, sensor.input
    rows = [
        ("product", str(about.get("product", "not stated")) + _description(about)),
        ("quantity", f"{content.quantity}, stored integers times {content.scale:g}"),
        ("bands", ", ".join(content.bands)),
        ("grid", f"{_crs_name(sensor)}, {grid.shape[0]} x {grid.shape[1]} pixels of {grid.resolution:g}"),
        ("frames", _frames(sensor)),
        *([("resampled", str(about["resampled"]))] if "resampled" in about else []),
        ("usable", _usable(about)),
        ("gaps", _gaps(cube, sensor, about)),
        ("scale", f"{about['scale']:g} per digital number, of the product" if "scale" in about else "not stated"),
        *_offsets(about),
        ("kernels", _kernels(about)),
        ("quality", _quality(about)),
    ]
    if about.get("resampled_before"):
        rows.append(("before", f"resampled {about['resampled_before']}"))
    return rows


def _crs_name(sensor: SensorCube) -> str:
    crs = sensor.grid.crs
    return f"EPSG:{crs.epsg}" if crs.epsg else str(crs.proj.name)


def _frames(sensor: SensorCube) -> str:
    kind = "composites, each pixel with its day" if sensor.is_composite else "acquisitions"
    days = [day_date(number) for number in sensor.date]
    return f"{len(days)} {kind}, {days[0]} to {days[-1]}" if days else f"0 {kind}"


def _usable(about: dict[str, Any]) -> str:
    shares = [frame["valid_share"] for frame in about.get("frames", [])]
    if not shares:
        return "not stated"
    none, clear = sum(share == 0 for share in shares), sum(share >= CLEAR_SHARE for share in shares)
    return (
        f"{sum(shares) / len(shares):.0%} of all pixels and dates; {clear} frames show at least {CLEAR_SHARE:.0%} of "
        f"the area, {none} nothing"
    )


def _gaps(cube: Cube, sensor: SensorCube, about: dict[str, Any]) -> str:
    """Describe the longest time without a frame that shows a tenth of the area, the season's ends included."""
    shares = [frame["valid_share"] for frame in about.get("frames", [])]
    if len(shares) != len(sensor.date):
        return "not stated"
    clear = [int(day) for day, share in zip(sensor.date, shares, strict=True) if share >= CLEAR_SHARE]
    if not clear:
        return "no frame shows a tenth of the area"
    days = sorted({day_number(cube.season.start), *clear, day_number(cube.season.end)})
    start, end = max(pairwise(days), key=lambda pair: pair[1] - pair[0])
    longest = f"{day_date(start)} to {day_date(end)}"
    return f"at most {end - start} days without a frame that shows {CLEAR_SHARE:.0%} of the area ({longest})"


def _kernels(about: dict[str, Any]) -> str:
    """Describe by which kernels the bands of the first scene were resampled; else the product's rule."""
    bands: dict[str, list[str]] = {}
    for band, kernel in about.get("kernels", {}).items():
        bands.setdefault(kernel, []).append(band)
    stated = [f"{kernel}: {', '.join(names)}" for kernel, names in bands.items()]
    return "; ".join(stated) or str(about.get("kernel", "not stated"))


def _offsets(about: dict[str, Any]) -> list[tuple[str, str]]:
    """A row for each source of offsets, the most frequent first, with the number of its scenes."""
    sources = Counter(str(source) for frame in about.get("frames", []) for source in frame.get("encodings", []))
    lines = [f"{source} ({count} of {sources.total()} scenes)" for source, count in sources.most_common(MAX_SOURCES)]
    if len(sources) > MAX_SOURCES:
        lines.append(f"and {len(sources) - MAX_SOURCES} more")
    first, *others = lines or ["not stated"]
    return [("offset", first), *(("", line) for line in others)]


def _description(about: dict[str, Any]) -> str:
    """What the project says of a product that it describes itself."""
    keys = {key: value for key, value in about.get("described", {}).items() if key != "name"}
    return f", described by the project: {', '.join(f'{key} {value}' for key, value in keys.items())}" if keys else ""


def _quality(about: dict[str, Any]) -> str:
    """Describe the quality bands, and how many frames have none."""
    bands = ", ".join(f"{asset} by {rule}" for asset, rule in about.get("quality", {}).items()) or "none"
    frames = about.get("frames", [])
    unmasked = sum("without_quality" in frame for frame in frames)
    return f"{bands}; {unmasked} of {len(frames)} frames have scenes without" if unmasked else bands


def _counts(removed: dict[str, int] | None) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in (removed or {}).items())
