"""Weights in every naming are read whole: the shape from the tensors, the numbers exactly, everything accounted for."""

import copy
from pathlib import Path

import pytest
import torch
from tests.models.weights.weight_files import (
    ENCODER,
    NAMES,
    S2,
    WINDOW,
    encoders,
    loaded,
    network_of,
    save_other_family,
    weight_files,
)

from agrifm.errors import ModelError
from agrifm.models.agrifm.network import AgriFM
from agrifm.models.weights.inspect import describe_weights, inspect_weights, read_any_record
from agrifm.record import ModelRecord


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_is_read_from_the_tensors(name: str, tmp_path: Path) -> None:
    file = weight_files()[name]
    found = inspect_weights(file.write(tmp_path), WINDOW.get(name)).config
    made = file.network.config
    assert found.shared == made.shared
    assert {(one.name, one.channels, one.patch) for one in found.sources} == {
        (one.name, one.channels, one.patch) for one in made.sources
    }
    for field in ("embed_dim", "depths", "heads", "window", "mlp_ratio"):
        assert getattr(found.encoder, field) == getattr(made.encoder, field), field


@pytest.mark.parametrize("name", NAMES)
def test_loaded_encoders_compute_what_the_saved_ones_computed(name: str, tmp_path: Path) -> None:
    file = weight_files()[name]
    again = loaded(inspect_weights(file.write(tmp_path), WINDOW.get(name))).encoders
    wanted = copy.deepcopy(file.network).half().float() if name == "half.pth" else file.network
    torch.manual_seed(1)
    images = {one.name: torch.randn(1, 8, one.channels, 16, 16) for one in file.network.config.sources}
    with torch.inference_mode():
        for source, features in wanted.encoders(images).items():
            if wanted.config.encoder.fusion == "mean" and not wanted.config.encoder.attended_skips:
                other = again(images)[source]
                assert torch.equal(other.encoder_features, features.encoder_features)
                assert all(map(torch.equal, other.features_list, features.features_list))
    state = wanted.encoders.state_dict()
    assert again.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[key]) for key, tensor in again.state_dict().items())


