"""Inspect a file of AgriFM weights: its origin, its network, its record, and what became of every tensor.

A file is accepted as a whole or refused. The report lists tensors that are missing, unused or reshaped, and every value
that was assumed. A tensor that is missing from a part that the file has, shapes that contradict each other, or a record
of other tensors is an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from agrifm.errors import ModelError, did_you_mean
from agrifm.files import AnyPath, as_path
from agrifm.models.agrifm.attention import relative_position_index
from agrifm.models.agrifm.network import AgriFMConfig
from agrifm.models.agrifm.window_partition import Triple
from agrifm.models.weights.checkpoint import Checkpoint, file_digest, metadata_json, read_checkpoint
from agrifm.models.weights.file import RECORD_KEY, WEIGHTS_KEY, WeightsRecord, load_network
from agrifm.models.weights.infer_config import MAX_NAMES_SEARCHED, expected_shapes, infer_network_config
from agrifm.models.weights.names import INDEX_SUFFIX, RenamedTensors, name_in_file, rename_tensors
from agrifm.record import ModelRecord, predicted_layers, record_in_words
from agrifm.validation import complaint

WEIGHT_TYPES = (torch.float32, torch.float16, torch.bfloat16)
"""Types of weights that float32 represents exactly."""
INTEGER_SUFFIXES = (INDEX_SUFFIX, "num_batches_tracked")
"""Ends of the names of integer tensors."""
OPTIONAL_PART = ".patch_emd.code."
"""Part of a network that changes nothing until it is trained, so a file may lack it."""
MAX_NAMES_LISTED = 4
"""Names listed of each kind in the description; the others are counted."""


@dataclass(frozen=True)
class TensorReport:
    """What became of every tensor. Names are those in the file, except for tensors that the file lacks."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    """Tensors of the network that the file lacks; they are zero and change nothing until they are trained."""
    unused: tuple[str, ...]
    """Tensors of the file that the network does not have."""
    reshaped: tuple[str, ...]
    """Tensors that the network holds in another shape or type than the file, and how."""


@dataclass(frozen=True)
class Inspection:
    """Everything that a file of weights says; no network is built."""

    path: Path
    digest: str
    """SHA-256 of the file."""
    checkpoint: Checkpoint
    """The tensors as they are in the file."""
    renamed: RenamedTensors
    """The same by our names, and the way back."""
    tensors: dict[str, Tensor]
    """Tensors of the network, by our names and in our shapes, without position indices; types as in the file."""
    config: AgriFMConfig
    """Of the whole network; without a decoder in the file, its decoder is a placeholder."""
    decoder: str
    """`released`, `pixel`, `none`, or `unread` where only a record could describe its inputs."""
    record: ModelRecord | WeightsRecord | None
    report: TensorReport
    notes: tuple[str, ...]
    """What the file cannot say, and what was assumed."""

    @property
    def complete(self) -> bool:
        """Whether the file has a whole network and not only encoders."""
        return self.decoder in ("released", "pixel")


def inspect_weights(path: AnyPath, window: Triple | None = None) -> Inspection:
    """Inspect a file of weights.

    Args:
        path: the distributed weights, a checkpoint of the reference's training, or a file that agrifm wrote.
        window: attention window in tokens (time steps, rows, columns), if the file does not determine it.

    Raises:
        ModelError: the file cannot be read, has no AgriFM tensors, lacks a part, is damaged, or its record describes
            other tensors.
    """
    path = as_path(path)
    about = f"reading the weights {path}"
    checkpoint = read_checkpoint(path)
    record = _record(checkpoint, about)
    if isinstance(record, ModelRecord) and record.family != "agrifm":
        raise ModelError(
            f"{about}: it is a trained network of the family {record.family!r}; only weights of AgriFM can be "
            "inspected and converted",
            family=record.family,
        )
    config = None if record is None else _config(record, about)
    if config is None:
        renamed = rename_tensors(checkpoint.tensors, about)
    else:
        # agrifm wrote the record, and the tensors by its names
        renamed = RenamedTensors(checkpoint.tensors, {}, (), "agrifm's, with a record")
    tensors, reshaped = _with_patch_axes(renamed)
    inferred = infer_network_config(tensors, about, window if config is None else config.encoder.window)
    decoder = {"other": "unread"}.get(inferred.decoder, inferred.decoder)
    notes = inferred.notes
    if config is None:
        config = inferred.config
    else:
        assert record is not None
        _require_record(record, config, inferred.config, about)
        notes = record.notes if isinstance(record, WeightsRecord) else ()
        if isinstance(record, ModelRecord):
            decoder = "released" if config.pixel_decoder is None else "pixel"
    weights = {name: tensor for name, tensor in tensors.items() if not name.endswith(INDEX_SUFFIX)}
    expected = expected_shapes(config, decoder in ("released", "pixel"))
    surplus = [name for name in weights if name not in expected]
    missing = _missing_names(expected, weights, surplus, renamed.prefixes, about)
    used = {name: weights[name] for name in expected if name in weights}
    _require_shapes(used, expected, renamed.prefixes, about)
    # position indices are not used, but a wrong one says that the window is another
    checked = {name: tensor for name, tensor in tensors.items() if name in used or name not in weights}
    _require_numbers(checked, config.encoder.window, renamed.prefixes, about)
    report = TensorReport(
        loaded=tuple(name_in_file(name, renamed.prefixes) for name in used),
        missing=missing,
        unused=(*renamed.unused, *(name_in_file(name, renamed.prefixes) for name in surplus)),
        reshaped=reshaped,
    )
    return Inspection(path, file_digest(path), checkpoint, renamed, used, config, decoder, record, report, tuple(notes))


def read_any_record(path: Path) -> ModelRecord | WeightsRecord | None:
    """Return the record of a weight file of any family after comparing its tensors with it; None without a record.

    Raises:
        ModelError: as `inspect_weights`, or `load_network` for the other families.
    """
    record = _record(read_checkpoint(path), f"reading the weights {path}")
    if isinstance(record, ModelRecord) and record.family != "agrifm":
        return load_network(path)[1]
    return inspect_weights(path).record


def _record(checkpoint: Checkpoint, about: str) -> ModelRecord | WeightsRecord | None:
    for key, kind in ((RECORD_KEY, ModelRecord), (WEIGHTS_KEY, WeightsRecord)):
        content = metadata_json(checkpoint, key)
        if content is not None:
            try:
                return kind.model_validate(content)
            except ValidationError as error:
                raise ModelError(
                    f"{about}: its record is not usable ({complaint(error, kind)}); create the file again"
                ) from error
    return None


def _config(record: ModelRecord | WeightsRecord, about: str) -> AgriFMConfig:
    try:
        return AgriFMConfig.model_validate(record.architecture)
    except ValidationError as error:
        raise ModelError(
            f"{about}: its record is not usable ({complaint(error, AgriFMConfig)}); create the file again"
        ) from error


def _with_patch_axes(renamed: RenamedTensors) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Give every patch kernel five axes; and list in words which tensors differ from those in the file."""
    tensors, reshaped = {}, []
    for name, tensor in renamed.tensors.items():
        tensors[name] = tensor
        original = name_in_file(name, renamed.prefixes)
        if name.endswith("patch_emd.proj.weight") and tensor.ndim == 4:
            # (E, C, H, W) is a kernel of one frame, (E, C, 1, H, W)
            tensors[name] = tensor.unsqueeze(2)
            sizes = f"{tuple(tensor.shape)} to {tuple(tensors[name].shape)}"
            reshaped.append(f"{original}: a kernel without frames, {sizes}")
        elif tensor.dtype in WEIGHT_TYPES[1:]:
            reshaped.append(f"{original}: {_type(tensor.dtype)} to float32, exactly")
    return tensors, tuple(reshaped)


