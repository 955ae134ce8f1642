"""`agrifm train` with the task "boundaries": networks of field boundaries, scored by their fields on unseen blocks.

Next to the networks `classic` is scored: edges of the greenness of the season, without learning but for three
thresholds (`agrifm.train.field_edges`).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.config import Project
from agrifm.cube.store import Cube, open_cube
from agrifm.errors import LabelError, require_installed
from agrifm.fields.outlines import FieldSizes, OutlineRule
from agrifm.fields.segments import SegmentRule
from agrifm.files import finite_or_none, translate_os_errors, write_json
from agrifm.grid import Window
from agrifm.inference.predictor import TrainedModel, load_model
from agrifm.legend import UNLABELLED
from agrifm.model_config import ModelConfig
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.outputs import begin_directory, unchanged, writing
from agrifm.record import FIELD_MAPS, TRAINING_DATA, ModelRecord, is_classic, is_network
from agrifm.samples.field_labels import FieldPatches, read_field_labels
from agrifm.samples.labels import Labels
from agrifm.samples.patches import Tiles
from agrifm.samples.split import FOLDS
from agrifm.samples.targets import field_targets
from agrifm.train.cube_network import NetworkTask, array_digest, train_network, write_training_data
from agrifm.train.data import Data, prepare
from agrifm.train.field_edges import EDGE_SEGMENTS, edge_maps, fit_edges, season_edges
from agrifm.train.field_prediction import FieldTruth, choose_segment_rule, field_polygons, predict_whole, score_fields
from agrifm.train.publish import SCORES, publish, require_inputs_apart


def train_boundaries(project: Project, compute: Compute = DEFAULT_COMPUTE) -> dict[str, Any]:
    """Train the project's networks for field boundaries; a stopped run continues.

    Args:
        compute: how networks compute in training (docs/precision.md).

    Returns:
        The scores, as written to `models/scores.json`, with "kept" and "written" as of `agrifm.train.run.train`.

    Raises:
        LabelError, CubeError, ModelError, OutputError, ConfigError: before anything is overwritten.
    """
    require_inputs_apart(project)
    config = project.training
    for name in filter(is_network, config.names):
        require_installed(f"training {name}", "deep", "torch", "lightning")
    with (
        writing(project.models, "models") as staging,
        unchanged(project.source, "training") as require_unchanged,
    ):
        cube = open_cube(project.source)
        data = field_data(prepare(cube, project_field_labels(project, cube), project.labels.block, config))
        with translate_os_errors(f"writing the models {project.models}"):
            begin_directory(staging)
        write_training_data(data, staging / TRAINING_DATA)
        outline, scores, kept = _sizes(project).in_pixels(cube.target), {}, []
        for name in config.names:
            if is_classic(name):
                scores[name] = _score_edges(data, outline)
                continue
            file = f"{name}.safetensors"
            places = (staging / file, project.models / file)
            model, is_new = _train_network(data, config, name, places, compute)
            kept += [] if is_new else [name]
            maps = predicted_maps(model, data.network_tiles, data.cube.target.shape)
            rule = SegmentRule.model_validate(model.record.training["segments"])
            scores[name] = _scored(maps, rule, outline, data) | {"training": model.record.training}
        result = {
            "task": "boundaries",
            "models": scores,
            "blocks": data.split.blocks,
            "fields": {fold: int((data.split.place_fold == at).sum()) for at, fold in enumerate(FOLDS)},
            "tolerance": cube.target.resolution,
            "notes": list(data.labels.notes),
        }
        require_unchanged()
        write_json(staging / SCORES, result)
        with translate_os_errors(f"writing the models {project.models}"):
            names = [name for name in config.names if is_network(name)]
            written = publish(staging, project.models, names)
    return {**result, "kept": kept, "written": written}


def project_field_labels(project: Project, cube: Cube) -> Labels:
    """Read the fields of a project on the target grid of its cube.

    Raises:
        LabelError: see `agrifm.samples.field_labels.read_field_labels`; also, the project has no file of them.
    """
    config = project.labels
    if config.file is None or config.series is not None:
        raise LabelError(
            'reading the fields: `task` "boundaries" needs polygons of fields as `file` under [labels], and no '
            "table of series"
        )
    return read_field_labels(
        project.path(config.file),
        cube.target,
        cube.area,
        config.fold_column,
        None if config.other is None else project.path(config.other),
        config.other_values,
        config,
        config.other_file,
    )


def field_data(data: Data) -> Data:
    """Return data whose samples have the targets of boundaries."""
    targets = field_targets(data.labels.place, data.labels.label != UNLABELLED)
    training, validation = (
        FieldPatches(old.tiles, old.label, old.windows, targets, data.labels.place)
        for old in (data.training, data.validation)
    )
    return replace(data, training=training, validation=validation)


def field_truth(data: Data, fold: str) -> FieldTruth:
    """Return the fields of a fold's blocks."""
    known = (data.split.fold == FOLDS.index(fold)) & (data.labels.label != UNLABELLED)
    return FieldTruth(data.cube.target, data.labels.place, known, data.labels.places.geometry.to_numpy())


def predicted_maps(model: TrainedModel, tiles: Tiles, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the boundary, distance and extent (3, H, W) of a whole grid, NaN where nothing was observed."""

    def predict(window: Window) -> NDArray[np.floating]:
        sample = tiles.sample(window)
        return np.where(sample.any_valid, model.probabilities(sample), np.float32(np.nan))

    return predict_whole(predict, shape, model.record.side)


def with_segment_rule(model: TrainedModel, data: Data) -> ModelRecord:
    """Return a model's record with the rule by which fields grow best from its maps on the validation blocks."""
    maps = predicted_maps(model, data.network_tiles, data.cube.target.shape)
    rule, f1 = choose_segment_rule(maps, field_truth(data, "validation"))
    training = {**model.record.training, "segments": rule.model_dump(), "segments_object_f1": round(f1, 6)}
    return model.record.model_copy(update={"training": training})


def _sizes(project: Project) -> FieldSizes:
    return FieldSizes(project.map.minimum_area, project.map.largest_hole)


def _train_network(
    data: Data, config: ModelConfig, name: str, places: tuple[Path, Path], compute: Compute
) -> tuple[TrainedModel, bool]:
    """A network of the family `name`, and whether it is new."""
    from agrifm.inference.field_maps import with_boundaries
    from agrifm.train.initialise import initial_network
    from agrifm.train.objectives import Boundaries, cube_recipe

    def finish(record: ModelRecord, draft: Path) -> ModelRecord:
        return with_segment_rule(load_model(draft), data)

    task = NetworkTask(
        Boundaries(augmentation=cube_recipe(config), season_days=data.cube.season.days),
        len(FIELD_MAPS),
        lambda architecture: initial_network(config.weights, with_boundaries(architecture), data.sensors),
        finish,
        (array_digest(data.labels.place),),
    )
    return train_network(data, config, name, places, compute, task)


def _score_edges(data: Data, outline: OutlineRule) -> dict[str, Any]:
    edges = season_edges(data.tiles, data.cube.target.shape)
    rule, _ = fit_edges(edges, field_truth(data, "train"))
    found = _scored(edge_maps(edges, rule), EDGE_SEGMENTS, outline, data)
    return found | {"training": {"edges": rule._asdict()}}


def _scored(maps: NDArray[np.floating], rule: SegmentRule, outline: OutlineRule, data: Data) -> dict[str, Any]:
    truth = field_truth(data, "test")
    polygons = field_polygons(maps, data.cube.target, rule, outline)
    scores: dict[str, Any] = finite_or_none(score_fields(maps, polygons, truth))
    return scores
