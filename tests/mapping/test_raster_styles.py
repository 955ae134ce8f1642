"""Names and colours beside rasters and parcels: read back by agrifm's reader of other programs' files, and by QGIS."""

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely import box

from agrifm.class_raster import read_class_raster
from agrifm.errors import LabelError
from agrifm.legend import Legend
from agrifm.mapping.parcel_style import write_parcel_style
from agrifm.mapping.raster_styles import describe_classes, describe_numbers

LEGEND = Legend.of(
    ["1110", "1121", "other"], {"1110": "Maize & <millet>", "1121": "Blé d'hiver", "other": "Other land"}
)
QGIS_PYTHON = "/usr/bin/python3"
QGIS = """
import sys
from qgis.core import (
    QgsApplication, QgsExpressionContextUtils, QgsRasterLayer, QgsRenderContext, QgsVectorLayer
)
application = QgsApplication([], False)
application.initQgis()
path, number, parcels = sys.argv[1:]
layer = QgsRasterLayer(path, "classes")
assert layer.isValid()
assert layer.renderer().type() == "paletted", layer.renderer().type()
for entry in layer.renderer().classes():
    print(int(entry.value), entry.label, entry.color.name())
layer = QgsRasterLayer(number, "numbers")
assert layer.renderer().type() == "singlebandpseudocolor", layer.renderer().type()
print(*(item.label for item in layer.renderer().shader().rasterShaderFunction().colorRampItemList()))
layer = QgsVectorLayer(parcels, "parcels", "ogr")
assert layer.isValid()
renderer = layer.renderer()
assert renderer.type() == "categorizedSymbol", renderer.type()
context = QgsRenderContext()
context.expressionContext().appendScope(QgsExpressionContextUtils.layerScope(layer))
context.expressionContext().setFields(layer.fields())
renderer.startRender(context, layer.fields())
for feature in layer.getFeatures():
    context.expressionContext().setFeature(feature)
    print(feature["id"], renderer.symbolForFeature(feature, context).color().name())
renderer.stopRender(context)
"""


def write_raster(path: Path) -> Path:
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 3, "width": 3, "nodata": 255}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=Affine(10, 0, 0, 0, -10, 0), **profile) as file:
        file.write(np.arange(9, dtype=np.uint8).reshape(3, 3) % 3, 1)
    return path


def test_names_are_read_as_those_of_other_programs(tmp_path: Path) -> None:
    """By the category names, and without them by the attribute table."""
    path = write_raster(tmp_path / "classes.tif")
    describe_classes(path, LEGEND)
    expected = {"0": "Maize & <millet>", "1": "Blé d'hiver", "2": "Other land"}
    with rasterio.open(path) as source:
        assert read_class_raster(source, path, "reading", LabelError).names == expected
    sidecar = path.with_name("classes.tif.aux.xml")
    tree = ElementTree.parse(sidecar)
    band = tree.getroot().find("PAMRasterBand")
    band.remove(band.find("CategoryNames"))
    tree.write(sidecar)
    with rasterio.open(path) as source:
        assert read_class_raster(source, path, "reading", LabelError).names == expected


def has_qgis() -> bool:
    """Whether Debian's Python has QGIS (the package python3-qgis)."""
    asked = [QGIS_PYTHON, "-c", "import qgis.core"]
    return shutil.which(QGIS_PYTHON) is not None and subprocess.run(asked, capture_output=True, env={}).returncode == 0


@pytest.mark.check
def test_qgis_shows_colours_and_names(tmp_path: Path) -> None:
    if not has_qgis():
        pytest.skip("needs QGIS (Debian: python3-qgis)")
    path, number = write_raster(tmp_path / "classes.tif"), write_raster(tmp_path / "confidence.tif")
    describe_classes(path, LEGEND)
    describe_numbers(number, 0, 100, " %")
    frame = {"id": ["a", "b", "c"], "crop_code": ["1121", "1110", ""]}
    shapes = [box(0, 0, 1, 1), box(1, 0, 2, 1), box(2, 0, 3, 1)]
    geopandas.GeoDataFrame(frame, geometry=shapes, crs="EPSG:4326").to_file(tmp_path / "parcels.gpkg")
    write_parcel_style(tmp_path / "parcels.qml", LEGEND)
    done = subprocess.run(
        [QGIS_PYTHON, "-c", QGIS, str(path), str(number), str(tmp_path / "parcels.gpkg")],
        capture_output=True,
        text=True,
        env={"QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    colors = [entry.color for entry in LEGEND.classes]
    assert done.stdout.splitlines() == [
        *(f"{at} {entry.name} {entry.color}" for at, entry in enumerate(LEGEND.classes)),
        "0 % 25 % 50 % 75 % 100 %",
        f"a {colors[1]}",
        f"b {colors[0]}",
        "c #dddddd",
    ]
