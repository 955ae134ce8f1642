"""Networks of any family trained on a cube, for the objective of a task."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas
from numpy.typing import NDArray

from agrifm.errors import ConfigError
from agrifm.files import translate_os_errors, write_geopackage, write_json
from agrifm.inference.predictor import TrainedModel, is_trained, load_model, load_record
from agrifm.model_config import ModelConfig, leaf_json
from agrifm.models.precision import DEFAULT_COMPUTE, Compute
from agrifm.record import TRAINING_DATA, ModelRecord
from agrifm.samples.split import FOLDS
from agrifm.stac import write_model_item
from agrifm.train.data import Data, cube_record, require_step_memory
from agrifm.train.table_folds import training_places
from agrifm.work import Resumable, fingerprint

if TYPE_CHECKING:
    from agrifm.models.agrifm.network import AgriFM, AgriFMConfig
    from agrifm.train.fit import Objective, Outcome


VALIDATED = {
    "boundaries": "validation_object_f1",
    "yield": "validation_r2",
    "fractions": "validation_accuracy_of_shares",
}
"""By task what its record calls the score by which weights are kept, if it is not macro F1."""


@dataclass(frozen=True)
class NetworkTask:
    """What a network is trained for, and how it begins."""

    objective: "Objective"
    outputs: int
    """Numbers per pixel of families other than AgriFM."""
    start: "Callable[[AgriFMConfig], tuple[AgriFM, dict[str, Any]]]"
    """Makes an AgriFM from a preset's configuration; what its record says of initial weights
    (`agrifm.train.initialise.initial_network`)."""
    finish: Callable[[ModelRecord, Path], ModelRecord]
    """Completes a record by what the trained network, in a file, answers on the validation blocks."""
    more: tuple[str, ...] = ()
    """What else decides the network."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What its record says of the task from the beginning."""


def train_network(
    data: Data,
    config: ModelConfig,
    name: str,
    places: tuple[Path, Path],
    compute: Compute,
    task: NetworkTask,
) -> tuple[TrainedModel, bool]:
    """Train a network of the family `name` on a cube; a stopped run continues.

    Args:
        places: where it is written, and where an earlier run may have written it.
        task: what it is trained for.

    Returns:
        The network, and whether it is new: one of the same fingerprint is not trained again.
    """
    from agrifm.models.weights.file import save_model

    path, earlier = places
    network, record = _initial(data, config, name, compute, task)
    record = record.model_copy(update={"name": path.stem})
    parameters = sum(parameter.numel() for parameter in network.parameters())
    # `weights` is left out, because the record has their digest, whatever their path.
    digest = data_fingerprint(record, data, [leaf_json(config, "weights"), *task.more])
    for place in (path, earlier):
        if is_trained(place, digest):
            write_model_item(path, load_record(place), parameters, path.parent / TRAINING_DATA)
            return load_model(place), place == path
    require_step_memory(name, network.config, data, config, compute.recompute)
    work = Resumable(path.with_name(f"{path.stem}.partial"), digest)
    if not work.begun:
        with translate_os_errors(f"training {path}"):
            work.begin()
    outcome = _fit(data, config, network, record, work.scratch, compute, task.objective)
    training = {
        **record.training,
        "preset": config.preset,
        "fingerprint": digest,
        "steps": outcome.steps,
        "kept_round": outcome.kept_round,
        VALIDATED.get(record.task, "validation_macro_f1"): round(outcome.kept_score, 6),
    }
    record = record.model_copy(update={"training": training})
    timing = {"seconds": round(outcome.seconds, 1), "share_of_time_waiting_for_data": round(outcome.waiting_share, 4)}
    write_json(path.with_suffix(".timing.json"), timing)
    draft = work.scratch / path.name
    save_model(draft, network, record)
    record = task.finish(record, draft)
    save_model(path, network, record)  # last: once it exists, all of the model exists but what follows from it
    write_model_item(path, record, parameters, path.parent / TRAINING_DATA)
    work.remove()
    return load_model(path), True


