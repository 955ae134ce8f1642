"""The truth about a simulated land, in the forms in which others know it: class numbers, land cover, parcels."""

from collections.abc import Mapping

import geopandas
import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from agrifm.legend import OTHER, Legend
from agrifm.simulator.land.land import FOREST, HEDGE, MARGIN, NO_CROPS, ROAD, SETTLEMENT, WATER, Land

WORLD_COVER = {FOREST: 10, HEDGE: 10, MARGIN: 30, "grassland": 30, SETTLEMENT: 50, ROAD: 50, WATER: 80}
"""ESA WorldCover 2021 codes: trees, grassland, built-up, water."""
CROPLAND = 40
"""WorldCover's code of all other crops. WorldCover itself takes orchards for trees and rice in flood for cropland; here
permanent crops are cropland too, because what this raster calls trees is labelled as land without crops."""


def simulated_legend(names: Mapping[str, str]) -> Legend:
    """The crops (code -> name) in order, then `other`: everything else."""
    return Legend.of([*names, OTHER], {OTHER: "Other land", **names})


def crop_numbers(land: Land, legend: Legend) -> NDArray[np.uint8]:
    """Class number on the 10 m grid, (rows, columns).

    A pixel takes the class that most of its four 5 m pixels have; of two with as many, the one that comes first
    in reading order.
    """
    return _on_10_m(land, [legend.number(OTHER if cover in NO_CROPS else cover) for cover in land.covers])


def world_cover(land: Land) -> NDArray[np.uint8]:
    """ESA WorldCover code on the 10 m grid, (rows, columns); pixels of several codes as in `crop_numbers`."""
    return _on_10_m(land, [WORLD_COVER.get(cover, CROPLAND) for cover in land.covers])


def parcels(land: Land, area: BaseGeometry) -> geopandas.GeoDataFrame:
    """The crop parcels of which a part lies in `area` (in the land's CRS): parcel_id, crop, area_ha and outline.

    Outlines are whole, also beyond the area, and end at roads, hedges, margins, forest and water.
    """
    chosen = [
        place
        for place, (cover, outline) in enumerate(zip(land.covers, land.outlines, strict=True))
        if outline is not None and cover not in NO_CROPS and outline.intersects(area)
    ]
    outlines = [land.outlines[place] for place in chosen]
    return geopandas.GeoDataFrame(
        {
            "parcel_id": [f"P{land.keys[place]:016x}" for place in chosen],
            "crop": [land.covers[place] for place in chosen],
            "area_ha": [round(outline.area / 1e4, 4) for outline in outlines if outline is not None],
        },
        geometry=outlines,
        crs=str(land.grid.crs),
    )


def _on_10_m(land: Land, number_of_field: list[int]) -> NDArray[np.uint8]:
    """The commonest number of every 2 x 2 pixels; the first in reading order of equally common ones."""
    fine = np.array(number_of_field, np.uint8)[land.field]
    first, second, third, fourth = (fine[row::2, col::2] for row in (0, 1) for col in (0, 1))
    pair = np.where((second == third) | (second == fourth), second, np.where(third == fourth, third, first))
    return np.where((first == second) | (first == third) | (first == fourth), first, pair)
