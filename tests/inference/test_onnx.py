"""A map by onnxruntime alone is the map that PyTorch draws."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from tests.mapping.small_maps import make_cube, utm_grid
from tests.models.exported_networks import SENSORS, save_network

from agrifm.cube.store import open_cube
from agrifm.errors import ModelError
from agrifm.grid import Window
from agrifm.inference.predictor import load_model, load_record
from agrifm.mapping.run import map_area
from agrifm.models.export import export
from agrifm.record import SensorInput
from agrifm.samples.patches import read_patch

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
