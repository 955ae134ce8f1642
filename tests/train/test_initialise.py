"""Initialisation from weights: the encoder by names of bands, everything else random and listed."""

import hashlib
from pathlib import Path

import pytest
import torch
from tests.models.weights.weight_files import WeightFile, encoders, weight_files
from tests.toy import toy_project

from agrifm.errors import ModelError
from agrifm.inference.predictor import load_record
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.models.weights.convert import convert_weights
from agrifm.record import SensorInput
from agrifm.sensors import SENSORS
from agrifm.train.initialise import initial_network
from agrifm.train.run import train
from agrifm.train.score_lines import describe_scores


def cube_sensor(name: str, *bands: str) -> SensorInput:
    sensor = SENSORS[name]
    return SensorInput(
        sensor=name, bands=bands, quantity="surface reflectance", scale=1e-4, resolution=sensor.resolution
    )


def shape_of(*sensors: SensorInput, name: str = "tiny", frames: int = 8) -> AgriFMConfig:
    return preset(name, {sensor.sensor: len(sensor.bands) for sensor in sensors}, 3, frames=frames)


def converted(file: WeightFile, directory: Path, bands: str = "10m-first") -> Path:
    target = directory / "weights.safetensors"
    convert_weights(file.write(directory), target, [bands])
    return target


def test_bands_go_by_name_and_the_encoder_has_the_shape_of_the_weights(tmp_path: Path) -> None:
    file = weight_files()["distributed.pth"]
    sensors = [cube_sensor("sentinel-2", "B08", "B03", "B12"), cube_sensor("landsat", *SENSORS["landsat"].band_names)]
    network, account = initial_network(converted(file, tmp_path), shape_of(*sensors), sensors)
    state = network.state_dict()
    kernel = file.state["encoder.S2_patch_emd.weights"]
    # 10 m first: B02, B03, B04, B08, B05, B06, B07, B8A, B11, B12
    assert torch.equal(state["encoders.encoders.sentinel-2.patch_emd.proj.weight"], kernel[:, [3, 1, 9]])
    assert torch.equal(
        state["encoders.encoders.landsat.patch_emd.proj.weight"], file.state["encoder.HLSL30_patch_emd.weights"]
    )
    backbone = {name: tensor for name, tensor in file.state.items() if name.startswith("encoder.backbone.")}
    assert len(backbone) > 50
    for name, tensor in backbone.items():
        assert torch.equal(state[name.replace("encoder.", "encoders.")], tensor), name
    assert network.config.pixel_decoder is not None
    notes = account["start"]["notes"]
    assert [note.partition(": ")[2] for note in notes] == ["B02, B04, B05, B06, B07, B8A, B11", "modis"]


def test_the_first_numbers_are_those_of_the_weights(tmp_path: Path) -> None:
    """With every band, in another order, the encoder gives the features of the file's own network."""
    file = weight_files()["one_source.pth"]
    bands = SENSORS["sentinel-2"].band_names
    network, account = initial_network(
        converted(file, tmp_path), shape_of(cube_sensor("sentinel-2", *bands)), [cube_sensor("sentinel-2", *bands)]
    )
    assert account["start"]["notes"] == []
    image = torch.randn(2, 8, 10, 16, 16)
    in_file_order = image[:, :, [0, 1, 2, 6, 3, 4, 5, 7, 8, 9]]
    with torch.inference_mode():
        found = network.eval().encoders({"sentinel-2": image})["sentinel-2"]
        wanted = file.network.encoders({"sentinel-2": in_file_order})["sentinel-2"]
    torch.testing.assert_close(found.encoder_features, wanted.encoder_features, rtol=1e-5, atol=1e-5)


def test_what_the_weights_lack_is_initialised_randomly_and_listed(tmp_path: Path) -> None:
    file = weight_files()["one_source.pth"]
    path = tmp_path / "weights.safetensors"
    nine = {**file.state, "encoder.S2_patch_emd.weights": file.state["encoder.S2_patch_emd.weights"][:, :9].clone()}
    convert_weights(
        file.write(tmp_path, state=nine), path, [f"sentinel-2={','.join(SENSORS['sentinel-2'].band_names[:9])}"]
    )
    sensors = [cube_sensor("sentinel-2", "B12", "B02"), cube_sensor("modis", "B01")]
    network, account = initial_network(path, shape_of(*sensors), sensors)
    kernel = network.state_dict()["encoders.encoders.sentinel-2.patch_emd.proj.weight"]
    assert torch.equal(kernel[:, 1], nine["encoder.S2_patch_emd.weights"][:, 0])
    assert kernel[:, 0].any()
    notes = account["start"]["notes"]
    assert sorted(note.split()[-1] for note in notes if "random" in note) == ["B12", "modis"]


