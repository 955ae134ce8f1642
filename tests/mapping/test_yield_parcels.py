"""Yields of parcels: mean, interval and production by hand, where the crop is, in valid fiboa, and by district."""

import csv
import json
from pathlib import Path

import geopandas
import numpy as np
import pyarrow.parquet
import pytest
import rasterio
import shapely
from jsonschema import Draft202012Validator
from tests.mapping.small_maps import utm_grid

from agrifm.config import ParcelsConfig
from agrifm.errors import MapError
from agrifm.files import write_json
from agrifm.grid import LONLAT, reproject
from agrifm.mapping.parcel_districts import DistrictFile
from agrifm.mapping.parcels import map_parcels

GRID = utm_grid((2, 2))
SCHEMAS = json.loads((Path(__file__).parents[1] / "golden" / "fiboa_schemas.json").read_text())
TONNES = 3 + np.indices((96, 96))[1] / 24
"""Higher from west to east; the crop is in the upper half."""


def write_map(directory, unit="t/ha"):
    directory.mkdir()
    bands = np.stack([TONNES, TONNES - 1, TONNES + 1]).astype(np.float32)
    bands[:, 48:] = np.nan
    profile = {"driver": "GTiff", "dtype": "float32", "count": 3, "height": 96, "width": 96, "nodata": np.nan}
    with rasterio.open(
        directory / "yield.tif", "w", crs=GRID.crs.to_wkt(), transform=GRID.transform, **profile
    ) as target:
        target.write(bands)
        target.units = (unit,) * 3
        target.update_tags(AGRIFM_CROP="wheat", AGRIFM_INTERVAL="0.9", AGRIFM_MODEL="classic")
    write_json(directory / "item.json", {"geometry": shapely.geometry.mapping(GRID.footprint())})
    return directory


def square(row, col, rows, cols):
    left, _, _, top = GRID.bounds
    return shapely.box(left + 10 * col, top - 10 * (row + rows), left + 10 * (col + cols), top - 10 * row)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    directory = tmp_path_factory.mktemp("yields")
    shapes = [square(2, 4, 6, 8), square(40, 40, 16, 10), square(44, 60, 16, 10), square(70, 10, 5, 5)]
    names = ["inside", "half", "quarter", "elsewhere"]
    geopandas.GeoDataFrame({"id": names}, geometry=shapes, crs=str(GRID.crs)).to_file(directory / "parcels.gpkg")
    halves = [square(0, 0, 96, 40), square(0, 40, 96, 56)]
    geopandas.GeoDataFrame({"name": ["west", "east"]}, geometry=halves, crs=str(GRID.crs)).to_file(
        directory / "districts.gpkg"
    )
    config = ParcelsConfig(file=directory / "parcels.gpkg", geopackage=True)
    maps, districts = write_map(directory / "map"), DistrictFile(directory / "districts.gpkg", "name")
    summary = map_parcels(config, maps, directory / "out", districts=districts)
    return directory, geopandas.read_parquet(directory / "out" / "parcels.parquet").set_index("id"), summary


def test_yield_and_production_are_those_of_the_pixels(found):
    _, parcels, summary = found
    inside = parcels.loc["inside"]
    mean = TONNES[2:8, 4:12].mean()
    assert inside["agrifm:yield_t_ha"] == pytest.approx(mean, rel=1e-5)
    assert inside["agrifm:yield_upper_t_ha"] - inside["agrifm:yield_lower_t_ha"] == pytest.approx(2, rel=1e-5)
    assert inside["agrifm:hectares"] == pytest.approx(0.48, rel=2e-3)  # geodesic, and 48 pixels of 10 m
    assert inside["agrifm:production_t"] == pytest.approx(mean * inside["agrifm:hectares"], rel=1e-6)
    assert parcels.loc["half", "agrifm:yield_t_ha"] == pytest.approx(TONNES[40:48, 40:50].mean(), rel=1e-5)
    assert parcels.loc["half", "agrifm:mapped_share"] == pytest.approx(0.5)
    assert summary.production == pytest.approx(parcels["agrifm:production_t"].sum())
    assert any("t/ha" in line for line in summary.lines())


def test_a_parcel_without_the_crop_on_most_of_it_has_no_yield(found):
    directory, parcels, summary = found
    assert parcels["agrifm:status"].to_dict() == {
        "inside": "yield", "half": "yield", "quarter": "none", "elsewhere": "none",
    }  # fmt: skip
    assert parcels.loc[["quarter", "elsewhere"], ["agrifm:yield_t_ha", "agrifm:production_t"]].isna().all(axis=None)
    assert (summary.parcels, summary.unobserved) == (4, 2)
    copy = geopandas.read_file(directory / "out" / "parcels.gpkg").set_index("id")
    assert copy.loc["inside", "yield_t_ha"] == pytest.approx(parcels.loc["inside", "agrifm:yield_t_ha"])


def test_districts_have_the_mean_by_hectares_and_the_total(found):
    directory, parcels, _ = found
    lines = (directory / "out" / "districts.csv").read_text().splitlines()
    rows = {row["district"]: row for row in csv.DictReader(lines)}
    for name, district in (("inside", "west"), ("half", "east")):
        row, parcel = rows[district], parcels.loc[name]
        assert float(row["production_t"]) == pytest.approx(parcel["agrifm:production_t"], abs=0.01)
        assert float(row["mean_yield_t_ha"]) == pytest.approx(parcel["agrifm:yield_t_ha"], abs=0.01)
        assert row["parcels"] == "1"


def test_the_table_of_yields_is_valid_fiboa_with_units_in_names(found):
    schema = pyarrow.parquet.read_schema(found[0] / "out" / "parcels.parquet")
    geo, collection = (json.loads(schema.metadata[key]) for key in (b"geo", b"collection"))
    Draft202012Validator(SCHEMAS["https://geoparquet.org/releases/v1.1.0/schema.json"]).validate(geo)
    ((name, uris),) = collection["schemas"].items()
    assert name == collection["collection"]
    assert (collection["agrifm:unit"], collection["agrifm:crop"]) == ("t/ha", "wheat")
    parts = [*(SCHEMAS[uri] for uri in uris), collection["schemas:custom"]]
    properties = {key for part in parts for key in part["properties"]}
    assert {key for part in parts for key in part["required"]} <= {*schema.names, *collection}
    assert set(schema.names) <= properties


def test_a_map_in_another_unit_is_refused(tmp_path):
    shape = reproject(square(2, 4, 6, 8), str(GRID.crs), LONLAT)
    geopandas.GeoDataFrame({"id": ["a"]}, geometry=[shape], crs=LONLAT).to_file(tmp_path / "parcels.gpkg")
    maps = write_map(tmp_path / "map", "kg/ha")
    with pytest.raises(MapError, match="kg/ha"):
        map_parcels(ParcelsConfig(file=tmp_path / "parcels.gpkg"), maps, tmp_path / "out")
    assert not (tmp_path / "out").exists()
