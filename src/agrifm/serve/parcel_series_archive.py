"""The mean series of all parcels as a file of a page without a server."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from agrifm.cube.store import SensorCube
from agrifm.serve.parcel_archives import middle_tile
from agrifm.serve.parcel_curves import mean_series
from agrifm.serve.parcel_views import ParcelViews
from agrifm.serve.refusals import RefusedRequestError
from agrifm.serve.series_blocks import step_of
from agrifm.serve.tile_archives import Tile, in_order, write_archive


def write_parcel_series(parcels: ParcelViews, sensor: SensorCube, path: Path) -> int:
    """Write the mean series of each parcel, by the tile of its middle; returns the number of tiles.

    A tile has by row the numbers of the dates that were observed, and the values of each of them in `step_of`.

    Raises:
        ServeError: the file of parcels is damaged.
        CubeError: the cube is damaged.
    """
    edges = parcels.edges()
    rows_of: dict[Tile, list[int]] = {}
    for row, box in enumerate(edges.tolist()):
        rows_of.setdefault(middle_tile(box), []).append(row)
    step = step_of(sensor)

    def contents() -> Iterator[tuple[Tile, bytes]]:
        for tile in in_order(rows_of):
            shapes = parcels.shapes(np.array(rows_of[tile]))
            try:
                means = mean_series(sensor, shapes)
            except RefusedRequestError:  # parcels as large as a region have none
                continue
            found = {}
            for row, mean in zip(rows_of[tile], means, strict=True):
                seen = np.flatnonzero(np.isfinite(mean[:, 0]))
                found[row] = {"seen": seen.tolist(), "values": np.rint(mean[seen] / step).astype(int).tolist()}
            yield tile, gzip.compress(json.dumps(found, separators=(",", ":")).encode(), mtime=0)

    return write_archive(path, contents(), "UNKNOWN", sensor.grid.footprint().bounds)
