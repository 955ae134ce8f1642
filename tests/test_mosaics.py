"""Mosaics of tiles are read as the tiles are; those that lead elsewhere, or compute pixels, are not opened."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.errors import RasterioError

from agrifm.assess.class_map import open_classified, read_map
from agrifm.errors import AgriFMError
from agrifm.legend import Legend, legend_json
from agrifm.mosaics import mosaic_tiles, open_raster_or_mosaic
from tests.assess.rasters import CROPS, UTM, crop_map, write_raster

VALUES = crop_map((40, 60), seed=3)
HEAD = '<VRTDataset rasterXSize="60" rasterYSize="40">'
PLACE = (
    '<SRS dataAxisToSRSAxisMapping="1,2">EPSG:32631</SRS><GeoTransform>600000, 10, 0, 5500000, 0, -10</GeoTransform>'
)
BAND = '<VRTRasterBand dataType="Byte" band="1"><NoDataValue>255</NoDataValue><ColorInterp>Palette</ColorInterp>'
RGB = ((20, 30, 40), (50, 60, 70), (8, 9, 10))
COLORS = "".join(f'<Entry c1="{red}" c2="{green}" c3="{blue}" c4="255" />' for red, green, blue in RGB)
COLORS = f"<ColorTable>{COLORS}</ColorTable>"


def source(name: str, col: int, width: int, kind: str = "SimpleSource", more: str = "", relative: int = 1) -> str:
    """One tile of a mosaic as gdalbuildvrt writes it."""
    return (
        f'<{kind}><SourceFilename relativeToVRT="{relative}">{name}</SourceFilename><SourceBand>1</SourceBand>'
        f'<SourceProperties RasterXSize="{width}" RasterYSize="40" DataType="Byte" BlockXSize="{width}" '
        f'BlockYSize="40" /><SrcRect xOff="0" yOff="0" xSize="{width}" ySize="40" />'
        f'<DstRect xOff="{col}" yOff="0" xSize="{width}" ySize="40" />{more}</{kind}>'
    )


WEST, EAST = (
    source("tiles/west.tif", 0, 25),
    source("tiles/a &amp; b.tif", 25, 35, "ComplexSource", "<NODATA>255</NODATA>"),
)
END = "</VRTRasterBand></VRTDataset>"
PLAIN = HEAD + PLACE + BAND + COLORS + WEST + EAST + END


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tiles in a folder, and a raster outside it."""
    (tmp_path / "mosaic" / "tiles").mkdir(parents=True)
    for name, part in (("west", slice(0, 25)), ("a & b", slice(25, 60))):
        corner = (600_000 + 10 * part.start, 5_500_000)
        values = np.ascontiguousarray(VALUES[:, part])
        write_raster(tmp_path / "mosaic" / "tiles" / f"{name}.tif", values, legend=CROPS, nodata=255, corner=corner)
    write_raster(tmp_path / "secret.tif", np.full((40, 25), 2, np.uint8))
    return tmp_path / "mosaic"


def write(folder: Path, text: str) -> Path:
    path = folder / "map.vrt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_mosaic_of_tiles_is_the_map_they_are_together(folder: Path) -> None:
    whole = read_map(write_raster(folder / "whole.tif", VALUES, legend=CROPS, nodata=255))
    mosaic = read_map(write(folder, PLAIN))
    assert mosaic.legend == whole.legend == CROPS
    assert (mosaic.rows == whole.rows).all()
    assert mosaic.grid == whole.grid
    rows, cols = np.indices(VALUES.shape).reshape(2, -1)
    assert (mosaic.sample(rows, cols) == whole.sample(rows, cols)).all()
    assert [tile.name for tile in mosaic_tiles(folder / "map.vrt")] == ["west.tif", "a & b.tif"]


def test_what_gdal_writes_of_a_raster_is_read_as_the_raster(folder: Path) -> None:
    """GDAL's own VRT of one file, with its colours and category names, which the tile lacks."""
    path = write_raster(folder / "one.tif", VALUES, nodata=255)
    rasterio.shutil.copy(path, folder / "one.vrt", driver="VRT")
    text = (folder / "one.vrt").read_text()
    names = "<CategoryNames><Category>Maize</Category><Category>Wheat</Category></CategoryNames>"
    (folder / "one.vrt").write_text(text.replace("<ColorInterp>", names + COLORS + "<ColorInterp>"))
    with open_raster_or_mosaic(folder / "one.vrt") as found:
        assert (found.read(1) == VALUES).all()
    legend = read_map(folder / "one.vrt").legend
    assert [entry.name for entry in legend.classes] == ["Maize", "Wheat", "2"]
    assert legend.classes[1].color == "#323c46"


