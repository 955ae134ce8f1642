"""What precision, compilation and recomputed activations cost and gain beside float32 as it comes, and the estimate of
memory beside the measured peak.

    python benchmarks/precision.py [--presets tiny small] [--side 96] [--batch 4] --out DATE-precision.txt

Every line is measured in a process of its own with one thread. Time is what the system books on the process, so that
other programs hardly change it; a way takes turns with float32, and its ratio is the median of those of the turns. The
first pass is that which compiles, and what the C++ compiler takes counts. Memory is that of the first pass beyond what
the libraries hold, without the optimiser's first step; where the compiler's own memory is in it, it is left out.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from measure import ONE_SOURCE, PASSES, Pass, Subject, head, write
from model_speed import kilobytes
from presets import FRAMES, Shape

if TYPE_CHECKING:
    from agrifm.models.agrifm.network import AgriFMConfig

Way = Literal["float32", "bfloat16", "compiled", "recomputed"]
WAYS: tuple[Way, ...] = get_args(Way)


class Computed(Subject):
    """A network that computes in some way."""

    def __init__(self, config: "AgriFMConfig", frames: int, side: int, batch: int, kind: Pass, way: Way) -> None:
        import torch

        from agrifm.models.precision import compile_network, computing, recompute_blocks

        super().__init__(config, frames, side, batch, kind)
        if way == "recomputed":
            recompute_blocks(self.network)
        if way == "compiled":
            compile_network(self.network)
        self.context = lambda: computing("bfloat16" if way == "bfloat16" else "float32", torch.device("cpu"))

    def run(self) -> None:
        """One forward pass, or one training step."""
        import torch

        with torch.inference_mode(self.kind == "forward"):
            with self.context():
                logits = self.network(self.images)
            loss = torch.nn.functional.cross_entropy(logits.float(), self.labels)
        if self.kind == "training":
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()


class Row(NamedTuple):
    """What a way of computing takes."""

    first: float
    """Processor seconds of the first pass, what other programs did for it counted."""
    usual: float
    """Processor seconds of a pass in float32."""
    ratio: float
    """Those of the way over those of float32."""
    peak: float
    """Bytes at the peak beyond those of the libraries."""
    estimate: int
    """Bytes that `agrifm.models.cost` expects of float32, recomputed or not."""


def measured(preset_name: str, side: int, batch: int, kind: Pass, way: Way, runs: int) -> Row:
    """A line of the table, in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        return pool.submit(_measured, preset_name, side, batch, kind, way, runs).result()


def _measured(preset_name: str, side: int, batch: int, kind: Pass, way: Way, runs: int) -> Row:
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # compiled in this process, so that its time is known
    import torch

    from agrifm.models.cost import memory_needed, window_shapes

    config = Shape(preset_name, 1, side).config
    pixels, frames = dict.fromkeys(ONE_SOURCE, 1), dict.fromkeys(ONE_SOURCE, FRAMES[preset_name])
    shapes = window_shapes(pixels, frames, batch, side, side)
    torch.set_num_threads(1)
    torch.ones(64, 64) @ torch.ones(64, 64)  # what the library needs for itself
    before = kilobytes("VmRSS")
    subject = Computed(config, frames, side, batch, kind, way)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    began = _processor_seconds()
    subject.run()
    first, peak = _processor_seconds() - began, 1024.0 * (kilobytes("VmHWM") - before)
    usual = Computed(config, frames, side, batch, kind, "float32")
    usual.run()
    turns = [(usual.seconds(), subject.seconds()) for _ in range(runs)]
    return Row(
        first,
        statistics.median(one for one, _ in turns),
        statistics.median(own / one for one, own in turns),
        peak,
        memory_needed(config, shapes, kind == "training", way == "recomputed"),
    )


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def lines_of(presets: list[str], side: int, batch: int, ways: list[Way], runs: int) -> list[str]:
    """The table, a line per preset, pass and way."""
    from agrifm.models.precision import bfloat16_is_native

    native = "instructions" if bfloat16_is_native() else "no instructions"
    frames = " and ".join(str(FRAMES[name]) for name in presets)
    lines = [
        f"{side} x {side} pixels, {frames} frames of ten bands, batch {batch} "
        f"in training, 1 in a forward pass; one thread; {native} for bfloat16; {runs} turns",
        "",
        f"{'preset':7}{'pass':10}{'way':12}{'first s':>9}{'float32 s':>11}{'ratio':>7}{'peak MB':>9}"
        f"{'estimate MB':>13}",
    ]
    for name in presets:
        for kind in PASSES:
            for way in ways:
                if way == "recomputed" and kind == "forward":
                    continue  # nothing is kept without gradients, and so nothing is recomputed
                row = measured(name, side, batch if kind == "training" else 1, kind, way, runs)
                peak = "-" if way == "compiled" else f"{row.peak / 1e6:.0f}"
                estimate = f"{row.estimate / 1e6:.0f}" if way in ("float32", "recomputed") else "-"
                lines.append(
                    f"{name:7}{kind:10}{way:12}{row.first:>9.1f}{row.usual:>11.2f}{row.ratio:>7.2f}{peak:>9}{estimate:>13}"
                )
                print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["tiny"], choices=FRAMES, help="default: tiny")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS, help="default: all")
    parser.add_argument("--side", type=int, default=96, help="pixels, default 96")
    parser.add_argument("--batch", type=int, default=4, help="of a training step, default 4")
    parser.add_argument("--runs", type=int, default=5, help="turns, default 5")
    parser.add_argument("--out", type=Path, help="file of the result")
    args = parser.parse_args()
    write([*head(), *lines_of(args.presets, args.side, args.batch, args.ways, args.runs)], args.out)


if __name__ == "__main__":
    main()
