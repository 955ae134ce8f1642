"""Small networks, and files of their weights in every naming and format that is met."""

import functools
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from agrifm.legend import Legend
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, Source, preset
from agrifm.models.agrifm.swin3d import SwinConfig
from agrifm.models.tempcnn import TempCNN, TempCNNConfig
from agrifm.models.weights.file import RECORD_KEY, save_model
from agrifm.models.weights.inspect import Inspection
from agrifm.record import ModelRecord, SensorRecord
from agrifm.sensors import SENSORS

ENCODER = SwinConfig(embed_dim=8, depths=(1, 1, 2, 1), heads=(1, 2, 2, 4), window=(2, 3, 3), fusion="mean")
S2 = Source(name="sentinel-2", channels=10, patch=(4, 4, 4))
LANDSAT = Source(name="landsat", channels=6, patch=(4, 2, 2))
MODIS = Source(name="modis", channels=7, patch=(4, 1, 1))
NAMES = (
    "distributed.pth",
    "one_source.pth",
    "training.pth",
    "parallel.pt",
    "bare.pth",
    "spelled.pth",
    "half.pth",
    "legacy.pth",
    "plain.safetensors",
    "trained.safetensors",
)
WINDOW = {"plain.safetensors": (2, 3, 3)}
"""Stated where the file leaves it open."""
PUBLIC = {"sentinel-2": "S2", "landsat": "HLSL30", "modis": "Modis"}


def network_of(*sources: Source, shared: bool = False, cat: bool = False) -> AgriFM:
    """A network with the released decoder; with `cat`, four time steps become two and one."""
    torch.manual_seed(len(sources))
    names = tuple(source.name for source in sources)
    if cat:
        sources = tuple(source.model_copy(update={"frames": 4 * source.patch[0]}) for source in sources)
    encoder = ENCODER.model_copy(update={"fusion": "cat" if cat else "mean"})
    config = AgriFMConfig(
        sources=sources, classes=3, encoder=encoder, neck_sources=names, neck_levels=(names,) * 3, shared=shared
    )
    return AgriFM(config).requires_grad_(False).eval()


@dataclass(frozen=True)
class WeightFile:
    """What a file of weights is made of."""

    name: str
    network: AgriFM
    state: dict[str, Tensor]
    """By the names in the file."""
    wrapper: str = ""
    beside: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    def write(self, directory: Path, **changes: Any) -> Path:
        """Write it, with changes to its fields; returns the path."""
        file = replace(self, **changes)
        path = directory / file.name
        if path.suffix == ".safetensors":
            save_file({name: tensor.contiguous() for name, tensor in file.state.items()}, path, metadata=file.metadata)
            return path
        content = {file.wrapper: file.state, **file.beside} if file.wrapper else file.state
        torch.save(content, path, _use_new_zipfile_serialization="legacy" not in file.name)
        return path


def loaded(found: Inspection) -> AgriFM:
    """A network with the tensors of a file, in evaluation mode."""
    network = AgriFM(found.config)
    unknown = network.load_state_dict({name: one.float() for name, one in found.tensors.items()}, strict=False)
    assert not unknown.unexpected_keys
    return network.requires_grad_(False).eval()


def encoders(network: AgriFM) -> dict[str, Tensor]:
    return {f"encoders.{name}": tensor.clone() for name, tensor in network.encoders.state_dict().items()}


def everything(network: AgriFM) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def renamed(state: dict[str, Tensor], *pairs: tuple[str, str]) -> dict[str, Tensor]:
    """Names with replacements made in order."""
    return {functools.reduce(lambda text, pair: text.replace(*pair), pairs, name): one for name, one in state.items()}


