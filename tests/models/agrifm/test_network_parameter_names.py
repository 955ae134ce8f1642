"""Parameter and buffer names, shapes and types are those of the public AgriFM code and of its weight file."""

import json

import pytest
import torch
from tests.models.agrifm.reference_model import GOLDEN

from agrifm.models.agrifm.network import AgriFM, preset

Table = dict[str, tuple[list[int], str]]


def recorded(name: str) -> Table:
    table = json.loads((GOLDEN / "state_dict_base.json").read_text())[name]
    return {key: (entry["shape"], entry["dtype"]) for key, entry in table.items()}


def table_of(sources: dict[str, int], patch: tuple[int, int, int], classes: int = 2) -> Table:
    with torch.device("meta"):
        model = AgriFM(preset("base", sources, classes, patches=dict.fromkeys(sources, patch)))
    return {
        key: (list(value.shape), str(value.dtype).removeprefix("torch.")) for key, value in model.state_dict().items()
    }


def encoders_only(table: Table) -> Table:
    return {key: value for key, value in table.items() if key.startswith("encoders.")}


def in_our_names(key: str) -> str:
    """Name in this package of an entry of the distributed weight file."""
    renamed = key.replace("encoder.S2_patch_emd.weights", "encoder.patch_emd.proj.weight")
    renamed = renamed.replace("encoder.S2_patch_emd.bias", "encoder.patch_emd.proj.bias")
    return renamed.replace("encoder.", "encoders.encoders.S2.", 1)


def test_base_preset_is_the_released_model() -> None:
    assert table_of({"S2": 10}, (4, 2, 2)) == recorded("s2_base_full")


def test_base_preset_has_the_released_number_of_parameters() -> None:
    with torch.device("meta"):
        model = AgriFM(preset("base", {"sentinel-2": 10}, classes=2))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(196.19, abs=0.005)


def test_three_sources_have_the_reference_encoders() -> None:
    ours = table_of({"S2": 10, "Landsat": 6, "Modis": 7}, (4, 2, 2))
    assert encoders_only(ours) == recorded("s2_landsat_modis_encoders")


def test_distributed_weight_file_maps_one_to_one() -> None:
    theirs = {in_our_names(key): value for key, value in recorded("released_checkpoint_s2_known").items()}
    assert encoders_only(table_of({"S2": 10}, (4, 4, 4))) == theirs
