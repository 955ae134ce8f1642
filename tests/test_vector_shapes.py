"""Shapes: what is kept of collections, crossed outlines, lines and rows without a place, and what is counted."""

import geopandas
import numpy as np
import pytest
import shapely
from shapely import GeometryCollection, LineString, MultiPoint, MultiPolygon, Point, Polygon, box

from agrifm.errors import VectorError
from agrifm.vector_shapes import VectorLayer, sort_out

BOW_TIE = Polygon([(2, 46), (2.2, 46.2), (2.2, 46), (2, 46.2)])
LINE = LineString([(2, 46), (3, 47)])
ALL = ("polygon", "point")


def sorted_out(*shapes: object, wanted: tuple[str, ...] = ALL, crs: str = "EPSG:4326") -> VectorLayer:
    frame = geopandas.GeoDataFrame({"row": range(len(shapes))}, geometry=list(shapes), crs=crs)
    return sort_out(frame, wanted)


def counted(layer: VectorLayer) -> list[str]:
    """Numbers at the start of the notes, "3 of 20"."""
    return [" ".join(note.split()[:3]) for note in layer.notes]


def test_good_shapes_are_kept_as_they_are() -> None:
    shapes = [box(2, 46, 3, 47), MultiPolygon([box(0, 0, 1, 1), box(2, 2, 3, 3)]), Point(2, 46)]
    layer = sorted_out(*shapes)
    assert (layer.notes, layer.mended, layer.left_out) == ((), 0, {})
    assert all(kept == shape for kept, shape in zip(layer.frame.geometry, shapes, strict=True))


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (BOW_TIE, 0.02),
        (MultiPolygon([box(0, 0, 2, 2), box(1, 1, 3, 3)]), 7),  # parts overlap by 1
        (Polygon(box(0, 0, 4, 4).exterior, [box(1, 1, 6, 2).exterior]), 13),  # the hole reaches out
        (Polygon(box(0, 0, 4, 4).exterior, [box(1, 1, 3, 3).exterior, box(2, 2, 3, 3).exterior]), 12),
        (Polygon([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (0, -1), (0, 0)]), 16),  # a spike
    ],
    ids=["bow tie", "overlapping parts", "hole beyond", "hole twice", "spike"],
)
def test_crossed_outlines_are_mended_and_counted(shape: shapely.Geometry, area: float) -> None:
    layer = sorted_out(shape, box(0, 0, 1, 1))
    assert layer.frame.geometry.is_valid.all()
    assert layer.frame.geometry[0].area == pytest.approx(area)
    assert (layer.mended, counted(layer)) == (1, ["1 of 2"])


def test_shapes_without_coordinates_or_area_have_no_place() -> None:
    nowhere = [
        None,
        Polygon(),
        GeometryCollection(),
        MultiPolygon(),
        Point(np.nan, 1),
        shapely.from_wkt("POLYGON ((0 0, 1 0, 1 inf, 0 0))"),
        Polygon([(0, 0), (1, 0), (2, 0)]),
        Polygon([(1, 1), (1, 1), (1, 1)]),
    ]
    layer = sorted_out(*nowhere, box(0, 0, 1, 1))
    assert layer.frame.geometry.notna().tolist() == [False] * 8 + [True]
    assert layer.frame["row"].tolist() == list(range(9))
    assert counted(layer) == ["2 of 3"]  # polygons without area


@pytest.mark.parametrize(
    ("shape", "kept", "rest"),
    [
        (GeometryCollection([box(0, 0, 1, 1)]), box(0, 0, 1, 1), 0),
        (GeometryCollection([box(0, 0, 1, 1), LINE, Point(5, 5)]), box(0, 0, 1, 1), 2),
        (GeometryCollection([GeometryCollection([box(0, 0, 1, 1)]), box(3, 3, 4, 4)]), None, 0),
        (GeometryCollection([Point(5, 5), LINE]), Point(5, 5), 1),
        (GeometryCollection([box(0, 0, 2, 2), box(1, 1, 3, 3)]), None, 0),  # overlapping parts count once
    ],
)
def test_collections_are_taken_apart(shape: shapely.Geometry, kept: shapely.Geometry | None, rest: int) -> None:
    layer = sorted_out(shape)
    polygons = [part for part in shapely.get_parts(shapely.get_parts(shape)) if part.geom_type == "Polygon"]
    assert layer.frame.geometry[0].equals(shapely.union_all(polygons) if kept is None else kept)
    assert (f"; {rest} other" in layer.notes[0]) == (rest > 0)


def test_lines_are_left_out_and_counted_by_type() -> None:
    layer = sorted_out(box(0, 0, 1, 1), LINE, GeometryCollection([LINE]), None)
    assert layer.left_out == {"LineString": 1, "GeometryCollection": 1}
    assert layer.frame["row"].tolist() == [0, 3]
    assert counted(layer) == ["2 of 4"]


@pytest.mark.parametrize(
    ("wanted", "shape"), [(ALL, LINE), (("polygon",), Point(1, 1)), (("point",), box(0, 0, 1, 1)), (ALL, LINE.boundary)]
)
def test_nothing_but_other_shapes_is_refused_with_their_type(wanted: tuple[str, ...], shape: shapely.Geometry) -> None:
    if shape == LINE.boundary:  # two points
        assert len(sorted_out(shape, wanted=wanted).frame) == 1
        return
    with pytest.raises(VectorError) as caught:
        sorted_out(shape, shape, None, wanted=wanted)
    assert caught.value.facts["geometry"] == shape.geom_type


def test_rows_without_any_shape_are_refused() -> None:
    with pytest.raises(VectorError) as caught:
        sorted_out(None, Polygon())
    assert caught.value.facts["rows"] == 2


def test_heights_and_measures_are_dropped() -> None:
    layer = sorted_out(shapely.from_wkt("POLYGON Z ((0 0 5, 1 0 5, 1 1 5, 0 0 5))"), Point(1, 2, 3))
    assert not layer.frame.geometry.has_z.any()
    assert layer.notes == ()


def test_a_multipoint_of_one_point_is_that_point() -> None:
    layer = sorted_out(MultiPoint([(1, 2)]), MultiPoint([(1, 2), (3, 4)]))
    assert layer.frame.geometry.geom_type.tolist() == ["Point", "MultiPoint"]


@pytest.mark.parametrize("shape", [box(-179, -17, 179, -16), MultiPolygon([box(-179.9, 1, 179.9, 2), box(0, 5, 1, 6)])])
def test_polygons_that_jump_across_longitude_180_are_refused(shape: shapely.Geometry) -> None:
    with pytest.raises(VectorError) as caught:
        sorted_out(box(0, 0, 1, 1), shape)
    assert caught.value.facts["polygons"] == 1


def test_a_country_that_is_cut_at_longitude_180_is_fine() -> None:
    fiji = MultiPolygon([box(177, -19, 180, -16), box(-180, -19, -178, -16)])
    assert sorted_out(fiji).frame.geometry[0] == fiji
    assert sorted_out(box(300_000, 0, 700_000, 1), crs="EPSG:32660").notes == ()
