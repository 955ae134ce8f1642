"""What the cube of a season shows around points: pictures by month, and curves of indices, for interpreters.

A picture is of one observation, the clearest of its month. What was not observed is hatched, and a month without a
clear observation has no picture.

Shape letters: N points, T frames, C bands, R roles of bands, M months with a picture, S side of a chip in pixels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.class_map import pixel_of_points
from agrifm.assess.color_pictures import GAMMA, PICTURES, TAILS, picture_kinds
from agrifm.assess.index_curves import MAX_PIXEL, IndexCurve, by_pixel, pixel_metres, read_curves
from agrifm.assess.point_cubes import NOWHERE, PointCubes
from agrifm.classic.indices import band_roles
from agrifm.cube.store import FILL, Cube, SensorCube
from agrifm.grid import Grid
from agrifm.season import Season, day_date
from agrifm.work import progress

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

CHIP_METRES = 480
"""Side of the ground of a picture."""
MIN_CLEAR = 0.1
"""Share of a chip that an observation must show to be a picture."""
STRETCHED = 40
"""Points whose pictures decide the brightness of all."""
UNSEEN, BEYOND = 150, 235
"""Grey of the hatching of what was not observed, and of what is outside the cube."""
JPEG_QUALITY = 88


@dataclass(frozen=True)
class MonthPicture:
    """The observation that is shown for a month."""

    month: int
    """Its place in the months of the season."""
    day: int
    """Days since 1970-01-01."""
    clear: float
    """Share of the chip that is observed."""
    seen: bool
    """Whether the pixel of the point is."""


@dataclass(frozen=True)
class PointSeason:
    """What the cube shows at one point."""

    inside: bool
    """Whether it is inside the cube's grid."""
    months: tuple[MonthPicture, ...]
    """In the order of time."""
    strips: tuple[bytes, ...]
    """For each kind of picture a JPEG of the months side by side; none without months."""
    curves: tuple[IndexCurve, ...]


@dataclass(frozen=True)
class _Seen:
    """A point as it is read, before brightness is known: reflectance (M, R, S, S), NaN where not observed."""

    season: PointSeason
    chips: NDArray[np.float32]
    roles: tuple[str, ...]
    beyond: NDArray[np.bool_]
    """(S, S), outside the cube."""


@dataclass(frozen=True)
class _CubeOfPoints:
    """A cube, and where the points are in it."""

    cube: Cube
    shown: SensorCube | None
    """The sensor of the pictures."""
    places: dict[str, NDArray[np.int64]]
    """Row and column of each point, (N, 2), in the grid of each sensor; -1 of points that another cube shows."""

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Whether each point is inside, (N,)."""
        on = [_is_on(sensor.grid, *self.places[name].T) for name, sensor in self.cube.sensors.items()]
        return np.asarray(np.any(on, axis=0))


def season_months(season: Season) -> list[tuple[int, int]]:
    """Return year and month of each month of a season."""
    first, last = (12 * day.year + day.month - 1 for day in (season.start, season.end))
    return [(number // 12, number % 12 + 1) for number in range(first, last + 1)]


def picture_sensor(cube: Cube) -> SensorCube | None:
    """Return the sensor of reflectance with the smallest pixels of which pictures can be made; None without one."""
    fit = [
        sensor
        for sensor in cube.sensors.values()
        if sensor.input.quantity.endswith("reflectance")
        and pixel_metres(sensor.grid) <= MAX_PIXEL
        and picture_kinds(sensor)
    ]
    return min(fit, key=lambda sensor: pixel_metres(sensor.grid), default=None)


def chip_side(sensor: SensorCube) -> int:
    """Return the side of a chip in pixels: odd, so that a point's pixel is in the middle."""
    return round(CHIP_METRES / pixel_metres(sensor.grid)) // 2 * 2 + 1


