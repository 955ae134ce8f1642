"""Yields of existing parcels, from a finished map of yields: GeoParquet that is valid fiboa 0.3.0.

A parcel has a yield if at least half of its ground has one on the map, which is where its crop was mapped; the yield is
the mean over that ground, and the production is the yield times the parcel's hectares. The interval of a parcel is that
of `agrifm.yields`, which was made for fields. Names of columns have their unit.

Shape letters: P parcels.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import shapely
from numpy.typing import NDArray

from agrifm.errors import MapError, doing
from agrifm.grid import Grid, Window
from agrifm.legend import UNLABELLED
from agrifm.mapping.fiboa_table import (
    OWN_COLUMNS,
    ParcelShapes,
    of_parcels,
    plain_schema,
    shape_columns,
    shape_fields,
    signed_table,
)
from agrifm.mapping.parcel_answers import AnswerJob, AnswerParcels, ParcelAnswers, open_zones
from agrifm.mapping.parcel_districts import DistrictFile, open_districts
from agrifm.mapping.parcel_files import parcel_batches
from agrifm.mapping.parcel_map import raster_of
from agrifm.mapping.parcel_pooling import ReadMap, pool_means
from agrifm.mapping.parcel_style import write_yield_style
from agrifm.mapping.yield_layer import YIELD_FILE
from agrifm.mosaics import open_raster_or_mosaic
from agrifm.yields import LEAST_MAPPED, YIELD_BANDS

if TYPE_CHECKING:
    import pyarrow
    from geopandas import GeoDataFrame

COLLECTION_OF_YIELDS = "agrifm-yields"
YIELD_COLUMNS: dict[str, tuple[str, str]] = {
    "agrifm:status": ("string", "yield, or none: less than half of the parcel has a yield on the map"),
    "agrifm:yield_t_ha": ("float", "Mean yield, t/ha"),
    "agrifm:yield_lower_t_ha": ("float", "Lower end of its interval, t/ha; agrifm:interval has the level"),
    "agrifm:yield_upper_t_ha": ("float", "Upper end of its interval, t/ha"),
    "agrifm:production_t": ("double", "Yield times hectares, t"),
    "agrifm:production_lower_t": ("double", "Lower end of its interval, t"),
    "agrifm:production_upper_t": ("double", "Upper end of its interval, t"),
    **{
        name: OWN_COLUMNS[name]
        for name in (
            "agrifm:hectares", "agrifm:pixels", "agrifm:below_pixel", "agrifm:mixed_share", "agrifm:mapped_share",
            "agrifm:mended", "agrifm:overlaps", "agrifm:duplicate", "agrifm:row",
        )
    },
}  # fmt: skip
"""Type and description of the columns that fiboa does not define."""


@dataclass(frozen=True)
class YieldJob(AnswerJob):
    """What every part needs for yields; the legend has the crop as its one class."""

    rasters: ClassVar[tuple[str, ...]] = (YIELD_FILE,)

    @cached_property
    def schema(self) -> "pyarrow.Schema":
        """The columns of the result."""
        return plain_schema(COLLECTION_OF_YIELDS, shape_fields(), YIELD_COLUMNS, self.about)

    @contextmanager
    def answering(self) -> Iterator[AnswerParcels]:
        """Open the map: yields what answers parcels."""
        with open_zones(self.zones, _open_yields) as parts_of:

            def answer(parcels: ParcelShapes, frame: "GeoDataFrame") -> ParcelAnswers:
                found = pool_means(len(parcels), parts_of(parcels, frame), len(YIELD_BANDS))
                known = found.mapped >= LEAST_MAPPED
                hectares = parcels.square_metres / 1e4
                tonnes = np.where(known[:, None], found.means, np.nan)
                columns = {
                    "agrifm:status": np.where(known, "yield", "none").astype(object),
                    **{f"agrifm:yield{end}_t_ha": one for end, one in zip(ENDS, tonnes.T, strict=True)},
                    **{f"agrifm:production{end}_t": one * hectares for end, one in zip(ENDS, tonnes.T, strict=True)},
                }
                bounds = shapely.bounds(parcels.lonlat)
                content = {**shape_columns(parcels, bounds), **columns, **of_parcels(parcels, found)}
                table = signed_table(self.schema, content, bounds, parcels)
                areas = np.array([hectares[known].sum(), hectares[~known].sum()])
                return ParcelAnswers(table, areas, ~known, found.pixels, float(np.nansum(tonnes[:, 0] * hectares)))

            yield answer


@contextmanager
def _open_yields(zone: Path) -> Iterator[tuple[Grid, ReadMap]]:
    """The grid of a map of yields, and a function that reads it."""
    with open_raster_or_mosaic(raster_of(zone, YIELD_FILE)) as source:

        def read(window: Window) -> tuple[NDArray[Any], NDArray[np.uint8]]:
            with doing(f"reading the map {zone}", MapError, "it is damaged, so make it again", path=zone):
                bands = source.read(window=window.slices).astype(np.float64)
            known = ~np.isnan(bands[0])
            return np.where(known, bands, 0), np.where(known, np.uint8(0), np.uint8(UNLABELLED))

        yield Grid.of(source.crs.to_wkt(), source.transform, source.shape), read


ENDS = ("", "_lower", "_upper")
"""Of the names of columns, in the order of the map's bands."""


def write_style_of_yields(parcels: Path, target: Path) -> None:
    """Write the QGIS style of finished parcels, with colours from their lowest to their highest yield."""
    lowest, highest = np.inf, -np.inf
    for frame, _ in parcel_batches(parcels, ["agrifm:yield_t_ha"]):
        known = frame["agrifm:yield_t_ha"].dropna()
        if len(known):
            lowest, highest = min(lowest, float(known.min())), max(highest, float(known.max()))
    if lowest <= highest:
        write_yield_style(target, lowest, max(highest, lowest + 0.1))


def yield_district_rows(parcels: Path, districts: DistrictFile, about: Mapping[str, str]) -> str:
    """Return a CSV with a row for each district: parcels with a yield, hectares, mean yield in t/ha, production in t.

    The mean is weighted by hectares. There is no interval: the errors of a district's parcels partly cancel, and partly
    they are shared.

    Args:
        parcels: the finished GeoParquet.
        about: of the map, with its crop.

    Raises:
        MapError: the districts cannot be read or have no such column, or a report is given.
    """
    if districts.report is not None:
        raise MapError(
            f"reading the report {districts.report}: it has estimates of areas, and these are yields; leave it out",
            path=districts.report,
        )
    places = open_districts(districts)
    count, hectares, tonnes = np.zeros((3, len(places.codes)))
    columns = ["agrifm:yield_t_ha", "agrifm:hectares", "agrifm:production_t"]
    for frame, shapes in parcel_batches(parcels, columns):
        row, district = places.of(shapes)
        known = frame["agrifm:yield_t_ha"].notna().to_numpy()[row]
        row, district = row[known], district[known]
        np.add.at(count, district, 1)
        np.add.at(hectares, district, frame["agrifm:hectares"].to_numpy(np.float64)[row])
        np.add.at(tonnes, district, frame["agrifm:production_t"].to_numpy(np.float64)[row])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["district", "crop", "parcels", "hectares", "mean_yield_t_ha", "production_t"])
    for code, parcels_of, area, production in zip(places.codes, count, hectares, tonnes, strict=True):
        mean = f"{production / area:.3f}" if area else ""
        writer.writerow([code, about.get("crop", ""), int(parcels_of), f"{area:.2f}", mean, f"{production:.2f}"])
    return text.getvalue()
