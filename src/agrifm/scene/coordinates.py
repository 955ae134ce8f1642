"""Coordinates of NetCDF files and xarray datasets: which dimension is which, moments, regular axes, and the CRS.

Everything is found by name or by CF attributes (`axis`, `standard_name`, `units`, `calendar`, `grid_mapping`), never by
position. What is stated is used, or the dataset is refused.
"""

import re
import warnings
from collections.abc import Hashable, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from agrifm.errors import SceneError

if TYPE_CHECKING:
    import xarray as xr

Role = Literal["time", "y", "x"]

ROLE_NAMES: Mapping[Role, frozenset[str]] = {
    "time": frozenset({"time", "t", "date", "datetime", "valid_time"}),
    "y": frozenset({"y", "yc", "lat", "latitude", "northing", "northings", "projection_y_coordinate", "grid_latitude"}),
    "x": frozenset({"x", "xc", "lon", "longitude", "easting", "eastings", "projection_x_coordinate", "grid_longitude"}),
}
"""Names of coordinates in lower case, and their CF standard names."""
ROLE_AXES: Mapping[str, Role] = {"T": "time", "Y": "y", "X": "x"}
"""The CF attribute `axis`."""
CALENDARS = frozenset({"standard", "gregorian", "proleptic_gregorian"})
"""Calendars whose dates are those of satellites."""
TIME_UNITS = re.compile(r"\s*[a-z]+\s+since\s+\d{4}-\d{1,2}-\d{1,2}(?!\d).*", re.IGNORECASE)
YEARS = range(1950, 2200)
"""Years in which an acquisition may lie; numbers under wrong units are far outside."""
UNIT_NAMES = {
    "m": "metre",
    "meter": "metre",
    "meters": "metre",
    "metre": "metre",
    "metres": "metre",
    "deg": "degree",
    "degree": "degree",
    "degrees": "degree",
    "degrees_north": "degree",
    "degree_north": "degree",
    "degrees_east": "degree",
    "degree_east": "degree",
}
"""Units of coordinates -> units of CRS axes in pyproj."""
DEGREE_NAMES = frozenset({"lat", "latitude", "lon", "longitude"})
EVEN_SPACING = 1e-3
"""Share of a pixel by which pixel centres may deviate from a regular axis."""
LARGEST = 1e12
"""Beyond every coordinate in metres or degrees."""
MAX_ROUNDING = 0.25
"""Share of a pixel by which coordinates may be rounded."""
MAX_SHIFT = 0.05
"""Share of a pixel by which two statements about a position may differ."""
CRS_VARIABLES = ("spatial_ref", "crs")
CRS_ATTRIBUTES = ("crs_wkt", "spatial_ref", "crs", "epsg_code", "epsg", "EPSG", "proj:code", "proj:epsg")
EPSG_COORDINATES = ("epsg", "proj:epsg")
"""Coordinates of one number that hold a code of EPSG, as stackstac writes them."""
TRANSFORM_ATTRIBUTES: Mapping[str, tuple[int, ...]] = {
    "GeoTransform": (1, 2, 0, 4, 5, 3),
    "transform": (0, 1, 2, 3, 4, 5),
}
"""Attributes with a transform -> the order in which they hold a, b, c, d, e, f of an `Affine`."""


def coordinate_of(dataset: "xr.Dataset", dimension: Hashable) -> tuple[Role | None, "xr.DataArray | None"]:
    """Return the role of a dimension and the coordinate along it, None where nothing says so.

    Raises:
        SceneError: name and attributes of the coordinate contradict each other.
    """
    along = [dataset[name] for name in dataset.variables if dataset[name].dims == (dimension,)]
    along.sort(key=lambda one: one.name != dimension)  # the coordinate of the dimension's own name first
    for coordinate in along:
        role = role_of(coordinate)
        if role is not None:
            return role, coordinate
    return _named(str(dimension)), None


