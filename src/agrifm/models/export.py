"""`agrifm model export`: a trained network as a graph that runs without this code, ONNX or PyTorch's .pt2.

Its inputs are bands in the units of the product, its output class probabilities, shares of classes, or yields with
their spread: normalisation, the filling of gaps, the softmax and the calibration are inside. AgriFM is exported in its
reference implementation (`agrifm.models.agrifm.reference`), which cuts windows by reshaping, for any number of samples;
the fast path looks them up in tables of one batch size.

The number of samples is free. Frames, rows and columns are fixed: on another grid other tokens are padded, shifted and
clamped, and the exporter cannot follow that if sizes are unknown. Shorter observed series are padded with frames that
are not valid, and an input of the graph says how many frames are real.
"""

import logging
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agrifm.calibration import PROBABILITY_FLOOR, Calibration, Curve
from agrifm.errors import ModelError, require_installed
from agrifm.files import AnyPath, as_path
from agrifm.models.agrifm.network import AgriFMConfig
from agrifm.models.agrifm.reference import use_reference
from agrifm.models.batch import TensorBatch
from agrifm.models.classifier import Classifier
from agrifm.models.export_record import EXPORT_KEY, EXPORT_SUFFIXES, ExportRecord, TensorNote
from agrifm.models.weights.checkpoint import file_digest
from agrifm.models.weights.file import load_network
from agrifm.models.yield_maps import YIELD_TASK, network_yields, tonnes_and_spread
from agrifm.outputs import replace_file
from agrifm.record import (
    NUMBERS,
    ModelRecord,
    SensorRecord,
    predicted_layers,
    require_classes,
    running_versions,
    target_pixels,
    yield_scale,
)
from agrifm.yields import YieldScale

OPSET = 20
"""The newest version whose operators onnxruntime 1.17 and later have."""
FIRST_DAY = "first_day"
"""Name of a tensor of the graph; those of a sensor begin with its name."""
BATCH = "batch"
"""Name of the axis of samples."""


