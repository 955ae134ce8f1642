"""Field targets and fractions against hand-drawn rasters and plain recomputations."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from agrifm.errors import LabelError
from agrifm.samples.targets import class_fractions, field_targets


def raster(text: str) -> NDArray[np.int32]:
    """One character per pixel, a dot is other land."""
    return np.array([[-1 if mark == "." else int(mark) for mark in row] for row in text.split()], np.int32)


def drawn(text: str) -> NDArray[np.bool_]:
    return np.array([[mark == "#" for mark in row] for row in text.split()])


FIELDS = """
00000111
00000111
00000111
00000111
......11
......11
"""


def test_boundaries_are_on_both_sides_of_borders_not_at_the_rasters_end() -> None:
    assert (
        field_targets(raster(FIELDS)).boundary
        == drawn("""
        ....##..
        ....##..
        ....##..
        ######..
        #######.
        .....##.
        """)
    ).all()


def test_a_boundary_of_two_pixels_is_two_wide_on_each_side() -> None:
    assert (field_targets(raster("0000011111"), width=2).boundary == drawn("...####...")).all()
    far = field_targets(raster("000 000 00."), width=2).boundary
    # centre to centre, so the corner's diagonal neighbour counts and a knight's move does not
    assert (far == drawn("..# .## ###")).all()


def test_distances_are_scipys_per_field_over_the_fields_greatest() -> None:
    """Against distances between all pairs of pixels."""
    generator = np.random.default_rng(0)
    place = generator.integers(-1, 4, (5, 4)).repeat(4, 0).repeat(5, 1).astype(np.int32)
    found = field_targets(place).distance
    pixels = np.argwhere(np.ones(place.shape, bool))
    between = cdist(pixels, pixels)
    flat = place.ravel()
    nearest = np.where(flat[:, None] != flat, between, np.inf).min(axis=1)
    for field in range(4):
        own = flat == field
        np.testing.assert_allclose(found.ravel()[own], nearest[own] / nearest[own].max(), rtol=1e-6)
    assert not found[place < 0].any()


def test_a_strip_of_five_has_distances_that_one_can_count() -> None:
    strip = raster(".00000.")
    assert field_targets(strip).distance[0].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0])


def test_a_field_that_fills_the_raster_has_no_edge() -> None:
    targets = field_targets(np.full((3, 4), 7))
    assert not targets.boundary.any()
    assert (targets.distance == 1).all()
    assert targets.extent.all()


def test_a_raster_without_fields_has_nothing() -> None:
    targets = field_targets(np.full((3, 4), -1), known=np.zeros((3, 4), bool))
    assert not targets.stacked().any()
    assert not targets.known.any()


def test_land_of_no_field_is_known_only_where_it_is_said_to_be() -> None:
    known = np.zeros((1, 4), bool)
    known[0, 3] = True
    targets = field_targets(raster("00.."), known)
    assert targets.known.tolist() == [[True, True, False, True]]
    assert targets.extent.tolist() == [[True, True, False, False]]
    assert field_targets(raster("00..")).known.all()


def test_the_maps_are_stacked_in_the_order_of_the_head() -> None:
    targets = field_targets(raster(FIELDS))
    boundary, distance, extent = targets.stacked()
    assert (boundary == targets.boundary).all()
    assert (distance == targets.distance).all()
    assert (extent == targets.extent).all()
    assert targets.stacked().dtype == np.float32


def test_fractions_of_a_raster_drawn_by_hand() -> None:
    """Two rows of coarse pixels of side 2; the last column and the last row are cut."""
    label = np.array([[0, 0, 1, 2, 2], [0, 1, 255, 255, 2], [255, 255, 1, 1, 0]], np.uint8)
    fractions, known = class_fractions(label, classes=3, side=2)
    assert known.tolist() == [[1, 0.5, 1], [0, 1, 1]]
    assert fractions[:, 0, 0].tolist() == [0.75, 0.25, 0]
    assert fractions[:, 0, 1].tolist() == [0, 0.5, 0.5]
    assert fractions[:, 0, 2].tolist() == [0, 0, 1]
    assert fractions[:, 1, 0].tolist() == [0, 0, 0]
    assert fractions[:, 1, 1].tolist() == [0, 1, 0]
    assert fractions[:, 1, 2].tolist() == [1, 0, 0]


@pytest.mark.parametrize("side", [1, 3, 4, 50])
def test_fractions_are_those_of_a_plain_loop(side: int) -> None:
    label = np.random.default_rng(side).choice([0, 1, 2, 255], (13, 8)).astype(np.uint8)
    fractions, known = class_fractions(label, classes=4, side=side)
    assert fractions.shape == (4, -(-13 // side), -(-8 // side))
    for row, column in np.ndindex(*known.shape):
        part = label[row * side : (row + 1) * side, column * side : (column + 1) * side]
        inside = part[part != 255]
        assert known[row, column] == pytest.approx(inside.size / part.size)
        for number in range(4):
            expected = (inside == number).mean() if inside.size else 0
            assert fractions[number, row, column] == pytest.approx(expected)


def test_impossible_labels_sides_widths_and_shapes_are_refused() -> None:
    with pytest.raises(LabelError, match="label 3"):
        class_fractions(np.array([[0, 3]], np.uint8), classes=3, side=1)
    with pytest.raises(LabelError, match="0 pixels"):
        class_fractions(np.zeros((2, 2), np.uint8), classes=3, side=0)
    with pytest.raises(LabelError, match="0 pixels"):
        field_targets(np.zeros((2, 2), np.int32), width=0)
    with pytest.raises(LabelError, match=r"\(2, 3\)"):
        field_targets(np.zeros((2, 2), np.int32), np.ones((2, 3), bool))