def test_tiles_with_two_legends_have_none_together(folder: Path) -> None:
    with rasterio.open(folder / "tiles" / "west.tif", "r+") as file:
        file.update_tags(AGRIFM_LEGEND=legend_json(Legend.of(["1", "2", "3"])))
    assert not read_map(write(folder, PLAIN)).has_legend


LUT = source("tiles/west.tif", 0, 25, "ComplexSource", "<LUT>0:1,1:2</LUT>")
HOSTILE = {
    "outside": source("../secret.tif", 0, 25),
    "absolute": source("{outside}", 0, 25, relative=0),
    "by a link": source("link.tif", 0, 25),
    "server": source("/vsicurl/http://127.0.0.1/a.tif", 0, 25, relative=0),
    "address": source("http://127.0.0.1/a.tif", 0, 25, relative=0),
    "subdataset": source('NETCDF:"tiles/west.tif":a', 0, 25),
    "text as a file": source("&lt;VRTDataset&gt;&lt;/VRTDataset&gt;", 0, 25),
    "another mosaic": source("inner.vrt", 0, 25),
    "nothing": source("", 0, 25),
    "absent": source("tiles/absent.tif", 0, 25),
    "folder": source("tiles", 0, 25),
    "table": LUT,
    "options": source("tiles/west.tif", 0, 25, more='<OpenOptions><OOI key="A">B</OOI></OpenOptions>'),
    "kernel": source("tiles/west.tif", 0, 25, kind="KernelFilteredSource"),
    "resampling": WEST.replace("<SimpleSource>", '<SimpleSource resampling="cubic">'),
    "no tile": "",
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_mosaic_that_leads_elsewhere_or_computes_is_refused(folder: Path, kind: str) -> None:
    (folder / "link.tif").symlink_to(folder.parent / "secret.tif")
    (folder / "inner.vrt").write_text(PLAIN)
    outside = str(folder.parent / "secret.tif")
    path = write(folder, HEAD + PLACE + BAND + HOSTILE[kind].replace("{outside}", outside) + END)
    with pytest.raises(RasterioError):
        open_raster_or_mosaic(path)
    with pytest.raises(AgriFMError) as error, open_classified(path):
        pass
    assert error.value.facts["path"] == path


TEXTS = {
    "python": PLAIN.replace(
        BAND,
        BAND.replace("band=", 'subClass="VRTDerivedRasterBand" band=') + "<PixelFunctionType>sum</PixelFunctionType>",
    ),
    "raw": HEAD + PLACE + '<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">' + END,
    "warped": PLAIN.replace("<VRTDataset ", '<VRTDataset subClass="VRTWarpedDataset" '),
    "pansharpened": PLAIN.replace("</SRS>", "</SRS><PansharpeningOptions />"),
    "overviews": PLAIN.replace("</ColorTable>", "</ColorTable><Overview><SourceFilename>a</SourceFilename></Overview>"),
    "entities": '<!DOCTYPE a [<!ENTITY b "c">]>' + PLAIN,
    "not a mosaic": "<GDAL_WMS></GDAL_WMS>",
    "broken": PLAIN[:-5],
    "huge": PLAIN.replace('rasterXSize="60" rasterYSize="40"', 'rasterXSize="2000000" rasterYSize="2000000"'),
    "not a raster": PLAIN.replace("tiles/west.tif", "tiles/notes.tif"),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_other_kinds_of_vrt_are_refused(folder: Path, kind: str) -> None:
    (folder / "tiles" / "notes.tif").write_text("hello")
    with pytest.raises(RasterioError):
        open_raster_or_mosaic(write(folder, TEXTS[kind]))


def test_metadata_of_a_mosaic_cannot_name_overviews(folder: Path) -> None:
    metadata = '<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">../secret.tif</MDI></Metadata>'
    with open_raster_or_mosaic(write(folder, PLAIN.replace("</GeoTransform>", f"</GeoTransform>{metadata}"))) as found:
        assert found.tags(ns="OVERVIEWS") == {}
        assert found.crs == UTM
