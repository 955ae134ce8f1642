"""Rasters of class codes, from agrifm or any other source: what their values mean, and which pixels have no class.

A value means "no class" only where the file says so: by its nodata value, its mask, NaN, or 255 with a legend of
agrifm's own. Without any of these, 0 and 255 are codes like all others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from agrifm.codes import code_of
from agrifm.errors import AgriFMError
from agrifm.legend import LEGEND_TAG, UNLABELLED, Legend
from agrifm.mosaics import category_elements
from agrifm.shares import SHARES_TAG
from agrifm.tables import tidy
from agrifm.validation import complaint

CONFIDENCE = "confidence in percent"
"""Description of the band of a map of confidence."""
_PICTURE_BANDS = {"red", "green", "blue"}
_SUSPECTS = (0, UNLABELLED)
"""Values that often mean "no class"; where the file does not say so, they are pointed out."""
_MAX_SIDECAR = 2**24


@dataclass(frozen=True)
class ClassRaster:
    """What a raster states about its classes."""

    legend: Legend | None
    """Legend of agrifm's own; pixel values are its class numbers."""
    names: dict[str, str]
    """Code -> name, from category names or an attribute table next to the file."""
    colors: dict[str, str]
    """Code -> colour (#rrggbb), from the colour table."""
    nodata: float | None
    masked: bool
    """Whether the file has a mask of its pixels."""
    bands: int
    """Number of bands; the first, which is read, and others such as a mask."""

    def without_class(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which pixels are nodata, NaN, or 255 with a legend; a mask in the file counts in addition."""
        missing = np.asarray(values != values)  # only NaN differs from itself
        if self.nodata is not None:
            missing |= values == self.nodata
        return missing | (values == UNLABELLED) if self.legend is not None else missing

    def legend_of(self, codes: Sequence[str]) -> Legend:
        """The legend of these codes where the file has none of agrifm's: names and colours from the file if possible.

        Raises:
            LabelError: there are more than 255 codes.
        """
        names = {code: self.names.get(code, code) for code in codes}
        colors = {code: self.colors[code] for code in codes if code in self.colors}
        if len(set(names.values())) < len(codes):
            names = {}
        if len(set(colors.values())) < len(codes):  # GDAL fills colour tables up with black
            colors = {}
        return Legend.of(codes, names, colors)

    def notes(self, values: NDArray[Any], remedy: str) -> list[str]:
        """Notes on further bands, and on 0 and 255 if they are classes only because the file has no nodata value.

        Args:
            values: the different values that are classes.
            remedy: how to say that a value is not a class; {value} stands for the value.
        """
        notes = [f"the raster has {self.bands} bands; the classes are those of the first"] if self.bands > 1 else []
        if self.legend is not None or self.masked or self.nodata is not None:
            return notes
        found = [value for value in _SUSPECTS if value in values and str(value) not in self.names]
        return notes + [
            f"the value {value} is a class, because the file has no nodata value; if {value} means that there is "
            f"no class, {remedy.format(value=value)}"
            for value in found
        ]


def read_class_raster(source: Any, path: Path, about: str, kind: type[AgriFMError]) -> ClassRaster:
    """What an open raster states about its classes.

    Args:
        source: rasterio's dataset.
        about: the start of an error's sentence, such as "reading the map map.tif".
        kind: the class of error to raise.

    Raises:
        AgriFMError: of that kind; the raster is a picture, a map of confidence, has complex or scaled values, or its
            tag is not a legend.
    """
    fault = _why_not_classes(source)
    if fault:
        raise kind(f"{about}: {fault}; give the raster of class codes", path=path)
    text = source.tags().get(LEGEND_TAG)
    try:
        legend = None if text is None else Legend.model_validate_json(text)
    except ValidationError as error:
        raise kind(
            f"{about}: its {LEGEND_TAG} tag is not a legend ({complaint(error, Legend)}); write the map again, or "
            "remove the tag",
            path=path,
        ) from error
    masked = any(flag.name in ("per_dataset", "alpha") for flag in source.mask_flag_enums[0])
    bands = sum(band.name != "alpha" for band in source.colorinterp)
    return ClassRaster(legend, _category_names(path), _colors(source), source.nodata, masked, bands)


def require_whole(values: NDArray[Any], about: str, kind: type[AgriFMError]) -> None:
    """Refuse values that are not class codes.

    Args:
        values: those of pixels that have a class.

    Raises:
        AgriFMError: of that kind; a value has decimals, is infinite, or is so large that a float rounds it.
    """
    if values.dtype.kind != "f" or not values.size:
        return
    faulty = ~np.isfinite(values) | (values != np.trunc(values))
    if faulty.any():
        value = float(values[faulty][0])
        raise kind(
            f"{about}: its values have decimals ({value:g}), so they are not class codes; give a raster of whole "
            "numbers, not one of confidence, shares or reflectance",
            value=value,
        )
    largest = float(np.abs(values).max())
    if largest >= 2.0 ** (np.finfo(values.dtype).nmant + 1):
        raise kind(
            f"{about}: the code {largest:.0f} is too large for {values.dtype} pixels, which round it; write the codes "
            "as whole numbers (int32 or int64)",
            value=largest,
        )


def _why_not_classes(source: Any) -> str | None:
    """Why a raster does not contain class codes, in words; None if it may."""
    if {band.name for band in source.colorinterp} >= _PICTURE_BANDS:
        return f"it is a picture (red, green and blue in {source.count} bands), not a map of classes"
    if source.descriptions[0] == CONFIDENCE:
        return f"its band is '{CONFIDENCE}', not classes"
    if SHARES_TAG in source.tags():
        return f'its {source.count} bands are shares of classes in pixels (`task` "fractions"), not a map of classes'
    if source.units[0]:
        return f"its values are numbers in {source.units[0]}, not classes"
    if np.dtype(source.dtypes[0]).kind == "c":
        return "its values are complex numbers"
    if (source.scales[0], source.offsets[0]) != (1.0, 0.0):
        return f"its values are scaled (scale {source.scales[0]:g}, offset {source.offsets[0]:g}), so they are measures"
    return None


def _colors(source: Any) -> dict[str, str]:
    """Code -> colour in the colour table of the first band."""
    try:
        table = source.colormap(1)
    except ValueError:
        return {}
    return {str(value): f"#{red:02x}{green:02x}{blue:02x}" for value, (red, green, blue, _) in table.items()}


def _category_names(path: Path) -> dict[str, str]:
    """Code -> name from a mosaic, or the file next to a raster, in which GDAL keeps category names or a table."""
    for band in (category_elements(path), _sidecar_band(path)):
        if band is not None and (names := _band_names(band)):
            return names
    return {}


def _sidecar_band(path: Path) -> ElementTree.Element | None:
    sidecar = path.with_name(f"{path.name}.aux.xml")
    try:
        if sidecar.stat().st_size > _MAX_SIDECAR:
            return None
        return ElementTree.parse(sidecar).getroot().find("PAMRasterBand")
    except (OSError, ElementTree.ParseError):
        return None


def _band_names(band: ElementTree.Element) -> dict[str, str]:
    listed = {str(number): entry.text or "" for number, entry in enumerate(band.findall("CategoryNames/Category"))}
    names = listed or _attribute_names(band)
    return {code: tidy(name) for code, name in names.items() if tidy(name)}


def _attribute_names(band: ElementTree.Element) -> dict[str, str]:
    """Code -> name of an attribute table; its columns state their use (2 names, 5 values), or have the usual names."""
    table = band.find("GDALRasterAttributeTable")
    if table is None:
        return {}
    columns = [
        (field.findtext("Usage", ""), field.findtext("Name", "").casefold()) for field in table.findall("FieldDefn")
    ]
    value, name = (
        next((at for at, (use, called) in enumerate(columns) if use == wanted or called in usual), None)
        for wanted, usual in (("5", {"value"}), ("2", {"class_name", "class name", "classname", "name"}))
    )
    if value is None or name is None:
        return {}
    rows = [[cell.text or "" for cell in row.findall("F")] for row in table.findall("Row")]
    return {code_of(row[value]): row[name] for row in rows if len(row) == len(columns)}
