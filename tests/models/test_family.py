"""Any network of a family is trained, scored, mapped and exported by the same code."""

import importlib.util
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import rasterio
from tests.toy import SIDE, toy_project

from agrifm.cube.store import open_cube
from agrifm.errors import ConfigError, ModelError
from agrifm.grid import Window
from agrifm.inference.predictor import TorchModel, load_model
from agrifm.mapping.run import map_project
from agrifm.models.export import export
from agrifm.models.family import FAMILIES, family_of
from agrifm.models.tempcnn import TempCNN
from agrifm.record import FamilyName
from agrifm.samples.patches import read_patch
from agrifm.train.run import train


def test_every_family_that_can_be_named_in_a_project_is_known() -> None:
    assert set(FAMILIES) == {*get_args(FamilyName)} - {"random-forest"}


def test_an_unknown_family_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ModelError, match="'tempcnn'") as caught:
        family_of("tempcn", "reading the model m.safetensors")
    assert caught.value.facts == {"family": "tempcn"}


def test_another_family_is_trained_scored_mapped_and_exported(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs agrifm[export]")
    pytest.importorskip("onnxruntime", reason="needs agrifm[export]")
    project = toy_project(tmp_path, steps=60, names='"tempcnn"')
    scores = train(project)["models"]["tempcnn"]
    assert scores["overall_accuracy"] > 0.9  # each class has its spectrum
    path = project.models / "tempcnn.safetensors"
    model = load_model(path)
    assert isinstance(model, TorchModel)
    assert isinstance(model.classifier.network, TempCNN)
    assert (model.record.family, model.record.name) == ("tempcnn", "tempcnn")

    cube = open_cube(project.cube)
    summary = map_project(project, path)
    window = Window(0, 0, SIDE // 2, SIDE // 2)
    sample = read_patch(cube, window, model.record.sensors, cube.season.steps(model.record.frames))
    probabilities = model.probabilities(sample)
    with rasterio.open(summary.path / "classes.tif") as classes:
        mapped = classes.read(1)[window.slices]
    known = mapped != 255
    assert known.any()
    assert np.array_equal(mapped[known], probabilities.argmax(axis=0)[known])

    export(path, tmp_path / "tempcnn.onnx", side=window.width)
    exported = load_model(tmp_path / "tempcnn.onnx")
    assert exported.record == model.record
    assert np.abs(exported.probabilities(sample) - probabilities).max() <= 1e-5


@pytest.mark.parametrize("module", ["lightning", "skops"])
def test_a_missing_package_is_refused_before_any_model_is_trained(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = toy_project(tmp_path, names='"tempcnn", "random-forest"')
    installed = importlib.util.find_spec
    monkeypatch.setattr("agrifm.errors.find_spec", lambda name: None if name == module else installed(name))
    with pytest.raises(ModelError) as caught:
        train(project)
    assert caught.value.facts == {"package": module}
    assert not [*project.models.glob("*.safetensors"), *project.models.glob("*.skops")]


def test_a_family_that_needs_equal_steps_refuses_other_series(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='"interpolated"'):
        toy_project(tmp_path, names='"tempcnn"', more='series = "observed"')
    with pytest.raises(ModelError) as caught:
        FAMILIES["tempcnn"].preset("tiny", [], classes=2, frames=4, series="composites", season_days=90)
    assert caught.value.facts == {"series": "composites"}
