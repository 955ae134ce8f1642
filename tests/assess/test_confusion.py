"""Reference points against the map under them: what is counted, what is skipped, what is refused."""

import re

import geopandas as gpd
import numpy as np
import pytest
from shapely import MultiPoint, Point, box
from tests.assess.rasters import CROPS, crop_map, write_points, write_raster

from agrifm.assess.class_map import read_map
from agrifm.assess.confusion import count_confusion
from agrifm.assess.reference_data import count_inside_parcels
from agrifm.errors import AssessmentError
from agrifm.legend import Legend, LegendClass

VALUES = np.array([[0, 0, 1, 1], [0, 0, 1, 2], [2, 2, 2, 255]], np.uint8)


@pytest.fixture
def mapped(tmp_path):
    return read_map(write_raster(tmp_path / "m.tif", VALUES, legend=CROPS, nodata=255))


def test_counts_have_the_map_in_rows_and_the_reference_in_columns(mapped, tmp_path):
    path = write_points(tmp_path / "p.gpkg", [0, 0, 0, 2], [0, 1, 2, 0], ["1110", "1121", "1121", "1110"])
    found = count_confusion(mapped, path, "label")
    assert found.codes == ("1110", "1121", "other")
    assert found.counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert found.hectares == pytest.approx([0.04, 0.03, 0.04])


def test_a_point_takes_the_class_of_the_pixel_it_lies_in(mapped, tmp_path):
    frame = gpd.GeoDataFrame(
        {"label": ["1110"] * 2}, geometry=gpd.points_from_xy([600_019.9, 600_020.1], [5_499_999] * 2)
    )
    frame.set_crs(32631).to_file(tmp_path / "p.gpkg")
    assert count_confusion(mapped, tmp_path / "p.gpkg", "label").counts[:, 0].tolist() == [1, 1, 0]


def test_points_in_another_crs_are_moved_to_the_map(mapped, tmp_path):
    write_points(tmp_path / "p.gpkg", [0, 1, 2], [0, 2, 1], ["1110", "1121", "other"])
    gpd.read_file(tmp_path / "p.gpkg").to_crs(4326).to_file(tmp_path / "p.geojson", driver="GeoJSON")
    assert count_confusion(mapped, tmp_path / "p.geojson", "label").counts.tolist() == np.eye(3, dtype=int).tolist()


def test_points_that_cannot_be_used_are_counted_by_reason(mapped, tmp_path):
    rows, cols = [0, 0, 0, 0, 2, 99, 0], [0, 1, 2, 3, 3, 0, -1]
    labels = ["1110", None, "", "  ", "1110", "1110", "1121"]
    write_points(tmp_path / "p.gpkg", rows, cols, labels)
    frame = gpd.read_file(tmp_path / "p.gpkg")
    frame.loc[len(frame)] = {"label": "1110", "geometry": None}
    frame.to_file(tmp_path / "p.gpkg")
    found = count_confusion(mapped, tmp_path / "p.gpkg", "label")
    assert found.skipped == {"no label": 3, "no place": 1, "outside the map": 2, "on nodata": 1}
    assert found.read == 8
    assert len(found.points) == found.counts.sum() == 1


def test_a_map_of_cropland_is_compared_with_labels_of_the_single_crops(tmp_path):
    crops = LegendClass(code="cropland", name="cropland", color="#ddaa33", members=("1110", "1121"))
    rest = LegendClass(code="other", name="other land", color="#dddddd", members=("3302",), scored=False)
    path = write_raster(tmp_path / "m.tif", np.minimum(VALUES, 1), legend=Legend(classes=(crops, rest)))
    points = write_points(
        tmp_path / "p.gpkg",
        [0, 0, 0, 0, 1, 1],
        [0, 1, 2, 3, 0, 2],
        ["1110", 1121, "3302", "other", "other", "cropland"],
    )
    found = count_confusion(read_map(path), points, "label")
    assert found.codes == ("cropland", "other")
    assert found.counts.tolist() == [[2, 1], [1, 2]]
    wrong = write_points(tmp_path / "w.gpkg", [0, 0], [0, 1], ["1110", "1111"])
    with pytest.raises(AssessmentError, match="did you mean '1121'"):
        count_confusion(read_map(path), wrong, "label")


