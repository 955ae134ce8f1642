"""Reference points or polygons and the map under them: counts of map class against reference class, and hectares."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.class_map import NODATA, OUTSIDE, ClassMap
from agrifm.assess.point_estimators import StratifiedPoints
from agrifm.assess.probability_sample import ProbabilitySample
from agrifm.assess.reference_data import POLYGONS, read_reference
from agrifm.assess.reference_polygons import BY_MAP, PolygonUnits, overlap_notes, polygon_units, polygons_on_map
from agrifm.assess.sample_columns import read_drawn_design, systematic_points
from agrifm.assess.sampling_statement import Sampling, chosen_points, read_method
from agrifm.assess.strata import DRAWN_IN
from agrifm.assess.zoned_map import ZonedMap, require_zone_design
from agrifm.assess.zoned_polygons import polygons_on_zones
from agrifm.codes import alike_notes, code_of, listed, read_codes, why_not_classes
from agrifm.errors import AssessmentError, LabelError, did_you_mean
from agrifm.legend import UNLABELLED, Legend, LegendClass
from agrifm.point_columns import NON_PROBABILITY
from agrifm.scores import Counts, confusion_counts
from agrifm.vector_shapes import VectorLayer
from agrifm.vectors import EXCHANGED, NOTHING_STATED, VectorKeys, count_if_exchanged

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

MIN_RELIABLE_POINTS = 10
"""Reference points of a map class below which there is a warning."""
MIN_STRATUM_POINTS = 2
"""With which a stratum says how different its points are."""


@dataclass(frozen=True)
class Confusion:
    """Counts of a map and its reference. Arrays run over the classes that the map or the reference has."""

    classes: tuple[LegendClass, ...]
    counts: Counts
    """Number of points, (map class, reference class)."""
    hectares: NDArray[np.float64]
    """Mapped hectares, (class,)."""
    complete: NDArray[np.bool_]
    """True where the points cover every pixel of the class, (class,)."""
    points: "GeoDataFrame"
    """The points used, in the map's CRS; of polygons a point inside each."""
    read: int
    """Points in the file."""
    skipped: dict[str, int]
    """Points not used, by reason."""
    warnings: tuple[str, ...]
    map_number: NDArray[np.int64]
    """(points,), class of the map at each point, in the order of `classes`."""
    reference_number: NDArray[np.int64]
    """(points,), class of the reference."""
    strata: ProbabilitySample | None = None
    """The strata of the points, or another design, where they are not the classes of this map."""
    method: str | None = None
    """How the points were drawn, as their file states it; see `agrifm.assess.sampling_statement`."""

    @property
    def drawn(self) -> ProbabilitySample:
        """The design of the points, stated or the map's classes; one of which all pixels are points has no error."""
        if self.strata is not None:
            return self.strata
        units = np.where(self.complete, self.counts.sum(axis=1), np.inf)
        return StratifiedPoints(self.map_number, self.hectares, units)

    @property
    def of_polygons(self) -> bool:
        """Whether each unit of the sample is a polygon."""
        return isinstance(self.strata, PolygonUnits)

    @property
    def codes(self) -> tuple[str, ...]:
        """Class codes in order."""
        return tuple(entry.code for entry in self.classes)


