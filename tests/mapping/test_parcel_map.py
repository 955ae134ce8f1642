"""Parcels of a divided area: as the whole map would answer, over the borders of tiles and of UTM zones."""

import json
from pathlib import Path
from unittest.mock import patch

import geopandas
import numpy as np
import pytest
from affine import Affine
from geopandas.testing import assert_geodataframe_equal
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from shapely import box, contains_xy, segmentize
from shapely.geometry import mapping
from tests.mapping.small_parcels import CODES, LEGEND, UTM, small_map, small_parcels

from agrifm.area_tile import AreaTile
from agrifm.area_tiles import tile_grid, tiles_of_area
from agrifm.config import ParcelsConfig
from agrifm.errors import MapError, OutputError
from agrifm.grid import Grid, reproject, tiles
from agrifm.legend import LEGEND_TAG, legend_json
from agrifm.mapping import parcels
from agrifm.mapping.cog import TILE_SIDE, CogWriter
from agrifm.mapping.map_tiles import write_mosaics
from agrifm.mapping.parcels import map_parcels


def write_tile_map(maps: Path, tile: AreaTile, stored: NDArray[np.uint8], count: NDArray[np.uint8]) -> None:
    """Write the rasters of a tile that parcels are read from, (C, H, W) and (H, W) on the grid of its cube."""
    place, grid = maps / tile.name, tile_grid(tile)
    place.mkdir(parents=True)
    tags = {"AGRIFM_MODEL": "forest", "AGRIFM_SEASON": "2024-03-01/2024-10-31", LEGEND_TAG: legend_json(LEGEND)}
    for name, bands, pixels in (("probabilities.tif", CODES, stored), ("observations.tif", "observations", count)):
        with CogWriter(place / name, grid, bands, tags, "AVERAGE", scale=1 / 250 if pixels.ndim == 3 else 1) as writer:
            for part in tiles(grid.shape, TILE_SIDE):
                writer.write(part, pixels[..., *part.slices])
        writer.finish()
    (place / "item.json").write_text(json.dumps({"geometry": mapping(tile.area)}))


def finish(maps: Path, of_area: tuple[AreaTile, ...]) -> None:
    """Write the mosaics and the collection."""
    write_mosaics(maps, of_area)
    links = [{"rel": "item", "href": f"./{tile.name}/item.json"} for tile in of_area]
    (maps / "collection.json").write_text(json.dumps({"links": links}))


