"""Training for field boundaries: what is written, kept and scored, and labels that cannot be used."""

import json

import geopandas
import numpy as np
import pytest
from shapely import Point
from tests.toy import toy_project

from agrifm.errors import LabelError, ModelError
from agrifm.inference.predictor import load_model
from agrifm.mapping.run import map_project
from agrifm.train.field_prediction import predict_whole
from agrifm.train.project import train_project
from agrifm.train.score_lines import describe_scores


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    more = 'task = "boundaries"'
    project = toy_project(tmp_path_factory.mktemp("toy"), steps=2, names='"agrifm", "classic"', more=more)
    train_project(project)
    return project


def test_networks_and_edges_are_scored_on_fields_of_unseen_blocks(project):
    scores = json.loads((project.models / "scores.json").read_text())
    assert {entry["reference"] for entry in scores["models"].values()} == {scores["fields"]["test"]}
    assert list(scores["models"]) == ["agrifm", "classic"]
    # squares of 12 pixels whose greenness differs: edges find most of their boundaries, two steps of training do not
    assert scores["models"]["classic"]["edges"] > 0.7 > scores["models"]["agrifm"]["edges"]
    assert len(describe_scores(scores)) == 2


def test_the_record_says_how_fields_grow(project):
    record = load_model(project.models / "agrifm.safetensors").record
    assert (record.task, record.legend.codes) == ("boundaries", ("field", "other"))
    assert set(record.training["segments"]) == {"extent", "boundary", "distance", "reach"}


def test_nothing_is_trained_again_without_a_change(project):
    again = train_project(project)
    assert (again["kept"], again["written"]) == (["agrifm"], [])


def test_a_map_has_fields_and_a_project_of_another_task_refuses_the_model(project):
    map_project(project)
    fields = geopandas.read_parquet(project.maps / "fields.parquet")
    assert (fields["metrics:area"] > 900).all()
    crops = project.model_copy(update={"model": project.model.model_copy(update={"task": "crop-type"})})
    with pytest.raises(ModelError) as error:
        map_project(crops)
    assert error.value.facts["task"] == "boundaries"


def test_labels_without_polygons_are_refused_before_anything_is_written(tmp_path):
    project = toy_project(tmp_path, more='task = "boundaries"')
    points = geopandas.GeoDataFrame({"crop": ["maize"]}, geometry=[Point(2.32, 46.92)], crs=4326)
    points.to_file(tmp_path / "labels.gpkg")
    with pytest.raises(LabelError, match=r"labels\.gpkg"):
        train_project(project)
    assert not project.models.exists()


def test_every_pixel_comes_from_the_middle_of_a_window():
    """Windows of 8 pixels: a pixel is at least 2 from the edge of its window, unless it is near the grid's edge."""

    def predict(window):
        rows, cols = np.indices((window.height, window.width))
        edge = np.minimum.reduce([rows, cols, window.height - 1 - rows, window.width - 1 - cols])
        return np.stack([edge, rows + window.row, cols + window.col])

    found = predict_whole(predict, (21, 30), 8)
    assert np.array_equal(found[1:], np.indices((21, 30)))
    assert found[0, 2:-2, 2:-2].min() >= 2
    assert predict_whole(lambda window: np.ones((3, window.height, window.width)), (5, 6), 8).sum() == 90