def count_confusion(
    mapped: ClassMap,
    reference: Path,
    label: str,
    keys: VectorKeys = NOTHING_STATED,
    sampling: Sampling | None = None,
) -> Confusion:
    """Count map class against reference class at the points; a point has the map class of the pixel that contains it.

    Polygons have that of most of their pixels (`agrifm.assess.reference_polygons`).

    Points without a label, without coordinates, outside the raster or on nodata are skipped and counted, and so are
    points that were chosen and not drawn, unless all are, or the user states that nothing was drawn at random.

    Args:
        reference: vector file of points or polygons; reprojected to the map's CRS.
        label: its column of class codes.
        keys: what the user states of the file.
        sampling: how the user says that the points were drawn.

    Raises:
        AssessmentError: the file cannot be used, a label is not in the map's legend, or no point can be used.
    """
    layer, chosen = _without_chosen(read_reference(reference, label, keys), sampling)
    codes, notes = _reference_codes(layer, label, mapped, reference)
    used = _locate(mapped, layer, codes, reference, chosen)
    points, codes, map_class = used.points, used.codes, used.map_class
    doing = f"reading the reference {reference}, column '{label}'"
    columns = [str(name) for name in layer.frame.columns if name != layer.frame.geometry.name]
    legend, differences = _joint_legend(mapped, codes.tolist(), doing, columns)
    counts = confusion_counts(map_class, legend.encode(codes), len(legend))
    # Classes that only the reference has come last and have no pixels.
    more = len(legend) - len(mapped.legend)
    pixels, hectares = (np.append(part, [0] * more) for part in (mapped.pixels, mapped.hectares()))
    # Several points in one pixel cover that pixel only once.
    sampled_pixels = np.unique(np.stack([map_class, used.rows, used.cols]), axis=1)
    distinct = np.bincount(sampled_pixels[0], minlength=len(legend))
    present = (pixels > 0) | (counts.sum(0) > 0)
    few = [*_few_warnings(legend, counts, pixels), *_single_class_warning(mapped, codes.tolist())]
    # Points that the user takes for no probability sample may be of several methods.
    method = None if sampling == NON_PROBABILITY else read_method(points, f"reading the reference {reference}")
    position = np.cumsum(present) - 1
    classes = tuple(entry for entry, here in zip(legend.classes, present, strict=True) if here)
    strata, drawn_in = _design(mapped, used, method, sampling, classes, position[map_class], hectares[present])
    design = _design_warnings(mapped, points, map_class, sampled_pixels.shape[1], codes, strata is not None)
    return Confusion(
        classes,
        counts[np.ix_(present, present)],
        hectares[present],
        # A class whose every pixel has a point has no sampling error.
        ((distinct == pixels) & (pixels > 0) & (used.hectares is None))[present],
        points,
        len(layer.frame) + chosen,
        used.skipped,
        (*notes, *used.notes, *differences, *drawn_in, *design, *few),
        position[map_class],
        position[legend.encode(codes)],
        strata,
        method,
    )


class _Located(NamedTuple):
    """Reference points on pixels of the map that have a class."""

    points: "GeoDataFrame"
    codes: NDArray[np.str_]
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    map_class: NDArray[np.int64]
    skipped: dict[str, int]
    notes: list[str]
    hectares: NDArray[np.float64] | None
    """Of polygons, the hectares of each that have a class on the map."""


def _design(
    mapped: ClassMap,
    used: _Located,
    method: str | None,
    sampling: Sampling | None,
    classes: tuple[LegendClass, ...],
    map_number: NDArray[np.int64],
    hectares: NDArray[np.float64],
) -> tuple[ProbabilitySample | None, list[str]]:
    """The design that the file or the user states, and notes; None for points in strata that are the map's classes."""
    if isinstance(mapped, ZonedMap):
        require_zone_design(method, [str(name) for name in used.points.columns], "reading the reference points")
        zoned = mapped.strata(used.rows, used.map_class)
        if used.hectares is None:
            return zoned, []
        return PolygonUnits(zoned.stratum, zoned.size, used.hectares, BY_MAP), []
    map_codes = np.array([entry.code for entry in classes])[map_number]
    alike = _all_alike(sampling, classes, map_number, hectares)
    as_drawn: Sampling | None = "simple" if alike else sampling
    strata, notes = read_drawn_design(used.points, method, as_drawn, map_codes, float(hectares.sum()))
    if used.hectares is None:
        if method == "systematic":
            strata = systematic_points(strata, used.points, used.rows, used.cols)
        return strata, [*alike, *notes]
    names = tuple(entry.name for entry in classes)
    return polygon_units(strata, method or as_drawn, map_number, hectares, names, used.hectares), [*alike, *notes]


