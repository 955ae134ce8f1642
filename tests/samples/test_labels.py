"""Labels from polygons, points and rasters: which pixel gets which class, and what is refused."""

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from matplotlib.path import Path as Outline
from shapely import MultiPolygon, Point, Polygon, box
from tests.scenes import AREA, LEFT, TOP, UTM, lonlat, write_tiff

from agrifm.assess.class_map import read_map
from agrifm.assess.confusion import count_confusion
from agrifm.errors import LabelError
from agrifm.grid import Grid
from agrifm.legend import LEGEND_TAG, Legend, legend_json
from agrifm.samples.labels import Labels, read_labels
from agrifm.vectors import VectorKeys

GRID = Grid.of(UTM, Affine(10, 0, LEFT, 0, -10, TOP), (96, 96))


def field(row: int, col: int, height: int = 10, width: int = 10) -> Polygon:
    """A rectangle of pixels."""
    return box(LEFT + 10 * col, TOP - 10 * (row + height), LEFT + 10 * (col + width), TOP - 10 * row)


def write_shapes(path: Path, shapes: list[Any], crs: str | None = UTM, **columns: list[Any]) -> Path:
    frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return path


@pytest.fixture
def two_fields(tmp_path: Path) -> Path:
    return write_shapes(tmp_path / "labels.gpkg", [field(10, 10), field(40, 60, 20, 5)], crop=["maize", "wheat"])


def read(file: Path, column: str = "crop", **more: Any) -> Labels:
    return read_labels(file, column, GRID, AREA, **more)


def refusal(file: Path, *column: str, **more: Any) -> LabelError:
    with pytest.raises(LabelError) as caught:
        read(file, *column, **more)
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_pixels_of_a_polygon_have_its_class_and_all_others_none(two_fields: Path) -> None:
    labels = read(two_fields)
    expected = np.full((96, 96), 255)
    expected[10:20, 10:20] = 0
    expected[40:60, 60:65] = 1
    assert (labels.label == expected).all()
    assert labels.label.dtype == np.uint8
    assert labels.legend.codes == ("maize", "wheat")
    assert (labels.place == np.where(expected == 255, -1, expected)).all()
    assert labels.notes == ()


def test_a_slanted_polygon_labels_the_pixels_whose_centres_it_holds(tmp_path: Path) -> None:
    """matplotlib's point-in-polygon test is the oracle."""
    corners = np.array(
        [(LEFT + 123, TOP - 77), (LEFT + 801, TOP - 333), (LEFT + 555, TOP - 888), (LEFT + 61, TOP - 501)]
    )
    path = write_shapes(tmp_path / "l.gpkg", [Polygon(corners), field(90, 90, 4, 4)], crop=["maize", "wheat"])
    centres = np.stack(np.meshgrid(GRID.x, GRID.y), axis=-1).reshape(-1, 2)
    inside = Outline(corners).contains_points(centres).reshape(96, 96)
    assert ((read(path).label == 0) == inside).all()


@pytest.mark.parametrize("name", ["l.gpkg", "l.geojson", "l.parquet"])
def test_shapes_in_degrees_land_where_their_metres_are(tmp_path: Path, name: str, two_fields: Path) -> None:
    shapes = [lonlat(field(10, 10)), lonlat(field(40, 60, 20, 5))]
    path = write_shapes(tmp_path / name, shapes, "EPSG:4326", crop=["maize", "wheat"])
    assert (read(path).label == read(two_fields).label).all()


def test_a_point_labels_the_pixel_it_lies_in(tmp_path: Path) -> None:
    points = [Point(LEFT + 104, TOP - 57), Point(LEFT + 500, TOP - 501)]
    labels = read(write_shapes(tmp_path / "l.gpkg", points, crop=[1, 2]))
    assert np.argwhere(labels.label == 0).tolist() == [[5, 10]]
    assert np.argwhere(labels.label == 1).tolist() == [[50, 50]]


def test_codes_as_numbers_and_as_text_are_one_class(tmp_path: Path) -> None:
    shapes = [field(0, 0), field(20, 0), field(40, 0)]
    path = write_shapes(tmp_path / "l.gpkg", shapes, crop=[1110.0, 1121.0, 1110.0])
    labels = read(path)
    assert labels.legend.codes == ("1110", "1121")
    assert [labels.label[row, 0] for row in (0, 20, 40)] == [0, 1, 0]
    legend = Legend.of(["1121", "1110"])
    assert read(path, legend=legend).label[0, 0] == 1


