"""Weights and record in one file: exact both ways, anything else refused in a sentence."""

import json
from datetime import date
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from agrifm.errors import ModelError
from agrifm.legend import Legend
from agrifm.models.agrifm.network import AgriFM, preset
from agrifm.models.weights.file import RECORD_KEY, load_network, read_record, save_model
from agrifm.models.weights.inspect import inspect_weights
from agrifm.record import ModelRecord, SensorRecord


def make(classes: int = 3) -> tuple[AgriFM, ModelRecord]:
    torch.manual_seed(0)
    network = AgriFM(preset("tiny", {"sentinel-2": 2}, classes))
    sensor = SensorRecord(
        sensor="sentinel-2",
        bands=("B04", "B08"),
        quantity="surface reflectance",
        scale=1e-4,
        resolution=10,
        mean=(0.1, 0.2),
        std=(1, 1),
    )
    record = ModelRecord(
        name="agrifm",
        architecture=network.config.model_dump(mode="json"),
        sensors=(sensor,),
        frames=5,
        side=48,
        legend=Legend.of(["a", "b", "c"]),
        season=(date(2024, 1, 1), date(2024, 6, 1)),
    )
    return network, record


def test_weights_and_record_come_back_exactly(tmp_path: Path) -> None:
    network, record = make()
    save_model(tmp_path / "m.safetensors", network, record)
    again, found = load_network(tmp_path / "m.safetensors")
    assert found == record
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    image = {"sentinel-2": torch.randn(1, 5, 2, 24, 24)}
    with torch.inference_mode():
        assert torch.equal(network.eval()(image), again(image))


def test_a_loaded_network_does_not_train_by_accident(tmp_path: Path) -> None:
    save_model(tmp_path / "m.safetensors", *make())
    network, _ = load_network(tmp_path / "m.safetensors")
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_weights_that_are_not_those_of_the_record_are_refused(tmp_path: Path) -> None:
    network, record = make(classes=3)
    save_model(tmp_path / "m.safetensors", network, record)
    state = load_file(tmp_path / "m.safetensors")
    del state["heads.head.0.bias"]
    save_file(state, tmp_path / "other.safetensors", metadata={RECORD_KEY: record.model_dump_json()})
    with pytest.raises(ModelError, match=r"heads\.head\.0\.bias"):
        load_network(tmp_path / "other.safetensors")


def test_weights_without_a_record_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match="no record"):
        read_record(tmp_path / "m.safetensors")


def test_a_record_with_unknown_keys_is_refused(tmp_path: Path) -> None:
    _, record = make()
    text = record.model_dump_json().replace('"frames"', '"farmes"')
    save_file({"x": torch.zeros(1)}, tmp_path / "m.safetensors", metadata={RECORD_KEY: text})
    with pytest.raises(ModelError, match="farmes"):
        read_record(tmp_path / "m.safetensors")


def test_truncated_absent_and_pickled_files_are_refused(tmp_path: Path) -> None:
    whole, cut, pickled = (tmp_path / f"{name}.safetensors" for name in ("whole", "cut", "pickled"))
    save_model(whole, *make())
    cut.write_bytes(whole.read_bytes()[:1000])
    torch.save({"x": torch.zeros(1)}, pickled)
    for path in (cut, pickled, tmp_path / "absent.safetensors"):
        with pytest.raises(ModelError, match=f"reading the model .*{path.name}"):
            load_network(path)


def older_record(**changes: object) -> tuple[AgriFM, str]:
    """A network, and its record with the options of the encoder and of the network that were removed since."""
    network, record = make()
    content = json.loads(record.model_dump_json())
    encoder = {"mean_frame_down": True, "positions": "reference", "resample_time": False}
    whole = {"gates": False, "feature_size": None, "out_size": None}
    content["architecture"] |= whole | {name: value for name, value in changes.items() if name in whole}
    content["architecture"]["encoder"] |= encoder | {n: value for n, value in changes.items() if n in encoder}
    return network, json.dumps(content)


def test_a_record_with_removed_options_at_their_neutral_values_loads(tmp_path: Path) -> None:
    network, record = older_record()
    path = tmp_path / "older.safetensors"
    save_file(network.state_dict(), path, metadata={RECORD_KEY: record})
    again, _ = load_network(path)
    assert all(torch.equal(again.state_dict()[name], one) for name, one in network.state_dict().items())


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("gates", True),
        ("out_size", [40, 36]),
        ("feature_size", [3, 3]),
        ("positions", "exact"),
        ("mean_frame_down", False),
        ("resample_time", True),
    ],
)
def test_a_record_that_uses_a_removed_option_is_refused(option: str, value: object, tmp_path: Path) -> None:
    network, record = older_record(**{option: value})
    path = tmp_path / "older.safetensors"
    save_file(network.state_dict(), path, metadata={RECORD_KEY: record})
    for read in (load_network, inspect_weights):
        with pytest.raises(ModelError, match=f"option `{option}`") as refused:
            read(path)
        assert "\n" not in str(refused.value)


def test_a_network_is_written_with_the_same_bytes_every_time(tmp_path: Path) -> None:
    """safetensors orders its metadata anew for every file."""
    found, made = set(), make()
    for number in range(12):
        path = tmp_path / f"{number}.safetensors"
        save_model(path, *made)
        found.add(path.read_bytes())
    assert len(found) == 1
    assert int.from_bytes(found.pop()[:8], "little") % 8 == 0


def test_numbers_that_were_changed_on_disk_are_refused(tmp_path: Path) -> None:
    made, path = make(), tmp_path / "network.safetensors"
    save_model(path, *made)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError) as error:
        load_network(path)
    assert len(error.value.facts["digest"]) == 64
