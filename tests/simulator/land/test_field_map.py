"""The land: sizes, shares and covers of the regions, the same from every window."""

from collections import Counter

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from tests.simulator.lands import land, window

from agrifm.simulator.land.field_map import FOREST, NO_CROPS, Land, draw_land
from agrifm.simulator.region import REGIONS, read_region


def crop_parcels(found: Land) -> tuple[NDArray[np.str_], NDArray[np.object_]]:
    """Crops and outlines of the parcels."""
    own = [place for place, cover in enumerate(found.covers) if cover not in NO_CROPS]
    return np.array(found.covers)[own], np.array([found.outlines[place] for place in own], object)


SIDES = {"oceanic": 10_000, "mediterranean": 10_000, "monsoon": 10_000, "southern": 20_000}
"""Metres; the southern parcels are so large that 10 km hold too few of them to tell a median."""


def areas_of_covers(found: Land) -> Counter[str]:
    """Pixels of each cover."""
    pixels = np.bincount(found.field.ravel())
    areas: Counter[str] = Counter()
    for cover, count in zip(found.covers, pixels, strict=True):
        areas[cover] += int(count)
    return areas


@pytest.mark.parametrize("name", REGIONS)
def test_parcels_have_the_areas_of_the_region(name: str):
    shape = read_region(name).land
    hectares = shapely.area(crop_parcels(land(name, SIDES[name]))[1]) / 1e4
    assert np.median(hectares) == pytest.approx(shape.parcel_median, rel=0.12)
    assert shape.parcel_least <= hectares.min()
    assert hectares.max() <= shape.parcel_most
    if name != "southern":  # the only region beyond these bounds
        assert (shape.parcel_least, shape.parcel_most) == (0.3, 30)
    # Log-normal, but for the ends that are cut off: evenly spread about the median in logarithms.
    low, middle, high = np.log(np.quantile(hectares, [0.25, 0.5, 0.75]))
    assert high - middle == pytest.approx(middle - low, rel=0.5)


@pytest.mark.parametrize(
    ("name", "off"), [("oceanic", 0.02), ("mediterranean", 0.02), ("monsoon", 0.02), ("southern", 0.03)]
)
def test_crops_have_their_shares_of_the_cropped_area(name: str, off: float):
    shares, areas = read_region(name).shares, areas_of_covers(land(name, SIDES[name]))
    cropped = sum(areas[crop] for crop in shares)
    assert set(areas) <= {*shares, *NO_CROPS}
    for crop, share in shares.items():
        assert areas[crop] / cropped == pytest.approx(share, abs=off), crop


def test_every_neighbourhood_grows_all_crops_about_as_the_region_does():
    crops, outlines = crop_parcels(land("oceanic"))
    places, area = shapely.get_coordinates(shapely.point_on_surface(outlines)), shapely.area(outlines)
    quarter = np.floor((places - places.min(axis=0)) / 2500).astype(int)
    shares = read_region("oceanic").shares
    off = []
    for row in range(4):
        for col in range(4):
            here = (quarter == (row, col)).all(axis=1)
            assert set(crops[here]) >= {crop for crop, share in shares.items() if share >= 0.05}
            off += [area[here & (crops == crop)].sum() / area[here].sum() - share for crop, share in shares.items()]
    independent = np.sqrt(
        np.mean([share * (1 - share) for share in shares.values()]) * np.mean(area**2) / np.mean(area) ** 2 / 118
    )
    assert np.std(off) < 0.8 * independent


def test_twenty_blocks_hold_fifteen_parcels_of_six_classes():
    crops, outlines = crop_parcels(land("oceanic"))
    block = np.floor(shapely.get_coordinates(shapely.point_on_surface(outlines)) / 960).astype(int)
    names, which = np.unique(block, axis=0, return_inverse=True)
    chosen = np.random.default_rng(0).permutation(len(names))[:20]
    counts = Counter(crops[np.isin(which.ravel(), chosen)])
    assert sum(count >= 15 for count in counts.values()) >= 6


