"""What IPython shows of cubes, models and maps when the extension is loaded."""

import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from agrifm import notebook
from agrifm.cube.store import open_cube
from agrifm.inference.predictor import load_model
from agrifm.mapping.run import MapSummary
from agrifm.pictures import rgba_png
from tests.models.exported_networks import save_network
from tests.toy import CLASSES, toy_project


@pytest.fixture
def shell(monkeypatch, tmp_path):
    """An IPython shell with the extension."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    found = InteractiveShell(config=config)
    assert found.run_cell("%load_ext agrifm.notebook").success
    return found


def html_of(shell, thing):
    return shell.display_formatter.format(thing)[0]["text/html"]


def picture_in(html):
    return imread(BytesIO(b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', html)[1])))


def test_a_cube_is_its_coverage_and_its_record(shell, tmp_path, monkeypatch):
    cube = open_cube(toy_project(tmp_path / "toy").cube)
    html = html_of(shell, cube)
    assert picture_in(html).std() > 0.05  # it is not blank
    assert "2024-04-01" in html
    assert "B04, B08" in html
    monkeypatch.setattr(notebook, "MOST_MASKS", 9 * 192 * 192)  # fewer than the masks of both sensors
    assert "<img" not in html_of(shell, cube)


def test_a_model_says_what_it_expects(shell, tmp_path):
    pytest.importorskip("torch")
    model = load_model(save_network(tmp_path / "agrifm.safetensors", "observed"))
    html = html_of(shell, model)
    assert all(code in html for code in (*CLASSES, "sentinel-2", "landsat", "observed"))
    assert all(entry.color in html for entry in model.record.legend.classes)


def test_a_map_is_its_picture_with_hectares_and_names_are_text(shell, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 4), dtype=np.uint8)
    (tmp_path / "map.png").write_bytes(rgba_png(pixels))
    hectares = {"<b>wheat</b>": 12.34, "maize": 1234.5}
    html = html_of(shell, MapSummary(tmp_path, hectares, 0.0, 1, 1.0, trust=("37 % are certain",)))
    np.testing.assert_array_equal(np.rint(picture_in(html) * 255), pixels)
    assert "<b>wheat</b>" not in html
    assert html.index("1,234.5") < html.index("12.3")
    assert "37 % are certain" in html
    (tmp_path / "map.png").unlink()
    assert "<img" not in html_of(shell, MapSummary(tmp_path, hectares, 0.0, 1, 1.0))


def test_every_class_that_is_shown_exists():
    for module, name in notebook.DISPLAYS:
        if module == "agrifm.inference.onnx":
            pytest.importorskip("onnxruntime")
        assert isinstance(getattr(__import__(module, fromlist=[name]), name), type)
