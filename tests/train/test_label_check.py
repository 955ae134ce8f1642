"""`agrifm samples check` lists the labels that were made doubtful, of a table and of shapes, in a file of its own."""

from pathlib import Path

import geopandas
import pandas as pd
import pytest
from shapely import box
from tests.train.test_table_run import write_project
from tests.train.tiled_labels import CROPS, labelled_tiles

from agrifm.config import read_project
from agrifm.errors import LabelError, OutputError
from agrifm.train.label_check import COLUMNS, check_labels

WRONG = {"p3": "maize", "p20": "wheat"}


def test_wrong_labels_of_a_table_come_first(tmp_path: Path) -> None:
    write_project(tmp_path)
    points = pd.read_csv(tmp_path / "points.csv")
    for sample, label in WRONG.items():
        points.loc[points.sample_id == sample, "label"] = label
    points.loc[points.sample_id == "p40", ["longitude", "latitude"]] = [-30.0, 40.0]
    points.to_csv(tmp_path / "points.csv", index=False)
    lines = check_labels(read_project(tmp_path), tmp_path / "doubtful.gpkg")
    found = geopandas.read_file(tmp_path / "doubtful.gpkg")
    assert [*found.columns] == [*COLUMNS, "geometry"]
    assert found["row"][found["kind"] == "place"].tolist() == [41]
    assert set(found["row"][found["kind"] == "label"][:2]) == {4, 21}
    assert any("2 likely wrong" in line and "1 places" in line for line in lines)
    check_labels(read_project(tmp_path), tmp_path / "doubtful.gpkg")  # it replaces its own file


def test_conflicts_of_shapes_are_listed_and_files_of_others_kept(tmp_path: Path) -> None:
    shapes = [box(500_000, 5_200_000, 500_100, 5_200_100), box(500_050, 5_200_000, 500_150, 5_200_100)]
    fields = geopandas.GeoDataFrame({"crop": ["maize", "wheat"]}, geometry=shapes, crs="EPSG:32631")
    fields.to_file(tmp_path / "fields.gpkg")
    (tmp_path / "agrifm.toml").write_text(
        "[season]\narea = [2.9, 46.9, 3.1, 47.1]\nstart = 2024-01-01\nend = 2024-12-31\n[imagery]\n"
        'catalog = "catalog.json"\nproducts = ["sentinel-2-l2a"]\n[labels]\nfile = "fields.gpkg"\n'
    )
    project = read_project(tmp_path)
    check_labels(project, tmp_path / "doubtful.gpkg")
    found = geopandas.read_file(tmp_path / "doubtful.gpkg")
    assert found["kind"].tolist() == ["conflict", "conflict"]
    assert found["code"].tolist() == ["maize", "wheat"]
    assert "0.50 ha" in found["reason"][0]
    with pytest.raises(OutputError):
        check_labels(project, tmp_path / "fields.gpkg")
    with pytest.raises(OutputError):
        check_labels(project, tmp_path / "doubtful.csv")
    assert geopandas.read_file(tmp_path / "fields.gpkg")["crop"].tolist() == ["maize", "wheat"]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    fields = geopandas.GeoDataFrame(
        {"culture": ["maize"]}, geometry=[box(500_000, 5_200_000, 500_100, 5_200_100)], crs="EPSG:32631"
    )
    fields.to_file(tmp_path / "fields.gpkg")
    (tmp_path / "agrifm.toml").write_text(
        "[season]\narea = [2.9, 46.9, 3.1, 47.1]\nstart = 2024-01-01\nend = 2024-12-31\n[imagery]\n"
        'catalog = "catalog.json"\nproducts = ["sentinel-2-l2a"]\n[labels]\nfile = "fields.gpkg"\n'
    )
    with pytest.raises(LabelError) as error:
        check_labels(read_project(tmp_path), tmp_path / "doubtful.gpkg")
    assert error.value.facts["columns"] == ["culture"]


@pytest.mark.check
def test_wrong_labels_of_a_divided_area_are_found(tmp_path: Path) -> None:
    project = labelled_tiles(tmp_path)
    labels = geopandas.read_file(tmp_path / "labels.gpkg")
    wrong = [14, 69]
    labels.loc[wrong, "crop"] = [CROPS[1 - CROPS.index(crop)] for crop in labels.loc[wrong, "crop"]]
    labels.to_file(tmp_path / "labels.gpkg")
    check_labels(project, tmp_path / "doubtful.gpkg")
    found = geopandas.read_file(tmp_path / "doubtful.gpkg")
    found = found[found["kind"] == "label"].head(2)
    near = [labels.index[labels.contains(place)].tolist() for place in found.geometry]
    assert sorted(near) == [[one] for one in wrong]
