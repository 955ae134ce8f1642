"""Fields on a map of the task "boundaries": their maps as a raster, and their polygons.

    map/boundaries.tif    bands boundary, distance, extent: 0 to 250, 250 = 1, 255 = nodata
    map/fields.parquet    the fields as GeoParquet, fiboa 0.3.0 (`agrifm.mapping.field_table`)

Shape letters: H rows, W columns.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.fields.outlines import FieldSizes, outline_fields
from agrifm.fields.segments import ReadFieldMaps, SegmentRule, segment_fields
from agrifm.grid import Window
from agrifm.legend import UNLABELLED
from agrifm.map_cleaning import Cleaning
from agrifm.mapping.blended_tiles import blended_layers
from agrifm.mapping.category_layer import LayerStatement, RasterLayer
from agrifm.mapping.cog import CogWriter
from agrifm.mapping.field_table import write_field_table
from agrifm.mapping.probability_layer import ONE
from agrifm.mapping.window_store import WindowStore
from agrifm.mapping.windows import MapPlan
from agrifm.rasters import open_raster
from agrifm.record import FIELD_MAPS
from agrifm.stac import MapLayer

BOUNDARIES_FILE, FIELDS_FILE = "boundaries.tif", "fields.parquet"


class FieldLayer(RasterLayer):
    """Writes the maps tile by tile, and their fields at the end; used like `CogWriter`."""

    def __init__(
        self, directory: Path, plan: MapPlan, store: WindowStore, cleaning: Cleaning, about: Mapping[str, str]
    ) -> None:
        """Begin the layer.

        Args:
            directory: of the map.
            store: of the windows.
            cleaning: has the sizes of fields that are left out, and of holes that are closed.
            about: tags of the raster, and properties of the fields.
        """
        self._directory, self._plan, self._store, self._about = directory, plan, store, about
        self._sizes = FieldSizes(cleaning.minimum_area, cleaning.largest_hole)
        self._maps = CogWriter(directory / BOUNDARIES_FILE, plan.grid, FIELD_MAPS, about, "AVERAGE", scale=1 / ONE)
        super().__init__(self._maps)

    def write(self, tile: Window, inside: NDArray[np.bool_]) -> None:
        """Write a tile, of which the pixels `inside` (H, W) are in the area."""
        maps = blended_layers(self._plan, self._store, tile, inside)
        known = inside & ~np.isnan(maps[0])
        stored = np.full((len(FIELD_MAPS), *known.shape), UNLABELLED, np.uint8)
        stored[:, known] = np.rint(ONE * maps[:, known])
        self._maps.write(tile, stored)

    def finish(self) -> LayerStatement:
        """Make the COG, and the fields from it; raises as `CogWriter.finish` does."""
        self._maps.finish()
        grid, path = self._plan.grid, self._directory / FIELDS_FILE
        rule = SegmentRule.model_validate(self._plan.record.training.get("segments", {}))
        with (
            open_raster(self._directory / BOUNDARIES_FILE) as source,
            TemporaryDirectory(dir=self._directory, prefix=".fields-") as scratch,
        ):
            segments = segment_fields(_reading(source), grid.shape, rule, scratch=Path(scratch))
            parts = outline_fields(segments, self._sizes.in_pixels(grid))
            fields, hectares = write_field_table(path, parts, segments, grid, self._about)
        found = f"{fields} fields with {hectares:.0f} ha (`{FIELDS_FILE}`)"
        return LayerStatement(
            f"{found}; boundary, distance and extent are in `{BOUNDARIES_FILE}`",
            {"agrifm:fields": fields, "agrifm:field_hectares": round(hectares, 4)},
            (
                MapLayer(
                    BOUNDARIES_FILE,
                    "Boundary, distance and extent of fields",
                    f"Bands boundary (probability), distance to the edge as a share of the field's greatest, extent "
                    f"(probability), times {ONE}; {UNLABELLED} is nodata.",
                ),
            ),
        )


def _reading(source: Any) -> ReadFieldMaps:
    """What reads windows of an open raster of maps as numbers 0..1."""

    def read(window: Window) -> NDArray[np.floating]:
        stored = source.read(window=window.slices)
        return np.where(stored == UNLABELLED, np.float32(np.nan), stored.astype(np.float32) / ONE)

    return read