def test_dates_that_the_weights_do_not_know_start_at_zero(tmp_path: Path) -> None:
    sensor = cube_sensor("sentinel-2", "B04", "B08")
    config = shape_of(sensor)
    config = config.model_copy(update={"encoder": config.encoder.model_copy(update={"dates": True, "validity": True})})
    network, account = initial_network(converted(weight_files()["one_source.pth"], tmp_path), config, [sensor])
    assert not network.state_dict()["encoders.encoders.sentinel-2.patch_emd.code.frames.weight"].any()
    assert any("zero" in note for note in account["start"]["notes"])


def test_dates_that_the_weights_know_are_kept_or_reported_as_unused(tmp_path: Path) -> None:
    sensor = cube_sensor("sentinel-2", *SENSORS["sentinel-2"].band_names)
    plain = shape_of(sensor)
    dated = plain.model_copy(update={"encoder": plain.encoder.model_copy(update={"dates": True, "validity": True})})
    file = weight_files()["one_source.pth"]
    encoder = file.network.config.encoder.model_copy(update={"dates": True, "validity": True})
    state = encoders(AgriFM(file.network.config.model_copy(update={"encoder": encoder})))
    name = "encoders.encoders.sentinel-2.patch_emd.code.frames.weight"
    state[name] = torch.randn(state[name].shape)
    convert_weights(file.write(tmp_path, state=state), tmp_path / "w.safetensors", ["by-number"])
    network, account = initial_network(tmp_path / "w.safetensors", dated, [sensor])
    assert torch.equal(network.state_dict()[name], state[name])
    assert account["start"]["notes"] == []
    _, account = initial_network(tmp_path / "w.safetensors", plain, [sensor])
    assert len(account["start"]["notes"]) == 1
    assert "dates" in account["start"]["notes"][0]


def test_the_released_decoder_gets_as_many_time_steps_from_longer_patches(tmp_path: Path) -> None:
    sensor = cube_sensor("sentinel-2", "B04", "B08")
    still = weight_files()["one_source.pth"]
    network, _ = initial_network(converted(still, tmp_path), shape_of(sensor, name="base", frames=32), [sensor])
    assert network.config.sources[0].frames == 32
    assert network.config.encoder.fusion == "cat"
    assert network.config.encoder.embed_dim == 8


def test_weights_without_a_record_or_of_other_sensors_are_refused(tmp_path: Path) -> None:
    file = weight_files()["one_source.pth"]
    modis = cube_sensor("modis", "B01")
    with pytest.raises(ModelError, match="agrifm model convert"):
        initial_network(file.write(tmp_path), shape_of(modis), [modis])
    with pytest.raises(ModelError) as error:
        initial_network(converted(file, tmp_path), shape_of(modis), [modis])
    assert error.value.facts == {"sensors": ("sentinel-2",)}


@pytest.mark.check
def test_training_starts_from_the_weights_and_records_them(tmp_path: Path) -> None:
    file = weight_files()["one_source.pth"]
    path = converted(file, tmp_path)
    project = toy_project(tmp_path, steps=1, more='weights = "weights.safetensors"')
    lines = describe_scores(train(project))
    record = load_record(tmp_path / "models" / "agrifm.safetensors")
    assert record.training["start"]["file"] == "weights.safetensors"
    assert record.training["start"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record.architecture["encoder"]["embed_dim"] == 8
    assert any("landsat" in line and "random" in line for line in lines)
    path.unlink()
    changed = {name: tensor * 2 if name.endswith("norm.weight") else tensor for name, tensor in file.state.items()}
    convert_weights(file.write(tmp_path, state=changed), path, ["10m-first"])
    train(project)
    again = load_record(tmp_path / "models" / "agrifm.safetensors").training
    assert again["fingerprint"] != record.training["fingerprint"], "other weights of the same name were not noticed"