@pytest.mark.parametrize("name", ["training.pth", "parallel.pt", "trained.safetensors"])
def test_a_whole_network_gives_the_same_scores(name: str, tmp_path: Path) -> None:
    file = weight_files()[name]
    found = inspect_weights(file.write(tmp_path))
    assert found.complete
    network = loaded(found)
    torch.manual_seed(2)
    frames = {"training.pth": 16, "parallel.pt": 8, "trained.safetensors": 5}[name]
    images = {
        one.name: torch.randn(1, frames, one.channels, 48 // one.pixel, 48 // one.pixel)
        for one in file.network.config.sources
    }
    with torch.inference_mode():
        assert torch.equal(network(images), file.network(images))


def test_time_steps_of_the_neck_say_how_time_is_fused(tmp_path: Path) -> None:
    cat = inspect_weights(weight_files()["training.pth"].write(tmp_path)).config
    assert (cat.encoder.fusion, cat.sources[0].frames, cat.encoder.downsample_steps) == ("cat", 16, (2, 2, 2))
    assert cat.classes == 3
    assert inspect_weights(weight_files()["parallel.pt"].write(tmp_path)).config.encoder.fusion == "mean"


def test_a_neck_that_joins_only_some_sources_is_left_out_and_said(tmp_path: Path) -> None:
    file = weight_files()["parallel.pt"]
    config = file.network.config.model_copy(update={"neck_levels": (("landsat",), ("sentinel-2",), ("sentinel-2",))})
    found = inspect_weights(file.write(tmp_path, state=AgriFM(config).state_dict(), wrapper=""))
    assert not found.complete
    assert "neck.fusion_list.0.0.weight" in found.report.unused
    assert any("left out" in note for note in found.notes)


def test_every_tensor_is_accounted_for(tmp_path: Path) -> None:
    file = weight_files()["one_source.pth"]
    state = {**file.state, "teacher.weight": torch.zeros(2), "encoder.backbone.extra": torch.zeros(1)}
    path = file.write(tmp_path, state=state)
    report = inspect_weights(path).report
    assert report.unused == ("teacher.weight", "encoder.backbone.extra")
    indices = {name for name in state if name.endswith("relative_position_index")}
    assert set(report.loaded) | set(report.unused) | indices == set(state)
    assert not report.missing
    assert not report.reshaped


def test_a_kernel_without_frames_and_half_numbers_are_reported_as_reshaped(tmp_path: Path) -> None:
    still = network_of(S2.model_copy(update={"patch": (1, 4, 4)}))
    state = encoders(still)
    name = "encoders.encoders.sentinel-2.patch_emd.proj.weight"
    state[name] = state[name].squeeze(2)
    found = inspect_weights(weight_files()["one_source.pth"].write(tmp_path, state=state))
    assert found.config.sources[0].patch == (1, 4, 4)
    assert found.report.reshaped == (f"{name}: a kernel without frames, (8, 10, 4, 4) to (8, 10, 1, 4, 4)",)
    half = inspect_weights(weight_files()["half.pth"].write(tmp_path)).report.reshaped
    assert "encoder.backbone.norm.weight: float16 to float32, exactly" in half


def test_without_an_index_the_window_must_be_stated(tmp_path: Path) -> None:
    path = weight_files()["plain.safetensors"].write(tmp_path)
    with pytest.raises(ModelError, match=r"75 rows.*--window"):
        inspect_weights(path)
    with pytest.raises(ModelError, match=r"75 rows.*\(3, 3, 3\)"):
        inspect_weights(path, (3, 3, 3))
    assert any("as stated" in note for note in inspect_weights(path, (2, 3, 3)).notes)


def test_of_windows_with_as_many_rows_the_index_decides(tmp_path: Path) -> None:
    file = weight_files()["one_source.pth"]
    for window in ((3, 3, 2), (2, 3, 3)):
        network = AgriFM(
            file.network.config.model_copy(update={"encoder": ENCODER.model_copy(update={"window": window})})
        )
        assert inspect_weights(file.write(tmp_path, state=encoders(network))).config.encoder.window == window


def test_the_table_says_shape_naming_and_what_is_missing(tmp_path: Path) -> None:
    path = weight_files()["distributed.pth"].write(tmp_path)
    rows = dict(line.split("  ", 1) for line in describe_weights(inspect_weights(path)))
    table = {name.strip(): text.strip() for name, text in rows.items()}
    assert table["naming"] == "distributed weights"
    assert table["modis"].startswith("7 bands, patch 4 x 1 x 1")
    assert table["widths"] == "8, 16, 32, 64"
    assert table["heads"] == "1, 2, 2, 4"
    assert table["window"].startswith("2 x 3 x 3 tokens")
    assert table["decoder"] == "none"
    parameters = sum(one.numel() for one in weight_files()["distributed.pth"].network.encoders.parameters())
    assert table["parameters"] == f"{parameters:,}"
    record = describe_weights(inspect_weights(weight_files()["trained.safetensors"].write(tmp_path)))
    assert any("3 classes, season 2024-01-01 to 2024-06-01" in line for line in record)


def test_looking_builds_no_network(tmp_path: Path) -> None:
    path = weight_files()["training.pth"].write(tmp_path)
    built: list[torch.device] = []
    original = torch.nn.Module.register_parameter

    def watched(self: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:
        if parameter is not None:
            built.append(parameter.device)
        original(self, name, parameter)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Module, "register_parameter", watched)
        inspect_weights(path)
    assert {device.type for device in built} == {"meta"}


def test_a_network_of_another_family_has_a_record_but_is_not_inspected(tmp_path: Path) -> None:
    path = save_other_family(tmp_path / "tempcnn.safetensors")
    record = read_any_record(path)
    assert isinstance(record, ModelRecord)
    assert record.sensors[0].bands == ("B04", "B08")
    with pytest.raises(ModelError) as refused:
        inspect_weights(path)
    assert refused.value.facts == {"family": "tempcnn"}
