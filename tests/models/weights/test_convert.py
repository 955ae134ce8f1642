"""Public weights to safetensors with a record, and back: every name, number and type as it was."""

import os
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.models.weights.weight_files import NAMES, WINDOW, encoders, loaded, weight_files

from agrifm.errors import ModelError, OutputError
from agrifm.files import write_bytes
from agrifm.models.weights import convert
from agrifm.models.weights.convert import RECIPE_MEAN, convert_weights, parse_band_orders
from agrifm.models.weights.file import WeightsRecord, load_network
from agrifm.models.weights.inspect import inspect_weights

WITHOUT_RECORD = [name for name in NAMES if name != "trained.safetensors"]


def record_of(path: Path) -> WeightsRecord:
    record = inspect_weights(path).record
    assert isinstance(record, WeightsRecord)
    return record


@pytest.mark.parametrize("name", WITHOUT_RECORD)
def test_there_and_back_is_exact(name: str, tmp_path: Path) -> None:
    file = weight_files()[name]
    source, between, back = file.write(tmp_path), tmp_path / "between.safetensors", tmp_path / "back.pth"
    convert_weights(source, between, ["by-number"], WINDOW.get(name))
    convert_weights(between, back)
    found = torch.load(back, weights_only=True)
    found = found[file.wrapper] if file.wrapper else found
    assert found.keys() == file.state.keys()
    for key, tensor in file.state.items():
        assert found[key].dtype == tensor.dtype, key
        assert torch.equal(found[key], tensor), key


@pytest.mark.parametrize("name", WITHOUT_RECORD)
def test_converted_weights_are_those_of_the_file(name: str, tmp_path: Path) -> None:
    file = weight_files()[name]
    source, target = file.write(tmp_path), tmp_path / "converted.safetensors"
    convert_weights(source, target, ["by-number"], WINDOW.get(name))
    one, other = inspect_weights(source, WINDOW.get(name)), inspect_weights(target)
    assert one.config.model_dump() == other.config.model_dump()
    state = loaded(other).encoders.state_dict()
    assert all(torch.equal(tensor, state[key]) for key, tensor in loaded(one).encoders.state_dict().items())
    assert one.complete == other.complete


def test_a_kernel_without_frames_comes_back_without(tmp_path: Path) -> None:
    file = weight_files()["one_source.pth"]
    kernel = "encoder.S2_patch_emd.weights"
    source = file.write(tmp_path, state={**file.state, kernel: file.state[kernel][:, :, 0].clone()})
    convert_weights(source, tmp_path / "a.safetensors", ["by-number"])
    convert_weights(tmp_path / "a.safetensors", tmp_path / "b.pth")
    assert torch.equal(torch.load(tmp_path / "b.pth", weights_only=True)[kernel], file.state[kernel][:, :, 0])


def test_a_trained_model_gets_the_names_of_the_public_code(tmp_path: Path) -> None:
    file = weight_files()["trained.safetensors"]
    source = file.write(tmp_path)
    convert_weights(source, tmp_path / "public.pth")
    found = torch.load(tmp_path / "public.pth", weights_only=True)
    public = encoders(file.network)
    public = {
        name.replace(".sentinel-2.", ".S2.").replace(".landsat.", ".HLSL30."): one for name, one in public.items()
    }
    assert {name for name in found if name.startswith("encoders.")} == set(public)
    assert all(torch.equal(found[name], tensor) for name, tensor in public.items())


def test_the_record_states_bands_origin_and_what_was_taken(tmp_path: Path) -> None:
    path = weight_files()["distributed.pth"].write(tmp_path)
    lines = convert_weights(path, tmp_path / "a.safetensors", ["10m-first", "landsat=B07,B06,B05,B04,B03,B02"])
    record = record_of(tmp_path / "a.safetensors")
    bands = {sensor.sensor: sensor.bands for sensor in record.sensors}
    assert bands["sentinel-2"] == ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B8A", "B11", "B12")
    assert bands["landsat"] == ("B07", "B06", "B05", "B04", "B03", "B02")
    assert bands["modis"] == ("B01", "B02", "B03", "B04", "B05", "B06", "B07")
    assert record.origin.file == "distributed.pth"
    assert any("as stated" in line and "B07, B06" in line for line in lines)
    assert "the order of bands is as stated when the weights were converted" in record.notes


