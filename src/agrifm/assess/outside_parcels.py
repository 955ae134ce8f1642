"""The part of a map outside the parcels that its model was trained on, so that accuracy can be measured there.

Inside those parcels a map is likely to be right, because the model has seen their classes; points there flatter it.
"""

from pathlib import Path

import numpy as np
import rasterio
from rasterio import features
from shapely import box

from agrifm.assess.class_map import NODATA, block_windows, open_classified, read_map, read_window
from agrifm.errors import AssessmentError
from agrifm.files import AnyPath, as_path
from agrifm.legend import LEGEND_TAG, UNLABELLED, legend_json
from agrifm.outputs import replace_file
from agrifm.pictures import class_colors
from agrifm.vectors import read_vector

PART_TAG = "AGRIFM_PART_OF"
"""Tag of a raster that is a part of a map, with the name of that map."""


def write_outside(map_path: AnyPath, parcels: AnyPath, out: AnyPath) -> float:
    """Write the classes of a map outside parcels as a GeoTIFF with its legend; 255, nodata, inside.

    A pixel is inside if its centre is. Both files are read window by window.

    Args:
        map_path: a map of classes.
        parcels: polygons, in any CRS; points and lines count nothing.
        out: the GeoTIFF, replaced if it is one of this function.

    Returns:
        Hectares of the part that was written.

    Raises:
        AssessmentError: a file cannot be read, or no mapped pixel is outside the parcels.
        OutputError: `out` exists and is another file.
    """
    map_path, parcels, out = as_path(map_path), as_path(parcels), as_path(out)
    mapped = read_map(map_path)
    about = f"reading the parcels {parcels}"
    frame = read_vector(parcels, about, AssessmentError).frame.to_crs(str(mapped.grid.crs))
    frame = frame[frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"])]
    height, width = mapped.grid.shape
    shape = {"height": height, "width": width, "count": 1, "dtype": "uint8", "nodata": UNLABELLED}
    place = {"crs": mapped.grid.crs.to_wkt(), "transform": mapped.grid.transform}
    layout = {"driver": "GTiff", "compress": "deflate", "tiled": True, "blockxsize": 512, "blockysize": 512}
    with (
        replace_file(out, f"writing the part of {map_path} outside parcels to {out}", _is_part) as unfinished,
        open_classified(map_path) as source,
        rasterio.open(unfinished, "w", **shape, **place, **layout) as target,
    ):
        target.update_tags(**{LEGEND_TAG: legend_json(mapped.legend), PART_TAG: map_path.name})
        target.write_colormap(1, class_colors(mapped.legend))
        for window in block_windows(source):
            grid = mapped.grid.window(window)
            numbers = mapped.numbers(read_window(source, window))
            shapes = frame.geometry.iloc[frame.sindex.query(box(*grid.bounds))]
            if len(shapes):
                numbers[features.rasterize(shapes, grid.shape, transform=grid.transform, dtype=np.uint8) == 1] = NODATA
            part = window.slices
            target.write(np.where(numbers < 0, UNLABELLED, numbers).astype(np.uint8), 1, window=part)
    return float(read_map(out).hectares().sum())


def _is_part(path: Path) -> bool:
    try:
        with open_classified(path) as source:
            return PART_TAG in source.tags()
    except AssessmentError:
        return False
