"""Released weights of other foundation models, read from a path: the tensors of the encoder alone, all checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agrifm.errors import ModelError, did_you_mean
from agrifm.models.weights.checkpoint import read_checkpoint

ENCODER = "encoder."
"""Beginning of the names of an encoder in our networks, and in some released files."""
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
"""Types of weights that float32 represents exactly."""

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of tensors by name within the encoder."""


@dataclass(frozen=True)
class Released:
    """What a family of networks needs to know of its released weights."""

    title: str
    """The weights, their source and licence, in words."""
    encoder: Callable[[Shapes], nn.Module]
    """Builds an encoder of the released shape; `encoder` of the network has the same names."""
    layout: Callable[[Any, Shapes, int], Any]
    """Returns the configuration with the released shape, from that of preset "base", shapes, and frames of series."""
    reads: str = ""
    """What the encoder expects, in words."""
    not_read: tuple[str, ...] = ()
    """Beginnings of further names in the file, which are not of the encoder."""


def read_released(path: Path, released: Released) -> dict[str, Tensor]:
    """Read the tensors of a released encoder by name, in float32.

    Args:
        path: a file written by `torch.save`, or safetensors with the same names.

    Raises:
        ModelError: the file is refused (`agrifm.models.weights.checkpoint.read_checkpoint`), or a tensor is missing, is
            not one of the encoder, or has another shape, another type, or a number that is not finite.
    """
    about = f"reading the weights {path}"
    found = encoder_tensors(read_checkpoint(path).tensors, released)
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in released.encoder(shapes).state_dict().items()}
    advice = f"give {released.title}"
    for names, fault in ((expected.keys() - shapes.keys(), "lacks"), (shapes.keys() - expected.keys(), "also has")):
        if names:
            name = min(names)
            raise ModelError(
                f"{about}: the file {fault} {len(names)} tensors, such as {name!r}{did_you_mean(name, shapes, 0.8)}; "
                f"{advice}",
                tensor=name,
            )
    for name, tensor in found.items():
        if shapes[name] != expected[name]:
            raise ModelError(
                f"{about}: {name!r} has shape {shapes[name]}, expected {expected[name]}; {advice}", tensor=name
            )
        if tensor.dtype not in FLOATS or not bool(tensor.isfinite().all()):
            raise ModelError(
                f"{about}: {name!r} has numbers that are not finite floats; get the file again", tensor=name
            )
    return {name: tensor.float() for name, tensor in found.items()}


def encoder_tensors(tensors: Mapping[str, Tensor], released: Released) -> dict[str, Tensor]:
    """Return the tensors of the encoder by name within it."""
    kept = {
        name.removeprefix(ENCODER): tensor
        for name, tensor in tensors.items()
        if not name.startswith(("classify.", "decoder.", *released.not_read))
    }
    # a second time, because a file may have them within the encoder
    return {name: tensor for name, tensor in kept.items() if not name.startswith(released.not_read)}


def load_released(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy the tensors of a released encoder into `encoder` of a network of its shape."""
    encoder = network.get_submodule(ENCODER.removesuffix("."))
    encoder.load_state_dict(dict(tensors))
