"""A cube as it was known on a day of its season: nothing that was observed later is read."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.cube.store import Cube, SensorCube
from agrifm.errors import CubeError
from agrifm.grid import Window
from agrifm.season import day_date, day_number


@dataclass(frozen=True)
class SensorUntil(SensorCube):
    """The group of one sensor with its first frames only; a sensor without any has one that is nowhere valid."""

    known: int
    """Frames that were known on the day."""

    def read(
        self, window: Window, bands: Any = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32] | None]:
        """Read the series of a window as `SensorCube.read` does."""
        image, valid, day = super().read(window, bands)
        if not self.known:
            image, valid = np.zeros_like(image), np.zeros_like(valid)
        return image, valid, day

    def stored(self, name: str, selection: tuple[int | slice, ...]) -> NDArray[Any]:
        """Read a part as `SensorCube.stored` does; all frames (`slice(None)`) are those of this cube."""
        frames, *others = selection
        return super().stored(name, (slice(len(self.date)) if frames == slice(None) else frames, *others))


@dataclass(frozen=True)
class CubeUntil(Cube):
    """A cube with what was known on a day."""

    until: date = date.max


def cube_until(cube: Cube, day: date) -> CubeUntil:
    """Return a cube without the frames after a day; its season stays as it is.

    Of composites those are left out that end after the day: which observation they have was decided later.

    Raises:
        CubeError: the day is not in the season, or no frame of any sensor was known on it.
    """
    about = f"reading the cube {cube.path} until {day}"
    if day not in cube.season:
        raise CubeError(
            f"{about}: the season is {cube.season.start} to {cube.season.end}; choose a day of it", day=day.isoformat()
        )
    sensors = {name: _sensor_until(sensor, day_number(day)) for name, sensor in cube.sensors.items()}
    if not any(sensor.known for sensor in sensors.values()):
        first = min(_last_days(sensor)[0] for sensor in cube.sensors.values())
        raise CubeError(
            f"{about}: nothing had been observed by then; the first frame is of {day_date(first)}, choose a day from "
            "then on",
            day=day.isoformat(),
            first=day_date(first).isoformat(),
        )
    return CubeUntil(cube.path, dict(sensors), cube.season, cube.area, cube.provenance, cube.notes, day)


def cube_known(cube: Cube, day: date | None) -> Cube:
    """Return a cube until a day, or the whole cube without one; raises as `cube_until` does."""
    return cube if day is None else cube_until(cube, day)


def last_observed(cube: Cube, day: date) -> date:
    """The last day until a day on which a frame of a cube was known: nothing differs between the two.

    Raises:
        CubeError: no frame was known by then.
    """
    known = [last[last <= day_number(day)] for last in map(_last_days, cube.sensors.values())]
    days = [int(last.max()) for last in known if last.size]
    if not days:
        first = day_date(min(int(_last_days(sensor)[0]) for sensor in cube.sensors.values()))
        raise CubeError(
            f"reading the cube {cube.path} until {day}: nothing had been observed by then; the first frame is of "
            f"{first}, run it again from then on",
            day=day.isoformat(),
            first=first.isoformat(),
        )
    return min(day_date(max(days)), cube.season.end)


def _sensor_until(sensor: SensorCube, day: int) -> SensorUntil:
    known = int(np.searchsorted(np.maximum.accumulate(_last_days(sensor)), day, side="right"))
    return SensorUntil(sensor.input, sensor.grid, sensor.date[: max(1, known)], sensor.group, known)


def _last_days(sensor: SensorCube) -> NDArray[np.int32]:
    """The last day of each frame, (T,), days since 1970-01-01."""
    return sensor.stored("time_bounds", (slice(None),))[:, 1] - 1 if sensor.is_composite else sensor.date
