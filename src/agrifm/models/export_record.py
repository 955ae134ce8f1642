"""Exported networks, ONNX or PyTorch's .pt2: the record that travels inside the file. Needs no PyTorch.

A tensor of an exported network is described by its name, type, unit and axes. Axes: B samples, T frames, C bands,
H W rows and columns; a number is an axis of fixed length, a letter one that may differ from run to run.
"""

import zipfile
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from agrifm.errors import ModelError
from agrifm.record import ModelRecord, SensorRecord
from agrifm.validation import Frozen

EXPORT_KEY = "agrifm_export.json"
"""Name of the record in the metadata of an ONNX file and among the extra files of a .pt2 file."""
SUFFIXES = (".onnx", ".pt2")


class TensorNote(Frozen):
    """A tensor that an exported network takes or gives."""

    name: str
    dtype: Literal["float32", "int64", "bool"]
    axes: tuple[str | int, ...]
    """Name of each axis that may differ, length of each that is fixed."""
    unit: str
    """What the numbers are."""


class ExportRecord(Frozen):
    """What an exported network is, takes and gives."""

    format: Literal[1] = 1
    model: ModelRecord
    """Of the network that was exported."""
    weights: str
    """SHA-256 of its file."""
    without: tuple[str, ...] = ()
    """Sensors that the model takes where they are, and that the exported network goes without."""
    inputs: tuple[TensorNote, ...]
    """In the order in which the network takes them."""
    output: TensorNote
    frames: int
    """Of every series; observed ones that are shorter are filled up."""
    side: int
    """Rows and columns of a window, target pixels."""
    opset: int | None = None
    """Of ONNX."""
    versions: dict[str, str]
    """Of the software that exported it."""

    @property
    def sensors(self) -> tuple[SensorRecord, ...]:
        """The sensors that the exported network takes."""
        return tuple(sensor for sensor in self.model.sensors if sensor.sensor not in self.without)

    @property
    def days(self) -> int:
        """Length of the season in days, both ends included."""
        start, end = self.model.season
        return (end - start).days + 1

    @property
    def standing_in(self) -> ModelRecord:
        """The record of a model that has never known the sensors that were left out."""
        absent = tuple(name for name in self.model.absent_sensors if name not in self.without)
        return self.model.model_copy(update={"sensors": self.sensors, "absent_sensors": absent})


def read_export_record(path: Path) -> ExportRecord:
    """The record of an exported network; for ONNX it needs `onnxruntime`, for .pt2 nothing.

    Raises:
        ModelError: the file is absent, damaged, or not one that `agrifm model export` wrote.
    """
    if path.suffix == ".onnx":
        return record_of(start_session(path, for_record=True), path)
    about = _about(path)
    if path.suffix != ".pt2":
        raise ModelError(f"{about}: its name ends in neither {' nor '.join(SUFFIXES)}; `agrifm model export` writes it")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"/extra/{EXPORT_KEY}")]
            text = archive.read(names[0]).decode() if names else None
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise ModelError(f"{about}: {error}; `agrifm model export` writes it") from error
    return _parsed(text, about)


def start_session(path: Path, threads: int = 0, for_record: bool = False) -> Any:
    """A session of onnxruntime on the processor.

    Args:
        threads: of the session; 0 = as many as it finds cores.
        for_record: nothing will be computed, so that nothing is prepared for it.

    Raises:
        ModelError: `onnxruntime` is not installed, or the file is absent or damaged.
    """
    about = _about(path)
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{about}: it needs onnxruntime, which is not installed; pip install 'agrifm[export]'"
        ) from error
    if not path.is_file():
        raise ModelError(f"{about}: there is no such file; `agrifm model export` writes it")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # its remarks on its own optimisations are of no use here
    if for_record:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class of their own
        reason = str(error).splitlines()[0]
        raise ModelError(f"{about}: onnxruntime cannot read it ({reason}); export it again") from error


def record_of(session: Any, path: Path) -> ExportRecord:
    """The record inside a session's file.

    Raises:
        ModelError: it has none of ours, or one of other tensors.
    """
    about = _about(path)
    record = _parsed(session.get_modelmeta().custom_metadata_map.get(EXPORT_KEY), about)
    found = [tensor.name for tensor in (*session.get_inputs(), *session.get_outputs())]
    noted = [note.name for note in (*record.inputs, record.output)]
    if found != noted:
        raise ModelError(
            f"{about}: its tensors are {', '.join(found)}, its record says {', '.join(noted)}; export it again"
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
