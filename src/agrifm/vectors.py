"""Vector files: every area, label, parcel and reference is read here, as one layer with a CRS.

`agrifm.vector_files` opens the file, `agrifm.vector_tables` finds the places in tables, and `agrifm.vector_shapes`
sorts out the shapes.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from agrifm.errors import AgriFMError, VectorError, doing
from agrifm.grid import LONLAT
from agrifm.validation import Frozen
from agrifm.vector_files import read_features, wrong_letters
from agrifm.vector_shapes import VectorLayer, sort_out

if TYPE_CHECKING:
    import pyproj
    from geopandas import GeoDataFrame

SAME_PLACE = 1e-5
"""Degrees, about a metre: two coordinate reference systems that place a file closer than this are the same."""
HARMLESS = ("IMMUTABLE", "Non closed ring")
"""Warnings without consequences: a GeoPackage is in a read-only folder; a ring was open and is closed."""
REMEDIES = {
    "layer": ("name one with `layer`", "write one to a file of its own (`ogr2ogr NEW OLD LAYER`)"),
    "crs": ('state it with `crs`, such as "EPSG:32631"', "assign the right one (`ogr2ogr -a_srs EPSG:… NEW OLD`)"),
    "encoding": (
        'state it with `encoding`, such as "cp1252" (Western European letters)',
        "write the file in UTF-8 (`ogr2ogr -oo ENCODING=CP1252 NEW OLD`)",
    ),
}
"""What to do about a file that does not say everything, by the key: with keys for this file, and without."""


class VectorKeys(Frozen):
    """What the user states of a vector file that does not say it itself; keys of the section that names the file."""

    layer: str | None = None
    """Layer of the file, if it has several; or the name of one of the files in a folder or a zip archive."""
    crs: str | None = None
    """Coordinate reference system of a file that does not state it, such as "EPSG:32631" for a CSV of x and y."""
    encoding: str | None = None
    """Encoding of the file's text, such as "cp1252", if it is not UTF-8 and the file does not state it, or wrongly."""


NOTHING_STATED = VectorKeys()
EXCHANGED = "with x and y (longitude and latitude) exchanged they would be inside"


def read_vector(
    path: Path | str,
    about: str,
    kind: type[AgriFMError],
    shapes: Sequence[str] = ("polygon", "point"),
    keys: VectorKeys | None = None,
) -> VectorLayer:
    """Read one layer of a file in one of the formats of `agrifm.vector_files`.

    The file may be in a zip archive or in a folder of its own.

    Args:
        about: the start of an error's sentence, such as "reading labels fields.gpkg".
        kind: the class of error to raise.
        shapes: kinds of shapes that are kept, "polygon", "point" or both.
        keys: what the user states of the file; None if the user cannot.

    Raises:
        AgriFMError: of that kind; the file is absent or unreadable, its layer or its CRS is unknown, or no shape of
            these kinds is in it.
    """
    path, stated = Path(path), keys or NOTHING_STATED
    with reading_vector(path, about, kind, keys is not None), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        crs = None if stated.crs is None else parsed_crs(stated.crs)
        frame, notes = read_features(path, stated.layer, stated.encoding, crs)
        frame, lost = placed(frame, crs)
        notes += wrong_letters(frame)
        layer = sort_out(frame, shapes)
    texts = dict.fromkeys(" ".join(str(warning.message).split()) for warning in warned)
    notes += [f"the library that reads it says: {text}" for text in texts if not any(word in text for word in HARMLESS)]
    return replace(layer, notes=(*notes, *lost, *layer.notes))


@contextmanager
def reading_vector(path: Path, about: str, kind: type[AgriFMError], has_keys: bool) -> Iterator[None]:
    """Turn whatever is raised while a vector file is read into one sentence of that kind of error.

    Args:
        about, kind: see `read_vector`.
        has_keys: whether the user can state what the file does not say.
    """
    with doing(about, kind, "the file is damaged or incomplete, so copy or write it again", path=path):
        try:
            yield
        except VectorError as error:
            remedy = REMEDIES[str(error.facts["key"])][not has_keys] if "key" in error.facts else ""
            raise kind(
                "; ".join(filter(None, (f"{about}: {error}", remedy))), **{"path": path, **error.facts}
            ) from error


def count_if_exchanged(frame: "GeoDataFrame", region: BaseGeometry) -> int:
    """Return how many shapes would be in a region if the two coordinates of each place were exchanged.

    Args:
        frame: in the CRS of its file, whose axes may have been mistaken for each other.
        region: in longitude and latitude.
    """
    turned = frame.geometry.dropna().transform(lambda place: place[:, ::-1])
    return int(turned.to_crs(LONLAT).intersects(region).sum())


