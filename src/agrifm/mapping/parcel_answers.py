"""One part of a file of parcels: its polygons with their crops, as one part of the result.

Shape letters: P parcels, C classes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from agrifm.codes import code_of
from agrifm.errors import MapError, doing
from agrifm.files import atomic_write
from agrifm.grid import LONLAT, Grid, Window, geodesic_measures
from agrifm.legend import Legend
from agrifm.mapping.fiboa_table import SIGNATURE, HcatClass, ParcelShapes, parcel_rows, parcel_schema
from agrifm.mapping.parcel_map import raster_of
from agrifm.mapping.parcel_pooling import PartOfMap, PooledParcels, ReadMap, pool_parcels
from agrifm.mapping.parcel_summary import COUNTS
from agrifm.mapping.probability_layer import OBSERVATIONS_FILE, PROBABILITIES_FILE
from agrifm.mosaics import open_raster_or_mosaic
from agrifm.vector_batches import ROW, BatchUnit, VectorBatches
from agrifm.vector_shapes import VectorLayer, overlapping
from agrifm.vectors import reading_vector

if TYPE_CHECKING:
    import pyarrow
    from geopandas import GeoDataFrame

NEAR = 0.1
"""Relative difference up to which a stated area counts as that of the outline."""
MOST_NAMED = 5
"""Parcels that a part names."""


class ParcelAnswers(NamedTuple):
    """What is answered on the parcels of a batch."""

    table: Any
    """Rows of the result, with their signature."""
    hectares: NDArray[np.float64]
    """(C + 1,), of the parcels of each class, then of those without an answer."""
    unknown: NDArray[np.bool_]
    """(P,), parcels without an answer."""
    pixels: NDArray[np.float64]
    """(P,), size in pixels of the map."""
    tonnes: float = 0.0
    """Production of the parcels, of a map of yields."""


AnswerParcels = Callable[[ParcelShapes, "GeoDataFrame"], ParcelAnswers]
"""Answers parcels, whose outlines in the CRS of the file are the frame's."""
ReadRaster = Callable[[Path], AbstractContextManager[tuple[Grid, ReadMap]]]
"""Opens the rasters of a zone: yields their grid, and what reads them."""


@dataclass(frozen=True)
class AnswerJob:
    """What every part needs: plain values, which can be sent to another process."""

    batches: VectorBatches
    columns: tuple[str | None, str | None]
    """Of the parcels' names and areas."""
    zones: tuple[Path, ...]
    """Directories with the rasters of the map, each in another CRS."""
    legend: Legend
    hcat: Mapping[str, HcatClass]
    about: Mapping[str, str]
    """Of the map."""
    area: str
    """Of the map, as WKT in longitude and latitude."""
    parts: Path
    """Directory of the parts."""
    doing: str
    """The start of an error's sentence."""

    rasters: ClassVar[tuple[str, ...]] = (PROBABILITIES_FILE,)
    """Files of the map that decide the answers."""

    @contextmanager
    def answering(self) -> Iterator[AnswerParcels]:
        """Open the map: yields what answers parcels."""
        with open_zones(self.zones, _open_rasters) as parts_of:

            def answer(parcels: ParcelShapes, frame: "GeoDataFrame") -> ParcelAnswers:
                found = pool_parcels(len(parcels), parts_of(parcels, frame), len(self.legend))
                table = parcel_rows(self.schema, self.legend, self.hcat, parcels, found)
                hectares = _hectares(parcels, found, len(self.legend))
                return ParcelAnswers(table, hectares, np.isnan(found.observations), found.pixels)

            yield answer

    @cached_property
    def schema(self) -> "pyarrow.Schema":
        """The columns of the result."""
        return parcel_schema(self.legend, self.hcat, self.about)

    def name(self, number: int) -> str:
        """Return the name of a part."""
        return f"{number:06d}.parquet"


def answer_unit(job: AnswerJob, numbered: tuple[int, BatchUnit]) -> dict[str, Any]:
    """Write the part of one unit; returns what is counted, hectares by class, and names of parcels that overlap.

    Raises:
        MapError: the file of parcels is damaged.
    """
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    number, unit = numbered
    counts = dict.fromkeys(COUNTS, 0)
    hectares, tonnes = np.zeros(len(job.legend) + 1), 0.0
    named: list[str] = []
    path = job.parts / job.name(number)
    schema = job.schema.append(pyarrow.field(SIGNATURE, pyarrow.uint64()))
    with (
        reading_vector(unit.file, job.doing, MapError, has_keys=True),
        atomic_write(path) as temporary,
        ParquetWriter(temporary, schema, compression="zstd") as writer,
        job.answering() as answer,
    ):
        area = shapely.from_wkt(job.area)
        shapely.prepare(area)
        for layer in job.batches.read(unit, [name for name in job.columns if name is not None]):
            parcels, frame = _on_map(job, layer, area, counts)
            if not len(parcels):
                continue
            found = answer(parcels, frame)
            writer.write_table(found.table.cast(schema))
            hectares, tonnes = hectares + found.hectares, tonnes + found.tonnes
            _count(counts, parcels, found)
            named += [parcels.id[at] for at in np.flatnonzero(parcels.overlaps)[:MOST_NAMED].tolist()]
    stated = {"hectares": hectares.tolist(), "tonnes": tonnes, "named": named[:MOST_NAMED]}
    return {**counts, **stated, "bytes": path.stat().st_size}


