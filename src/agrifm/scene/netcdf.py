"""Bands of NetCDF files and xarray datasets: what is an asset, where it is, and what is stated about its numbers."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from pyproj import Transformer

from agrifm.errors import SceneError, doing, require_installed
from agrifm.grid import LONLAT
from agrifm.hdf5_files import UnreadableContentError, require_plain_hdf5
from agrifm.scene.coordinates import Role, axis_of, coordinate_of, crs_of, moments, require_transform, role_of
from agrifm.scene.encoding import Stated
from agrifm.scene.scene import ArrayAsset, Asset, solar_day

if TYPE_CHECKING:
    import xarray as xr

NETCDF_SUFFIXES = frozenset({".nc", ".nc4", ".cdf"})
HDF5 = b"\x89HDF"
OTHER_FORMATS = {
    b"CDF": (
        "it is a NetCDF 3 file (classic), and NetCDF 4 is read; convert it with `nccopy -k nc4 old.nc new.nc`, or in "
        "Python with xarray.open_dataset('old.nc', engine='scipy', decode_cf=False).to_netcdf('new.nc', "
        "engine='h5netcdf')"
    ),
    b"\x0e\x03\x13\x01": "it is an HDF4 file, and NetCDF 4 is read; convert it with h4toh5 or gdal_translate",
    b"II": "it is a TIFF file; give it the suffix .tif",
    b"MM": "it is a TIFF file; give it the suffix .tif",
    b"GRIB": "it is a GRIB file, and NetCDF 4 is read; convert it with `gdal_translate -of netCDF`",
    b"PK": "it is a ZIP archive; unpack it",
    b"\x1f\x8b": "it is compressed by gzip; unpack it",
}
"""First bytes of files that carry the suffix of NetCDF -> what they are and what to do."""


def require_netcdf(about: str) -> None:
    """Refuse to begin if the libraries that read NetCDF are not installed.

    Raises:
        SceneError: one is not.
    """
    require_installed(about, "files", "xarray", "h5netcdf", kind=SceneError)


def open_netcdf(file: Path, about: str) -> "xr.Dataset":
    """Open a NetCDF 4 file; its numbers and times stay as they are stored.

    Raises:
        SceneError: the file is damaged or of another format.
    """
    import xarray as xr

    with doing(about, SceneError, "download it again", path=file):
        with file.open("rb") as stream:
            head = stream.read(8)
        other = next((what for first, what in OTHER_FORMATS.items() if head.startswith(first)), None)
        if other is not None:
            raise SceneError(f"{about}: {other}", path=file)
        try:
            require_plain_hdf5(file)
            return xr.open_dataset(file, engine="h5netcdf", mask_and_scale=False, decode_times=False)
        except UnreadableContentError as error:
            raise SceneError(f"{about}: {error}", path=file) from error
        except (OSError, ValueError) as error:
            if head.startswith(HDF5):
                raise
            raise ValueError("it is not a NetCDF file") from error


def dataset_acquisitions(
    dataset: "xr.Dataset", names: Mapping[str, str], about: str, file: Path | None = None
) -> list[tuple[str, date, dict[str, Asset]]]:
    """Return moment (YYYYMMDDTHHMMSS), solar day and assets of each acquisition of a dataset, in the order of times.

    Args:
        names: asset key by every name that a variable, or an entry of a band dimension, may have.
        about: what is read, with which errors begin.
        file: the file that holds the dataset; None in memory.

    Raises:
        SceneError: it has none of the assets, or its dimensions, times, coordinates or attributes cannot be used.
    """
    found: dict[tuple[datetime, int], tuple[date, dict[str, Asset]]] = {}
    for key, variable in _assets(dataset, names, about, file):
        pixels, roles = _laid_out(dataset, variable, f"{about}: variable '{variable.name}'")
        crs, attributes = crs_of(dataset, variable, about)
        (left, width), (top, height) = (axis_of(dataset, roles[role], crs, about) for role in ("x", "y"))
        # coordinates are those of pixel centres
        transform = Affine(width, 0, left - width / 2, 0, height, top - height / 2)
        for holder in (attributes, variable.attrs):
            require_transform(holder, transform, about)
        stated, dtype = _stated(variable, about)
        middle = transform * (pixels.sizes[roles["x"].dims[0]] / 2, pixels.sizes[roles["y"].dims[0]] / 2)
        longitude, _ = Transformer.from_crs(crs, LONLAT, always_xy=True).transform(*middle)
        if not np.isfinite(longitude):
            raise SceneError(
                f"{about}: its coordinates are outside the range of its coordinate reference system, {crs.name}; write "
                "the coordinates or the CRS that belong together"
            )
        occurrences: Counter[datetime] = Counter()
        for position, moment in enumerate(moments(roles["time"], about)):
            # a time may occur several times; its n-th occurrences of all assets belong together
            _, assets = found.setdefault((moment, occurrences[moment]), (solar_day(moment, longitude), {}))
            occurrences[moment] += 1
            assets[key] = ArrayAsset(pixels[position].rename(key), str(crs.to_wkt()), transform, file, stated, dtype)
    return [(moment.strftime("%Y%m%dT%H%M%S"), day, assets) for (moment, _), (day, assets) in found.items()]


def _assets(
    dataset: "xr.Dataset", names: Mapping[str, str], about: str, file: Path | None
) -> Iterator[tuple[str, "xr.DataArray"]]:
    """Key and variable of each asset: a variable of its name, or an entry of a dimension of band names."""
    seen: dict[str, str] = {}
    for name in dataset.variables:
        variable = dataset[name]
        if variable.ndim < 2:
            continue
        bands = _band_dimension(variable, names)
        entries = (
            {str(name): variable}
            if bands is None
            else {label: variable.isel({bands: position}) for position, label in enumerate(_texts(variable, bands))}
        )
        for label, entry in entries.items():
            if label not in names:
                continue
            key = names[label]
            if key in seen:
                raise SceneError(
                    f"{about}: '{seen[key]}' and '{label}' of variable '{name}' both hold '{key}'; leave one of them",
                    asset=key,
                )
            seen[key] = label
            yield key, entry
    if not seen:
        groups = _groups(file)
        where = f"; it has the groups {', '.join(groups)}: write one to a file of its own, such as with "
        where += f"xarray.open_dataset('old.nc', group='{groups[0]}').to_netcdf('new.nc')" if groups else ""
        raise SceneError(
            f"{about}: it has none of the variables {', '.join(sorted(set(names)))}{where if groups else ''}",
            groups=groups,
        )


def _groups(file: Path | None) -> list[str]:
    """The groups in a file."""
    if file is None:
        return []
    import h5netcdf

    with h5netcdf.File(file) as content:
        return [str(name) for name in content.groups]


def _band_dimension(variable: "xr.DataArray", names: Mapping[str, str]) -> Hashable | None:
    """The dimension whose coordinate holds names of assets."""
    return next((one for one in variable.dims if any(label in names for label in _texts(variable, one))), None)


def _texts(variable: "xr.DataArray", dimension: Hashable) -> list[str]:
    """The texts of a coordinate, [] if it holds something else."""
    values = variable[dimension].values if dimension in variable.coords else np.empty(0)
    if values.dtype.kind not in "OSUT":
        return []
    return [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values]


def _laid_out(
    dataset: "xr.Dataset", variable: "xr.DataArray", about: str
) -> tuple["xr.DataArray", dict[Role, "xr.DataArray"]]:
    """A variable as (time, y, x), and the coordinate of each of the three."""
    roles: dict[Role, xr.DataArray] = {}
    for dimension in variable.dims:
        role, coordinate = coordinate_of(dataset, dimension)
        if role is None and variable.sizes[dimension] == 1:
            variable = variable.isel({dimension: 0})
        elif role is None or role in roles:
            raise SceneError(
                f"{about} has the dimensions {', '.join(map(str, variable.dims))}, of which '{dimension}' is not one "
                "of time, y and x; name these three so, and leave out others",
                dimension=str(dimension),
            )
        elif coordinate is None:
            raise SceneError(
                f"{about} has no coordinate '{dimension}'; add the coordinates of its dimensions time, y and x",
                dimension=str(dimension),
            )
        else:
            roles[role] = coordinate
    if "time" not in roles:
        single = [dataset[name] for name in dataset.variables if dataset[name].ndim == 0]
        single = [one for one in single if role_of(one) == "time"]
        if single:
            variable, roles["time"] = variable.expand_dims("time"), single[0]
    absent = [role for role in ("time", "y", "x") if role not in roles]
    if absent:
        raise SceneError(
            f"{about} has the dimensions {', '.join(map(str, variable.dims))}, none of which is {absent[0]}; "
            "name its dimensions time, y and x and add their coordinates",
            dimension=absent[0],
        )
    time = roles["time"].dims[0] if roles["time"].ndim else "time"
    return variable.transpose(time, roles["y"].dims[0], roles["x"].dims[0]), roles


def _stated(variable: "xr.DataArray", about: str) -> tuple[Stated, np.dtype[Any]]:
    """What the attributes state about the stored numbers, and the type of these after `_Unsigned`."""
    about = f"{about}: variable '{variable.name}'"
    attributes, stored = variable.attrs, variable.dtype
    dtype = stored
    unsigned = str(attributes.get("_Unsigned", "")).lower()
    if unsigned in ("true", "false") and stored.kind in "iu":
        dtype = np.dtype(f"{'u' if unsigned == 'true' else 'i'}{stored.itemsize}")

    def numbers(name: str) -> list[float]:
        try:
            values = np.asarray(attributes.get(name, [])).astype(float).ravel()
        except (ValueError, TypeError) as error:
            raise SceneError(
                f"{about} states {name} {attributes[name]!r}, which is not a number; repair or remove the attribute"
            ) from error
        if dtype != stored:  # stated in the stored type, such as -1 for 65535
            span = 2.0 ** (8 * stored.itemsize)
            low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
            values = np.where(values < low, values + span, np.where(values > high, values - span, values))
        return [float(value) for value in values if not np.isnan(value)]

    scale, offset = (next(iter(numbers(name)), None) for name in ("scale_factor", "add_offset"))
    ends = [(numbers(name) or [end])[0] for name, end in (("valid_min", -np.inf), ("valid_max", np.inf))]
    if "valid_range" in attributes:
        ends = numbers("valid_range")
        if len(ends) != 2 or ends[0] > ends[1]:
            raise SceneError(
                f"{about} states valid_range {attributes['valid_range']}, which is not the least and the greatest "
                "number; repair or remove the attribute"
            )
    kinds = {
        np.asarray(attributes[name]).dtype.kind
        for name in ("valid_range", "valid_min", "valid_max")
        if name in attributes
    }
    if "f" in kinds and scale is not None:  # in the unit of the quantity, not of the stored numbers
        ends = [round((end - (offset or 0.0)) / scale, 6) for end in ends]
    return Stated(scale, offset, (*numbers("_FillValue"), *numbers("missing_value")), (ends[0], ends[1])), dtype
