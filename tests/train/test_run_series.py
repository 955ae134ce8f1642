"""Training on composites and observed series: learned, continued, mapped without a sensor; the classic model stays."""

import shutil
from pathlib import Path
from typing import Any

import pystac
import pytest
import torch
import zarr
from safetensors.torch import load_file
from tests.damage import cut, emptied, holed, lost, zeroed
from tests.toy import toy_project

from agrifm.errors import ConfigError
from agrifm.mapping.run import map_area
from agrifm.models.weights.file import read_record
from agrifm.train import fit
from agrifm.train.run import train

DROPOUT = "sensor_dropout = 0.5"


def without_landsat(cube: Path) -> None:
    """Take Landsat out of a toy cube."""
    root = zarr.open_group(cube)
    root.attrs["agrifm"] = {**root.attrs["agrifm"], "sensors": ["sentinel-2"]}


@pytest.fixture(scope="module")
def classic_alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Scores of the classic model of a project that says nothing about series."""
    scores = train(toy_project(tmp_path_factory.mktemp("classic"), names='"logistic"'))
    return scores["models"]["logistic"]


@pytest.mark.parametrize("kind", [pytest.param("composites", marks=pytest.mark.check), "observed"])
def test_a_toy_season_is_learned_and_mapped_without_a_sensor(
    tmp_path: Path, kind: str, classic_alone: dict[str, Any]
) -> None:
    project = toy_project(tmp_path, 8, '"agrifm", "logistic"', more=f'series = "{kind}"\n{DROPOUT}')
    scores = train(project)
    assert scores["models"]["agrifm"]["overall_accuracy"] > 0.8
    assert scores["majority_class"]["overall_accuracy"] < 0.6
    classic = scores["models"]["logistic"]
    # The record holds means of the network's series, so the fingerprint of the classic model's file differs.
    assert classic["training"].pop("fingerprint") != classic_alone["training"].get("fingerprint")
    assert classic == {**classic_alone, "training": classic["training"]}
    alone = {key: value for key, value in classic_alone["training"].items() if key != "fingerprint"}
    assert classic["training"] == alone
    record = read_record(project.models / "agrifm.safetensors")
    assert (record.series, record.absent_sensors) == (kind, ("landsat",))
    assert (record.architecture["encoder"]["dates"], record.architecture["season_days"]) == (True, 90)
    expected = pystac.Item.from_file(project.models / "agrifm.json").properties["mlm:input"][0]
    assert (expected["name"], expected["input"]["shape"][1]) == {
        "composites": ("composites", 4),
        "observed": ("observed series", -1),
    }[kind]
    without_landsat(project.cube)
    summary = map_area(project.cube, project.models / "agrifm.safetensors", project.maps, 96, 0)
    assert summary.absent_sensors == ("landsat",)
    assert summary.nodata_hectares < 1 < sum(summary.hectares.values())


@pytest.mark.check
def test_stopped_training_with_sensor_dropout_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "MAX_ROUND_STEPS", 2)
    more = f'series = "observed"\n{DROPOUT}'
    whole, stopped = (toy_project(tmp_path / name, 6, more=more) for name in ("whole", "stopped"))
    train(whole)
    plain = fit.TrainingModule.training_step

    def failing(self: fit.TrainingModule, batch: Any) -> torch.Tensor:
        if self.trainer.global_step == 3:
            raise RuntimeError("stopped")
        return plain(self, batch)

    monkeypatch.setattr(fit.TrainingModule, "training_step", failing)
    with pytest.raises(RuntimeError, match="stopped"):
        train(stopped)
    staging = stopped.directory / "models.partial"
    assert (staging / "agrifm.partial" / "last.ckpt").exists()
    monkeypatch.setattr(fit.TrainingModule, "training_step", plain)
    kept = shutil.copytree(staging, tmp_path / "models")
    expected = load_file(whole.models / "agrifm.safetensors")
    # Undamaged, and with what a power cut leaves of the checkpoint, the kept weights or the journal.
    leftovers = [(lambda file: None, "last.ckpt"), (zeroed, "last.ckpt"), (cut, "kept.pt"), (lost, "kept.pt")]
    for damage, name in [*leftovers, (holed, "../agrifm.partial.journal")]:
        for directory in (stopped.models, staging):
            shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(kept, staging)
        damage(staging / "agrifm.partial" / name)
        train(stopped)
        found = load_file(stopped.models / "agrifm.safetensors")
        assert all(torch.equal(expected[key], found[key]) for key in expected), (damage, name)
    emptied(stopped.models / "agrifm.safetensors")
    train(stopped)
    assert load_file(stopped.models / "agrifm.safetensors").keys() == expected.keys()


def test_sensor_dropout_with_a_single_sensor_is_refused(tmp_path: Path) -> None:
    project = toy_project(tmp_path, more=DROPOUT)
    without_landsat(project.cube)
    with pytest.raises(ConfigError, match="`sensor_dropout`") as error:
        train(project)
    assert error.value.facts == {"sensor": "sentinel-2"}
    assert not list(project.models.glob("*.safetensors"))
