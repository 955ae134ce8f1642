"""Released files of other networks are recognised, described and converted without loss."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.models.released_peers import pretend_released, released_file

from agrifm.cli import main
from agrifm.errors import ModelError
from agrifm.inference.compatibility import describe_model
from agrifm.models.family import FAMILIES
from agrifm.models.galileo import PRESETS as GALILEO
from agrifm.models.galileo import GalileoEncoder
from agrifm.models.presto import PRESETS as PRESTO
from agrifm.models.presto import PrestoEncoder
from agrifm.models.weights.convert import convert_weights
from agrifm.models.weights.peer_files import recognise_released
from agrifm.models.weights.released import read_released

FILES = {"presto": ("presto.pt", "402,240"), "galileo": ("galileo_nano_encoder.pt", "1,036,704")}
"""Released files, and the numbers of parameters that their papers' code counts."""


@pytest.mark.parametrize("family", FILES)
def test_a_released_file_is_described_and_converted_exactly(family: str, tmp_path: Path) -> None:
    name, parameters = FILES[family]
    file = released_file(name)
    lines = describe_model(file)
    assert any(line.startswith("family") and family in line for line in lines)
    assert any(line.startswith("parameters") and parameters in line for line in lines)
    assert any(line.startswith("reads") and "B08" in line for line in lines)
    convert_weights(file, tmp_path / "peer.safetensors")
    released = FAMILIES[family].released
    expected, found = read_released(file, released), read_released(tmp_path / "peer.safetensors", released)
    assert expected.keys() == found.keys() == load_file(tmp_path / "peer.safetensors").keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert recognise_released(tmp_path / "peer.safetensors") == family


@pytest.mark.parametrize(
    ("family", "encoder"), [("presto", PrestoEncoder(**PRESTO["base"])), ("galileo", GalileoEncoder(**GALILEO["base"]))]
)
def test_files_of_each_family_are_told_apart(family: str, encoder: torch.nn.Module, tmp_path: Path) -> None:
    state = pretend_released(encoder, tmp_path / "weights.pt")
    assert recognise_released(tmp_path / "weights.pt") == family
    state.pop(next(iter(state)))
    torch.save(state, tmp_path / "less.pt")
    assert recognise_released(tmp_path / "less.pt") is None


def test_what_a_released_file_does_not_need_is_refused(tmp_path: Path) -> None:
    pretend_released(PrestoEncoder(**PRESTO["base"]), tmp_path / "presto.pt")
    for target, bands in (("other.pth", ()), ("other.safetensors", ("by-number",))):
        with pytest.raises(ModelError) as refused:
            convert_weights(tmp_path / "presto.pt", tmp_path / target, bands)
        assert refused.value.facts == {"family": "presto"}
        assert not (tmp_path / target).exists()


def test_the_command_describes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pretend_released(PrestoEncoder(**PRESTO["base"]), tmp_path / "presto.pt")
    assert main(["model", "info", str(tmp_path / "presto.pt")]) == 0
    assert 'names = ["presto"]' in capsys.readouterr().out