def test_numeric_labels_are_read_as_codes(mapped, tmp_path):
    path = write_points(tmp_path / "p.gpkg", [0, 0, 1], [0, 2, 0], [1110.0, 1121.0, np.nan])
    found = count_confusion(mapped, path, "label")
    assert found.skipped["no label"] == 1
    assert found.counts.diagonal().tolist() == [1, 1, 0]


def test_geoparquet_and_multipoints_of_one_point_are_read(mapped, tmp_path):
    places = [MultiPoint([(600_005, 5_499_995)]), Point(600_025, 5_499_995)]
    gpd.GeoDataFrame({"label": ["1110", "1121"]}, geometry=places, crs=32631).to_parquet(tmp_path / "p.parquet")
    assert count_confusion(mapped, tmp_path / "p.parquet", "label").counts.diagonal().tolist() == [1, 1, 0]


def test_a_raster_without_legend_may_meet_classes_that_it_does_not_have(tmp_path):
    mapped = read_map(write_raster(tmp_path / "m.tif", np.array([[11, 11], [9, 9]], np.uint8)))
    path = write_points(tmp_path / "p.gpkg", [0, 0, 1], [0, 1, 0], ["11", "40", "9"])
    found = count_confusion(mapped, path, "label")
    assert found.codes == ("9", "11", "40")
    assert found.counts.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert found.hectares == pytest.approx([0.02, 0.02, 0])


def test_classes_of_neither_map_nor_reference_are_left_out(tmp_path):
    mapped = read_map(write_raster(tmp_path / "m.tif", np.zeros((2, 2), np.uint8), legend=CROPS))
    path = write_points(tmp_path / "p.gpkg", [0, 1], [0, 1], ["1110", "other"])
    assert count_confusion(mapped, path, "label").codes == ("1110", "other")


def test_a_code_unknown_to_the_legend_is_refused_with_the_nearest(mapped, tmp_path):
    path = write_points(tmp_path / "p.gpkg", [0, 0], [0, 1], ["1122", "1110"])
    with pytest.raises(AssessmentError, match="'1121'") as error:
        count_confusion(mapped, path, "label")
    assert error.value.facts["code"] == "1122"


def test_a_wrong_column_is_refused_with_the_columns_there_are(mapped, tmp_path):
    path = write_points(tmp_path / "p.gpkg", [0], [0], ["1110"], who=["me"], sampling=None)
    with pytest.raises(AssessmentError) as error:
        count_confusion(mapped, path, "crop")
    assert error.value.facts == {"column": "crop", "columns": ["label", "who"]}


def test_a_reference_without_crs_is_refused(mapped, tmp_path):
    gpd.GeoDataFrame({"label": ["1110"]}, geometry=[Point(0, 0)]).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(AssessmentError, match="coordinate reference system"):
        count_confusion(mapped, tmp_path / "p.parquet", "label")


@pytest.mark.parametrize("name", ["absent.gpkg", "note.gpkg"])
def test_a_reference_that_is_absent_or_unreadable_is_refused(mapped, tmp_path, name):
    (tmp_path / "note.gpkg").write_text("a note")
    with pytest.raises(AssessmentError, match=name):
        count_confusion(mapped, tmp_path / name, "label")


def test_a_table_without_places_is_refused(mapped, tmp_path):
    (tmp_path / "p.csv").write_text("label,x\n1110,3\n")
    with pytest.raises(AssessmentError, match=r"p\.csv"):
        count_confusion(mapped, tmp_path / "p.csv", "label")


