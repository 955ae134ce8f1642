"""Images of a small ground without growth: positions, blur, noise, and pieces that fit together."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from affine import Affine

from agrifm.grid import Grid
from agrifm.season import Season
from agrifm.simulator.acquisition.orbits import overpasses
from agrifm.simulator.acquisition.sky import SkyClimate
from agrifm.simulator.acquisition.view import Camera, Surroundings, pixel_noise, views
from agrifm.simulator.footprint import GroundPixels, Lattice, gaussian_spread
from agrifm.simulator.optics.ground import Ground
from agrifm.simulator.optics.reflectance import PLANTS, WATER, SurfaceState

LEFT, TOP = 500_040.0, 5_200_050.0
PASS = overpasses("sentinel-2", Season(date(2024, 6, 1), date(2024, 6, 15)), 1.71, 46.9)[0]
LANDSAT_PASS = overpasses("landsat", Season(date(2024, 6, 1), date(2024, 6, 30)), 1.71, 46.9)[0]
CLEAR = SkyClimate(cloud=(1e-9,) * 12, cirrus=0, aerosol=1e-6, lost=0)


class Standing:
    """Field 0 is a crop, field 1 water, field 2 bare soil."""

    def state(self, day: int) -> SurfaceState:
        def each(*values: float) -> np.ndarray:
            return np.array(values, np.float32)

        return SurfaceState(
            material=np.array([PLANTS, WATER, PLANTS], np.int8),
            green_area=each(3, 0, 0),
            brown_area=each(0, 0, 0),
            chlorophyll=each(45, 40, 40),
            leaf_water=each(0.015, 0.01, 0.01),
            leaf_dry_matter=each(0.006, 0.006, 0.006),
            leaf_structure=each(1.5, 1.5, 1.5),
            leaf_projection=each(0.5, 0.5, 0.5),
            clumping=each(1, 1, 1),
            flower=each(0, 0, 0),
            residue=each(0, 0, 0),
            flood=each(0, 0, 0),
            moisture=each(0.2, 0.2, 0.2),
            soil_brightness=each(1, 1, 1),
        )


def ground(size: int = 600) -> Ground:
    """3 x 3 km: a crop, with water in the west and bare soil in the south east."""
    field = np.zeros((size, size), np.int32)
    field[:, : size // 2] = 1
    field[size // 2 :, size // 2 :] = 2
    grid = Grid.of("EPSG:32631", Affine(5, 0, LEFT, 0, -5, TOP), (size, size))
    even = np.ones(field.shape, np.float32)
    return Ground(GroundPixels(grid, field, 3, even, 0 * even), Standing())


def grid_of(size: int, pixels: int, off: float = 1200) -> Grid:
    return Grid.of("EPSG:32631", Affine(size, 0, LEFT + off, 0, -size, TOP - off), (pixels, pixels))


def seen(size: int, grid: Grid, overpass=PASS, climate: SkyClimate = CLEAR):
    own = ground()
    camera = Camera.over(own.pixels, overpass.sensor, size, grid)
    return views(own, [camera], Surroundings.over(own.pixels, grid), climate, 0, overpass)[0]


def test_fields_are_at_their_positions_in_the_image():
    view = seen(10, grid_of(10, 60))
    red, infrared = view.reflectance[2], view.reflectance[3]
    assert infrared[5:25, 35:].mean() > 0.3  # crop in the north east
    assert infrared[:, :25].mean() < 0.05  # water in the west
    bare = infrared[35:, 35:] - red[35:, 35:]
    assert 0 < bare.mean() < 0.12


def test_an_edge_moves_by_a_part_of_a_pixel_between_scenes():
    """Sentinel-2's scenes are within 0.3 pixels of each other in most cases (ESA, MSI performance reports)."""
    grid, own = grid_of(10, 60), ground()
    camera, around = Camera.over(own.pixels, "sentinel-2", 10, grid), Surroundings.over(own.pixels, grid)
    positions = []
    for track in range(24):
        (view,) = views(own, [camera], around, CLEAR, 0, replace(PASS, track=track))
        line = view.reflectance[3][:25].mean(0)
        share = (line - line[:20].mean()) / (line[40:].mean() - line[:20].mean())
        positions.append(-10 * share.sum())
    assert 1.2 < np.std(positions) < 4
    assert np.ptp(positions) < 15


def test_a_dark_lake_gets_light_from_its_shore():
    """Adjacency reaches farther than the point spread, and is stronger in blue (Vermote et al., 1997)."""
    view = seen(10, grid_of(10, 60))
    own = ground()
    calm = own.nodes(0, view.camera.bands, PASS.geometry)[6:7]  # water at the first level
    near = view.reflectance[:, :25, 20:26].mean((1, 2)) - calm[0]  # 40 to 100 m from the shore
    infrared = near[3]
    assert 0.002 < infrared < 0.02


def test_noise_is_about_a_hundredth():
    """Signal-to-noise of MSI and OLI is 100 to 250; LaSRC and Sen2Cor add a few thousandths."""
    view = seen(10, grid_of(10, 60))
    crop = view.reflectance[3][5:25, 40:]
    assert 0.003 < crop.std() / crop.mean() < 0.02


@pytest.mark.parametrize(("size", "overpass"), [(10, PASS), (20, PASS), (30, LANDSAT_PASS)])
def test_pieces_of_an_image_are_the_image(size: int, overpass):
    climate = SkyClimate(cloud=(0.5,) * 12, cirrus=0.5, aerosol=0.2, lost=0)
    pixels = 600 // size
    whole = seen(size, grid_of(size, pixels), overpass, climate)
    half = seen(size, grid_of(size, pixels // 2, 1200 + 300), overpass, climate)
    np.testing.assert_array_equal(whole.reflectance[:, pixels // 2 :, pixels // 2 :], half.reflectance)


def test_grain_is_normal_and_white():
    noise = pixel_noise(0, "test", 1, grid_of(10, 200), 6)
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(1, abs=0.01)
    assert np.mean(np.abs(noise) > 1.96) == pytest.approx(0.05, abs=0.003)
    flat = noise.reshape(6, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(6)).max() < 0.03
    assert abs(np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]) < 0.01


def test_a_lattice_interpolates_linearly():
    grid = grid_of(10, 30)
    lattice = Lattice.around(grid, 60)
    plane = (2 * lattice.x[None] - 3 * lattice.y[:, None] + 14_000_000).astype(np.float32)
    exact = 2 * grid.x[None] - 3 * grid.y[:, None] + 14_000_000
    np.testing.assert_allclose(lattice.onto(plane), exact, atol=1.5)
    assert set(lattice.x % 60) == set(lattice.y % 60) == {0}


def test_point_spreads_have_their_width():
    spread = gaussian_spread(12.5)
    half = float(np.diff(spread.across(np.array([6.24, 6.26])))[0] / np.diff(spread.across(np.array([-0.01, 0.01])))[0])
    assert half == pytest.approx(0.5, abs=0.01)
