"""Weights of AgriFM from any file that holds them: what it is, and whether it is whole.

A file is taken whole or refused: what is missing, left over, reshaped or taken on trust is in the report; a tensor that
is missing from a part that the file has, a clash of shapes, or a record of other tensors is an error.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from torch import Tensor

from agrifm.errors import ModelError
from agrifm.models.agrifm.network import AgriFMConfig
from agrifm.models.agrifm.window_partition import Triple
from agrifm.models.weights.checkpoint import Checkpoint, metadata_json, read_checkpoint
from agrifm.models.weights.file import RECORD_KEY, WEIGHTS_KEY, WeightsRecord
from agrifm.models.weights.infer_config import expected_shapes, read_shape
from agrifm.models.weights.names import INDEX, Renamed, rename, theirs
from agrifm.models.weights.validate import (
    missing_names,
    require_numbers,
    require_record,
    require_shapes,
    with_patch_axes,
)
from agrifm.record import ModelRecord


@dataclass(frozen=True)
class Report:
    """What became of every tensor; names in the file, but for what the file lacks."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    """Tensors of the network that the file lacks; they are zero and change nothing until they are trained."""
    unused: tuple[str, ...]
    """Tensors of the file that the network has no place for."""
    reshaped: tuple[str, ...]
    """Tensors that the network holds in another shape or type than the file, and how."""


@dataclass(frozen=True)
class Inspection:
    """Everything that a file of weights says; no network is built."""

    path: Path
    digest: str
    """SHA-256 of the file."""
    checkpoint: Checkpoint
    """The tensors as they lie in the file."""
    renamed: Renamed
    """The same in our names, and the way back."""
    tensors: dict[str, Tensor]
    """Those that the network takes, in our names and shapes, without position indices; types as in the file."""
    config: AgriFMConfig
    """Of the whole network; without a decoder, what it says of one is a placeholder."""
    decoder: str
    """`released`, `pixel`, `none`, or `unread` where only a record could say what it joins."""
    record: ModelRecord | WeightsRecord | None
    report: Report
    notes: tuple[str, ...]
    """What the file cannot say, and what was taken."""

    @property
    def complete(self) -> bool:
        """Whether the file has a whole network and not only encoders."""
        return self.decoder in ("released", "pixel")


def inspect(path: Path, window: Triple | None = None) -> Inspection:
    """What a file of weights holds.

    Args:
        path: the distributed weights, a checkpoint of the reference's training, or a file that agrifm wrote.
        window: attention window in tokens (time steps, rows, columns), where the file leaves it open.

    Raises:
        ModelError: the file cannot be read, nothing in it is AgriFM's, part of it is missing or damaged, or its record
            is of other tensors.
    """
    about = f"reading the weights {path}"
    checkpoint = read_checkpoint(path)
    record = _record(checkpoint, about)
    config = None if record is None else _config(record, about)
    if config is None:
        renamed = rename(checkpoint.tensors, about)
    else:
        renamed = Renamed(checkpoint.tensors, {}, (), "agrifm's, with a record")
    tensors, reshaped = with_patch_axes(renamed)
    shape = read_shape(tensors, about, window if config is None else config.encoder.window)
    decoder = {"other": "unread"}.get(shape.decoder, shape.decoder)
    notes = shape.notes
    if config is None:
        config = shape.config
    else:
        assert record is not None
        require_record(record, config, shape.config, about)
        notes = record.notes if isinstance(record, WeightsRecord) else ()
        if isinstance(record, ModelRecord):
            decoder = "released" if config.pixel_decoder is None else "pixel"
    weights = {name: tensor for name, tensor in tensors.items() if not name.endswith(INDEX)}
    expected = expected_shapes(config, decoder in ("released", "pixel"))
    surplus = [name for name in weights if name not in expected]
    missing = missing_names(expected, weights, surplus, renamed.prefixes, about)
    used = {name: weights[name] for name in expected if name in weights}
    require_shapes(used, expected, renamed.prefixes, about)
    taken = {name: tensor for name, tensor in tensors.items() if name in used or name not in weights}
    require_numbers(taken, config.encoder.window, renamed.prefixes, about)
    report = Report(
        loaded=tuple(theirs(name, renamed.prefixes) for name in used),
        missing=missing,
        unused=(*renamed.unused, *(theirs(name, renamed.prefixes) for name in surplus)),
        reshaped=reshaped,
    )
    return Inspection(path, file_digest(path), checkpoint, renamed, used, config, decoder, record, report, tuple(notes))


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _record(checkpoint: Checkpoint, about: str) -> ModelRecord | WeightsRecord | None:
    try:
        if (content := metadata_json(checkpoint, RECORD_KEY)) is not None:
            return ModelRecord.model_validate(content)
        if (content := metadata_json(checkpoint, WEIGHTS_KEY)) is not None:
            return WeightsRecord.model_validate(content)
    except ValidationError as error:
        raise ModelError(f"{about}: its record is unusable ({_first(error)}); make the file anew") from error
    return None


def _config(record: ModelRecord | WeightsRecord, about: str) -> AgriFMConfig:
    try:
        return AgriFMConfig.model_validate(record.architecture)
    except ValidationError as error:
        raise ModelError(f"{about}: its record is unusable ({_first(error)}); make the file anew") from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
