"""The cube on disk: a Zarr 3 store with one group per sensor. Create, open and read it.

A finished cube states its files (`cube.manifest`): what is lost, damaged or changed is refused where it is read.

Each group holds `values (time, band, y, x)` int16 with scale, fill and quantity, `valid (time, y, x)`, the dates as
days since 1970-01-01, for composites also `time_bounds (time, 2)` and `day (time, y, x)`, and the coordinates with
CF metadata, so that xarray opens it decoded.
"""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import LocalStore

from agrifm.cube.guarded_store import GuardedStore, open_guarded
from agrifm.cube.manifest import (
    ABOUT,
    COPY,
    FORMAT,
    METADATA,
    damaged,
    damaged_file,
    folder,
    read_metadata,
    reason,
    require_dates,
    require_format,
    require_same_metadata,
    seal,
)
from agrifm.cube.unguarded import NOT_GUARDED, require_partners
from agrifm.errors import AgriFMError, CubeError
from agrifm.files import AnyPath
from agrifm.grid import Grid, Window, shape_of
from agrifm.object_store import ObjectPath, Place, as_place
from agrifm.published import current
from agrifm.record import SensorInput
from agrifm.season import Season
from agrifm.sensors import Quantity

REFLECTANCE_SCALE = 1e-4
"""Unit of reflectance and indices per stored integer."""
SCALES: dict[Quantity, float] = {
    "surface reflectance": REFLECTANCE_SCALE,
    "top-of-atmosphere reflectance": REFLECTANCE_SCALE,
    "index": REFLECTANCE_SCALE,
    "backscatter (dB)": 0.01,
    "backscatter (linear)": 2e-4,
    "temperature": 0.02,
    "weather": 0.02,
    "terrain": 0.3,
}
"""Unit of each quantity per stored integer: 16 bits hold 327 dB, a power ratio of 6.5, 655 K."""
UNITS: dict[Quantity, str] = {
    **dict.fromkeys(SCALES, "1"), "backscatter (dB)": "dB", "temperature": "K", "weather": "K, mm",
    "terrain": "m, degree",
}  # fmt: skip
FILL = -32768
"""Stored where there is no number."""
NO_DAY = -1
"""Stored as the day of a pixel of a composite without an observation."""
CHUNK = 96
"""Side in pixels of a chunk, which is read at once."""
SHARD = 960
"""Side in pixels of a shard, a file that is written at once. It holds one frame, so that frames can be added."""
CODECS = (BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"), Crc32cCodec())
"""Codecs of every chunk. The checksum is the last one: a changed bit on disk is found when the chunk is read."""
DAYS = {"units": "days since 1970-01-01", "calendar": "proleptic_gregorian"}


@dataclass(frozen=True)
class SensorCube:
    """The group of one sensor: its content, grid and dates."""

    input: SensorInput
    grid: Grid
    date: NDArray[np.int32]
    """(T,), days since 1970-01-01; of a composite, its first day."""
    group: zarr.Group

    @property
    def is_composite(self) -> bool:
        """Whether the frames are composites, with a day for each pixel."""
        return "day" in self.group

    @property
    def is_guarded(self) -> bool:
        """Whether files that are lost or replaced are noticed; not in cubes of before there was a manifest."""
        return isinstance(self.group.store, GuardedStore)

    def read(
        self, window: Window, bands: Sequence[str] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32] | None]:
        """Read the series of a window.

        Returns:
            Image (T, C, H, W) float32 in the quantity's unit, bands in the requested order, 0 where not
            valid; valid (T, H, W); for composites the day (T, H, W) of each pixel, else None.

        Raises:
            CubeError: the cube does not have such a band, or a chunk is damaged.
        """
        rows, cols = window.slices
        missing = [band for band in bands or () if band not in self.input.bands]
        if missing:
            raise CubeError(
                f"reading '{self.input.sensor}' from the cube: it has no band '{missing[0]}' (it has "
                f"{', '.join(self.input.bands)}); fetch that band, or leave it out",
                band=missing[0],
            )
        order = [self.input.bands.index(band) for band in bands or self.input.bands]
        # A chunk has all bands, so reading some costs as much as reading all.
        stored = self.stored("values", (slice(None), slice(None), rows, cols))[:, order]
        valid = self.stored("valid", (slice(None), rows, cols))
        if not self.is_guarded and (valid & (stored[:, 0] == FILL)).any():
            raise damaged(
                folder(self.group["values"]), "pixels that are marked usable have no number: a file of it is lost"
            )
        image = np.where(valid[:, None], stored, 0).astype(np.float32) * np.float32(self.input.scale)
        day = self.stored("day", (slice(None), rows, cols)) if self.is_composite else None
        return image, valid, day

    def stored(self, name: str, selection: tuple[int | slice, ...]) -> NDArray[Any]:
        """Read a part of `values`, `valid` or `day` as it is stored.

        Raises:
            CubeError: a chunk cannot be read, or its checksum is wrong.
        """
        try:
            return np.asarray(self.group[name][selection])
        except AgriFMError:
            raise
        except Exception as error:  # every codec raises other errors
            raise damaged(damaged_file(self.group[name], selection), reason(error)) from error


