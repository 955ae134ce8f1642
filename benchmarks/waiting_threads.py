"""One training step with OpenMP threads that spin, that sleep, and with one thread, alone and next to a busy process.

python benchmarks/waiting_threads.py [--out benchmarks/results/DATE-waiting-threads.txt]
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator

from measure import Command, table

STEP = """
import statistics, sys, time
import torch
from agrifm.models.agrifm.network import AgriFM, preset
side = int(sys.argv[1])
if sys.argv[2] == "ONE":
    torch.set_num_threads(1)
torch.manual_seed(0)
network = AgriFM(preset("tiny", {"sentinel-2": 10, "landsat": 6}, 4, frames=24))
optimiser = torch.optim.AdamW(network.parameters())
images = {"sentinel-2": torch.randn(4, 24, 10, side, side), "landsat": torch.randn(4, 24, 6, side // 3, side // 3)}
seconds = []
for _ in range(6):
    start = time.perf_counter()
    network(images).square().mean().backward()
    optimiser.step()
    optimiser.zero_grad()
    seconds.append(time.perf_counter() - start)
print(statistics.median(seconds[1:]))
"""
BUSY = "while True: pass"


def step_seconds(side: int, policy: str) -> float:
    """Median seconds of a step in a new process; the policy is OpenMP's, or ONE for a single thread."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE" if policy == "ONE" else policy}
    done = subprocess.run(
        [sys.executable, "-c", STEP, str(side), policy], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def rows(sides: list[int]) -> Iterator[tuple[str, ...]]:
    """A row for each size of the window, alone and next to a busy process."""
    for neighbour in ("nothing", "a busy process"):
        busy = subprocess.Popen([sys.executable, "-c", BUSY]) if neighbour != "nothing" else None
        try:
            for side in sides:
                seconds = [f"{step_seconds(side, policy):.2f}" for policy in ("ACTIVE", "PASSIVE", "ONE")]
                yield f"{side} px", neighbour, *seconds
        finally:
            if busy is not None:
                busy.kill()
                busy.wait()


def report(options: argparse.Namespace) -> Iterator[str]:
    """Seconds of a step by window, neighbour and policy."""
    yield from table(
        ("window", "next to", "spinning s", "sleeping s", "one thread s"), rows(options.sides), left=(0, 1)
    )


SIDES = {"--sides": {"type": int, "nargs": "+", "default": [48, 96], "help": "pixels, default 48 96"}}
main = Command(__doc__, report, SIDES, ("torch",), quick={"sides": [12]})

if __name__ == "__main__":
    main()
