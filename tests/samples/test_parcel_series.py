"""Statistics of parcels: every number is compared with plain NumPy over the pixels that shapely finds inside."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import shapely
import zarr
from affine import Affine
from shapely import Point, Polygon, box
from tests.toy import toy_project

from agrifm.config import Project
from agrifm.cube.store import create_root, create_sensor, finish_store, open_cube
from agrifm.files import MARKER, write_json
from agrifm.grid import Grid
from agrifm.record import SensorInput
from agrifm.samples import parcel_series
from agrifm.samples.parcel_series import (
    STATISTIC_NAMES,
    nearby_parcels,
    parcel_pixels,
    pixel_statistics,
    read_parcel_series,
)
from agrifm.season import Season, day_number

LEFT, TOP = 447840, 5197440
"""Corner of the toy cube, EPSG:32631."""


def random_polygons(count: int, seed: int) -> list[Polygon]:
    """Polygons of up to 300 m with a hole, some of which reach beyond the toy cube."""
    generator = np.random.default_rng(seed)
    polygons = []
    for _ in range(count):
        centre = np.array([LEFT, TOP - 1920]) + generator.uniform(-50, 1970, 2)
        angle = np.sort(generator.uniform(0, 2 * np.pi, 9))
        outline = centre + generator.uniform(40, 150, 9)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        polygons.append(Polygon(outline).buffer(0).difference(Point(centre).buffer(17.3)))
    return polygons


def inside(shape: Polygon, resolution: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels of the toy cube whose centres are inside a shape."""
    x = LEFT + (np.arange(side) + 0.5) * resolution
    y = TOP - (np.arange(side) + 0.5) * resolution
    return np.nonzero(shapely.contains_xy(shape, *np.meshgrid(x, y)))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return toy_project(tmp_path_factory.mktemp("toy"))


@pytest.mark.parametrize(("sensor", "resolution"), [("sentinel-2", 10), ("landsat", 30)])
def test_series_of_parcels_are_those_of_their_pixels(project: Project, sensor: str, resolution: int) -> None:
    root = zarr.open_group(project.cube, mode="r")
    stored, valid = root[f"{sensor}/values"][:], root[f"{sensor}/valid"][:]
    polygons = random_polygons(25, 0)
    found = read_parcel_series(open_cube(project.cube).sensors[sensor], polygons)
    assert STATISTIC_NAMES == ("mean", "median", "std", "iqr")
    compared = 0
    for index, polygon in enumerate(polygons):
        rows, cols = inside(polygon, resolution, valid.shape[1])
        for frame in range(len(stored)):
            usable = valid[frame, rows, cols]
            assert found.count[frame, index] == usable.sum()
            for band in range(stored.shape[1]):
                numbers = stored[frame, band, rows, cols][usable] * 1e-4
                result = found.statistics[frame, :, band, index]
                if not len(numbers):
                    assert np.isnan(result).all()
                    continue
                low, high = np.percentile(numbers, [25, 75])
                expected = [numbers.mean(), np.median(numbers), numbers.std(), high - low]
                np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-12)
                compared += 1
    assert compared > 300
    assert (found.date == root[f"{sensor}/time"][:][:, None]).all()


def test_the_mean_of_decibel_is_that_of_the_power() -> None:
    """Powers 0.1 and 0.3 are -10 and -5.2288 dB; their mean 0.2 is -6.9897 dB."""
    stored = np.array([[-100_000, -52_288]])
    mean, median, std, iqr = pixel_statistics(stored, np.zeros(2, np.intp), 1, 1e-4, decibel=True)[:, 0, 0]
    assert mean == pytest.approx(-6.9897, abs=1e-4)
    assert median == pytest.approx(-7.6144, abs=1e-4)
    assert std == pytest.approx(2.3856, abs=1e-4)
    assert iqr == pytest.approx(2.3856, abs=1e-4)


