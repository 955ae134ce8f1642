"""Released files of other foundation models: what one is, and the same encoder as safetensors."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from agrifm.errors import ModelError
from agrifm.files import write_bytes
from agrifm.models.family import FAMILIES
from agrifm.models.weights.checkpoint import file_digest, read_checkpoint
from agrifm.models.weights.released import Released, Shapes, encoder_tensors, read_released
from agrifm.record import TRAINABLE


def recognise_released(path: Path) -> str | None:
    """Return the family whose released encoder has exactly the tensors of a file, by name and shape; None if none has.

    Raises:
        ModelError: the file cannot be read.
    """
    tensors = read_checkpoint(path).tensors
    for name, family in FAMILIES.items():
        if family.released is not None and _fits(tensors, family.released):
            return name
    return None


def _fits(tensors: dict[str, Tensor], released: Released) -> bool:
    shapes = {name: tuple(tensor.shape) for name, tensor in encoder_tensors(tensors, released).items()}
    try:
        return shapes == _expected(released, shapes)
    except ModelError:  # no encoder of that family has such shapes
        return False


def _expected(released: Released, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in released.encoder(shapes).state_dict().items()}


def describe_released(path: Path, name: str) -> list[str]:
    """Describe a released file of a family in lines of text.

    Args:
        name: of the family, as `recognise_released` returns it.

    Raises:
        ModelError: a number is not finite.
    """
    released = FAMILIES[name].released
    assert released is not None, "the family was recognised"
    tensors = read_released(path, released)
    with torch.device("meta"):
        encoder = released.encoder({key: tuple(tensor.shape) for key, tensor in tensors.items()})
    parameters = sum(parameter.numel() for parameter in encoder.parameters() if parameter.requires_grad)
    series = " or ".join(f'"{kind}"' for kind in TRAINABLE[name].series)
    rows = [
        ("file", f"{path} ({path.stat().st_size:,} bytes)"),
        ("SHA-256", file_digest(path)),
        ("family", f"{name}, {TRAINABLE[name].title}: the encoder alone; what follows it is trained"),
        ("source", released.title),
        ("parameters", f"{parameters:,}, in {len(tensors)} tensors"),
        ("reads", released.reads),
        ("series", f"{series} (`series` under [model])"),
        ("to train", f'names = ["{name}"] and weights = "{path.name}" under [model]'),
    ]
    width = max(len(title) for title, _ in rows)
    return [f"{title:<{width}}  {text}" for title, text in rows]


def convert_released(path: Path, target: Path, name: str, bands: Sequence[str]) -> list[str]:
    """Write the encoder of a released file as safetensors, which `weights` under [model] takes as well.

    Args:
        name: of the family, as `recognise_released` returns it.
        bands: what the user states of the order of bands; these files need nothing.

    Raises:
        ModelError: the target does not end in .safetensors, or an order of bands is stated.
    """
    about = f"converting {path}"
    if target.suffix != ".safetensors":
        raise ModelError(
            f"{about}: it is a released file of {TRAINABLE[name].title} already; it can be converted to .safetensors",
            family=name,
        )
    if bands:
        raise ModelError(f"{about}: {TRAINABLE[name].title} finds its bands by name; leave out `--bands`", family=name)
    released = FAMILIES[name].released
    assert released is not None, "the family was recognised"
    tensors = read_released(path, released)
    state = {key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in tensors.items()}
    write_bytes(target, save(state, metadata={"source": released.title, "sha256": file_digest(path)}))
    return [
        f"the encoder of {TRAINABLE[name].title}, as released; `weights` under [model] takes this file",
        f"wrote {target} ({len(state)} tensors)",
    ]