def _require_record(
    record: ModelRecord | WeightsRecord, stated: AgriFMConfig, inferred: AgriFMConfig, about: str
) -> None:
    """Refuse a record that contradicts its tensors, naming the first difference."""
    pairs: list[tuple[str, object, object]] = [
        # sorted, because safetensors stores tensors in another order
        ("sources", sorted(s.name for s in stated.sources), sorted(s.name for s in inferred.sources)),
        ("one backbone for all", stated.shared, inferred.shared),
    ]
    by_name = {source.name: source for source in stated.sources}
    for source in inferred.sources:
        if source.name in by_name:
            pairs += [
                (f"bands of {source.name}", by_name[source.name].channels, source.channels),
                (f"patch of {source.name}", by_name[source.name].patch, source.patch),
            ]
    fields = ("embed_dim", "depths", "heads", "window", "mlp_ratio", "dates", "validity")
    pairs += [(name, getattr(stated.encoder, name), getattr(inferred.encoder, name)) for name in fields]
    bands = {sensor.sensor: len(sensor.bands) for sensor in record.sensors}
    pairs.append(("bands of its sensors", bands, {source.name: source.channels for source in stated.sources}))
    if isinstance(record, ModelRecord):
        pairs.append(("classes of its legend", predicted_layers(record), stated.classes))
    for name, says, has in pairs:
        if says != has:
            raise ModelError(
                f"{about}: its record says {name} {_in_words(says)}, its tensors {_in_words(has)}; "
                "the record belongs to other weights, get the file again"
            )


def _missing_names(
    expected: Mapping[str, torch.Size],
    weights: Mapping[str, Tensor],
    surplus: Sequence[str],
    prefixes: Mapping[str, str],
    about: str,
) -> tuple[str, ...]:
    """Names that the file may lack because they change nothing; refuse a file that lacks others."""
    missing = [name for name in expected if name not in weights]
    needed = [name_in_file(name, prefixes) for name in missing if OPTIONAL_PART not in name]
    if needed:
        others = [name_in_file(name, prefixes) for name in surplus[:MAX_NAMES_SEARCHED]]
        raise ModelError(
            f"{about}: {len(needed)} of {len(expected)} tensors are missing, first {needed[0]!r}; get the whole file "
            f"again{did_you_mean(needed[0], others, 0.6)}",
            tensor=needed[0],
        )
    return tuple(missing)


