"""`agrifm map` of a divided area: tiles of two zones, across longitude 180, and as the whole would be mapped."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
from pyproj import Geod, Transformer
from scipy.ndimage import uniform_filter
from shapely import box, contains_xy, union_all
from tests.cube.tiled import catalogue_around, tiled_project
from tests.mapping.small_maps import LEGEND, SEASON, SENTINEL, PixelModel, make_cube, utm_grid

from agrifm.area_tiles import read_tile_list
from agrifm.classic.features import parts_of_kind, pixel_features
from agrifm.classic.forest import ForestConfig, fit_forest, save_forest
from agrifm.config import ParcelsConfig
from agrifm.cube.fetch_tiles import fetch_tiles
from agrifm.cube.store import create_root, create_sensor, open_cube
from agrifm.errors import MapError
from agrifm.files import MARKER
from agrifm.grid import Window
from agrifm.mapping.map_tiles import map_tiles
from agrifm.mapping.mosaic import lattice_starts
from agrifm.mapping.parcels import map_parcels
from agrifm.mapping.run import map_cube
from agrifm.mosaics import open_raster_or_mosaic
from agrifm.record import ModelRecord, SensorRecord
from agrifm.samples.patches import read_patch
from agrifm.status import status

PLACES = {
    "two zones": ((6.0, 49.0), "EPSG:32631", (5.994, 48.996, 6.006, 49.004)),
    "longitude 180": ((179.999, -17.0), "EPSG:32760", (179.994, -17.004, -179.994, -16.996)),
}
"""Where the scenes are, their zone, and a box of about 0.9 x 0.9 or 1.3 x 0.9 km over two zones."""


def forest(path: Path, cube_path: Path) -> Path:
    """A random forest on the cube's band, of three classes by the first frame's near infrared."""
    cube = open_cube(cube_path)
    given = cube.inputs["sentinel-2"]
    sensor = SensorRecord(**given.model_dump(), mean=(0.2,) * 10, std=(0.1,) * 10)
    record = ModelRecord(
        name="random-forest", family="random-forest", architecture={}, frames=4, side=48, legend=LEGEND,
        sensors=(sensor,), season=(SEASON.start, SEASON.end),
    )  # fmt: skip
    sample = read_patch(cube, Window(48, 48, 48, 48), [given], SEASON.steps(4))
    nir = sample.series["sentinel-2"].image[0, 6]
    label = np.digitize(nir, np.quantile(nir, [0.3, 0.6])).astype(np.uint8).ravel()
    rows = pixel_features(sample, np.ones(nir.shape, bool), [given], parts_of_kind("series"), SEASON.days)
    save_forest(path, fit_forest(rows[::9], label[::9], record, ForestConfig("series")))
    return path


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.check) for name in PLACES])
def mapped(request, tmp_path_factory):
    place, crs, edges = PLACES[request.param]
    directory = tmp_path_factory.mktemp("tiles")
    catalogue_around(directory, *place, crs).save()
    project = tiled_project(directory, edges, "10")
    tiles = fetch_tiles(project).tiles
    model = forest(directory / "a.skops", project.of_tile(tiles[0]).cube)
    return project, tiles, model, map_tiles(project, model), edges


def area_of(edges):
    west, south, east, north = edges
    return union_all([box(west, south, 180, north), box(-180, south, east, north)]) if west > east else box(*edges)


def geodesic(area) -> float:
    dense = [part.segmentize(0.0005) for part in getattr(area, "geoms", [area])]
    return sum(abs(Geod(ellps="WGS84").geometry_area_perimeter(part)[0]) for part in dense) / 1e4


def test_each_zone_maps_the_pixels_whose_centre_it_contains(mapped) -> None:
    project, tiles, _, _, edges = mapped
    assert len({tile.crs for tile in tiles}) == 2
    for crs in {tile.crs for tile in tiles}:
        with open_raster_or_mosaic(project.path("maps") / crs[5:] / "classes.vrt") as source:
            assert source.crs.to_epsg() == int(crs[5:])
            known = source.read(1) != 255
            rows, cols = np.indices(known.shape)
            x, y = source.transform * (cols + 0.5, rows + 0.5)
        longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
        first = -180 + 6 * (int(crs[-2:]) - 1)
        of_zone = (longitude >= first) & (longitude < first + 6)
        assert np.array_equal(known, contains_xy(area_of(edges), longitude, latitude) & of_zone)
        assert known.any()


def test_hectares_are_those_of_the_area(mapped) -> None:
    project, _, _, summary, edges = mapped
    stated = json.loads((project.path("maps") / "collection.json").read_text(encoding="utf-8"))
    assert sum(stated["agrifm:hectares"].values()) + stated["agrifm:nodata_hectares"] == pytest.approx(
        geodesic(area_of(edges)), rel=0.02
    )  # whole pixels
    assert summary.hectares == stated["agrifm:hectares"]


def test_the_mosaic_over_all_zones_has_the_pixels_of_the_zones(mapped) -> None:
    """Equal-area pixels of 10 m, each of the pixel of a zone that contains its centre."""
    project, tiles, _, summary, edges = mapped
    assert "classes.vrt" in summary.mosaics
    with rasterio.open(project.path("maps") / "classes.vrt") as source:
        assert "Azimuthal Equal Area" in source.crs.to_wkt() or "Azimuthal_Equal_Area" in source.crs.to_wkt()
        found, transform, crs = source.read(1), source.transform, source.crs.to_wkt()
        assert source.colormap(1)[0][:3] == tuple(int(LEGEND.classes[0].color[at : at + 2], 16) for at in (1, 3, 5))
    assert (found != 255).sum() / 100 == pytest.approx(geodesic(area_of(edges)), rel=0.02)
    rows, cols = np.nonzero(found != 255)
    x, y = transform * (cols + 0.5, rows + 0.5)
    longitude, _ = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    agree = np.zeros(len(rows), bool)
    for code in {tile.crs for tile in tiles}:
        with open_raster_or_mosaic(project.path("maps") / code[5:] / "classes.vrt") as source:
            zone = source.read(1)
            there = Transformer.from_crs(crs, code, always_xy=True).transform(x, y)
            col, row = (np.floor(place).astype(int) for place in ~source.transform * there)
        inside = (row >= 0) & (col >= 0) & (row < zone.shape[0]) & (col < zone.shape[1])
        agree[inside] |= zone[row[inside], col[inside]] == found[rows, cols][inside]
    assert agree.all()
    assert len(np.unique(np.sign(longitude))) == (2 if edges[0] > edges[2] else 1)


def test_the_collection_leads_to_an_item_for_each_tile(mapped) -> None:
    project, tiles, _, _, edges = mapped
    collection = pystac.Collection.from_file(str(project.path("maps") / "collection.json"))
    items = list(collection.get_items())
    assert len({item.id for item in items}) == len(items) == len(tiles)
    assert all(item.collection_id == collection.id and item.get_collection() is not None for item in items)
    west, south, east, north = collection.extent.spatial.bboxes[0]
    assert np.allclose((west, south, east, north), edges, atol=1e-4)  # west is greater than east across 180
    assert all((Path(item.get_self_href()).parent / "classes.tif").exists() for item in items)


def test_maps_that_have_not_changed_are_kept(mapped) -> None:
    project, tiles, model, summary, _ = mapped
    rasters = [project.path("maps") / tile.name / "classes.tif" for tile in tiles]
    before = [path.stat().st_mtime_ns for path in rasters]
    assert map_tiles(project, model).hectares == summary.hectares
    assert [path.stat().st_mtime_ns for path in rasters] == before
    assert any(line.startswith(f"map: done ({len(tiles)} of") for line in status(project.directory))


def test_a_tile_without_a_cube_is_named_and_the_others_are_mapped(mapped) -> None:
    project, tiles, model, _, _ = mapped
    marker = project.of_tile(tiles[0]).cube / MARKER
    content = marker.read_bytes()
    marker.unlink()
    try:
        summary = map_tiles(project, model, project.path("others"))
    finally:
        marker.write_bytes(content)
    assert summary.without_cube == (tiles[0].name,)
    stated = json.loads((project.path("others") / "collection.json").read_text(encoding="utf-8"))
    assert (stated["agrifm:tiles"], list(stated["agrifm:left_out"])) == (len(tiles) - 1, [tiles[0].name])
    assert len(read_tile_list(project.path("tiles/tiles.geojson"))) == len(tiles)


def test_each_parcel_over_the_border_has_a_crop(mapped) -> None:
    project, _, model, _, edges = mapped
    project = project.model_copy(update={"map": project.map.model_copy(update={"probabilities": True})})
    maps = map_tiles(project, model, project.path("with-probabilities")).path
    parts = [box(west, edges[1], west + 0.001, edges[3]) for west in np.arange(edges[0], edges[0] + 0.0055, 0.001)]
    shapes = [part.segmentize(0.0005) for part in [*parts, box(edges[2] - 0.001, edges[1], edges[2], edges[3])]]
    geopandas.GeoDataFrame(geometry=shapes, crs=4326).to_parquet(project.path("parcels.parquet"))
    summary = map_parcels(ParcelsConfig(file=project.path("parcels.parquet")), maps, project.path("parcels"))
    assert (summary.parcels, summary.unobserved) == (len(shapes), 0)
    assert sum(summary.hectares.values()) == pytest.approx(sum(geodesic(shape) for shape in shapes))
    found = geopandas.read_parquet(project.path("parcels/parcels.parquet"))
    assert found["agrifm:mapped_share"].to_numpy() == pytest.approx(1, abs=0.07)  # 73 m wide, half a pixel on each side


class NeighbourModel(PixelModel):
    """Looks at all pixels of its window and where they are in it, as a network does."""

    def probabilities(self, sample):
        pixels = super().probabilities(sample)
        wide = uniform_filter(pixels, (0, 31, 31)) * np.linspace(1, 2, pixels.shape[-1], dtype=np.float32)
        return (wide / wide.sum(0)).astype(np.float32)


def part_of(path: Path, whole, window: Window, area: Window):
    """The cube of a window of another one, whose area is a smaller window."""
    root = create_root(path, whole.season, whole.target.window(area).footprint())
    group, target = whole.sensors["sentinel-2"].group, whole.target.window(window)
    days = [np.datetime64(int(day), "D").astype(object) for day in whole.sensors["sentinel-2"].date]
    part = create_sensor(root, SENTINEL, target, days, None)
    part["values"][...] = group["values"][...][:, :, *window.slices]
    part["valid"][...] = group["valid"][...][:, *window.slices]
    root.attrs["agrifm"] = {**root.attrs["agrifm"], "sensors": ["sentinel-2"]}
    return open_cube(path)


def test_a_network_says_the_same_of_a_pixel_however_the_area_is_divided(tmp_path: Path) -> None:
    grid = utm_grid((4, 6))
    whole = make_cube(tmp_path / "whole.zarr", grid, area=grid.window(Window(48, 48, 96, 192)).footprint())
    map_cube(whole, NeighbourModel(), "a", tmp_path / "whole", 48, 24, lattice=True)
    with rasterio.open(tmp_path / "whole/confidence.tif") as source:
        expected = source.read(1)
    for col in (48, 144):
        area = Window(48, col, 96, 96)
        part = part_of(tmp_path / f"{col}.zarr", whole, area.grown(48, grid.shape), area)
        map_cube(part, NeighbourModel(), "a", tmp_path / str(col), 48, 24, lattice=True)
        with rasterio.open(tmp_path / f"{col}/confidence.tif") as source:
            found = source.read(1)
        assert (found != 255).sum() == 96 * 96
        assert np.array_equal(found[48:144, 48:144], expected[area.slices])


def test_a_halo_that_is_too_narrow_is_refused_with_the_one_that_is_needed(tmp_path: Path) -> None:
    whole = make_cube(
        tmp_path / "whole.zarr", utm_grid((4, 4)), area=utm_grid((4, 4)).window(Window(48, 48, 96, 96)).footprint()
    )
    with pytest.raises(MapError) as error:
        map_cube(whole, NeighbourModel(), "a", tmp_path / "map", 96, 48, lattice=True)
    assert error.value.facts["halo"] == 960
    assert not (tmp_path / "map").exists()


def test_windows_of_a_lattice_are_multiples_of_its_step_from_the_origin() -> None:
    for first in (-1000, -7, 0, 13, 96, 5000):
        naive = [
            place - first for place in range(-6000, 6000) if place % 36 == 0 and first <= place <= first + 200 - 48
        ]
        assert lattice_starts(first, 200, 48, 36) == naive