@dataclass(frozen=True)
class Cube:
    """An open cube: its sensors by name, its season and its area."""

    path: Place
    """Its directory, or its version in an object store."""
    sensors: dict[str, SensorCube]
    season: Season
    area: BaseGeometry
    """In longitude and latitude."""
    provenance: dict[str, Any]
    notes: tuple[str, ...] = ()
    """What is to be said of it: how much was written when it was built, or what is not guarded in it."""

    @property
    def directory(self) -> Path:
        """Its directory; raises CubeError if it is in an object store, where cubes are only read."""
        if isinstance(self.path, Path):
            return self.path
        raise CubeError(f"changing the cube {self.path}: it is in an object store; work on the one of a disk")

    @property
    def target(self) -> Grid:
        """The finest grid of the cube, which labels and maps have."""
        return min((sensor.grid for sensor in self.sensors.values()), key=lambda grid: grid.resolution)

    @property
    def coarse_factor(self) -> int:
        """Side of the coarsest sensor's pixel in target pixels; windows that all sensors share are multiples of it."""
        return round(max(sensor.grid.resolution for sensor in self.sensors.values()) / self.target.resolution)

    @property
    def inputs(self) -> dict[str, SensorInput]:
        """The content of each sensor, for comparison with a model's record."""
        return {name: sensor.input for name, sensor in self.sensors.items()}


def open_cube(path: AnyPath | ObjectPath) -> Cube:
    """Open a finished cube, on a disk or at an address in an object store, whose newest state it is from then on.

    Raises:
        CubeError: there is no cube of this format, or its dates, bands or grid are damaged.
        StoreError: the object store does not let it be read.
    """
    path = current(as_place(path))
    try:
        metadata = read_metadata(path)
    except OSError:
        metadata = None
    if metadata is None:
        if isinstance(path, Path) and path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
            raise CubeError(f"opening the cube {path}: it cannot be read; give yourself permission", path=path)
        partial = isinstance(path, Path) and path.with_name(path.name + ".partial").exists()
        fix = "it is unfinished, run `agrifm fetch` again" if partial else "run `agrifm fetch` first"
        if (path / COPY).exists():
            raise damaged(path / METADATA, "it is lost")
        raise CubeError(f"opening the cube {path}: there is no finished cube; {fix}", path=path)
    require_format(path, (about := metadata["attributes"][ABOUT]).get("format"))
    try:
        if "files" in about:
            require_same_metadata(path, metadata)
        root = open_guarded(path, metadata)
        for name, dates in about.get("dates", {}).items():
            require_dates(root[name], dates)
        start, end = (date.fromisoformat(day) for day in about["season"])
        cube = Cube(
            path=path,
            sensors={name: _sensor_cube(root[name], name) for name in about["sensors"]},
            season=Season(start, end),
            area=shape_of(about["area"]),
            provenance=dict(about["provenance"]),
            notes=() if "files" in about else (NOT_GUARDED,),
        )
        for name, sensor in {} if "files" in about else cube.sensors.items():
            require_partners(sensor.group, cube.provenance.get("sensors", {}).get(name, {}).get("frames", []))
        return cube
    except AgriFMError:
        raise
    except Exception as error:  # every codec raises other errors
        raise damaged(path, reason(error)) from error


