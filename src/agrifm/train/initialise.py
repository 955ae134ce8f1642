"""Initialise AgriFM from weights: the encoder's shape and parameters from a file, the decoder random.

Bands of a patch kernel are selected by name into the order of the cube. Parameters missing from the file are
initialised randomly and listed.
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

ENCODER_SHAPE = ("embed_dim", "depths", "heads", "window", "mlp_ratio", "downsample_steps")
"""Keys of an encoder that the weights decide; the preset decides the rest."""
BAND_TENSORS = ("patch_emd.proj.weight", "patch_emd.code.bands.weight")
"""Ends of the names of tensors whose second axis is the bands of a source."""


def initial_network(
    weights: Path | None, config: AgriFMConfig, sensors: Sequence[SensorInput]
) -> tuple[AgriFM, dict[str, Any]]:
    """Return the network before training, and what its record says of its initial weights.

    Args:
        weights: safetensors with a record, converted or trained; None = random.
        config: the preset's configuration for these sensors; weights change the shape of its encoder.
        sensors: what the cube holds, in the order of the config's sources.

    Returns:
        The network, and {"start": {"file", "sha256", "notes"}}, or an empty dict without weights.

    Raises:
        ModelError: the file is refused (see `agrifm.models.weights.inspect.inspect_weights`), has no record, or has no
            sensor in common with the cube.
    """
    if weights is None:
        return AgriFM(config), {}
    inspection = inspect_weights(weights)
    bands = _bands_of_weights(inspection, sensors)
    network = AgriFM(_with_shape(config, inspection))
    notes = _fill(network, inspection, bands, {sensor.sensor: sensor.bands for sensor in sensors})
    return network, {"start": {"file": weights.name, "sha256": inspection.digest, "notes": notes}}


def _bands_of_weights(inspection: Inspection, sensors: Sequence[SensorInput]) -> dict[str, tuple[str, ...]]:
    """Bands of each source of the weights, in the order of its kernel."""
    about = f"training from the weights {inspection.path}"
    if inspection.record is None:
        raise ModelError(
            f"{about}: the order of their bands is not recorded; record it with `agrifm model convert "
            f"{inspection.path.name} {inspection.path.stem}.safetensors --bands …`",
            path=inspection.path,
        )
    bands = {sensor.sensor: sensor.bands for sensor in inspection.record.sensors}
    if not any(sensor.sensor in bands for sensor in sensors):
        raise ModelError(
            f"{about}: they were trained on {', '.join(bands)}, the cube has "
            f"{', '.join(sensor.sensor for sensor in sensors)}; fetch a sensor of the weights, or leave `weights` out",
            sensors=tuple(bands),
        )
    return bands


def _with_shape(config: AgriFMConfig, inspection: Inspection) -> AgriFMConfig:
    """The preset's configuration with the encoder of the weights."""
    encoder = {name: getattr(inspection.config.encoder, name) for name in ENCODER_SHAPE}
    patches = {source.name: source.patch for source in inspection.config.sources}
    content = {
        **config.model_dump(),
        "encoder": {**config.encoder.model_dump(), **encoder},
        "sources": [_with_patch(source, patches, config.encoder.fusion == "cat") for source in config.sources],
        "shared": inspection.config.shared,
    }
    try:
        return AgriFMConfig.model_validate(content)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ModelError(f"training from the weights {inspection.path}: {reason}") from error


def _with_patch(source: Source, patches: Mapping[str, tuple[int, int, int]], cat: bool) -> dict[str, Any]:
    patch = patches.get(source.name, source.patch)
    frames = source.frames
    if cat and frames is not None:  # as many time steps as before, in patches of another length
        frames = frames // source.patch[0] * patch[0]
    return {**source.model_dump(), "patch": patch, "frames": frames}


def _fill(
    network: AgriFM,
    inspection: Inspection,
    theirs: Mapping[str, tuple[str, ...]],
    ours: Mapping[str, tuple[str, ...]],
) -> list[str]:
    """Copy the file's parameters into the network's encoders; returns the differences in sentences."""
    state = network.state_dict()
    with torch.no_grad():
        for name, parameter in state.items():
            tensor = inspection.tensors.get(name)
            if tensor is None or not name.startswith("encoders."):
                continue
            if name.endswith(BAND_TENSORS):
                source = name.split(".")[2]
                _copy_bands(parameter, tensor, theirs[source], ours[source])
            elif _same_shape(tensor, parameter):
                parameter.copy_(tensor)
    codes = [f"encoders.encoders.{source}.patch_emd.code.frames.weight" for source in ours if source in theirs]
    unfit = [name for name in codes if name in state and not _same_shape(inspection.tensors.get(name), state[name])]
    codes_of_file = any(".patch_emd.code." in name for name in inspection.tensors)
    notes = []
    if unfit:
        notes = ["the weights were trained without these dates and gaps: their parameters start at zero"]
    elif codes_of_file and not any(name in state for name in codes):
        notes = ["parameters of the weights for dates and gaps are not used: the network does not read dates"]
    return [*_differences(theirs, ours, inspection.config.shared), *notes]


def _copy_bands(parameter: Tensor, tensor: Tensor, theirs: tuple[str, ...], ours: tuple[str, ...]) -> None:
    common = [band for band in ours if band in theirs]
    to, of = ([order.index(band) for band in common] for order in (ours, theirs))
    parameter[:, to] = tensor[:, of].to(parameter.dtype)


def _differences(theirs: Mapping[str, tuple[str, ...]], ours: Mapping[str, tuple[str, ...]], shared: bool) -> list[str]:
    notes = []
    for source, bands in ours.items():
        if source not in theirs:
            new = "patch embedding" if shared else "encoder"
            notes.append(f"the weights lack a sensor, whose {new} is initialised randomly: {source}")
            continue
        if new_bands := [band for band in bands if band not in theirs[source]]:
            notes.append(f"bands of {source} that the weights lack are initialised randomly: {', '.join(new_bands)}")
        if left := [band for band in theirs[source] if band not in bands]:
            notes.append(f"bands of {source} that the cube lacks are not used: {', '.join(left)}")
    if left := [source for source in theirs if source not in ours]:
        notes.append(f"sensors of the weights that the cube lacks are not used: {', '.join(left)}")
    return notes


def _same_shape(tensor: Tensor | None, other: Tensor) -> bool:
    return tensor is not None and tensor.shape == other.shape
