"""`agrifm pretrain` on a small world of numbers: it learns, continues exactly, and its weights start a network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from agrifm.errors import ConfigError, LabelError, OutputError
from agrifm.models.agrifm.point_network import point_config
from agrifm.models.weights.file import load_network
from agrifm.record import SensorInput
from agrifm.samples.shards import NO_DAY, ShardEntry, ShardIndex, write_index, write_shard
from agrifm.sensors import SENSORS
from agrifm.train import fit as loop
from agrifm.train.initialise import initial_network, require_weights_of_points, with_statistics_of
from agrifm.train.pretrain import pretrain

SETTINGS = "averaging = 0.9\nsteps = 36\nbatch = 16\nlearning_rate = 0.006\nvalidation = 0.3\n"


def written(directory: Path, flip: bool = False, fractions: Any = None) -> Path:
    """Shards of two groups: one dark in the near infrared, one bright; crops of the second are sown on day 100."""
    rng = np.random.default_rng(0)
    directory.mkdir(parents=True)
    sensors = tuple(
        SensorInput(
            sensor=name,
            bands=SENSORS[name].band_names[:: -1 if flip and name == "modis" else 1],
            quantity="surface reflectance",
            scale=0.0001,
            resolution=10,
        )
        for name in ("sentinel-2", "modis")
    )
    entries = []
    for number in range(3):
        samples, frames = 30, 20
        bright = rng.random(samples) < 0.5
        arrays: dict[str, Any] = {
            "place": np.arange(samples, dtype=np.int32),
            "lon": np.zeros(samples, np.float32),
            "lat": np.zeros(samples, np.float32),
            "season_start": np.full(samples, 18_000, np.int32),
        }
        for sensor in sensors:
            name, bands = sensor.sensor, len(sensor.bands)
            values = 1500 + 300 * rng.standard_normal((samples, frames, bands)) + 1500 * bright[:, None, None]
            shares = np.stack([~bright, bright], axis=1).astype(np.float32) if fractions is None else fractions
            arrays |= {
                f"{name}.values": np.clip(values, 1, 9000).astype(np.int16),
                f"{name}.day": np.sort(rng.permutation(365)[:frames] + np.zeros((samples, 1)), axis=1).astype(np.int16),
                f"{name}.length": np.full(samples, frames, np.int16),
                f"{name}.fractions": shares,
                f"{name}.cover": bright.astype(np.uint8),
                f"{name}.sowing": np.where(bright, 100, NO_DAY).astype(np.int16),
                f"{name}.harvest": np.full(samples, NO_DAY, np.int16),
            }
        entries.append(ShardEntry(**write_shard(directory / f"{number}.safetensors", arrays)))
    index = ShardIndex(
        sensors=sensors,
        groups={"dark": "Dark", "bright": "Bright"},
        covers=("dark", "bright"),
        season_days=365,
        origin={"made": "for a test"},
        shards=tuple(entries),
    )
    write_index(directory, index)
    return directory


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretraining")
    written(folder / "shards")
    (folder / "pretrain.toml").write_text(SETTINGS)
    return folder


def test_the_errors_on_unseen_places_fall_and_the_record_says_so(project: Path):
    made = pretrain(project)
    errors = made.record.training["pretraining"]["validation"]
    # of two groups that are as frequent, guessing has an error of 1, a cross-entropy of ln 2
    assert errors["fractions"] < 0.5
    assert errors["cover"] < 0.5
    assert errors["days"] < 0.3  # in 90 days
    assert errors["reconstruction"] < 0.85  # the mean of both groups is 0.93 off
    assert made.record.absent_sensors == ("sentinel-2", "modis")
    assert [entry.code for entry in made.record.legend.classes] == ["dark", "bright"]
    network, record = load_network(made.path)
    assert record == made.record
    assert sum(parameter.numel() for parameter in network.parameters()) > 100_000
    again = pretrain(project)
    assert again.kept


def test_a_stopped_run_ends_as_an_uninterrupted_one(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = SETTINGS.replace("36", "6") + f'shards = "{project / "shards"}"\n'
    monkeypatch.setattr(loop, "MAX_ROUND_STEPS", 2)
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pretrain.toml").write_text(settings)
    whole = pretrain(tmp_path / "whole")
    calls, taught = [], loop.TrainingModule.training_step

    def stop(module: loop.TrainingModule, batch: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return taught(module, batch)

    with monkeypatch.context() as patched:
        patched.setattr(loop.TrainingModule, "training_step", stop)
        with pytest.raises(BaseException):  # noqa: B017, PT011 Lightning ends the process in its own way
            pretrain(tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "pretrained.safetensors").exists()
    continued = pretrain(tmp_path / "stopped")
    for name, tensor in load_file(whole.path).items():
        assert torch.equal(tensor, load_file(continued.path)[name]), name
    assert continued.record.training["steps"] == 6


def test_shards_of_another_band_order_are_refused(tmp_path: Path):
    written(tmp_path / "shards", flip=True)
    (tmp_path / "pretrain.toml").write_text(SETTINGS)
    with pytest.raises(LabelError) as error:
        pretrain(tmp_path)
    assert error.value.facts["sensor"] == "modis"
    assert error.value.facts["field"] == "bands"
    assert not (tmp_path / "pretrained.safetensors").exists()


def test_a_damaged_shard_is_left_out_and_named(project: Path, tmp_path: Path):
    written(tmp_path / "shards")
    (tmp_path / "shards" / "1.safetensors").write_bytes(b"cut")
    (tmp_path / "pretrain.toml").write_text(SETTINGS.replace("36", "2"))
    made = pretrain(tmp_path)
    assert "1.safetensors" in made.notes[0]
    assert made.record.training["pretraining"]["damaged"] == ["1.safetensors"]
    assert made.record.training["pretraining"]["samples"] == 30


def test_a_file_that_pretraining_did_not_write_is_kept(project: Path, tmp_path: Path):
    (tmp_path / "pretrained.safetensors").write_bytes(b"of somebody else")
    (tmp_path / "pretrain.toml").write_text(SETTINGS + f'shards = "{project / "shards"}"\n')
    with pytest.raises(OutputError):
        pretrain(tmp_path)
    assert (tmp_path / "pretrained.safetensors").read_bytes() == b"of somebody else"


def test_a_single_shard_cannot_be_trained_and_validated_on(tmp_path: Path):
    shards = written(tmp_path / "shards")
    for number in (1, 2):
        (shards / f"{number}.safetensors").unlink()
    (tmp_path / "pretrain.toml").write_text(SETTINGS)
    with pytest.raises(ConfigError) as error:
        pretrain(tmp_path)
    assert error.value.facts["shards"] == 1


def test_a_network_of_points_starts_from_pretrained_weights(project: Path):
    """It takes the bands that it has, by name, the decoder without the last layer, and the statistics."""
    weights = pretrain(project).path
    require_weights_of_points(weights)
    pretrained, record = load_network(weights)
    known, bands = record.sensors[0], ("B08", "B04")
    ours = known.model_copy(update={"bands": bands, "mean": (0.5, 0.5), "std": (1.0, 1.0)})
    (sensor,) = with_statistics_of(weights, [ours])
    rows = [known.bands.index(band) for band in bands]
    assert sensor.mean == tuple(known.mean[row] for row in rows)
    assert sensor.std == tuple(known.std[row] for row in rows)
    torch.manual_seed(1)
    network, start = initial_network(weights, point_config([sensor], 5, 24, 200), [sensor])
    theirs, state = pretrained.state_dict(), network.state_dict()
    detail = "decoder.detail.sentinel-2.weight"
    for name, tensor in state.items():
        if name.endswith("bands.weight") or name.startswith(("decoder.head", "tasks.")) or name not in theirs:
            continue
        if name.endswith("patch_emd.proj.weight"):
            assert torch.equal(tensor, theirs[name][:, rows]), name
        elif name == detail:
            assert torch.equal(tensor.view(128, 24, 2), theirs[name].view(128, 24, 10)[:, :, rows])
        else:
            assert torch.equal(tensor, theirs[name]), name
    assert state["decoder.head.weight"].shape[0] == 5
    assert any("B02" in note for note in start["start"]["notes"])
