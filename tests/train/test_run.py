"""Training as a command: what it writes, and a disk that is full."""

import json
import subprocess
import sys
from pathlib import Path

import geopandas
import pystac
import pytest
from tests.toy import toy_project

from agrifm.files import MARKER
from agrifm.models.weights.file import read_record
from agrifm.train.run import describe_scores, train

FULL_DISK = """
import resource, signal, sys
from agrifm.cli import main
import lightning, sklearn, skops.io
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(main(["train", "--project", sys.argv[2]]))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    train(toy_project(directory, steps=2, names='"agrifm", "random-forest"'))
    return directory / "models"


def test_models_scores_and_parcels_are_written_and_no_work_is_left(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        MARKER,
        "agrifm.json",
        "agrifm.safetensors",
        "agrifm.timing.json",
        "random-forest.json",
        "random-forest.skops",
        "scores.json",
        "training.gpkg",
    }


def test_the_record_says_what_the_model_expects_and_was_trained_on(trained: Path) -> None:
    record = read_record(trained / "agrifm.safetensors")
    assert [(sensor.sensor, sensor.bands) for sensor in record.sensors] == [
        ("sentinel-2", ("B04", "B08")),
        ("landsat", ("B04", "B05")),
    ]
    assert record.frames == 4
    assert record.legend.codes == ("maize", "wheat", "other")
    # by construction red is 0.4 minus half of near infrared, so their means are tied
    red, infrared = record.sensors[0].mean
    assert red == pytest.approx(0.4 - 0.5 * infrared, abs=0.005)
    assert record.training["steps"] == 2


def test_the_training_parcels_written_are_all_but_those_of_the_test_blocks(trained: Path) -> None:
    used = geopandas.read_file(trained / "training.gpkg")
    assert set(used.fold) == {"train", "validation"}
    places = read_record(trained / "agrifm.safetensors").training["places"]
    assert len(used) == places["train"] + places["validation"]
    # the toy season has 256 fields, all of them labelled
    assert len(used) + places["test"] == 256


def test_the_models_items_are_stac_with_weights_and_training_data(trained: Path) -> None:
    for name, suffix in (("agrifm", "safetensors"), ("random-forest", "skops")):
        item = pystac.Item.from_file(trained / f"{name}.json")
        assert item.properties["mlm:name"] == name
        assert (trained / item.assets["model"].href).name == f"{name}.{suffix}"
        assert item.assets["training"].roles == ["training-data"]


def test_training_again_replaces_the_models(trained: Path) -> None:
    before = (trained / "agrifm.safetensors").read_bytes()
    project = trained.parent
    again = subprocess.run(
        [sys.executable, "-m", "agrifm", "train", "--project", str(project)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert (trained / "agrifm.safetensors").read_bytes() == before


def test_scores_are_described_per_model(trained: Path) -> None:
    lines = describe_scores(json.loads((trained / "scores.json").read_text()))
    assert [line.split(":")[0] for line in lines] == ["agrifm", "random-forest", "macro F1, agrifm - random-forest"]


@pytest.mark.parametrize("most_bytes", [20_000, 3_000_000])
def test_a_full_disk_is_one_sentence_and_no_model(tmp_path: Path, most_bytes: int) -> None:
    toy_project(tmp_path, steps=2)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(most_bytes), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    written = {path.name for path in (tmp_path / "models").glob("*")}
    assert not written & {"agrifm.safetensors", "scores.json"}
