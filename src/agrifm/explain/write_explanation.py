"""The files of an explanation: a page, a table of all numbers, pictures of classes and parcels, and facts as JSON.

Of a series table each explained place has its rows in a table too.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import file_digest
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from agrifm.config import Project
from agrifm.errors import ConfigError, OutputError, require_installed
from agrifm.explain.explain_page import render_explanation
from agrifm.explain.explanation import Explained, Request, explain_pixels
from agrifm.explain.findings import COLUMNS, UnitFinding, class_findings, largest_gap, parcel_findings, table_rows_of
from agrifm.explain.heat_maps import finding_picture
from agrifm.explain.material import Wanted, project_material
from agrifm.explain.place_table import place_table
from agrifm.files import AnyPath, as_path, write_bytes, write_json, write_text
from agrifm.inference.predictor import TorchModel, load_model
from agrifm.mapping.run import named_model
from agrifm.outputs import require_replaceable, write_directory
from agrifm.record import require_classes, running_versions
from agrifm.train.tile_training import parcels_of_tiles

KIND_OF_EXPLANATION = "explanation"
DIRECTORY = "explanation"
"""In the project, if nothing else is asked for."""
MOST_PARCELS = 50
"""Parcels that are explained at a time."""
PAGE, TABLE, PLACES, FACTS = "explanation.html", "contributions.csv", "places.csv", "explanation.json"


def write_explanation(
    project: Project, model: AnyPath | None = None, out: AnyPath | None = None, request: Request | None = None
) -> list[str]:
    """Explain a model and write the directory of its explanation; returns what is strongest in lines.

    Args:
        model: model file; by default the one named under [map].
        out: directory; by default `explanation` in the project.

    Raises:
        OutputError: the directory holds other files.
        LabelError, ModelError, ConfigError, CubeError: see `explain_model`.
    """
    request = request or Request()
    target = project.path(Path(DIRECTORY)) if out is None else as_path(out)
    require_installed("drawing an explanation", "report", "matplotlib", "jinja2", kind=OutputError)
    require_replaceable(target, KIND_OF_EXPLANATION)  # before hours of work
    path = named_model(project) if model is None else as_path(model)
    explained = explain_model(project, path, request)
    findings = [*class_findings(explained), *parcel_findings(explained)]
    about = _facts(path, explained, request, findings)
    with write_directory(target, KIND_OF_EXPLANATION) as partial:
        pictures = list(_pictures(findings, explained))
        for name, picture in zip(picture_names(findings), pictures, strict=True):
            write_bytes(partial / name, picture)
        write_text(partial / PAGE, render_explanation(about, explained, findings, pictures))
        write_text(partial / TABLE, _table(findings, explained))
        if explained.material.table is not None:
            write_text(partial / PLACES, place_table(explained, explained.material.table.table))
        write_json(partial / FACTS, about)
    return [*about["notes"], *_lines(findings, explained), f"wrote {target / PAGE}"]


def explain_model(project: Project, path: AnyPath, request: Request | None = None) -> Explained:
    """Explain a trained model of a project, on its labels on a cube, its series table, or the parcels of all tiles.

    Args:
        path: model file.

    Raises:
        LabelError: the labels cannot be read, or have not the parcel that was asked for.
        ModelError: the model does not fit the cube or the table, or has other classes than the labels.
        ConfigError: fewer than one pixel or block is asked for.
    """
    request = request or Request()
    _require_sound(request)
    model = load_model(as_path(path))
    require_classes(model.record, f"explaining {path}")
    wanted = Wanted(request.pixels, request.blocks, request.parcels, request.column, request.seed)
    if project.season.tiles is None or not project.labels.on_cube:
        return explain_pixels(model, project_material(project, model, wanted), request)
    of_table, note = parcels_of_tiles(project)
    material = project_material(of_table, model, wanted)
    return explain_pixels(model, replace(material, notes=(note, *material.notes)), request)


def _require_sound(request: Request) -> None:
    for name, number in (("pixels", request.pixels), ("blocks", request.blocks)):
        if number is not None and number < 1:
            raise ConfigError(f"explaining a model: `{name}` is {number}; give 1 or more", **{name: number})
    if len(request.parcels) > MOST_PARCELS:
        raise ConfigError(
            f"explaining {len(request.parcels)} parcels: at most {MOST_PARCELS} fit into a page; give fewer",
            parcels=len(request.parcels),
        )


def picture_names(findings: Sequence[UnitFinding]) -> list[str]:
    """Return a file name for the picture of each finding, different ones also where names are alike."""
    names: list[str] = []
    for finding in findings:
        stem = f"{finding.kind}-{re.sub(r'[^A-Za-z0-9_]+', '-', finding.name)}"
        names.append(f"{stem}.png" if f"{stem}.png" not in names else f"{stem}-{len(names)}.png")
    return names


def _pictures(findings: Sequence[UnitFinding], explained: Explained) -> Iterator[bytes]:
    curves = explained.class_curves
    known = np.isfinite(curves)
    mean = np.where(known, curves, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    everything = np.where(known.any(axis=0), mean, np.nan)
    for finding in findings:
        of_class = known[finding.number].any() and finding.kind == "parcel"
        yield finding_picture(finding, explained, curves[finding.number] if of_class else everything)


def _table(findings: Sequence[UnitFinding], explained: Explained) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for finding in findings:
        writer.writerows(table_rows_of(finding, explained))
    return text.getvalue()


def _facts(path: Path, explained: Explained, request: Request, findings: Sequence[UnitFinding]) -> dict[str, Any]:
    """What the page and the JSON state."""
    subject = explained.subject
    kinds = {member.model.record.series for member in subject.members}
    bridged = kinds == {"interpolated"}
    networks = [member.model.record.name for member in subject.members if isinstance(member.model, TorchModel)]
    others = [member.model.record.name for member in subject.members if not isinstance(member.model, TorchModel)]
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    gap = max(largest_gap(explained.classes), largest_gap(explained.parcels))
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": subject.record.name,
        "file": path.name,
        "sha256": digest,
        "members": [member.model.record.name for member in subject.members],
        "period": request.period,
        "blocks": explained.classes.selection.blocks,
        "most_blocks": explained.material.most_blocks,
        "counted": "places" if subject.source.is_table else "pixels",
        "most_pixels": request.pixels,
        "seed": request.seed,
        "gap": "Series are interpolated between the observations before and after it."
        if bridged
        else "Series have a gap there, as the model knows it from training.",
        "band_gap": "interpolated over the period in the same way"
        if bridged
        else "replaced over the period by the mean series",
        "gradients": _of_members(networks, others) if networks else "",
        "no_gradients": f"{', '.join(others)}: not PyTorch networks, so there are no integrated gradients.",
        "steps": _steps() if networks else None,
        "gap_nats": gap if networks else None,
        "notes": list(_notes(explained, findings, networks)),
        "classes": [
            {
                "class": explained.material.legend.codes[one.number],
                "pixels": one.pixels,
                "blocks": one.blocks,
                "probability": one.probability,
            }
            for one in findings
            if one.kind == "class"
        ],
        "versions": running_versions("torch", "scikit-learn"),
    }


def _steps() -> int:
    from agrifm.explain.gradients import STEPS

    return STEPS


def _of_members(networks: Sequence[str], others: Sequence[str]) -> str:
    if not others and len(networks) == 1:
        return ""
    return f"They are of {', '.join(networks)}{'; ' + ', '.join(others) + ' have no gradients' if others else ''}."


def _notes(explained: Explained, findings: Sequence[UnitFinding], networks: Sequence[str]) -> Iterator[str]:
    """What an explanation lacks, in sentences."""
    legend = explained.material.legend
    found = {finding.number for finding in findings if finding.kind == "class"}
    if absent := [entry.name for number, entry in enumerate(legend.classes) if number not in found]:
        yield f"without a labelled, observed pixel in the test blocks: {', '.join(absent)}"
    shown = {finding.name for finding in findings if finding.kind == "parcel"}
    if unseen := [parcel.name for parcel in explained.material.names if parcel.name not in shown]:
        yield f"parcels without an observation: {', '.join(unseen)}"
    if not networks:
        yield "the model is not a PyTorch network: occlusion only, without integrated gradients"
    yield from explained.material.notes
    if any(finding.kind == "class" and finding.blocks < 2 for finding in findings):
        yield "a class on a single block has no interval"


def _lines(findings: Sequence[UnitFinding], explained: Explained) -> Iterator[str]:
    """The strongest period of each finding."""
    starts, ends = explained.periods.starts, explained.periods.ends
    for finding in findings:
        mean, low, high = (part[0, 1:] for part in finding.occlusion)
        if not np.isfinite(mean).any():
            continue
        at = int(np.nanargmax(mean))
        span = f" ({100 * low[at]:+.1f} to {100 * high[at]:+.1f})" if np.isfinite(low[at]) else ""
        yield (
            f"{finding.name}: strongest {starts[at]} to {ends[at]}, {100 * mean[at]:+.1f} points of probability{span}"
        )