@dataclass(frozen=True)
class PointReader:
    """Reads what cubes show at points, one by one, in pictures of the same brightness."""

    cubes: tuple[_CubeOfPoints, ...]
    of_point: NDArray[np.int64]
    """(N,), number of the cube that shows each point, or `NOWHERE`."""
    sample: dict[int, _Seen]
    """Points that are read already, by number."""
    ends: dict[tuple[str, ...], tuple[Any, Any]]
    """Reflectance that is black, and that is full brightness."""

    @property
    def inside(self) -> list[bool]:
        """Whether each point is inside a cube."""
        return [bool(one) for one in np.any([part.inside for part in self.cubes], axis=0)]

    def read(self, at: int) -> PointSeason:
        """What a cube shows at the point of a number.

        Raises:
            CubeError: the cube is damaged.
        """
        number = int(self.of_point[at])
        if number == NOWHERE:
            return PointSeason(False, (), (), ())
        part = self.cubes[number]
        kinds = [] if part.shown is None else picture_kinds(part.shown)
        seen = self.sample.get(at) or _read(part, at)
        strips = tuple(_strip(seen, bands, self.ends) for _, bands in kinds) if seen.season.months else ()
        return PointSeason(seen.season.inside, seen.season.months, strips, seen.season.curves)


def open_point_reader(
    cubes: PointCubes, points: "GeoDataFrame", sample: Iterable[int], advance: Callable[[int], None] = lambda _: None
) -> PointReader:
    """Open cubes for reading what they show at points.

    Brightness is the same in all pictures, so that dates and points can be compared: reflectance of the percentiles
    `TAILS` of a sample of points, for true colour over its three bands together.

    Args:
        sample: numbers of the points that decide brightness; they are read at once, and kept.
        advance: is called with 1 after each of them.

    Raises:
        CubeError: a cube is damaged.
    """
    parts = tuple(_placed(cube, points, cubes.of_point == number) for number, cube in enumerate(cubes.cubes))
    seen: dict[int, _Seen] = {}
    for at in sample:
        if cubes.of_point[at] != NOWHERE:
            seen[at] = _read(parts[cubes.of_point[at]], at)
        advance(1)
    return PointReader(parts, cubes.of_point, seen, _brightness(list(seen.values())))


def read_point_seasons(cubes: PointCubes, points: "GeoDataFrame") -> Iterator[PointSeason]:
    """Yield what a cube shows at each point; up to `STRETCHED` points decide brightness.

    Raises:
        CubeError: a cube is damaged.
    """
    reader = open_point_reader(cubes, points, range(min(STRETCHED, len(points))))
    with progress("read points", len(points)) as advance:
        for at in range(len(points)):
            yield reader.read(at)
            advance(1)


def _placed(cube: Cube, points: "GeoDataFrame", here: NDArray[np.bool_]) -> _CubeOfPoints:
    """A cube with the places of the points that it shows."""
    places = {}
    for name, sensor in cube.sensors.items():
        rows, cols = pixel_of_points(sensor.grid, points[here].to_crs(sensor.grid.crs.to_wkt()))
        places[name] = np.full((len(points), 2), -1, np.int64)
        places[name][here] = np.stack([rows, cols], axis=1)
    return _CubeOfPoints(cube, picture_sensor(cube), places)


def _roles(sensor: SensorCube) -> list[str]:
    """Bands of all pictures of a sensor, each once."""
    return list(dict.fromkeys(band for _, bands in picture_kinds(sensor) for band in bands))


def _read(part: _CubeOfPoints, at: int) -> _Seen:
    """Read the chips and curves of one point."""
    cube, shown, places = part.cube, part.shown, part.places
    curves: list[IndexCurve] = []
    inside = {name: _is_on(sensor.grid, *places[name][at].tolist()) for name, sensor in cube.sensors.items()}
    for sensor in by_pixel(cube):
        if inside[sensor.input.sensor]:
            curves += read_curves(sensor, *places[sensor.input.sensor][at].tolist())
    roles = () if shown is None else tuple(_roles(shown))
    if shown is None or not inside[shown.input.sensor]:
        nothing = np.zeros((0, len(roles), 1, 1), np.float32)
        season = PointSeason(any(inside.values()), (), (), tuple(curves))
        return _Seen(season, nothing, roles, np.zeros((1, 1), bool))
    months, chips, beyond = _chips(cube.season, shown, roles, *places[shown.input.sensor][at].tolist())
    return _Seen(PointSeason(True, tuple(months), (), tuple(curves)), chips, roles, beyond)


def _is_on(grid: Grid, row: Any, col: Any) -> Any:
    """Whether pixels, given as numbers or as arrays of them, are on a grid."""
    return (row >= 0) & (row < grid.shape[0]) & (col >= 0) & (col < grid.shape[1])


