"""From a cube and a trained model to a map: a directory with COGs, a STAC item and a picture.

    map/classes.tif        class numbers, 255 = nodata; colours, names and legend inside
    map/classes.tif.aux.xml  names and colours for GDAL, and in classes.qml for QGIS; so for other layers
    map/confidence.tif     probability of the class in percent, 255 = nodata
    map/certainty.tif      one candidate class, two or unknown; and map/second.tif (`agrifm.mapping.certainty_layer`)
    map/dissimilarity.tif  to the training data; and map/applicability.tif (`agrifm.mapping.dissimilarity_layer`)
    map/yield.tif          of the task "yield", instead of all other rasters (`agrifm.mapping.yield_layer`)
    map/fractions.tif      of the task "fractions", instead of all other rasters (`agrifm.mapping.share_layer`)
    map/probabilities.tif  of all classes, on request; entropy.tif and observations.tif too (`probability_layer`)
    map/item.json          STAC item: hectares, season, software, model and cube it was derived from
    map/map.png            the first two, and the certainty, to look at

Finished windows are kept in `map.partial/windows` until the map is finished; `MapPlan.scratch_bytes` is their size.
"""

import hashlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal
from uuid import uuid4

from agrifm.codes import listed
from agrifm.config import Project
from agrifm.cube.store import Cube, open_cube
from agrifm.cube.until import cube_known, last_observed
from agrifm.errors import LabelError, MapError, ModelError, did_you_mean, require_installed
from agrifm.files import AnyPath, as_path, content_digest, translate_os_errors
from agrifm.grid import Window
from agrifm.inference.mean import members_of
from agrifm.inference.predictor import TorchModel, TrainedModel, graph_side, load_model, load_record, uncalibrated
from agrifm.inference.training_reference import REFERENCE, TrainingReference
from agrifm.legend import Legend
from agrifm.map_cleaning import NO_CLEANING, Cleaning
from agrifm.mapping.certainty_layer import why_without_certainty
from agrifm.mapping.cog import translate_gdal_errors
from agrifm.mapping.dissimilarity_layer import why_without_dissimilarity
from agrifm.mapping.kept_map import hectares_if_current, note_request, request_for_map
from agrifm.mapping.map_item import cube_content, write_item_of
from agrifm.mapping.map_rasters import write_picture, write_rasters
from agrifm.mapping.predict import MapSources, predict_windows, predict_windows_elsewhere
from agrifm.mapping.window_store import Probabilities, WindowStore
from agrifm.mapping.windows import PROBABILITY_DTYPE, MapPlan, plan_map
from agrifm.model_config import WITHOUT_CLASSES
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.object_store import ObjectPath, as_place
from agrifm.outputs import begin_directory, discard, finish_directory, unchanged, writing
from agrifm.published import current
from agrifm.publishing import publishing
from agrifm.record import TRAINABLE, ModelRecord, model_file
from agrifm.work import Resumable, fingerprint, progress

WINDOWS, RESULT = "windows", "map"
"""While a map is made: the directories of the finished windows, and of the map that is made of them."""
POINT_WINDOW = 96
"""Side of the prediction windows of models of single pixels, which have none by themselves."""

Predictions = Callable[[Iterable[Window]], Generator[tuple[Window, Probabilities], None, None]]
"""Predicts windows in any order."""


@dataclass(frozen=True)
class MapSummary:
    """What was mapped."""

    path: Path
    hectares: dict[str, float]
    """Mapped, by class code; geodesic where pixels are in degrees."""
    nodata_hectares: float
    """Inside the area, without a valid observation."""
    windows: int
    """Predicted windows, those of an interrupted run included."""
    seconds: float
    """Duration of this run."""
    absent_sensors: tuple[str, ...] = ()
    """Sensors that the model uses if the cube has them, and this cube lacks."""
    notes: tuple[str, ...] = ()
    """What to know of the model that made the map."""
    trust: tuple[str, ...] = ()
    """How far the map can be trusted, in a sentence for each layer, or why it is not there."""
    kept: bool = False
    """Whether it was there already, and nothing that decides it had changed."""

    @property
    def area_hectares(self) -> float:
        """Hectares of the area: mapped and nodata."""
        return sum(self.hectares.values()) + self.nodata_hectares

    def lines(self) -> list[str]:
        """Describe the map in sentences."""
        areas = ", ".join(f"{code} {hectares:.0f}" for code, hectares in self.hectares.items())
        absent = ", ".join(self.absent_sensors)
        return [
            *self.notes,
            *([f"the cube has no {absent}; mapped without, as the model was trained to do"] if absent else []),
            f"mapped hectares: {areas}; without a valid observation {self.nodata_hectares:.0f}",
            *self.trust,
            f"kept {self.path}: nothing that decides it has changed" if self.kept else f"wrote {self.path}",
        ]