def test_a_file_of_several_layers_is_refused_but_a_table_of_styles_is_not(mapped, tmp_path):
    import pandas as pd
    import pyogrio

    path = write_points(tmp_path / "p.gpkg", [0], [0], ["1110"])
    pyogrio.write_dataframe(pd.DataFrame({"style": ["red"]}), path, layer="layer_styles")
    assert count_confusion(mapped, path, "label").read == 1
    gpd.read_file(path, layer="p").to_file(path, layer="old")
    with pytest.raises(AssessmentError, match="p, old"):
        count_confusion(mapped, path, "label")


def test_a_reference_without_usable_points_is_refused_with_the_reasons(mapped, tmp_path):
    path = write_points(tmp_path / "p.gpkg", [0, 99], [0, 0], [None, "1110"])
    with pytest.raises(AssessmentError) as error:
        count_confusion(mapped, path, "label")
    assert error.value.facts["read"] == 2
    assert error.value.facts["skipped"] == {"no label": 1, "no place": 0, "outside the map": 1, "on nodata": 0}


def test_points_that_break_the_design_are_warned_of(mapped, tmp_path):
    path = write_points(tmp_path / "p.gpkg", [0, 0, 1], [0, 0, 2], ["1110"] * 3, map_class=["1110", "1110", "other"])
    notes = count_confusion(mapped, path, "label").warnings
    assert re.match("1 .* share a pixel", notes[0])
    assert re.match("1 .* another class", notes[1])


def test_a_class_with_few_points_is_warned_of_unless_it_has_no_more_pixels(tmp_path):
    mapped = read_map(write_raster(tmp_path / "m.tif", crop_map(), legend=CROPS, nodata=255))
    rows, cols = (place[:12] for place in np.nonzero(crop_map() == 0))
    one = np.argwhere(crop_map() == 1)[:3]
    path = write_points(tmp_path / "p.gpkg", [*rows, *one[:, 0]], [*cols, *one[:, 1]], ["1110"] * 12 + ["1121"] * 3)
    notes = count_confusion(mapped, path, "label").warnings
    assert re.search("'Winter wheat' has only 3", notes[0])
    assert not any("Maize" in note for note in notes)


def test_a_class_covered_by_its_points_is_known_completely(mapped, tmp_path):
    path = write_points(tmp_path / "p.gpkg", [0, 0, 1, 0], [2, 3, 2, 0], ["1121"] * 4)
    assert count_confusion(mapped, path, "label").complete.tolist() == [False, True, False]


def test_points_inside_training_parcels_are_counted_once():
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy([5, 15, 95, 205], [5, 5, 5, 5]), crs=32631)
    parcels = gpd.GeoDataFrame(geometry=[box(0, 0, 20, 20), box(4, 0, 30, 20), Point(91, 2), None], crs=32631)
    assert count_inside_parcels(points, parcels, 10.0) == 3
    assert count_inside_parcels(points, parcels.iloc[3:], 10.0) == 0


def test_points_with_exchanged_axes_are_called_so(mapped, tmp_path):
    path = write_points(tmp_path / "p.gpkg", [0, 0, 1], [0, 2, 0], ["1110", "1121", "1110"])
    frame = gpd.read_file(path).to_crs(4326)
    exchanged = gpd.points_from_xy(frame.geometry.y, frame.geometry.x)
    frame.set_geometry(exchanged, crs=4326).to_file(tmp_path / "all.gpkg")
    with pytest.raises(AssessmentError) as caught:
        count_confusion(mapped, tmp_path / "all.gpkg", "label")
    assert caught.value.facts["exchanged"] == 3
    some = np.where([True, False, False], exchanged, frame.geometry)
    frame.set_geometry(gpd.GeoSeries(some, crs=4326)).to_file(tmp_path / "some.gpkg")
    found = count_confusion(mapped, tmp_path / "some.gpkg", "label")
    assert found.skipped["outside the map"] == 1
    assert ["1 reference" in warning for warning in found.warnings if "exchanged" in warning] == [True]