def _chips(
    season: Season, sensor: SensorCube, roles: Sequence[str], row: int, col: int
) -> tuple[list[MonthPicture], NDArray[np.float32], NDArray[np.bool_]]:
    """Months with a picture, their reflectance (M, R, S, S), and what is outside the cube (S, S)."""
    side = chip_side(sensor)
    half, (height, width) = side // 2, sensor.grid.shape
    rows, cols = (
        slice(max(middle - half, 0), min(middle + half + 1, length)) for middle, length in ((row, height), (col, width))
    )
    tall, wide = (
        slice(part.start - middle + half, part.stop - middle + half) for part, middle in ((rows, row), (cols, col))
    )
    valid = np.zeros((len(sensor.date), side, side), bool)
    valid[:, tall, wide] = sensor.stored("valid", (slice(None), rows, cols))
    beyond = np.ones((side, side), bool)
    beyond[tall, wide] = False
    months = _clearest(season, sensor.date, valid, beyond)
    column = band_roles(sensor.input)
    bands = [column[role] for role in roles]
    chips = np.full((len(months), len(roles), side, side), np.nan, np.float32)
    frame = {int(day): number for number, day in enumerate(sensor.date)}
    for number, month in enumerate(months):
        at = frame[month.day]
        stored = sensor.stored("values", (slice(at, at + 1), slice(None), rows, cols))[0, bands]
        usable = valid[at, tall, wide] & (stored != FILL)
        chips[number, :, tall, wide] = np.where(usable, stored * np.float32(sensor.input.scale), np.nan)
    return months, chips, beyond


def _clearest(
    season: Season, days: NDArray[np.int32], valid: NDArray[np.bool_], beyond: NDArray[np.bool_]
) -> list[MonthPicture]:
    """The observation of each month that shows most of the chip; the point itself counts as half a chip.

    Args:
        valid: (T, S, S).
    """
    middle = valid.shape[1] // 2
    seen = valid[:, middle, middle]
    clear = valid[:, ~beyond].mean(axis=1)
    months = []
    for number, month in enumerate(season_months(season)):
        of_month = [at for at, day in enumerate(days) if _month_of(int(day)) == month and clear[at] >= MIN_CLEAR]
        if of_month:
            best = max(of_month, key=lambda at: clear[at] + seen[at] / 2)
            months.append(MonthPicture(number, int(days[best]), float(clear[best]), bool(seen[best])))
    return months


def _month_of(day: int) -> tuple[int, int]:
    date = day_date(day)
    return date.year, date.month


def _brightness(points: Sequence[_Seen]) -> dict[tuple[str, ...], tuple[Any, Any]]:
    """Reflectance that is black, and that is full brightness, for the bands of each picture."""
    ends: dict[tuple[str, ...], tuple[Any, Any]] = {}
    for name, bands in PICTURES:
        fit = [seen for seen in points if set(bands) <= set(seen.roles)]
        parts = [seen.chips[:, [seen.roles.index(band) for band in bands]] for seen in fit]
        values = np.concatenate(
            [np.zeros((len(bands), 0)), *(part.transpose(1, 0, 2, 3).reshape(len(bands), -1) for part in parts)], axis=1
        )
        values = values[:, np.isfinite(values).all(axis=0)]
        if not values.size:
            ends[bands] = (np.zeros(3), np.ones(3))
            continue
        low, high = np.percentile(values, TAILS, axis=None if name == "True colour" else 1)
        ends[bands] = (np.broadcast_to(low, 3), np.broadcast_to(np.maximum(high, low + 0.01), 3))
    return ends


def _strip(seen: _Seen, bands: tuple[str, ...], ends: dict[tuple[str, ...], tuple[Any, Any]]) -> bytes:
    """A JPEG of the months of a point side by side."""
    from matplotlib.image import imsave

    low, high = ends[bands]
    chips = seen.chips[:, [seen.roles.index(band) for band in bands]].transpose(0, 2, 3, 1)
    unseen = np.asarray(np.isnan(chips).any(axis=-1))
    bright = np.clip((np.nan_to_num(chips) - low) / (high - low), 0, 1) ** GAMMA * 255
    row, col = np.indices(unseen.shape[1:])
    hatching = np.where((row + col) % 4 < 2, UNSEEN, UNSEEN + 60)
    bright = np.where(unseen[..., None], np.where(seen.beyond, BEYOND, hatching)[..., None], bright)
    strip = bright.round().astype(np.uint8).transpose(1, 0, 2, 3).reshape(unseen.shape[1], -1, 3)
    file = BytesIO()
    imsave(file, strip, format="jpeg", pil_kwargs={"quality": JPEG_QUALITY, "subsampling": 0})
    return file.getvalue()
