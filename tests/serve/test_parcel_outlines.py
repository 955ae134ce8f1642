"""Outlines of parcels as tiles: all that touch a tile are in it, and zooms with too many of them have none."""

import geopandas
import numpy as np
import pyarrow.parquet
import pytest
import shapely
from pyogrio import read_dataframe
from tests.serve.small_season import request, served, small_season

from agrifm.serve import parcel_outlines
from agrifm.serve.parcel_outlines import ParcelOutlines, outline_zoom
from agrifm.serve.parcel_views import ParcelViews
from agrifm.serve.tile_places import tile_bounds, tiles_of


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    """Its parcels are in row groups of ten."""
    project = small_season(tmp_path_factory.mktemp("season") / "season")
    path = project.parcel_crops / "parcels.parquet"
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path), path, row_group_size=10)
    return project


def ids(content, tmp_path):
    (tmp_path / "tile.mvt").write_bytes(content)
    return set(read_dataframe(tmp_path / "tile.mvt")["mvt_id"])


def test_a_tile_has_the_parcels_in_it(season, tmp_path):
    file = season.parcel_crops / "parcels.parquet"
    shapes = geopandas.read_parquet(file).geometry.to_numpy()
    outlines = ParcelOutlines(ParcelViews(file))
    with served(season.directory) as port:
        for tile in [
            (11, *tiles_of(shapely.total_bounds(shapes), 11)[0][1:]),
            *tiles_of(shapely.total_bounds(shapes), 15),
        ]:
            found = ids(outlines.tile(*tile), tmp_path)
            inside = set(np.flatnonzero(shapely.intersects(shapes, shapely.box(*tile_bounds(*tile)))).tolist())
            near = set(
                np.flatnonzero(shapely.intersects(shapes, shapely.box(*tile_bounds(*tile)).buffer(3e-4))).tolist()
            )
            assert inside <= found <= near
            z, x, y = tile
            status, content, _ = request(port, f"/parcels/{z}/{x}/{y}.mvt")
            assert (status, content) == (200, outlines.tile(*tile))
        assert request(port, "/parcels/3/9/0.mvt")[0] == 404


def test_zooms_with_too_many_parcels_in_a_tile_have_none(season, tmp_path, monkeypatch):
    views = ParcelViews(season.parcel_crops / "parcels.parquet")
    edges = views.edges()
    for most in (15, 30):
        monkeypatch.setattr(parcel_outlines, "MOST_PARCELS", most)
        zoom = outline_zoom(edges)

        def counts(zoom):
            middles = ((edges[:, :2] + edges[:, 2:]) / 2).astype(float)
            tiles = [tiles_of((*middle, *middle), zoom)[0] for middle in middles.tolist()]
            return max(map(tiles.count, tiles))

        assert counts(zoom) <= most < counts(zoom - 1)
        outlines = ParcelOutlines(views)
        assert outlines.stated()["minzoom"] == zoom
        above = outlines.tile(*tiles_of(edges[0].tolist(), zoom - 1)[0])
        assert len(above) < 30
        assert ids(outlines.tile(*tiles_of(edges[0].tolist(), zoom)[0]), tmp_path)


def test_the_lowest_zoom_of_many_parcels_follows_from_their_distance():
    """100 m apart at 47 degrees: a tile of zoom 12 has 6.7 km a side and 4,470 of them, one of zoom 13 has 1,120."""
    across = 100 / (111_320 * np.cos(np.radians(47)))
    middle = np.stack(np.meshgrid(2 + np.arange(200) * across, 47 + np.arange(200) * 100 / 111_320), -1).reshape(-1, 2)
    assert outline_zoom(np.hstack([middle, middle]).astype(np.float32)) == 13
