"""Cubes of before there was a manifest: which of their files are provably lost, by the files that are there.

Zarr writes no file for what is fill value, so a file that is absent may be right. It is not if a usable pixel has no
number or no day, or if a frame has fewer usable pixels than were counted when it was written.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from agrifm.cube.manifest import PIXELS, damaged, disk_folder

NOT_GUARDED = (
    "the cube was written by an earlier version, without a list of its files: a file that is lost may read as no "
    "observation; build it again (`agrifm fetch` after moving it away) to have that noticed"
)
MAX_READ = 500_000_000
"""Pixels of one sensor that are read at most when a cube is opened."""
ROUNDING = 0.00006
"""By how much a share differs from the one that was recorded with four digits."""
_Place = tuple[int, int, int]
"""Frame, and row and column of a file in its grid of files."""


def require_partners(group: zarr.Group, frames: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a sensor without a manifest of which a file of pixels is provably lost.

    Args:
        frames: their provenance; shares of usable pixels are compared if it has one for each.

    Raises:
        CubeError: it names the file.
    """
    arrays = {name: group[name] for name in PIXELS if name in group}
    files = {name: _places(array) for name, array in arrays.items()}
    valid, budget = arrays["valid"], MAX_READ
    for name, array in arrays.items():
        for place in sorted(files["valid"] - files[name]):
            if valid[_selection(valid, place)].any():
                raise damaged(_path(array, place), "it is lost")
    if len(frames) != valid.shape[0]:
        return
    for index, entry in enumerate(frames):
        share, present = entry.get("valid_share"), [place for place in files["valid"] if place[0] == index]
        absent = sorted(place for place in files["values"] - files["valid"] if place[0] == index)
        if not isinstance(share, int | float) or (present and not absent):
            continue
        pixels = valid.shape[1] * valid.shape[2]
        if present and (budget := budget - pixels) < 0:
            return
        usable = sum(int(valid[_selection(valid, place)].sum()) for place in present)
        if share - usable / pixels > ROUNDING:
            raise damaged(_path(valid, (absent or [(index, 0, 0)])[0]), "it is lost")


def _places(array: zarr.Array) -> set[_Place]:
    """The files of an array that are there; those beyond its last frame are of frames that were never added."""
    chunks = disk_folder(array) / "c"
    names = (file.relative_to(chunks).parts for file in chunks.glob("/".join("*" * array.ndim)))
    files = [[int(part) for part in parts] for parts in names if all(map(str.isdecimal, parts))]
    return {(frame, row, col) for frame, *_, row, col in files if frame < array.shape[0]}


def _selection(array: zarr.Array, place: _Place) -> tuple[int | slice, ...]:
    frame, row, col = place
    height, width = (array.shards or array.chunks)[-2:]
    return (frame, np.s_[row * height : (row + 1) * height], np.s_[col * width : (col + 1) * width])


def _path(array: zarr.Array, place: _Place) -> Path:
    frame, row, col = place
    return disk_folder(array).joinpath("c", *map(str, (frame, *[0] * (array.ndim - 3), row, col)))