def test_shapes_without_a_code_or_a_place_are_counted(tmp_path: Path) -> None:
    shapes = [field(0, 0), field(20, 0), field(40, 0), None]
    labels = read(write_shapes(tmp_path / "l.gpkg", shapes, crop=["a", None, "b", "c"]))
    assert labels.notes == ("2 of 4 shapes have no code or no geometry",)
    assert labels.legend.codes == ("a", "b")
    assert (labels.label[20:30] == 255).all()


def test_shapes_outside_the_area_and_tiny_shapes_are_counted_and_left_out(tmp_path: Path) -> None:
    tiny = box(LEFT + 401, TOP - 404, LEFT + 404, TOP - 401)  # between the centres at 395 and 405
    shapes = [field(0, 0), tiny, field(20, 0), field(500, 500), field(40, 0)]
    labels = read(write_shapes(tmp_path / "l.gpkg", shapes, crop=["a", "b", "b", "b", "a"]))
    assert set(labels.notes) == {
        "1 of 5 labelled shapes are outside the area",
        "1 labelled shapes do not cover the centre of a pixel",
    }
    assert len(labels.places) == 3
    assert [labels.place[row, 0] for row in (0, 20, 40)] == [0, 1, 2]
    assert labels.places["number"].tolist() == [0, 1, 0]


def test_pixels_that_two_shapes_claim_for_different_classes_are_counted(tmp_path: Path) -> None:
    shapes = [field(0, 0), field(5, 0), field(30, 0), field(35, 0)]
    labels = read(write_shapes(tmp_path / "l.gpkg", shapes, crop=["a", "b", "a", "a"]))
    assert [note.split()[0] for note in labels.notes] == ["50"]
    assert (labels.label[5:10, 0] == 1).all()
    assert (labels.label[0:5, 0] == 0).all()


def test_other_land_from_polygons_counts_only_where_no_shape_lies(two_fields: Path, tmp_path: Path) -> None:
    other = write_shapes(tmp_path / "other.gpkg", [lonlat(field(5, 5, 30, 30))], "EPSG:4326", kind=["forest"])
    labels = read(two_fields, other=other)
    expected = np.full((96, 96), 255)
    expected[5:35, 5:35] = 2
    expected[10:20, 10:20] = 0
    expected[40:60, 60:65] = 1
    assert (labels.label == expected).all()
    assert labels.legend.codes == ("maize", "wheat", "other")
    assert not labels.legend.classes[2].scored
    assert (labels.place[expected == 2] == -1).all()


