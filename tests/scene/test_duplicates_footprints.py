"""Outlines across longitude 180 and around a pole are found where they are."""

import pytest
from shapely import Polygon, box
from shapely.geometry import mapping

from agrifm.errors import SceneError
from agrifm.scene.duplicates import covers_some_of, footprint_of, overlap

EAST, WEST, AWAY = box(179.2, -17, 179.4, -16.5), box(-179.4, -17, -179.2, -16.5), box(0, -17, 1, -16)
CUT = {
    "type": "MultiPolygon",
    "coordinates": [mapping(box(179, -18, 180, -16))["coordinates"], mapping(box(-180, -18, -179, -16))["coordinates"]],
}
BEYOND = mapping(box(179, -18, 181, -16))
BELOW = mapping(box(-181, -18, -179, -16))
JUMP = mapping(Polygon([(179, -18), (-179, -18), (-179, -16), (179, -16)]))


@pytest.mark.parametrize("geometry", [CUT, BEYOND, BELOW, JUMP], ids=["cut", "beyond", "below", "jump"])
def test_a_scene_across_longitude_180_is_found_on_both_sides(geometry: dict) -> None:
    footprint = footprint_of(geometry, "A")
    assert covers_some_of(footprint, EAST)
    assert covers_some_of(footprint, WEST)
    assert not covers_some_of(footprint, AWAY)
    assert footprint.area == pytest.approx(4)


def test_the_ways_of_writing_one_scene_share_all_of_it() -> None:
    assert overlap(footprint_of(JUMP, "A"), footprint_of(BELOW, "B")) == pytest.approx(1)
    assert overlap(box(0, 0, 2, 1), box(1, 0, 2, 1)) == 1
    assert overlap(box(0, 0, 2, 1), box(1.5, 0, 3.5, 1)) == pytest.approx(0.25)


def test_a_scene_around_a_pole_reaches_all_longitudes() -> None:
    ring = Polygon([(-150, 80), (-60, 81), (30, 80), (120, 82)])
    footprint = footprint_of(mapping(ring), "A")
    assert covers_some_of(footprint, box(0, 83, 1, 83.5))
    assert covers_some_of(footprint, box(-179, 83, -178, 83.5))
    assert not covers_some_of(footprint, box(0, 70, 1, 71))


@pytest.mark.parametrize("geometry", [{}, {"type": "Polygon", "coordinates": []}, {"type": "Polygon"}])
def test_an_invalid_geometry_is_refused(geometry: dict) -> None:
    with pytest.raises(SceneError, match=r"scene A.*GeoJSON"):
        footprint_of(geometry, "A")