def parsed_crs(text: str) -> "pyproj.CRS":
    """Return the CRS that the user states; raises VectorError if it is not known or does not place anything."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        crs = CRS.from_user_input(text)
    except CRSError as error:
        raise VectorError(
            f'`crs` {text!r} is not a known coordinate reference system; write it as "EPSG:" and its number', crs=text
        ) from error
    if not _says_where(crs):
        raise VectorError(f"`crs` {text!r} ({crs.name}) does not place anything on the globe; state another", crs=text)
    return crs


def _says_where(crs: "pyproj.CRS | None") -> bool:
    return crs is not None and (crs.is_geographic or crs.is_projected)


def placed(frame: "GeoDataFrame", stated: "pyproj.CRS | None") -> tuple["GeoDataFrame", list[str]]:
    """Return the frame with its CRS, or the stated one if it has none or one that its numbers contradict; and notes.

    Raises:
        VectorError: it has no CRS, or one that its numbers or the stated one contradict.
    """
    edges = frame.geometry.bounds.to_numpy()
    own = frame.crs if _says_where(frame.crs) else None
    if own is not None and _contradicted(own, edges) and stated is not None:
        own = None
    if own is not None and stated is not None and not _same_place(own, stated, edges):
        raise VectorError(
            f"it states the coordinate reference system {own.name}, but `crs` is {stated.name}; remove `crs`, or, if "
            "the file is wrong, assign the right one to it (`ogr2ogr -a_srs EPSG:… NEW OLD`)",
            crs=own.name,
        )
    crs = stated if own is None else own
    if crs is None:
        degrees = bool((np.abs(edges[np.isfinite(edges).all(axis=1)]) <= [180, 90, 180, 90]).all())
        guess = '; its numbers may be degrees ("EPSG:4326")' if degrees else ""
        raise VectorError(f"it has no coordinate reference system, so its position is unknown{guess}", key="crs")
    if _contradicted(crs, edges):
        raise _not_degrees(crs, edges) if crs.is_geographic else _not_metres(crs, edges)
    frame = frame.set_crs(crs, allow_override=True)
    lost = _off_the_globe(edges) if crs.is_geographic else np.zeros(len(edges), bool)
    if not lost.any():
        return frame, []
    frame = frame.set_geometry(frame.geometry.where(~lost, None))
    return frame, [f"{lost.sum()} of {len(frame)} shapes are not on the globe"]


def _off_the_globe(edges: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Rows (W, S, E, N) beyond the range of degrees; False for rows without a place, which are NaN."""
    return np.asarray((np.abs(edges) > [360, 90.000001, 360, 90.000001]).any(axis=1))


def _contradicted(crs: "pyproj.CRS", edges: NDArray[np.float64]) -> bool:
    """Whether most numbers are not degrees in a CRS of degrees, or all could be degrees in one of metres."""
    edges = edges[np.isfinite(edges).all(axis=1)]
    if not len(edges):
        return False
    if crs.is_geographic:
        return bool(_off_the_globe(edges).mean() > 0.5)
    return bool((np.abs(edges) <= [180, 90, 180, 90]).all())


def _not_degrees(crs: "pyproj.CRS", edges: NDArray[np.float64]) -> VectorError:
    exchanged = not _off_the_globe(edges[:, [1, 0, 3, 2]]).any()
    if exchanged:
        return VectorError(f"{_span(edges)}: longitude and latitude are exchanged; put them right in the file")
    return VectorError(
        f"{_span(edges)}, which are not degrees, but {crs.name} has degrees (so has GeoJSON that states no `crs`); "
        "its coordinate reference system is another",
        key="crs",
    )


def _not_metres(crs: "pyproj.CRS", edges: NDArray[np.float64]) -> VectorError:
    return VectorError(
        f"{_span(edges)}, which look like degrees, but {crs.name} has {crs.axis_info[0].unit_name}s; its coordinate "
        "reference system is another",
        key="crs",
    )


def _span(edges: NDArray[np.float64]) -> str:
    west, south, _, _ = np.nanmin(edges, axis=0)
    _, _, east, north = np.nanmax(edges, axis=0)
    return f"its coordinates are x {west:.10g} to {east:.10g} and y {south:.10g} to {north:.10g}"


def _same_place(one: "pyproj.CRS", other: "pyproj.CRS", edges: NDArray[np.float64]) -> bool:
    """Whether two reference systems place the middle of the shapes within a metre of each other."""
    from pyproj import Transformer

    edges = edges[np.isfinite(edges).all(axis=1)]
    middle = edges.reshape(-1, 2).mean(axis=0) if len(edges) else np.zeros(2)
    here, there = (Transformer.from_crs(crs, LONLAT, always_xy=True).transform(*middle) for crs in (one, other))
    return bool(np.allclose(here, there, rtol=0, atol=SAME_PLACE))
