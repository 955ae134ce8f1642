"""The truth files' content, on land made by hand and on simulated land."""

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.features import rasterize
from tests.simulator.lands import land

from agrifm.grid import Grid
from agrifm.legend import Legend
from agrifm.simulator.land.field_map import NO_CROPS, Land
from agrifm.simulator.region import read_region
from agrifm.simulator.truth import crop_numbers, parcel_table, simulated_legend, world_cover

COVERS = ("wheat", "maize", "forest", "road", "grassland", "hedge", "water", "settlement", "margin", "permanent_crops")


def handmade(field: list[list[int]]) -> Land:
    """Fields in the order of `COVERS`."""
    grid = Grid.of("EPSG:32631", Affine(5, 0, 400_000, 0, -5, 5_200_000), (len(field), len(field[0])))
    keys, outlines = np.arange(len(COVERS)), (None,) * len(COVERS)
    return Land(grid, COVERS, keys, outlines, np.zeros(len(COVERS)), np.array(field, np.int32))


def legend() -> Legend:
    return simulated_legend({"wheat": "Wheat", "maize": "Maize", "grassland": "Grass", "permanent_crops": "Orchards"})


def test_the_legend_has_the_crops_of_the_region_in_order_then_other():
    region = read_region("southern")
    found = simulated_legend({code: region.crops[code].name for code in region.shares})
    assert list(found.codes) == [*region.shares, "other"]
    assert [entry.code for entry in found.classes if not entry.scored] == ["other"]
    assert found.classes[0].name == region.crops[next(iter(region.shares))].name


@pytest.mark.parametrize(
    ("pixels", "number"),
    [
        ([[0, 0], [0, 1]], 0),
        ([[1, 0], [0, 0]], 0),
        ([[1, 1], [0, 0]], 1),
        ([[0, 1], [1, 0]], 0),
        ([[4, 1], [0, 1]], 1),
        ([[4, 0], [1, 1]], 1),
        ([[4, 0], [1, 9]], 2),
        ([[0, 2], [3, 5]], 4),
        ([[0, 0], [2, 3]], 0),
    ],
    ids=[
        "three",
        "three others",
        "tie",
        "tie across",
        "right column",
        "lower row",
        "all differ",
        "other in parts",
        "two",
    ],
)
def test_a_10_m_pixel_has_the_commonest_class_the_first_of_equals(pixels: list[list[int]], number: int):
    assert crop_numbers(handmade(pixels), legend()).tolist() == [[number]]


def test_land_cover_has_the_codes_of_worldcover():
    field = [[place for place in range(len(COVERS)) for _ in range(2)]] * 2
    expected = dict(zip(COVERS, [40, 40, 10, 50, 30, 10, 80, 50, 30, 40], strict=True))
    found = world_cover(handmade(field))
    assert found.dtype == np.uint8
    assert found.tolist() == [list(expected.values())]


@pytest.mark.parametrize("name", ["oceanic", "southern"])
def test_class_numbers_are_those_of_the_parcels(name: str):
    region, found = read_region(name), land(name)
    own = simulated_legend({code: region.crops[code].name for code in region.shares})
    numbers = crop_numbers(found, own)
    left, bottom, right, top = found.grid.bounds
    table = parcel_table(found, shapely.box(left, bottom, right, top))
    assert list(table.columns) == ["parcel_id", "crop", "area_ha", "geometry"]
    assert table.parcel_id.is_unique
    assert str(table.crs) == region.place.crs
    np.testing.assert_allclose(table.area_ha, table.area / 1e4, atol=1e-4)
    shapes = [(outline, own.number(crop)) for outline, crop in zip(table.geometry, table.crop, strict=True)]
    burnt = rasterize(shapes, numbers.shape, fill=own.number("other"), transform=found.grid.at(10).transform)
    assert np.mean(burnt == numbers) > 0.96
    inside = [(outline.buffer(-10), number) for outline, number in shapes if not outline.buffer(-10).is_empty]
    burnt = rasterize(inside, numbers.shape, fill=255, transform=found.grid.at(10).transform)
    assert (burnt == numbers)[burnt != 255].mean() > 0.9999
    cover = world_cover(found)
    assert (numbers[np.isin(cover, (10, 50, 80))] == own.number("other")).mean() > 0.98  # but for mixed pixels


def test_parcels_are_those_of_the_area_whole():
    found = land("oceanic")
    left, bottom, _, _ = found.grid.bounds
    area = shapely.box(left + 3000, bottom + 3000, left + 5000, bottom + 5000)
    table = parcel_table(found, area)
    crops = [cover not in NO_CROPS for cover in found.covers]
    expected = [
        o for o, crop in zip(found.outlines, crops, strict=True) if crop and o is not None and o.intersects(area)
    ]
    assert len(table) == len(expected) > 50
    assert (~table.within(area)).sum() > 10  # not cut at its edge
