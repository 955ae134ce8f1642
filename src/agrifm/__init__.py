"""agrifm: from an area and a season to a crop map with hectares and confidence."""

import os
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

# Threads that spin while they wait make training much slower on a machine that does anything else
# (docs/decisions/0002-waiting-threads.md); OpenMP reads this when PyTorch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# QGIS, PostGIS and conda set these for their own PROJ and GDAL. A rasterio that brings its data with it cannot use the
# data or drivers of another version; its own are found when these are not set.
_rasterio = find_spec("rasterio")
if _rasterio is not None and _rasterio.origin and (Path(_rasterio.origin).parent / "proj_data" / "proj.db").exists():
    for _name in ("PROJ_DATA", "PROJ_LIB", "GDAL_DATA", "GDAL_DRIVER_PATH"):
        os.environ.pop(_name, None)

__version__ = version("agrifm")
