"""Compares reference points with the map under them: counts of map class against reference class, and hectares."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.class_map import NODATA, OUTSIDE, ClassMap
from agrifm.assess.reference import read_reference
from agrifm.errors import AssessmentError, LabelError
from agrifm.legend import UNLABELLED, Legend, LegendClass, code_of
from agrifm.scores import Counts, confusion_counts

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

FEW = 10
"""Reference points below which the numbers of a map class come with a warning."""


@dataclass(frozen=True)
class Confusion:
    """A map and its reference, counted. Arrays run over the classes that the map or the reference has."""

    classes: tuple[LegendClass, ...]
    counts: Counts
    """(map class, reference class), number of points."""
    hectares: NDArray[np.float64]
    """(class,), mapped hectares."""
    complete: NDArray[np.bool_]
    """(class,), True where the points cover every pixel of the class."""
    points: "GeoDataFrame"
    """The points used, in the map's CRS."""
    read: int
    """Points in the file."""
    skipped: dict[str, int]
    """Points not used, by reason."""
    warnings: tuple[str, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        """Class codes in order."""
        return tuple(entry.code for entry in self.classes)


def compare(mapped: ClassMap, reference: Path, label: str) -> Confusion:
    """Count map class against reference class at the points; a point takes the class of the pixel it lies in.

    Points without a label, without a place, outside the raster or on nodata are skipped and counted.

    Args:
        reference: vector file of points; reprojected to the map's CRS.
        label: its column of class codes.

    Raises:
        AssessmentError: the file cannot be used, a label is not in the map's legend, or no point can be used.
    """
    frame = read_reference(reference, label)
    placed = frame.geometry.notna() & ~frame.geometry.is_empty
    labelled = np.array([written(value) != "" for value in frame[label]])
    kept = frame[placed & labelled].to_crs(mapped.grid.crs.to_wkt())
    rows, cols = _pixels(mapped, kept)
    found = mapped.sample(rows, cols)
    used = found >= 0
    skipped = {
        "no label": int((~labelled).sum()),
        "no place": int((labelled & ~placed).sum()),
        "outside the map": int((found == OUTSIDE).sum()),
        "on nodata": int((found == NODATA).sum()),
    }
    if not used.any():
        reasons = ", ".join(f"{number} {reason}" for reason, number in skipped.items() if number) or "the file is empty"
        raise AssessmentError(
            f"comparing the map with {reference}: none of its {len(frame)} points can be used ({reasons}); label "
            "points that lie on the map"
        )
    points = kept[used]
    codes = [written(value) for value in points[label]]
    legend = _joint_legend(mapped, codes, f"reading the reference {reference}, column '{label}'")
    counts = confusion_counts(found[used], legend.encode(codes), len(legend))
    pixels, hectares = np.zeros(len(legend), np.int64), np.zeros(len(legend))
    pixels[: len(mapped.legend)], hectares[: len(mapped.legend)] = mapped.pixels, mapped.hectares()
    places = np.unique(np.stack([found[used], rows[used], cols[used]]), axis=1)
    distinct = np.bincount(places[0], minlength=len(legend))
    present = (pixels > 0) | (counts.sum(0) > 0)
    return Confusion(
        tuple(entry for entry, here in zip(legend.classes, present, strict=True) if here),
        counts[np.ix_(present, present)],
        hectares[present],
        ((distinct == pixels) & (pixels > 0))[present],
        points,
        len(frame),
        skipped,
        (
            *_point_warnings(mapped, points, found[used], places.shape[1]),
            *_few_warnings(legend, counts, pixels),
        ),
    )


def written(value: Any) -> str:
    """A label as a code; "" where it is absent (None, NaN, blank)."""
    return "" if value is None or value != value else code_of(value)


def _pixels(mapped: ClassMap, points: "GeoDataFrame") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the pixel that holds each point; -1 where the point cannot be projected."""
    x, y = points.geometry.get_coordinates().to_numpy().T
    finite = np.isfinite(x) & np.isfinite(y)
    transform = mapped.grid.transform
    cols = np.floor((np.where(finite, x, -np.inf) - transform.c) / transform.a)
    rows = np.floor((np.where(finite, y, np.inf) - transform.f) / transform.e)
    rows, cols = (np.clip(place, -1, 2**40).astype(np.int64) for place in (rows, cols))
    return rows, cols


def _joint_legend(mapped: ClassMap, codes: Sequence[str], doing: str) -> Legend:
    """The map's classes; without a legend of its own, also the reference's that the map does not have."""
    if not mapped.own_legend:
        new = sorted(set(codes) - set(mapped.legend.codes))
        if len(mapped.legend) + len(new) > UNLABELLED:
            raise AssessmentError(
                f"{doing}: {len(new)} different labels are unknown to the map; is it the right column?"
            )
        return Legend.of([*mapped.legend.codes, *new])
    for code in sorted(set(codes)):
        try:
            mapped.legend.number(code)
        except LabelError as error:
            raise AssessmentError(f"{doing}: {error}") from error
    return mapped.legend


def _point_warnings(mapped: ClassMap, points: "GeoDataFrame", found: NDArray[np.int64], places: int) -> list[str]:
    """What makes the points no stratified random sample of this map."""
    notes = []
    if len(points) > places:
        notes.append(
            f"{len(points) - places} reference points share a pixel with another; they count as independent, which "
            "makes intervals too narrow"
        )
    if "map_class" in points.columns:
        drawn = [written(value) for value in points["map_class"]]
        moved = sum(code != mapped.legend.codes[number] for code, number in zip(drawn, found, strict=True))
        if moved:
            notes.append(
                f"{moved} reference points lie in another class of this map than the one they were drawn in; they "
                "were drawn for another map, so the intervals hold only roughly"
            )
    return notes


def _few_warnings(legend: Legend, counts: Counts, pixels: NDArray[np.int64]) -> list[str]:
    return [
        f"the map class '{entry.name}' has only {number} reference points, too few for a reliable interval"
        for entry, number, size in zip(legend.classes, counts.sum(1), pixels, strict=True)
        if number < min(FEW, size)
    ]
