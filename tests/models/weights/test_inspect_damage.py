"""Ten kinds of damage to ten files of weights: each is refused with one sentence that says what is wrong."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.weights.weight_files import ENCODER, NAMES, WINDOW, WeightFile, encoders, weight_files

from agrifm.errors import ModelError
from agrifm.models.agrifm.network import AgriFM
from agrifm.models.weights.convert import convert_weights
from agrifm.models.weights.file import RECORD_KEY, WEIGHTS_KEY
from agrifm.models.weights.inspect import inspect_weights

Damage = Callable[[WeightFile, Path], Path]


class Opens:
    """Would create a file when unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.canary), "w")


def _ending(file: WeightFile, end: str) -> str:
    return next(name for name in file.state if name.endswith(end))


def _changed(file: WeightFile, directory: Path, end: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Path:
    name = _ending(file, end)
    return file.write(directory, state={**file.state, name: change(file.state[name].clone())})


def truncated(file: WeightFile, directory: Path) -> Path:
    path = file.write(directory)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


def wrong_type(file: WeightFile, directory: Path) -> Path:
    return _changed(file, directory, "attn.qkv.weight", lambda tensor: tensor.int())


def not_a_number(file: WeightFile, directory: Path) -> Path:
    def spoil(tensor: torch.Tensor) -> torch.Tensor:
        tensor.view(-1)[3] = float("nan")
        return tensor

    return _changed(file, directory, "mlp.fc2.weight", spoil)


def renamed_keys(file: WeightFile, directory: Path) -> Path:
    return file.write(directory, state={name.replace(".qkv.", ".query."): one for name, one in file.state.items()})


def hostile_pickle(file: WeightFile, directory: Path) -> Path:
    path = directory / file.name
    torch.save({"state_dict": {}, "more": Opens(directory / "canary")}, path)
    return path


def zip_bomb(file: WeightFile, directory: Path) -> Path:
    path = directory / file.name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("archive/data/0", bytes(5_000_000))
    return path


def wrong_record(file: WeightFile, directory: Path) -> Path:
    """The record of a network with one block more."""
    key = RECORD_KEY
    if key not in file.metadata:
        key = WEIGHTS_KEY
        good = directory / f"good-{file.name}.safetensors"
        convert_weights(file.write(directory), good, ["by-number"], WINDOW.get(file.name))
        with good.open("rb") as content:
            header = json.loads(content.read(int.from_bytes(content.read(8), "little")))
        state = inspect_weights(good).tensors
        file = WeightFile("converted.safetensors", file.network, state, metadata=header["__metadata__"])
    record = json.loads(file.metadata[key])
    record["architecture"]["encoder"]["depths"][2] += 1
    return file.write(directory, metadata={key: json.dumps(record)})


def mixed_models(file: WeightFile, directory: Path) -> Path:
    """The last stage of a network of twice the width."""
    wide = ENCODER.model_copy(update={"embed_dim": 2 * file.network.config.encoder.embed_dim})
    config = file.network.config.model_copy(update={"encoder": wide, "pixel_decoder": None})
    other = encoders(AgriFM(config))
    state = dict(file.state)
    for name, tensor in file.state.items():
        _, stage, rest = name.partition("layers.3.blocks.0.mlp")
        if stage:
            own = next(one for key, one in other.items() if key.endswith(stage + rest))
            state[name] = own.to(tensor.dtype, copy=True)
    return file.write(directory, state=state)


def empty(file: WeightFile, directory: Path) -> Path:
    path = directory / file.name
    path.touch()
    return path


def other_format(file: WeightFile, directory: Path) -> Path:
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.zeros(100))
    path = directory / file.name
    path.write_bytes(buffer.getvalue())
    return path