def _fit(
    data: Data,
    config: ModelConfig,
    network: Any,
    record: ModelRecord,
    work: Path,
    compute: Compute,
    objective: "Objective",
) -> "Outcome":
    """Train a network in place, with checkpoints in `work`."""
    from agrifm.models.classifier import Classifier
    from agrifm.models.family import FAMILIES
    from agrifm.train.fit import Hyperparameters, fit
    from agrifm.train.objectives import cube_recipe

    averaging = cube_recipe(config).averaging
    return fit(
        Classifier(network, record.sensors, config.series),
        objective,
        record.sensors,
        data.training if data.mixed is None else data.mixed.training,
        data.validation if data.mixed is None else data.mixed.validation,
        Hyperparameters(
            config.steps, config.batch, config.learning_rate, config.seed, config.sensor_dropout, averaging
        ),
        work,
        compute,
        FAMILIES[record.family].first_channels(network.config),
        record.family,
    )


def _initial(
    data: Data, config: ModelConfig, name: str, compute: Compute, task: NetworkTask
) -> tuple[Any, ModelRecord]:
    """The network of a family before training, and its record."""
    import torch

    from agrifm.models.agrifm.network import AgriFMConfig
    from agrifm.models.family import FAMILIES
    from agrifm.train.peers import initial_peer

    days = data.cube.season.days
    family = FAMILIES[name]
    # released weights have one shape
    size = "base" if family.released is not None and config.weights is not None else config.preset
    architecture = family.preset(size, data.sensors, task.outputs, config.frames, config.series, days)
    torch.manual_seed(config.seed)
    network: Any
    if isinstance(architecture, AgriFMConfig):
        network, start = task.start(architecture)
    else:
        place = data.cube.area.centroid
        frozen = config.encoder == "frozen"
        location = (round(place.y, 2), round(place.x, 2))
        network, start = initial_peer(family, architecture, config.weights, config.frames, frozen, location)
    record = cube_record(data, config, name, network.config.model_dump(mode="json"), "torch", "lightning")
    if family.statistics is not None:
        record = record.model_copy(update={"sensors": family.statistics(network.config, data.sensors)})
    unusual = {} if compute == DEFAULT_COMPUTE else {"computed": asdict(compute)}
    series = {} if data.mixed is None else {"series": data.mixed.about}
    training = {**record.training, **start, **unusual, **series, **task.about}
    return network, record.model_copy(update={**_series(data, config, name), "training": training})


def _series(data: Data, config: ModelConfig, name: str) -> dict[str, Any]:
    """The part of a network's record on its series, and on sensors that may be absent."""
    others = tuple(sensor.sensor for sensor in data.sensors[1:])
    if config.sensor_dropout and not others:
        raise ConfigError(
            f"training {name}: `sensor_dropout` is {config.sensor_dropout:g}, but '{data.sensors[0].sensor}' is the "
            "only sensor; leave `sensor_dropout` out, or fetch another sensor",
            sensor=data.sensors[0].sensor,
        )
    return {"series": config.series, "absent_sensors": others if config.sensor_dropout else ()}


def data_fingerprint(record: ModelRecord, data: Data, more: Sequence[str]) -> str:
    """Return the fingerprint of everything that decides a model; a stopped run continues only if it is unchanged."""
    content = [
        record.model_dump_json(),
        *more,
        str(data.cube.provenance.get("plan")),
        array_digest(data.training.label),
        array_digest(data.validation.label),
    ]
    return fingerprint(content)


def array_digest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's numbers."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def write_training_data(data: Data, path: Path) -> None:
    """Write the parcels and points of the training and validation blocks, in longitude and latitude."""
    places = data.labels.places
    used = data.split.place_fold != FOLDS.index("test")
    frame = places.loc[used, ["code", "geometry"]].to_crs("EPSG:4326")
    frame["fold"] = [FOLDS[fold] for fold in data.split.place_fold[used]]
    if data.mixed is not None:
        frame = pandas.concat([frame, training_places(data.mixed.data)], ignore_index=True)
    write_geopackage(path, frame)
