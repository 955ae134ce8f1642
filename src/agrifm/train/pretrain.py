"""`agrifm pretrain`: from shards to weights that `agrifm train` starts from."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agrifm.errors import ConfigError, LabelError, ModelError
from agrifm.files import AnyPath, translate_os_errors
from agrifm.inference.predictor import is_trained
from agrifm.inference.tensors import tensor_batch
from agrifm.legend import PALETTE, Legend, LegendClass
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig
from agrifm.models.agrifm.point_network import point_config
from agrifm.models.classifier import Classifier
from agrifm.models.weights.file import read_record, save_model
from agrifm.outputs import writing_file
from agrifm.recipe import Augmentation
from agrifm.record import ModelRecord, SensorInput, SensorRecord, running_versions
from agrifm.samples.shard_samples import ShardSamples
from agrifm.samples.shards import ShardEntry, ShardIndex, Shards, open_shards, require_sensors
from agrifm.sensors import SENSORS
from agrifm.train.fit import Hyperparameters, fit
from agrifm.train.initialise import PRETRAINING
from agrifm.train.pretrain_config import PretrainConfig, read_pretraining
from agrifm.train.pretraining_objective import Pretraining
from agrifm.train.pretraining_terms import pretraining_tasks
from agrifm.train.world_shards import make_world_shards
from agrifm.work import Resumable, fingerprint

STEPS = 24
"""Steps to which the decoder brings each series, those of a network on tables by default."""
STATISTICS_SHARDS = 8
"""Shards from which mean and standard deviation are measured."""
VALIDATION_SAMPLES = 384
"""Samples of each source that are validated."""


@dataclass(frozen=True)
class Pretrained:
    """What a pretraining has made."""

    path: Path
    """File of the weights."""
    record: ModelRecord
    kept: bool
    """Whether the file was there already, with nothing changed that decides it."""
    notes: tuple[str, ...]
    """What was left out, in sentences."""


def pretrain(path: AnyPath, executor: Executor | None = None) -> Pretrained:
    """Pretrain a network of points by a file (`agrifm.train.pretrain_config`); a stopped run continues.

    Args:
        executor: where shards are simulated, if they are not there; see `make_world_shards`.

    Raises:
        ConfigError: the file cannot be used, or there are too few shards.
        LabelError: the shards cannot be used.
        OutputError: something cannot be written.
    """
    file, config = read_pretraining(path)
    out = file.parent / config.out
    if out.suffix != ".safetensors":
        raise ConfigError(f"pretraining {file}: `out` is {config.out}; it must end in .safetensors", out=config.out)
    shards = _shards(config, file, executor)
    training, validation = _divide(shards, config)
    digest = fingerprint([config.model_dump(mode="json"), [entry.sha256 for entry in shards.whole]])
    with writing_file(out, f"writing the weights {out}", _is_ours):
        if is_trained(out, digest):
            return Pretrained(out, read_record(out), True, shards.notes)
        work = Resumable(out.with_name(f"{out.stem}.partial"), digest)
        if not work.begun:
            with translate_os_errors(f"pretraining {out}"):
                work.begin()
        record, network = _train(config, shards, training, validation, work.scratch, digest, out.stem)
        save_model(out, network, record)
        work.remove()
    return Pretrained(out, record, False, shards.notes)


def describe_pretraining(made: Pretrained) -> list[str]:
    """Return what a pretraining made, in lines."""
    training = made.record.training
    about = training[PRETRAINING]
    terms = ", ".join(f"{name} {value:.3f}" for name, value in about["validation"].items())
    return [
        *made.notes,
        f"{training['steps']} steps on {about['samples']} points; errors on unseen places: {terms}",
        f"kept {made.path}: nothing that decides it has changed" if made.kept else f"wrote {made.path}",
    ]


def _is_ours(path: Path) -> bool:
    """Whether a file is one that `pretrain` wrote."""
    try:
        return PRETRAINING in read_record(path).training
    except ModelError:
        return False


def _shards(config: PretrainConfig, file: Path, executor: Executor | None) -> Shards:
    directory, world = file.parent / config.shards, config.world
    if world is None:
        shards = open_shards(directory)
    else:
        shards = make_world_shards(directory, world.seed, world.places, executor, world.points, world.places_per_shard)
    known = [sensor for sensor in shards.index.sensors if sensor.sensor in SENSORS]
    require_sensors(shards.index, [_in_our_order(sensor) for sensor in known], f"opening the shards {directory}")
    return shards


def _in_our_order(sensor: SensorInput) -> SensorInput:
    """The bands of a known sensor in the order of agrifm, as far as the shards have them."""
    bands = [band for band in SENSORS[sensor.sensor].band_names if band in sensor.bands]
    return sensor.model_copy(update={"bands": (*bands, *(band for band in sensor.bands if band not in bands))})


def _divide(shards: Shards, config: PretrainConfig) -> tuple[tuple[ShardEntry, ...], tuple[ShardEntry, ...]]:
    """Shards to train on and to validate with; a place is in one shard."""
    count = max(1, round(config.validation * len(shards.whole)))
    if count >= len(shards.whole):
        raise ConfigError(
            f"pretraining on the shards {shards.directory}: {len(shards.whole)} are left, but training and validation "
            "need different ones; make at least two, with more places or fewer `places_per_shard`",
            shards=len(shards.whole),
        )
    return shards.whole[:-count], shards.whole[-count:]


def _train(
    config: PretrainConfig,
    shards: Shards,
    training: Sequence[ShardEntry],
    validation: Sequence[ShardEntry],
    work: Path,
    digest: str,
    name: str,
) -> tuple[ModelRecord, AgriFM]:
    """Train, and return the record and the network that was kept."""
    sensors = shard_statistics(shards, training[:STATISTICS_SHARDS])
    torch.manual_seed(config.seed)
    network = AgriFM(pretraining_config(sensors, shards.index))
    classifier = Classifier(network, sensors, "observed")
    objective = Pretraining(
        config.terms,
        config.teacher,
        Augmentation(hidden=config.hidden, bands=config.bands),
        shards.index.season_days,
        config.radiometry,
    )
    held_out = ShardSamples(shards, validation, config.seed, config.frames, most=VALIDATION_SAMPLES)
    outcome = fit(
        classifier,
        objective,
        sensors,
        ShardSamples(shards, training, config.seed, config.frames),
        held_out,
        Hyperparameters(config.steps, config.batch, config.learning_rate, config.seed, averaging=config.averaging),
        work,
        channels=network.config.encoder.embed_dim,
        name="agrifm",
    )
    errors = objective.means(_validation_sums(classifier, objective, held_out, sensors, config.batch))
    about: dict[str, Any] = {
        "fingerprint": digest,
        "seed": config.seed,
        "steps": outcome.steps,
        "kept_round": outcome.kept_round,
        "validation_loss": round(-outcome.kept_score, 6),
        PRETRAINING: {
            "terms": config.terms,
            "teacher": config.teacher,
            "averaging": config.averaging,
            "frames": config.frames,
            "radiometry": config.radiometry.model_dump(),
            "validation": {term: round(error, 4) for term, error in errors.items()},
            "samples": sum(entry.samples for entry in training),
            "shards": shards.index.origin,
            "damaged": list(shards.damaged),
        },
    }
    return _record(network.config, sensors, shards.index, about, name), network


def _validation_sums(
    classifier: Classifier,
    objective: Pretraining,
    samples: ShardSamples,
    sensors: Sequence[SensorRecord],
    batch: int,
) -> NDArray[np.float64]:
    """The sums of the network that was kept."""
    total = np.zeros((2, len(objective.weights)))
    with torch.inference_mode():
        for chosen in samples.in_order(batch):
            tensors = tensor_batch([samples[index] for index in chosen], sensors, samples.lacking)
            total += objective.validation_sums(classifier, tensors)
    return total


def pretraining_config(sensors: Sequence[SensorInput], index: ShardIndex) -> AgriFMConfig:
    """Return the configuration of a network of points whose classes are the groups of land cover, with all tasks."""
    config = point_config(sensors, len(index.groups), STEPS, index.season_days)
    tasks = pretraining_tasks({sensor.sensor: sensor.bands for sensor in sensors}, max(len(index.covers), 1))
    return AgriFMConfig.model_validate({**config.model_dump(), "tasks": tasks})


def shard_statistics(shards: Shards, entries: Sequence[ShardEntry]) -> tuple[SensorRecord, ...]:
    """Return the sensors of shards with mean and standard deviation of each band over all observations.

    Raises:
        LabelError: a sensor has no observation.
    """
    result = []
    for sensor in shards.index.sensors:
        count, total, squares = 0, np.zeros(len(sensor.bands)), np.zeros(len(sensor.bands))
        for entry in entries:
            arrays = shards.read(entry)
            values = arrays[f"{sensor.sensor}.values"]
            inside = np.arange(values.shape[1]) < arrays[f"{sensor.sensor}.length"][:, None]
            seen = values[inside].astype(np.float64) * sensor.scale
            count, total, squares = count + len(seen), total + seen.sum(0), squares + (seen**2).sum(0)
        if not count:
            raise LabelError(
                f"reading the shards {shards.directory}: '{sensor.sensor}' has no observation; make other shards",
                sensor=sensor.sensor,
            )
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - mean**2, 1e-12))
        result.append(SensorRecord(**sensor.model_dump(), mean=tuple(mean.tolist()), std=tuple(std.tolist())))
    return tuple(result)


def _record(
    config: AgriFMConfig, sensors: tuple[SensorRecord, ...], index: ShardIndex, about: dict[str, Any], name: str
) -> ModelRecord:
    legend = Legend(
        classes=tuple(
            LegendClass(code=key, name=title, color=PALETTE[number % len(PALETTE)], scored=False)
            for number, (key, title) in enumerate(index.groups.items())
        )
    )
    return ModelRecord(
        name=name,
        family="agrifm",
        architecture=config.model_dump(mode="json"),
        sensors=sensors,
        frames=STEPS,
        series="observed",
        absent_sensors=tuple(sensor.sensor for sensor in sensors),
        side=1,
        legend=legend,
        season=(date(2021, 1, 1), date(2021, 12, 31)),
        training=about,
        versions=running_versions("torch", "lightning"),
    )
