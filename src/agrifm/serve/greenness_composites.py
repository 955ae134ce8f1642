"""Greenness of each month and of the season as pictures: the median and the highest of what was observed.

A composite reads many dates, so it is computed in squares of the cube's chunks, and the latest ones are kept in memory.
`agrifm.serve.kept_composites` keeps all of them in a file.

Shape letters: T dates, H W rows and columns.
"""

from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.indices import band_roles, greenness
from agrifm.cube.store import CHUNK, SensorCube
from agrifm.explain.periods import season_periods
from agrifm.grid import Grid, Window
from agrifm.pictures import indexed_png
from agrifm.season import Season, day_date
from agrifm.serve.picture_titles import GREENNESS_KEY, STEPS, greenness_colors, sensor_title
from agrifm.serve.tile_places import PNG_EFFORT, TilePlaces, fitting_zoom

MOST_READ = 6 * 1024**2
"""Pixels of all dates together that one tile may read; smaller zooms show no composite."""
KEPT_SQUARES = 4096
"""Squares of composites that are kept, 18 kB each."""
LOCKS = 64
"""Squares that are computed at a time at most."""
KINDS = {f"{GREENNESS_KEY}-median": ("NDVI, median", 0), f"{GREENNESS_KEY}-highest": ("NDVI, highest", 1)}
"""Title and number of each composite, by key."""


class Composites:
    """The greenness of a sensor in some periods."""

    def __init__(
        self, sensor: SensorCube, name: str, periods: dict[str, tuple[str, slice]], squares: int = KEPT_SQUARES
    ) -> None:
        """Nothing is read yet.

        Args:
            name: of the periods, such as "monthly".
            periods: by the ISO day in the middle of each, what it is called, and its dates.
            squares: that are kept in memory.
        """
        self.sensor, self.name, self.periods = sensor, name, periods
        self.kinds: dict[str, tuple[str, tuple[str, ...]]] = {
            key: (title, ("nir", "red")) for key, (title, _) in KINDS.items()
        }
        self._square = lru_cache(squares)(self._computed)
        self._locks = [Lock() for _ in range(LOCKS)]
        self._kept: tuple[Callable[[], NDArray[np.uint8] | None], int] | None = None

    def keep(self, pixels: Callable[[], NDArray[np.uint8] | None], first: int) -> None:
        """Read what was computed before, if it is there.

        Args:
            pixels: gives (periods, 2, H, W) places in `greenness_colors`, or None.
            first: number of the first of these periods there.
        """
        self._kept = pixels, first

    @property
    def key(self) -> str:
        """Name of the sensor and of the periods."""
        return f"{self.sensor.input.sensor}-{self.name}"

    @property
    def grid(self) -> Grid:
        """The pixels."""
        return self.sensor.grid

    @property
    def count(self) -> int:
        """Number of periods."""
        return len(self.periods)

    @property
    def most_pixels(self) -> int:
        """Pixels that a tile may read."""
        return MOST_READ // max(int(dates.stop - dates.start) for _, dates in self.periods.values())

    def stated(self) -> dict[str, Any]:
        """What the page is to know of them."""
        return {
            "key": self.key,
            "title": f"{sensor_title(self.sensor)}, {self.name}",
            "metres": round(self.grid.resolution),
            "dates": list(self.periods),
            "labels": [label for label, _ in self.periods.values()],
            "clear": [None] * self.count,
            "pictures": [{"key": key, "title": title} for key, (title, _) in self.kinds.items()],
            "minzoom": fitting_zoom(self.grid, self.most_pixels),
            "ramp": ["#{:02x}{:02x}{:02x}".format(*color[:3]) for color in greenness_colors()[:-1:20]],
        }

    def tile(self, kind: str, frame: int, places: TilePlaces) -> bytes:
        """A tile as PNG; what was never observed is transparent.

        Raises:
            CubeError: the cube is damaged.
        """
        return indexed_png(self.drawn(kind, frame, places), greenness_colors(), PNG_EFFORT)

    def drawn(self, kind: str, frame: int, places: TilePlaces) -> NDArray[np.uint8]:
        """A tile as places (H, W) in `greenness_colors`.

        Raises:
            CubeError: as of `tile`.
        """
        window = places.window
        if self._kept is not None and (known := self._kept[0]()) is not None:
            pixels = known[self._kept[1] + frame, KINDS[kind][1]][window.slices]
            return places.taken(pixels, STEPS + 1).astype(np.uint8)
        first_row, first_col = window.row // CHUNK, window.col // CHUNK
        last_row, last_col = (window.row + window.height - 1) // CHUNK, (window.col + window.width - 1) // CHUNK
        number = KINDS[kind][1]
        squares = [
            [self._known(frame, row, col)[number] for col in range(first_col, last_col + 1)]
            for row in range(first_row, last_row + 1)
        ]
        inner = window.within(Window(first_row * CHUNK, first_col * CHUNK, 0, 0)).slices
        return places.taken(np.block(squares)[inner], STEPS + 1).astype(np.uint8)

    def all_drawn(self, frame: int, places: TilePlaces) -> dict[str, NDArray[np.uint8]]:
        """A tile of each composite by key, as `drawn` gives it."""
        return {kind: self.drawn(kind, frame, places) for kind in self.kinds}

    def _known(self, frame: int, row: int, col: int) -> NDArray[np.uint8]:
        """See `_computed`; requests for the same square at the same time compute it once."""
        with self._locks[hash((frame, row, col)) % LOCKS]:
            return self._square(frame, row, col)

    def _computed(self, frame: int, row: int, col: int) -> NDArray[np.uint8]:
        """Median and highest greenness (2, H, W) of a square, as places in `greenness_colors`; nothing off the grid."""
        square = np.full((2, CHUNK, CHUNK), STEPS + 1, np.uint8)
        if row * CHUNK >= self.grid.shape[0] or col * CHUNK >= self.grid.shape[1]:
            return square
        dates = list(self.periods.values())[frame][1]
        rows, cols = (slice(number * CHUNK, (number + 1) * CHUNK) for number in (row, col))
        green, valid = greenness_of(self.sensor, dates, rows, cols)
        square[:, : valid.shape[1], : valid.shape[2]] = median_and_highest(green, valid)
        return square