class ExportedNetwork(nn.Module):
    """A network on tensors by name: class probabilities or shares (B, classes, H, W), or yields (B, 2, H, W), t/ha."""

    def __init__(
        self, classifier: Classifier, calibration: Calibration | None = None, yields: YieldScale | None = None
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.calibration = calibration
        self.yields = yields

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return what the network predicts for inputs by the names of the export's record."""

        def by_sensor(kind: str) -> dict[str, Tensor]:
            return {name.removesuffix(kind): tensor for name, tensor in inputs.items() if name.endswith(kind)}

        # labels are not read, and neither are the first days of interpolated series
        nothing = torch.empty(0)
        batch = TensorBatch(
            images=by_sensor(".image"),
            valid=by_sensor(".valid"),
            day=by_sensor(".day"),
            first_day=inputs.get(FIRST_DAY, nothing),
            absent=by_sensor(".absent"),
            frames=by_sensor(".frames"),
            label=nothing,
        )
        if self.yields is not None:
            return tonnes_and_spread(network_yields(self.classifier, batch, self.yields), self.yields)
        return calibrated_tensor(self.calibration, torch.softmax(self.classifier(batch), dim=1))


def calibrated_tensor(calibration: Calibration | None, probabilities: Tensor) -> Tensor:
    """Return calibrated probabilities (B, classes, H, W) by operators that graphs have.

    It is `agrifm.calibration.calibrated` in 32 bits.
    """
    if calibration is None or calibration.kind == "none":
        return probabilities
    floored = probabilities.clamp(min=PROBABILITY_FLOOR)
    if calibration.kind == "isotonic":
        parts = zip(probabilities.unbind(1), floored.unbind(1), calibration.curves, strict=True)
        curved = [same if curve is None else _on_curve(curve, values) for values, same, curve in parts]
        result = torch.stack(curved, dim=1)
        return result / result.sum(dim=1, keepdim=True)
    if calibration.kind == "temperature":
        assert calibration.temperature is not None, "checked when it was read"
        return torch.softmax(floored.log() / calibration.temperature, dim=1)
    scale, offset = (torch.tensor(part).reshape(1, -1, 1, 1) for part in (calibration.scale, calibration.offset))
    return torch.softmax(floored.log() * scale + offset, dim=1)


def _on_curve(curve: Curve, values: Tensor) -> Tensor:
    """The curve as a sum of ramps, one between each two knots."""
    x, y = curve.probability, curve.calibrated
    result = torch.full_like(values, y[0])
    for left, right, low, high in zip(x, x[1:], y, y[1:], strict=False):
        if high > low:
            result = result + (high - low) / (right - left) * (values - left).clamp(0.0, right - left)
    return result.clamp(min=PROBABILITY_FLOOR)


def export(
    model: AnyPath, out: AnyPath, frames: int | None = None, side: int | None = None, without: Sequence[str] = ()
) -> list[str]:
    """Write a trained network as a graph; return what was written, in sentences.

    Args:
        model: safetensors written by `agrifm train`.
        out: .onnx, or .pt2 for `torch.export.load`.
        frames: the most frames that a window of observed series has; for other series the record has the number.
        side: rows and columns of the windows, target pixels; by default, those of training.
        without: sensors that the graph does not read; the record must declare that they may be absent.

    Raises:
        ModelError: the model cannot be exported, or the exporter needs a package that is not installed.
        OutputError: the file cannot be written.
    """
    model = as_path(model)
    out = as_path(out)
    about = f"exporting the model {model}"
    if out.suffix not in EXPORT_SUFFIXES:
        raise ModelError(f"{about}: {out} does not end in {' or '.join(EXPORT_SUFFIXES)}; choose one of them", path=out)
    if out.suffix == ".onnx":
        require_installed(about, "export", "onnx", "onnxscript")
    if model.suffix != ".safetensors":
        raise ModelError(f"{about}: only networks (.safetensors) can be exported; give one that `agrifm train` wrote")
    network, record = load_network(model)
    _require_exportable(record, about)
    side = record.side if side is None else side
    sensors = _sensors(record, without, about)
    frames = _frames(record, frames, about)
    pixels = target_pixels(sensors)  # the first sensor is never left out
    _require_nesting(pixels, side, about)
    inputs = _inputs(pixels, record, sensors, frames, side)
    exported = ExportRecord(
        model=record,
        weights=file_digest(model),
        without=tuple(without),
        inputs=inputs,
        output=_output(record, side),
        calibrated=record.calibration is not None,
        frames=frames,
        side=side,
        opset=OPSET if out.suffix == ".onnx" else None,
        versions=running_versions("torch", *(("onnx", "onnxscript") if out.suffix == ".onnx" else ())),
    )
    classifier = Classifier(use_reference(network), record.sensors, record.series)
    with replace_file(out, f"exporting to {out}", _is_export) as temporary:
        scale = yield_scale(record) if record.task == "yield" else None
        program = _program(ExportedNetwork(classifier, record.calibration, scale), exported, about)
        if out.suffix == ".onnx":
            _write_onnx(program, exported, temporary, about)
        else:
            torch.export.save(program, temporary, extra_files={EXPORT_KEY: exported.model_dump_json()})
    return export_lines(exported, out)


def _output(record: ModelRecord, side: int) -> TensorNote:
    """What the graph of a model predicts."""
    name, unit = "probabilities", "probability of each class of the legend, 0..1"
    if record.task == "fractions":
        name, unit = "shares", "share of the pixel of each class of the legend, 0..1"
    if record.task == "yield":
        scale = yield_scale(record)
        name = "yields"
        unit = f"yield and its spread in {scale.unit}"
        if scale.factor is not None:
            unit += f"; the {100 * scale.level:g} % interval is yield ± {scale.factor:g} x spread, not below 0"
    axes = (BATCH, predicted_layers(record), side, side)
    return TensorNote(name=name, dtype="float32", axes=axes, unit=unit)


def _is_export(path: Path) -> bool:
    """Whether a file is a network that agrifm exported; its record's name is in it."""
    if path.suffix == ".onnx":
        return EXPORT_KEY.encode() in path.read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(f"/{EXPORT_KEY}") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def export_lines(record: ExportRecord, path: Path) -> list[str]:
    """Describe an exported network: its inputs and output, which sizes are fixed, which sensors it does not read."""
    lines = [f"{note.name}: {note.dtype} ({', '.join(map(str, note.axes))}), {note.unit}" for note in record.inputs]
    lines.append(f"output {record.output.name}: {', '.join(map(str, record.output.axes))}, {record.output.unit}")
    lines.append(
        f"free: the number of samples; fixed: {record.frames} frames, {record.side} x {record.side} target pixels"
    )
    if record.without:
        lines.append(f"without {', '.join(record.without)}")
    return [*lines, f"wrote {path}" + (f" (opset {record.opset})" if record.opset else "")]


def _require_exportable(record: ModelRecord, about: str) -> None:
    if record.task not in NUMBERS:
        require_classes(record, about)
    if record.family != "agrifm":
        return
    config = AgriFMConfig.model_validate(record.architecture)
    others = {name: task.task for name, task in config.tasks.items() if (record.task, name) != ("yield", YIELD_TASK)}
    if others:
        names = ", ".join(f"{name} ({task})" for name, task in others.items())
        raise ModelError(
            f"{about}: it also estimates {names}, and an exported network has the result of its main task only; train "
            "a network without these tasks"
        )


def _sensors(record: ModelRecord, without: Sequence[str], about: str) -> tuple[SensorRecord, ...]:
    """The sensors of the graph."""
    for name in without:
        if name not in record.absent_sensors:
            may = ", ".join(record.absent_sensors) or "none"
            raise ModelError(
                f"{about}: it needs '{name}'; sensors that may be absent: {may} (train with `sensor_dropout`)",
                sensor=name,
            )
    left = tuple(sensor for sensor in record.sensors if sensor.sensor not in without)
    assert left, "the first sensor may never be absent"
    return left


def _require_nesting(pixels: Mapping[str, int], side: int, about: str) -> None:
    for name, pixel in pixels.items():
        if side < 1 or side % pixel:
            raise ModelError(
                f"{about}: windows of {side} target pixels are not a whole number of pixels of {name}, which are "
                f"{pixel} wide; choose a multiple of {pixel}",
                sensor=name,
            )


def _frames(record: ModelRecord, frames: int | None, about: str) -> int:
    """Frames of every series."""
    if record.series != "observed":
        if frames not in (None, record.frames):
            raise ModelError(
                f"{about}: its {record.series} series have {record.frames} frames, not {frames}; leave `--frames` out"
            )
        return record.frames
    if frames is None or frames < 1:
        raise ModelError(
            f"{about}: its observed series have any number of frames, and a graph has a fixed number; give "
            "`--frames`, the most that a window of the season has"
        )
    return frames


def _inputs(
    pixels: Mapping[str, int],
    record: ModelRecord,
    sensors: Sequence[SensorRecord],
    frames: int,
    side: int,
) -> tuple[TensorNote, ...]:
    notes: list[TensorNote] = []
    for sensor in sensors:
        name = sensor.sensor
        length = side // pixels[name]
        pixel_axes = (BATCH, frames, length, length)
        bands = f"{sensor.quantity} (reflectance 0..1), bands {', '.join(sensor.bands)}; not read where not valid"
        if "reflectance" not in sensor.quantity:
            bands = f"{sensor.quantity}, bands {', '.join(sensor.bands)}; not read where not valid"
        image = (BATCH, frames, len(sensor.bands), length, length)
        notes.append(TensorNote(name=f"{name}.image", dtype="float32", axes=image, unit=bands))
        notes.append(TensorNote(name=f"{name}.valid", dtype="bool", axes=pixel_axes, unit="true = usable"))
        if record.series == "interpolated":
            continue
        # composites have a day per pixel, observed series one per frame
        day = pixel_axes if record.series == "composites" else pixel_axes[:2]
        notes.append(
            TensorNote(name=f"{name}.day", dtype="float32", axes=day, unit="days since the season's first day")
        )
        if record.series == "observed":
            note = "frames of the sample; the rest is padding, not valid"
            notes.append(TensorNote(name=f"{name}.frames", dtype="int64", axes=(BATCH,), unit=note))
        if sensor.absent_bands:
            note = "true = band that the sample lacks"
            notes.append(TensorNote(name=f"{name}.absent", dtype="bool", axes=(BATCH, len(sensor.bands)), unit=note))
    if record.series != "interpolated":
        note = "day of the year of the season's first day, 1..366"
        notes.append(TensorNote(name=FIRST_DAY, dtype="float32", axes=(BATCH,), unit=note))
    return tuple(notes)


def example_inputs(record: ExportRecord, samples: int, seed: int = 0) -> dict[str, Tensor]:
    """Return random inputs for a number of samples that fit a record."""
    generator = torch.Generator().manual_seed(seed)
    inputs: dict[str, Tensor] = {}
    for note in record.inputs:
        shape = [samples if isinstance(axis, str) else axis for axis in note.axes]
        if note.name.endswith(".image"):
            inputs[note.name] = torch.rand(shape, generator=generator)
        elif note.name.endswith(".valid"):
            inputs[note.name] = torch.rand(shape, generator=generator) < 0.6
        elif note.name.endswith(".day"):
            steps = torch.linspace(0, record.days - 1, shape[1]).reshape(1, -1, *(1,) * (len(shape) - 2))
            inputs[note.name] = steps.expand(shape).contiguous()
        elif note.name.endswith(".frames"):
            inputs[note.name] = torch.full(shape, record.frames)
        elif note.name.endswith(".absent"):
            inputs[note.name] = torch.rand(shape, generator=generator) < 0.2
        else:
            inputs[note.name] = torch.full(shape, 60.0)
    return inputs


def _program(network: ExportedNetwork, record: ExportRecord, about: str) -> Any:
    """The graph as PyTorch exports it."""
    samples = torch.export.Dim(BATCH, min=1, max=4096)
    # all inputs have the same number of samples
    free = {note.name: {0: samples} for note in record.inputs}
    try:
        with torch.no_grad(), _quiet():
            # two samples: of an example with one, the exporter would make a constant
            return torch.export.export(network, (example_inputs(record, 2),), dynamic_shapes=(free,), strict=False)
    except Exception as error:  # the exporter's errors have no common class
        raise ModelError(f"{about}: PyTorch cannot export it ({_reason(error)}); try another `--side`") from error


def _write_onnx(program: Any, record: ExportRecord, target: Path, about: str) -> None:
    import onnx

    try:
        with _quiet():
            converted = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=[note.name for note in record.inputs],
                output_names=[record.output.name],
                verbose=False,
            )
        assert converted is not None
        proto = converted.model_proto
    except Exception as error:  # as above
        raise ModelError(f"{about}: PyTorch cannot write it as ONNX ({_reason(error)}); export it as .pt2") from error
    onnx.helper.set_model_props(proto, {EXPORT_KEY: record.model_dump_json()})
    target.write_bytes(proto.SerializeToString())


def _reason(error: BaseException) -> str:
    """The first cause of an error, on one line of at most 300 characters."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300]


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's messages on its internals and on coming changes of PyTorch."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
