"""Polygons batch by batch: those that geopandas finds in the whole file, whatever the format and the CRS."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pyarrow.parquet
import pytest
import shapely

from agrifm import vector_batches
from agrifm.errors import MapError
from agrifm.vector_batches import ROW, open_batches
from agrifm.vectors import VectorKeys

BOX = (2.2, 46.2, 2.45, 46.4)
ABOUT = "reading the parcels"


def fields(count=900, seed=0):
    """Triangles of about a kilometre in a square of half a degree, in the order of rows."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform((2, 46), (2.5, 46.5), (count, 2)).round(6)
    corners = middle[:, None] + np.array([(0, 0), (0.01, 0.001), (0.004, 0.008)])
    order = np.argsort(middle[:, 0])
    return geopandas.GeoDataFrame(
        {"id": [f"p{number}" for number in range(count)], "area": np.linspace(1, 9, count)},
        geometry=shapely.polygons(corners[order]),
        crs="EPSG:4326",
    )


def read(path, keys=None, box=BOX, columns=("id",)):
    """Names and row numbers of the polygons in the box, and their outlines in longitude and latitude."""
    with open_batches(path, ABOUT, MapError, keys or VectorKeys(), box) as batches:
        layers = [layer for unit in batches.units for layer in batches.read(unit, columns)]
        crs = batches.crs
    frame = geopandas.pd.concat([layer.frame for layer in layers]).set_crs(crs, allow_override=True)
    return frame.to_crs("EPSG:4326"), layers, batches


WRITERS = {
    "fields.gpkg": lambda frame, path: frame.to_file(path),
    "fields.shp": lambda frame, path: frame.to_file(path),
    "fields.geojson": lambda frame, path: frame.to_file(path),
    "fields.parquet": lambda frame, path: frame.to_parquet(path, write_covering_bbox=True, row_group_size=100),
    "plain.parquet": lambda frame, path: frame.to_parquet(path, row_group_size=100),
}


@pytest.mark.parametrize(
    ("name", "crs"),
    [*((name, "EPSG:4326") for name in WRITERS), *((name, "EPSG:2154") for name in WRITERS if "geojson" not in name)],
)
def test_the_polygons_of_a_box_are_found_in_every_format(tmp_path, monkeypatch, name, crs):
    monkeypatch.setattr(vector_batches, "BATCH_ROWS", 70)
    frame = fields()
    WRITERS[name](frame.to_crs(crs), tmp_path / name)
    found, layers, batches = read(tmp_path / name)
    assert max(len(layer.frame) for layer in layers) <= 70
    assert batches.rows == 900
    inside = frame.intersects(shapely.box(*BOX))
    # A box in another CRS is larger, and bounds are larger than shapes: nothing that is inside is missing.
    assert set(frame.id[inside]) <= set(found.id)
    assert len(found) < 1.2 * inside.sum()
    assert found.id.is_unique
    truth = frame.iloc[found[ROW].to_numpy() - name.endswith("gpkg")]
    assert truth.id.tolist() == found.id.tolist()
    assert shapely.hausdorff_distance(truth.geometry.to_numpy(), found.geometry.to_numpy()).max() < 1e-6


def test_row_groups_outside_the_box_are_not_read(tmp_path):
    fields().to_parquet(tmp_path / "a.parquet", write_covering_bbox=True, row_group_size=50)
    with open_batches(tmp_path / "a.parquet", ABOUT, MapError, VectorKeys(), (2.2, 46, 2.25, 46.5)) as batches:
        assert 2 <= len(batches.units) <= 6
        assert batches.rows == 900


def test_a_folder_of_files_is_read_with_rows_counted_on(tmp_path):
    frame = fields()
    for number, part in enumerate((frame[:500], frame[500:])):
        part.to_parquet(tmp_path / f"{number}.parquet", write_covering_bbox=True, row_group_size=100)
    found, _, batches = read(tmp_path)
    assert batches.rows == 900
    assert frame.id.iloc[found[ROW].to_numpy()].tolist() == found.id.tolist()


def test_a_column_bbox_of_32_bits_is_used_as_fiboa_has_it(tmp_path):
    frame = fields()
    bounds = frame.bounds.to_numpy(np.float32)
    table = pyarrow.table(frame.to_arrow(geometry_encoding="WKB"))
    corners = pyarrow.StructArray.from_arrays(list(bounds.T), names=["xmin", "ymin", "xmax", "ymax"])
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": []}},
    }
    table = table.append_column("bbox", corners).replace_schema_metadata({"geo": json.dumps(geo)})
    pyarrow.parquet.write_table(table, tmp_path / "fiboa.parquet", row_group_size=50)
    found, _, batches = read(tmp_path / "fiboa.parquet")
    assert len(batches.units) < 18
    assert set(frame.id[frame.intersects(shapely.box(*BOX))]) <= set(found.id)


def test_invalid_rings_are_mended_and_rows_without_a_polygon_are_kept_apart(tmp_path):
    bow_tie = shapely.Polygon([(2.3, 46.3), (2.31, 46.31), (2.31, 46.3), (2.3, 46.31)])
    shapes = [bow_tie, None, shapely.Point(2.3, 46.3), shapely.box(2.3, 46.3, 2.31, 46.31)]
    frame = geopandas.GeoDataFrame({"id": ["a", "b", "c", "d"]}, geometry=shapes, crs="EPSG:4326")
    frame.to_parquet(tmp_path / "a.parquet")
    _, layers, _ = read(tmp_path / "a.parquet")
    assert [layer.mended for layer in layers] == [1]
    kept = layers[0].frame
    assert kept.id[~kept.geometry.isna()].tolist() == ["a", "d"]
    assert kept.geometry.dropna().is_valid.all()
    assert layers[0].left_out == {"Point": 1}


def refused(path: Path, keys=None) -> MapError:
    with pytest.raises(MapError) as caught:
        read(path, keys)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(ABOUT)
    assert caught.value.facts["path"] == path
    return caught.value


def test_a_file_without_a_crs_is_refused_unless_it_is_stated(tmp_path):
    frame = fields()
    metres = frame.to_crs("EPSG:2154").set_crs(None, allow_override=True)
    metres.to_parquet(tmp_path / "a.parquet")
    with pytest.warns(UserWarning, match="crs"):
        metres.to_file(tmp_path / "a.gpkg")
    for name in ("a.parquet", "a.gpkg"):
        assert refused(tmp_path / name).facts["key"] == "crs"
        found, _, _ = read(tmp_path / name, VectorKeys(crs="EPSG:2154"))
        assert set(frame.id[frame.intersects(shapely.box(*BOX))]) <= set(found.id)


def test_metres_that_are_called_degrees_are_refused(tmp_path):
    fields().to_crs("EPSG:2154").set_crs("EPSG:4326", allow_override=True).to_parquet(tmp_path / "a.parquet")
    assert refused(tmp_path / "a.parquet").facts["key"] == "crs"


def test_files_that_cannot_be_read_in_parts_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("id,longitude,latitude\n1,2.3,46.3\n")
    refused(tmp_path / "a.csv")
    refused(tmp_path / "absent.gpkg")
    pyarrow.parquet.write_table(pyarrow.table({"id": ["a"]}), tmp_path / "table.parquet")
    refused(tmp_path / "table.parquet")
    fields().to_parquet(tmp_path / "arrow.parquet", geometry_encoding="geoarrow")
    assert refused(tmp_path / "arrow.parquet").facts["encoding"] != "WKB"
    fields().to_parquet(tmp_path / "cut.parquet")
    whole = (tmp_path / "cut.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "cut.parquet")