def distributed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of the distributed file."""
    pairs = [
        (f"encoders.encoders.{own}.patch_emd.proj.{leaf}", f"encoder.{key}_patch_emd.{theirs}")
        for own, key in PUBLIC.items()
        for leaf, theirs in (("weight", "weights"), ("bias", "bias"))
    ]
    own_backbones = [(f"encoders.encoders.{own}.backbone.", "encoder.backbone.") for own in PUBLIC]
    return renamed(state, *pairs, ("encoders.backbone.", "encoder.backbone."), *own_backbones)


def trained() -> WeightFile:
    """A file as `agrifm train` writes it, of a network with a backbone for each sensor."""
    torch.manual_seed(7)
    config = preset("tiny", {"sentinel-2": 3, "landsat": 2}, 3, frames=5).model_copy(update={"shared": False})
    network = AgriFM(config).requires_grad_(False).eval()
    record = ModelRecord(
        name="agrifm",
        architecture=network.config.model_dump(mode="json"),
        sensors=tuple(
            SensorRecord(
                sensor=name,
                bands=SENSORS[name].band_names[:count],
                quantity="surface reflectance",
                scale=1e-4,
                resolution=SENSORS[name].resolution,
                mean=(0.1,) * count,
                std=(1.0,) * count,
            )
            for name, count in (("sentinel-2", 3), ("landsat", 2))
        ),
        frames=5,
        side=48,
        legend=Legend.of(["a", "b", "c"]),
        season=(date(2024, 1, 1), date(2024, 6, 1)),
    )
    state = {name: one for name, one in everything(network).items() if not name.endswith("relative_position_index")}
    return WeightFile("trained.safetensors", network, state, metadata={RECORD_KEY: record.model_dump_json()})


def save_other_family(path: Path) -> Path:
    """A trained network that is not AgriFM, on two bands of Sentinel-2."""
    config = TempCNNConfig(channels={"sentinel-2": 2}, frames=4, classes=2, width=4, dense=8)
    sensor = SensorRecord(
        sensor="sentinel-2",
        bands=("B04", "B08"),
        quantity="surface reflectance",
        scale=1e-4,
        resolution=10,
        mean=(0.1, 0.3),
        std=(0.1, 0.1),
    )
    record = ModelRecord(
        name="tempcnn",
        family="tempcnn",
        architecture=config.model_dump(mode="json"),
        sensors=(sensor,),
        frames=4,
        side=24,
        legend=Legend.of(["a", "b"]),
        season=(date(2024, 1, 1), date(2024, 6, 1)),
    )
    save_model(path, TempCNN(config), record)
    return path


@functools.cache
def weight_files() -> dict[str, WeightFile]:
    """By name of the file."""
    one, three = network_of(S2), network_of(S2, LANDSAT, MODIS, shared=True)
    two, cat = network_of(S2, LANDSAT), network_of(S2, cat=True)
    flat = distributed(encoders(one))
    notes = {"meta": {"epoch": 3, "cfg": "text"}, "optimizer": {"state": {0: {"step": torch.ones(1)}}}}
    public = [(f".{own}.", f".{key}.") for own, key in PUBLIC.items()]
    files = [
        WeightFile("distributed.pth", three, distributed(encoders(three))),
        WeightFile("one_source.pth", one, flat),
        WeightFile("training.pth", cat, renamed(everything(cat), *public), "state_dict", notes),
        WeightFile(
            "parallel.pt", two, {f"module.{n}": t for n, t in renamed(everything(two), *public).items()}, "model"
        ),
        WeightFile("bare.pth", one, renamed(flat, ("encoder.", ""), ("emd.weights", "emd.weight"))),
        WeightFile(
            "spelled.pth", one, renamed(flat, ("emd.weights", "emd.proj.weight"), ("emd.bias", "emd.proj.bias"))
        ),
        WeightFile("half.pth", one, {n: t.half() if t.is_floating_point() else t for n, t in flat.items()}),
        WeightFile("legacy.pth", three, encoders(three)),
        WeightFile("plain.safetensors", two, {n: t for n, t in encoders(two).items() if "position_index" not in n}),
        trained(),
    ]
    found = {file.name: file for file in files}
    assert tuple(found) == NAMES
    return found