def answer(file: Path, maps: Path, out: Path) -> geopandas.GeoDataFrame:
    with patch.object(parcels, "write_parcel_picture"):
        map_parcels(ParcelsConfig(file=file), maps, out)
    return geopandas.read_parquet(out / "parcels.parquet")


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map as a whole, and the same in four tiles with halos of other values, and parcels across the borders."""
    place = tmp_path_factory.mktemp("divided")
    grid = Grid.of(UTM, Affine(10, 0, 480_000, 0, -10, 5_520_000), (288, 288))
    stored, count = small_map(place / "whole", grid, unseen=(slice(0, 50), slice(0, 50)))
    of_area = tiles_of_area(reproject(box(*grid.bounds), UTM, "EPSG:4326"), 1.44, 480)
    for tile in of_area:
        left, _, _, top = tile.extent
        row, col = round((5_520_000 - top) / 10), round((left - 480_000) / 10)
        height, width = tile_grid(tile).shape
        padded = np.pad(stored, ((0, 0), (400, 400), (400, 400)), constant_values=7)
        of_tile = padded[:, 400 + row : 400 + row + height, 400 + col : 400 + col + width].copy()
        seen = np.pad(count, 400, constant_values=7)[400 + row : 400 + row + height, 400 + col : 400 + col + width]
        x, y = np.meshgrid(tile_grid(tile).x, tile_grid(tile).y)
        west, south, east, north = tile.core
        of_tile[:, ~((x > west) & (x < east) & (y > south) & (y < north))] = 3  # what the halo says does not count
        write_tile_map(place / "maps", tile, of_tile, seen.copy())
    finish(place / "maps", of_area)
    assert len(of_area) >= 4
    small_parcels(grid, 100, reach=90).to_parquet(place / "parcels.parquet")
    return place


def test_parcels_on_tiles_are_those_on_the_whole_map(divided: Path) -> None:
    """The map as a whole is the reference: every column is the same, also of parcels on several tiles."""
    file = divided / "parcels.parquet"
    whole = answer(file, divided / "whole", divided / "of-whole")
    found = answer(file, divided / "maps", divided / "of-tiles")
    assert {"crop", "unobserved"} == set(found["agrifm:status"])
    assert_geodataframe_equal(found, whole)


def test_a_tile_that_is_mapped_anew_meanwhile_is_noticed(divided: Path) -> None:
    answer_unit = parcels.answer_unit

    def replacing(*arguments):
        (tile,) = list((divided / "maps/32631").glob("e480*"))[:1]
        tile.rename(tile.with_name("old"))
        tile.mkdir()
        (tile.with_name("old") / "item.json").rename(tile / "item.json")
        for raster in tile.with_name("old").glob("*.tif"):
            raster.rename(tile / raster.name)
        return answer_unit(*arguments)

    with patch.object(parcels, "answer_unit", replacing), pytest.raises(OutputError):
        answer(divided / "parcels.parquet", divided / "maps", divided / "out")
    assert not (divided / "out").exists()


def test_a_divided_map_without_probabilities_is_refused(divided: Path, tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    (maps / "32631/e480n5518").mkdir(parents=True)
    (maps / "collection.json").write_text(json.dumps({"links": [{"rel": "item", "href": "./32631/e480n5518/i.json"}]}))
    with pytest.raises(MapError) as error:
        answer(divided / "parcels.parquet", maps, tmp_path / "out")
    assert error.value.facts["file"] == "probabilities.tif"


def test_a_parcel_on_both_sides_of_a_zone_has_the_pixels_of_both_maps(tmp_path: Path) -> None:
    """West of 6 degrees all is wheat, east of it rapeseed: the probabilities are the shares of the parcel's ground."""
    of_area = tiles_of_area(box(5.99, 48.995, 6.01, 49.005), 10, 480)
    assert [tile.crs for tile in of_area] == ["EPSG:32631", "EPSG:32632"]
    for number, tile in enumerate(of_area):
        grid = tile_grid(tile)
        x, y = np.meshgrid(grid.x, grid.y)
        inside = contains_xy(tile.area, *Transformer.from_crs(tile.crs, "EPSG:4326", always_xy=True).transform(x, y))
        stored = np.zeros((3, *grid.shape), np.uint8)
        stored[number] = 250
        stored[:, ~inside] = 255
        write_tile_map(tmp_path / "maps", tile, stored, np.where(inside, 10 + number, 255).astype(np.uint8))
    finish(tmp_path / "maps", of_area)
    west, east = (5.992, 48.997, 5.996, 49.001), (6.002, 48.997, 6.006, 49.001)
    across, little = (5.997, 48.998, 6.001, 49.002), (5.999, 48.996, 6.0085, 49.0)
    shapes = [segmentize(box(*edges), 0.0005) for edges in (west, east, across, little)]
    geopandas.GeoDataFrame({"id": list("abcd")}, geometry=shapes, crs=4326).to_parquet(tmp_path / "parcels.parquet")
    summary = map_parcels(ParcelsConfig(file=tmp_path / "parcels.parquet"), tmp_path / "maps", tmp_path / "out")
    found = geopandas.read_parquet(tmp_path / "out/parcels.parquet")
    geod = Geod(ellps="WGS84")
    size = [abs(geod.geometry_area_perimeter(shape)[0]) for shape in shapes]
    wheat = [abs(geod.geometry_area_perimeter(shape.intersection(box(0, 0, 6, 90)))[0]) for shape in shapes]
    assert found["crop:code"].tolist() == [CODES[0], CODES[1], CODES[0], CODES[1]]
    for number in range(4):
        share = wheat[number] / size[number]
        assert found["agrifm:probabilities"][number][0] == pytest.approx(share, abs=0.01)  # half a pixel of 300 m
        assert found["agrifm:observations"][number] == pytest.approx(10 + 1 - share, abs=0.01)
        assert found["agrifm:pixels"][number] == pytest.approx(size[number] / 100, rel=0.002)
        assert found["agrifm:mapped_share"][number] == pytest.approx(1, abs=0.01)
    assert summary.hectares[CODES[0]] == pytest.approx((size[0] + size[2]) / 1e4)
    assert (tmp_path / "out/parcels.png").read_bytes().startswith(b"\x89PNG")
