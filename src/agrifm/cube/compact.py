"""`agrifm cube compact`: write a cube that grew in its place as one that is built at once, byte for byte."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import zarr

from agrifm.cube.earlier import shard_side
from agrifm.cube.guarded_store import read_sound
from agrifm.cube.info import find_cube
from agrifm.cube.manifest import damaged, folder, link_files, record_files
from agrifm.cube.store import Cube, SensorCube, create_root, create_sensor, finish_store, open_cube, open_group
from agrifm.errors import CubeError
from agrifm.files import AnyPath, as_path, destination, translate_os_errors
from agrifm.grid import Window, tiles
from agrifm.outputs import unfinished, write_directory, writing
from agrifm.season import day_date
from agrifm.work import progress, run_tiles

THREADS = 2
"""Parts of a cube that are looked through at once."""


def compact_cube(path: AnyPath) -> Cube:
    """Write the metadata and the small arrays of a cube anew, and its files of pixels without those of no frame.

    Every file of pixels is looked through. They are links to those of before where the file system has links, so hardly
    any disk is needed. Readers see the cube as it was or as it is written; a run that is killed leaves it as it was.

    Args:
        path: a cube, or the directory of a project that has one.

    Raises:
        CubeError: the cube is absent, damaged or without a list of its files, or work on it is unfinished.
        OutputError: another process is writing it, or the disk is full.
    """
    path = find_cube(as_path(path)).directory
    with writing(path, "cube"), translate_os_errors(f"compacting the cube {path}"):
        cube = open_cube(path)
        _require_finished(cube)
        before = sum(1 for file in path.rglob("*") if file.is_file())
        with write_directory(path, "cube") as partial:
            root = create_root(partial, cube.season, cube.area)
            marks: dict[str, str] = {}
            for sensor in cube.sensors.values():
                _create_sensor_like(root, sensor)
                marks |= _take_over(cube, sensor, partial)
            finish_store(open_group(partial), cube.provenance, marks)
    after = sum(1 for file in path.rglob("*") if file.is_file())
    return replace(open_cube(path), notes=(f"wrote {path}: {after} files, {before} before",))


def _require_finished(cube: Cube) -> None:
    """Refuse a cube on which other work was stopped, which would be lost, and one whose files are not known."""
    place = destination(cube.directory)
    begun = {
        unfinished(place): "run `agrifm fetch` again",
        place.with_name(f"{place.name}.append"): "finish adding frames",
    }
    for scratch, fix in begun.items():
        if scratch.with_name(f"{scratch.name}.journal").exists():
            raise CubeError(
                f"compacting the cube {cube.path}: {scratch.name} holds unfinished work on it; {fix} first",
                path=scratch,
            )
    if not all(sensor.is_guarded for sensor in cube.sensors.values()):
        raise CubeError(f"compacting the cube {cube.path}: {'; '.join(cube.notes)}", path=cube.path)


def _create_sensor_like(root: zarr.Group, sensor: SensorCube) -> None:
    """Create the arrays of a sensor with the dates and the shards of an existing one."""
    days = [day_date(day) for day in sensor.date]
    last = None
    if sensor.is_composite:
        last = [day_date(end - 1) for end in np.asarray(sensor.group["time_bounds"][:])[:, 1]]
    create_sensor(root, sensor.input, sensor.grid, days, last, shard_side(sensor))


def _take_over(cube: Cube, sensor: SensorCube, target: Path) -> dict[str, str]:
    """Look through the files of a sensor's pixels and give them a second place; returns their marks."""
    name = sensor.input.sensor
    windows = list(tiles(sensor.grid.shape, shard_side(sensor)))
    parts = [(frame, window) for frame in range(len(sensor.date)) for window in windows]

    def take_over(part: tuple[int, Window]) -> dict[str, str]:
        frame, window = part
        sound = read_sound(sensor.group, (frame,), window)
        if sound is None:
            day = day_date(sensor.date[frame])
            raise damaged(folder(sensor.group), f"a file of its frame of {day} is lost or damaged")
        link_files(cube.directory, target, {key: key for key in sound[0]})
        return record_files(target, sound[0])

    marks: dict[str, str] = {}
    with ThreadPoolExecutor(THREADS) as executor, progress(f"compact {name}", len(parts)) as advance:
        for _, found in run_tiles(take_over, parts, executor):
            advance(1)
            marks |= found
    return marks
