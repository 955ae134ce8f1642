"""A map by onnxruntime alone is the map that PyTorch draws."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from tests.mapping.small_maps import make_cube, utm_grid
from tests.models.exported_networks import SEASON, SENSORS, save_network

from agrifm.cube.store import open_cube
from agrifm.errors import ModelError
from agrifm.grid import Window
from agrifm.inference.onnx import ExportedModel, graph_inputs
from agrifm.inference.predictor import graph_side, load_model, load_record
from agrifm.legend import Legend
from agrifm.mapping.run import map_area
from agrifm.models.agrifm.network import AgriFMConfig
from agrifm.models.export import export
from agrifm.models.family import FAMILIES
from agrifm.models.weights.file import load_network, save_model
from agrifm.models.yield_maps import with_yields
from agrifm.record import ModelRecord, SensorInput, Task
from agrifm.samples.patches import read_patch
from agrifm.samples.sample import Sample, Series
from agrifm.season import day_number
from agrifm.yields import YieldScale

for needed in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(needed, reason="needs agrifm[export]")
INPUTS = tuple(SensorInput(**sensor.model_dump(include=set(SensorInput.model_fields))) for sensor in SENSORS)
MAP = """\
import sys
from pathlib import Path
from agrifm.mapping.run import map_area
cube, model, out = map(Path, sys.argv[1:])
map_area(cube, model, out, window=48, overlap=0)
assert "torch" not in sys.modules
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A cube that lacks a sensor, a network on observed series, and the same as ONNX without that sensor, for one
    frame more than there are."""
    directory = tmp_path_factory.mktemp("exported")
    cube = make_cube(directory / "cube.zarr", utm_grid((1, 2)), INPUTS[:1], unseen=(slice(40, 48), slice(0, 10)))
    model, out = save_network(directory / "agrifm.safetensors", "observed"), directory / "agrifm.onnx"
    export(model, out, frames=4, side=48, without=["landsat"])
    return cube.path, model, out


@pytest.mark.check
def test_the_map_without_pytorch_is_the_map_with_it(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Series of three dates are filled up to the four of the graph, which is to change nothing but rounding."""
    cube, model, out = files
    map_area(cube, model, tmp_path / "pytorch", window=48, overlap=0)
    command = [sys.executable, "-c", MAP, str(cube), str(out), str(tmp_path / "onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    both = []
    for name in ("pytorch", "onnx"):
        with rasterio.open(tmp_path / name / "classes.tif") as classes:
            both.append(classes.read(1))
        with rasterio.open(tmp_path / name / "confidence.tif") as confidence:
            both.append(confidence.read(1).astype(int))
    classes, percent, own_classes, own_percent = both
    known = classes != 255
    assert 0 < known.mean() < 1
    assert np.array_equal(own_classes == 255, ~known)
    assert (own_classes == classes)[known].mean() > 0.999
    assert np.abs(own_percent - percent)[known].max() <= 1


@pytest.mark.check
def test_probabilities_of_a_filled_series_are_those_of_the_series(files: tuple[Path, Path, Path]) -> None:
    path, model, out = files
    cube, network, graph = open_cube(path), load_model(model), load_model(out)
    assert load_record(out) == graph.record
    assert graph.record.sensors == network.record.sensors[:1]
    steps = cube.season.steps(4)
    sample = read_patch(cube, Window(0, 48, 48, 48), SENSORS[:1], steps, "observed")
    assert len(sample.series["sentinel-2"].date) == 3
    assert np.abs(graph.probabilities(sample) - network.probabilities(sample)).max() <= 1e-4
    small = read_patch(cube, Window(0, 0, 48, 24), SENSORS[:1], steps, "observed")
    with pytest.raises(ModelError, match="48 pixels") as caught:
        graph.probabilities(small)
    assert caught.value.facts["input"] == "sentinel-2.image"
    longer = read_patch(cube, Window(0, 48, 48, 48), SENSORS[:1], cube.season.steps(5), "interpolated")
    with pytest.raises(ModelError, match="`--frames`") as caught:
        graph.probabilities(longer)
    assert caught.value.facts == {"sensor": "sentinel-2", "frames": 5}


SCALE = YieldScale(mean=5, std=1.5, highest=20, factor=1.6)


def save_numbers(path: Path, family: str, task: Task) -> Path:
    """A network of random weights that estimates yields of rice, or shares of three classes."""
    torch.manual_seed(1)
    sensors = (SENSORS[0].model_copy(update={"absent_bands": ()}),)
    of_yields = task == "yield"
    config = FAMILIES[family].preset("tiny", sensors, 2 if of_yields else 3, 4, "interpolated", 90)
    if isinstance(config, AgriFMConfig) and of_yields:
        config = with_yields(config, SCALE)
    network = FAMILIES[family].network(config)
    record = ModelRecord(
        name=family, family=family, architecture=config.model_dump(mode="json"), sensors=sensors, frames=4, side=24,
        series="interpolated", legend=Legend.of(["rice"] if of_yields else ["maize", "wheat", "other"]), season=SEASON,
        task=task, training={"yield": SCALE.model_dump()} if of_yields else {},
    )  # fmt: skip
    save_model(path, network, record)
    return path


@pytest.mark.parametrize("family", ["tempcnn", pytest.param("agrifm", marks=pytest.mark.check)])
@pytest.mark.parametrize("task", ["yield", pytest.param("fractions", marks=pytest.mark.check)])
def test_yields_and_shares_are_those_of_pytorch(tmp_path: Path, family: str, task: Task) -> None:
    """The graph has t/ha; a window of it is what the network predicts for a map."""
    path, out = save_numbers(tmp_path / f"{family}.safetensors", family, task), tmp_path / "network.onnx"
    lines = export(path, out)
    draw = np.random.default_rng(2)
    image = draw.uniform(0.02, 0.5, (4, 2, 24, 24)).astype(np.float32)
    dates = day_number(SEASON[0]) + np.array([0, 30, 60, 89], np.int32)
    series = Series(image, np.ones((4, 24, 24), bool), dates)
    sample = Sample({"sentinel-2": series}, np.zeros((24, 24), np.uint8), Window(0, 0, 24, 24), int(dates[0]))
    network, graph = load_model(path), load_model(out)
    wanted, found = network.probabilities(sample), graph.probabilities(sample)
    assert graph.record == network.record
    assert np.abs(found - wanted).max() <= 1e-5
    assert wanted.std() > 1e-4
    assert isinstance(graph, ExportedModel)
    raw = graph.session.run(None, graph_inputs([sample], graph.exported))[0][0]
    if task == "yield":
        assert any("t/ha" in line and "1.6 x spread" in line for line in lines)
        assert raw[0] == pytest.approx(20 * wanted[0], abs=1e-3)
    else:
        assert raw.sum(axis=0) == pytest.approx(1, abs=1e-5)


def test_boundaries_are_not_exported(tmp_path: Path) -> None:
    path = save_numbers(tmp_path / "tempcnn.safetensors", "tempcnn", "fractions")
    network, record = load_network(path)
    save_model(path, network, record.model_copy(update={"task": "boundaries"}))
    with pytest.raises(ModelError) as error:
        export(path, tmp_path / "network.onnx")
    assert error.value.facts["task"] == "boundaries"
    assert not (tmp_path / "network.onnx").exists()


def test_the_windows_of_a_graph_are_those_that_it_was_exported_with(files: tuple[Path, Path, Path]) -> None:
    _, model, out = files
    assert (graph_side(out), graph_side(model)) == (48, None)
