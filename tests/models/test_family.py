"""Any network of a family is trained, scored, mapped and exported by the same code."""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from einops import rearrange
from tests.toy import toy_project
from torch import Tensor, nn

from agrifm.cube.store import open_cube
from agrifm.errors import ConfigError, ModelError
from agrifm.grid import Window
from agrifm.inference.predictor import TorchModel, load_model
from agrifm.mapping.run import map_project
from agrifm.models.cost import IMAGE_COPIES, SeriesShape
from agrifm.models.export import export
from agrifm.models.family import FAMILIES, Family, family_of
from agrifm.record import TRAINABLE, SensorRecord, TrainableFamily, is_network
from agrifm.samples.patches import read_patch
from agrifm.train.run import train
from agrifm.validation import Frozen


class LstmConfig(Frozen):
    """The smallest family that CONTRIBUTING.md asks for: a config, a network, and one entry in two tables."""

    sensor: str
    bands: int
    classes: int
    width: int = 32


class Lstm(nn.Module):
    """An LSTM along the time of each pixel of the first sensor."""

    def __init__(self, config: LstmConfig) -> None:
        super().__init__()
        self.config = config
        self.recurrent = nn.LSTM(config.bands, config.width, batch_first=True)
        self.classify = nn.Linear(config.width, config.classes)

    def forward(self, images: Mapping[str, Tensor]) -> Tensor:
        series = images[self.config.sensor]
        samples, _, _, height, width = series.shape
        states, _ = self.recurrent(rearrange(series, "b t c h w -> (b h w) t c"))
        logits: Tensor = rearrange(self.classify(states[:, -1]), "(b h w) k -> b k h w", b=samples, h=height, w=width)
        return logits


def lstm_preset(name: str, sensors: Sequence[SensorRecord], classes: int, *_: object, **__: object) -> LstmConfig:
    return LstmConfig(sensor=sensors[0].sensor, bands=len(sensors[0].bands), classes=classes)


def lstm_activations(config: LstmConfig, inputs: Mapping[str, SeriesShape], training: bool, recomputed: bool) -> float:
    samples, frames, height, width = inputs[config.sensor]
    return samples * frames * height * width * (IMAGE_COPIES * config.bands + 8 * config.width)


LSTM = Family(LstmConfig, Lstm, lstm_preset, lambda config: config.width, lstm_activations)


BANDS = {"prithvi": ("B02", "B03", "B04", "B8A", "B11", "B12")}
"""Bands of Sentinel-2 that a network needs; others read any."""


def test_every_network_that_a_project_can_name_has_its_family() -> None:
    assert set(FAMILIES) == {name for name in TRAINABLE if is_network(name)}


def test_an_unknown_family_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ModelError, match="'tempcnn'") as caught:
        family_of("tempcn", "reading the model m.safetensors")
    assert caught.value.facts == {"family": "tempcn"}


@pytest.mark.check
@pytest.mark.parametrize("name", [*(name for name in FAMILIES if name != "agrifm"), "lstm"])
def test_another_family_is_trained_scored_mapped_and_exported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript", reason="needs agrifm[export]")
    pytest.importorskip("onnxruntime", reason="needs agrifm[export]")
    monkeypatch.setitem(TRAINABLE, "lstm", TrainableFamily("LSTM", ("interpolated",)))
    monkeypatch.setitem(FAMILIES, "lstm", LSTM)
    series = TRAINABLE[name].series[0]
    more = f'learning_rate = 1e-2\nseries = "{series}"'
    project = toy_project(tmp_path, 50, f'"{name}"', more=more, bands=BANDS.get(name, ("B04", "B08")))
    scores = train(project)["models"][name]
    assert scores["overall_accuracy"] > 0.9  # each class has its spectrum
    path = project.models / f"{name}.safetensors"
    model = load_model(path)
    assert isinstance(model, TorchModel)
    assert type(model.classifier.network) is FAMILIES[name].network
    assert (model.record.family, model.record.name) == (name, name)
    item = json.loads((project.models / f"{name}.json").read_text())
    assert item["properties"]["mlm:architecture"] == TRAINABLE[name].title

    cube = open_cube(project.cube)
    summary = map_project(project, path)
    window = Window(0, 0, model.record.side, model.record.side)  # as mapped: neighbours count in most networks
    sample = read_patch(cube, window, model.record.sensors, cube.season.steps(model.record.frames), model.record.series)
    probabilities = model.probabilities(sample)
    with rasterio.open(summary.path / "classes.tif") as classes:
        mapped = classes.read(1)[window.slices]
    known = mapped != 255
    assert known.any()
    assert np.array_equal(mapped[known], probabilities.argmax(axis=0)[known])

    export(path, tmp_path / "network.onnx", side=window.width)
    exported = load_model(tmp_path / "network.onnx")
    assert exported.record == model.record.model_copy(update={"calibration": None})  # it is inside the graph
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


def test_a_family_that_needs_equal_steps_refuses_other_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRAINABLE, "lstm", TrainableFamily("LSTM", ("composites", "observed")))
    with pytest.raises(ConfigError, match='"interpolated"'):
        toy_project(tmp_path, names='"agrifm", "tempcnn"', more='series = "observed"')
    with pytest.raises(ConfigError, match='"composites"'):
        toy_project(tmp_path / "other", names='"lstm"')


def test_initial_weights_need_agrifm_among_the_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRAINABLE, "lstm", TrainableFamily("LSTM"))
    with pytest.raises(ConfigError, match="`weights`"):
        toy_project(tmp_path, names='"lstm", "random-forest"', more='weights = "w.safetensors"')
    toy_project(tmp_path / "both", names='"lstm", "agrifm"', more='weights = "w.safetensors"')
