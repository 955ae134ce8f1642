"""The truth about a simulated season: crop map, land cover and parcels, and how they are written granule by granule."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow
from shapely import Polygon
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from agrifm.grid import LONLAT, Grid, Window, reproject
from agrifm.legend import LEGEND_TAG, OTHER, UNLABELLED, Legend, legend_json
from agrifm.pictures import rgb
from agrifm.simulator.land.field_map import FOREST, HEDGE, MARGIN, NO_CROPS, ROAD, SETTLEMENT, WATER, Land
from agrifm.simulator.region import Region

WORLD_COVER = {FOREST: 10, HEDGE: 10, MARGIN: 30, "grassland": 30, SETTLEMENT: 50, ROAD: 50, WATER: 80}
"""ESA WorldCover 2021 codes: trees, grassland, built-up, permanent water."""
CROPLAND = 40
"""WorldCover's code of all other crops. WorldCover itself maps orchards as trees and flooded rice as cropland; here
permanent crops are cropland too, because trees of this raster are labelled as land without crops."""


def simulated_legend(names: Mapping[str, str]) -> Legend:
    """The legend of crops (code -> name) in their order, then `other` for everything else."""
    return Legend.of([*names, OTHER], {OTHER: "Other land", **names})


def crop_numbers(land: Land, legend: Legend) -> NDArray[np.uint8]:
    """Class number on the 10 m grid, (rows, columns).

    A pixel has the most frequent class of its four 5 m pixels; of two equally frequent ones, the class that comes
    first in reading order.
    """
    return _on_10_m(land, [legend.number(OTHER if cover in NO_CROPS else cover) for cover in land.covers])


def world_cover(land: Land) -> NDArray[np.uint8]:
    """ESA WorldCover code on the 10 m grid, (rows, columns); mixed pixels as in `crop_numbers`."""
    return _on_10_m(land, [WORLD_COVER.get(cover, CROPLAND) for cover in land.covers])


def parcel_table(land: Land, area: BaseGeometry) -> geopandas.GeoDataFrame:
    """The crop parcels that intersect `area` (in the land's CRS): parcel_id, crop, area_ha and outline.

    Outlines are not clipped to the area; they end at roads, hedges, margins, forest and water.
    """
    chosen = [
        index
        for index, (cover, outline) in enumerate(zip(land.covers, land.outlines, strict=True))
        if outline is not None and cover not in NO_CROPS and outline.intersects(area)
    ]
    outlines = [land.outlines[index] for index in chosen]
    return geopandas.GeoDataFrame(
        {
            "parcel_id": [f"P{land.keys[index]:016x}" for index in chosen],
            "crop": [land.covers[index] for index in chosen],
            "area_ha": [round(outline.area / 1e4, 4) for outline in outlines if outline is not None],
        },
        geometry=outlines,
        crs=str(land.grid.crs),
    )


def _on_10_m(land: Land, number_of_field: list[int]) -> NDArray[np.uint8]:
    """The most frequent number of every 2 x 2 pixels; of equally frequent ones the first in reading order."""
    fine = np.array(number_of_field, np.uint8)[land.field]
    first, second, third, fourth = (fine[row::2, col::2] for row in (0, 1) for col in (0, 1))
    # The first pixel wins unless two others agree with each other and not with it.
    pair = np.where((second == third) | (second == fourth), second, np.where(third == fourth, third, first))
    return np.where((first == second) | (first == third) | (first == fourth), first, pair)


COG: dict[str, Any] = {
    "driver": "COG",
    "compress": "DEFLATE",
    "level": 1,
    "predictor": "YES",
    "blocksize": 512,
    "num_threads": 1,
}


@dataclass(frozen=True)
class TruthWriter:
    """Writes the truth to disk, granule by granule."""

    folder: Path
    legend: Legend
    area: BaseGeometry
    """The simulated area, in the CRS of the region."""
    written: set[str]
    """Ids of the parcels on disk: two granules hold the same copy of a parcel that crosses their border."""

    @classmethod
    def begin(cls, root: Path, region: Region, area: Polygon, grid: Grid) -> "TruthWriter":
        """Write the area and the legend into a folder, and empty rasters that `add` fills.

        Args:
            area: in longitude and latitude.
            grid: 10 m pixels of the whole season.
        """
        feature = {"type": "Feature", "properties": {"name": "simulated area"}, "geometry": mapping(area)}
        (root / "area.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}) + "\n")
        legend = simulated_legend({code: region.crops[code].name for code in region.shares})
        crs = region.place.crs
        writer = cls(root / "truth", legend, reproject(area, LONLAT, crs), set())
        writer.folder.mkdir()
        text = legend.model_dump_json(indent=1, exclude_none=True)
        (writer.folder / "legend.json").write_text(text + "\n", encoding="utf-8")
        # COGs cannot be written window by window: plain GeoTIFFs are filled first and copied at the end.
        rows, cols = grid.shape
        profile = {"driver": "GTiff", "tiled": True, "blockxsize": 512, "blockysize": 512, "sparse_ok": True}
        profile |= {
            "width": cols,
            "height": rows,
            "count": 1,
            "dtype": "uint8",
            "crs": crs,
            "transform": grid.transform,
        }
        for name, nodata in (("crops", UNLABELLED), ("landcover", 0)):
            with rasterio.open(writer._unfinished(name), "w", **profile, nodata=nodata) as file:
                if name == "crops":
                    file.update_tags(**{LEGEND_TAG: legend_json(legend)})
                    colors = {number: (*rgb(entry.color), 255) for number, entry in enumerate(legend.classes)}
                    file.write_colormap(1, colors)
        return writer

    def add(
        self,
        window: Window,
        crops: NDArray[np.uint8],
        land_cover: NDArray[np.uint8],
        parcels: geopandas.GeoDataFrame,
    ) -> None:
        """Write the truth of a granule: a window of the rasters, and the parcels that are not on disk yet."""
        pixels = RasterioWindow(window.col, window.row, window.width, window.height)
        for name, values in (("crops", crops), ("landcover", land_cover)):
            with rasterio.open(self._unfinished(name), "r+") as file:
                file.write(values, 1, window=pixels)
        new = parcels[~parcels.parcel_id.isin(self.written)]
        path = self.folder / "parcels.gpkg"
        if new.empty and path.exists():
            return
        self.written.update(new.parcel_id)
        # GeoPackage records the time of writing; with a fixed time two runs write the same bytes.
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2024-01-01T00:00:00.000Z"})
        try:
            mode = "a" if path.exists() else "w"
            new.to_file(path, layer="parcels", driver="GPKG", engine="pyogrio", mode=mode)
        finally:
            pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})

    def finish(self) -> None:
        """Turn the rasters into COGs."""
        options = COG | {"overview_resampling": "NEAREST"}
        for name in ("crops", "landcover"):
            rasterio.shutil.copy(self._unfinished(name), self.folder / f"{name}.tif", **options)
            self._unfinished(name).unlink()

    def _unfinished(self, name: str) -> Path:
        return self.folder / f"{name}.growing.tif"
