"""Maps and hectares of districts: those that rasterio's mask finds, over one map and over the zones of an area."""

import csv
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.mask import mask
from shapely import box, segmentize
from tests.mapping.small_maps import LEGEND

from agrifm.area_tile import AreaTile
from agrifm.errors import MapError
from agrifm.legend import LEGEND_TAG, legend_json
from agrifm.mapping.district_maps import district_lines, write_district_maps
from agrifm.mapping.parcel_districts import DistrictFile
from agrifm.mapping.tile_mosaics import write_zone_mosaic


def write_classes(path: Path, crs: str, left: int, top: int, seed: int) -> np.ndarray:
    """A map of 96 x 96 random class numbers with some nodata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = np.random.default_rng(seed).choice([0, 1, 2, 255], (96, 96)).astype(np.uint8)
    about = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 96, "width": 96, "nodata": 255}
    with rasterio.open(path, "w", crs=crs, transform=Affine(10, 0, left, 0, -10, top), **about) as file:
        file.write(number, 1)
        file.update_tags(**{LEGEND_TAG: legend_json(LEGEND)})
    return number


def read_table(directory: Path) -> dict[tuple[str, str], float]:
    with (directory / "districts.csv").open(encoding="utf-8") as file:
        return {(row["district"], row["code"]): float(row["hectares"]) for row in csv.DictReader(file)}


def districts(path: Path, left: float, top: float, crs: str) -> geopandas.GeoDataFrame:
    """Two that share a slanted border over a map of 960 m, one of two parts, and one elsewhere."""
    west = box(left - 100, top - 1000, left + 395, top + 100)
    east = box(left + 395, top - 1000, left + 1100, top + 100)
    shapes = [west, east, box(left + 2e5, top, left + 2e5 + 900, top + 900)]
    frame = geopandas.GeoDataFrame({"name": ["Haut/Bas", "Est", "Far"]}, geometry=segmentize(shapes, 50), crs=crs)
    frame.to_file(path)
    return frame


def test_each_district_has_its_pixels_and_their_hectares(tmp_path: Path) -> None:
    number = write_classes(tmp_path / "map/classes.tif", "EPSG:32631", 480_000, 5_520_000, 0)
    frame = districts(tmp_path / "districts.gpkg", 480_000, 5_520_000, "EPSG:32631")
    lines = district_lines(tmp_path / "map", tmp_path / "districts.gpkg", "name")
    assert "2 districts" in lines[0]
    out = tmp_path / "map-districts"
    found = read_table(out)
    for name, file, shape in zip(frame["name"][:2], ("Haut_Bas.tif", "Est.tif"), frame.geometry[:2], strict=True):
        with rasterio.open(tmp_path / "map/classes.tif") as source:
            expected, transform = mask(source, [shape], crop=True)
        with rasterio.open(out / file) as source:
            assert source.transform.almost_equals(transform)
            assert np.array_equal(source.read(), expected)
            assert source.tags()[LEGEND_TAG] == legend_json(LEGEND)
        for position, code in enumerate(LEGEND.codes):
            assert found[name, code] == pytest.approx((expected == position).sum() / 100)
    assert sum(found.values()) == pytest.approx((number != 255).sum() / 100)
    assert not any(district == "Far" for district, _ in found)


def test_a_district_over_two_zones_has_a_map_in_each_and_one_sum(tmp_path: Path) -> None:
    known = 0
    for crs in ("EPSG:32631", "EPSG:32632"):
        x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(6.0, 49.0)
        left, top = round(x / 480) * 480 - 480, round(y / 480) * 480 + 480
        name = f"{crs[5:]}/e000n0000"
        file = tmp_path / "maps" / name / "classes.tif"
        known += int((write_classes(file, crs, left, top, int(crs[-1])) != 255).sum())
        edges = (left, top - 960, left + 960, top)
        write_zone_mosaic(tmp_path / "maps" / crs[5:] / "classes.vrt", [(AreaTile(name, crs, edges, edges, b""), file)])
    geopandas.GeoDataFrame({"name": ["both"]}, geometry=[box(5.9, 48.9, 6.1, 49.1)], crs=4326).to_file(
        tmp_path / "districts.gpkg"
    )
    assert write_district_maps(
        tmp_path / "maps", DistrictFile(tmp_path / "districts.gpkg", "name"), tmp_path / "out"
    ) == (1, 2)
    assert {path.name for path in (tmp_path / "out").glob("*.tif")} == {"both-32631.tif", "both-32632.tif"}
    assert sum(read_table(tmp_path / "out").values()) == pytest.approx(known / 100)


def test_a_district_across_longitude_180_is_mapped_on_its_side(tmp_path: Path) -> None:
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32760", always_xy=True).transform(180.0, -17.0)
    left, top = round(x / 480) * 480 - 480, round(y / 480) * 480 + 480
    number = write_classes(tmp_path / "map/classes.tif", "EPSG:32760", left, top, 5)
    shapes = [box(179.9, -17.1, 180, -16.9), box(-180, -17.1, -179.9, -16.9)]
    geopandas.GeoDataFrame({"name": ["west", "east"]}, geometry=shapes, crs=4326).to_file(tmp_path / "districts.gpkg")
    district_lines(tmp_path / "map", tmp_path / "districts.gpkg", "name")
    found = read_table(tmp_path / "map-districts")
    cols = np.arange(96) * 10 + left + 5
    longitude, _ = Transformer.from_crs("EPSG:32760", "EPSG:4326", always_xy=True).transform(cols, np.full(96, y))
    of_west = (number[:, longitude > 0] != 255).sum() / 100
    assert sum(found["west", code] for code in LEGEND.codes) == pytest.approx(
        of_west, abs=0.96
    )  # the border is slanted
    assert sum(found.values()) == pytest.approx((number != 255).sum() / 100)


def test_districts_that_are_elsewhere_or_have_no_column_are_refused(tmp_path: Path) -> None:
    write_classes(tmp_path / "map/classes.tif", "EPSG:32631", 480_000, 5_520_000, 0)
    districts(tmp_path / "districts.gpkg", 680_000, 5_000_000, "EPSG:32631")
    for column in ("name", "nam", None):
        with pytest.raises(MapError):
            district_lines(tmp_path / "map", tmp_path / "districts.gpkg", column)
    assert not (tmp_path / "map-districts").exists()
    assert district_lines(tmp_path / "map", None, None) == []