def _locate(mapped: ClassMap, layer: VectorLayer, codes: NDArray[np.str_], reference: Path, chosen: int) -> _Located:
    """Find the pixel and the map's class of each point or polygon with a label.

    Raises:
        AssessmentError: no point can be used.
    """
    frame, placed, labelled = layer.frame, layer.frame.geometry.notna().to_numpy(), codes != ""
    kept = frame[placed & labelled].to_crs(mapped.grid.crs.to_wkt())
    hectares, overlaps = None, list[str]()
    if kept.geometry.geom_type.isin(POLYGONS).any():
        on_map = polygons_on_zones(mapped, kept) if isinstance(mapped, ZonedMap) else polygons_on_map(mapped, kept)
        map_class, hectares, rows, cols = on_map
        overlaps = overlap_notes(kept[map_class >= 0])
        kept = kept.set_geometry(kept.geometry.representative_point())
    else:
        rows, cols, map_class = mapped.locate(kept)
    used = map_class >= 0
    skipped = _skipped(labelled, placed, map_class) | ({"chosen, not drawn": chosen} if chosen else {})
    outside = frame[placed & labelled][map_class == OUTSIDE]
    exchanged = len(outside) and count_if_exchanged(outside, mapped.grid.footprint())
    if not used.any():
        raise _none_used(reference, len(frame) + chosen, skipped, exchanged)
    notes = [f"{exchanged} reference points are outside the map; {EXCHANGED}"] if exchanged else []
    found = (kept[used], codes[placed & labelled][used], rows[used], cols[used], map_class[used], skipped)
    return _Located(*found, notes + overlaps, None if hectares is None else hectares[used])


def _without_chosen(layer: VectorLayer, sampling: Sampling | None) -> tuple[VectorLayer, int]:
    """Leave out the points that were chosen and not drawn, and count them; if all were, they stay, to be refused."""
    chosen = chosen_points(layer.frame)
    if sampling == NON_PROBABILITY or chosen.all() or not chosen.any():
        return layer, 0
    return replace(layer, frame=layer.frame[~chosen]), int(chosen.sum())


def _skipped(labelled: NDArray[np.bool_], placed: NDArray[np.bool_], map_class: NDArray[np.int64]) -> dict[str, int]:
    """Points that are not used, by reason."""
    return {
        "no label": int((~labelled).sum()),
        "no place": int((labelled & ~placed).sum()),
        "outside the map": int((map_class == OUTSIDE).sum()),
        "on nodata": int((map_class == NODATA).sum()),
    }


def _none_used(reference: Path, read: int, skipped: dict[str, int], exchanged: int) -> AssessmentError:
    reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items() if count) or "the file is empty"
    remedy = f"{EXCHANGED}, so put these right in the file" if exchanged else "label points inside the map"
    return AssessmentError(
        f"comparing the map with {reference}: none of its {read} points can be used ({reasons}); {remedy}",
        read=read,
        skipped=skipped,
        exchanged=exchanged,
    )


def _reference_codes(
    layer: VectorLayer, label: str, mapped: ClassMap, reference: Path
) -> tuple[NDArray[np.str_], list[str]]:
    """Codes in the reference's column, "" for a point without a label, and notes on the file and on them.

    A code that a class of the map stands for, such as a crop of a map of cropland, is that class.
    """
    try:
        codes, notes = read_codes(layer.frame[label], mapped.legend.every_code)
    except LabelError as error:
        raise AssessmentError(f"reading the reference {reference}, column '{label}': {error}", **error.facts) from error
    meant = [mapped.legend.class_code(code) for code in codes]
    return np.array(meant, dtype=np.str_), [*layer.notes, *notes]


