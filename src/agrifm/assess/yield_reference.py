"""Reference yields, of points or of parcels, and what a map of yields says there.

A point has the yield of the pixel that contains it, a parcel the mean over its pixels. Units that the design drew on
ground without a mapped yield stay in the sample, because the design's weights count them; they have no pair.

Shape letters: N units (points or parcels).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from agrifm.assess.intervals import Floats
from agrifm.assess.number_map import NumberMap, NumbersAt, numbers_at_points, numbers_in_polygons
from agrifm.assess.reference_data import POLYGONS, read_reference
from agrifm.assess.reference_polygons import overlap_notes
from agrifm.assess.sample_columns import CLUSTER, FIRST
from agrifm.assess.strata import DRAWN_IN, HECTARES, STRATUM
from agrifm.codes import listed, read_codes
from agrifm.errors import AssessmentError, LabelError
from agrifm.grid import LONLAT, geodesic_measures
from agrifm.record import METRES_PER_DEGREE
from agrifm.samples.yield_values import require_plausible, yield_numbers
from agrifm.vector_shapes import VectorLayer
from agrifm.vectors import VectorKeys
from agrifm.yields import LEAST_MAPPED, TONNES, YieldUnit

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


@dataclass(frozen=True)
class YieldPairs:
    """The units of a reference that are used."""

    points: "GeoDataFrame"
    """In the map's CRS; of a parcel a point inside it."""
    tonnes: Floats
    """(N,), t/ha of the map's crop; NaN where another crop grows, or the map has no yield."""
    mapped: Floats
    """(N, 3), yield and ends of its interval on the map; NaN where it has none."""
    of_parcels: Floats | None
    """(N,), hectares of each parcel; None of points."""
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    read: int
    skipped: dict[str, int]
    """Units of the file without a pair, by reason."""
    notes: tuple[str, ...]

    @property
    def on_map(self) -> NDArray[np.bool_]:
        """(N,), whether the map has a yield there."""
        return ~np.isnan(self.mapped[:, 0])

    @property
    def paired(self) -> NDArray[np.bool_]:
        """(N,), whether there are both yields."""
        return self.on_map & ~np.isnan(self.tonnes)

    @property
    def produced(self) -> Floats:
        """(N,), t/ha of the crop on ground where the map states it: 0 where another crop grows."""
        return np.where(np.isnan(self.tonnes), 0, self.tonnes)


def read_yield_pairs(
    mapped: NumberMap, reference: Path, label: str, unit: YieldUnit, crop: str, keys: VectorKeys
) -> YieldPairs:
    """Read reference yields and the map's yields there.

    Args:
        reference: vector file of points or polygons.
        label: its column of yields.
        unit: of these numbers.
        crop: its column of crops; a file without it has the map's crop alone.
        keys: what the user states of the file.

    Raises:
        AssessmentError: the file cannot be used, the column is not one of yields in that unit, or no unit has both
            yields.
    """
    layer = read_reference(reference, label, keys)
    frame, about = layer.frame, f"reading the reference {reference}, column '{label}'"
    tonnes, other, notes = _tonnes(layer, mapped, label, unit, crop, about)
    placed = (frame.geometry.notna() & ~frame.geometry.is_empty).to_numpy()
    known = other | ~np.isnan(tonnes)
    kept = frame[placed].to_crs(mapped.grid.crs.to_wkt())
    parcels = bool(kept.geometry.geom_type.isin(POLYGONS).any())
    found, hectares = numbers_at_points(mapped, kept) if not parcels else None, None
    if found is None:
        found, hectares = numbers_in_polygons(mapped, kept, LEAST_MAPPED), _hectares(kept)
        notes += overlap_notes(kept)
        kept = kept.set_geometry(kept.geometry.representative_point())
    on_map = ~np.isnan(found.values[:, 0])
    used = on_map & known[placed] | ~on_map & _keeps_all(kept)
    skipped = _skipped(placed, known, other, found, on_map)
    tonnes = np.where(on_map, tonnes[placed], np.nan)
    if not (on_map & ~np.isnan(tonnes)).any():
        reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items() if count) or "the file is empty"
        raise AssessmentError(
            f"comparing the map with {reference}: none of its {len(frame)} points or parcels has a yield where the map "
            f"has one ({reasons}); give yields of {listed(mapped.legend.codes)} inside the map",
            read=len(frame),
            skipped=skipped,
        )
    return YieldPairs(
        kept[used], tonnes[used], found.values[used], None if hectares is None else hectares[used],
        found.rows[used], found.cols[used], len(frame), skipped, (*layer.notes, *notes),
    )  # fmt: skip


def _tonnes(
    layer: VectorLayer, mapped: NumberMap, label: str, unit: YieldUnit, column: str, about: str
) -> tuple[Floats, NDArray[np.bool_], list[str]]:
    """Yields of the map's crop in t/ha, NaN where there is none; where another crop grows; and notes."""
    frame, crops = layer.frame, mapped.legend.codes
    try:
        tonnes = yield_numbers(frame[label], about, "name the column of the yields with --label") * TONNES[unit]
        codes, notes = np.full(len(frame), crops[0], object), list[str]()
        if column in frame.columns and column != label:
            found, notes = read_codes(frame[column])
            codes = np.array(found, object)
        else:
            notes.append(f"it has no column '{column}' of crops, so all of its yields are taken for {listed(crops)}")
        of_crop = np.isin(codes, crops)
        usable = of_crop & ~np.isnan(tonnes)
        if not usable.any():
            raise AssessmentError(
                f"{about}: no row with a yield has {listed(crops)} in its column '{column}' (it has "
                f"{listed(sorted(set(codes) - {''})) or 'nothing'}); give yields of the map's crop, or name its column "
                "with --crop",
                crops=crops,
            )
        named = np.where(of_crop, crops[0], codes)
        require_plausible(tonnes, named, crops[:1], usable, unit, about)
    except LabelError as error:
        raise AssessmentError(str(error), **error.facts) from error
    return np.where(of_crop, tonnes, np.nan), ~of_crop & (codes != ""), notes


def _hectares(polygons: "GeoDataFrame") -> Floats:
    return geodesic_measures(polygons.geometry.to_crs(LONLAT).to_numpy())[0] / 1e4


def _keeps_all(points: "GeoDataFrame") -> bool:
    """Whether the file states strata, clusters or phases, whose weights count units without a pair too."""
    columns = set(points.columns)
    return (HECTARES in columns and bool({STRATUM, DRAWN_IN, FIRST} & columns)) or CLUSTER in columns


def _skipped(
    placed: NDArray[np.bool_], known: NDArray[np.bool_], other: NDArray[np.bool_], found: NumbersAt,
    on_map: NDArray[np.bool_],
) -> dict[str, int]:  # fmt: skip
    """Units without a pair, by reason."""
    return {
        "no place": int((~placed).sum()),
        "outside the map": int((~found.inside).sum()),
        "no yield on the map": int((found.inside & ~on_map).sum()),
        "another crop": int((on_map & other[placed]).sum()),
        "no yield": int((on_map & ~known[placed]).sum()),
    }


def block_numbers(points: "GeoDataFrame", side: float) -> NDArray[np.int64]:
    """Return the number of the square of `side` metres that contains each point (N,), in the CRS of the points."""
    x, y = shapely.get_coordinates(points.geometry.to_numpy()).T
    step = side / (METRES_PER_DEGREE if points.crs.is_geographic else 1)
    square = np.floor(np.stack([x, y], axis=1) / step).astype(np.int64)
    return np.unique(square, axis=0, return_inverse=True)[1].ravel()
