"""Parcels from a finished map: known answers, whatever the file, its order and its parts; counted and named faults."""

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet
import pyproj
import pytest
import shapely
from jsonschema import Draft202012Validator
from tests.mapping.small_parcels import CODES, LEGEND, map_grid, small_map, small_parcels

from agrifm import vector_batches
from agrifm.cli import main
from agrifm.config import ParcelsConfig
from agrifm.errors import MapError, OutputError
from agrifm.mapping import parcels
from agrifm.mapping.parcel_districts import DistrictFile
from agrifm.mapping.parcels import map_parcels


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """A map with an unseen corner, its pixels and its grid."""
    path, grid = tmp_path_factory.mktemp("mapped") / "map", map_grid()
    stored, count = small_map(path, grid, unseen=(slice(0, 30), slice(0, 30)))
    return path, grid, stored, count


def read(path):
    return geopandas.read_parquet(path / "parcels.parquet")


def answer(file, mapped, out, hierarchy=None, drawn=False, executor=None, districts=None, **keys):
    """Run the command, mostly without its picture, which takes longest."""
    with nullcontext() if drawn else patch.object(parcels, "write_parcel_picture"):
        return map_parcels(ParcelsConfig(file=file, **keys), mapped[0], out, hierarchy, executor, districts)


def by_hand(shape, grid, stored, count):
    """Probabilities, observations, share of mixed pixels and of pixels with a class, from shapely's intersections."""
    west, south, east, north = shape.bounds
    total, weight, mixed, seen = np.zeros(3), 0.0, 0.0, 0.0
    for row in range(int((grid.bounds[3] - north) // 10), int((grid.bounds[3] - south) // 10) + 1):
        for col in range(int((west - grid.bounds[0]) // 10), int((east - grid.bounds[0]) // 10) + 1):
            corner = grid.transform * (col, row)
            pixel = shapely.box(corner[0], corner[1] - 10, corner[0] + 10, corner[1])
            share = pixel.intersection(shape).area / 100
            mixed += share if share < 1 - 1e-9 else 0
            if share and 0 <= row < grid.shape[0] and 0 <= col < grid.shape[1] and count[row, col] != 255:
                total += share * stored[:, row, col]
                weight += share
                seen += share * count[row, col]
    area = shape.area / 100
    return total / total.sum(), seen / weight, mixed / area, weight / area


def test_a_parcel_has_the_mean_of_its_pixels_by_their_exact_shares(tmp_path, mapped):
    _, grid, stored, count = mapped
    shapes = small_parcels(grid, 64)
    shapes.to_file(tmp_path / "parcels.gpkg")
    summary = answer(tmp_path / "parcels.gpkg", mapped, tmp_path / "out", drawn=True)
    found = read(tmp_path / "out")
    assert found.id.tolist() == shapes.id.tolist()
    assert set(found["agrifm:status"]) == {"crop", "unobserved"}
    for number in range(0, 64, 7):
        one = found.iloc[number]
        if one["agrifm:status"] == "unobserved":
            continue
        share, seen, mixed, known = by_hand(shapes.geometry[number], grid, stored, count)
        assert one["agrifm:probabilities"] == pytest.approx(share, abs=1e-5)
        order = np.argsort(-share)
        assert (one["crop:code"], one["agrifm:second_code"]) == (CODES[order[0]], CODES[order[1]])
        assert one["agrifm:confidence"] == pytest.approx(share.max(), abs=1e-5)
        assert one["agrifm:second_probability"] == pytest.approx(share[order[1]], abs=1e-5)
        assert one["agrifm:observations"] == pytest.approx(seen, abs=1e-4)
        assert one["agrifm:mixed_share"] == pytest.approx(mixed, abs=1e-4)
        assert one["agrifm:mapped_share"] == pytest.approx(known, abs=1e-4)
    hectares = found.groupby("crop:code")["agrifm:hectares"].sum()
    for code in CODES:
        assert summary.hectares[code] == pytest.approx(hectares.get(code, 0))
    picture = (tmp_path / "out" / "parcels.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_areas_and_lengths_are_geodesic(tmp_path, mapped):
    ring = small_parcels(mapped[1], 4).geometry[0].difference(shapely.Point(480_480, 5_519_520).buffer(8))
    shapes = geopandas.GeoDataFrame(
        {"id": ["a", "b"]}, geometry=[ring, small_parcels(mapped[1], 4).geometry[3]], crs=32631
    )
    shapes.to_file(tmp_path / "a.gpkg")
    answer(tmp_path / "a.gpkg", mapped, tmp_path / "out")
    found = read(tmp_path / "out")
    geod = pyproj.Geod(ellps="WGS84")
    for one, shape in zip(found.itertuples(), shapes.to_crs(4326).geometry, strict=True):
        area, _ = geod.geometry_area_perimeter(shapely.orient_polygons(shape))
        length = geod.geometry_length(shapely.Polygon(shape.exterior).exterior)
        row = found.iloc[one.Index]
        assert row["metrics:area"] == pytest.approx(abs(area), rel=1e-6)
        assert row["agrifm:hectares"] == pytest.approx(abs(area) / 1e4, rel=1e-9)
        assert row["metrics:perimeter"] == pytest.approx(length, rel=1e-6)


def test_the_order_the_parts_and_the_format_of_the_file_do_not_matter(tmp_path, mapped, monkeypatch):
    shapes = small_parcels(mapped[1], 300).to_crs(4326)
    shapes.to_file(tmp_path / "whole.gpkg")
    shapes.to_parquet(tmp_path / "whole.parquet", write_covering_bbox=True)
    answer(tmp_path / "whole.gpkg", mapped, tmp_path / "whole")
    whole = read(tmp_path / "whole").set_index("id").drop(columns="agrifm:row")
    monkeypatch.setattr(vector_batches, "BATCH_ROWS", 37)
    monkeypatch.setattr("agrifm.mapping.parcel_pooling.BLOCK", 50)
    monkeypatch.setattr("agrifm.mapping.parcel_pooling.MOST_CELLS", 900)
    shuffled = shapes.sample(frac=1, random_state=1)
    shuffled.to_parquet(tmp_path / "parts.parquet", row_group_size=80)
    answer(tmp_path / "parts.parquet", mapped, tmp_path / "parts")
    parts = read(tmp_path / "parts")
    assert parts.id.tolist() == shuffled.id.tolist()
    parts = parts.set_index("id").drop(columns="agrifm:row").loc[whole.index]
    for column in whole.columns.drop(["agrifm:probabilities", "geometry"]):
        assert whole[column].equals(parts[column]), column
    both = zip(whole["agrifm:probabilities"].dropna(), parts["agrifm:probabilities"].dropna(), strict=True)
    assert all((one == other).all() for one, other in both)


def test_a_large_parcel_is_the_same_in_parts(tmp_path, mapped, monkeypatch):
    corners = [(479_500, 5_519_900), (481_700, 5_519_990), (481_950, 5_518_100), (480_100, 5_518_500)]
    large = geopandas.GeoDataFrame({"id": ["large"]}, geometry=[shapely.Polygon(corners)], crs=32631)
    large.to_file(tmp_path / "a.gpkg")
    answer(tmp_path / "a.gpkg", mapped, tmp_path / "whole")
    monkeypatch.setattr("agrifm.mapping.parcel_pooling.LARGE", 40)
    monkeypatch.setattr("agrifm.mapping.parcel_pooling.BLOCK", 50)
    answer(tmp_path / "a.gpkg", mapped, tmp_path / "parts")
    one, other = (read(tmp_path / name).iloc[0] for name in ("whole", "parts"))
    assert one["agrifm:probabilities"] == pytest.approx(other["agrifm:probabilities"], abs=1e-6)
    for column in ("agrifm:observations", "agrifm:mapped_share", "agrifm:pixels"):
        assert one[column] == pytest.approx(other[column], rel=1e-5)
    assert one["agrifm:mapped_share"] < 0.95


def test_faults_of_parcels_are_counted_named_and_marked(tmp_path, mapped):
    square = shapely.box(480_800, 5_519_000, 480_900, 5_519_100)
    shapes = {
        "whole": square,
        "again": shapely.Polygon(np.roll(np.array(square.exterior.coords)[:-1], 1, axis=0)),
        "over": shapely.box(480_890, 5_519_000, 480_990, 5_519_100),
        "touching": shapely.box(480_990, 5_519_000, 481_090, 5_519_100),
        "tiny": shapely.box(481_203, 5_519_003, 481_206, 5_519_006),
        "bow": shapely.Polygon(
            [(481_300, 5_519_000), (481_400, 5_519_100), (481_400, 5_519_000), (481_300, 5_519_100)]
        ),
        "unseen": shapely.box(480_050, 5_519_800, 480_150, 5_519_900),
        "beyond": shapely.box(499_000, 5_519_000, 499_100, 5_519_100),
        "point": shapely.Point(480_800, 5_519_000),
    }
    names = ["whole", "again", "over", "touching", "tiny", "bow", "unseen", "beyond", "whole"]
    frame = geopandas.GeoDataFrame({"id": names}, geometry=list(shapes.values()), crs=32631)
    frame.to_parquet(tmp_path / "a.parquet")
    summary = answer(tmp_path / "a.parquet", mapped, tmp_path / "out")
    found = read(tmp_path / "out").set_index("id")
    assert found.index.tolist() == ["whole", "again", "over", "touching", "tiny", "bow", "unseen"]
    assert (summary.rows, summary.parcels, summary.left_out, summary.unobserved) == (9, 7, 1, 1)
    assert (summary.below_pixel, summary.mended, summary.overlaps, summary.duplicates) == (1, 1, 3, 1)
    assert set(summary.overlapping) == {"whole", "again", "over"}
    marked = {
        column: found.index[found[f"agrifm:{column}"]].tolist()
        for column in ("below_pixel", "mended", "overlaps", "duplicate")
    }
    assert marked == {
        "below_pixel": ["tiny"],
        "mended": ["bow"],
        "overlaps": ["whole", "again", "over"],
        "duplicate": ["again"],
    }
    assert found.loc["tiny", "agrifm:pixels"] == pytest.approx(0.09, abs=1e-4)
    assert found.loc["tiny", "crop:code"] in CODES
    assert found.loc["unseen", "crop:code"] == ""
    assert np.isnan(found.loc["unseen", "agrifm:confidence"])
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["duplicates"] == 1
    assert len(summary.lines()) == 9


def test_a_name_that_occurs_twice_is_made_different(tmp_path, mapped):
    shapes = small_parcels(mapped[1], 9)
    shapes["id"] = [7, 7, 8, 9, 10, 11, 12, 13, 7]
    shapes.to_parquet(tmp_path / "a.parquet")
    summary = answer(tmp_path / "a.parquet", mapped, tmp_path / "out")
    assert read(tmp_path / "out").id.tolist() == ["7", "7#1", "8", "9", "10", "11", "12", "13", "7#8"]
    assert summary.renamed == 2


@pytest.mark.parametrize(
    ("column", "factor", "unit", "pointed_out"),
    [
        ("metrics:area", 1.0, "m2", False),
        ("metrics:area", 1e-4, "ha", True),
        ("area", 1e-4, "ha", False),
        ("area", 1.0, "m2", True),
        ("area", 2.471e-4, None, True),
    ],
)
def test_areas_in_another_unit_than_their_column_has_are_noticed(tmp_path, mapped, column, factor, unit, pointed_out):
    shapes = small_parcels(mapped[1], 9)
    shapes[column] = shapes.area * factor
    shapes.to_parquet(tmp_path / "a.parquet")
    summary = answer(tmp_path / "a.parquet", mapped, tmp_path / "out")
    assert summary.area_unit == unit
    assert any(f"'{column}'" in line for line in summary.lines()) == pointed_out
    assert read(tmp_path / "out")["metrics:area"].to_numpy() == pytest.approx(shapes.area.to_numpy(), rel=2e-3)


SCHEMAS = json.loads((Path(__file__).parents[1] / "golden" / "fiboa_schemas.json").read_text())
TYPES = {
    "string": pyarrow.types.is_string, "float": pyarrow.types.is_float32, "double": pyarrow.types.is_float64,
    "boolean": pyarrow.types.is_boolean, "int64": pyarrow.types.is_int64, "uint32": pyarrow.types.is_uint32,
    "array": pyarrow.types.is_list, "geometry": pyarrow.types.is_binary, "bounding-box": pyarrow.types.is_struct,
}  # fmt: skip


def test_the_table_is_valid_fiboa_with_every_column_declared(tmp_path, mapped):
    """The checks of the published validator (vecorel-cli 0.4.1), with the published schemas."""
    small_parcels(mapped[1], 64).to_file(tmp_path / "a.gpkg")
    answer(tmp_path / "a.gpkg", mapped, tmp_path / "out", hierarchy="hcat3")
    file = tmp_path / "out" / "parcels.parquet"
    schema = pyarrow.parquet.read_schema(file)
    geo, collection = (json.loads(schema.metadata[key]) for key in (b"geo", b"collection"))
    Draft202012Validator(SCHEMAS["https://geoparquet.org/releases/v1.1.0/schema.json"]).validate(geo)
    ((name, uris),) = collection["schemas"].items()
    assert name == collection["collection"]
    parts = [*(SCHEMAS[uri] for uri in uris), collection["schemas:custom"]]
    required = {key for part in parts for key in part["required"]}
    properties = {key: rule for part in parts for key, rule in part["properties"].items()}
    assert required <= {*schema.names, *collection}
    table = pyarrow.parquet.read_table(file)
    for field in schema:
        rule = properties[field.name]
        assert TYPES[rule["type"]](field.type), field.name
        assert field.nullable == (field.name not in required), field.name
        if rule["type"] in ("geometry", "bounding-box"):
            continue
        kind = {"float": "number", "double": "number", "int64": "integer", "uint32": "integer"}.get(rule["type"])
        rule = {**rule, "type": kind or rule["type"]}
        if "items" in rule:
            rule["items"] = {"type": "number"}
        checker = Draft202012Validator(rule)
        for value in table[field.name].to_pylist():
            if value is not None:
                checker.validate(value)
    ids = table["id"].to_pylist()
    assert len(set(ids)) == len(ids)
    found = table.to_pandas().drop_duplicates("crop:code").set_index("crop:code")["hcat:code"]
    assert found[CODES[0]] == 3301010101
    assert np.isnan(found["other"])
    names = table["hcat:name"].to_pylist()
    assert set(names) == {"winter_common_soft_wheat", "winter_rapeseed_rape", None}
    boxes = np.array([list(one.values()) for one in table["bbox"].to_pylist()])
    bounds = read(tmp_path / "out").bounds.to_numpy()
    assert (boxes[:, :2] <= bounds[:, :2]).all()
    assert (boxes[:, 2:] >= bounds[:, 2:]).all()
    assert boxes == pytest.approx(bounds, abs=1e-5)
    listed = (tmp_path / "out" / collection["crop:code_list"]).read_text().splitlines()
    assert listed[0] == "original_code,original_name,translated_name"
    assert [line.split(",")[0] for line in listed[1:]] == list(LEGEND.codes)


def test_a_stopped_run_continues_and_writes_the_same_bytes(tmp_path, mapped, monkeypatch):
    small_parcels(mapped[1], 200).to_parquet(tmp_path / "a.parquet", row_group_size=40)
    answer(tmp_path / "a.parquet", mapped, tmp_path / "whole", drawn=True)
    done = []

    def stopping(job, numbered):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(numbered[0])
        return answer_unit(job, numbered)

    answer_unit = parcels.answer_unit
    with monkeypatch.context() as replaced:
        replaced.setattr(parcels, "answer_unit", stopping)
        with pytest.raises(KeyboardInterrupt):
            answer(tmp_path / "a.parquet", mapped, tmp_path / "stopped")
    assert not (tmp_path / "stopped").exists()
    with monkeypatch.context() as replaced:
        done.clear()
        replaced.setattr(parcels, "answer_unit", lambda job, one: done.append(one[0]) or answer_unit(job, one))
        answer(tmp_path / "a.parquet", mapped, tmp_path / "stopped", drawn=True)
    assert done == [3, 4]
    for name in ("parcels.parquet", "parcels.png", "summary.json", "legend.csv"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list(tmp_path.glob("stopped.partial*"))


def test_parts_of_an_executor_make_the_same_bytes_and_can_be_sent_to_it(tmp_path, mapped):
    small_parcels(mapped[1], 200).to_parquet(tmp_path / "a.parquet", row_group_size=40)
    answer(tmp_path / "a.parquet", mapped, tmp_path / "here")

    class Sending(ThreadPoolExecutor):
        def submit(self, function, /, *words, **keys):
            return super().submit(*pickle.loads(pickle.dumps((function, *words))), **keys)

    with Sending(2) as executor:
        answer(tmp_path / "a.parquet", mapped, tmp_path / "there", executor=executor)
    name = "parcels.parquet"
    assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_hectares_are_summed_by_district_next_to_the_estimates_of_a_report(tmp_path, mapped):
    shapes = small_parcels(mapped[1], 64)
    shapes.to_parquet(tmp_path / "a.parquet")
    left, bottom, right, top = mapped[1].bounds
    middle = (left + right) / 2
    halves = [shapely.box(left, bottom, middle, top), shapely.box(middle, bottom, right, top)]
    geopandas.GeoDataFrame({"name": ["west", "east"]}, geometry=halves, crs=32631).to_file(tmp_path / "d.gpkg")
    areas = [{"code": CODES[0], "area_ha": 12.5, "interval_ha": [10.0, 15.0]}]
    report = {"districts": [{"code": "east", "areas": areas}, {"code": "west", "areas": None}]}
    (tmp_path / "report.json").write_text(json.dumps(report))
    stated = DistrictFile(tmp_path / "d.gpkg", "name", tmp_path / "report.json")
    answer(tmp_path / "a.parquet", mapped, tmp_path / "out", districts=stated)
    rows = pd.read_csv(tmp_path / "out" / "districts.csv", dtype={"code": str}).set_index(["district", "code"])
    found = read(tmp_path / "out")
    side = np.where(shapes.centroid.x < middle, "west", "east")
    for (district, code), row in rows.iterrows():
        chosen = (side == district) & (found["crop:code"] == code).to_numpy()
        assert row.parcels == chosen.sum()
        assert row.hectares == pytest.approx(found["agrifm:hectares"][chosen].sum(), abs=0.006)
    assert len(rows) == 6
    assert rows.loc[("east", CODES[0]), ["estimated_ha", "low_ha", "high_ha"]].tolist() == [12.5, 10, 15]
    assert rows.loc["west"].estimated_ha.isna().all()
    with pytest.raises(MapError) as caught:
        answer(tmp_path / "a.parquet", mapped, tmp_path / "x", districts=DistrictFile(tmp_path / "d.gpkg", "nam"))
    assert caught.value.facts["column"] == "nam"
    assert not (tmp_path / "x").exists()


def test_a_damaged_map_is_named_and_not_the_parcels(tmp_path, mapped):
    small_parcels(mapped[1], 9).to_parquet(tmp_path / "a.parquet")
    shutil.copytree(mapped[0], tmp_path / "map")
    file = tmp_path / "map" / "probabilities.tif"
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 3 // 5])
    with pytest.raises(MapError) as caught:
        answer(tmp_path / "a.parquet", (tmp_path / "map",), tmp_path / "out")
    assert caught.value.facts["path"] == tmp_path / "map"


def test_a_geopackage_has_the_same_rows(tmp_path, mapped):
    small_parcels(mapped[1], 30).to_parquet(tmp_path / "a.parquet")
    answer(tmp_path / "a.parquet", mapped, tmp_path / "out", geopackage=True)
    table, found = read(tmp_path / "out"), geopandas.read_file(tmp_path / "out" / "parcels.gpkg")
    assert found.id.tolist() == table.id.tolist()
    assert found.crop_code.tolist() == table["crop:code"].tolist()
    assert found.crs == 4326
    known = (table["agrifm:status"] == "crop").to_numpy()
    stated = np.stack(table["agrifm:probabilities"][known].to_list())
    assert found[[f"p_{code}" for code in CODES]].to_numpy()[known] == pytest.approx(stated)


def test_bad_requests_are_refused_before_anything_is_written(tmp_path, mapped):
    small_parcels(mapped[1], 9).to_parquet(tmp_path / "a.parquet")
    small_parcels(mapped[1], 9).translate(9e4).to_frame("geometry").to_parquet(tmp_path / "far.parquet")
    (tmp_path / "plain").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    cases = [
        (MapError, "column", lambda out: answer(tmp_path / "a.parquet", mapped, out, id="name")),
        (MapError, "columns", lambda out: answer(tmp_path / "a.parquet", mapped, out, area="ha")),
        (MapError, "rows", lambda out: answer(tmp_path / "far.parquet", mapped, out)),
        (MapError, "path", lambda out: answer(tmp_path / "absent.parquet", mapped, out)),
        (MapError, "file", lambda out: answer(tmp_path / "a.parquet", (tmp_path / "plain",), out)),
    ]
    for kind, fact, call in cases:
        with pytest.raises(kind) as caught:
            call(tmp_path / "out")
        assert fact in caught.value.facts
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()
    with pytest.raises(OutputError):
        answer(tmp_path / "a.parquet", mapped, tmp_path / "full")
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_the_command_reads_the_project_file_and_says_what_it_did(tmp_path, mapped, capsys):
    small_parcels(mapped[1], 9).to_parquet(tmp_path / "fields.parquet")
    season = "[season]\nstart = 2024-03-01\nend = 2024-10-31\narea = [2, 49, 3, 50]\n"
    project = f'{season}[imagery]\ncatalog = "c"\nproducts = ["landsat-c2-l2"]\n[labels]\nfile = "l.gpkg"\n'
    (tmp_path / "agrifm.toml").write_text(project)
    words = ["parcels", "--project", str(tmp_path), "--map", str(mapped[0])]
    assert main(words) == 2
    assert "[parcels]" in capsys.readouterr().err
    (tmp_path / "agrifm.toml").write_text(f'{project}[parcels]\nfile = "fields.parquet"\n')
    with patch.object(parcels, "write_parcel_picture"):
        assert main(words) == 0
    assert "9 of 9 parcels have a crop" in capsys.readouterr().out
    assert len(read(tmp_path / "parcels")) == 9