def test_points_at_one_place_with_two_labels_are_called_so(mapped, tmp_path):
    path = write_points(tmp_path / "p.gpkg", [0, 0, 0, 1], [0, 0, 0, 2], ["1110", "1121", "1110", "1121"])
    found = count_confusion(mapped, path, "label")
    assert ["1 reference" in warning for warning in found.warnings if "different label" in warning] == [True]


def named_map(folder, names=("", "wheat", "maize")):
    """Codes 1 and 2 in 60 x 60 pixels, with category names as another program writes them."""
    values = np.where(np.indices((60, 60))[1] < 30, 1, 2).astype(np.uint8)
    path = write_raster(folder / "named.tif", values, nodata=0)
    categories = "".join(f"<Category>{name}</Category>" for name in names)
    text = f"<PAMDataset><PAMRasterBand><CategoryNames>{categories}</CategoryNames></PAMRasterBand></PAMDataset>"
    path.with_name("named.tif.aux.xml").write_text(text, encoding="utf-8")
    return read_map(path)


def points_on(folder, labels, **columns):
    """Points in a diagonal over the map."""
    at = np.linspace(0, 59, len(labels)).astype(int)
    return write_points(folder / "points.gpkg", at, at, labels, **columns)


@pytest.mark.parametrize(
    ("labels", "fact"),
    [
        (["wheat", "maize"] * 10, "1 = wheat"),
        (["Wheat", "Maize"] * 10, "crop"),
        (["3", "4"] * 10, "crop"),
        (["01", "02"] * 10, "crop"),
        ([f"p{number}" for number in range(20)], "crop"),
        (["2024-05-01", "2024-06-01"] * 10, "crop"),
    ],
)
def test_labels_of_which_none_is_in_the_map_are_refused_with_both_sides(tmp_path, labels, fact):
    with pytest.raises(AssessmentError) as error:
        count_confusion(named_map(tmp_path), points_on(tmp_path, labels, crop=["1"] * 20), "label")
    assert set(error.value.facts["labels"]) == set(labels)
    assert error.value.facts["known"] == ("1", "2")
    assert fact in str(error.value)


def test_labels_that_are_names_of_our_legend_are_refused_with_the_codes(mapped, tmp_path):
    with pytest.raises(AssessmentError) as error:
        count_confusion(mapped, write_points(tmp_path / "p.gpkg", [0, 0], [0, 1], ["Maize", "Winter wheat"]), "label")
    assert "1110 = Maize, 1121 = Winter wheat" in str(error.value)


def test_labels_that_the_map_lacks_are_counted_with_both_lists(tmp_path):
    labels = ["1"] * 9 + ["2"] * 8 + ["3", "Mais", "01"]
    confusion = count_confusion(named_map(tmp_path), points_on(tmp_path, labels), "label")
    assert any(
        note.startswith("3 of 20 ") and "(01, 3, Mais)" in note and "(1, 2)" in note for note in confusion.warnings
    )
    assert any("'01' (1)" in note for note in confusion.warnings)
    assert [entry.name for entry in confusion.classes] == ["wheat", "maize", "01", "3", "Mais"]


def test_identifiers_that_happen_to_be_codes_are_refused(tmp_path):
    with pytest.raises(AssessmentError) as error:
        count_confusion(
            named_map(tmp_path), points_on(tmp_path, list(range(1, 41)), crop=["1"] * 40, sampling=None), "label"
        )
    assert "columns: label, crop" in str(error.value)


def test_a_reference_of_a_single_class_is_warned_of(tmp_path):
    confusion = count_confusion(named_map(tmp_path), points_on(tmp_path, ["1"] * 20), "label")
    assert any("'1'" in note and "every" in note for note in confusion.warnings)


@pytest.mark.parametrize("blank", ["", " ", "nan", "None", "NA", None, "\u00a0"])
def test_missing_labels_of_every_kind_are_skipped_and_counted(tmp_path, blank):
    confusion = count_confusion(named_map(tmp_path), points_on(tmp_path, ["1", "2", blank, "2"]), "label")
    assert confusion.skipped["no label"] == 1
    assert confusion.codes == ("1", "2")
