"""Files of labels as users bring them: tables, lines, collections, shapes twice or under others, exchanged axes."""

from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer
from shapely import GeometryCollection, LineString, Point, Polygon, box
from tests.samples.test_labels import CODES, field, read, refusal, write_shapes
from tests.scenes import LEFT, TOP, UTM, lonlat, write_tiff

from agrifm.vectors import VectorKeys


def centre(row: int, col: int) -> tuple[float, float]:
    """The middle of a pixel, in metres."""
    return LEFT + 10 * col + 5, TOP - 10 * row - 5


def test_points_of_a_table_label_the_pixels_under_them(tmp_path: Path) -> None:
    pixels = [(5, 7), (40, 60), (85, 13)]
    turn = Transformer.from_crs(UTM, 4326, always_xy=True)
    places = [turn.transform(*centre(*pixel)) for pixel in pixels]
    rows = [f"{lat};{lon};{code}" for (lon, lat), code in zip(places, ["maize", "wheat", "maize"], strict=True)]
    text = "\ufefflatitude;longitude;crop\n" + "\n".join(rows).replace(".", ",")
    (tmp_path / "points.csv").write_text(text, encoding="utf-8")
    labels = read(tmp_path / "points.csv")
    assert [labels.label[pixel] for pixel in pixels] == [0, 1, 0]
    assert (labels.label != 255).sum() == 3
    planar = [f"{x},{y},{code}" for (x, y), code in zip([centre(*pixel) for pixel in pixels], "aba", strict=True)]
    x_y = "\n".join(["x,y,crop", *planar])
    (tmp_path / "planar.csv").write_text(x_y)
    assert (read(tmp_path / "planar.csv", keys=VectorKeys(crs=UTM)).label == labels.label).all()


def test_outlines_as_lines_are_refused_or_counted(tmp_path: Path) -> None:
    lines = [LineString(field(row, 0).exterior) for row in (0, 20)]
    error = refusal(write_shapes(tmp_path / "lines.gpkg", lines, crop=["a", "b"]))
    assert error.facts["geometry"] == "LineString"
    mixed = [*lines, field(40, 0), field(60, 0), Point(*centre(90, 90))]
    labels = read(write_shapes(tmp_path / "mixed.gpkg", mixed, crop=["a", "b", "a", "b", "a"]))
    assert ["2 of 5" in note and "LineString" in note for note in labels.notes] == [True]
    assert (labels.label != 255).sum() == 201


def test_collections_and_crossed_outlines_label_their_polygons(tmp_path: Path) -> None:
    collection = GeometryCollection([field(0, 0), LineString([(LEFT, TOP), (LEFT + 900, TOP - 900)])])
    left, top = LEFT + 200, TOP - 200
    bow_tie = Polygon([(left, top), (left + 200, top - 200), (left + 200, top), (left, top - 200)])
    labels = read(write_shapes(tmp_path / "l.gpkg", [collection, bow_tie], crop=["a", "b"]))
    assert (labels.label == 0).sum() == 100
    assert (labels.label == 1).sum() == pytest.approx(200, abs=20)
    assert len(labels.notes) == 2


def test_the_same_shape_twice_is_called_so(tmp_path: Path) -> None:
    shapes = [field(0, 0), field(20, 0), field(0, 0), Polygon(field(20, 0).exterior.coords[::-1])]
    labels = read(write_shapes(tmp_path / "l.gpkg", shapes, crop=["a", "b", "a", "b"]))
    assert [note.split()[0] for note in labels.notes] == ["2", "2"]
    assert "more than once" in labels.notes[0]
    assert "under others" in labels.notes[1]
    assert len(labels.places) == 2


def test_one_shape_with_two_classes_is_called_so(tmp_path: Path) -> None:
    shapes = [field(0, 0), field(20, 0), field(0, 0), field(40, 0)]
    labels = read(write_shapes(tmp_path / "l.gpkg", shapes, crop=["a", "b", "b", "a"]))
    assert labels.notes[0].startswith("100 pixels")
    assert labels.notes[1].startswith("1 labelled")
    assert "different class" in labels.notes[1]
    assert (labels.label[:10, :10] == 1).all()


def test_shapes_under_others_and_shapes_between_centres_are_told_apart(tmp_path: Path) -> None:
    between = [box(LEFT + 401 + 10 * step, TOP - 404, LEFT + 404 + 10 * step, TOP - 401) for step in range(2)]
    shapes = [field(2, 2, 3, 3), field(1, 1, 5, 5), Point(*centre(4, 4)), field(0, 0), *between, field(60, 0)]
    labels = read(write_shapes(tmp_path / "l.gpkg", shapes, crop=["a", "a", "a", "a", "a", "b", "b"]))
    assert {note.split()[0] for note in labels.notes} == {"2", "3"}
    assert next(note for note in labels.notes if "under others" in note).startswith("3")
    assert len(labels.places) == 2


def test_labels_with_exchanged_axes_are_called_so(tmp_path: Path) -> None:
    exchanged = [Polygon(np.asarray(lonlat(field(row, 0)).exterior.coords)[:, ::-1]) for row in (0, 20)]
    error = refusal(write_shapes(tmp_path / "l.gpkg", exchanged, "EPSG:4326", crop=["a", "b"]))
    assert error.facts["exchanged"] == 2
    some = [lonlat(field(40, 0)), lonlat(field(60, 0)), *exchanged]
    labels = read(write_shapes(tmp_path / "some.gpkg", some, "EPSG:4326", crop=["a", "b", "a", "b"]))
    assert ["2 of 4" in note and "exchanged" in note for note in labels.notes] == [True]


def test_keys_of_vector_files_are_refused_for_a_raster(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "l.tif", CODES, nodata=0)
    for key in ("layer", "crs", "encoding"):
        assert refusal(path, keys=VectorKeys(**{key: "utf-8"})).facts["key"] == key


def test_notes_on_the_file_of_other_land_are_labels_notes_too(tmp_path: Path) -> None:
    other = write_shapes(
        tmp_path / "o.gpkg", [field(60, 0), LineString([(LEFT, TOP), (LEFT + 9, TOP)])], kind=["f", "f"]
    )
    labels = read(write_shapes(tmp_path / "l.gpkg", [field(0, 0), field(20, 0)], crop=["a", "b"]), other=other)
    assert (labels.label[60:70, :10] == 2).all()
    assert [note.startswith("other land: 1 of 2") for note in labels.notes] == [True]


def test_many_points_in_one_pixel_and_stacks_of_shapes_are_counted(tmp_path: Path) -> None:
    points = [Point(LEFT + 505 + step / 100, TOP - 505) for step in range(400)]
    stack = [field(20, 20, 10 - step, 10 - step) for step in range(8, -1, -1)] * 2
    shapes = [*points, *stack, field(60, 0)]
    labels = read(write_shapes(tmp_path / "l.gpkg", shapes, crop=["a"] * 418 + ["b"]))
    beneath = next(note for note in labels.notes if "under others" in note)
    assert beneath.startswith("416 ")  # all but one point, the largest field of the stack and the other field
    assert len(labels.places) == 3
