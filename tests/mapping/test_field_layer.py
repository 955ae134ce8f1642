"""Fields of a map: the same whatever the windows, valid fiboa, apart from each other, with their true area."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pyarrow.parquet
import pytest
import rasterio
import shapely
from jsonschema import Draft202012Validator
from tests.fields.drawn_fields import blocks_of_fields, maps_of
from tests.mapping.small_maps import PixelModel, make_cube, make_record, utm_grid

from agrifm.map_cleaning import Cleaning
from agrifm.mapping.run import map_cube
from agrifm.samples.field_labels import FIELD_LEGEND

SCHEMAS = json.loads((Path(__file__).parents[1] / "golden" / "fiboa_schemas.json").read_text())
PLACE = blocks_of_fields(144, 144)


class DrawnModel(PixelModel):
    """Knows where the drawn fields are."""

    def __init__(self) -> None:
        super().__init__(make_record(task="boundaries", legend=FIELD_LEGEND))

    def probabilities(self, sample):
        """(3, H, W): boundary, distance, extent."""
        return maps_of(PLACE)[:, *sample.window.slices].astype(np.float32)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    directory = tmp_path_factory.mktemp("fields")
    cube = make_cube(directory / "cube.zarr", utm_grid((3, 3)))
    summary = map_cube(cube, DrawnModel(), "a", directory / "whole", 144, 0)
    map_cube(cube, DrawnModel(), "a", directory / "cut", 48, 20)
    return directory, summary


def test_fields_do_not_depend_on_the_windows(mapped):
    directory, _ = mapped
    for name in ("fields.parquet", "boundaries.tif", "classes.tif"):
        assert (directory / "whole" / name).read_bytes() == (directory / "cut" / name).read_bytes()


def test_the_raster_has_the_three_maps(mapped):
    with rasterio.open(mapped[0] / "whole" / "boundaries.tif") as source:
        assert source.descriptions == ("boundary", "distance", "extent")
        assert np.abs(source.read() / 250 - maps_of(PLACE)).max() <= 0.0025  # bytes, and 16 bits before
    with rasterio.open(mapped[0] / "whole" / "classes.tif") as source:
        assert np.array_equal(source.read(1) == 0, PLACE >= 0)


def test_fields_are_apart_and_have_their_area(mapped):
    directory, summary = mapped
    fields = geopandas.read_parquet(directory / "whole" / "fields.parquet")
    plane = fields.to_crs(32631)
    assert len(fields) == np.sum(np.unique(PLACE[PLACE >= 0], return_counts=True)[1] >= 10)
    assert plane.area.sum() == pytest.approx(shapely.union_all(plane.geometry).area, rel=1e-9)
    assert fields["metrics:area"].to_numpy() == pytest.approx(plane.area.to_numpy(), rel=2e-3)
    assert fields["agrifm:hectares"].sum() == pytest.approx((PLACE >= 0).sum() / 100, rel=0.01)
    assert any(f"{len(fields)} fields" in line for line in summary.lines())


def test_small_fields_are_left_out(tmp_path):
    cube = make_cube(tmp_path / "cube.zarr", utm_grid((3, 3)))
    map_cube(cube, DrawnModel(), "a", tmp_path / "map", 144, 0, cleaning=Cleaning(minimum_area=5.0))
    sizes = np.unique(PLACE[PLACE >= 0], return_counts=True)[1]
    found = geopandas.read_parquet(tmp_path / "map" / "fields.parquet")
    assert 0 < len(found) < len(sizes)
    assert len(found) == pytest.approx((sizes >= 500).sum(), abs=1)


def test_the_table_of_fields_is_valid_fiboa(mapped):
    schema = pyarrow.parquet.read_schema(mapped[0] / "whole" / "fields.parquet")
    geo, collection = (json.loads(schema.metadata[key]) for key in (b"geo", b"collection"))
    Draft202012Validator(SCHEMAS["https://geoparquet.org/releases/v1.1.0/schema.json"]).validate(geo)
    ((name, uris),) = collection["schemas"].items()
    assert name == collection["collection"]
    parts = [*(SCHEMAS[uri] for uri in uris), collection["schemas:custom"]]
    required = {key for part in parts for key in part["required"]}
    properties = {key: rule for part in parts for key, rule in part["properties"].items()}
    assert required <= {*schema.names, *collection}
    kinds = {"float": "float", "double": "double", "int64": "int64", "string": "string", "bounding-box": "struct"}
    for field in schema:
        rule = properties[field.name]
        assert str(field.type).startswith(kinds.get(rule["type"], "binary")), field.name
        assert field.nullable == (field.name not in required), field.name
    table = pyarrow.parquet.read_table(mapped[0] / "whole" / "fields.parquet")
    assert set(table["determination:method"].to_pylist()) <= set(properties["determination:method"]["enum"])
