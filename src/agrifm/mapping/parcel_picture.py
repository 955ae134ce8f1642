"""The picture of parcels: each in the colour of its crop, and next to it its confidence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from agrifm.files import write_bytes
from agrifm.grid import LONLAT, Grid
from agrifm.legend import UNLABELLED
from agrifm.mapping.map_rasters import PICTURE_SIDE
from agrifm.mapping.parcel_answers import AnswerJob
from agrifm.mapping.parcel_files import parcel_batches
from agrifm.mapping.parcel_map import raster_of
from agrifm.mapping.parcel_pooling import MOST_CELLS
from agrifm.mapping.parcel_summary import ParcelSummary
from agrifm.mapping.probability_layer import PROBABILITIES_FILE
from agrifm.mapping.tile_mosaics import grid_over
from agrifm.mosaics import open_raster_or_mosaic
from agrifm.pictures import map_picture
from agrifm.pixel_fractions import pixel_bounds, pixel_fractions


def write_parcel_picture(parcels: Path, target: Path, job: AnswerJob, summary: ParcelSummary) -> None:
    """Draw parcels on the extent of the map.

    Args:
        parcels: the finished GeoParquet.
        target: PNG.
        job: with the map; if it has several zones, the picture is in an equal-area projection around their middle.
    """
    from geopandas import GeoSeries

    grid, legend = _extent(job.zones), job.legend
    title = f"Crops of {summary.parcels} parcels by {job.about.get('model') or 'a model'}"
    height, width = (max(1, round(side * PICTURE_SIDE / max(grid.shape))) for side in grid.shape)
    scale = grid.transform.scale(grid.shape[1] / width, grid.shape[0] / height)
    canvas = _Canvas((height, width), grid.transform * scale)
    numbers = {code: number for number, code in enumerate(legend.codes)}
    for frame, outlines in parcel_batches(parcels, ["crop:code", "agrifm:confidence"]):
        known = frame["crop:code"].isin(numbers).to_numpy()
        if known.any():
            shapes = GeoSeries(outlines[known], crs=LONLAT).to_crs(grid.crs.to_wkt()).to_numpy()
            percent = np.rint(100 * frame["agrifm:confidence"][known].to_numpy(np.float64))
            canvas.paint(shapes, frame["crop:code"][known].map(numbers).to_numpy(np.uint8), percent.astype(np.uint8))
    masked = [np.ma.masked_equal(one, UNLABELLED) for one in (canvas.classes, canvas.percent)]
    picture = map_picture(masked[0], masked[1], grid, legend, title, summary.hectares, summary.unanswered_hectares)
    write_bytes(target, picture)


def _extent(zones: Sequence[Path]) -> Grid:
    """The grid of a map, or one over those of several zones."""
    grids = []
    for zone in zones:
        with open_raster_or_mosaic(raster_of(zone, PROBABILITIES_FILE)) as source:
            grids.append(Grid.of(source.crs.to_wkt(), source.transform, source.shape))
    if len(grids) == 1:
        return grids[0]
    return grid_over(grids)


class _Canvas:
    """Class numbers and confidence in percent of a picture: each pixel has those of the parcel with most of it."""

    def __init__(self, shape: tuple[int, int], transform: Affine) -> None:
        self.classes, self.percent = np.full(shape, UNLABELLED, np.uint8), np.full(shape, UNLABELLED, np.uint8)
        self._share, self._transform = np.zeros(shape[0] * shape[1]), transform

    def paint(self, shapes: NDArray[Any], number: NDArray[np.uint8], percent: NDArray[np.uint8]) -> None:
        """Paint parcels, (P,) each."""
        full = np.cumsum(pixel_bounds(shapes, self._transform).cells) // MOST_CELLS
        for part in np.split(np.arange(len(shapes)), np.flatnonzero(np.diff(full)) + 1):
            found = pixel_fractions(shapes[part], self._transform)
            height, width = self.classes.shape
            inside = (found.row >= 0) & (found.row < height) & (found.col >= 0) & (found.col < width)
            at, share, parcel = (found.row * width + found.col)[inside], found.share[inside], found.polygon[inside]
            more = share > self._share[at]
            order = np.argsort(share[more], kind="stable")  # of several parcels in a pixel the last one stays
            at, parcel = at[more][order], part[parcel[more][order]]
            self._share[at] = share[more][order]
            self.classes.reshape(-1)[at], self.percent.reshape(-1)[at] = number[parcel], percent[parcel]
