"""Maps and references that agrifm did not make, each form of one with each form of the other."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from pyproj import Transformer
from tests.assess.rasters import UTM, crop_map

from agrifm.assess.class_map import read_map
from agrifm.assess.confusion import count_confusion
from agrifm.assess.report import assess

FIELDS = crop_map((80, 90), seed=4)
"""Fields of three classes, 0 to 2, and 255 where there is none."""
MAPS = {
    "paletted": {"crs": UTM, "corner": (600_000, 5_500_000), "side": 10.0, "codes": (1, 2, 3), "dtype": "uint8"},
    "equal area": {"crs": "EPSG:3035", "corner": (4e6, 3e6), "side": 30.0, "codes": (11, 12, 20), "dtype": "uint8"},
    "degrees": {"crs": "EPSG:4326", "corner": (22.5, 12.5), "side": 0.002, "codes": (0, 1, 9), "dtype": "int16"},
    "16 bits": {"crs": "EPSG:32736", "corner": (5e5, 9e6), "side": 20.0, "codes": (211, 400, 1110), "dtype": "uint16"},
    "decimals": {"crs": "EPSG:32631", "corner": (6e5, 55e5), "side": 60.0, "codes": (1, 2, 3), "dtype": "float32"},
    "ERDAS": {"crs": UTM, "corner": (6e5, 55e5), "side": 10.0, "codes": (4, 5, 6), "dtype": "uint8", "driver": "HFA"},
}
REFERENCES = ("geopackage", "mercator", "csv", "geoparquet", "shapefile", "geojson")


def write_foreign(path, crs, corner, side, codes, dtype, driver="GTiff"):
    """A raster of codes as other software writes it: tiled, with nodata, and a palette if it is of bytes."""
    nodata = float("nan") if dtype == "float32" else 250 if dtype == "uint8" else 9999
    values = np.array([*codes, nodata])[np.minimum(FIELDS, 3)].astype(dtype)
    place = {"crs": crs, "transform": Affine(side, 0, corner[0], 0, -side, corner[1]), "nodata": nodata}
    shape = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": dtype}
    layout = {"tiled": True, "blockxsize": 32, "blockysize": 32} if driver == "GTiff" else {}
    with rasterio.open(path, "w", driver=driver, **place, **shape, **layout) as file:
        file.write(values, 1)
        if dtype == "uint8":
            file.write_colormap(1, {code: (20 * code, 90, 200 - code, 255) for code in codes})


def write_reference(folder, form, crs, corner, side, codes):
    """Points on 40 pixels of each class, every seventh with the label of another class, and their counts."""
    generator = np.random.default_rng(9)
    rows, cols = np.concatenate(
        [generator.permutation(np.argwhere(np.equal(FIELDS, number)))[:40] for number in range(3)]
    ).T
    mapped = FIELDS[rows, cols]
    truth = (mapped + (np.arange(120) % 7 == 0)) % 3
    x, y = corner[0] + (cols + 0.5) * side, corner[1] - (rows + 0.5) * side
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    columns = {"label": [str(codes[number]) for number in truth], "sampling": "stratified"}
    frame = gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(lon, lat), crs="EPSG:4326")
    path = folder / {"csv": "p.csv", "geoparquet": "p.parquet", "shapefile": "p.shp", "geojson": "p.geojson"}.get(
        form, "p.gpkg"
    )
    if form == "csv":
        pd.DataFrame({**columns, "lon": lon, "lat": lat}).to_csv(path, index=False)
    elif form == "geoparquet":
        frame.to_parquet(path)
    else:
        frame.to_crs("EPSG:3857" if form == "mercator" else crs if form == "geopackage" else 4326).to_file(path)
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (mapped, truth), 1)
    return path, counts


@pytest.mark.parametrize("form", REFERENCES)
@pytest.mark.parametrize("name", MAPS)
def test_any_raster_is_compared_with_any_points(tmp_path, name, form):
    about = MAPS[name]
    path = tmp_path / ("m.img" if about.get("driver") else "m.tif")
    write_foreign(path, **about)
    place = {key: about[key] for key in ("crs", "corner", "side", "codes")}
    reference, counts = write_reference(tmp_path, form, **place)
    mapped = read_map(path)
    confusion = count_confusion(mapped, reference, "label")
    assert confusion.codes == tuple(str(code) for code in about["codes"])
    assert (confusion.counts == counts).all()
    assert sum(confusion.skipped.values()) == 0
    if name != "degrees":
        assert confusion.hectares == pytest.approx(np.bincount(FIELDS.ravel())[:3] * about["side"] ** 2 / 1e4)


@pytest.mark.parametrize("name", ["paletted", "degrees", "16 bits"])
def test_a_report_of_a_foreign_map_has_its_colours_and_all_numbers(tmp_path, name):
    about = MAPS[name]
    write_foreign(tmp_path / "m.tif", **about)
    place = {key: about[key] for key in ("crs", "corner", "side", "codes")}
    reference, counts = write_reference(tmp_path, "csv", **place)
    report = assess(tmp_path / "m.tif", reference, "label", tmp_path / "out")
    assert report["confusion"]["counts"] == counts.tolist()
    assert np.isfinite([area["area_ha"] for area in report["areas"]]).all()
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    if name == "paletted":
        assert all(f"#{20 * code:02x}5a{200 - code:02x}" in page for code in about["codes"])


def test_a_mosaic_of_tiles_is_assessed_as_the_raster_that_it_is_of(tmp_path):
    """A VRT of one tile as GDAL writes it; the report has the digest of the tile, whose pixels were counted."""
    about = MAPS["paletted"]
    write_foreign(tmp_path / "m.tif", **about)
    rasterio.shutil.copy(tmp_path / "m.tif", tmp_path / "m.vrt", driver="VRT")
    reference, counts = write_reference(
        tmp_path, "csv", **{key: about[key] for key in ("crs", "corner", "side", "codes")}
    )
    report = assess(tmp_path / "m.vrt", reference, "label", tmp_path / "out")
    assert report["confusion"]["counts"] == counts.tolist()
    assert report["provenance"]["sha256"].keys() == {"m.vrt", "m.tif", "p.csv"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert all(f"#{20 * code:02x}5a{200 - code:02x}" in page for code in about["codes"])
