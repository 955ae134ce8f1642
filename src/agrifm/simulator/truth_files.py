"""The truth of a simulated season on disk, and how all of its rasters are written."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.windows import Window as RasterioWindow
from shapely.geometry import mapping

from agrifm.grid import LONLAT, reproject
from agrifm.legend import LEGEND_TAG, UNLABELLED, Legend, legend_json
from agrifm.simulator.acquisition.encode import Raster
from agrifm.simulator.granule import Granule
from agrifm.simulator.plan import Plan
from agrifm.simulator.truth import simulated_legend

COG: dict[str, Any] = {
    "driver": "COG",
    "compress": "DEFLATE",
    "level": 1,
    "predictor": "YES",
    "blocksize": 512,
    "num_threads": 1,
}


def write_cog(path: Path, raster: Raster) -> None:
    """One band as a cloud-optimised GeoTIFF, without overviews: scenes are small, and they would double the time."""
    rows, cols = raster.values.shape
    profile = {
        **COG,
        "overviews": "NONE",
        "width": cols,
        "height": rows,
        "count": 1,
        "dtype": raster.values.dtype,
        "crs": rasterio.crs.CRS.from_user_input(raster.crs),
        "transform": raster.transform,
        "nodata": raster.nodata,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(raster.values, 1)


@dataclass(frozen=True)
class Truth:
    """The truth, which grows granule by granule on the disk."""

    folder: Path
    plan: Plan
    legend: Legend
    known: set[str]
    """Parcels that were written: one across granules is in both, and the same."""

    @classmethod
    def begin(cls, root: Path, plan: Plan) -> "Truth":
        """Write the area and the legend, and rasters to be filled, into a folder."""
        area = {"type": "Feature", "properties": {"name": "simulated area"}, "geometry": mapping(plan.area)}
        (root / "area.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [area]}) + "\n")
        crops = plan.region.crops
        truth = cls(
            root / "truth", plan, simulated_legend({code: crops[code].name for code in plan.region.shares}), set()
        )
        truth.folder.mkdir()
        legend = truth.legend.model_dump_json(indent=1, exclude_none=True)
        (truth.folder / "legend.json").write_text(legend + "\n", encoding="utf-8")
        for name, fill in (("crops", UNLABELLED), ("landcover", 0)):
            rows, cols = plan.grid.shape
            profile = {"driver": "GTiff", "tiled": True, "blockxsize": 512, "blockysize": 512, "sparse_ok": True}
            profile |= {"width": cols, "height": rows, "count": 1, "dtype": "uint8", "nodata": fill}
            crs, transform = plan.region.place.crs, plan.grid.transform
            with rasterio.open(truth._growing(name), "w", **profile, crs=crs, transform=transform) as file:
                if name == "crops":
                    file.update_tags(**{LEGEND_TAG: legend_json(truth.legend)})
                    colors = [bytes.fromhex(entry.color.removeprefix("#")) for entry in truth.legend.classes]
                    file.write_colormap(1, {number: (*color, 255) for number, color in enumerate(colors)})
        return truth

    def add(self, granule: Granule) -> None:
        """Write what is true of a granule."""
        window = self.plan.windows[granule.part]
        for name, values in zip(("crops", "landcover"), granule.truth(self.legend), strict=True):
            self._fill(name, values, RasterioWindow(window.col, window.row, window.width, window.height))
        parcels = granule.parcels(reproject(self.plan.area, LONLAT, self.plan.region.place.crs))
        new = parcels[~parcels.parcel_id.isin(self.known)]
        file = self.folder / "parcels.gpkg"
        if new.empty and file.exists():
            return
        self.known.update(new.parcel_id)
        # GeoPackage records when it was written, which would make two runs differ.
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2024-01-01T00:00:00.000Z"})
        try:
            mode = "a" if file.exists() else "w"
            new.to_file(file, layer="parcels", driver="GPKG", engine="pyogrio", mode=mode)
        finally:
            pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})

    def finish(self) -> None:
        """Turn the rasters into COGs."""
        for name in ("crops", "landcover"):
            growing = self._growing(name)
            options = {key: value for key, value in COG.items() if key != "driver"}
            rasterio.shutil.copy(
                growing, self.folder / f"{name}.tif", driver="COG", overview_resampling="NEAREST", **options
            )
            growing.unlink()

    def _fill(self, name: str, values: NDArray[np.uint8], window: RasterioWindow) -> None:
        with rasterio.open(self._growing(name), "r+") as file:
            file.write(values, 1, window=window)

    def _growing(self, name: str) -> Path:
        return self.folder / f"{name}.growing.tif"