def _joint_legend(
    mapped: ClassMap, codes: Sequence[str], doing: str, columns: Sequence[str]
) -> tuple[Legend, list[str]]:
    """The map's classes, and notes; if the map has no legend, also the classes that only the reference has.

    Raises:
        AssessmentError: no label is a class of the map; or labels that are not, if the map has a legend, are more than
            255, or are identifiers or dates.
    """
    labels = Counter(codes)
    new = sorted(set(labels) - set(mapped.legend.codes))
    known, unknown = listed(mapped.legend.codes), listed(new)
    if len(new) == len(labels):
        names = {entry.name: entry.code for entry in mapped.legend.classes}
        if set(new) <= set(names):
            pairs = ", ".join(f"{names[name]} = {name}" for name in new[:8])
            remedy = f"the labels are the names of its classes, so write their codes instead ({pairs})"
        else:
            remedy = f"name the column of the class codes (columns: {', '.join(columns)})"
            remedy += did_you_mean(new[0], mapped.legend.codes, 0.6)
        raise AssessmentError(
            f"{doing}: none of the labels ({unknown}) is a class of the map ({known}); {remedy}",
            labels=new,
            known=mapped.legend.codes,
        )
    if mapped.has_legend:
        for code in new:
            try:
                mapped.legend.number(code)
            except LabelError as error:
                raise AssessmentError(f"{doing}: {error}", **error.facts) from error
        return mapped.legend, []
    if not new:
        return mapped.legend, []
    fault = why_not_classes(codes)
    if fault or len(mapped.legend) + len(new) > UNLABELLED:
        raise AssessmentError(
            f"{doing}: {fault or f'the map does not have {len(new)} of the labels ({unknown})'}; name the column of "
            f"the class codes (columns: {', '.join(columns)})",
            unknown=len(new),
        )
    points = sum(labels[code] for code in new)
    notes = [
        f"{points} of {len(codes)} reference points have labels ({unknown}) that are not among the map's ({known})"
    ]
    similar = alike_notes(labels + Counter(mapped.legend.codes))
    # The map's own classes keep their names and colours.
    added = Legend.of([*mapped.legend.codes, *new]).classes[len(mapped.legend) :]
    return Legend(classes=(*mapped.legend.classes, *added)), [*notes, *similar]


def _single_class_warning(mapped: ClassMap, codes: Sequence[str]) -> list[str]:
    if len(set(codes)) > 1 or np.count_nonzero(mapped.pixels) < 2:
        return []
    return [f"every reference point has the class '{codes[0]}', so nothing is known of the others; check the labels"]


def _design_warnings(
    mapped: ClassMap,
    points: "GeoDataFrame",
    map_class: NDArray[np.int64],
    distinct: int,
    codes: NDArray[np.str_],
    strata_known: bool,
) -> list[str]:
    """In which ways the points are not a random sample of the strata that estimates use."""
    notes = []
    labels_at = points.geometry.to_wkb().to_frame("place").assign(code=codes).drop_duplicates()
    contradicted = int(labels_at["place"].duplicated().sum())
    if contradicted:
        notes.append(f"{contradicted} reference points have the place of another point, but a different label")
    if len(points) > distinct:
        notes.append(
            f"{len(points) - distinct} reference points share a pixel with another; they count as independent, which "
            "makes intervals too narrow"
        )
    if DRAWN_IN in points.columns and (not strata_known or isinstance(mapped, ZonedMap)):
        drawn = [code_of(value) for value in points[DRAWN_IN]]
        moved = sum(code != mapped.legend.codes[number] for code, number in zip(drawn, map_class, strict=True))
        if moved:
            notes.append(
                f"{moved} reference points are in another class of this map than the one they were drawn in; they "
                "were drawn for another map, so the intervals are approximate"
            )
    return notes


def _all_alike(
    sampling: Sampling | None,
    classes: Sequence[LegendClass],
    map_number: NDArray[np.int64],
    hectares: NDArray[np.float64],
) -> list[str]:
    """A warning where points that nobody drew do not reach every class, so that classes cannot be their strata."""
    points = np.bincount(map_number, minlength=len(classes))
    lacking = [
        entry.name
        for entry, count, size in zip(classes, points, hectares, strict=True)
        if size > 0 and count < MIN_STRATUM_POINTS
    ]
    if sampling != NON_PROBABILITY or not lacking:
        return []
    return [
        f"fewer than {MIN_STRATUM_POINTS} reference points are on the map's {listed(lacking)}, so all points count "
        "alike, wherever they are"
    ]


def _few_warnings(legend: Legend, counts: Counts, pixels: NDArray[np.int64]) -> list[str]:
    return [
        f"the map class '{entry.name}' has {f'only {points}' if points else 'no'} reference "
        f"point{'' if points == 1 else 's'}, too few for a reliable interval"
        for entry, points, size in zip(legend.classes, counts.sum(1), pixels, strict=True)
        if points < min(MIN_RELIABLE_POINTS, size)
    ]
