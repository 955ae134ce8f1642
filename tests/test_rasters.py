"""Rasters are opened by what they are: no format that leads to other files, no size that no file can hold."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.errors import RasterioError

from agrifm.assess.class_map import open_classified
from agrifm.errors import AgriFMError
from agrifm.grid import Window
from agrifm.rasters import block_spans, open_raster
from tests.scenes import write_tiff

SECRET = 77


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A raster to which no other file may lead."""
    return write_tiff(tmp_path / "elsewhere" / "secret.tif", np.full((96, 96), SECRET, np.uint8))


def vrt(secret: Path) -> str:
    return (
        '<VRTDataset rasterXSize="96" rasterYSize="96"><SRS>EPSG:32631</SRS>'
        "<GeoTransform>480000, 10, 0, 5520000, 0, -10</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )


TEXTS = {
    "vrt": vrt,
    "vrt after blanks": lambda secret: "\n  " + vrt(secret),
    "wms": lambda _: '<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1/a</ServerUrl></Service></GDAL_WMS>',
    "tile index": lambda secret: f"<GDALTileIndexDataset><IndexDataset>{secret}</IndexDataset></GDALTileIndexDataset>",
    "wmts": lambda _: "<GDAL_WMTS><GetCapabilitiesUrl>http://127.0.0.1/</GetCapabilitiesUrl></GDAL_WMTS>",
    "wcs": lambda _: "<WCS_GDAL><ServiceURL>http://127.0.0.1/</ServiceURL></WCS_GDAL>",
    "stac": lambda secret: f'{{"type": "FeatureCollection", "stac_version": "1.0.0", "features": ["{secret}"]}}',
    "zarr": lambda _: '{"zarr_format": 3, "node_type": "array"}',
    "pds4": lambda secret: f"<Product_Observational><file_name>{secret}</file_name></Product_Observational>",
    "mrf": lambda secret: f"<MRF_META><CachedSource><Source>{secret}</Source></CachedSource></MRF_META>",
    "kml": lambda secret: f"<kml><GroundOverlay><href>{secret}</href></GroundOverlay></kml>",
    "empty": lambda _: "",
    "plain": lambda _: "hello",
}


@pytest.mark.parametrize("ending", ["tif", "vrt", "xml", "jp2"])
@pytest.mark.parametrize("kind", TEXTS)
def test_a_file_that_leads_to_others_is_not_opened(tmp_path: Path, secret: Path, kind: str, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_text(TEXTS[kind](secret))
    with pytest.raises(RasterioError):
        open_raster(path)


NAMES = (
    "/vsicurl/http://127.0.0.1/a.tif", "/vsis3/bucket/a.tif", "/vsizip/a.zip/a.tif", "/vsimem/a.tif", "/vsistdin/",
    "WMS:http://127.0.0.1/", 'NETCDF:"/etc/passwd":a', "HDF5:/etc/passwd://a", "GTIFF_DIR:1:{secret}", "vrt://{secret}",
    "GTI:/a.gpkg", "ZARR:/etc", "STACIT:/a.json", "DERIVED_SUBDATASET:LOGAMPLITUDE:{secret}", "MEM:::DATAPOINTER=1",
    "http://127.0.0.1/a.tif", "s3://bucket/a.tif", "zip+file://a.zip!a.tif", "<VRTDataset></VRTDataset>", '{"type": 1}',
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_only_that_of_a_file(secret: Path, name: str) -> None:
    with pytest.raises(RasterioError):
        open_raster(Path(name.replace("{secret}", str(secret))))


def test_a_file_whose_name_looks_like_an_address_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiff(tmp_path / "WMS:a[1]%20?.tif", np.full((96, 96), 5, np.uint8))
    monkeypatch.chdir(tmp_path)
    with open_raster(Path("WMS:a[1]%20?.tif")) as source:
        assert (source.read(1) == 5).all()


@pytest.mark.parametrize("driver", ["GTiff", "COG", "HFA", "ENVI", "PNG", "AAIGrid", "JP2OpenJPEG"])
def test_formats_that_hold_their_pixels_are_read(tmp_path: Path, driver: str) -> None:
    values = np.arange(96 * 96, dtype=np.uint8).reshape(96, 96)
    plain = write_tiff(tmp_path / "plain.tif", values)
    options = {"REVERSIBLE": "YES", "QUALITY": "100"} if driver == "JP2OpenJPEG" else {}
    path = tmp_path / "a.img"
    rasterio.shutil.copy(plain, path, driver=driver, **options)
    with open_raster(path) as source:
        assert (source.read(1) == values).all()


def test_overviews_in_another_file_are_not_opened(tmp_path: Path, secret: Path) -> None:
    """By a tag of the file itself, or by the file of metadata next to it."""
    path = write_tiff(tmp_path / "a.tif", np.ones((192, 192), np.uint8))
    (tmp_path / "a.tif.aux.xml").write_text(
        f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{secret}</MDI></Metadata></PAMDataset>'
    )
    with pytest.raises(RasterioError):
        open_raster(path)
    (tmp_path / "a.tif.aux.xml").unlink()
    with rasterio.open(path, "r+") as file:
        file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(secret))
    with pytest.raises(RasterioError):
        open_raster(path)


@pytest.mark.parametrize("name", ["a.tif.ovr", "a.tif.OVR", "a.tif.msk"])
def test_overviews_and_masks_next_to_a_file_are_rasters_themselves(tmp_path: Path, secret: Path, name: str) -> None:
    path = write_tiff(tmp_path / "a.tif", np.ones((192, 192), np.uint8))
    (tmp_path / name).write_text(vrt(secret))
    with pytest.raises(RasterioError):
        open_raster(path)


def test_external_overviews_are_read(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.ones((192, 192), np.uint8))
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as file:
        file.build_overviews([2], rasterio.enums.Resampling.nearest)
    assert (tmp_path / "a.tif.ovr").exists()
    with open_raster(path) as source:
        assert source.overviews(1) == [2]


def sized(path: Path, width: int, height: int, tile: int, **options: Any) -> Path:
    """A GeoTIFF of this size without any pixel in it."""
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "crs": "EPSG:32631", "sparse_ok": True}
    profile["transform"] = Affine(10, 0, 480_000, 0, -10, 5_520_000)
    profile |= {"tiled": True, "blockxsize": tile, "blockysize": tile, "bigtiff": "yes", **options}
    with rasterio.open(path, "w", width=width, height=height, **profile):
        pass
    return path


@pytest.mark.parametrize(
    ("width", "height", "tile", "options"),
    [
        (65536, 65536, 32768, {}),
        (65536, 65536, 16384, {"compress": "deflate", "count": 3, "interleave": "pixel"}),
        (2_000_000, 2_000_000, 8192, {}),
    ],
)
def test_sizes_that_no_file_holds_are_refused(
    tmp_path: Path, width: int, height: int, tile: int, options: dict[str, Any]
) -> None:
    with pytest.raises(RasterioError, match=r"declares|need"):
        open_raster(sized(tmp_path / "a.tif", width, height, tile, **options))


def test_a_png_that_declares_a_huge_size_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    buffer = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    buffer.seek(0, io.SEEK_END)
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0)
    buffer.write(chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    with pytest.raises(RasterioError):
        open_raster(tmp_path / "a.png")


def test_an_empty_map_of_a_country_is_not_refused(tmp_path: Path) -> None:
    """60,000 x 60,000 pixels without one valid, in 29 kB of tiles of 1024: its windows can be read."""
    with open_raster(sized(tmp_path / "a.tif", 60_000, 60_000, 1024)) as source:
        assert not source.read(1, window=rasterio.windows.Window(5000, 5000, 100, 100)).any()


def test_labels_and_maps_are_opened_by_the_same_rule(tmp_path: Path, secret: Path) -> None:
    (tmp_path / "a.tif").write_text(vrt(secret))
    with pytest.raises(AgriFMError), open_classified(tmp_path / "a.tif"):
        pass


def test_the_bytes_of_a_block_unpack_to_its_pixels(tmp_path: Path) -> None:
    """Rows 40 to 79 of columns 0 to 9 are in the blocks of 32 pixels of rows 32 and 64; zlib unpacks their bytes."""
    values = np.random.default_rng(0).integers(0, 60000, (100, 70)).astype(np.uint16)
    options = {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate", "predictor": 1}
    path = write_tiff(tmp_path / "a.tif", values, **options)
    with open_raster(path) as source:
        found = block_spans(source, 1, Window(40, 0, 40, 10))
    assert found is not None
    content = path.read_bytes()
    unpacked = [zlib.decompress(content[start:end]) for start, end in found.spans]
    blocks = [np.frombuffer(one, np.uint16).reshape(32, 32) for one in unpacked]
    assert (np.concatenate(blocks) == values[32:96, :32]).all()
    assert found.pixels == 64 * 32


def test_blocks_at_the_edge_count_the_pixels_of_the_image_alone(tmp_path: Path) -> None:
    options = {"tiled": True, "blockxsize": 32, "blockysize": 32}
    path = write_tiff(tmp_path / "a.tif", np.ones((100, 70), np.uint8), **options)
    with open_raster(path) as source:
        found = block_spans(source, 1, Window(90, 60, 10, 10))
    assert found is not None
    assert (len(found.spans), found.pixels) == (4, 36 * 38)  # rows 64 to 99, columns 32 to 69
