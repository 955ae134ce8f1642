"""The assessment of a map of any kind: which report its raster gets, and what a project file says of the reference."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agrifm.assess.number_map import task_of_numbers
from agrifm.assess.pdf import find_browser
from agrifm.assess.reference_data import reference_config, require_task_of_map
from agrifm.assess.report_origin import TrainingFile
from agrifm.assess.sampling_frame import PolygonFile
from agrifm.assess.sampling_statement import Sampling
from agrifm.assess.zoned_map import zone_mosaics
from agrifm.config import AssessConfig
from agrifm.errors import AssessmentError
from agrifm.record import Task
from agrifm.yields import TONNES, YieldUnit


@dataclass(frozen=True)
class AssessRequest:
    """What `agrifm assess` is asked for; the words are those of the command."""

    project: Path
    map: Path
    reference: Path
    out: Path
    label: str | None = None
    unit: YieldUnit | None = None
    scores: Path | None = None
    training: Path | None = None
    layer: str | None = None
    crs: str | None = None
    encoding: str | None = None
    districts: Path | None = None
    district: str = "name"
    declared: Path | None = None
    crop: str = "crop"
    sampling: Sampling | None = None
    pdf: bool = False


FOREIGN: dict[Task | None, tuple[str, ...]] = {
    None: ("unit",),
    "yield": ("scores", "declared"),
    "fractions": ("scores", "declared", "unit", "districts", "sampling"),
}
"""By kind of map (None = classes) the options that it does not have."""
KINDS: dict[Task | None, str] = {None: "classes", "yield": "yields", "fractions": "shares"}


def assess_map(request: AssessRequest) -> list[str]:
    """Assess a map of classes, yields or shares, and return the report in sentences.

    Raises:
        AssessmentError: see the functions of each kind; or an option is for another kind of map, or yields have no
            unit; or a PDF is asked for, and there is no browser.
        ConfigError: the project file cannot be read.
    """
    if request.pdf:
        find_browser()  # before any work
    task = None if zone_mosaics(request.map) else task_of_numbers(request.map)
    _require_options(request, task)
    config = reference_config(request.project)
    require_task_of_map(request.project, request.map)
    stated = {name: getattr(request, name) for name in ("layer", "crs", "encoding") if getattr(request, name)}
    keys = config.model_copy(update=stated)
    lines = _of_classes(request, config, keys) if task is None else _of_numbers(request, config, keys, task)
    written = ["report.html", *(["report.pdf"] if request.pdf else [])]
    return [*lines, *(f"wrote {request.out / name}" for name in written)]


def _require_options(request: AssessRequest, task: Task | None) -> None:
    about = f"assessing the map {request.map}"
    for name in FOREIGN[task]:
        if getattr(request, name) is not None:
            fitting = [KINDS[kind] for kind, names in FOREIGN.items() if name not in names]
            raise AssessmentError(
                f"{about}: it is a map of {KINDS[task]}, and --{name} is for maps of {' and '.join(fitting)}; remove "
                "the option",
                option=name,
                task=task,
            )
    if task == "yield" and request.unit is None:
        raise AssessmentError(
            f"{about}: it is a map of yields in t/ha, and the unit of the reference is not stated, which numbers do "
            f"not show; add --unit, one of {', '.join(TONNES)}",
            option="unit",
            task=task,
        )


def _of_classes(request: AssessRequest, config: AssessConfig, keys: AssessConfig) -> list[str]:
    from agrifm.assess.report import assess
    from agrifm.assess.report_lines import report_lines

    report = assess(
        request.map,
        request.reference,
        request.label or config.column,
        request.out,
        scores=request.scores,
        training=request.training,
        keys=keys,
        training_keys=config.training_file,
        districts=None if request.districts is None else PolygonFile(request.districts, request.district),
        pdf=request.pdf,
        sampling=request.sampling,
        declared=None if request.declared is None else PolygonFile(request.declared, request.crop),
    )
    return report_lines(report)


def _of_numbers(request: AssessRequest, config: AssessConfig, keys: AssessConfig, task: Task) -> list[str]:
    training = None if request.training is None else TrainingFile(request.training, config.training_file)
    named: dict[str, Any] = {"keys": keys, "training": training, "pdf": request.pdf}
    label = request.label or config.column
    if task == "fractions":
        from agrifm.assess.share_report import assess_shares, share_report_lines

        return share_report_lines(assess_shares(request.map, request.reference, label, request.out, **named))
    from agrifm.assess.yield_report import assess_yields, yield_report_lines

    assert request.unit is not None, "see `_require_options`"
    districts = None if request.districts is None else PolygonFile(request.districts, request.district)
    return yield_report_lines(
        assess_yields(
            request.map,
            request.reference,
            label,
            request.unit,
            request.out,
            request.crop,
            districts=districts,
            sampling=request.sampling,
            **named,
        )
    )
