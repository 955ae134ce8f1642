"""What a file of labels holds before there is a cube: the likeliest column of classes, counts, and what is doubtful."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasterio.transform import from_origin
from shapely.geometry.base import BaseGeometry

from agrifm.codes import listed, read_codes, why_not_classes
from agrifm.errors import LabelError, did_you_mean
from agrifm.grid import LONLAT, Grid
from agrifm.samples.label_rasters import raster_codes_on
from agrifm.vectors import NOTHING_STATED, read_vector

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

RASTERS = (".tif", ".tiff", ".vrt")
WORDS = ("crop", "cultu", "kultur", "hcat", "ewoc", "label", "class", "klasse", "landuse", "land_cover", "type")
"""Parts of the names of columns of classes, the likeliest first."""
MOST_CLASSES = 100
"""A column with more different values is hardly one of classes."""
FEW = 15
"""Labels of a class below which its score says little."""
SAMPLED = 500
"""Pixels along the longer side of the area at which a raster of labels is looked at."""
MOST_SHOWN = 12
"""Classes that are named with their number of labels."""


@dataclass(frozen=True)
class LabelSummary:
    """What a file of labels holds."""

    column: str | None
    """Of the class codes; None for a raster."""
    lines: list[str]
    codes: tuple[str, ...] = ()
    """Class codes of a vector file."""


def describe_labels(file: Path, area: BaseGeometry, column: str | None = None) -> LabelSummary:
    """Say what a file of labels holds: the column of the classes, labels of each class, and what is doubtful.

    Args:
        area: in longitude and latitude.
        column: of the class codes; None = the likeliest one.

    Raises:
        LabelError: the file cannot be read, lacks the column, or has no column that can be that of the classes.
    """
    about = f"looking through the labels {file}"
    if file.suffix.lower() in RASTERS:
        return LabelSummary(None, _raster_lines(file, area, about))
    layer = read_vector(file, about, LabelError, keys=NOTHING_STATED)
    chosen, others = _class_column(layer.frame, column, about)
    codes, notes = read_codes(layer.frame[chosen])
    counts = Counter(code for code in codes if code)
    shown = ", ".join(f"{code} {number}" for code, number in counts.most_common(MOST_SHOWN))
    more = f" and {len(counts) - MOST_SHOWN} more classes" if len(counts) > MOST_SHOWN else ""
    lines = [f"labels: {counts.total()} of {len(counts)} classes in the column '{chosen}': {shown}{more}"]
    if others:
        lines.append(
            f"labels: classes could also be in the columns {listed(others, 4)}; `column` under [labels] decides"
        )
    lines += [*layer.notes, *notes, *(f"warning: {doubt}" for doubt in _doubts(layer.frame, counts, area))]
    return LabelSummary(chosen, lines, tuple(sorted(counts)))


def _raster_lines(file: Path, area: BaseGeometry, about: str) -> list[str]:
    """What a raster of class codes holds around the area, from a sample of its pixels."""
    west, south, east, north = area.bounds
    side = max(east - west, north - south) / SAMPLED
    shape = max(1, round((north - south) / side)), max(1, round((east - west) / side))
    codes, known, _ = raster_codes_on(file, Grid.of(LONLAT, from_origin(west, north, side, side), shape), about)
    if not known.any():
        return [f"warning: the raster {file.name} has no class in the area"]
    counts = Counter(codes[known].tolist())
    if len(counts) > MOST_CLASSES:
        raise LabelError(
            f"{about}: it has {len(counts)} different values, so they are measures, not classes; give a raster of "
            "class codes",
            values=len(counts),
        )
    shown = ", ".join(f"{code:g} {100 * number / known.sum():.1f} %" for code, number in counts.most_common(MOST_SHOWN))
    return [f"labels: {len(counts)} codes in the raster {file.name}, of which in the area: {shown}"]


def _class_column(frame: "GeoDataFrame", stated: str | None, about: str) -> tuple[str, list[str]]:
    """The column of the classes, and others that could be it."""
    names = [str(name) for name in frame.columns if name != frame.geometry.name]
    if stated is not None:
        if stated not in names:
            raise LabelError(
                f"{about}: it has no column '{stated}' (it has {', '.join(names) or 'none'})"
                f"{did_you_mean(stated, names)}",
                column=stated,
            )
        return stated, []
    possible = [name for name in names if _can_be_classes(frame[name])]
    if not possible:
        raise LabelError(
            f"{about}: no column can be that of the classes (columns: {', '.join(names) or 'none'}); it needs one with "
            "the class of each place, and `--column` names it",
            columns=names,
        )
    labelled = {name: int(frame[name].notna().sum()) for name in possible}
    ranked = sorted(possible, key=lambda name: (_rank(name), -labelled[name], names.index(name)))
    return ranked[0], ranked[1:]


def _can_be_classes(values: Any) -> bool:
    """Whether a column has a few different texts or whole numbers, more than one of them several times."""
    try:
        codes, _ = read_codes(values)
    except LabelError:  # such as measures
        return False
    counts = Counter(code for code in codes if code)
    repeated = sum(number > 1 for number in counts.values())
    return 1 <= len(counts) <= MOST_CLASSES and repeated > 0 and why_not_classes(codes) is None


def _rank(name: str) -> int:
    return next((rank for rank, word in enumerate(WORDS) if word in name.casefold()), len(WORDS))


def _doubts(frame: "GeoDataFrame", counts: Counter[str], area: BaseGeometry) -> Iterator[str]:
    """What may be wrong with labels, one sentence each."""
    if len(counts) < 2:
        yield "all labels have one class; a model needs two, so label something else too"
    scarce = [code for code, number in counts.items() if number < FEW]
    if scarce and len(counts) > 1:
        yield f"fewer than {FEW} labels of {listed(scarce)}; their scores will say little"
    placed = frame.geometry.dropna().to_crs(LONLAT)
    inside = int(placed.intersects(area).sum())
    if not inside:
        west, south, east, north = placed.total_bounds
        yield (
            f"none of the labels is in the area; they are at longitude {west:.3f} to {east:.3f}, latitude {south:.3f} "
            f"to {north:.3f}"
        )
    elif 2 * inside < len(placed):
        yield f"{len(placed) - inside} of {len(placed)} labels are outside the area and will not be used"