def _sensor_cube(group: zarr.Group, name: str) -> SensorCube:
    attributes, grid = group["values"].attrs, sensor_grid(group)
    content = SensorInput(
        sensor=name,
        bands=tuple(str(band) for band in group["band"][:]),
        quantity=attributes["quantity"],
        scale=attributes["scale_factor"],
        resolution=grid.resolution,
    )
    sensor = SensorCube(content, grid, np.asarray(group["time"][:]), group)
    _require_structure(sensor)
    return sensor


def sensor_grid(group: zarr.Group) -> Grid:
    """The grid of a sensor's group, by its metadata alone."""
    reference = group["spatial_ref"].attrs
    # GDAL's order: left, width of a pixel, rotation, top, rotation, height (negative).
    left, a, _, top, _, e = (float(number) for number in str(reference["GeoTransform"]).split())
    return Grid.of(str(reference["crs_wkt"]), Affine(a, 0, left, 0, e, top), group["values"].shape[2:])


def _require_structure(sensor: SensorCube) -> None:
    """Refuse arrays of another shape, type or fill value than the format defines, and dates that do not ascend."""
    group, bands = sensor.group, sensor.input.bands
    tile = (len(sensor.date), *sensor.grid.shape)
    wanted: dict[str, tuple[tuple[int, ...], str, Any]] = {
        "values": ((tile[0], len(bands), *tile[1:]), "int16", FILL), "valid": (tile, "bool", False),
        "time": (tile[:1], "int32", 0), "x": (tile[2:], "float64", 0), "y": (tile[1:2], "float64", 0),
    }  # fmt: skip
    if sensor.is_composite:
        wanted |= {"day": (tile, "int32", NO_DAY), "time_bounds": ((tile[0], 2), "int32", 0)}
    for name, expected in wanted.items():
        where = folder(group) / name
        if name not in group:
            raise damaged(where, "it is lost")
        array = group[name]
        has = (array.shape, str(array.dtype), array.fill_value)
        if has != expected:
            raise damaged(where, f"it is {has[1]} of shape {has[0]} filled with {has[2]}, not {expected}")
    where = folder(group)
    if len(set(bands)) != len(bands):
        raise damaged(where / "band", "it names a band twice")
    late = np.flatnonzero(np.diff(sensor.date.astype(np.int64)) <= 0)
    if late.size:
        raise damaged(where / "time", f"the date of frame {late[0] + 1} is not after that of the frame before it")
    if not (np.isfinite(sensor.input.scale) and sensor.input.scale > 0):
        raise damaged(where / "values", f"its scale is {sensor.input.scale}")


def create_root(path: Path, season: Season, area: BaseGeometry) -> zarr.Group:
    """Create a store without sensors."""
    root = zarr.create_group(path)
    root.attrs["Conventions"] = "CF-1.11"
    root.attrs[ABOUT] = {
        "format": FORMAT,
        "season": [season.start.isoformat(), season.end.isoformat()],
        # shapely returns tuples; JSON has lists.
        "area": json.loads(json.dumps(mapping(area))),
        "sensors": [],
        "provenance": {},
    }
    return root


