"""Classic models of any kind with their record: on pixels of a sample, and in files without pickle.

A file is a skops archive of plain arrays, texts and forests. The arrays of all trees are checked before skops makes
objects of them, a booster's text before LightGBM reads it, and all other arrays before they are used.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED

import numpy as np
from numpy.typing import NDArray

from agrifm.calibration import calibrated
from agrifm.classic.classics import ClassicRows, known_classes, restored_classic
from agrifm.classic.features import PARTS, Columns, Part, feature_margin, pixel_features
from agrifm.classic.forest import RandomForest, load_forest
from agrifm.classic.forest_structure import require_sound_trees
from agrifm.classic.indices import rule_numbers
from agrifm.classic.season_rule import SeasonRule
from agrifm.classic.share_regression import restored_shares
from agrifm.classic.singles import Member
from agrifm.classic.yield_regression import restored_yields
from agrifm.errors import ModelError, require_installed
from agrifm.files import AnyPath, as_path, write_bytes
from agrifm.record import ModelRecord, SensorInput, predicted_layers, yield_scale
from agrifm.season import Season
from agrifm.yields import YIELD_LAYERS

if TYPE_CHECKING:
    from agrifm.samples.sample import Sample

_TRUSTED = ["sklearn.tree._tree.Tree"]
"""Types outside of skops' list of safe types that a stored model may hold."""
PIXELS = 3072
"""Pixels that a core computes at once: fewer cost more calls, more do not stay in its cache."""