def test_published_statistics_go_by_name_of_band(tmp_path: Path) -> None:
    """The near infrared is the fourth of the published means, whatever the order of the kernel."""
    path = weight_files()["one_source.pth"].write(tmp_path)
    for number, order in enumerate(("10m-first", "by-number")):
        convert_weights(path, tmp_path / f"{number}.safetensors", [order])
        (sensor,) = record_of(tmp_path / f"{number}.safetensors").sensors
        assert sensor.mean is not None
        assert sensor.mean[sensor.bands.index("B08")] == pytest.approx(0.5207452475)
        assert sorted(sensor.mean) == pytest.approx(sorted(mean * 1e-4 for mean in RECIPE_MEAN))


def test_the_order_of_bands_must_be_stated_and_be_right(tmp_path: Path) -> None:
    path = weight_files()["distributed.pth"].write(tmp_path)
    target = tmp_path / "a.safetensors"
    for stated, said in (
        ([], "--bands sentinel-2=B02,B03"),
        (["sentinel-2=10m-first"], "--bands landsat=B02"),
        (["by-number", "modis=B01,B02"], "modis has 7 bands.* 2 "),
        (["by-number", "landsat=B02,B03,B04,B05,B06,B06"], "landsat has 6 bands.* 5 "),
        (["by-number", "landsat=B02,B03,B04,B05,B06,B09"], "'B09'.*B02"),
        (["by-number", "sentinel-1=VV"], "sentinel-1.*sentinel-2, landsat"),
    ):
        with pytest.raises(ModelError, match=said):
            convert_weights(path, target, stated)
        assert not target.exists()


def test_bands_of_an_unknown_sensor_cannot_be_recorded() -> None:
    with pytest.raises(ModelError, match="drone"):
        parse_band_orders(["drone=a,b"], {"drone": 2}, "converting")


def test_nothing_is_overwritten_and_other_suffixes_are_refused(tmp_path: Path) -> None:
    path = weight_files()["one_source.pth"].write(tmp_path)
    with pytest.raises(OutputError) as error:
        convert_weights(path, path.with_suffix(".pth"))
    assert error.value.facts["path"] == path
    with pytest.raises(ModelError, match=r"a\.onnx"):
        convert_weights(path, tmp_path / "a.onnx", ["by-number"])
    convert_weights(path, tmp_path / "a.safetensors", ["by-number"])
    with pytest.raises(ModelError, match="with a record"):
        convert_weights(tmp_path / "a.safetensors", tmp_path / "b.safetensors", ["by-number"])
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.safetensors", "one_source.pth"]


def test_a_second_conversion_to_one_file_is_refused_and_the_first_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = weight_files()["one_source.pth"].write(tmp_path), tmp_path / "a.safetensors"
    refused: list[OutputError] = []

    def second() -> None:
        try:
            convert_weights(source, target, ["10m-first"])
        except OutputError as error:
            refused.append(error)

    def written_meanwhile(path: Path, content: bytes) -> None:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(convert, "write_bytes", written_meanwhile)
        convert_weights(source, target, ["by-number"])
    assert [error.facts["pid"] for error in refused] == [os.getpid()]
    assert record_of(target).sensors[0].bands[3] == "B05"  # of the first, by number; 10 m first would be B08
    second()  # the first has ended
    assert refused[1].facts["path"] == target
    assert record_of(target).sensors[0].bands[3] == "B05"


def test_converted_weights_draw_no_map(tmp_path: Path) -> None:
    convert_weights(weight_files()["one_source.pth"].write(tmp_path), tmp_path / "a.safetensors", ["by-number"])
    with pytest.raises(ModelError, match="converted weights"):
        load_network(tmp_path / "a.safetensors")
    assert len(load_file(tmp_path / "a.safetensors")) == len(inspect_weights(tmp_path / "a.safetensors").tensors)
