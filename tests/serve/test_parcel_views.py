"""Parcels at a place and by name: the same as geopandas finds, read in parts."""

import geopandas
import numpy as np
import pyarrow.parquet
import pytest
import shapely
from tests.serve.small_season import small_season

from agrifm.errors import ServeError
from agrifm.serve.parcel_views import ParcelViews
from agrifm.serve.refusals import RefusedRequestError


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Parcels in row groups of ten."""
    path = small_season(tmp_path_factory.mktemp("season") / "season").parcel_crops / "parcels.parquet"
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path), path, row_group_size=10)
    return path


def test_a_place_has_the_parcel_around_it(file):
    frame, views = geopandas.read_parquet(file), ParcelViews(file)
    for row in (0, 11, 48):
        inside = frame.geometry[row].representative_point()
        found = views.at(inside.x, inside.y)
        assert found["columns"]["id"] == frame.id[row]
        assert found["columns"]["agrifm:hectares"] == pytest.approx(frame["agrifm:hectares"][row])
        assert shapely.from_geojson(str(found["geometry"]).replace("'", '"')).equals(frame.geometry[row])
    gaps = shapely.box(*frame.total_bounds).difference(frame.union_all())
    outside = gaps.representative_point()
    assert views.at(outside.x, outside.y) is None


@pytest.mark.parametrize("order", ["as written", "shuffled"])
def test_parcels_that_touch_a_box_are_those_of_geopandas(tmp_path, order):
    """More parcels than are passed over together, in their rows or in any order."""
    side = np.arange(40) * 0.01
    boxes = np.array([shapely.box(x, y, x + 0.008, y + 0.006) for y in side for x in side])
    if order == "shuffled":
        boxes = np.random.default_rng(0).permutation(boxes)
    names = [f"p{number}" for number in range(len(boxes))]
    frame = geopandas.GeoDataFrame(
        {"id": names, "crop:code": "wheat", "agrifm:confidence": 0.5}, geometry=list(boxes), crs=4326
    )
    frame.to_parquet(tmp_path / "many.parquet", write_covering_bbox=True)
    views = ParcelViews(tmp_path / "many.parquet")
    for box in ((0.105, 0.205, 0.135, 0.215), (-1, -1, 0.001, 0.001), (-1, -1, 1, 1), (0.5, 0.5, 0.6, 0.6)):
        expected = np.sort(frame.sindex.query(shapely.box(*box), predicate="intersects"))
        assert views.touching(*box).tolist() == expected.tolist()


def test_a_parcel_is_found_by_its_name(file):
    views = ParcelViews(file)
    found = views.named("p33")
    assert found["row"] == 33
    west, south, east, north = found["bounds"]
    assert west < found["inside"][0] < east
    assert south < found["inside"][1] < north
    for name in ("p49", "", "../p1", "p" * 5000):
        with pytest.raises(RefusedRequestError):
            views.named(name)


def test_a_file_of_another_kind_is_refused(tmp_path):
    geopandas.GeoDataFrame({"id": ["a"]}, geometry=[shapely.Point(0, 0)], crs=4326).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(np.arange(100).tobytes())
    for name in ("a.parquet", "b.parquet"):
        with pytest.raises(ServeError, match=name):
            ParcelViews(tmp_path / name)
