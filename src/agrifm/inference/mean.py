"""The mean of models: a JSON file that names the members, and the model that averages their probabilities.

The file is the STAC item of the mean. Its property `agrifm:mean` has the members' file names, weights and digests, and
the legend, sensors and season that all of them share.

Shape letters: H W rows and columns.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from agrifm.calibration import calibrated
from agrifm.errors import ModelError, doing
from agrifm.files import AnyPath, as_path
from agrifm.record import ModelRecord, SensorInput, SensorRecord
from agrifm.samples.sample import Sample
from agrifm.stac import MEAN_PROPERTY, write_mean_item
from agrifm.validation import Frozen, complaint

if TYPE_CHECKING:
    from agrifm.inference.predictor import TrainedModel

WEIGHT_TOLERANCE = 1e-6
"""By how much the sum of the weights may differ from 1."""


class MeanMember(Frozen):
    """One of the models whose probabilities are averaged."""

    file: str = Field(pattern=r"^[^/\\]+\.(safetensors|skops|onnx)$")
    """Name of its file, in the directory of the mean."""
    weight: float = Field(gt=0, le=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Of the file."""


class MeanRecord(Frozen):
    """What the file of a mean contains."""

    format: Literal[1] = 1
    record: ModelRecord
    """What the members have in common."""
    members: tuple[MeanMember, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _weights_are_of_different_members(self) -> Self:
        if len({member.file for member in self.members}) < len(self.members):
            raise ValueError("a member is named twice")
        if abs(sum(member.weight for member in self.members) - 1) > WEIGHT_TOLERANCE:
            raise ValueError("the weights of the members do not add up to 1")
        return self


@dataclass(frozen=True)
class WeightedModel:
    """A member of a mean."""

    file: str
    weight: float
    model: "TrainedModel"


@dataclass(frozen=True)
class MeanModel:
    """Models whose probabilities are averaged, before calibration; the mean is calibrated as a whole."""

    record: ModelRecord
    """What the members have in common, and what all of them together need of a cube; its series are those of the first
    member."""
    members: tuple[WeightedModel, ...]
    """Their records have no calibration."""

    def probabilities(self, sample: Sample) -> NDArray[np.float32]:
        """Return class probabilities (classes, H, W), calibrated, of a sample that all members can read.

        Raises:
            ModelError: members read series of different kinds, so that no sample is for all of them.
        """
        records = [member.model.record for member in self.members]
        other = next((record for record in records if reading(record) != reading(records[0])), None)
        if other is not None:
            raise ModelError(
                f"predicting with the mean '{self.record.name}': its member '{other.name}' reads {other.series} series "
                f"of {other.frames} steps, and '{records[0].name}' {records[0].series} ones of {records[0].frames}; "
                "predict with each member, and average with `agrifm.inference.mean.mean_where_known`",
                member=other.name,
            )
        weights = [member.weight for member in self.members]
        mean = mean_where_known([member.model.probabilities(sample) for member in self.members], weights)
        return calibrated(self.record.calibration, mean)


def members_of(model: "TrainedModel") -> tuple[WeightedModel, ...]:
    """Return the members of a mean; any other model is its only member, with an empty file name."""
    return model.members if isinstance(model, MeanModel) else (WeightedModel("", 1.0, model),)


def reading(record: ModelRecord) -> tuple[Any, ...]:
    """Return what decides how the series of a model are read; models with the same can share a sample."""
    sensors = tuple((one.sensor, one.bands, one.mean) for one in record.sensors)
    return record.series, record.frames, record.margin, sensors


def mean_where_known(probabilities: Sequence[NDArray[np.float32]], weights: Sequence[float]) -> NDArray[np.float32]:
    """Return the weighted mean of probabilities of one shape.

    Where some are NaN (their model had no observation) the others are averaged, with the same proportions; where all
    are NaN, the mean is NaN.
    """
    total = np.zeros(probabilities[0].shape, np.float32)
    known = np.zeros(probabilities[0].shape, np.float32)
    for one, weight in zip(probabilities, weights, strict=True):
        missing = np.isnan(one)
        total += np.float32(weight) * np.where(missing, np.float32(0), one)
        known += np.float32(weight) * ~missing
    return np.divide(total, known, out=np.full_like(total, np.nan), where=known > 0)


def mean_record(name: str, family: str, records: Sequence[ModelRecord], training: dict[str, Any]) -> ModelRecord:
    """Return the record of a mean: what any member needs of a cube, the mean needs.

    Args:
        training: how the members and their weights were chosen.

    Raises:
        ModelError: the members differ in legend, sensors or season.
    """
    first = records[0]
    for record in records[1:]:
        _require_alike(first, record, f"averaging models in '{name}'")
    sensors = [_needed(number, records) for number in range(len(first.sensors))]
    lacking = [set(record.absent_sensors) for record in records]
    return first.model_copy(
        update={
            "name": name,
            "family": family,
            "architecture": {"kind": "mean"},
            "sensors": tuple(sensors),
            "absent_sensors": tuple(one for one in first.absent_sensors if all(one in some for some in lacking)),
            "side": max(record.side for record in records),
            "margin": max(record.margin for record in records),
            "calibration": None,
            "candidates": None,
            "training": training,
            "versions": {key: version for record in records for key, version in record.versions.items()},
        }
    )


def _needed(number: int, records: Sequence[ModelRecord]) -> SensorRecord:
    """A sensor of which only those bands may be absent that no member needs."""
    sensor = records[0].sensors[number]
    absent = [band for band in sensor.absent_bands if all(band in one.sensors[number].absent_bands for one in records)]
    return sensor.model_copy(update={"absent_bands": tuple(absent)})


def _require_alike(first: ModelRecord, second: ModelRecord, about: str) -> None:
    plain = set(SensorInput.model_fields)
    contents = [
        {
            "legend": record.legend,
            "sensors": [sensor.model_dump(include=plain) for sensor in record.sensors],
            "season": record.season,
        }
        for record in (first, second)
    ]
    for field, wanted in contents[0].items():
        if contents[1][field] != wanted:
            raise ModelError(
                f"{about}: '{second.name}' has another {field} than '{first.name}'; train both on the same labels and "
                "cube",
                member=second.name,
                field=field,
            )


def write_mean(
    path: AnyPath,
    record: ModelRecord,
    members: Sequence[tuple[Path, float]],
    parameters: int,
    training_data: Path,
) -> None:
    """Write the file of a mean.

    Args:
        members: file and weight of each; on the disk of the reader they are in the directory of the mean.
        parameters: of all members.
        training_data: see `agrifm.stac.write_model_item`.
    """
    entries = [MeanMember(file=file.name, weight=weight, sha256=_sha256(file)) for file, weight in members]
    content = MeanRecord(record=record, members=tuple(entries))
    files = [member.file for member in content.members]
    write_mean_item(as_path(path), record, files, content.model_dump(mode="json"), parameters, training_data)


def read_mean(path: AnyPath) -> MeanRecord:
    """Read the file of a mean, without its members.

    Raises:
        ModelError: it is absent, damaged, or not that of a mean.
    """
    path = as_path(path)
    about = f"reading the model {path}"
    with doing(about, ModelError, "`agrifm train` writes it", path=path):
        item = json.loads(path.read_text(encoding="utf-8"))
        properties = item["properties"] if isinstance(item, dict) else {}
        assets = item.get("assets", {}) if isinstance(item, dict) else {}
        weights = [asset["href"] for asset in assets.values() if "mlm:model" in asset.get("roles", [])]
    if MEAN_PROPERTY not in properties:
        instead = f"; give its weights, {path.parent / weights[0]}" if weights else "; `agrifm train` writes them"
        raise ModelError(f"{about}: it describes no mean of models{instead}", path=path)
    try:
        return MeanRecord.model_validate(properties[MEAN_PROPERTY])
    except ValidationError as error:
        raise ModelError(
            f"{about}: it is damaged ({complaint(error, MeanRecord)}); train it again", path=path
        ) from error


def load_mean(path: AnyPath, load: "Callable[[Path], TrainedModel]") -> MeanModel:
    """Read a mean and load its members.

    Args:
        load: loads the model of a file, without its calibration.

    Raises:
        ModelError: the file or a member is absent or was changed, or a member has another legend, other sensors or
            another season.
    """
    path = as_path(path)
    content = read_mean(path)
    members = tuple(WeightedModel(member.file, member.weight, load(file)) for member, file in _files(path, content))
    for member in members:
        _require_alike(content.record, member.model.record, f"reading the model {path}")
    stated = content.record
    records = [member.model.record for member in members]
    record = mean_record(stated.name, stated.family, records, stated.training)
    kept = {name: getattr(stated, name) for name in ("versions", "calibration", "candidates")}
    return MeanModel(record.model_copy(update=kept), members)


def _files(path: Path, content: MeanRecord) -> Iterator[tuple[MeanMember, Path]]:
    """The members with their paths.

    Raises:
        ModelError: see `load_mean`.
    """
    about = f"reading the model {path}"
    for member in content.members:
        file = path.parent / member.file
        if not file.is_file():
            raise ModelError(
                f"{about}: its member {file} does not exist; copy it to the same directory, or train again",
                path=path,
                member=member.file,
            )
        with doing(about, ModelError, path=file):
            found = _sha256(file)
        if found != member.sha256:
            raise ModelError(
                f"{about}: its member {file} has changed since they were averaged; copy it again, or train again",
                path=path,
                member=member.file,
            )
        yield member, file


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
