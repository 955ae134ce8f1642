"""`embedding.zarr`: the vectors of an area as Zarr, which xarray opens and many readers can read in parts.

embedding    int8 (band, y, x), -128 = nodata; a number is the integer times the scale of its band
scale        float64 (band)
band, x, y, spatial_ref    names of the numbers, middles of pixels, CRS (CF conventions)
"""

import warnings
from pathlib import Path

import numpy as np

from agrifm.grid import tiles
from agrifm.mapping.embedding_raster import EMBEDDING_TAG, NODATA, open_embedding
from agrifm.rasters import open_raster
from agrifm.work import progress

ZARR_FILE = "embedding.zarr"
CHUNK_SIDE, SHARD_SIDE = 64, 1024
"""Pixels on each side of what is decompressed together, and of a file; both have all numbers."""


def write_embedding_zarr(raster: Path, store: Path) -> None:
    """Write the vectors of a raster of `agrifm embed` as Zarr.

    Args:
        raster: the finished COG.
        store: a path at which there is nothing.

    Raises:
        MapError: the raster cannot be read.
    """
    import zarr

    opened = open_embedding(raster)
    numbers, (height, width) = len(opened.names), opened.grid.shape
    root = zarr.create_group(store, zarr_format=3)
    embedding = root.create_array(
        "embedding",
        shape=(numbers, height, width),
        dtype="int8",
        chunks=(numbers, CHUNK_SIDE, CHUNK_SIDE),
        shards=(numbers, SHARD_SIDE, SHARD_SIDE),
        fill_value=NODATA,
        dimension_names=("band", "y", "x"),
    )
    about = "int8; the vector is the integers times `scale`, band by band"
    embedding.attrs.update({"_FillValue": NODATA, "grid_mapping": "spatial_ref", "long_name": about})
    every = list(tiles(opened.grid.shape, SHARD_SIDE))
    with open_raster(raster) as source, progress("write Zarr", len(every)) as advance:
        root.attrs.update({EMBEDDING_TAG: source.tags()[EMBEDDING_TAG]})
        for tile in every:
            embedding[(slice(None), *tile.slices)] = source.read(window=tile.slices)
            advance(1)
    variables = {
        "scale": (opened.scale, ("band",), {}),
        "band": (np.array(opened.names, dtype=object), ("band",), {}),
        "x": (opened.grid.x, ("x",), {"standard_name": "projection_x_coordinate"}),
        "y": (opened.grid.y, ("y",), {"standard_name": "projection_y_coordinate"}),
        "spatial_ref": (np.array(0, np.int32), (), opened.grid.cf_mapping),
    }
    for name, (values, dimensions, attributes) in variables.items():
        kind = "str" if values.dtype == object else values.dtype
        root.create_array(name, shape=values.shape, dtype=kind, dimension_names=dimensions)[...] = values
        root[name].attrs.update(attributes)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata")  # zarr says that they are an extension
        zarr.consolidate_metadata(root.store)
