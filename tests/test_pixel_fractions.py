"""Exact shares of pixels: those of shapely's intersections, pixel by pixel, whichever polygons come together."""

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from agrifm.pixel_fractions import WHOLE, pixel_bounds, pixel_fractions

METRES = Affine(10, 0, 480_000, 0, -10, 5_520_000)
DEGREES = Affine(0.0001, 0, 2.0, 0, -0.0001, 47.0)


def by_intersections(shape, transform):
    """Share of each pixel around a polygon, from shapely's intersection with the pixel's square."""
    rows, cols, height, width = (int(one[0]) for one in pixel_bounds(np.array([shape]), transform))
    found = {}
    for row in range(rows - 1, rows + height + 1):
        for col in range(cols - 1, cols + width + 1):
            pixel = shapely.box(*(transform * (col, row + 1)), *(transform * (col + 1, row)))
            share = pixel.intersection(shape).area / pixel.area
            if share > 2e-6:
                found[row, col] = share
    return found


def shares(shapes, transform, number=0):
    found = pixel_fractions(np.array(shapes), transform)
    chosen = (found.polygon == number) & (found.share > 2e-6 * WHOLE)
    pixels = zip(found.row[chosen].tolist(), found.col[chosen].tolist(), strict=True)
    return dict(zip(pixels, (found.share[chosen] / WHOLE).tolist(), strict=True))


def placed(points, transform):
    """A polygon from corners in columns and rows."""
    return shapely.Polygon([transform * tuple(point) for point in points])


SHAPES = {
    "two whole pixels": placed([(1, 1), (3, 1), (3, 2), (1, 2)], METRES),
    "borders along pixels": placed([(0, 0), (4, 0), (4, 3), (2, 3), (2, 1), (0, 1)], METRES),
    "inside one pixel": placed([(5.2, 7.3), (5.9, 7.4), (5.6, 7.8)], METRES),
    "across the raster's corner": placed([(-3.5, -2.5), (2.7, -1.2), (1.5, 3.8)], METRES),
    "with a hole": placed([(0.5, 0.5), (6.5, 0.7), (6.1, 6.4), (0.9, 5.8)], METRES).difference(
        placed([(2, 2), (4.5, 2.5), (3.5, 4.4)], METRES)
    ),
    "two parts": placed([(0.1, 0.1), (1.7, 0.4), (0.8, 1.9)], METRES).union(
        placed([(5.5, 3.1), (8.2, 3.6), (6.4, 6.6)], METRES)
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shares_are_the_areas_of_intersections(name):
    expected = by_intersections(SHAPES[name], METRES)
    found = shares([SHAPES[name]], METRES)
    assert found.keys() == expected.keys()
    assert list(found.values()) == pytest.approx([expected[pixel] for pixel in found], abs=3e-6)


def test_a_pixel_of_degrees_is_shared_too():
    shape = placed([(0.5, 0.5), (4.3, 1.2), (2.2, 3.7)], DEGREES)
    found, expected = shares([shape], DEGREES), by_intersections(shape, DEGREES)
    assert list(found.values()) == pytest.approx([expected[pixel] for pixel in found], abs=1e-5)


@given(st.integers(0, 10**6))
def test_random_stars_keep_their_area_and_do_not_depend_on_their_neighbours(seed):
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, (4, 9)), axis=1)
    reach = rng.uniform(0.2, 9, (4, 9)) * rng.choice([1, 8])
    centre = rng.uniform(-20, 50, (4, 1, 2))
    corners = centre + np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=-1)
    stars = shapely.make_valid(np.array([placed(one, METRES) for one in corners]), method="structure")
    stars = np.array([one for one in stars if one.area > 0])
    together = pixel_fractions(stars, METRES)
    area = np.bincount(together.polygon, together.share, len(stars)) / WHOLE * 100
    assert area == pytest.approx(shapely.area(stars), rel=1e-4, abs=1e-2)
    assert together.share.max() <= WHOLE
    for number in range(len(stars)):
        alone = pixel_fractions(stars[[number]], METRES)
        chosen = together.polygon == number
        for one, other in zip(alone[1:], together[1:], strict=True):
            assert (one == other[chosen]).all()


def test_a_polygon_without_any_share_has_the_pixel_of_its_corner():
    tiny = placed([(3.5, 2.5), (3.5 + 1e-7, 2.5), (3.5, 2.5 + 1e-7)], METRES)
    found = pixel_fractions(np.array([SHAPES["inside one pixel"], tiny]), METRES)
    assert [one[found.polygon == 1].tolist() for one in found[1:]] == [[2], [3], [1]]
