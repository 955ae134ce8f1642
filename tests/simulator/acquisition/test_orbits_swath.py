"""What a swath covers of a grid."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer

from agrifm.grid import LONLAT, Grid, geodesic_hectares
from agrifm.season import Season
from agrifm.simulator.acquisition.orbits import ORBITS, Overpass, overpasses, swath_coverage

CENTRE = Transformer.from_crs(LONLAT, "EPSG:32631", always_xy=True).transform(1.71, 46.9)
SEASON = Season(date(2024, 6, 1), date(2024, 6, 15))


def pass_of(track: int) -> Overpass:
    return next(one for one in overpasses("sentinel-2", SEASON, 1.71, 46.9, 20) if one.track == track)


def around(kilometres: float, size: float = 20, off: float = 0) -> Grid:
    half = kilometres * 500
    corner = Affine(size, 0, CENTRE[0] - half + off, 0, -size, CENTRE[1] + half)
    return Grid.of("EPSG:32631", corner, (int(2 * half / size), int(2 * half / size)))


def test_a_place_near_the_track_is_covered_wholly():
    there = swath_coverage(pass_of(51), around(10), *CENTRE)
    assert there is not None
    assert there.pixels.all()
    assert geodesic_hectares(there.outline) == pytest.approx(10_000, rel=0.01)


def test_the_edge_of_the_next_orbit_runs_through_the_area():
    """Pixel by pixel by the great circle to the track; the outline holds the covered pixels and nothing else."""
    overpass, grid = pass_of(94), around(10)
    there = swath_coverage(overpass, grid, *CENTRE)
    assert there is not None
    assert 0.3 < there.pixels.mean() < 0.9
    turn = Transformer.from_crs("EPSG:32631", LONLAT, always_xy=True)
    rows, cols = (np.arange(7, 500, 60) for _ in range(2))
    for row in rows:
        for col in cols:
            across, _ = ORBITS["sentinel-2"].across(94, *turn.transform(grid.x[col], grid.y[row]))
            if abs(abs(across) - 145.7) > 0.03:
                assert there.pixels[row, col] == (abs(across) < 145.7)
    assert geodesic_hectares(there.outline) == pytest.approx(there.pixels.sum() * 0.04, rel=0.01)
    # tracks run from north north-east to south south-west, and so do the edges
    first = there.pixels.sum(axis=1)
    assert first[0] > first[-1] + 100


def test_pixels_beyond_the_edge_are_not_covered():
    assert swath_coverage(pass_of(94), around(4, off=15_000), *CENTRE) is None


def test_windows_of_an_area_fit_together():
    overpass, whole = pass_of(94), around(10)
    there = swath_coverage(overpass, whole, *CENTRE)
    part = Grid.of("EPSG:32631", whole.transform * Affine.translation(200, 100), (300, 250))
    own = swath_coverage(replace(overpass, day=overpass.day + 10), part, *CENTRE)
    assert there is not None
    assert own is not None
    np.testing.assert_array_equal(own.pixels, there.pixels[100:400, 200:450])