def greenness_of(
    sensor: SensorCube, dates: slice, rows: slice, cols: slice
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Greenness (T, H, W) of a part of a cube, and where it was observed.

    Raises:
        CubeError: the cube is damaged.
    """
    stored = sensor.stored("values", (dates, slice(None), rows, cols))
    valid = sensor.stored("valid", (dates, rows, cols)).astype(bool)
    column = band_roles(sensor.input)
    two = stored[:, [column["nir"], column["red"]]].astype(np.float32) * np.float32(sensor.input.scale)
    names = tuple(sensor.input.bands[column[role]] for role in ("nir", "red"))
    green = greenness(two.reshape(*two.shape[:2], -1), sensor.input.model_copy(update={"bands": names}))
    assert green is not None
    return green.reshape(valid.shape), valid


def median_and_highest(green: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Median and highest (2, H, W) of what was observed, as places in `greenness_colors`.

    Args:
        green: (T, H, W), at least one date.
    """
    # What was not observed comes last, so the middle and the last of the others are at known places.
    ordered = np.sort(np.where(valid, green, np.inf), axis=0)
    count = valid.sum(axis=0)
    at = np.maximum(np.stack([(count - 1) // 2, count // 2, count - 1]), 0)
    lower, upper, highest = np.take_along_axis(ordered, at, axis=0)
    both = np.clip(np.stack([(lower + upper) / 2, highest]), 0, 1)
    return np.asarray(np.where(count == 0, STEPS + 1, both * STEPS).round(), np.uint8)


def composites_of(sensor: SensorCube, season: Season, squares: int = KEPT_SQUARES) -> list[Composites]:
    """The greenness of a sensor by month and over the season; none if it has no near infrared and red.

    Args:
        squares: that are kept in memory of each.
    """
    if not {"nir", "red"} <= band_roles(sensor.input).keys() or not len(sensor.date):
        return []
    found = season_periods(season)
    months: dict[str, tuple[str, slice]] = {}
    for start, end in zip(found.edges[:-1].tolist(), found.edges[1:].tolist(), strict=True):
        dates = slice(*np.searchsorted(sensor.date, (start, end)).tolist())
        if dates.stop > dates.start:
            months[_middle(start, end)] = (f"{day_date(start):%B %Y}", dates)
    whole = {_middle(*found.edges[[0, -1]].tolist()): ("Season", slice(0, len(sensor.date)))}
    found_of = {"monthly": months, "season": whole}
    return [Composites(sensor, name, periods, squares) for name, periods in found_of.items()] if months else []


def _middle(start: int, end: int) -> str:
    return day_date((start + end) // 2).isoformat()