@dataclass(frozen=True)
class ClassicModel:
    """A fitted classic model and its record."""

    record: ModelRecord
    rows: ClassicRows

    def probabilities(self, sample: "Sample") -> NDArray[np.float32]:
        """Return class probabilities (classes, H, W), calibrated, of an interpolated sample, on all cores.

        A model of yields returns `agrifm.yields.YIELD_LAYERS` instead.
        Pixels without an observation enter as 0.
        """
        height, width = sample.label.shape
        result = np.zeros((predicted_layers(self.record), height, width), np.float32)
        cores = os.cpu_count() or 1
        turns = -(-height * width // (PIXELS * cores))
        band = max(1, -(-height // (turns * cores)))  # rows of pixels; every core gets as many

        def compute(first: int) -> None:
            where = np.zeros((height, width), bool)
            where[first : first + band] = True
            result[:, first : first + band] = self._computed(sample, where).reshape(len(result), -1, width)

        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(compute, range(0, height, band)))
        return calibrated(self.record.calibration, result)

    def of_pixels(self, sample: "Sample", where: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return class probabilities (classes, P), calibrated, of the pixels `where` (H, W) only, in row order."""
        return calibrated(self.record.calibration, self._computed(sample, where))

    def _computed(self, sample: "Sample", where: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Class probabilities (classes, P) of some pixels, before calibration."""
        parts, days = record_columns(self.record).parts, Season(*self.record.season).days
        found = self.rows.probabilities(pixel_features(sample, where, self.record.sensors, parts, days))
        result = np.zeros((predicted_layers(self.record), len(found)), np.float32)
        result[self.rows.classes] = found.T
        return result


def rows_of_yields(member: Member, tried: Sequence[dict[str, Any]] = ()) -> ClassicRows:
    """Return a model of yields as one of rows, whose two columns are `agrifm.yields.YIELD_LAYERS`."""
    return ClassicRows(member.name, np.arange(len(YIELD_LAYERS), dtype=np.uint8), (member,), tuple(tried))


def rows_of_shares(state: dict[str, Any], columns: Columns, classes: int) -> ClassicRows:
    """Return a model of shares from its stored state, after checks.

    Args:
        classes: number of classes of its legend.

    Raises:
        ValueError, KeyError, TypeError: the state is not one.
    """
    known = known_classes(state["classes"], classes)
    return ClassicRows("classic", known, restored_shares(state["members"], columns, len(known)))


def record_columns(record: ModelRecord) -> Columns:
    """Return what the columns of a classic model's rows are.

    Raises:
        ValueError, KeyError, TypeError: the record is not that of a classic model.
    """
    parts = record.architecture["shape"]["parts"]
    if not isinstance(parts, list) or not parts or not set(parts) <= set(PARTS):
        raise ValueError("its record states no parts of rows")
    plain = set(SensorInput.model_fields)
    sensors = tuple(SensorInput.model_validate(sensor.model_dump(include=plain)) for sensor in record.sensors)
    return Columns(sensors, record.frames, tuple(part for part in PARTS if part in parts))


def classic_record(record: ModelRecord, rows: ClassicRows) -> ModelRecord:
    """Return a record with what depends on the fitted model: members, the parts that they read, what was tried."""
    parts: list[Part] = [part for part in PARTS if part in rows.parts]
    members = [member.name for member in rows.members]
    training = {**record.training, **({"tried": list(rows.tried)} if rows.tried else {})}
    if isinstance(rule := rows.members[0].model, SeasonRule):
        training["rule"] = _rule_in_words(rule, record, rows)
    architecture = {"kind": rows.name, "members": members, "shape": {"parts": parts}}
    return record.model_copy(
        update={"architecture": architecture, "margin": feature_margin(parts), "training": training}
    )


def _rule_in_words(rule: SeasonRule, record: ModelRecord, rows: ClassicRows) -> str:
    values = [np.zeros((1, len(sensor.bands), 1), np.float32) for sensor in record.sensors]
    names, _ = rule_numbers(values, record.sensors, np.zeros(1, np.int64))
    return rule.describe(names, [record.legend.classes[number].name for number in rows.classes])


def save_classic(path: AnyPath, model: ClassicModel) -> None:
    """Write a model and its record as one skops file, whole or not at all.

    Raises:
        ModelError: skops is not installed.
    """
    path = as_path(path)
    require_installed(f"writing the model {path}", "classic", "skops")
    from skops import io

    content = {"record": model.record.model_dump_json(), "classic": model.rows.state()}
    write_bytes(path, io.dumps(content, compression=ZIP_DEFLATED, compresslevel=1))


def load_classic(path: AnyPath) -> "ClassicModel | RandomForest":
    """Read a classic model of any kind, or a random forest of an older version.

    Raises:
        ModelError: the file is absent, damaged, or not a model written by agrifm; or a package is not installed.
    """
    path = as_path(path)
    about = f"reading the model {path}"
    require_installed(about, "classic", "sklearn", "skops")
    from skops import io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        require_sound_trees(path)
        content = io.load(path, trusted=_TRUSTED)
        if "forest" in content:
            return load_forest(path)
        record = ModelRecord.model_validate_json(content["record"])
        columns = record_columns(record)
        if record.task == "yield":
            (member,) = content["classic"]["members"]
            return ClassicModel(record, rows_of_yields(restored_yields(member["state"], columns, yield_scale(record))))
        if record.task == "fractions":
            return ClassicModel(record, rows_of_shares(content["classic"], columns, len(record.legend)))
        rows = restored_classic(record.family, content["classic"], columns, len(record.legend))
        return ClassicModel(record, rows)
    except ModelError:
        raise
    except UntrustedTypesFoundException as error:
        raise ModelError(
            f"{about}: it contains types that a classic model does not have ({error}); do not use it", path=path
        ) from error
    except FileNotFoundError as error:
        raise ModelError(f"{about}: it does not exist; `agrifm train` writes it", path=path) from error
    except Exception as error:  # zip, JSON, numpy, skops, LightGBM and scikit-learn raise errors of any class
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"{about}: it is damaged ({reason}); `agrifm train` writes it", path=path) from error


def size_of(rows: ClassicRows) -> int:
    """Return the numbers of a model: nodes of trees, and elements of arrays."""
    return sum(_numbers_in(member.model.state()) for member in rows.members)


def _numbers_in(state: Any) -> int:
    if isinstance(state, dict):
        return sum(_numbers_in(value) for value in state.values())
    if isinstance(state, np.ndarray):
        return int(state.size)
    if isinstance(state, str):
        return sum(int(line.split("=")[1]) for line in state.splitlines() if line.startswith("num_leaves="))
    return sum(tree.tree_.node_count for tree in getattr(state, "estimators_", []))