def map_project(
    project: Project,
    model: AnyPath | None = None,
    out: AnyPath | None = None,
    compute: Compute = DEFAULT_COMPUTE,
    executor: Executor | None = None,
    until: date | Literal["today"] | None = None,
) -> MapSummary:
    """Map the project's area; a stopped map continues.

    Args:
        model: model file; by default the one named under [map].
        out: directory of the map; by default `map/` next to the project file, and `map-until-DAY/` with `until`.
        compute, executor: see `map_area`.
        until: nothing that was observed after this day of the season is read; "today" is the last day on which the cube
            has an observation until now, and the map is kept if nothing that decides it has changed since.

    Raises:
        MapError, ModelError, CubeError, OutputError: see `map_area`; also, [map] names an unknown model.
    """
    model = None if model is None else as_path(model)
    published = out is None
    out = None if out is None else as_path(out)
    source = current(project.source)  # all of the map is made from one version of it
    follows = until == "today" or project.tile is not None  # of many tiles, most are as they were
    if until == "today":
        until = last_observed(open_cube(source), date.today())
    path = model or named_model(project)
    record = load_record(path)
    _require_task(project, record, path)
    side = record.side
    window = graph_side(path) or window_side(project, side)
    overlap = project.map.overlap if side > 1 and 2 * project.map.overlap <= window else 0
    kept = project.parcels is not None if project.map.probabilities is None else project.map.probabilities
    out = out or (project.maps if until is None else project.path(f"map-until-{until}"))
    cleaning = Cleaning.model_validate(project.map.model_dump(include=set(Cleaning.model_fields)))
    if cleaning.cropland is not None:
        cleaning = cleaning.model_copy(update={"cropland": project.path(cleaning.cropland)})
    notes = _legend_notes(project, record.legend)
    raster = None if cleaning.cropland_raster is None else content_digest(cleaning.cropland_raster)
    settings = [window, overlap, asdict(compute), kept, until, cleaning.model_dump(), raster]
    request = request_for_map(source, path, settings) if follows else ""
    with publishing(out, project.published(out) if published else None, "map") as publication:
        if follows and (areas := hectares_if_current(out, request)) is not None:
            summary = MapSummary(out, *areas, windows=0, seconds=0.0, kept=True)
        else:
            lattice = project.tile is not None
            summary = map_area(source, path, out, window, overlap, compute, executor, kept, until, cleaning, lattice)
            if follows:
                note_request(out, request)
        return replace(summary, notes=(*notes, *publication.publish()))


def _require_task(project: Project, record: ModelRecord, path: Path) -> None:
    if reason := project.model.why_other_task(record.task, record.legend):
        raise ModelError(
            f"mapping with {path}: {reason}; train again (`agrifm train`), or change [model]",
            path=path,
            task=record.task,
        )


def _legend_notes(project: Project, trained: Legend) -> tuple[str, ...]:
    """A note if the project's legend is not the one that the model was trained with; the map has the model's."""
    if project.labels.legend is None:
        return ()
    try:
        legend = Legend.read(project.path(project.labels.legend))
    except LabelError:  # a map does not need the file
        return ()
    if legend == trained or (project.model.task != "crop-type" and set(legend.codes) <= set(trained.every_code)):
        return ()
    return (
        f"the map has the classes of the model ({listed(trained.codes)}), whose codes, names or colours differ from "
        f"those of {project.labels.legend} ({listed(legend.codes)}); train again to map with the latter",
    )


