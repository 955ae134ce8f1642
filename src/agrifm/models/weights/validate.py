"""What a file of weights must fulfil before anything is made of it: complete, of one shape, finite, as recorded."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from agrifm.errors import ModelError
from agrifm.models.agrifm.attention import relative_position_index
from agrifm.models.agrifm.network import AgriFMConfig
from agrifm.models.agrifm.window_partition import Triple
from agrifm.models.weights.file import WeightsRecord
from agrifm.models.weights.infer_config import nearest
from agrifm.models.weights.names import INDEX, Renamed, theirs
from agrifm.record import ModelRecord

NUMBERS = (torch.float32, torch.float16, torch.bfloat16)
"""Types of weights that float32 holds exactly."""
WHOLE = (INDEX, "num_batches_tracked")
"""Ends of the names of tensors that are whole numbers."""
ZERO_AT_FIRST = ".patch_emd.code."
"""Part of a network that does nothing until it is trained; a file may lack it."""


def with_patch_axes(renamed: Renamed) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors with five axes in every patch embedding, and in words which ones are held unlike the file."""
    tensors, reshaped = {}, []
    for name, tensor in renamed.tensors.items():
        own = tensor
        if name.endswith("patch_emd.proj.weight") and tensor.ndim == 4:
            own = tensor.unsqueeze(2)
            shown = theirs(name, renamed.prefixes)
            reshaped.append(f"{shown}: a kernel without frames, {_sizes(tensor)} to {_sizes(own)}")
        elif tensor.dtype in NUMBERS[1:]:
            half = str(tensor.dtype).removeprefix("torch.")
            reshaped.append(f"{theirs(name, renamed.prefixes)}: {half} to float32, exactly")
        tensors[name] = own
    return tensors, tuple(reshaped)


def require_record(record: ModelRecord | WeightsRecord, stated: AgriFMConfig, found: AgriFMConfig, about: str) -> None:
    """Refuse a record that contradicts its tensors, naming the first difference."""
    pairs: list[tuple[str, object, object]] = [
        # safetensors has an order of its own
        ("sources", sorted(one.name for one in stated.sources), sorted(one.name for one in found.sources)),
        ("one backbone for all", stated.shared, found.shared),
    ]
    for source in found.sources:
        own = next((one for one in stated.sources if one.name == source.name), None)
        if own is not None:
            pairs += [
                (f"bands of {source.name}", own.channels, source.channels),
                (f"patch of {source.name}", own.patch, source.patch),
            ]
    fields = ("embed_dim", "depths", "heads", "window", "mlp_ratio", "dates", "validity")
    pairs += [(name, getattr(stated.encoder, name), getattr(found.encoder, name)) for name in fields]
    bands = {sensor.sensor: len(sensor.bands) for sensor in record.sensors}
    pairs.append(("bands of its sensors", bands, {one.name: one.channels for one in stated.sources}))
    if isinstance(record, ModelRecord):
        pairs.append(("classes of its legend", len(record.legend), stated.classes))
    for name, says, has in pairs:
        if says != has:
            raise ModelError(
                f"{about}: its record says {name} {_plain(says)}, its tensors {_plain(has)}; "
                "the record is of other weights, get the file again"
            )


def missing_names(
    expected: Mapping[str, torch.Size],
    weights: Mapping[str, Tensor],
    surplus: Sequence[str],
    prefixes: Mapping[str, str],
    about: str,
) -> tuple[str, ...]:
    """Names that the file lacks and that change nothing; refuse a file that lacks others.

    Args:
        expected: names and shapes of the network.
        weights: what the file has, in our names.
        surplus: names of it that the network has no place for.
        prefixes: the way back to the names in the file.
    """
    missing = [name for name in expected if name not in weights]
    needed = [name for name in missing if ZERO_AT_FIRST not in name]
    if needed:
        theirs_ = theirs(needed[0], prefixes)
        others = tuple(theirs(name, prefixes) for name in surplus)
        raise ModelError(
            f"{about}: {len(needed)} of {len(expected)} tensors are missing, first {theirs_!r}"
            f"{nearest(theirs_, others)}; get the whole file again"
        )
    return tuple(missing)


def require_shapes(
    used: Mapping[str, Tensor], expected: Mapping[str, torch.Size], prefixes: Mapping[str, str], about: str
) -> None:
    """Refuse tensors whose shapes do not fit each other."""
    clashes = [name for name, tensor in used.items() if tensor.shape != expected[name]]
    if clashes:
        first = clashes[0]
        raise ModelError(
            f"{about}: {theirs(first, prefixes)!r} has shape {_sizes(used[first])}, expected {tuple(expected[first])} "
            f"by the rest of the file ({len(clashes)} such tensors); it is of another model, get the file again"
        )


def require_numbers(tensors: Mapping[str, Tensor], window: Triple, prefixes: Mapping[str, str], about: str) -> None:
    """Refuse tensors of another type, not finite, or position indices of another window."""
    index = relative_position_index(window)
    for name, tensor in tensors.items():
        shown = theirs(name, prefixes)
        allowed = (torch.int64,) if name.endswith(WHOLE) else NUMBERS
        if tensor.dtype not in allowed:
            kinds = " or ".join(str(kind).removeprefix("torch.") for kind in allowed)
            raise ModelError(
                f"{about}: {shown!r} is of type {str(tensor.dtype).removeprefix('torch.')}, expected {kinds}; "
                "save the weights in that type"
            )
        if name.endswith(INDEX) and not torch.equal(tensor, index):
            raise ModelError(f"{about}: {shown!r} is not the index of a window of {window} tokens; get the file again")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            count = int((~tensor.isfinite()).sum())
            raise ModelError(f"{about}: {shown!r} has {count} values that are no finite numbers; get the file again")


def _sizes(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    return ", ".join(str(one) for one in value) if isinstance(value, list | tuple) else str(value)