@contextmanager
def open_zones(
    zones: tuple[Path, ...], open_rasters: ReadRaster
) -> Iterator[Callable[[ParcelShapes, "GeoDataFrame"], list[PartOfMap]]]:
    """Open the rasters of zones: yields a function that returns the parts of the map that parcels are on."""
    with ExitStack() as opened:
        maps = [opened.enter_context(open_rasters(zone)) for zone in zones]

        def parts_of(parcels: ParcelShapes, frame: "GeoDataFrame") -> list[PartOfMap]:
            parts = []
            for grid, read in maps:
                near = np.arange(len(parcels))
                if len(maps) > 1:
                    near = np.flatnonzero(shapely.intersects(_extent(grid), parcels.lonlat))
                if len(near):
                    shapes = frame.geometry.iloc[near].to_crs(grid.crs.to_wkt()).to_numpy()
                    parts.append(PartOfMap(grid, read, near, np.asarray(shapes, object)))
            return parts

        yield parts_of


def _extent(grid: Grid) -> Any:
    """The extent of a grid in longitude and latitude, in two parts across longitude 180."""
    from rasterio.warp import transform_bounds

    west, south, east, north = transform_bounds(grid.crs.to_wkt(), LONLAT, *grid.bounds, densify_pts=101)
    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.union(shapely.box(west, south, 180, north), shapely.box(-180, south, east, north))


@contextmanager
def _open_rasters(zone: Path) -> Iterator[tuple[Grid, ReadMap]]:
    """The grid of a map, and a function that reads its probabilities and observations."""
    from rasterio.windows import Window as RasterioWindow

    with (
        open_raster_or_mosaic(raster_of(zone, PROBABILITIES_FILE)) as classes,
        open_raster_or_mosaic(raster_of(zone, OBSERVATIONS_FILE)) as counts,
    ):

        def read(window: Window) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            part = RasterioWindow(window.col, window.row, window.width, window.height)
            with doing(f"reading the map {zone}", MapError, "it is damaged, so make it again", path=zone):
                return classes.read(window=part), counts.read(1, window=part)

        yield Grid.of(classes.crs.to_wkt(), classes.transform, classes.shape), read


def _on_map(
    job: AnswerJob, layer: VectorLayer, area: Any, counts: dict[str, int]
) -> tuple[ParcelShapes, "GeoDataFrame"]:
    """The polygons of a layer that share ground with the map's area, and their rows of the file."""
    frame = layer.frame
    missing = frame.geometry.isna().to_numpy()
    counts["left_out"] += sum(layer.left_out.values())
    counts["shapeless"] += int(missing.sum())
    frame, mended = frame[~missing], layer.mended_rows[~missing]
    lonlat = frame.to_crs(LONLAT)
    near = shapely.intersects(area, lonlat.geometry.to_numpy())
    frame, lonlat, mended = frame[near], lonlat[near], mended[near]
    outlines = np.asarray(lonlat.geometry.to_numpy(), object)
    metres2, metres = geodesic_measures(outlines) if len(frame) else (np.zeros(0), np.zeros(0))
    _compare_areas(job, frame, metres2, counts)
    rows = frame[ROW].to_numpy(np.int64)
    parcels = ParcelShapes(_names(job, frame, counts), outlines, rows, metres2, metres, mended, overlapping(frame))
    return parcels, frame


def _names(job: AnswerJob, frame: "GeoDataFrame", counts: dict[str, int]) -> list[str]:
    """The names of parcels; the number of the row of those that have none."""
    rows = frame[ROW].tolist()
    column = job.columns[0]
    if column is None:
        return [str(row) for row in rows]
    names = ["" if value is None or value != value else code_of(value) for value in frame[column].tolist()]
    counts["unnamed"] += names.count("")
    return [name or str(row) for name, row in zip(names, rows, strict=True)]


def _compare_areas(job: AnswerJob, frame: "GeoDataFrame", metres2: NDArray[np.float64], counts: dict[str, int]) -> None:
    """Count the stated areas that are those of the outlines in m² and in hectares."""
    from pandas import to_numeric

    column = job.columns[1]
    if column is None:
        return
    stated = to_numeric(frame[column], errors="coerce").to_numpy(np.float64)
    known = np.isfinite(stated) & (stated > 0) & (metres2 > 0)
    ratio = stated[known] / metres2[known]
    counts["areas"] += int(known.sum())
    counts["areas_m2"] += int((np.abs(ratio - 1) < NEAR).sum())
    counts["areas_ha"] += int((np.abs(ratio * 1e4 - 1) < NEAR).sum())


def _count(counts: dict[str, int], parcels: ParcelShapes, found: ParcelAnswers) -> None:
    counts["parcels"] += len(parcels)
    counts["mended"] += int(parcels.mended.sum())
    counts["overlaps"] += int(parcels.overlaps.sum())
    counts["unobserved"] += int(found.unknown.sum())
    counts["below_pixel"] += int((found.pixels < 1).sum())


def _hectares(parcels: ParcelShapes, found: PooledParcels, classes: int) -> NDArray[np.float64]:
    """Hectares of the parcels of each class, then of those without a crop, (C + 1,)."""
    known = ~np.isnan(found.observations)
    number = np.full(len(parcels), classes)
    number[known] = found.probabilities[known].argmax(axis=1)
    return np.asarray(np.bincount(number, parcels.square_metres / 1e4, classes + 1), np.float64)
