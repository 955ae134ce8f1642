"""Initialise AgriFM from weights: the encoder's shape and parameters from a file, the decoder random.

Of weights that `agrifm pretrain` wrote, a network of points takes the decoder too, except its last layer, and the
statistics: a few labelled places would give worse ones.

Bands of a patch kernel are selected by name into the order of the cube. Parameters missing from the file are
initialised randomly and listed.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from agrifm.errors import ConfigError, ModelError
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, Source
from agrifm.models.weights.inspect import Inspection, inspect_weights
from agrifm.record import ModelRecord, SensorInput, SensorRecord

ENCODER_SHAPE = ("embed_dim", "depths", "heads", "window", "mlp_ratio", "downsample_steps")
"""Keys of an encoder that the weights decide; the preset decides the rest."""
PRETRAINING = "pretraining"
"""Key of `training` in the record of weights that `agrifm pretrain` wrote."""
LAST_LAYER = "decoder.head."
"""Beginning of the names of what is of the classes of the weights."""
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


def require_weights_of_points(weights: Path) -> None:
    """Refuse weights of windows, whose tokens are larger than one pixel: a network of points cannot start from them.

    Raises:
        ConfigError: a token of a source has several rows or columns.
        ModelError: the file is refused (see `agrifm.models.weights.inspect.inspect_weights`).
    """
    for source in inspect_weights(weights).config.sources:
        if source.patch[1:] != (1, 1):
            raise ConfigError(
                f"training agrifm on a series table: the weights {weights} are of windows (tokens of "
                f"{source.patch[1]} x {source.patch[2]} pixels of {source.name}); give those of `agrifm pretrain`, or "
                "remove `weights` under [model]",
                key="weights",
                source=source.name,
            )


def point_start(
    weights: Path | None,
) -> Callable[[AgriFMConfig, tuple[SensorRecord, ...]], tuple[AgriFM, tuple[SensorRecord, ...]]] | None:
    """Return what makes a network of points from weights, with the statistics that it expects; None without weights."""
    if weights is None:
        return None

    def start(config: AgriFMConfig, sensors: tuple[SensorRecord, ...]) -> tuple[AgriFM, tuple[SensorRecord, ...]]:
        return initial_network(weights, config, sensors)[0], with_statistics_of(weights, sensors)

    return start


def with_statistics_of(weights: Path, sensors: Sequence[SensorRecord]) -> tuple[SensorRecord, ...]:
    """Return sensors with the mean and standard deviation that pretrained weights expect, of the bands that they know.

    Args:
        weights: safetensors with a record; of others than `agrifm pretrain` wrote, the statistics stay as they are.
    """
    record = inspect_weights(weights).record
    if not _is_pretrained(record):
        return tuple(sensors)
    assert isinstance(record, ModelRecord)
    known = {sensor.sensor: sensor for sensor in record.sensors}
    return tuple(
        _with_their_statistics(sensor, known[sensor.sensor]) if sensor.sensor in known else sensor for sensor in sensors
    )


def _with_their_statistics(sensor: SensorRecord, theirs: SensorRecord) -> SensorRecord:
    if sensor.quantity != theirs.quantity:
        return sensor
    of_band = dict(zip(theirs.bands, zip(theirs.mean, theirs.std, strict=True), strict=True))
    ours = zip(sensor.bands, zip(sensor.mean, sensor.std, strict=True), strict=True)
    mean, std = zip(*(of_band.get(band, numbers) for band, numbers in ours), strict=True)
    return sensor.model_copy(update={"mean": mean, "std": std})


def _is_pretrained(record: object) -> bool:
    return isinstance(record, ModelRecord) and PRETRAINING in record.training


def _fill(
    network: AgriFM,
    inspection: Inspection,
    theirs: Mapping[str, tuple[str, ...]],
    ours: Mapping[str, tuple[str, ...]],
) -> list[str]:
    """Copy the file's parameters into the network's encoders; returns the differences in sentences."""
    state = network.state_dict()
    same_decoder = _is_pretrained(inspection.record) and network.config.pixel_decoder == inspection.config.pixel_decoder
    with torch.no_grad():
        for name, parameter in state.items():
            tensor = inspection.tensors.get(name)
            of_decoder = same_decoder and name.startswith("decoder.") and not name.startswith(LAST_LAYER)
            if tensor is None or not (name.startswith("encoders.") or of_decoder):
                continue
            if name.startswith("decoder.detail.") and name.endswith(".weight"):
                source = name.split(".")[2]
                _copy_detail(parameter, tensor, theirs[source], ours[source])
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


def _copy_detail(parameter: Tensor, tensor: Tensor, theirs: tuple[str, ...], ours: tuple[str, ...]) -> None:
    """Copy the projection of single pixels' series, whose second axis is steps x bands, if the steps are as many."""
    if parameter.shape[1] * len(theirs) == tensor.shape[1] * len(ours) and parameter.shape[0] == tensor.shape[0]:
        to, of = (
            kernel.view(len(kernel), -1, len(order), 1, 1) for kernel, order in ((parameter, ours), (tensor, theirs))
        )
        _copy_bands(to.transpose(1, 2), of.transpose(1, 2), theirs, ours)


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
