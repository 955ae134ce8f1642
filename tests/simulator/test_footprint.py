"""Point spreads and footprints, against integrals known on paper."""

import numpy as np
import pytest
from affine import Affine
from scipy.stats import norm

from agrifm.grid import Grid
from agrifm.simulator.footprint import (
    NODES,
    VIGOUR_LEVELS,
    GroundPixels,
    footprint_matrix,
    gaussian_spread,
    whiskbroom_spread,
)

LEFT, TOP = 500_000.0, 5_200_000.0


def cells(field: np.ndarray, vigour: float = 1.0, soil: float = 0.0) -> GroundPixels:
    rows, cols = field.shape
    grid = Grid.of("EPSG:32631", Affine(5, 0, LEFT, 0, -5, TOP), (rows, cols))
    planes = (np.full(field.shape, value, np.float32) for value in (vigour, soil))
    return GroundPixels(grid, field.astype(np.int32), int(field.max()) + 1, *planes)


def halves(size: int = 120) -> np.ndarray:
    """Field 1 east of the middle, at LEFT + 300."""
    field = np.zeros((size, size))
    field[:, size // 2 :] = 1
    return field


def shares(matrix, fields: int) -> np.ndarray:
    """Share of each field in each pixel, (pixels, fields)."""
    dense = matrix.toarray().reshape(matrix.shape[0], fields, NODES)
    return dense[:, :, : len(VIGOUR_LEVELS)].sum(-1)


def test_an_edge_is_as_sharp_as_the_point_spread():
    """The share beyond an edge is the normal distribution's; 12.5 m between half maxima are 5.31 m of deviation."""
    x = LEFT + 300 + np.array([-12.5, -7.5, -2.5, 0.0, 2.5, 7.5, 12.5])
    found = shares(footprint_matrix(cells(halves()), x, np.full(7, TOP - 300.0), gaussian_spread(12.5)), 2)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(found[:, 1], norm.cdf(x - LEFT - 300, scale=12.5 / 2.3548), atol=0.01)


def test_modis_smears_along_the_scan_only():
    """A triangle of two pixels: a quarter of a pixel from an edge, (1 - 0.25) ** 2 / 2 are beyond; along y, a box."""
    wide = halves(600)
    matrix = footprint_matrix(
        cells(wide), np.array([LEFT + 1500 - 115.8]), np.array([TOP - 1500.0]), whiskbroom_spread(463.3)
    )
    assert shares(matrix, 2)[0, 1] == pytest.approx(0.75**2 / 2, abs=0.005)
    matrix = footprint_matrix(
        cells(wide.T), np.array([LEFT + 1500.0]), np.array([TOP - 1500 + 115.8]), whiskbroom_spread(463.3)
    )
    assert shares(matrix, 2)[0, 1] == pytest.approx(0.25, abs=0.005)


def test_north_is_up():
    field = np.zeros((100, 100))
    field[:20, 40:60] = 1  # the northern 100 m
    matrix = footprint_matrix(
        cells(field), np.full(2, LEFT + 250.0), np.array([TOP - 60, TOP - 440]), gaussian_spread(12.5)
    )
    assert shares(matrix, 2)[:, 1].tolist() == [pytest.approx(1), 0]


def test_pixels_interpolate_between_levels_of_vigour():
    """Vigour 1.25 is halfway from 1 to 1.5; the node of the soil carries its brightness."""
    assert VIGOUR_LEVELS[2:] == (0.75, 1.0, 1.5)
    matrix = footprint_matrix(
        cells(np.zeros((40, 40)), 1.25, 0.2), np.array([LEFT + 100]), np.array([TOP - 100]), gaussian_spread(23)
    )
    np.testing.assert_allclose(matrix.toarray()[0], [0, 0, 0, 0.5, 0.5, 0.2], atol=1e-5)
    dull = footprint_matrix(
        cells(np.zeros((40, 40)), 0.01), np.array([LEFT + 100]), np.array([TOP - 100]), gaussian_spread(23)
    )
    np.testing.assert_allclose(dull.toarray()[0], [1, 0, 0, 0, 0, 0], atol=1e-5)


def test_mixed_pixels_use_the_vigour_of_each_field():
    ground = cells(halves())
    ground.vigour[:, 60:] = 0.75
    matrix = footprint_matrix(ground, np.array([LEFT + 300.0]), np.array([TOP - 300.0]), gaussian_spread(12.5))
    np.testing.assert_allclose(matrix.toarray()[0], [0, 0, 0, 0.5, 0, 0, 0, 0, 0.5, 0, 0, 0], atol=1e-4)


def test_every_pixel_sees_one_whole_ground():
    rng = np.random.default_rng(3)
    field = np.kron(rng.integers(0, 9, (12, 12)), np.ones((10, 10)))
    ground = cells(field)
    ground.vigour[...] = rng.uniform(0.3, 2, field.shape)
    x, y = (part.ravel() for part in np.meshgrid(LEFT + np.arange(105, 505, 10.0), TOP - np.arange(105, 505, 10.0)))
    found = shares(footprint_matrix(ground, x, y, gaussian_spread(12.5)), 9)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    # the four ground pixels in the middle of a pixel hold (cdf(5 m) - cdf(-5 m)) ** 2 = 0.43 of its light
    inner = field[20:100, 20:100].reshape(40, 2, 40, 2)
    alike = (inner == inner[:, :1, :, :1]).all((1, 3)).ravel()
    own = found[np.arange(1600), inner[:, 0, :, 0].ravel().astype(int)]
    assert (own[alike] > 0.42).all()
