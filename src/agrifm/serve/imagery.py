"""Pictures of the season from its cube: true and false colour and greenness of any date, as tiles.

Shape letters: C bands, H W rows and columns, P pixels.
"""

from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.color_pictures import GAMMA, TAILS, picture_kinds
from agrifm.assess.index_curves import pixel_metres
from agrifm.classic.indices import band_roles, greenness
from agrifm.cube.store import CHUNK, FILL, Cube, SensorCube
from agrifm.grid import Grid
from agrifm.pictures import indexed_png, rgba_png
from agrifm.season import day_date
from agrifm.serve.picture_titles import GREENNESS_KEY, STEPS, greenness_colors, sensor_title
from agrifm.serve.tile_places import PNG_EFFORT, TilePlaces, fitting_zoom

MOST_PIXELS = 1024**2
"""Pixels of the cube that one tile may read; smaller zooms show no imagery."""
STRETCHED = 8
"""Frames whose pixels decide the brightness of all."""


@dataclass(frozen=True)
class Imagery:
    """The pictures of one sensor."""

    sensor: SensorCube
    clear: list[float | None]
    """(T,), share of pixels that each frame observes; None where the cube does not say it."""
    lock: Any
    known_ends: dict[tuple[str, ...], tuple[NDArray[np.float32], NDArray[np.float32]]] = field(default_factory=dict)
    """Of brightness, by bands, as far as they were needed."""
    sampled: "tuple[Imagery, ...]" = ()
    """Those whose pixels decide the brightness; by default these."""

    @property
    def grid(self) -> Grid:
        """The pixels."""
        return self.sensor.grid

    @property
    def count(self) -> int:
        """Number of dates."""
        return len(self.sensor.date)

    @property
    def most_pixels(self) -> int:
        """Pixels that a tile may read."""
        return MOST_PIXELS

    @property
    def kinds(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Title and bands of each picture by key."""
        found = {title.lower().replace(" ", "-"): (title, bands) for title, bands in picture_kinds(self.sensor)}
        if {"nir", "red"} <= band_roles(self.sensor.input).keys():
            return {**found, GREENNESS_KEY: ("NDVI", ("nir", "red"))}
        return dict(found)

    def stated(self) -> dict[str, Any]:
        """What the page is to know of the sensor."""
        return {
            "key": self.sensor.input.sensor,
            "title": sensor_title(self.sensor),
            "metres": round(pixel_metres(self.sensor.grid)),
            "dates": [day_date(int(day)).isoformat() for day in self.sensor.date],
            "clear": self.clear,
            "pictures": [{"key": key, "title": title} for key, (title, _) in self.kinds.items()],
            "minzoom": fitting_zoom(self.sensor.grid, MOST_PIXELS),
            "ramp": ["#{:02x}{:02x}{:02x}".format(*color[:3]) for color in greenness_colors()[:-1:20]],
        }

    def tile(self, kind: str, frame: int, places: TilePlaces) -> bytes:
        """A tile as PNG; what was not observed is transparent.

        Args:
            kind: a key of `kinds`.
            frame: number of the date.

        Raises:
            CubeError: the cube is damaged.
        """
        drawn = self.drawn(kind, frame, places)
        return indexed_png(drawn, greenness_colors(), PNG_EFFORT) if drawn.ndim == 2 else rgba_png(drawn)

    def drawn(self, kind: str, frame: int, places: TilePlaces) -> NDArray[np.uint8]:
        """A tile as pixels: of greenness (H, W) places in `greenness_colors`, of others (H, W, 4) colours.

        Raises:
            CubeError: as of `tile`.
        """
        return self._drawn(kind, *self._read(self.kinds[kind][1], frame, places))

    def all_drawn(self, frame: int, places: TilePlaces) -> dict[str, NDArray[np.uint8]]:
        """A tile of each picture by key, as `drawn` gives it; the cube is read once.

        Raises:
            CubeError: as of `tile`.
        """
        roles = tuple(dict.fromkeys(role for _, bands in self.kinds.values() for role in bands))
        stored, valid = self._read(roles, frame, places)
        return {
            kind: self._drawn(kind, stored[[roles.index(role) for role in bands]], valid)
            for kind, (_, bands) in self.kinds.items()
        }

    def _drawn(self, kind: str, stored: NDArray[np.int16], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """A picture of the stored values of its bands (C, H, W)."""
        if kind == GREENNESS_KEY:
            pixels = stored.reshape(1, len(stored), -1) * np.float32(self.sensor.input.scale)
            content = self.sensor.input.model_copy(update={"bands": self._names(self.kinds[kind][1])})
            green = greenness(pixels, content)
            assert green is not None
            index = np.where(valid.ravel(), np.clip(green[0], 0, 1) * STEPS, STEPS + 1).round()
            return index.reshape(valid.shape).astype(np.uint8)
        low, high = self._ends(self.kinds[kind][1])
        shown = stored * np.float32(self.sensor.input.scale)
        bright = np.clip((shown - low[:, None, None]) / (high - low)[:, None, None], 0, 1) ** np.float32(GAMMA)
        return np.stack([*(bright * 255).round(), valid * 255.0], axis=-1).astype(np.uint8)

    def _names(self, roles: tuple[str, ...]) -> tuple[str, ...]:
        """The sensor's names of bands."""
        column = band_roles(self.sensor.input)
        return tuple(self.sensor.input.bands[column[role]] for role in roles)

    def _read(
        self, roles: tuple[str, ...], frame: int, places: TilePlaces
    ) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """Stored values of bands (C, H, W) of a tile, and where they are usable."""
        rows, cols = places.window.slices
        column = band_roles(self.sensor.input)
        stored = self.sensor.stored("values", (frame, slice(None), rows, cols))[[column[role] for role in roles]]
        valid = self.sensor.stored("valid", (frame, rows, cols)) & (stored[0] != FILL)
        return places.taken(stored, FILL).astype(np.int16), places.taken(valid, 0).astype(bool) & places.inside

    def _ends(self, bands: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Reflectance that is black, and that is full brightness, of each band; the same for all dates."""
        with self.lock:
            if bands not in self.known_ends:
                samples = [one.sample_of(bands) for one in self.sampled or (self,)]
                self.known_ends[bands] = _stretch(np.concatenate(samples, axis=1), bands)
            return self.known_ends[bands]

    def sample_of(self, bands: tuple[str, ...]) -> NDArray[np.float32]:
        """Reflectance (C, P) of bands in the middle of the grid, in the clearest frames."""
        column = band_roles(self.sensor.input)
        return self._sample[[column[band] for band in bands]]

    @cached_property
    def _sample(self) -> NDArray[np.float32]:
        """Reflectance (C, P) of the middle of the grid in the clearest frames."""
        rows, cols = (_middle(length, 2 * CHUNK) for length in self.sensor.grid.shape)
        parts = []
        clear = [1.0 if share is None else share for share in self.clear]
        for frame in np.argsort(clear, kind="stable")[::-1][:STRETCHED].tolist():
            stored = self.sensor.stored("values", (frame, slice(None), rows, cols))
            valid = self.sensor.stored("valid", (frame, rows, cols))
            parts.append(stored[:, valid] * np.float32(self.sensor.input.scale))
        return np.concatenate(parts, axis=1)


def imagery_of(cube: Cube) -> dict[str, Imagery]:
    """The sensors of a cube of which pictures can be made, those of the smallest pixels first."""
    found = [
        Imagery(sensor, _clear(cube, name), Lock())
        for name, sensor in cube.sensors.items()
        if sensor.input.quantity.endswith("reflectance")
    ]
    fit = sorted((one for one in found if one.kinds), key=lambda one: pixel_metres(one.sensor.grid))
    return {one.sensor.input.sensor: one for one in fit}


def _clear(cube: Cube, name: str) -> list[float | None]:
    """What the provenance of a cube says of its frames, in their order."""
    frames = cube.provenance.get("sensors", {}).get(name, {}).get("frames", [])
    by_day = {one.get("day"): one.get("valid_share") for one in frames}
    return [by_day.get(day_date(int(day)).isoformat()) for day in cube.sensors[name].date]


def _stretch(values: NDArray[np.float32], bands: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Ends of brightness of each band (C,) for reflectance (C, P) of some of its pixels."""
    if not values.size:
        return np.zeros(len(bands), np.float32), np.ones(len(bands), np.float32)
    # True colours keep their balance; bands that the eye does not know are stretched one by one.
    together = bands == ("red", "green", "blue")
    low, high = np.percentile(values, TAILS, axis=None if together else 1)
    low = np.broadcast_to(low, len(bands)).astype(np.float32)
    return low, np.maximum(np.broadcast_to(high, len(bands)), low + 0.01).astype(np.float32)


def _middle(length: int, side: int) -> slice:
    """At most `side` pixels in the middle of an axis, beginning where a chunk does."""
    first = max(length - side, 0) // 2 // CHUNK * CHUNK
    return slice(first, min(first + side, length))