def window_side(project: Project, side: int) -> int:
    """Return the side of windows, pixels: that of [map], else that of the model."""
    return project.map.window or (POINT_WINDOW if side == 1 else side)


def named_model(project: Project) -> Path:
    """Return the file of the model that makes the map of a project; raises MapError if [map] names an unknown one."""
    name = project.map_model
    if name not in TRAINABLE:
        raise MapError(
            f"choosing the model to map with: unknown model '{name}'{did_you_mean(name, TRAINABLE)} "
            f"(known: {', '.join(TRAINABLE)})",
            model=name,
        )
    return model_file(project.models, name, project.model.seeds)


def map_area(
    cube_path: AnyPath | ObjectPath,
    model_path: AnyPath,
    out: AnyPath,
    window: int = 192,
    overlap: int = 48,
    compute: Compute = DEFAULT_COMPUTE,
    executor: Executor | None = None,
    probabilities: bool = False,
    until: date | None = None,
    cleaning: Cleaning = NO_CLEANING,
    lattice: bool = False,
) -> MapSummary:
    """Map the area of a cube with a model file, or continue a map that was stopped.

    Until the map is finished it needs next to `out` two bytes of disk per class for each pixel of each window
    (1.8 times the area's pixels with the defaults), and twice the two rasters.

    Args:
        out: the map's directory, replaced as a whole if it holds a map.
        window: side of a prediction window, pixels; with several sensors a multiple of 480 m.
        overlap: pixels shared with each neighbour and blended, at most half of `window`; with several sensors a
            multiple of 480 m.
        compute: how a network computes (docs/precision.md).
        executor: where windows are predicted: threads, processes, or that of `open_cluster`, on machines that can
            read both paths. None predicts in this process, while the next window is read.
        probabilities: whether the map also has the probabilities of all classes, which `agrifm parcels` needs.
        until: nothing that was observed after this day of the season is read.
        cleaning: what is done about land that is not cropland, single pixels and small regions of another class.
        lattice: see `plan_map`.

    Raises:
        CubeError: there is no finished cube, or it has nothing until that day.
        ModelError: the model file or that of its training features is unusable, does not fit the cube, needs more
            memory for a window than is free, or cannot compute in that way.
        MapError: window and overlap do not fit, the area has no valid observation, or the minimum mapping unit is too
            large.
        OutputError: the disk is full (finished windows are kept), or `out` holds something else.
    """
    cube_path = current(as_place(cube_path))
    model_path = as_path(model_path)
    out = as_path(out)
    with writing(out, "map"):
        cube, model = cube_known(open_cube(cube_path), until), load_model(model_path, compute)
        # By content, not by path: a model that was trained again must not continue the windows of the old one.
        with model_path.open("rb") as file:
            model_id = f"{hashlib.file_digest(file, 'sha256').hexdigest()} {compute.precision}"
        item = model_path.with_suffix(".json")
        features = model_path.with_name(REFERENCE).resolve()
        reference = TrainingReference.read(features) if features.exists() else None
        predict = None
        if executor is not None:
            used = reference is not None and why_without_dissimilarity(cube, model.record, reference) is None
            files = cube_path.resolve(), model_path.resolve()
            sources = MapSources(uuid4().hex, *files, compute, features if used else None, until)
            predict = partial(predict_windows_elsewhere, sources, executor=executor)
        return map_cube(
            cube, model, model_id, out, window, overlap, item, predict, reference, probabilities, cleaning, lattice
        )


