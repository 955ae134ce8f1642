"""Exported graphs give what PyTorch gives, say what they are, and refuse in one sentence what they are not for."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.exported_networks import FRAMES, SENSORS, SIDE, save_network

from agrifm.calibration import Calibration, Curve, calibrated
from agrifm.cli import main
from agrifm.errors import ModelError, OutputError
from agrifm.models.classifier import Classifier
from agrifm.models.export import ExportedNetwork, calibrated_tensor, example_inputs, export
from agrifm.models.export_record import EXPORT_KEY, read_export_record, start_session
from agrifm.models.weights.checkpoint import file_digest
from agrifm.models.weights.file import load_network, save_model
from agrifm.record import SeriesKind

CURVE = Curve(probability=(0.2, 0.7), calibrated=(0, 1))
onnx = pytest.importorskip("onnx", reason="needs agrifm[export]")
pytest.importorskip("onnxscript", reason="needs agrifm[export]")
pytest.importorskip("onnxruntime", reason="needs agrifm[export]")


def expected(model: Path, inputs: dict[str, torch.Tensor]) -> np.ndarray:
    """What the fast path of the network gives in PyTorch, the one that maps are made with."""
    network, record = load_network(model)
    fast = ExportedNetwork(Classifier(network, record.sensors, record.series))
    with torch.inference_mode():
        return fast(inputs).numpy()


def by_onnxruntime(out: Path, inputs: dict[str, torch.Tensor]) -> np.ndarray:
    return start_session(out, threads=1).run(None, {name: one.numpy() for name, one in inputs.items()})[0]


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.check)], ids=["one", "two"])
def composites(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """A network on composites of one or two sensors, with dates and absent bands, and its ONNX file."""
    directory = tmp_path_factory.mktemp("composites")
    model = save_network(directory / "agrifm.safetensors", "composites", SENSORS[: request.param])
    out = directory / "agrifm.onnx"
    export(model, out)
    return model, out


@pytest.mark.parametrize("samples", [1, 3])
def test_onnxruntime_agrees_with_pytorch_on_inputs_not_traced_with(composites: tuple[Path, Path], samples: int) -> None:
    model, out = composites
    inputs = example_inputs(read_export_record(out), samples, seed=7 + samples)
    wanted = expected(model, inputs)
    found = by_onnxruntime(out, inputs)
    assert found.shape == (samples, 3, SIDE, SIDE)
    assert np.abs(found - wanted).max() <= 1e-4
    assert wanted.std() > 0.01  # there is something to agree on


CALIBRATIONS = [
    Calibration(kind="temperature", temperature=1.7),
    Calibration(kind="vector", scale=(0.6, 1.2, 1), offset=(0.3, 0, -0.7)),
    Calibration(kind="isotonic", curves=(Curve(probability=(0.1, 0.3, 0.8), calibrated=(0.05, 0.4, 0.9)), None, CURVE)),
]


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=lambda one: one.kind)
def test_a_graph_calibrates_as_everything_else_does(calibration: Calibration) -> None:
    values = np.random.default_rng(0).dirichlet(np.ones(3), (2, 4, 5)).transpose(0, 3, 1, 2).astype(np.float32)
    found = calibrated_tensor(calibration, torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(found, calibrated(calibration, values, axis=1), atol=1e-5)


@pytest.mark.check
@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=lambda one: one.kind)
def test_an_exported_network_is_calibrated_once(calibration: Calibration, tmp_path: Path) -> None:
    network, record = load_network(save_network(tmp_path / "plain.safetensors", "composites"))
    path, out = tmp_path / "agrifm.safetensors", tmp_path / "agrifm.onnx"
    save_model(path, network, record.model_copy(update={"calibration": calibration}))
    export(path, out)
    stored = read_export_record(out)
    assert stored.calibrated
    assert stored.effective_record.calibration is None
    inputs = example_inputs(stored, 2, seed=3)
    wanted = calibrated(calibration, expected(path, inputs), axis=1)
    assert np.abs(by_onnxruntime(out, inputs) - wanted).max() <= 1e-4


def test_dates_gaps_and_absent_bands_matter_and_numbers_in_gaps_do_not(composites: tuple[Path, Path]) -> None:
    _, out = composites
    inputs = example_inputs(read_export_record(out), 1, seed=2)
    usual = by_onnxruntime(out, inputs)
    image, valid = inputs["sentinel-2.image"], inputs["sentinel-2.valid"]
    hidden = torch.where(valid[:, :, None], image, torch.full((), 1e6))
    assert np.array_equal(by_onnxruntime(out, {**inputs, "sentinel-2.image": hidden}), usual)
    for name, other in (
        ("sentinel-2.valid", ~valid),
        *((day, inputs[day] + 40) for day in inputs if day.endswith(".day")),
        ("first_day", inputs["first_day"] + 90),
        ("sentinel-2.absent", ~inputs["sentinel-2.absent"]),
    ):
        assert np.abs(by_onnxruntime(out, {**inputs, name: other}) - usual).max() > 1e-4, name


def test_the_record_in_the_file_says_what_the_graph_is(composites: tuple[Path, Path]) -> None:
    model, out = composites
    record = read_export_record(out)
    assert record.model == load_network(model)[1]
    assert (record.weights, record.opset) == (file_digest(model), 20)
    proto = onnx.load(out)
    onnx.checker.check_model(proto)
    assert [entry.version for entry in proto.opset_import if entry.domain == ""] == [record.opset]
    for note, tensor in zip((*record.inputs, record.output), (*proto.graph.input, *proto.graph.output), strict=True):
        kind = tensor.type.tensor_type
        lengths = tuple(one.dim_value or "batch" for one in kind.shape.dim)
        assert (tensor.name, lengths) == (note.name, note.axes)
        assert onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type) == np.dtype(note.dtype)


def test_the_record_is_read_without_pytorch(composites: tuple[Path, Path]) -> None:
    script = (
        "import sys; from pathlib import Path; from agrifm.models.export_record import read_export_record\n"
        f"record = read_export_record(Path({str(composites[1])!r}))\n"
        "print(record.side, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(SIDE), "False"]


@pytest.mark.check
def test_a_pt2_file_without_an_optional_sensor_agrees_with_pytorch(tmp_path: Path) -> None:
    model, out = save_network(tmp_path / "agrifm.safetensors", "interpolated"), tmp_path / "agrifm.pt2"
    lines = export(model, out, without=["landsat"])
    assert "without landsat" in lines
    record = read_export_record(out)
    assert [note.name for note in record.inputs] == ["sentinel-2.image", "sentinel-2.valid"]
    assert record.effective_record.absent_sensors == ()
    inputs = example_inputs(record, 3, seed=5)
    found = torch.export.load(out).module()(inputs).detach().numpy()
    assert np.abs(found - expected(model, inputs)).max() <= 1e-4
    assert export(model, out, without=["landsat"]) == lines  # its own file is replaced


@pytest.mark.check
@pytest.mark.parametrize("kind", ["interpolated", "observed"])
def test_other_series_and_other_windows_agree_too(tmp_path: Path, kind: SeriesKind) -> None:
    model, out = save_network(tmp_path / "agrifm.safetensors", kind), tmp_path / "agrifm.onnx"
    frames = 9 if kind == "observed" else None
    export(model, out, frames=frames, side=48)
    record = read_export_record(out)
    assert (record.frames, record.side) == (frames or FRAMES, 48)
    inputs = example_inputs(record, 3, seed=1)
    assert np.abs(by_onnxruntime(out, inputs) - expected(model, inputs)).max() <= 1e-4


TASK = {"tasks": {"yield": {"task": "embedding", "size": 4}}}


@pytest.mark.parametrize(
    ("kind", "changes", "arguments", "fact"),
    [
        ("interpolated", TASK, {}, "yield (embedding)"),
        ("interpolated", {}, {"without": ["modis"]}, "'modis'"),
        ("interpolated", {}, {"without": ["sentinel-2"]}, "'sentinel-2'"),
        ("interpolated", {}, {"side": 25}, "pixels of landsat"),
        ("interpolated", {}, {"frames": 5}, "4 frames, not 5"),
        ("observed", {}, {}, "`--frames`"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    tmp_path: Path, kind: SeriesKind, changes: dict[str, Any], arguments: dict[str, Any], fact: str
) -> None:
    model, out = save_network(tmp_path / "agrifm.safetensors", kind, **changes), tmp_path / "agrifm.onnx"
    with pytest.raises(ModelError) as caught:
        export(model, out, **arguments)
    assert fact in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agrifm.safetensors"]


def test_a_network_that_the_exporter_does_not_take_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("constraint\nviolated")

    model = save_network(tmp_path / "agrifm.safetensors", "interpolated")
    monkeypatch.setattr(torch.export, "export", refuse)
    with pytest.raises(ModelError, match="constraint violated"):
        export(model, tmp_path / "agrifm.pt2")
    assert not (tmp_path / "agrifm.pt2").exists()


def test_a_missing_package_is_named_with_the_extra_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = save_network(tmp_path / "agrifm.safetensors", "interpolated")
    for package, call in (
        ("onnxscript", lambda: export(model, tmp_path / "agrifm.onnx")),
        ("onnxruntime", lambda: read_export_record(tmp_path / "agrifm.onnx")),
    ):
        with monkeypatch.context() as context:
            context.setitem(sys.modules, package, None)
            with pytest.raises(ModelError, match=r"agrifm\[export\]") as error:
                call()
            assert error.value.facts["package"] == package


def test_files_that_are_not_ours_are_one_sentence(
    tmp_path: Path, composites: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    proto = onnx.load(composites[1])
    del proto.metadata_props[:]
    (tmp_path / "stranger.onnx").write_bytes(proto.SerializeToString())
    onnx.helper.set_model_props(proto, {EXPORT_KEY: "{}"})
    (tmp_path / "empty.onnx").write_bytes(proto.SerializeToString())
    (tmp_path / "damaged.onnx").write_bytes(composites[1].read_bytes()[:1000])
    (tmp_path / "damaged.pt2").write_bytes(b"no archive")
    with zipfile.ZipFile(tmp_path / "stranger.pt2", "w") as archive:
        archive.writestr("stranger/data/extra/notes", "none of ours")
    for name, fact in (
        ("stranger.onnx", "no record"),
        ("empty.onnx", "record is unusable"),
        ("damaged.onnx", "damaged"),
        ("absent.onnx", "does not exist"),
        ("damaged.pt2", "not a zip file"),
        ("stranger.pt2", "no record"),
        ("absent.pt2", "No such file"),
        ("agrifm.txt", ".onnx or .pt2"),
    ):
        with pytest.raises(ModelError, match=fact) as caught:
            read_export_record(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert main(["model", "export", str(tmp_path / "forest.skops"), str(tmp_path / "forest.onnx")]) == 2
    assert ".safetensors" in capsys.readouterr().err
    assert main(["model", "export", str(tmp_path / "a.safetensors"), str(tmp_path / "a.tflite")]) == 2
    assert ".onnx or .pt2" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mine.onnx", "mine.pt2"])
def test_a_file_of_others_is_not_replaced_by_an_export(tmp_path: Path, name: str) -> None:
    model, out = save_network(tmp_path / "agrifm.safetensors", "interpolated"), tmp_path / name
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("data/extra/notes", "none of ours")
    before = out.read_bytes()
    with pytest.raises(OutputError) as caught:
        export(model, out)
    assert caught.value.facts["path"] == out
    assert out.read_bytes() == before