@pytest.mark.parametrize("name", REGIONS)
def test_the_land_has_forest_hedges_water_roads_and_villages(name: str):
    areas = areas_of_covers(land(name))
    total = areas.total()
    assert set(NO_CROPS) <= set(areas)
    assert 0.6 < sum(areas[crop] for crop in read_region(name).shares) / total < 0.9
    assert 0.3 < areas[FOREST] / total / read_region(name).land.forest < 1.8
    assert 0.001 < areas["water"] / total < 0.03
    assert 0.003 < areas["road"] / total < 0.05
    assert areas["settlement"] / total < 0.03


@pytest.mark.parametrize("name", REGIONS)
def test_windows_agree_where_they_overlap(name: str):
    region, whole = read_region(name), land(name)
    part = draw_land(region.land, region.shares, 0, window(name, 1200, -5000, 2500, 4000))
    here = np.s_[2000 - 800 :, (5000 + 1200) // 5 : (5000 + 3700) // 5]
    np.testing.assert_array_equal(part.keys[part.field], whole.keys[whole.field[here]])
    np.testing.assert_array_equal(np.array(part.covers)[part.field], np.array(whole.covers)[whole.field[here]])
    place = np.searchsorted(whole.keys, part.keys)
    np.testing.assert_array_equal(whole.keys[place], part.keys)
    np.testing.assert_array_equal(whole.direction[place], part.direction)
    for at, outline in zip(place, part.outlines, strict=True):
        known = whole.outlines[at]
        assert (outline is None) == (known is None)
        assert outline is None or shapely.equals_identical(outline, known)


def test_another_seed_is_another_land():
    first, other = land("oceanic", 3000, 1), land("oceanic", 3000, 2)
    same = np.array(first.covers)[first.field] == np.array(other.covers)[other.field]
    assert 0.05 < same.mean() < 0.4


@pytest.mark.parametrize("name", REGIONS)
def test_fields_are_distinct_and_every_one_shows(name: str):
    found = land(name)
    assert len(found.covers) == len(found.keys) == len(found.outlines) == len(found.direction)
    assert (np.diff(found.keys) > 0).all()
    assert np.bincount(found.field.ravel(), minlength=len(found.keys)).min() > 0
    assert found.field.shape == found.grid.shape
    for cover, outline in zip(found.covers, found.outlines, strict=True):
        if cover not in NO_CROPS:
            assert outline is not None
        assert outline is None or (outline.is_valid and outline.area > 0)


@pytest.mark.parametrize("name", ["oceanic", "monsoon"])
def test_the_pixels_inside_an_outline_are_those_of_its_field(name: str):
    found = land(name)
    row, col = np.random.default_rng(0).integers(0, 2000, (2, 40_000))
    here = shapely.points(found.grid.x[col], found.grid.y[row])
    crop = np.array([cover not in NO_CROPS for cover in found.covers])
    parcels = np.flatnonzero(crop)
    inside, parcel = shapely.STRtree(np.array(found.outlines, object)[parcels]).query(here, predicate="within")
    assert len(np.unique(inside)) == len(inside)  # no two parcels overlap
    expected = np.full(len(here), -1)
    expected[inside] = parcels[parcel]
    painted = found.field[row, col]
    np.testing.assert_array_equal(np.where(crop[painted], painted, -1), expected)


def test_the_direction_is_that_in_which_a_field_is_long():
    found = land("oceanic")
    checked = 0
    for place in range(0, len(found.keys), 40):
        outline = found.outlines[place]
        if outline is None or not outline.within(shapely.box(*found.grid.bounds)):
            continue
        rows, cols = np.nonzero(found.field == place)
        variances, axes = np.linalg.eigh(np.cov(found.grid.x[cols], found.grid.y[rows]))
        if variances[1] > 4 * variances[0]:
            angle = np.arctan2(axes[1, 1], axes[0, 1])
            assert abs(np.sin(angle - found.direction[place])) < 0.3
            checked += 1
    assert checked > 10
    assert found.direction.min() >= 0
    assert found.direction.max() < np.pi