def role_of(coordinate: "xr.DataArray") -> Role | None:
    """Return what a coordinate is by its name and its CF attributes; None if they say nothing.

    Raises:
        SceneError: name and attributes contradict each other.
    """
    attributes = coordinate.attrs
    stated = {
        ROLE_AXES.get(str(attributes.get("axis", "")).upper()),
        _named(str(attributes.get("standard_name", ""))),
        _named(str(coordinate.name)),
    } - {None}
    if len(stated) > 1:
        raise SceneError(
            f"reading the coordinate '{coordinate.name}': its name and its attributes axis and standard_name say "
            f"{' and '.join(sorted(map(str, stated)))}; repair the attributes, or rename the coordinate"
        )
    return stated.pop() if stated else None


def _named(name: str) -> Role | None:
    return next((role for role, names in ROLE_NAMES.items() if name.strip().lower() in names), None)


def moments(time: "xr.DataArray", about: str) -> list[datetime]:
    """Return the moments of a time coordinate in UTC, to the second, in its order.

    Dates may be datetime64, numbers with CF units and a calendar of real dates, ISO texts, or objects of Python or
    cftime.

    Raises:
        SceneError: it holds something else, a missing time, or a year in which no satellite flew.
    """
    import xarray as xr

    values = np.atleast_1d(time.values)
    if values.dtype.kind in "iuf":
        units, calendar = str(time.attrs.get("units", "")), str(time.attrs.get("calendar", "standard")).lower()
        if not TIME_UNITS.fullmatch(units):
            raise _wrong_time(time, f"{values[0]} {f'in units of {units!r}' if units else 'without units'}", about)
        _require_real_dates(time, calendar, about)
        try:
            values = xr.decode_cf(xr.Dataset({"moment": ("number", values, time.attrs)})).moment.values
        except (ValueError, OverflowError) as error:
            raise _wrong_time(time, f"{values[0]} in units of {units!r}", about) from error
    return [_moment(value, time, about) for value in values]