def _require_shapes(
    used: Mapping[str, Tensor], expected: Mapping[str, torch.Size], prefixes: Mapping[str, str], about: str
) -> None:
    """Refuse tensors whose shapes contradict each other."""
    clashes = [name for name, tensor in used.items() if tensor.shape != expected[name]]
    if clashes:
        name = name_in_file(clashes[0], prefixes)
        raise ModelError(
            f"{about}: {name!r} has shape {tuple(used[clashes[0]].shape)}, but the rest of the file needs "
            f"{tuple(expected[clashes[0]])} ({len(clashes)} such tensors); get the file again",
            tensor=name,
        )


def _require_numbers(tensors: Mapping[str, Tensor], window: Triple, prefixes: Mapping[str, str], about: str) -> None:
    """Refuse tensors of another type, with values that are not finite, or position indices of another window."""
    index = relative_position_index(window)
    for name, tensor in tensors.items():
        shown = name_in_file(name, prefixes)
        allowed = (torch.int64,) if name.endswith(INTEGER_SUFFIXES) else WEIGHT_TYPES
        if tensor.dtype not in allowed:
            raise ModelError(
                f"{about}: {shown!r} is of type {_type(tensor.dtype)}, expected {' or '.join(map(_type, allowed))}; "
                "save the weights in that type",
                tensor=shown,
            )
        if name.endswith(INDEX_SUFFIX) and not torch.equal(tensor, index):
            raise ModelError(
                f"{about}: {shown!r} is not the index of a window of {window} tokens; get the file again", tensor=shown
            )
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            count = int((~tensor.isfinite()).sum())
            raise ModelError(
                f"{about}: {shown!r} has {count} values that are not finite; get the file again", tensor=shown
            )


def _type(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def describe_weights(inspection: Inspection) -> list[str]:
    """Describe a file of weights in lines of text: origin, network, record, and what became of its tensors."""
    config, encoder, report = inspection.config, inspection.config.encoder, inspection.report
    wrapper = inspection.checkpoint.wrapper
    parameters = sum(
        tensor.numel()
        for name, tensor in inspection.tensors.items()
        # means and variances of batches are stored, but not learned
        if tensor.is_floating_point() and not name.endswith(("running_mean", "running_var"))
    )
    size = inspection.path.stat().st_size
    rows = [
        ("file", f"{inspection.path} ({size:,} bytes, {inspection.checkpoint.format})"),
        ("SHA-256", inspection.digest),
        ("naming", inspection.renamed.naming + (f", in {wrapper!r}" if wrapper else "")),
    ]
    for source in config.sources:
        patch = " x ".join(map(str, source.patch))
        bands = _bands(inspection, source.name)
        rows.append((source.name, f"{source.channels} bands, patch {patch} (frames, rows, columns); {bands}"))
    rows += [
        ("backbone", "one for all sources" if config.shared else "one for each source"),
        ("widths", ", ".join(map(str, encoder.widths()))),
        ("depths", ", ".join(map(str, encoder.depths))),
        ("heads", ", ".join(map(str, encoder.heads))),
        ("window", " x ".join(map(str, encoder.window)) + " tokens (time, rows, columns)"),
        ("fusion", encoder.fusion if inspection.complete else f"not in the file ({encoder.fusion} unless stated)"),
        ("decoder", _decoder(inspection)),
        ("parameters", f"{parameters:,}"),
        ("record", _record_in_words(inspection.record)),
        ("loaded", f"{len(report.loaded)} tensors"),
        ("missing", _listed(report.missing, " (zero, they change nothing until trained)")),
        ("unused", _listed((*report.unused, *inspection.checkpoint.other_entries))),
        ("reshaped", _listed(report.reshaped)),
    ]
    rows += [("note", note) for note in inspection.notes]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {text}" for name, text in rows]


def _bands(inspection: Inspection, source: str) -> str:
    if inspection.record is None:
        return "the order of bands is not in the file"
    return ", ".join(next(sensor.bands for sensor in inspection.record.sensors if sensor.sensor == source))


def _decoder(inspection: Inspection) -> str:
    return {
        "released": f"neck and head of the reference, {inspection.config.classes} classes",
        "pixel": f"pixel decoder, {inspection.config.classes} classes",
        "none": "none",
        "unread": "not recognised: its inputs cannot be inferred from the tensors",
    }[inspection.decoder]


def _record_in_words(record: ModelRecord | WeightsRecord | None) -> str:
    if isinstance(record, WeightsRecord):
        return f"converted weights, from {record.origin.file} (SHA-256 {record.origin.sha256[:12]})"
    if isinstance(record, ModelRecord):
        return record_in_words(record)
    return "none; `agrifm model convert` writes one"


def _listed(names: tuple[str, ...], remark: str = "") -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - MAX_NAMES_LISTED} more" if len(names) > MAX_NAMES_LISTED else ""
    # a name of unknown origin may hold control characters for the terminal
    shown = (name if name.isprintable() else repr(name) for name in names[:MAX_NAMES_LISTED])
    return f"{', '.join(shown)}{more}{remark}"
