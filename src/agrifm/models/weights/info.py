"""`agrifm model info`: what a file of weights holds, as a table in text."""

from pathlib import Path

from agrifm.models.agrifm.window_partition import Triple
from agrifm.models.weights.file import WeightsRecord
from agrifm.models.weights.inspect import Inspection, inspect
from agrifm.record import ModelRecord

SHOWN = 4
"""Names listed of each kind; the others are counted."""


def info(path: Path, window: Triple | None = None) -> list[str]:
    """The lines of `agrifm model info`; raises as `inspect` does."""
    return describe(inspect(path, window))


def describe(found: Inspection) -> list[str]:
    """A file of weights as lines of text: what it is, its shape, its record, and what became of its tensors."""
    encoder, report = found.config.encoder, found.report
    parameters = sum(
        tensor.numel()
        for name, tensor in found.tensors.items()
        if tensor.is_floating_point() and not name.endswith(("running_mean", "running_var"))
    )
    rows = [
        ("file", f"{found.path} ({found.path.stat().st_size:,} bytes, {found.checkpoint.format})"),
        ("SHA-256", found.digest),
        ("naming", found.renamed.naming + (f", in {found.checkpoint.wrapper!r}" if found.checkpoint.wrapper else "")),
    ]
    for source in found.config.sources:
        patch = " x ".join(map(str, source.patch))
        bands = _bands(found, source.name)
        rows.append((source.name, f"{source.channels} bands, patch {patch} (frames, rows, columns); {bands}"))
    rows += [
        ("backbone", "one for all sources" if found.config.shared else "one for each source"),
        ("widths", ", ".join(map(str, encoder.widths()))),
        ("depths", ", ".join(map(str, encoder.depths))),
        ("heads", ", ".join(map(str, encoder.heads))),
        ("window", " x ".join(map(str, encoder.window)) + " tokens (time, rows, columns)"),
        ("fusion", _fusion(found)),
        ("decoder", _decoder(found)),
        ("parameters", f"{parameters:,}"),
        ("record", _record(found)),
        ("loaded", f"{len(report.loaded)} tensors"),
        ("missing", _some(report.missing, " (zero, they change nothing until trained)")),
        ("unused", _some((*report.unused, *found.checkpoint.beside))),
        ("reshaped", _some(report.reshaped)),
    ]
    rows += [("note", note) for note in found.notes]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {text}" for name, text in rows]


def _bands(found: Inspection, source: str) -> str:
    if found.record is None:
        return "the order of bands is not in the file"
    return ", ".join(next(one.bands for one in found.record.sensors if one.sensor == source))


def _fusion(found: Inspection) -> str:
    encoder = found.config.encoder
    if not found.complete:
        return f"not in the file ({encoder.fusion} unless stated)"
    return encoder.fusion


def _decoder(found: Inspection) -> str:
    return {
        "released": f"neck and head of the reference, {found.config.classes} classes",
        "pixel": f"pixel decoder, {found.config.classes} classes",
        "none": "none",
        "unread": "not read: what it joins is not in the tensors",
    }[found.decoder]


def _record(found: Inspection) -> str:
    record = found.record
    if isinstance(record, WeightsRecord):
        return f"converted weights, from {record.origin.file} (SHA-256 {record.origin.sha256[:12]})"
    if isinstance(record, ModelRecord):
        start, end = record.season
        return f"trained model {record.name!r}: {len(record.legend)} classes, season {start} to {end}"
    return "none; `agrifm model convert` writes one"


def _some(names: tuple[str, ...], remark: str = "") -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    shown = (name if name.isprintable() else repr(name) for name in names[:SHOWN])
    return f"{', '.join(shown)}{more}{remark}"
