"""Parcels with their crops as GeoParquet that is valid fiboa 0.3.0.

The columns of fiboa (`metrics:area` in m²) and of its extensions for crops (`crop:…`) and HCAT codes (`hcat:…`) have
the types that their published schemas state; those of agrifm (`agrifm:…`) are declared in `schemas:custom` of the
metadata `collection`. Outlines are in longitude and latitude (GeoParquet 1.1.0, with the bounds of each in `bbox`).

Shape letters: P parcels, C classes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from agrifm.legend import Legend
from agrifm.mapping.parcel_pooling import PooledMeans, PooledParcels

if TYPE_CHECKING:
    import pyarrow

VECOREL = "https://vecorel.org/specification/v0.1.0/schema.yaml"
FIBOA = "https://fiboa.org/specification/v0.3.0/schema.yaml"
CROP = "https://fiboa.org/crop-extension/v0.2.0/schema.yaml"
HCAT = "https://fiboa.org/hcat-extension/v0.3.0/schema.yaml"
SDL = "https://vecorel.org/sdl/v0.2.0/schema.json"
CODE_LIST = "legend.csv"
"""File next to the parcels with the codes of their crops, in the form that the crop extension states."""
COLLECTION = "agrifm-parcels"
LARGEST_M2, LONGEST_M = 1e9, 1.25e9
"""Most that fiboa accepts; what is more is left out."""
ANSWERED, UNOBSERVED = "crop", "unobserved"
SIGNATURE = "signature"
"""Column of unfinished parts: parcels with the same outline have the same number."""
NO_CODE = ""
"""`crop:code` of a parcel without a crop, because the extension requires a text."""
OWN_COLUMNS: dict[str, tuple[str, str]] = {
    "agrifm:status": ("string", "crop, or unobserved: no pixel of the parcel has a valid observation on the map"),
    "agrifm:confidence": ("float", "Probability of the crop: the mean over the parcel's pixels, 0 to 1"),
    "agrifm:second_code": ("string", "Code of the second most probable crop"),
    "agrifm:second_probability": ("float", "Its probability"),
    "agrifm:probabilities": ("array", "Probabilities of all crops, in the order of agrifm:classes"),
    "agrifm:observations": ("float", "Usable observations of the parcel's pixels, their mean"),
    "agrifm:hectares": ("double", "Geodesic area in hectares"),
    "agrifm:pixels": ("float", "Size in pixels of the map"),
    "agrifm:below_pixel": ("boolean", "Whether it is smaller than a pixel, so that its crop is that of mixed pixels"),
    "agrifm:mixed_share": ("float", "Share of its ground in pixels that are not wholly inside"),
    "agrifm:mapped_share": ("float", "Share of its ground that has a class on the map"),
    "agrifm:mended": ("boolean", "Whether outlines of its file that cross themselves were mended"),
    "agrifm:overlaps": ("boolean", "Whether it overlaps a parcel near it in the file"),
    "agrifm:duplicate": ("boolean", "Whether an earlier parcel of the file has the same outline"),
    "agrifm:row": ("int64", "Number of its row in the file it was read from"),
}
"""Type and description of the columns that fiboa does not define."""


@dataclass(frozen=True)
class HcatClass:
    """A class in HCAT3, the hierarchy of EuroCrops."""

    code: int
    name: str


@dataclass(frozen=True)
class ParcelShapes:
    """Parcels as they are in the file."""

    id: Sequence[str]
    lonlat: NDArray[Any]
    """(P,), outlines in longitude and latitude."""
    row: NDArray[np.int64]
    square_metres: NDArray[np.float64]
    metres: NDArray[np.float64]
    """(P,), length of the outline."""
    mended: NDArray[np.bool_]
    overlaps: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.lonlat)


def parcel_schema(legend: Legend, hcat: Mapping[str, HcatClass], about: Mapping[str, str]) -> "pyarrow.Schema":
    """Return the columns of the table, with the metadata of GeoParquet and fiboa.

    Args:
        hcat: class of HCAT3 by code of the legend, of the classes that have one.
        about: further properties of the collection, without the prefix `agrifm:`.
    """
    import pyarrow

    fields = [
        *shape_fields(),
        pyarrow.field("crop:code", pyarrow.string(), nullable=False),
        pyarrow.field("crop:name", pyarrow.string()),
    ]
    if hcat:
        fields += [pyarrow.field("hcat:code", pyarrow.uint32()), pyarrow.field("hcat:name", pyarrow.string())]
    fields += own_fields(OWN_COLUMNS)
    metadata = {"geo": json.dumps(GEO), "collection": json.dumps(_collection(legend, bool(hcat), about))}
    return pyarrow.schema(fields, metadata)


def shape_fields() -> list["pyarrow.Field"]:
    """Return the columns of fiboa that every table of polygons has."""
    import pyarrow

    bounds = pyarrow.struct([(corner, pyarrow.float32()) for corner in ("xmin", "ymin", "xmax", "ymax")])
    return [
        pyarrow.field("id", pyarrow.string(), nullable=False),
        pyarrow.field("geometry", pyarrow.binary(), nullable=False),
        pyarrow.field("bbox", bounds),
        pyarrow.field("metrics:area", pyarrow.float32()),
        pyarrow.field("metrics:perimeter", pyarrow.float32()),
    ]


def own_fields(columns: Mapping[str, tuple[str, str]]) -> list["pyarrow.Field"]:
    """Return columns that fiboa does not define.

    Args:
        columns: type and description by name.
    """
    import pyarrow

    types = {
        "string": pyarrow.string(),
        "float": pyarrow.float32(),
        "double": pyarrow.float64(),
        "boolean": pyarrow.bool_(),
        "int64": pyarrow.int64(),
        "array": pyarrow.list_(pyarrow.float32()),
    }
    return [pyarrow.field(name, types[kind]) for name, (kind, _) in columns.items()]


def plain_schema(
    collection: str,
    fields: Sequence["pyarrow.Field"],
    columns: Mapping[str, tuple[str, str]],
    about: Mapping[str, str],
) -> "pyarrow.Schema":
    """Return the schema of a table without extensions of fiboa, with the metadata of GeoParquet and fiboa.

    Args:
        collection: name of the collection.
        fields: columns of fiboa.
        columns: type and description of those that fiboa does not define.
        about: further properties of the collection, without the prefix `agrifm:`.
    """
    import pyarrow

    shared = {f"agrifm:{key}": text for key, text in about.items()}
    custom = {
        "$schema": SDL,
        "required": [],
        "collection": dict.fromkeys(shared, True),
        "properties": {
            **{name: {"type": kind, "description": text} for name, (kind, text) in columns.items()},
            **{name: {"type": "string"} for name in shared},
        },
    }
    content = {
        "collection": collection,
        "schemas": {collection: [VECOREL, FIBOA]},
        **shared,
        "schemas:custom": custom,
    }
    metadata = {"geo": json.dumps(GEO), "collection": json.dumps(content)}
    return pyarrow.schema([*fields, *own_fields(columns)], metadata)


GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {
        "geometry": {
            "encoding": "WKB",
            "geometry_types": ["MultiPolygon", "Polygon"],
            "covering": {"bbox": {corner: ["bbox", corner] for corner in ("xmin", "ymin", "xmax", "ymax")}},
        }
    },
}
"""Metadata of GeoParquet; without `crs` a file has longitude and latitude."""


def _collection(legend: Legend, hcat: bool, about: Mapping[str, str]) -> dict[str, Any]:
    """The properties that all parcels share, and the schemas of the columns."""
    shared: dict[str, Any] = {"agrifm:classes": list(legend.codes), **{f"agrifm:{key}": about[key] for key in about}}
    columns: dict[str, dict[str, Any]] = {
        name: {"type": kind, "description": text, **({"items": {"type": "float"}} if kind == "array" else {})}
        for name, (kind, text) in OWN_COLUMNS.items()
    }
    properties = {"agrifm:classes": {"type": "array", "items": {"type": "string"}}}
    return {
        "collection": COLLECTION,
        "schemas": {COLLECTION: [VECOREL, FIBOA, CROP, *([HCAT] if hcat else [])]},
        "crop:code_list": CODE_LIST,
        **shared,
        "schemas:custom": {
            "$schema": SDL,
            "required": [],
            "collection": dict.fromkeys(shared, True),
            "properties": {
                **columns,
                **properties,
                **{name: {"type": "string"} for name in shared if name not in properties},
            },
        },
    }


def parcel_rows(
    schema: "pyarrow.Schema", legend: Legend, hcat: Mapping[str, HcatClass], parcels: ParcelShapes, found: PooledParcels
) -> "pyarrow.Table":
    """Return parcels as rows of the table, with `SIGNATURE`; whether they are duplicates is not known yet."""
    known = ~np.isnan(found.probabilities[:, 0]) if len(parcels) else np.zeros(0, bool)
    ordered = np.argsort(-np.where(known[:, None], found.probabilities, 0), axis=1, kind="stable")
    first, second = ordered[:, 0], ordered[:, min(1, len(legend) - 1)]
    codes, names = np.array(legend.codes, object), np.array([one.name for one in legend.classes], object)
    rows = np.arange(len(parcels))
    bounds = shapely.bounds(parcels.lonlat)
    columns: dict[str, Any] = {
        **shape_columns(parcels, bounds),
        "crop:code": np.where(known, codes[first], NO_CODE),
        "crop:name": _masked(names[first], known),
        "agrifm:status": np.where(known, ANSWERED, UNOBSERVED).astype(object),
        "agrifm:confidence": _masked(found.probabilities[rows, first], known),
        "agrifm:second_code": _masked(codes[second], known & (len(legend) > 1)),
        "agrifm:second_probability": _masked(found.probabilities[rows, second], known & (len(legend) > 1)),
        "agrifm:probabilities": _lists(found.probabilities, known),
        "agrifm:observations": _masked(found.observations, known),
        **of_parcels(parcels, found),
    }
    if hcat:
        matches = [hcat.get(code) for code in legend.codes]
        numbers = np.array([None if one is None else one.code for one in matches], object)
        terms = np.array([None if one is None else one.name for one in matches], object)
        columns["hcat:code"], columns["hcat:name"] = _masked(numbers[first], known), _masked(terms[first], known)
    return signed_table(schema, columns, bounds, parcels)


def shape_columns(parcels: ParcelShapes, bounds: NDArray[np.float64]) -> dict[str, Any]:
    """Return the columns of `shape_fields`; `bounds` (P, 4) are those of the outlines."""
    return {
        "id": list(parcels.id),
        "geometry": shapely.to_wkb(parcels.lonlat),
        "bbox": corner_structs(bounds),
        "metrics:area": within_limit(parcels.square_metres, LARGEST_M2),
        "metrics:perimeter": within_limit(parcels.metres, LONGEST_M),
    }


def of_parcels(parcels: ParcelShapes, found: PooledParcels | PooledMeans) -> dict[str, Any]:
    """Return the columns on size, overlaps and the file, which all answers on parcels have."""
    return {
        "agrifm:hectares": parcels.square_metres / 1e4,
        "agrifm:pixels": found.pixels,
        "agrifm:below_pixel": found.pixels < 1,
        "agrifm:mixed_share": found.mixed,
        "agrifm:mapped_share": found.mapped,
        "agrifm:mended": parcels.mended,
        "agrifm:overlaps": parcels.overlaps,
        "agrifm:duplicate": np.zeros(len(parcels), bool),
        "agrifm:row": parcels.row,
    }


def signed_table(
    schema: "pyarrow.Schema", columns: Mapping[str, Any], bounds: NDArray[np.float64], parcels: ParcelShapes
) -> "pyarrow.Table":
    """Return columns as a table, with `SIGNATURE`.

    Args:
        bounds: (P, 4), of the outlines.
    """
    import pyarrow

    table = table_of(schema, columns)
    return table.append_column(SIGNATURE, pyarrow.array(_signature(bounds, parcels.metres)))


def table_of(schema: "pyarrow.Schema", columns: Mapping[str, Any]) -> "pyarrow.Table":
    """Return columns by name as a table; NaN and None are null."""
    import pyarrow

    arrays = [
        one if isinstance(one, pyarrow.Array) else pyarrow.array(one, field.type, from_pandas=True)
        for field in schema
        for one in (columns[field.name],)
    ]
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def _masked(values: NDArray[Any], kept: NDArray[np.bool_]) -> NDArray[Any]:
    """The values with None or NaN, which become null, where they are not kept."""
    filler: Any = None if values.dtype == object else np.nan
    return np.where(kept, values, filler)


def within_limit(values: NDArray[np.float64], most: float) -> Any:
    """Return numbers that fiboa accepts, above 0 and at most `most`; others as NaN, which becomes null."""
    return _masked(values, (values > 0) & (values <= most))


def _lists(probabilities: NDArray[np.float64], known: NDArray[np.bool_]) -> Any:
    import pyarrow

    ends = np.concatenate([[0], np.cumsum(known)]) * probabilities.shape[1]
    offsets = pyarrow.array(ends, pyarrow.int32(), mask=np.append(~known, False))
    return pyarrow.ListArray.from_arrays(offsets, pyarrow.array(probabilities[known].ravel(), pyarrow.float32()))


def corner_structs(bounds: NDArray[np.float64]) -> Any:
    """Return bounds as a struct of 32 bits, rounded outwards so that they contain the shape."""
    import pyarrow

    rounded = bounds.astype(np.float32)
    lower, upper = np.nextafter(rounded, np.float32(-np.inf)), np.nextafter(rounded, np.float32(np.inf))
    west, south = (np.where(rounded > bounds, lower, rounded)[:, column] for column in (0, 1))
    east, north = (np.where(rounded < bounds, upper, rounded)[:, column] for column in (2, 3))
    return pyarrow.StructArray.from_arrays([west, south, east, north], names=["xmin", "ymin", "xmax", "ymax"])


def _signature(bounds: NDArray[np.float64], metres: NDArray[np.float64]) -> NDArray[np.uint64]:
    """A number of each outline by its bounds and its length, to the millimetre."""
    from pandas import DataFrame
    from pandas.util import hash_pandas_object

    rounded = np.round(np.column_stack([bounds, metres / 1e5]), 8)
    return np.asarray(hash_pandas_object(DataFrame(rounded), index=False), np.uint64)


def code_list(legend: Legend) -> str:
    """Return the classes as the CSV that the crop extension states."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["original_code", "original_name", "translated_name"])
    writer.writerows([entry.code, entry.name, entry.name] for entry in legend.classes)
    return text.getvalue()
