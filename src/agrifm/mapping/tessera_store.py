"""Zarr stores of TESSERA's embeddings: a vector of 128 numbers for each pixel of 10 m of land and each year.

TESSERA (Feng et al. 2025, arXiv:2506.20380) publishes one store with a group for each UTM zone, `utm01` to `utm60`, on
a grid of the zone's northern CRS (northings of the south are negative). As its library documents the layout
(github.com/ucam-eo/geotessera, read on 2026-12-01), a group has `embeddings` int8 (T, K, H, W),
`scales` float32 (T, H, W), `time` (T), which are years, and `x` and `y`, the middles of pixels, `y` from north to
south; its attribute `proj:code` is the CRS. A number is the stored integer times the scale of its pixel and year; where
there is water the scale is NaN, and where nothing has been written it is infinite.

Shape letters: T years, K numbers of a vector, H W rows and columns.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from agrifm.errors import MapError, doing
from agrifm.files import AnyPath, as_path
from agrifm.grid import Grid, Window

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

LARGEST_SCALE = 1.0
"""Scales of published files that are larger are damaged: the library that writes them takes them for no data."""
ZONE_DEGREES = 6
ARRAYS = ("embeddings", "scales", "time", "x", "y")


@dataclass(frozen=True)
class TesseraZone:
    """The embeddings of one UTM zone and one year."""

    path: Path
    grid: Grid
    names: tuple[str, ...]
    """Of the K numbers."""
    group: Any
    """The zone's group."""
    number: int
    """Of the year, in the group."""

    def read(self, window: Window) -> NDArray[np.float32]:
        """Return the vectors (K, H, W) of a window, NaN where there are none.

        Raises:
            MapError: the store is damaged.
        """
        rows, cols = window.slices
        about = f"reading the embeddings {self.path}"
        with doing(about, MapError, "it is damaged, so copy it again", path=self.path):
            scale = np.asarray(self.group["scales"][self.number, rows, cols])
            stored = np.asarray(self.group["embeddings"][self.number, :, rows, cols])
        known = np.isfinite(scale) & (scale > 0) & (scale < LARGEST_SCALE)
        return np.where(known, stored.astype(np.float32) * np.where(known, scale, 0), np.float32(np.nan))


def is_tessera(path: AnyPath) -> bool:
    """Whether a path may be a store: a directory of Zarr with zones."""
    path = as_path(path)
    return (path / "zarr.json").is_file() and any(path.glob("utm[0-9][0-9]"))


def open_tessera(path: AnyPath, year: int | None, places: "GeoDataFrame") -> list[TesseraZone]:
    """Open the zones of a store that are near places.

    Args:
        year: whose embeddings are read; it may be None if the store has one year.
        places: in any CRS, not empty.

    Raises:
        MapError: the store is damaged, has no such year, or no zone near the places.
    """
    path = as_path(path)
    about = f"reading the embeddings {path}"
    zones = [zone for zone in _zones_near(places) if (path / zone).is_dir()]
    if not zones:
        has = ", ".join(sorted(folder.name for folder in path.glob("utm[0-9][0-9]")))
        raise MapError(
            f"{about}: it has the zones {has}, and the places are in {', '.join(_zones_near(places)[:4])}; copy their "
            "zones too, or give other places",
            zones=has,
        )
    return [_open_zone(path, zone, year, about) for zone in zones]


def _zones_near(places: "GeoDataFrame") -> list[str]:
    """The names of the zones of places and of their neighbours: at its seams a zone has tiles of the next one."""
    lon = places.to_crs("EPSG:4326").geometry.representative_point().x.to_numpy()
    zone = np.clip((lon + 180) // ZONE_DEGREES, 0, 59).astype(int)
    near = {int(number) for shift in (-1, 0, 1) for number in np.unique((zone + shift) % 60)}
    return [f"utm{number + 1:02d}" for number in sorted(near)]


def _open_zone(path: Path, zone: str, year: int | None, about: str) -> TesseraZone:
    import zarr

    with doing(about, MapError, "it is damaged, so copy it again", path=path):
        group = zarr.open_group(path / zone, mode="r")
        missing = [name for name in ARRAYS if name not in group]
        if missing:
            raise MapError(f"{about}: {zone} lacks {', '.join(missing)}; copy it again", missing=tuple(missing))
        arrays: dict[str, Any] = {name: group[name] for name in ARRAYS}
        years, x, y = (np.asarray(arrays[name][:]) for name in ("time", "x", "y"))
        code = group.attrs.get("proj:code")
    shape = arrays["embeddings"].shape
    fits = (
        arrays["embeddings"].dtype == np.int8
        and (shape[0], *shape[2:]) == arrays["scales"].shape == (len(years), len(y), len(x))
        and min(len(y), len(x)) > 1
        and code is not None
    )
    if not fits or y[1] >= y[0] or x[1] <= x[0]:
        raise MapError(
            f"{about}: {zone} has embeddings {shape} of {arrays['embeddings'].dtype} and the CRS {code}; a store of "
            "TESSERA has int8 of (years, numbers, rows, columns), rows from north to south; give it as it was written",
            shape=shape,
        )
    chosen = years.tolist() if year is None else [year]
    if len(chosen) != 1 or chosen[0] not in years:
        raise MapError(
            f"{about}: it has the years {', '.join(map(str, years.tolist()))}; name one of them with --year",
            years=tuple(years.tolist()),
        )
    side = float(x[1] - x[0])
    transform = Affine(side, 0, x[0] - side / 2, 0, -float(y[0] - y[1]), y[0] + float(y[0] - y[1]) / 2)
    names = tuple(f"T{number:03d}" for number in range(shape[1]))
    return TesseraZone(
        path, Grid.of(str(code), transform, (len(y), len(x))), names, group, years.tolist().index(chosen[0])
    )
