"""Weights and their record in one safetensors file: a trained model, or converted weights to start training from.

Pickles are not read here; `agrifm model convert` converts them to safetensors.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from agrifm.errors import ModelError, doing
from agrifm.files import AnyPath, as_path, write_bytes
from agrifm.models.family import family_of
from agrifm.models.weights.names import INDEX_SUFFIX
from agrifm.record import ExpectedSensor, ModelRecord
from agrifm.validation import Frozen, complaint

RECORD_KEY = "agrifm_record"
WEIGHTS_KEY = "agrifm_weights_record"
DIGEST_KEY = "agrifm_tensors_sha256"
"""Of the metadata of a trained model: the digest of its tensors, which safetensors itself has none of."""


class WeightsSensor(ExpectedSensor):
    """One sensor as converted weights expect it; its bands are in the order of the patch kernel."""

    mean: tuple[float, ...] | None = None
    """Mean per band in the quantity's unit, if it is published; training measures the statistics of its cube."""
    std: tuple[float, ...] | None = None
    """Standard deviation per band, likewise."""


class Origin(Frozen):
    """The file that weights were converted from, and the way back to it."""

    file: str
    sha256: str
    format: str
    """Format of the file, in words."""
    wrapper: str
    """Key of its dictionary of tensors; empty if they were at the top level."""
    prefixes: dict[str, str]
    """Beginnings of our names to the beginnings of its names."""
    indexed: bool
    """Whether it had position indices."""
    flat: tuple[str, ...] = ()
    """Patch kernels without an axis of frames."""


class WeightsRecord(Frozen):
    """What converted weights expect and where they come from; they must be trained before they can draw a map."""

    format: Literal[1] = 1
    name: str
    architecture: dict[str, Any]
    """The network's configuration, as read from the tensors."""
    sensors: tuple[WeightsSensor, ...]
    absent_sensors: tuple[str, ...] = ()
    """Sensors that a cube may lack."""
    origin: Origin
    notes: tuple[str, ...] = Field(())
    """What the file could not say, and what was assumed."""
    versions: dict[str, str] = Field(default_factory=dict)


def save_model(path: AnyPath, network: nn.Module, record: ModelRecord) -> None:
    """Write weights and record, whole or not at all; the record must be of this network.

    Raises:
        OutputError: the file cannot be written.
    """
    path = as_path(path)
    config = family_of(record.family, f"writing the model {path}").config
    assert config.model_validate(record.architecture) == network.config, "the record is of another network"
    # safetensors refuses views that are not contiguous; position indices follow from the window
    state = {
        name: tensor.contiguous() for name, tensor in network.state_dict().items() if not name.endswith(INDEX_SUFFIX)
    }
    content = save(state, metadata={RECORD_KEY: record.model_dump_json(), DIGEST_KEY: _digest(state)})
    write_bytes(path, _with_ordered_metadata(content))


def _with_ordered_metadata(content: bytes) -> bytes:
    """The same safetensors file with its metadata in one order: the library has another one in each run."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    coded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    coded += b" " * (-len(coded) % 8)  # the numbers begin at a multiple of eight bytes
    return b"".join([len(coded).to_bytes(8, "little"), coded, memoryview(content)[end:]])


def _digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names, types, shapes and numbers of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _require_same_tensors(path: Path, state: Mapping[str, Tensor], about: str) -> None:
    """Refuse tensors that are not those that were written; files of before have no digest."""
    with safe_open(path, framework="pt") as file:
        stated = (file.metadata() or {}).get(DIGEST_KEY)
    if stated is not None and stated != _digest(state):
        raise ModelError(
            f"{about}: its weights were damaged or changed since they were written; copy it again, or train it again",
            path=path,
            digest=stated,
        )


def read_record(path: AnyPath) -> ModelRecord:
    """The record of a safetensors file.

    Raises:
        ModelError: the file is absent, damaged, has no record, or is not a trained model.
    """
    path = as_path(path)
    about = f"reading the model {path}"
    with doing(about, ModelError, "`agrifm train` writes it", path=path), safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if WEIGHTS_KEY in metadata:
        raise ModelError(
            f"{about}: it has converted weights, which cannot draw a map before they are trained; train from "
            "them (`weights` in [model] of agrifm.toml)"
        )
    if RECORD_KEY not in metadata:
        raise ModelError(f"{about}: it has weights but no record of what they expect; train it with agrifm")
    try:
        return ModelRecord.model_validate_json(metadata[RECORD_KEY])
    except ValidationError as error:
        raise ModelError(f"{about}: its record is not usable ({complaint(error, ModelRecord)})") from error


def trained_family(path: Path) -> str | None:
    """Return the family of the trained network in a safetensors file; None for any other file."""
    try:
        return read_record(path).family
    except ModelError:
        return None


def load_network(path: AnyPath) -> tuple[nn.Module, ModelRecord]:
    """Read a network of any family, in evaluation mode, and its record.

    Raises:
        ModelError: the file is absent or damaged, or its weights are not those of its record.
    """
    path = as_path(path)
    record = read_record(path)
    about = f"reading the model {path}"
    family = family_of(record.family, about)
    try:
        config = family.config.model_validate(record.architecture)
    except ValidationError as error:
        raise ModelError(f"{about}: its record is not usable ({complaint(error, family.config)})") from error
    with doing(f"{about}: its weights are not those of its record", ModelError, "train it again", path=path):
        network = family.network(config)
        state: dict[str, Tensor] = load_file(path)
        _require_same_tensors(path, state, about)
        # position indices are not in the file; with them `load_state_dict` can demand every name
        derived = {name: tensor for name, tensor in network.state_dict().items() if name.endswith(INDEX_SUFFIX)}
        network.load_state_dict({**state, **derived})
    return network.requires_grad_(False).eval(), record