def test_what_the_file_of_other_land_does_not_say_is_stated(two_fields: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gpkg"
    for name, outline in (("towns", field(5, 5, 30, 30)), ("fields", field(0, 0))):
        shapes = geopandas.GeoDataFrame({"kind": [1]}, geometry=[outline], crs=UTM)
        shapes.to_file(other, layer=name, engine="pyogrio")
    assert refusal(two_fields, other=other).facts["layers"] == ["towns", "fields"]
    stated = read(two_fields, other=other, other_keys=VectorKeys(layer="towns"))
    alone = write_shapes(tmp_path / "towns.gpkg", [field(5, 5, 30, 30)], kind=[1])
    assert (stated.label == read(two_fields, other=alone).label).all()
    x, y = field(70, 70).centroid.coords[0]
    (tmp_path / "other.csv").write_text(f"x,y\n{x},{y}\n")
    points = read(two_fields, other=tmp_path / "other.csv", other_keys=VectorKeys(crs=UTM)).label
    assert np.argwhere(points == 2).tolist() == [[int((TOP - y) // 10), int((x - LEFT) // 10)]]


def test_keys_of_a_file_of_other_land_that_is_not_given_are_refused(two_fields: Path) -> None:
    refusal(two_fields, other_keys=VectorKeys(layer="towns"))


def test_keys_of_vector_files_are_refused_for_a_raster_of_other_land(two_fields: Path, tmp_path: Path) -> None:
    other = write_tiff(tmp_path / "cover.tif", np.full((96, 96), 10, np.uint8))
    error = refusal(two_fields, other=other, other_values=[10], other_keys=VectorKeys(layer="towns"))
    assert error.facts["key"] == "layer"


def test_other_land_from_a_raster_is_where_it_has_one_of_the_values(two_fields: Path, tmp_path: Path) -> None:
    """ESA WorldCover: 10 trees, 40 cropland, 80 water."""
    cover = np.random.default_rng(0).choice([0, 10, 40, 80], (96, 96)).astype(np.uint8)
    other = write_tiff(tmp_path / "cover.tif", cover, nodata=0)
    crops = read(two_fields).label
    expected = np.where(np.isin(cover, (10, 80)) & (crops == 255), 2, crops)
    assert (read(two_fields, other=other, other_values=[10, 80]).label == expected).all()


def test_nodata_of_a_land_cover_raster_is_never_other(two_fields: Path, tmp_path: Path) -> None:
    cover = np.zeros((48, 96), np.uint8)  # ends half way down
    cover[:10] = 10
    other = write_tiff(tmp_path / "cover.tif", cover, nodata=0)
    labels = read(two_fields, other=other, other_values=[0, 10])
    assert (labels.label[:10] == 2).all()
    assert (labels.label[20:40] == 255).all()
    assert (labels.label[60:] == 255).all()


def test_a_land_cover_raster_without_values_of_other_land_is_refused(two_fields: Path, tmp_path: Path) -> None:
    other = write_tiff(tmp_path / "cover.tif", np.full((96, 96), 10, np.uint8))
    assert "`other_values`" in str(refusal(two_fields, other=other))


CODES = np.zeros((96, 96), np.int32)
CODES[10:20, 10:20] = 1110
CODES[20:30, 10:20] = 1121
CODES[60:70, 60:70] = 1110


def test_connected_pixels_of_one_value_of_a_raster_are_a_place(tmp_path: Path) -> None:
    labels = read(write_tiff(tmp_path / "l.tif", CODES, nodata=0))
    assert labels.legend.codes == ("1110", "1121")
    assert (labels.label == np.select([CODES == 1110, CODES == 1121], [0, 1], 255)).all()
    assert len(labels.places) == 3
    assert not labels.has_parcels
    assert (labels.place >= 0).sum() == 300
    assert len({labels.place[15, 15], labels.place[25, 15], labels.place[65, 65]}) == 3


def test_a_large_region_of_a_raster_is_cut_by_tiles_and_a_field_across_their_edge_is_not(tmp_path: Path) -> None:
    """A forest of 96 x 96 pixels of 10 m around a field that lies over the edges of the four tiles of 480 m."""
    codes = np.full((96, 96), 2, np.int32)
    codes[40:60, 40:60] = 1
    labels = read(write_tiff(tmp_path / "l.tif", codes))
    assert len(labels.places) == 5
    field_, forest = (labels.place[labels.label == number] for number in (0, 1))
    assert len(np.unique(field_)) == 1
    rows, cols = np.nonzero(labels.label == 1)
    tiles = rows // 48 * 2 + cols // 48
    assert len(np.unique(np.stack([tiles, forest]), axis=1).T) == 4
    assert (labels.label == np.where(codes == 1, 0, 1)).all()


def test_a_coarser_raster_is_brought_to_the_grid_by_nearest_neighbour(tmp_path: Path) -> None:
    coarse = np.random.default_rng(0).choice([1, 2, 7], (32, 32)).astype(np.uint8)
    labels = read_labels(write_tiff(tmp_path / "l.tif", coarse), "", GRID, lonlat(field(-10, -10, 116, 116)))
    assert (np.array([1, 2, 7])[labels.label] == coarse.repeat(3, 0).repeat(3, 1)).all()


def test_the_legend_in_a_raster_is_kept(tmp_path: Path) -> None:
    legend = Legend.of(["1110", "1121", "water", "other"], {"1110": "Wheat"})
    legend = legend.model_copy(
        update={"classes": tuple(one.model_copy(update={"scored": one.code == "1110"}) for one in legend.classes)}
    )
    numbers = np.full((96, 96), 255, np.uint8)
    numbers[10:20], numbers[40:50] = 0, 2
    path = write_tiff(tmp_path / "crops.tif", numbers, nodata=255)
    with rasterio.open(path, "r+") as file:
        file.update_tags(**{LEGEND_TAG: legend_json(legend)})
    labels = read(path)
    assert labels.legend.classes == (legend.classes[0], legend.classes[2])
    assert set(np.unique(labels.label[10:20])) == {0}
    assert set(np.unique(labels.label[40:50])) == {1}
    with_other = read(path, other=write_shapes(tmp_path / "o.gpkg", [field(0, 0)], kind=[1]))
    assert with_other.legend.classes[2] == legend.classes[3]
    assert with_other.label[0, 0] == 2


@pytest.mark.parametrize("dtype", [np.uint32, np.float64])
def test_codes_of_ten_digits_keep_all_of_them(tmp_path: Path, dtype: type) -> None:
    """EuroCrops' HCAT codes, such as 3301010101, are beyond 2^31."""
    codes = np.where(CODES == 1110, 3301010101, np.where(CODES == 1121, 3301010102, 0)).astype(dtype)
    assert read(write_tiff(tmp_path / "l.tif", codes, nodata=0)).legend.codes == ("3301010101", "3301010102")


def test_a_float_raster_may_have_nan_as_nodata_but_not_decimals(tmp_path: Path) -> None:
    codes = np.where(CODES == 0, np.nan, CODES).astype(np.float32)
    assert read(write_tiff(tmp_path / "l.tif", codes, nodata=np.nan)).legend.codes == ("1110", "1121")
    codes[15, 15] = 1110.5
    assert "have decimals" in str(refusal(write_tiff(tmp_path / "l.tif", codes, nodata=np.nan)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32])
@pytest.mark.parametrize("background", [0, 200, 255])
def test_without_a_nodata_value_every_value_of_a_raster_is_a_code(tmp_path: Path, dtype: type, background: int) -> None:
    """The raster covers rows and columns 10 to 69 of the grid; outside it there are no labels."""
    if dtype is np.int16:
        background -= 1
    codes = np.full((60, 60), background)
    codes[:5, :5] = 7
    path = write_tiff(tmp_path / "l.tif", codes.astype(dtype), square=(LEFT + 100, TOP - 100, 600))
    labels = read(path)
    expected = np.full((96, 96), -9)
    expected[10:70, 10:70] = codes
    numbers = {code: labels.legend.number(code) for code in (7, background)}
    assert (labels.label == np.select([expected == code for code in numbers], list(numbers.values()), 255)).all()
    assert [f"value {background} " in note for note in labels.notes] == ([True] if background in (0, 255) else [])


@pytest.mark.parametrize("square", [(LEFT, TOP, 960), (LEFT + 3, TOP - 4, 960)])
@pytest.mark.parametrize("way", ["nodata", "mask", "both", "alpha", "legend", "unlabelled"])
def test_pixels_without_a_class_are_those_that_the_file_or_project_states(
    tmp_path: Path, way: str, square: tuple[float, float, float]
) -> None:
    codes = np.where(CODES == 0, 255, CODES - 1110).astype(np.uint8)
    codes[80:90, :50], codes[80:90, 50:60] = 2, 1  # 0, 1, 2 and 11 are classes, 255 is not
    bands = np.stack([codes, np.where(codes == 255, 0, 255).astype(np.uint8)]) if way == "alpha" else codes
    options = {"photometric": "minisblack", "alpha": "yes"} if way == "alpha" else {}
    path = write_tiff(tmp_path / "l.tif", bands, square, nodata=255 if way in ("nodata", "both") else None, **options)
    with rasterio.open(path, "r+") as file:
        if way == "both":
            file.write_mask(np.where(codes == 2, 0, 255).astype(np.uint8))
        if way == "mask":
            file.write_mask(np.where(codes == 255, 0, 255).astype(np.uint8))
        if way == "legend":
            file.update_tags(**{LEGEND_TAG: legend_json(Legend.of(range(12)))})
    labels = read(path, unlabelled=[255] if way == "unlabelled" else [])
    classes = {"0", "1", "11"} | (set() if way == "both" else {"2"})
    assert set(labels.legend.codes) == classes
    if square == (LEFT, TOP, 960):
        assert (labels.label == 255).sum() == 9216 - sum((codes == int(code)).sum() for code in classes)


def test_names_and_colours_next_to_a_raster_are_those_of_its_legend(tmp_path: Path) -> None:
    codes = np.where(CODES == 1110, 1, np.where(CODES == 1121, 2, 0)).astype(np.uint8)
    path = write_tiff(tmp_path / "l.tif", codes, nodata=0)
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {1: (255, 0, 0, 255), 2: (0, 128, 0, 255)})
    categories = "".join(f"<Category>{name}</Category>" for name in ("", "Winter wheat", "Maïs &amp; soja"))
    path.with_name("l.tif.aux.xml").write_text(
        f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{categories}</CategoryNames></PAMRasterBand></PAMDataset>',
        encoding="utf-8",
    )
    assert [(entry.code, entry.name, entry.color) for entry in read(path).legend.classes] == [
        ("1", "Winter wheat", "#ff0000"),
        ("2", "Maïs & soja", "#008000"),
    ]


def test_a_picture_and_a_map_of_confidence_are_refused_as_labels(tmp_path: Path) -> None:
    picture = write_tiff(tmp_path / "p.tif", np.stack([CODES.astype(np.uint8)] * 3), photometric="rgb")
    assert refusal(picture).facts["path"] == picture
    confidence = write_tiff(tmp_path / "c.tif", CODES.astype(np.uint8), descriptions=("confidence in percent",))
    assert refusal(confidence).facts["path"] == confidence


@pytest.mark.parametrize("blank", ["", "  ", "\u00a0", "nan", "None", "NA", "<NA>", None])
def test_missing_labels_of_every_kind_are_no_class(tmp_path: Path, blank: str | None) -> None:
    fields = [field(10 * row, 10) for row in range(5)]
    path = write_shapes(tmp_path / "l.gpkg", fields, crop=["maize", blank, "wheat", blank, "maize"])
    labels = read(path)
    assert labels.legend.codes == ("maize", "wheat")
    assert "2 of 5 shapes have no code or no geometry" in labels.notes


def test_a_legend_that_lists_a_missing_text_makes_it_a_class(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "l.gpkg", [field(10, 10), field(30, 30)], crop=["maize", "NA"])
    labels = read(path, legend=Legend.of(["maize", "NA"]))
    assert labels.label[35, 35] == 1
    assert len(labels.notes) == 1


def test_codes_that_mean_unlabelled_are_counted(tmp_path: Path) -> None:
    fields = [field(10 * row, 10) for row in range(4)]
    path = write_shapes(tmp_path / "l.gpkg", fields, crop=["1", "2", "0", "unknown"])
    labels = read(path, unlabelled=[0, "unknown"])
    assert labels.legend.codes == ("1", "2")
    assert labels.notes == ("2 of 4 shapes are unlabelled (code 0, unknown)",)


@pytest.mark.parametrize("column", [[b"1", b"2"], [1.5e16, 2.0], ["2024-01-01", "2024-02-01"]])
def test_a_column_that_holds_no_codes_is_refused_by_its_name(tmp_path: Path, column: list[Any]) -> None:
    if isinstance(column[0], str):
        column = list(np.array(column, "datetime64[s]"))
    path = write_shapes(tmp_path / "l.parquet", [field(10, 10), field(30, 30)], crop=column)
    assert "column 'crop'" in str(refusal(path))


def rows(count: int) -> list[Polygon]:
    return [field(20 + 3 * number, 40, 2, 2) for number in range(count)]


@pytest.mark.parametrize(
    "column", [list(range(12)), [f"p{number}" for number in range(12)], ["2024-05-01", "2024-06-01"] * 6]
)
def test_identifiers_and_dates_are_refused_with_the_columns(tmp_path: Path, column: list[Any]) -> None:
    path = write_shapes(tmp_path / "l.gpkg", rows(12), id=column, crop=["maize", "wheat"] * 6)
    assert refusal(path, "id").facts["columns"] == ["id", "crop"]
    assert read(path, "id", legend=Legend.of(sorted(set(map(str, column))))).label.min() == 0
    assert read(path).notes == ()


def test_years_and_classes_without_labels_are_noted(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "l.gpkg", rows(4), year=[2023, 2024] * 2, crop=["maize", "wheat"] * 2)
    assert "2023, 2024" in read(path, "year").notes[0]
    assert "barley, rye" in read(path, legend=Legend.of(["rye", "maize", "barley", "wheat"])).notes[0]


def test_labels_that_are_names_of_the_legend_are_refused_with_a_code(two_fields: Path) -> None:
    error = refusal(two_fields, legend=Legend.of(["11", "12"], {"11": "maize", "12": "wheat"}))
    assert "11 = maize" in str(error)


LABELS = ["11", "011", "nan", "None", "", None, "Maïs", "Mai\u0308s", "maïs", "NA", "11.0", " 11", "1_1", "\u00a0"]


@pytest.mark.parametrize("listed", [(), ("NA",)])
def test_training_assessment_and_legend_take_the_same_file_alike(tmp_path: Path, listed: tuple[str, ...]) -> None:
    """Points on pixels with other labels: those of a legend, of training and of a map's reference are the same."""
    expected = {"11": 3, "011": 1, "Maïs": 2, "maïs": 1, "1_1": 1} | dict.fromkeys(listed, 1)
    places = [Point(LEFT + 10 * number + 305, TOP - 405) for number in range(len(LABELS))]
    path = write_shapes(tmp_path / "l.gpkg", places, crop=LABELS)
    table = "\n".join(f"{code};Name {number};#00{number:02x}00" for number, code in enumerate(expected))
    (tmp_path / "legend.csv").write_text(f"code;name;color\n{table}\n", encoding="utf-8")
    legend = Legend.read(tmp_path / "legend.csv")
    assert legend.codes == tuple(expected)

    labels = read(path, legend=legend)
    counts = np.bincount(labels.label[labels.label != 255], minlength=len(legend))
    assert dict(zip(legend.codes, counts.tolist(), strict=True)) == expected
    if not listed:
        assert set(read(path).legend.codes) == set(expected)

    classes = write_tiff(tmp_path / "map.tif", labels.label, nodata=255)  # as a map of a model with this legend
    with rasterio.open(classes, "r+") as file:
        file.update_tags(**{LEGEND_TAG: legend_json(legend)})
    confusion = count_confusion(read_map(classes), path, "crop")
    assert confusion.codes == legend.codes
    assert (confusion.counts == np.diag(list(expected.values()))).all()
    assert confusion.skipped["no label"] == len(LABELS) - sum(expected.values())


def test_labels_outside_the_area_are_refused_with_where_they_are(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "l.gpkg", [box(10, 50, 10.1, 50.1)], "EPSG:4326", crop=["a"])
    assert refusal(path).facts == {"bounds": (10.0, 50.0, 10.1, 50.1), "exchanged": 0}


def test_a_code_that_the_legend_lacks_is_refused_with_the_nearest(two_fields: Path) -> None:
    sentence = str(refusal(two_fields, legend=Legend.of(["maise", "wheat"])))
    assert str(two_fields) in sentence
    assert "'maize'" in sentence
    assert "'maise'" in sentence


def test_a_single_class_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "l.gpkg", [field(0, 0), field(20, 0)], crop=["maize", "maize"])
    error = refusal(path)
    assert error.facts == {"classes": 1}
    assert "(maize)" in str(error)
    other = write_shapes(tmp_path / "o.gpkg", [field(40, 0)], kind=[1])
    assert len(read(path, other=other).legend) == 2


def test_more_than_255_codes_are_refused(tmp_path: Path) -> None:
    points = [Point(GRID.x[10 + number % 60], GRID.y[10 + number // 60]) for number in range(300)]
    assert "300" in str(refusal(write_shapes(tmp_path / "l.gpkg", points, crop=list(range(300)))))


def test_a_missing_column_is_refused_with_the_nearest(two_fields: Path, tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "l2.gpkg", [field(0, 0)], CROP_CODE=[1], area=[2.0])
    error = refusal(path, "crop_code")
    assert error.facts == {"column": "crop_code"}
    assert "did you mean 'CROP_CODE'" in str(error)
    assert refusal(two_fields, fold_column="fold").facts == {"column": "fold"}


def test_a_column_without_any_code_is_refused(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "l.gpkg", [field(0, 0)], crop=np.array([None], object).tolist())
    assert refusal(path).facts == {"column": "crop"}


def test_labels_without_crs_are_refused(tmp_path: Path) -> None:
    shapes = write_shapes(tmp_path / "l.parquet", [field(0, 0)], None, crop=[1])
    for path in (shapes, write_tiff(tmp_path / "l.tif", CODES, crs=None)):
        assert "coordinate reference system" in str(refusal(path))


@pytest.mark.parametrize(
    "name", ["absent.gpkg", "absent.tif", "absent.parquet", "broken.gpkg", "broken.tif", "broken.parquet"]
)
def test_labels_that_cannot_be_read_are_refused(tmp_path: Path, name: str) -> None:
    for kind in ("gpkg", "tif", "parquet"):
        (tmp_path / f"broken.{kind}").write_text("<html>")
    assert str(tmp_path / name) in str(refusal(tmp_path / name))


def test_a_parcel_of_several_parts_is_one_place(tmp_path: Path) -> None:
    both = MultiPolygon([field(0, 0), field(30, 30)])
    labels = read(write_shapes(tmp_path / "l.gpkg", [both, field(60, 60)], crop=["a", "b"]))
    assert labels.place[5, 5] == labels.place[35, 35]
    assert len(labels.places) == 2


def test_the_folds_of_shapes_are_kept_as_text(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "l.gpkg", [field(0, 0), field(20, 0)], crop=["a", "b"], split=["train ", "test"])
    assert read(path, fold_column="split").places["fold"].tolist() == ["train", "test"]
