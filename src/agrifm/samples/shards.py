"""Shards for pretraining: series of single pixels in files that are read one after the other.

A directory has `shards.json` and one safetensors file for each shard, with the arrays of `SHARD_ARRAYS` for every
sensor and of `PLACE_ARRAYS`. The index has the sensors with their bands in order, what fractions and
covers mean, and the SHA-256 of every file: a damaged one is named and left out.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors.numpy import load, save

from agrifm.errors import LabelError, doing
from agrifm.files import AnyPath, as_path, write_bytes, write_json
from agrifm.record import SensorInput
from agrifm.validation import Frozen, complaint

INDEX = "shards.json"
SHARD_ARRAYS = ("values", "day", "length", "fractions", "cover", "sowing", "harvest")
"""Arrays of a sensor, named `SENSOR.ARRAY`: (n, T, C) int16 in the sensor's scale; (n, T) int16 days since the season's
start, ascending; (n,) int16 observations without padding; (n, groups) float32 shares of land cover; (n,) uint8 number
of the cover, 255 = mixed; (n,) int16 days of sowing and harvest since the season's start, `NO_DAY` = none."""
PLACE_ARRAYS = ("place", "lon", "lat", "season_start")
"""(n,) number of the place, degrees, degrees, days since 1970-01-01."""
NO_DAY = -(2**15)
FRACTION_TOLERANCE = 0.01
"""Shares of land cover may differ from a sum of 1 by this much."""

Arrays = Mapping[str, NDArray[Any]]


class ShardEntry(Frozen):
    """One file of shards."""

    file: str
    samples: int = Field(gt=0)
    sha256: str


class ShardIndex(Frozen):
    """What a directory of shards contains."""

    format: Literal[1] = 1
    sensors: tuple[SensorInput, ...] = Field(min_length=1)
    """Bands in the order of the values."""
    groups: dict[str, str] = Field(min_length=2)
    """Groups of land cover in the order of the fractions: key -> name."""
    covers: tuple[str, ...] = ()
    """Names of covers in the order of their numbers."""
    season_days: int = Field(gt=0)
    """Length of the season of every sample."""
    origin: dict[str, Any]
    """How the shards were made."""
    shards: tuple[ShardEntry, ...]


@dataclass(frozen=True)
class Shards:
    """An opened directory of shards: those that are whole."""

    directory: Path
    index: ShardIndex
    whole: tuple[ShardEntry, ...]
    damaged: tuple[str, ...]
    """Files that are missing or not as they were written."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, in sentences."""
        if not self.damaged:
            return ()
        count = f"{len(self.damaged)} of {len(self.index.shards)} shards"
        return (f"{count} in {self.directory} are damaged and left out: {', '.join(self.damaged)}",)

    def read(self, entry: ShardEntry) -> Arrays:
        """Return the arrays of a shard by name."""
        return load((self.directory / entry.file).read_bytes())


def write_shard(file: Path, arrays: Arrays) -> dict[str, Any]:
    """Write a shard, whole or not at all; returns what its `ShardEntry` holds."""
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    write_bytes(file, content)
    samples = len(next(iter(arrays.values())))
    return {"file": file.name, "samples": samples, "sha256": hashlib.sha256(content).hexdigest()}


def write_index(directory: Path, index: ShardIndex) -> None:
    """Write the index of a directory of shards."""
    write_json(directory / INDEX, index.model_dump(mode="json"))


def open_shards(directory: AnyPath, sensors: Sequence[SensorInput] = ()) -> Shards:
    """Open a directory of shards and compare every file with its checksum.

    Args:
        sensors: what is expected; their order does not matter, that of their bands does.

    Raises:
        LabelError: it is not a directory of shards, all are damaged, a sensor differs from what is expected, or the
            fractions of the first whole shard do not sum to 1.
    """
    directory = as_path(directory)
    about = f"opening the shards {directory}"
    with doing(about, LabelError, "`agrifm pretrain` makes them if its file has [world]", path=directory):
        content = (directory / INDEX).read_bytes()
    try:
        index = ShardIndex.model_validate_json(content)
    except ValidationError as error:
        raise LabelError(f"{about}: {complaint(error, ShardIndex)}", path=directory) from error
    require_sensors(index, sensors, about)
    whole = tuple(entry for entry in index.shards if _is_whole(directory / entry.file, entry.sha256))
    damaged = tuple(entry.file for entry in index.shards if entry not in whole)
    if not whole:
        raise LabelError(
            f"{about}: all of its {len(index.shards)} shards are damaged or missing ({', '.join(damaged[:3])}); "
            "copy or make them again",
            damaged=damaged,
        )
    shards = Shards(directory, index, whole, damaged)
    _require_fractions(shards, about)
    return shards


def _is_whole(file: Path, expected: str) -> bool:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while part := stream.read(1 << 20):
                digest.update(part)
    except OSError:
        return False
    return digest.hexdigest() == expected


def require_sensors(index: ShardIndex, sensors: Sequence[SensorInput], about: str) -> None:
    """Refuse shards whose sensors, bands, order of bands, quantities or scales are not the expected ones.

    Args:
        about: the start of an error's sentence.

    Raises:
        LabelError: see above.
    """
    found = {sensor.sensor: sensor for sensor in index.sensors}
    for wanted in sensors:
        has = found.get(wanted.sensor)
        if has is None:
            raise LabelError(
                f"{about}: they have no '{wanted.sensor}' (but {', '.join(found)}); make shards with that sensor",
                sensor=wanted.sensor,
            )
        for field in ("bands", "quantity", "scale"):
            expected, actual = getattr(wanted, field), getattr(has, field)
            if expected != actual:
                raise LabelError(
                    f"{about}: their '{wanted.sensor}' has {field} {actual!r} where {expected!r} is expected; make the "
                    "shards again with that order and unit",
                    sensor=wanted.sensor,
                    field=field,
                    expected=expected,
                    found=actual,
                )


def _require_fractions(shards: Shards, about: str) -> None:
    """Refuse shares of land cover below 0, and shares whose sum is not 1."""
    arrays = shards.read(shards.whole[0])
    for sensor in shards.index.sensors:
        fractions = arrays[f"{sensor.sensor}.fractions"]
        total = fractions.sum(axis=1)
        wrong = np.flatnonzero(~(np.abs(total - 1) <= FRACTION_TOLERANCE) | (fractions < 0).any(axis=1))
        if len(wrong):
            raise LabelError(
                f"{about}: the shares of land cover of sample {wrong[0]} of {shards.whole[0].file} sum to "
                f"{total[wrong[0]]:.3g}; give shares from 0 to 1 that sum to 1",
                sample=int(wrong[0]),
                total=float(total[wrong[0]]),
            )
