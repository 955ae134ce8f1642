"""An exported network in onnxruntime and in PyTorch: seconds, memory, agreement, and the time of exporting.

    python benchmarks/export.py [--presets tiny small] [--runs 5] --out DATE-export.txt

Both predict the same window in one process, in turn, with one thread each. Time is the processor time of the process,
so that other programs hardly change it. Memory is the peak of a process of its own per runtime, libraries included,
because that is what a machine must have.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Command, own_process, table, turns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SENSOR, BANDS, FRAMES, CLASSES = "sentinel-2", 10, 24, 12
Run = Callable[[], "NDArray[np.float32]"]


def save(path: Path, preset_name: str, side: int) -> Path:
    """A network of random weights with its record, as training saves it."""
    import torch

    from agrifm.legend import Legend
    from agrifm.models.agrifm.network import AgriFM, preset
    from agrifm.models.weights.file import save_model
    from agrifm.record import ModelRecord, SensorRecord
    from agrifm.sensors import SENSORS

    torch.manual_seed(0)
    bands = tuple(f"B{number:02d}" for number in range(1, BANDS + 1))
    config = preset(preset_name, {SENSOR: len(bands)}, CLASSES, frames=FRAMES)
    sensor = SensorRecord(
        sensor=SENSOR, bands=bands, quantity="surface reflectance", scale=1e-4,
        resolution=SENSORS[SENSOR].resolution, mean=(0.2,) * len(bands), std=(0.1,) * len(bands),
    )  # fmt: skip
    record = ModelRecord(
        name="agrifm", family="agrifm", architecture=config.model_dump(mode="json"), sensors=(sensor,), frames=FRAMES,
        side=side, legend=Legend.of([f"class {number}" for number in range(CLASSES)]),
        season=(date(2024, 3, 1), date(2024, 9, 30)),
    )  # fmt: skip
    save_model(path, AgriFM(config), record)
    return path


def window(side: int) -> "dict[str, NDArray[Any]]":
    """One window of random reflectance, six tenths of it valid."""
    import numpy as np

    generator = np.random.default_rng(0)
    image = generator.random((1, FRAMES, BANDS, side, side), np.float32)
    valid = generator.random((1, FRAMES, side, side)) < 0.6
    return {f"{SENSOR}.image": image, f"{SENSOR}.valid": valid}


def by_pytorch(model: Path, side: int) -> Run:
    """A function that predicts the window on the fast path, which maps are made with."""
    import torch

    from agrifm.models.classifier import Classifier
    from agrifm.models.export import ExportedNetwork
    from agrifm.models.weights.file import load_network

    torch.set_num_threads(1)
    network, record = load_network(model)
    fast = ExportedNetwork(Classifier(network, record.sensors, record.series))
    inputs = {name: torch.from_numpy(array) for name, array in window(side).items()}

    def run() -> "NDArray[np.float32]":
        with torch.inference_mode():
            return fast(inputs).numpy()

    return run


def by_onnxruntime(graph: Path, side: int) -> Run:
    """A function that predicts the window with the exported graph."""
    from agrifm.models.export_record import start_session

    session, inputs = start_session(graph, threads=1), window(side)
    return lambda: session.run(None, inputs)[0]


def predict_twice(runtime: str, file: Path, side: int) -> None:
    """What a process whose memory is measured does."""
    run = RUNTIMES[runtime](file, side)
    run()
    run()


RUNTIMES = {"PyTorch": by_pytorch, "onnxruntime": by_onnxruntime}


def compare(preset_name: str, side: int, count: int) -> Iterator[str]:
    """The lines of a preset."""
    import numpy as np

    from agrifm.models.export import export

    with tempfile.TemporaryDirectory() as directory:
        files = {"PyTorch": Path(directory, "agrifm.safetensors"), "onnxruntime": Path(directory, "agrifm.onnx")}
        save(files["PyTorch"], preset_name, side)
        start = time.process_time()
        export(*files.values())
        exporting = time.process_time() - start
        runs = {name: RUNTIMES[name](file, side) for name, file in files.items()}
        apart = np.abs(runs["PyTorch"]() - runs["onnxruntime"]()).max()
        seconds = turns(runs, count)
        peaks = {name: own_process(predict_twice, name, file, side).peak_bytes for name, file in files.items()}
        sizes = [file.stat().st_size / 1e6 for file in files.values()]
    yield f"{preset_name}: one window of {side} x {side} pixels, {FRAMES} frames of ten bands; 1 thread; {count} turns"
    yield f"exporting took {exporting:.0f} s of the processor; files of {sizes[0]:.1f} and {sizes[1]:.1f} MB"
    yield f"greatest difference of a probability {apart:.1e}"
    rows = [(name, f"{statistics.median(each):.3f}", f"{peaks[name] / 1e6:.0f}") for name, each in seconds.items()]
    yield from table(("runtime", "processor s", "peak MB of the process"), rows)
    ratios = (graph / network for network, graph in zip(*seconds.values(), strict=True))
    yield f"onnxruntime needs {statistics.median(ratios):.2f} times the time of PyTorch"
    yield ""


def report(options: argparse.Namespace) -> Iterator[str]:
    """The lines of every preset."""
    for name in options.presets:
        yield from compare(name, options.side, options.runs)


OPTIONS = {
    "--presets": {"nargs": "+", "default": ["tiny"], "help": "default: tiny"},
    "--side": {"type": int, "default": 96, "help": "pixels, default 96"},
    "--runs": {"type": int, "default": 5, "help": "turns, default 5"},
}
main = Command(__doc__, report, OPTIONS, ("torch", "onnxruntime"), quick={"side": 48, "runs": 1})

if __name__ == "__main__":
    main()
