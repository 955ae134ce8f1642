"""Tasks of two classes through training, mapping and assessment."""

from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
import rasterio
from tests.toy import toy_project

from agrifm.assess.reference_data import read_scores, require_task_of_map
from agrifm.assess.report import assess
from agrifm.config import read_project
from agrifm.errors import AssessmentError, ModelError
from agrifm.inference.predictor import load_record
from agrifm.mapping.run import map_project
from agrifm.train.project import train_project
from agrifm.train.score_lines import describe_scores


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cropland")
    toy_project(directory, names='"logistic"', more='task = "cropland"')
    text = (directory / "agrifm.toml").read_text()
    (directory / "agrifm.toml").write_text(text.replace("[map]\n", '[map]\nmodel = "logistic"\n'))
    train_project(read_project(directory))
    map_project(read_project(directory))
    return directory


@pytest.fixture
def changed(mapped: Path) -> Callable[[str], Path]:
    """The same project with another task."""

    def change(task: str) -> Path:
        text = (mapped / "agrifm.toml").read_text().replace('task = "cropland"', task)
        file = mapped / "other.toml"
        file.write_text(text)
        return file

    return change


def test_the_scores_are_of_cropland_and_the_naive_rule_is_next_to_the_model(mapped: Path) -> None:
    scores = read_scores(mapped / "models" / "scores.json")
    assert list(scores["models"]) == ["logistic", "threshold"]
    for entry in scores["models"].values():
        ((hits, false), (missed, _)), one = entry["counts"], entry["one_class"]
        assert one["code"] == "cropland"
        assert one["f1"] == pytest.approx(2 * hits / (2 * hits + false + missed))
        assert one["iou"] == pytest.approx(hits / (hits + false + missed))
        assert one["precision"] == pytest.approx(hits / (hits + false))
        assert one["recall"] == pytest.approx(hits / (hits + missed))
        assert all(low <= one[key] <= high for key in ("f1", "iou") for low, high in [one[f"{key}_interval"]])
    assert "greenness" in scores["models"]["threshold"]["training"]["rule"]
    assert any("cropland: F1" in line for line in describe_scores(scores))


def test_the_model_the_map_and_its_item_state_the_task(mapped: Path) -> None:
    record = load_record(mapped / "models" / "logistic.skops")
    assert (record.task, record.legend.codes) == ("cropland", ("cropland", "other"))
    with rasterio.open(mapped / "map" / "classes.tif") as source:
        assert set(source.read(1).ravel().tolist()) - {255} == {0, 1}
    for item in (mapped / "map" / "item.json", mapped / "models" / "logistic.json"):
        assert '"agrifm:task": "cropland"' in item.read_text()


def test_labels_of_the_single_crops_assess_the_hectares_of_cropland(mapped: Path) -> None:
    """Every toy field is a reference, so the estimate is nearly the truth: 1.44 ha each of maize and wheat."""
    fields = geopandas.read_file(mapped / "labels.gpkg")
    fields.assign(label=fields["crop"], sampling="simple").to_file(mapped / "reference.gpkg")
    report = assess(mapped / "map" / "classes.tif", mapped / "reference.gpkg", "label", mapped / "report")
    area = {entry["code"]: entry["area_ha"] for entry in report["areas"]}
    assert set(area) == {"cropland", "other"}
    assert area["cropland"] == pytest.approx(1.44 * (fields["crop"] != "other").sum(), rel=0.02)
    page = (mapped / "report" / "report.html").read_text()
    assert all(text in page for text in ("Intersection over union", "threshold is the naive rule"))


@pytest.mark.parametrize("task", ["", 'task = "one-crop"\ncrop = "maize"'])
def test_a_model_and_a_map_of_another_task_are_refused(mapped: Path, changed: Callable[[str], Path], task: str) -> None:
    file = changed(task)
    before = (mapped / "map" / "classes.tif").read_bytes()
    with pytest.raises(ModelError) as of_model:
        map_project(read_project(file))
    with pytest.raises(AssessmentError) as of_map:
        require_task_of_map(file, mapped / "map" / "classes.tif")
    assert of_model.value.facts["task"] == of_map.value.facts["task"] == "cropland"
    assert (mapped / "map" / "classes.tif").read_bytes() == before
    require_task_of_map(mapped, mapped / "map" / "classes.tif")
    require_task_of_map(file, mapped / "elsewhere" / "classes.tif")
