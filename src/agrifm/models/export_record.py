"""The record inside an exported network, ONNX or PyTorch's .pt2, which is read without PyTorch.

It describes each tensor by name, type, unit and axes: a number is an axis of fixed length, a name an axis whose length
may differ from run to run.
"""

import zipfile
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from agrifm.errors import ModelError, doing, require_installed
from agrifm.models.onnx_file import require_own_tensors
from agrifm.record import ModelRecord, SensorRecord
from agrifm.validation import Frozen

EXPORT_KEY = "agrifm_export.json"
"""Key of the record in the metadata of an ONNX file, and its name among the extra files of a .pt2 file."""
EXPORT_SUFFIXES = (".onnx", ".pt2")


class TensorNote(Frozen):
    """An input or the output of an exported network."""

    name: str
    dtype: Literal["float32", "int64", "bool"]
    axes: tuple[str | int, ...]
    """For each axis its length, or its name if the length may differ."""
    unit: str
    """Meaning and unit of the numbers."""


class ExportRecord(Frozen):
    """What an exported network is, its inputs and its output."""

    format: Literal[1] = 1
    model: ModelRecord
    """Record of the network that was exported."""
    weights: str
    """SHA-256 of the network's file."""
    without: tuple[str, ...] = ()
    """Sensors of the model that the exported network does not read."""
    inputs: tuple[TensorNote, ...]
    """In the order of the graph."""
    output: TensorNote
    calibrated: bool = False
    """Whether the calibration of the model's record is in the graph; of a record without one it has nothing to do."""
    frames: int
    """Frames of every series; shorter observed series are padded."""
    side: int
    """Rows and columns of a window, target pixels."""
    opset: int | None = None
    """Version of the ONNX operators."""
    versions: dict[str, str]
    """Versions of the software that exported it."""

    @property
    def sensors(self) -> tuple[SensorRecord, ...]:
        """The sensors that the exported network reads."""
        return tuple(sensor for sensor in self.model.sensors if sensor.sensor not in self.without)

    @property
    def days(self) -> int:
        """Length of the season in days, both ends included."""
        start, end = self.model.season
        return (end - start).days + 1

    @property
    def effective_record(self) -> ModelRecord:
        """The model's record as if it had been trained without the dropped sensors; a calibration in the graph is not
        in it, as it would be applied twice."""
        absent = tuple(name for name in self.model.absent_sensors if name not in self.without)
        changes = {"sensors": self.sensors, "absent_sensors": absent}
        return self.model.model_copy(update={**changes, **({"calibration": None} if self.calibrated else {})})


def read_export_record(path: Path) -> ExportRecord:
    """Read the record of an exported network; ONNX files need `onnxruntime`.

    Raises:
        ModelError: the file is absent, damaged, or not one that `agrifm model export` wrote.
    """
    if path.suffix == ".onnx":
        return session_record(start_session(path, for_record=True), path)
    about = _about(path)
    if path.suffix != ".pt2":
        raise ModelError(
            f"{about}: its name does not end in {' or '.join(EXPORT_SUFFIXES)}; `agrifm model export` writes it",
            path=path,
        )
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"/extra/{EXPORT_KEY}")]
            text = archive.read(names[0]).decode() if names else None
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise ModelError(f"{about}: {error}; `agrifm model export` writes it") from error
    return _parsed(text, about)


def start_session(path: Path, threads: int = 0, for_record: bool = False) -> Any:
    """Start a session of onnxruntime on the CPU.

    Args:
        threads: used to compute; 0 uses all cores.
        for_record: whether only the record is read, so that the graph needs no optimisation.

    Raises:
        ModelError: `onnxruntime` is not installed, or the file is absent or damaged.
    """
    about = _about(path)
    require_installed(about, "export", "onnxruntime")
    import onnxruntime

    if not path.is_file():
        raise ModelError(f"{about}: the file does not exist; `agrifm model export` writes it", path=path)
    with doing(about, ModelError, "export it again", path=path):
        require_own_tensors(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only: its notes on its own optimisations do not help a user
    if for_record:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(
            path,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it would print its first failure and try the same again
        )
    except Exception as error:  # onnxruntime's errors have no common class
        reason = str(error).splitlines()[0]
        raise ModelError(f"{about}: onnxruntime cannot read it ({reason}); export it again") from error


def session_record(session: Any, path: Path) -> ExportRecord:
    """Return the record inside a session's file.

    Raises:
        ModelError: it has no record of agrifm, or a record of other tensors.
    """
    about = _about(path)
    record = _parsed(session.get_modelmeta().custom_metadata_map.get(EXPORT_KEY), about)
    actual = [tensor.name for tensor in (*session.get_inputs(), *session.get_outputs())]
    recorded = [note.name for note in (*record.inputs, record.output)]
    if actual != recorded:
        raise ModelError(
            f"{about}: its tensors are {', '.join(actual)}, its record says {', '.join(recorded)}; export it again"
        )
    return record


def _parsed(text: str | None, about: str) -> ExportRecord:
    if text is None:
        raise ModelError(f"{about}: it has no record of agrifm; export the network with `agrifm model export`")
    try:
        return ExportRecord.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(f"{about}: its record is unusable ({str(error).splitlines()[0]}); export it again") from error


def _about(path: Path) -> str:
    return f"reading the exported network {path}"