def _moment(value: Any, time: "xr.DataArray", about: str) -> datetime:
    """One moment in UTC without a time zone, cut to the second."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if hasattr(value, "calendar"):  # an object of cftime
        _require_real_dates(time, str(value.calendar), about)
        value = value.isoformat()
    holds = f"{str(value)!r}"
    if isinstance(value, np.datetime64):
        if np.isnat(value):
            raise _wrong_time(time, "a time that is missing (NaT)", about)
        value = value.astype("datetime64[s]").astype(object)  # an integer beyond the years of Python
    elif isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise _wrong_time(time, holds, about) from error
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime) or value.year not in YEARS:
        raise _wrong_time(time, holds, about)
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    moment: datetime = value.replace(microsecond=0)
    return moment


def _wrong_time(time: "xr.DataArray", holds: str, about: str) -> SceneError:
    return SceneError(
        f"{about}: its time coordinate '{time.name}' holds {holds}; it must hold dates (datetime64), ISO texts such as "
        "2024-03-05, or numbers with units such as 'days since 2024-01-01': repair its attribute units, or write its "
        "dates anew, such as with pandas.to_datetime",
        coordinate=str(time.name),
        holds=holds,
    )


def _require_real_dates(time: "xr.DataArray", calendar: str, about: str) -> None:
    if calendar not in CALENDARS:
        raise SceneError(
            f"{about}: its time coordinate '{time.name}' has the calendar '{calendar}', whose days are not those of "
            "satellites; write the true dates of its scenes anew, such as with pandas.to_datetime",
            coordinate=str(time.name),
            calendar=calendar,
        )


def axis_of(dataset: "xr.Dataset", coordinate: "xr.DataArray", crs: CRS, about: str) -> tuple[float, float]:
    """Return the first pixel centre and the step of an axis in units of the CRS.

    Numbers that are those of a regular axis, rounded to the precision of float32 or float64, give that axis exactly.

    Raises:
        SceneError: it is not evenly spaced over two pixels or more, or its units or bounds contradict CRS or numbers.
    """
    attributes = coordinate.attrs
    packed = coordinate.values
    try:
        factors = [float(attributes.get(name, value)) for name, value in (("scale_factor", 1.0), ("add_offset", 0.0))]
    except (ValueError, TypeError) as error:
        raise SceneError(
            f"{about}: its coordinate '{coordinate.name}' has a scale_factor or add_offset that is not a number; "
            "repair or remove the attribute"
        ) from error
    if packed.dtype.kind not in "iuf" or np.abs(packed * factors[0]).max(initial=0) > LARGEST:
        raise _uneven(str(coordinate.name), about)
    values = packed * factors[0] + factors[1]
    _require_units(coordinate, values, crs, about)
    first, step = _regular(packed if np.array_equal(values, packed) else values, str(coordinate.name), about)
    bounds = str(attributes.get("bounds", coordinate.encoding.get("bounds")))
    if bounds in dataset.variables and dataset[bounds].shape == (len(values), 2):
        middle = dataset[bounds].values.astype(float).mean(axis=1)
        if np.abs(middle - values).max() > MAX_SHIFT * abs(step):
            raise SceneError(
                f"{about}: its coordinate '{coordinate.name}' does not lie in the middle of its bounds '{bounds}'; "
                "write the coordinates of pixel centres"
            )
    if crs.is_geographic and values.min() > 180:  # longitudes from 0 to 360
        first -= 360
    return first, step


def _require_units(coordinate: "xr.DataArray", values: NDArray[np.floating], crs: CRS, about: str) -> None:
    """Refuse coordinates that are not in the unit of the CRS, by what they state or by their size."""
    unit = crs.axis_info[0].unit_name if crs.axis_info else "unknown"
    stated = str(coordinate.attrs.get("units", "")).strip()
    in_degrees = str(coordinate.name).lower() in DEGREE_NAMES
    if stated in ("", "1"):
        stated = "degrees" if in_degrees else unit
    too_large = crs.is_geographic and np.abs(values).max() > 360
    if UNIT_NAMES.get(stated.lower(), stated) != unit or too_large:
        holds = f"numbers up to {np.abs(values).max():g}" if too_large else f"in '{stated}'"
        raise SceneError(
            f"{about}: its coordinate '{coordinate.name}' is {holds}, and its coordinate reference system, "
            f"{crs.name}, is in {unit}; write the coordinates or the CRS that belong together",
            coordinate=str(coordinate.name),
            unit=unit,
        )


def _regular(numbers: NDArray[Any], name: str, about: str) -> tuple[float, float]:
    """First value and step of evenly spaced numbers."""
    values = numbers.astype(float)
    if len(values) < 2 or not np.isfinite(values).all() or values[0] == values[-1]:
        raise _uneven(name, about)
    index = np.arange(len(values))
    step = float(values[-1] - values[0]) / index[-1]
    largest = np.abs(values).max()
    # rounding of float64, and that of float32 where all numbers are of that precision, whatever type holds them
    roundings = [4 * float(np.spacing(largest))]
    if (values.astype(np.float32) == values).all():
        roundings.append(float(np.spacing(np.float32(largest))))
    for rounding in roundings:
        steps = (step - 2 * rounding / index[-1], step + 2 * rounding / index[-1])
        even = _shortest(*steps)
        offsets = values - index * even
        low, high = float(offsets.max()) - rounding, float(offsets.min()) + rounding
        if low <= high and rounding < abs(step) * MAX_ROUNDING:
            return _shortest(low, high), even
    if np.abs(values - values[0] - index * step).max() > EVEN_SPACING * abs(step):
        raise _uneven(name, about)
    return float(values[0]), step


def _uneven(name: str, about: str) -> SceneError:
    return SceneError(f"{about}: its coordinate '{name}' is not evenly spaced over two pixels or more", coordinate=name)


def _shortest(low: float, high: float) -> float:
    """The number of fewest decimals between two numbers: what was rounded to one of them."""
    middle = (low + high) / 2
    for decimals in range(16):
        rounded = round(middle, decimals)
        if low <= rounded <= high:
            return rounded
    return middle


def crs_of(dataset: "xr.Dataset", variable: "xr.DataArray", about: str) -> tuple[CRS, Mapping[str, Any]]:
    """Return the CRS of a variable, and the attributes of what states it.

    It is that of the variable's `grid_mapping`, of the variables `spatial_ref` or `crs`, or of the attributes of the
    variable or the dataset.

    Raises:
        SceneError: none is stated, it is not known, or two are stated.
    """
    holders = [dataset[name].attrs for name in (*_grid_mappings(variable), *CRS_VARIABLES) if name in dataset.variables]
    found: list[tuple[CRS, Mapping[str, Any]]] = []
    for attributes in (*holders, variable.attrs, dataset.attrs):
        for key in CRS_ATTRIBUTES:
            if isinstance(attributes.get(key), str | int | np.integer) and str(attributes[key]).strip():
                found.append((_crs(str(attributes[key]), about), attributes))
        if "grid_mapping_name" in attributes and not any(str(attributes.get(key, "")) for key in CRS_ATTRIBUTES):
            found.append((_crs(attributes, about), attributes))
    found += [(_crs(str(dataset[name].item()), about), {}) for name in EPSG_COORDINATES if name in dataset.coords]
    if not found:
        raise SceneError(
            f"{about}: it has no coordinate reference system; add a variable spatial_ref with the attribute crs_wkt"
        )
    codes = {code for crs, _ in found if (code := crs.to_epsg()) is not None}
    if len(codes) > 1:
        raise SceneError(
            f"{about}: it states the coordinate reference systems {' and '.join(f'EPSG:{code}' for code in codes)}; "
            "leave the one in which its coordinates are",
            codes=sorted(codes),
        )
    return found[0]


def _grid_mappings(variable: "xr.DataArray") -> list[str]:
    """Names of the variables that describe the grid; "crs" or, with the coordinates of each, "crs: x y other: lat"."""
    stated = str(variable.attrs.get("grid_mapping", variable.encoding.get("grid_mapping", "")))
    if ":" not in stated:
        return stated.split()
    parts = re.findall(r"(\S+):([^:]*)(?=\s\S+:|$)", stated)
    return [name for name, coordinates in parts if set(coordinates.split()) & set(map(str, variable.dims))]


def _crs(stated: str | Mapping[str, Any], about: str) -> CRS:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old notations such as +init=epsg:32631 are understood
        try:
            if isinstance(stated, str):
                return CRS.from_user_input(int(stated) if stated.strip().isdigit() else stated)
            return CRS.from_cf(dict(stated))
        except (CRSError, KeyError, ValueError, TypeError) as error:
            what = stated if isinstance(stated, str) else str(stated["grid_mapping_name"])
            raise SceneError(
                f"{about}: its coordinate reference system {what[:60]!r} is not known; write it as WKT into the "
                "attribute crs_wkt of a variable spatial_ref"
            ) from error


def require_transform(attributes: Mapping[str, Any], transform: Affine, about: str) -> None:
    """Refuse a stated transform that is rotated, or half a pixel off the coordinates (corners taken for centres).

    Other shifts are those of a subset that was cut out, whose coordinates are right.

    Raises:
        SceneError: see above.
    """
    for key, order in TRANSFORM_ATTRIBUTES.items():
        stated = attributes.get(key)
        if stated is None:
            continue
        try:
            parts = np.array(stated.split() if isinstance(stated, str) else stated, float)
            other = Affine(*(float(parts[position]) for position in order))
        except (ValueError, TypeError, IndexError) as error:
            raise SceneError(f"{about}: its attribute {key} is {stated!r}, not six numbers; remove it") from error
        if other.b or other.d:
            raise SceneError(f"{about}: its attribute {key} is rotated; warp it to a grid of rows and columns first")
        lengths = np.abs([other.a, other.e]) - np.abs([transform.a, transform.e])
        shift = np.array(~transform * (other.c, other.f))
        is_same_size = (np.abs(lengths) < MAX_SHIFT * np.abs([transform.a, transform.e])).all()
        if is_same_size and (np.abs(shift - np.round(shift)) > MAX_SHIFT).any():
            raise SceneError(
                f"{about}: its attribute {key} begins {shift[0] % 1:.2g} pixels off its coordinates, which must be "
                "those of pixel centres; write them anew, or remove the attribute"
            )
