"""`agrifm legend translate`: the classes of labels, a map or a legend in the codes of another published legend."""

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agrifm.assess.class_map import read_map
from agrifm.codes import read_codes
from agrifm.errors import LabelError, OutputError, did_you_mean
from agrifm.files import AnyPath, as_path
from agrifm.grid import LONLAT, geodesic_hectares
from agrifm.legend import Legend
from agrifm.outputs import replace_file
from agrifm.samples.label_rasters import RASTERS
from agrifm.samples.legends.nomenclature import Match, Nomenclature, read_nomenclature, translate
from agrifm.vectors import NOTHING_STATED, VectorKeys, read_vector

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

COLUMNS = ("code", "name", "to_code", "to_name", "relation", "shapes", "hectares")
"""Columns of the table of classes."""


@dataclass(frozen=True)
class TranslatedClass:
    """A class of the input, and what it is in the other legend."""

    code: str
    name: str
    match: Match
    shapes: int | None = None
    """Labelled shapes of the class; None if the input has no shapes."""
    hectares: float | None = None
    """Area of its polygons or pixels; None if the input has no areas."""

    @property
    def amount(self) -> str:
        """How much there is of the class, in words; "" if the input does not say."""
        parts = [f"{self.shapes} shapes"] if self.shapes else []
        return ", ".join([*parts, f"{self.hectares:,.1f} ha"] if self.hectares else parts)


def translate_file(
    file: AnyPath,
    source: str,
    target: str,
    out: AnyPath | None = None,
    column: str | None = None,
    keys: VectorKeys = NOTHING_STATED,
) -> list[str]:
    """Translate the classes of a file from one published legend to another.

    Args:
        file: labels (polygons or points with `column`), a raster of codes, or a legend (CSV or JSON).
        source, target: keys of `agrifm.samples.legends.nomenclature.LEGENDS`.
        out: a table of classes (.csv), or the labels with the columns `target` and `target_name` (.gpkg).
        column: the column of the codes in labels.

    Returns:
        Lines for the screen: how many classes have a translation, and those that have none, with their area or count.

    Raises:
        LabelError: the file cannot be read, no code is one of the source legend, or a legend is unknown.
        OutputError: `out` has another ending, or is a file that agrifm did not write.
    """
    file, out = as_path(file), None if out is None else as_path(out)
    one, other = read_nomenclature(source), read_nomenclature(target)
    endings = (".csv",) if column is None else (".csv", ".gpkg")
    if out is not None and out.suffix.lower() not in endings:
        raise OutputError(f"translating {file}: `--out` {out} must end in {' or '.join(endings)}", path=out)
    frame = None
    if column is not None:
        frame, found = _of_labels(file, column, one, other, keys)
    elif file.suffix.lower() in RASTERS:
        found = _of_map(file, one, other)
    else:
        found = [_translated(entry.code, entry.name, one, other) for entry in Legend.read(file).classes]
    if not any(one.find(entry.code) for entry in found):
        codes = ", ".join(entry.code for entry in found[:8])
        raise LabelError(
            f"translating {file}: none of its codes ({codes}) is one of '{source}' ({one.about.title}); name the "
            "legend of the file with `--from`",
            legend=source,
        )
    if out is not None:
        _write(out, frame, found, target, f"writing {out}")
    return _lines(found, one, other)


def _translated(
    code: str, name: str | None, one: Nomenclature, other: Nomenclature, shapes: int | None = None, area: float = 0.0
) -> TranslatedClass:
    listed = one.find(code)
    shown = name if name not in (None, code) else (listed.name if listed else code)
    return TranslatedClass(code, str(shown), translate(code, one, other), shapes, area or None)


def _of_labels(
    file: Path, column: str, one: Nomenclature, other: Nomenclature, keys: VectorKeys
) -> tuple["GeoDataFrame", list[TranslatedClass]]:
    """The labelled shapes with their codes, and their classes."""
    frame = read_vector(file, f"translating {file}", LabelError, keys=keys).frame
    if column not in frame.columns:
        columns = [str(name) for name in frame.columns if name != frame.geometry.name]
        raise LabelError(
            f"translating {file}: it has no column '{column}'{did_you_mean(column, columns)} (its columns: "
            f"{', '.join(columns) or 'none'}); name the column of the codes",
            column=column,
            columns=columns,
        )
    codes, _ = read_codes(frame[column], tuple(one.classes))
    frame = frame.assign(code=codes)
    polygons = frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"])
    area = np.zeros(len(frame))
    area[polygons] = [geodesic_hectares(shape) for shape in frame.geometry[polygons].to_crs(LONLAT)]
    counts = Counter(code for code in codes if code)
    in_code = np.array(codes)
    return frame, [
        _translated(code, None, one, other, counts[code], float(area[in_code == code].sum())) for code in sorted(counts)
    ]


def _of_map(file: Path, one: Nomenclature, other: Nomenclature) -> list[TranslatedClass]:
    counted = read_map(file)
    return [
        _translated(entry.code, entry.name, one, other, None, float(area))
        for entry, area in zip(counted.legend.classes, counted.hectares(), strict=True)
        if area
    ]


def _write(out: Path, frame: "GeoDataFrame | None", found: list[TranslatedClass], target: str, doing_this: str) -> None:
    if out.suffix.lower() == ".csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for entry in found:
            match = entry.match
            area = "" if entry.hectares is None else f"{entry.hectares:.4f}"
            writer.writerow(
                [entry.code, entry.name, match.code, match.name, match.relation, entry.shapes, area]  # None is ""
            )
        with replace_file(out, doing_this, _is_our_table) as place:
            place.write_text(text.getvalue(), encoding="utf-8")
        return
    assert frame is not None, "only labels are written as shapes"
    matches = {entry.code: entry.match for entry in found}
    written = frame.drop(columns="code").assign(
        **{
            target: [matches[code].code if code else None for code in frame["code"]],
            f"{target}_name": [matches[code].name if code else None for code in frame["code"]],
        }
    )
    with replace_file(out, doing_this, lambda path: _has_columns(path, target)) as place:
        written.to_file(place, driver="GPKG", layer=out.stem, engine="pyogrio")


def _is_our_table(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as lines:
        return lines.readline().strip() == ",".join(COLUMNS)


def _has_columns(path: Path, target: str) -> bool:
    from pyogrio import read_info
    from pyogrio.errors import DataSourceError

    try:
        return {target, f"{target}_name"} <= set(read_info(path)["fields"])
    except DataSourceError:
        return False


def _lines(found: list[TranslatedClass], one: Nomenclature, other: Nomenclature) -> list[str]:
    relations = Counter(entry.match.relation for entry in found)
    lines = [
        f"{len(found)} classes of {one.about.title}: {relations['same']} have the same class in {other.about.title}, "
        f"{relations['broader']} a broader one, {relations['none']} none"
    ]
    for entry in found:
        known = one.find(entry.code)
        if entry.match.relation == "none":
            why = "no translation" if known else f"not a code of '{one.key}'"
            amount = f" ({entry.amount})" if entry.amount else ""
            lines.append(f"{why}: {entry.code} {entry.name if entry.name != entry.code else ''}".rstrip() + amount)
    lines += [
        f"broader: {entry.code} {entry.name} -> {entry.match.code} {entry.match.name}"
        for entry in found
        if entry.match.relation == "broader"
    ]
    return lines