def create_sensor(
    root: zarr.Group,
    content: SensorInput,
    grid: Grid,
    days: Sequence[date],
    last_days: Sequence[date] | None,
    shard: int = SHARD,
) -> zarr.Group:
    """Create the arrays of one sensor: values with the fill value, valid with False.

    Args:
        days: day of each frame (of a composite, its first day), increasing.
        last_days: last day of each composite; None for single acquisitions.
        shard: side in pixels of a shard, a multiple of `CHUNK`.
    """
    group = root.create_group(content.sensor)
    frames, shape_ = len(days), grid.shape
    tile = {"grid_mapping": "spatial_ref"}
    dimensions = ("time", "band", "y", "x")
    values = _create(group, "values", (frames, len(content.bands), *shape_), "int16", FILL, dimensions, shard)
    values.attrs.update(
        {**tile, "scale_factor": content.scale, "add_offset": 0.0, "_FillValue": FILL, "quantity": content.quantity}
    )
    values.attrs.update({"long_name": f"{content.quantity} of {content.sensor}", "units": UNITS[content.quantity]})
    valid = _create(group, "valid", (frames, *shape_), "bool", False, ("time", "y", "x"), shard)
    valid.attrs.update({**tile, "long_name": "usable observation"})
    epoch = date(1970, 1, 1)
    numbers = np.array([(day - epoch).days for day in days], np.int32)
    _write(group, "time", numbers, ("time",), {**DAYS, "standard_name": "time"})
    if last_days is not None:
        group["time"].attrs["bounds"] = "time_bounds"
        # CF: a composite ends where the day after its last one begins.
        bounds = np.stack([numbers, [(day - epoch).days + 1 for day in last_days]], axis=1).astype(np.int32)
        _write(group, "time_bounds", bounds, ("time", "bound"), {})
        day = _create(group, "day", (frames, *shape_), "int32", NO_DAY, ("time", "y", "x"), shard)
        day.attrs.update({**tile, **DAYS, "_FillValue": NO_DAY, "long_name": "day of the observation"})
    for axis, standard in (("x", "projection_x_coordinate"), ("y", "projection_y_coordinate")):
        unit = str(grid.crs.proj.axis_info[0].unit_name)
        _write(group, axis, getattr(grid, axis), (axis,), {"standard_name": standard, "units": unit})
    names = np.array(content.bands, dtype=object)
    group.create_array("band", shape=names.shape, dtype="str", dimension_names=("band",), compressors=CODECS)[...] = (
        names
    )
    # CF: the grid mapping is a variable whose attributes describe the CRS; its value means nothing.
    _write(group, "spatial_ref", np.array(0, np.int32), (), grid.cf_mapping)
    return group


def open_group(path: Path) -> zarr.Group:
    """Open a store to write into it; its consolidated metadata, which may be of an earlier state, are not used."""
    return zarr.open_group(path, mode="r+", use_consolidated=False)


def finish_store(root: zarr.Group, provenance: dict[str, Any], marks: Mapping[str, str] | None = None) -> None:
    """Write provenance, consolidated metadata and manifest: readers see the sensors of the provenance from now on.

    The metadata of all arrays are one file, which is replaced as a whole and which readers ask for first.

    Args:
        marks: of the files of pixels, by path in the store, as `cube.manifest.record_files` returned them.
    """
    about = {key: value for key, value in root.attrs[ABOUT].items() if key not in ("files", "digest")}
    root.attrs[ABOUT] = {**about, "sensors": list(provenance["sensors"]), "provenance": provenance}
    with warnings.catch_warnings():
        # xarray looks for consolidated metadata and warns if they are absent; zarr warns that they are an extension.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        warnings.filterwarnings("ignore", message="Object at .agrifm")  # the mark of unfinished work
        zarr.consolidate_metadata(root.store)
    assert isinstance(root.store, LocalStore)
    seal(root.store.root, marks)


def _create(
    group: zarr.Group,
    name: str,
    shape_: tuple[int, ...],
    dtype: str,
    fill: object,
    dimensions: tuple[str, ...],
    shard: int,
) -> zarr.Array:
    """Create an array in shards of one frame, all bands, `shard` x `shard` pixels, and chunks of 96 x 96."""
    middle = shape_[1:-2]  # the axis of bands, if there is one
    return group.create_array(
        name,
        shape=shape_,
        dtype=dtype,
        chunks=(1, *middle, CHUNK, CHUNK),
        shards=(1, *middle, shard, shard),
        fill_value=fill,
        dimension_names=dimensions,
        compressors=CODECS,
    )


def _write(
    group: zarr.Group, name: str, data: NDArray[Any], dimensions: tuple[str, ...], attributes: dict[str, Any]
) -> None:
    array = group.create_array(name, shape=data.shape, dtype=data.dtype, dimension_names=dimensions, compressors=CODECS)
    array[...] = data
    array.attrs.update(attributes)
