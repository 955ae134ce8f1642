"""Files of released weights: every tensor is checked, and files of other things are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.models.released_peers import pretend_released
from torch import Tensor

from agrifm.errors import ModelError
from agrifm.models.family import FAMILIES
from agrifm.models.presto import PRESETS, PrestoEncoder
from agrifm.models.weights.released import read_released

PRESTO = FAMILIES["presto"].released
NAME = "blocks.0.attn.qkv.weight"


@pytest.fixture
def state(tmp_path: Path) -> dict[str, Tensor]:
    return pretend_released(PrestoEncoder(**PRESETS["base"]), tmp_path / "presto.pt", "encoder.")


def test_a_file_of_torch_and_safetensors_give_the_same(state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "presto.safetensors")
    torch.save({**state, "decoder.mask_token": torch.zeros(128)}, tmp_path / "presto.pt")
    found = [read_released(tmp_path / f"presto.{suffix}", PRESTO) for suffix in ("pt", "safetensors")]
    assert found[0].keys() == found[1].keys() == {name.removeprefix("encoder.") for name in state}
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def lost(state: dict[str, Tensor]) -> None:
    del state[f"encoder.{NAME}"]


def reshaped(state: dict[str, Tensor]) -> None:
    state[f"encoder.{NAME}"] = torch.zeros(384, 64)


def infinite(state: dict[str, Tensor]) -> None:
    state[f"encoder.{NAME}"][0, 0] = torch.inf


def integer(state: dict[str, Tensor]) -> None:
    state[f"encoder.{NAME}"] = torch.zeros(384, 128, dtype=torch.int64)


@pytest.mark.parametrize("damage", [lost, reshaped, infinite, integer])
def test_a_damaged_tensor_is_refused_by_name(
    damage: Callable[[dict[str, Tensor]], None], state: dict[str, Tensor], tmp_path: Path
) -> None:
    damage(state)
    torch.save(state, tmp_path / "presto.pt")
    with pytest.raises(ModelError) as refused:
        read_released(tmp_path / "presto.pt", PRESTO)
    assert refused.value.facts == {"tensor": NAME}


def test_weights_of_another_network_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        read_released(tmp_path / "presto.pt", FAMILIES["galileo"].released)
    assert "tensor" in refused.value.facts


class Harmful:
    """What a pickle could call."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        import os

        return os.system, ("touch harmed",)


def test_a_file_that_would_call_a_function_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"encoder.norm.weight": Harmful()}, tmp_path / "presto.pt")
    with pytest.raises(ModelError) as refused:
        read_released(tmp_path / "presto.pt", PRESTO)
    assert "system" in str(refused.value.facts["called"])
    assert not (tmp_path / "harmed").exists()
