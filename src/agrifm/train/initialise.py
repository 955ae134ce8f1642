"""Training that starts from weights: the encoder's shape and numbers from a file, the decoder new.

Bands of a patch kernel are taken by name into the order of the cube. What the file lacks starts from scratch, and is
said.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from agrifm.errors import ModelError
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, Source
from agrifm.models.weights.inspect import Inspection, inspect_weights
from agrifm.record import SensorInput

OF_ENCODER = ("embed_dim", "depths", "heads", "window", "mlp_ratio", "downsample_steps")
"""What weights fix of an encoder; the rest is the preset's."""
BY_BAND = ("patch_emd.proj.weight", "patch_emd.code.bands.weight")
"""Tensors of a source (width, bands, …)."""


def initial_network(
    weights: Path | None, config: AgriFMConfig, sensors: Sequence[SensorInput]
) -> tuple[AgriFM, dict[str, Any]]:
    """The network that training starts with, and what its record says of the start.

    Args:
        weights: safetensors with a record, converted or trained; None starts from scratch.
        config: the preset's network for these sensors; without weights it is taken as it is.
        sensors: what the cube holds, in the order of the config's sources.

    Returns:
        The network, and {"start": {"file", "sha256", "notes"}}; without weights an empty dict.

    Raises:
        ModelError: the file is refused (see `agrifm.models.weights.inspect.inspect_weights`), has no record, or has no
            sensor in common with the cube.
    """
    if weights is None:
        return AgriFM(config), {}
    found = inspect_weights(weights)
    bands = _bands_of_weights(found, sensors)
    network = AgriFM(_with_shape(config, found))
    notes = _fill(network, found, bands, {sensor.sensor: sensor.bands for sensor in sensors})
    return network, {"start": {"file": weights.name, "sha256": found.digest, "notes": notes}}


def _bands_of_weights(found: Inspection, sensors: Sequence[SensorInput]) -> dict[str, tuple[str, ...]]:
    """Bands of each source of the weights, in the order of its kernel."""
    about = f"training from the weights {found.path}"
    if found.record is None:
        raise ModelError(
            f"{about}: they have no record of the order of their bands; state it once, with `agrifm model convert "
            f"{found.path.name} {found.path.stem}.safetensors --bands …`"
        )
    bands = {sensor.sensor: sensor.bands for sensor in found.record.sensors}
    if not any(sensor.sensor in bands for sensor in sensors):
        raise ModelError(
            f"{about}: they are of {', '.join(bands)}, the cube has {', '.join(sensor.sensor for sensor in sensors)}; "
            "fetch a sensor of the weights, or leave `weights` out"
        )
    return bands


def _with_shape(config: AgriFMConfig, found: Inspection) -> AgriFMConfig:
    """The preset's network with the encoder of the weights."""
    encoder = {name: getattr(found.config.encoder, name) for name in OF_ENCODER}
    patches = {source.name: source.patch for source in found.config.sources}
    content = {
        **config.model_dump(),
        "encoder": {**config.encoder.model_dump(), **encoder},
        "sources": [_with_patch(source, patches, config.encoder.fusion == "cat") for source in config.sources],
        "shared": found.config.shared,
    }
    try:
        return AgriFMConfig.model_validate(content)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ModelError(f"training from the weights {found.path}: {reason}") from error


def _with_patch(source: Source, patches: Mapping[str, tuple[int, int, int]], cat: bool) -> dict[str, Any]:
    patch = patches.get(source.name, source.patch)
    frames = source.frames
    if cat and frames is not None:  # as many time steps as before, in patches of another length
        frames = frames // source.patch[0] * patch[0]
    return {**source.model_dump(), "patch": patch, "frames": frames}


def _fill(
    network: AgriFM,
    found: Inspection,
    theirs: Mapping[str, tuple[str, ...]],
    ours: Mapping[str, tuple[str, ...]],
) -> list[str]:
    """Copy what the file has into the network's encoders; returns what it has not, in sentences."""
    state = network.state_dict()
    with torch.no_grad():
        for name, place in state.items():
            tensor = found.tensors.get(name)
            if tensor is None or not name.startswith("encoders."):
                continue
            if name.endswith(BY_BAND):
                source = name.split(".")[2]
                _copy_bands(place, tensor, theirs[source], ours[source])
            elif _same_shape(tensor, place):
                place.copy_(tensor)
    codes = [f"encoders.encoders.{source}.patch_emd.code.frames.weight" for source in ours if source in theirs]
    unfit = [name for name in codes if name in state and not _same_shape(found.tensors.get(name), state[name])]
    codes_of_file = any(".patch_emd.code." in name for name in found.tensors)
    seen = []
    if unfit:
        seen = ["the weights know no dates or gaps of this kind: what is learned of them starts at zero"]
    elif codes_of_file and not any(name in state for name in codes):
        seen = ["what the weights learned of dates and gaps is left out: the network sees none"]
    return [*_differences(theirs, ours, found.config.shared), *seen]


def _copy_bands(place: Tensor, tensor: Tensor, theirs: tuple[str, ...], ours: tuple[str, ...]) -> None:
    common = [band for band in ours if band in theirs]
    to, of = ([order.index(band) for band in common] for order in (ours, theirs))
    place[:, to] = tensor[:, of].to(place.dtype)


def _differences(theirs: Mapping[str, tuple[str, ...]], ours: Mapping[str, tuple[str, ...]], shared: bool) -> list[str]:
    notes = []
    for source, bands in ours.items():
        if source not in theirs:
            new = "patch embedding" if shared else "encoder"
            notes.append(f"the weights are not of {source}: its {new} starts from scratch")
            continue
        if new_bands := [band for band in bands if band not in theirs[source]]:
            notes.append(f"bands of {source} that the weights lack start from scratch: {', '.join(new_bands)}")
        if left := [band for band in theirs[source] if band not in bands]:
            notes.append(f"bands of {source} in the weights but not in the cube are left out: {', '.join(left)}")
    if left := [source for source in theirs if source not in ours]:
        notes.append(f"sensors in the weights but not in the cube are left out: {', '.join(left)}")
    return notes


def _same_shape(one: Tensor | None, other: Tensor) -> bool:
    return one is not None and one.shape == other.shape