def test_a_point_has_its_pixel_and_a_pixel_may_be_in_two_parcels() -> None:
    grid = Grid.of("EPSG:32631", Affine(10, 0, LEFT, 0, -10, TOP), (20, 20))
    square = box(LEFT + 20, TOP - 60, LEFT + 50, TOP - 20)  # columns 2 to 4, rows 2 to 5
    nothing = box(LEFT + 101, TOP - 104, LEFT + 104, TOP - 101)
    outside = box(LEFT - 100, TOP, LEFT - 50, TOP + 50)
    pixels = parcel_pixels([square, Point(LEFT + 31, TOP - 29), nothing, outside, Polygon()], grid)
    assert pixels.count.tolist() == [12, 1, 0, 0, 0]
    col = pixels.at % pixels.window.width + pixels.window.col
    row = pixels.at // pixels.window.width + pixels.window.row
    assert (row[-1], col[-1]) == (2, 3)
    assert set(zip(row[:-1], col[:-1], strict=True)) == {(r, c) for r in range(2, 6) for c in range(2, 5)}


def test_parcels_are_grouped_by_tiles_and_each_is_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcel_series, "TILE", 48)
    grid = Grid.of("EPSG:32631", Affine(10, 0, LEFT, 0, -10, TOP), (192, 192))
    polygons = random_polygons(60, 1)
    groups = list(nearby_parcels(polygons, grid))
    assert sorted(np.concatenate(groups).tolist()) == list(range(60))
    assert len(groups) > 8
    for group in groups:
        points = [polygons[index].representative_point() for index in group]
        tiles = {((TOP - point.y) // 480, (point.x - LEFT) // 480) for point in points}
        assert len(tiles) == 1


def test_no_more_than_one_frame_of_a_tile_is_read_at_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parcel of 60 m in a corner: nothing is read but one frame of the pixels under it."""
    source = open_cube(project.cube).sensors["sentinel-2"]
    read = []
    plain = type(source).stored

    def note(self: object, name: str, selection: tuple[int | slice, ...]) -> np.ndarray:
        result: np.ndarray = plain(source, name, selection)
        read.append(result.size)
        return result

    monkeypatch.setattr(type(source), "stored", note)
    read_parcel_series(source, [box(LEFT + 1, TOP - 59, LEFT + 59, TOP - 1)])
    assert max(read) == 2 * 6 * 6


def test_a_composite_has_the_median_day_of_its_valid_pixels(tmp_path: Path) -> None:
    """Days 3, 5 and 9 after the first of the frame; a fourth pixel is not valid."""
    season = Season(date(2024, 4, 1), date(2024, 4, 30))
    grid = Grid.of("EPSG:32631", Affine(480, 0, LEFT, 0, -480, TOP), (2, 2))
    root = create_root(tmp_path / "cube.zarr", season, box(2.3, 46.9, 2.4, 47.0))
    content = SensorInput(sensor="modis", bands=("B01",), quantity="surface reflectance", scale=1e-4, resolution=480)
    group = create_sensor(
        root, content, grid, [date(2024, 4, 2), date(2024, 4, 10)], [date(2024, 4, 9), date(2024, 4, 17)]
    )
    first = day_number(date(2024, 4, 2))
    group["values"][...] = np.full((2, 1, 2, 2), [[1000, 2000], [6000, 9000]], np.int16)
    group["valid"][...] = np.array([[[True, True], [True, False]], [[False, False], [False, False]]])
    group["day"][...] = np.full((2, 2, 2), first + np.array([[3, 9], [5, 0]]), np.int32)
    finish_store(root, {"plan": "toy", "sensors": {"modis": {"frames": []}}})
    write_json(tmp_path / "cube.zarr" / MARKER, {"kind": "cube"})
    source = open_cube(tmp_path / "cube.zarr").sensors["modis"]
    found = read_parcel_series(source, [box(LEFT, TOP - 960, LEFT + 960, TOP)])
    assert found.date[:, 0].tolist() == [first + 5, first + 8]  # without a valid pixel, the frame's first day
    assert found.count[:, 0].tolist() == [3, 0]
    np.testing.assert_allclose(found.statistics[0, :2, 0, 0], [0.3, 0.2])
    assert np.isnan(found.statistics[1]).all()
