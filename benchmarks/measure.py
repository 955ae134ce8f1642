"""What one pass of a network costs: seconds of a processor core, and memory at its peak.

Time is that of one thread as the system books it on this process, so other programs hardly change it. Networks that
are compared take turns. Memory is measured in a process of its own.
"""

import datetime
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from model_speed import kilobytes, processor

import agrifm  # noqa: F401  settles how threads wait, before torch starts any

if TYPE_CHECKING:
    from agrifm.models.agrifm.network import AgriFMConfig

Pass = Literal["forward", "training"]
PASSES: tuple[Pass, ...] = ("forward", "training")
Part = Literal["network", "encoders"]
SOURCES = {"sentinel-2": 10, "landsat": 6, "modis": 7}
"""Bands per sensor of the demo."""
ONE_SOURCE = {"sentinel-2": 10}
CLASSES = 12


class Subject:
    """A network with what it is measured on: random series, labels, and an optimiser that has its memory already."""

    def __init__(
        self, config: "AgriFMConfig", frames: int, side: int, batch: int, kind: Pass, part: Part = "network"
    ) -> None:
        import torch

        from agrifm.models.agrifm.network import AgriFM

        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.kind, self.part = kind, part
        whole = AgriFM(config).train(kind == "training")
        self.network = whole.encoders if part == "encoders" else whole
        self.images = {
            source.name: torch.randn(batch, frames, source.channels, *([-(-side // source.pixel)] * 2))
            for source in config.sources
        }
        self.labels = torch.randint(config.classes, (batch, side, side))
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=1e-6)
        if kind == "training":
            for parameter in self.network.parameters():
                parameter.grad = torch.zeros_like(parameter)
            self.optimiser.step()

    def run(self) -> None:
        """One forward pass, or one training step."""
        import torch

        with torch.inference_mode(self.kind == "forward"):
            if self.part == "encoders":
                found = self.network(self.images).values()
                loss = sum(own.encoder_features.square().mean() for own in found)
            else:
                loss = torch.nn.functional.cross_entropy(self.network(self.images), self.labels)
        if self.kind == "training":
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()

    def seconds(self) -> float:
        """Processor seconds of one run."""
        began = time.process_time()
        self.run()
        return time.process_time() - began


def seconds(
    configs: "Mapping[str, AgriFMConfig]",
    frames: int,
    side: int,
    batch: int,
    kind: Pass,
    runs: int,
    part: Part = "network",
) -> dict[str, float]:
    """Median processor seconds of a pass per network, which take turns after a first pass that does not count."""
    subjects = {name: Subject(config, frames, side, batch, kind, part) for name, config in configs.items()}
    for subject in subjects.values():
        subject.run()
    rounds = [{name: subject.seconds() for name, subject in subjects.items()} for _ in range(runs)]
    return {name: statistics.median(one[name] for one in rounds) for name in subjects}


class Measured(NamedTuple):
    """What a pass took."""

    seconds: float
    """Of a processor core; the median of the runs."""
    peak: float
    """Most bytes beyond those of the loaded libraries: weights, series, and what lies between."""


def measured(
    config: "AgriFMConfig", frames: int, side: int, batch: int, kind: Pass, runs: int, part: Part = "network"
) -> Measured:
    """Time and memory of a pass, in a process of its own; the first pass counts for memory alone."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        return pool.submit(_measured, config, frames, side, batch, kind, runs, part).result()


def _measured(
    config: "AgriFMConfig", frames: int, side: int, batch: int, kind: Pass, runs: int, part: Part
) -> Measured:
    import torch

    from agrifm.models.agrifm.network import AgriFM  # noqa: F401  loaded before the count begins

    torch.set_num_threads(1)
    torch.ones(64, 64) @ torch.ones(64, 64)  # what the library needs for itself
    before = kilobytes("VmRSS")
    subject = Subject(config, frames, side, batch, kind, part)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    subject.run()
    peak = 1024.0 * (kilobytes("VmHWM") - before)
    return Measured(statistics.median(subject.seconds() for _ in range(runs)), peak)


def free_bytes() -> int:
    """Memory that can be had without swapping; Linux."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def load() -> str:
    """The load averages of the last minutes."""
    return ", ".join(f"{one:.1f}" for one in os.getloadavg())


def head() -> list[str]:
    """What a result begins with: date, hardware, load, versions, command."""
    import torch

    script, *arguments = sys.argv
    return [
        f"date       {datetime.date.today().isoformat()}",
        f"hardware   {processor()}; load average at the start {load()}",
        f"versions   torch {torch.__version__}, Python {platform.python_version()}",
        f"command    python benchmarks/{Path(script).name} {' '.join(Path(one).name for one in arguments)}".rstrip(),
        "",
    ]


def write(lines: list[str], path: Path | None) -> None:
    """Print a result, and write it where there is a path."""
    text = "\n".join([*lines, "", f"load average at the end {load()}"]) + "\n"
    print(text, end="")
    if path is not None:
        path.write_text(text, encoding="utf-8")
