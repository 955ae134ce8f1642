"""The shape of the released models is read from nothing but names and shapes of their tensors.

Names and shapes were recorded from the public code and from its weight file (tests/golden/README.md).
"""

import json

import pytest
import torch
from tests.models.agrifm.reference_model import GOLDEN

from agrifm.errors import ModelError
from agrifm.models.agrifm.attention import relative_position_index
from agrifm.models.agrifm.swin3d import SwinConfig
from agrifm.models.weights.infer_config import InferredConfig, expected_shapes, infer_network_config
from agrifm.models.weights.names import name_in_file, rename_tensors

Tensors = dict[str, torch.Tensor]


def recorded(table: str) -> Tensors:
    """Tensors that occupy no memory, but for the index of the window."""
    entries = json.loads((GOLDEN / "state_dict_base.json").read_text())[table]
    index = relative_position_index((8, 7, 7))
    return {
        name: index
        if name.endswith("relative_position_index")
        else torch.empty(entry["shape"], dtype=getattr(torch, entry["dtype"]), device="meta")
        for name, entry in entries.items()
    }


def read(tensors: Tensors) -> InferredConfig:
    return infer_network_config(rename_tensors(tensors, "reading").tensors, "reading")


def test_the_distributed_weights_are_agrifm() -> None:
    shape = read(recorded("released_checkpoint_s2_known"))
    (source,) = shape.config.sources
    assert (source.name, source.channels, source.patch) == ("sentinel-2", 10, (4, 4, 4))
    assert shape.decoder == "none"
    released = SwinConfig(fusion="mean")
    assert shape.config.encoder == released


def test_the_distributed_weights_with_all_three_sources_share_one_backbone() -> None:
    tensors = recorded("released_checkpoint_s2_known")
    for key, channels in (("HLSL30", 6), ("Modis", 7)):
        tensors[f"encoder.{key}_patch_emd.weights"] = torch.empty(128, channels, 4, 2, 2, device="meta")
        tensors[f"encoder.{key}_patch_emd.bias"] = torch.empty(128, device="meta")
    config = read(tensors).config
    assert [one.name for one in config.sources] == ["sentinel-2", "landsat", "modis"]
    assert config.shared
    renamed = rename_tensors(tensors, "reading").tensors
    indices = {name for name in renamed if name.endswith("relative_position_index")}
    expected = expected_shapes(config, decoder=False)
    assert renamed.keys() - indices == expected.keys()
    assert all(renamed[name].shape == shape for name, shape in expected.items())


def test_the_released_config_is_read_with_its_decoder() -> None:
    shape = read(recorded("s2_base_full"))
    assert shape.decoder == "released"
    assert shape.config.encoder == SwinConfig()
    assert (shape.config.sources[0].patch, shape.config.sources[0].frames) == ((4, 2, 2), 32)
    assert shape.config.classes == 2


def test_three_encoders_are_three_backbones() -> None:
    config = read(recorded("s2_landsat_modis_encoders")).config
    assert not config.shared
    assert [(one.name, one.channels) for one in config.sources] == [("sentinel-2", 10), ("landsat", 6), ("modis", 7)]


@pytest.mark.parametrize("table", ["s2_base_full", "s2_landsat_modis_encoders", "released_checkpoint_s2_known"])
def test_every_name_finds_its_way_back(table: str) -> None:
    tensors = recorded(table)
    renamed = rename_tensors(tensors, "reading")
    assert {name_in_file(name, renamed.prefixes) for name in renamed.tensors} == set(tensors)
    assert not renamed.unused


def test_without_an_index_2535_rows_mean_the_window_of_agrifm() -> None:
    tensors = {name: one for name, one in recorded("s2_base_full").items() if not name.endswith("position_index")}
    shape = read(tensors)
    assert shape.config.encoder.window == (8, 7, 7)
    assert any("2535 rows" in note for note in shape.notes)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    tensors = recorded("released_checkpoint_s2_known")
    tensors["encoder.backbone.layers.0.blocks.0.attn.relative_position_bias_table"] = torch.empty(
        2535, 5, device="meta"
    )
    with pytest.raises(ModelError, match=r"128 channels.*5 heads"):
        read(tensors)