DAMAGES: dict[Damage, str] = {
    truncated: "truncated or damaged",
    wrong_type: r"attn\.qkv\.weight.*int32",
    not_a_number: r"mlp\.fc2\.weight.* 1 .*finite",
    renamed_keys: r"missing.*\.qkv\..*\.query\.",
    hostile_pickle: "call .*open",
    zip_bomb: r"5,000,\d{3} bytes",
    wrong_record: r"depths (1, 1, 3, 1|2, 2, 3, 2).*(1, 1, 2, 1|2, 2, 2, 2)",
    mixed_models: r"mlp\.\S+ has shape",
    empty: "file is empty",
    other_format: r"weights\.npy",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_each_damage_to_each_file_is_one_sentence(damage: Damage, name: str, tmp_path: Path) -> None:
    path = damage(weight_files()[name], tmp_path)
    with pytest.raises(ModelError, match=DAMAGES[damage]) as caught:
        inspect_weights(path, WINDOW.get(path.name))
    sentence = str(caught.value)
    assert sentence.startswith(f"reading the weights {path}: ")
    assert "\n" not in sentence
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", NAMES)
def test_undamaged_the_same_files_load(name: str, tmp_path: Path) -> None:
    assert inspect_weights(weight_files()[name].write(tmp_path), WINDOW.get(name)).report.loaded


def test_two_models_in_one_file_are_refused(tmp_path: Path) -> None:
    one, two = weight_files()["one_source.pth"], weight_files()["training.pth"]
    with pytest.raises(ModelError, match="two models"):
        inspect_weights(one.write(tmp_path, state={**one.state, **two.state}))
    with pytest.raises(ModelError, match="two models"):
        inspect_weights(
            one.write(tmp_path, state={**one.state, **{f"module.{name}": x for name, x in one.state.items()}})
        )


def test_the_wrong_index_a_lost_block_and_a_lost_stage_are_refused(tmp_path: Path) -> None:
    file = weight_files()["one_source.pth"]
    with pytest.raises(ModelError, match=r"index.*75 rows"):
        inspect_weights(_changed(file, tmp_path, "relative_position_index", lambda index: index.flip(0)))
    last = next(name for name in reversed(file.state) if name.endswith("relative_position_index"))
    with pytest.raises(ModelError, match=r"index.*\(2, 3, 3\)"):
        inspect_weights(file.write(tmp_path, state={**file.state, last: file.state[last].flip(1)}))
    for lost, said in (("layers.2.blocks.0.", "stage 2.*block 0"), ("layers.1.", "stages 0, 2, 3")):
        with pytest.raises(ModelError, match=said):
            inspect_weights(file.write(tmp_path, state={name: x for name, x in file.state.items() if lost not in name}))


def test_nothing_of_agrifm_and_no_embedding_are_refused(tmp_path: Path) -> None:
    file = weight_files()["one_source.pth"]
    with pytest.raises(ModelError, match=r"conv1.weight"):
        inspect_weights(file.write(tmp_path, state={"conv1.weight": torch.zeros(3)}))
    with pytest.raises(ModelError, match="no patch embedding"):
        inspect_weights(
            file.write(tmp_path, state={name: x for name, x in file.state.items() if "patch_emd" not in name})
        )


def test_a_source_without_a_name_is_named_by_its_bands_or_refused(tmp_path: Path) -> None:
    file = weight_files()["bare.pth"]
    state = {name.replace("S2_patch_emd", "patch_emd"): tensor for name, tensor in file.state.items()}
    assert [one.name for one in inspect_weights(file.write(tmp_path, state=state)).config.sources] == ["sentinel-2"]
    state["patch_emd.weight"] = state["patch_emd.weight"][:, :4]
    with pytest.raises(ModelError, match="S2_patch_emd"):
        inspect_weights(file.write(tmp_path, state=state))


ODD = {
    "a block with a huge number": ("layers.2.blocks.1.norm1.bias", "layers.2.blocks.999999999999.norm1.bias", None),
    "no heads": ("0.attn.relative_position_bias_table", "", torch.zeros(75, 0)),
    "an index without axes": ("0.attn.relative_position_index", "", torch.tensor(3)),
    "a table for a window whose index would not fit": (
        "0.attn.relative_position_bias_table",
        "",
        torch.zeros(10**6 + 1, 1),
    ),
    "a line break in a source's name": ("S2_patch_emd", "S\n2_patch_emd", None),
    "an empty kernel": ("S2_patch_emd.weights", "", torch.zeros(8, 0, 4, 4, 4)),
    "a kernel of no axes": ("S2_patch_emd.weights", "", torch.tensor(1.0)),
}


@pytest.mark.parametrize("oddity", ODD)
def test_odd_names_and_shapes_are_one_sentence_too(oddity: str, tmp_path: Path) -> None:
    old, new, tensor = ODD[oddity]
    file = weight_files()["one_source.pth"]
    state = {name.replace(old, new) if new else name: one for name, one in file.state.items()}
    if tensor is not None:
        state |= {name: tensor for name in state if old in name}
    assert list(state) != list(file.state) or tensor is not None
    with pytest.raises(ModelError) as caught:
        inspect_weights(file.write(tmp_path, state=state))
    assert "\n" not in str(caught.value)
