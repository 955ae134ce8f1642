"""Time and memory of one pass of a network: seconds of a processor core, and bytes at the peak.

Time is the processor time of this process with one thread, so other programs hardly change it. Networks that are
compared take turns. Memory is measured in a process of its own.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from measure import own_process, turns
from torch.profiler import ProfilerActivity, profile

from agrifm.models.agrifm.network import AgriFM, AgriFMConfig
from agrifm.models.agrifm.reference import use_reference
from agrifm.models.precision import DEFAULT_COMPUTE, Compute, compile_network, computing, recompute_blocks
from agrifm.process_memory import forget_peak, peak_bytes, resident_bytes

Pass = Literal["forward", "training"]
PASSES: tuple[Pass, ...] = ("forward", "training")
SOURCES = {"sentinel-2": 10, "landsat": 6, "modis": 7}
"""Bands per sensor of the demo."""
ONE_SOURCE = {"sentinel-2": 10}
CLASSES = 12


@dataclass(frozen=True)
class Workload:
    """A network, what goes through it, and how it computes."""

    config: AgriFMConfig
    frames: int
    side: int
    """Pixels of the finest sensor."""
    batch: int = 1
    kind: Pass = "forward"
    part: Literal["network", "encoders"] = "network"
    reference: bool = False
    """Whether the network is the reference implementation (docs/decisions/0007)."""
    compute: Compute = DEFAULT_COMPUTE
    device: str = "cpu"
    threads: int = 1


class NetworkPass:
    """A network with random series and labels, and an optimiser that has allocated its memory."""

    def __init__(self, workload: Workload) -> None:
        torch.set_num_threads(workload.threads)
        torch.manual_seed(0)
        self.workload = workload
        whole = AgriFM(workload.config).train(workload.kind == "training").to(workload.device)
        self.network = whole.encoders if workload.part == "encoders" else whole
        if workload.reference:
            use_reference(self.network)
        if workload.compute.recompute:
            recompute_blocks(self.network)
        if workload.compute.compiled:
            compile_network(self.network)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=1e-6)
        if workload.kind == "training":
            for parameter in self.network.parameters():
                parameter.grad = torch.zeros_like(parameter)
            self.optimiser.step()
        self.draw(workload.batch)

    def draw(self, batch: int) -> None:
        """Draw series and labels of so many samples."""
        work = self.workload
        self.images = {
            source.name: torch.randn(
                batch, work.frames, source.channels, *([-(-work.side // source.pixel)] * 2), device=work.device
            )
            for source in work.config.sources
        }
        self.labels = torch.randint(work.config.classes, (batch, work.side, work.side), device=work.device)

    def run(self) -> None:
        """One forward pass, or one training step; of encoders alone, forward and backward."""
        with torch.inference_mode(self.workload.kind == "forward"):
            with computing(self.workload.compute.precision, torch.device(self.workload.device)):
                output = self.network(self.images)
            if self.workload.part == "encoders":
                loss = sum(series.encoder_features.square().mean() for series in output.values())
            else:
                loss = torch.nn.functional.cross_entropy(output.float(), self.labels)
        if self.workload.kind == "training":
            self.optimiser.zero_grad()
            loss.backward()
            if self.workload.part == "network":
                self.optimiser.step()
        if self.workload.device == "cuda":
            torch.cuda.synchronize()

    def seconds(self) -> float:
        """Processor seconds of one run."""
        start = time.process_time()
        self.run()
        return time.process_time() - start


def seconds(workloads: Mapping[str, Workload], runs: int) -> dict[str, float]:
    """Median processor seconds of a pass of each, which take turns after a first pass that does not count."""
    timed = turns({name: NetworkPass(workload).run for name, workload in workloads.items()}, runs)
    return {name: statistics.median(each) for name, each in timed.items()}


class Measured(NamedTuple):
    """Cost of a pass."""

    seconds: float
    """Of a processor core; the median of the runs."""
    peak: float
    """Most bytes beyond those of the loaded libraries: weights, series, and what the pass keeps."""
    kept: float = 0.0
    """Most bytes beyond weights and series: what the pass keeps."""


def measured(workload: Workload, runs: int) -> Measured:
    """Time and memory of a pass, in a process of its own; the first pass counts for memory alone."""
    result: Measured = own_process(_measured, workload, runs).result
    return result


def _measured(workload: Workload, runs: int) -> Measured:
    libraries = bytes_of_libraries()
    subject = NetworkPass(workload)
    forget_peak()
    loaded = resident_bytes()
    subject.run()
    peak = peak_bytes()
    seconds = statistics.median(subject.seconds() for _ in range(runs)) if runs else 0.0
    return Measured(seconds, float(peak - libraries), float(peak - loaded))


def product_rate(side: int, runs: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> float:
    """Multiply-adds per second of a matrix product, the best of the runs: the peak that a network is compared with."""
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

    def product() -> None:
        torch.mm(a, b)
        if device == "cuda":
            torch.cuda.synchronize()

    return side**3 / min(turns({"product": product}, runs, time.perf_counter)["product"])


def time_of_operations(run: Callable[[], object], device: str = "cpu") -> dict[str, float]:
    """Microseconds that each operation of PyTorch needs of the device in one run."""
    on_card = device == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_card else ProfilerActivity.CPU]) as profiled:
        run()
    events = profiled.key_averages()
    return {event.key: event.self_device_time_total if on_card else event.self_cpu_time_total for event in events}


def bytes_of_libraries() -> int:
    """Memory of this process with the network's libraries loaded and the math library's own buffers allocated."""
    torch.set_num_threads(1)
    torch.ones(64, 64) @ torch.ones(64, 64)
    return resident_bytes()
