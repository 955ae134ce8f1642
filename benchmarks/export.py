"""An exported network by onnxruntime beside PyTorch: seconds, memory, agreement, and what exporting takes.

    python benchmarks/export.py [--presets tiny small] [--runs 5] --out DATE-export.txt

Both predict the same window in one process, in turn, with one thread each. Time is what the system books on the
process, so that other programs hardly change it. Memory is that of a process of its own per runtime: the most at the
peak, libraries included, as that is what a machine must have.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import CLASSES, SOURCES, head, write
from model_speed import kilobytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SENSOR, FRAMES, SIDE = "sentinel-2", 24, 96
Run = Callable[[], "NDArray[np.float32]"]


def save(path: Path, preset_name: str) -> Path:
    """A network of random weights with its record, as training saves it."""
    import torch

    from agrifm.legend import Legend
    from agrifm.models.agrifm.network import AgriFM, preset
    from agrifm.models.weights.file import save_model
    from agrifm.record import ModelRecord, SensorRecord
    from agrifm.sensors import SENSORS

    torch.manual_seed(0)
    bands = tuple(f"B{number:02d}" for number in range(1, SOURCES[SENSOR] + 1))
    config = preset(preset_name, {SENSOR: len(bands)}, CLASSES, frames=FRAMES)
    record = ModelRecord(
        name="agrifm",
        architecture=config.model_dump(mode="json"),
        sensors=(
            SensorRecord(
                sensor=SENSOR,
                bands=bands,
                quantity="surface reflectance",
                scale=1e-4,
                resolution=SENSORS[SENSOR].resolution,
                mean=(0.2,) * len(bands),
                std=(0.1,) * len(bands),
            ),
        ),
        frames=FRAMES,
        side=SIDE,
        legend=Legend.of([f"class {number}" for number in range(CLASSES)]),
        season=(date(2024, 3, 1), date(2024, 9, 30)),
    )
    save_model(path, AgriFM(config), record)
    return path


def window() -> "dict[str, NDArray[Any]]":
    """One window of random reflectance, six tenths of it valid."""
    import numpy as np

    generator = np.random.default_rng(0)
    image = generator.random((1, FRAMES, SOURCES[SENSOR], SIDE, SIDE), np.float32)
    valid = generator.random((1, FRAMES, SIDE, SIDE)) < 0.6
    return {f"{SENSOR}.image": image, f"{SENSOR}.valid": valid}


def by_pytorch(model: Path) -> Run:
    """Predicts the window on the fast path, as maps are made with."""
    import torch

    from agrifm.models.classifier import Classifier
    from agrifm.models.export import ExportedNetwork
    from agrifm.models.weights.file import load_network

    torch.set_num_threads(1)
    network, record = load_network(model)
    fast = ExportedNetwork(Classifier(network, record.sensors, record.series))
    inputs = {name: torch.from_numpy(array) for name, array in window().items()}

    def run() -> "NDArray[np.float32]":
        with torch.inference_mode():
            return fast(inputs).numpy()

    return run


def by_onnxruntime(graph: Path) -> Run:
    """Predicts the window by the graph."""
    from agrifm.models.export_record import start_session

    session, inputs = start_session(graph, threads=1), window()
    return lambda: session.run(None, inputs)[0]


def turns(runs: dict[str, Run], count: int) -> list[dict[str, float]]:
    """Processor seconds of each, in so many turns after one that does not count."""
    found = []
    for _ in range(count + 1):
        turn = {}
        for name, run in runs.items():
            began = time.process_time()
            run()
            turn[name] = time.process_time() - began
        found.append(turn)
    return found[1:]


def peak(runtime: str, model: Path, graph: Path) -> float:
    """Bytes of a process that does nothing but predict."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        return pool.submit(_peak, runtime, model, graph).result()


def _peak(runtime: str, model: Path, graph: Path) -> float:
    run = by_pytorch(model) if runtime == "PyTorch" else by_onnxruntime(graph)
    run()
    run()
    return 1024.0 * kilobytes("VmHWM")


def report(preset_name: str, count: int) -> list[str]:
    """The lines of a preset."""
    import numpy as np

    from agrifm.models.export import export

    with tempfile.TemporaryDirectory() as directory:
        model, graph = Path(directory, "agrifm.safetensors"), Path(directory, "agrifm.onnx")
        save(model, preset_name)
        began = time.process_time()
        export(model, graph)
        exporting = time.process_time() - began
        runs = {"PyTorch": by_pytorch(model), "onnxruntime": by_onnxruntime(graph)}
        apart = np.abs(runs["PyTorch"]() - runs["onnxruntime"]()).max()
        found = turns(runs, count)
        peaks = {name: peak(name, model, graph) for name in runs}
        sizes = [path.stat().st_size / 1e6 for path in (model, graph)]
    seconds = {name: statistics.median(turn[name] for turn in found) for name in runs}
    ratio = statistics.median(turn["onnxruntime"] / turn["PyTorch"] for turn in found)
    return [
        f"{preset_name}: one window of {SIDE} x {SIDE} pixels, {FRAMES} frames of ten bands; one thread; {count} turns",
        f"exporting took {exporting:.0f} s of the processor; files of {sizes[0]:.1f} and {sizes[1]:.1f} MB",
        f"greatest difference of a probability {apart:.1e}",
        f"{'runtime':13}{'processor s':>13}{'peak MB of the process':>24}",
        *(f"{name:13}{own:>13.3f}{peaks[name] / 1e6:>24.0f}" for name, own in seconds.items()),
        f"onnxruntime takes {ratio:.2f} times as long as PyTorch",
        "",
    ]


def main() -> None:
    """Print the result, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["tiny"], help="default: tiny")
    parser.add_argument("--runs", type=int, default=5, help="turns, default 5")
    parser.add_argument("--out", type=Path, help="file of the result")
    args = parser.parse_args()
    lines = head()
    for name in args.presets:
        lines += report(name, args.runs)
    write(lines, args.out)


if __name__ == "__main__":
    main()