def map_cube(
    cube: Cube,
    model: TrainedModel,
    model_id: str,
    out: AnyPath,
    window: int = 192,
    overlap: int = 48,
    model_item: AnyPath | None = None,
    predict: Predictions | None = None,
    reference: TrainingReference | None = None,
    probabilities: bool = False,
    cleaning: Cleaning = NO_CLEANING,
    lattice: bool = False,
) -> MapSummary:
    """Map the area of an open cube with a model in memory; see `map_area`.

    Args:
        model_id: differs between models and between precisions of one; windows of an interrupted map are used again
            only if it is the same.
        model_item: the model's STAC item, from which the map's is derived.
        predict: what predicts the windows; by default the model, in this process.
        reference: training pixels with which pixels are compared; None makes no layer of dissimilarity.
        probabilities, cleaning, lattice: see `map_area`.
    """
    out = as_path(out)
    model_item = None if model_item is None else as_path(model_item)
    began = time.monotonic()
    require_installed(
        f"mapping the cube {cube.path}", "report", "matplotlib", kind=MapError
    )  # not after hours of prediction
    plan = plan_map(cube, model.record, window, overlap, lattice)
    reference, missing = _usable_reference(plan, reference)
    require_window_memory(plan, model)
    with writing(out, "map") as partial_map, translate_os_errors(f"writing the map {out}"):
        begin_directory(partial_map)
        work = Resumable(partial_map / WINDOWS, fingerprint(_content(plan, model_id, reference)))
        if not work.begun:
            work.begin()
        store = WindowStore(work.scratch)
        predict_missing(
            plan, store, predict or partial(predict_windows, plan.cube, uncalibrated(model), reference=reference)
        )
        with made_anew(partial_map / RESULT) as result:
            with translate_gdal_errors(f"writing the map {out}"):
                written = write_rasters(plan, store, result, reference, probabilities, cleaning)
                write_picture(result, plan, written.hectares, written.nodata_hectares)
            write_item_of(result, out, plan, model, written, model_id, model_item, cleaning.cropland_raster)
            finish_directory(result, out, "map")
        discard(partial_map)
    seconds = time.monotonic() - began
    return MapSummary(
        out,
        written.hectares,
        written.nodata_hectares,
        len(plan.windows),
        seconds,
        plan.absent_sensors,
        trust=(*(one.line for one in written.statements), *(reason for reason in missing if reason)),
    )


def _usable_reference(
    plan: MapPlan, reference: TrainingReference | None
) -> tuple[TrainingReference | None, list[str | None]]:
    """The reference if a layer can be made with it, and why layers of trust are not there, None where they are."""
    if plan.record.task in WITHOUT_CLASSES:
        return None, []
    missing = [why_without_certainty(plan.record), why_without_dissimilarity(plan.cube, plan.record, reference)]
    return None if missing[1] else reference, missing


def require_window_memory(plan: MapPlan, model: TrainedModel) -> None:
    """Refuse windows of which a network could not predict one in the memory that is free."""
    dates = {sensor.sensor: len(plan.cube.sensors[sensor.sensor].date) for sensor in plan.sensors}
    height, width = (min(plan.side, length) for length in plan.grid.shape)
    about = f"mapping the cube {plan.cube.path} in windows of {plan.side} pixels"
    for member in members_of(model):
        if isinstance(member.model, TorchModel):
            record = member.model.record
            frames = {name: count if record.series == "observed" else record.frames for name, count in dates.items()}
            member.model.require_memory(frames, height, width, about, "choose a smaller `window`")


@contextmanager
def made_anew(result: Path) -> Iterator[Path]:
    """An empty directory for the map; what a failed or killed run left of it is removed, and the windows stay."""
    discard(result)
    result.mkdir()
    try:
        yield result
    finally:
        discard(result)


def _content(plan: MapPlan, model_id: str, reference: TrainingReference | None) -> dict[str, object]:
    """Everything that decides what the windows hold."""
    return {
        "cube": cube_content(plan),
        "model": [model_id, plan.record.model_dump(mode="json")],
        "windows": [plan.side, plan.overlap, PROBABILITY_DTYPE.name, list(plan.grid.shape)],
        "compared with": None if reference is None else reference.digest,
    }


def predict_missing(plan: MapPlan, store: WindowStore, predict: Predictions) -> None:
    """Predict and keep the windows that are not finished.

    Raises:
        OutputError: the cube was replaced meanwhile.
    """
    missing = store.missing(plan.windows.values())
    with (
        progress("predict", len(plan.windows), len(plan.windows) - len(missing)) as advance,
        closing(predict(missing)) as predicted,  # if writing fails, readers and workers stop now
        unchanged(plan.cube.path, "mapping") as require_unchanged,
    ):
        for window, probabilities in predicted:
            require_unchanged()  # no window of two cubes is kept
            store.write(window, probabilities)
            advance(1)
