"""One training step with OpenMP threads that spin, that sleep, and with one thread, idle and beside a busy process.

python benchmarks/waiting_threads.py [--out benchmarks/results/DATE-waiting-threads.txt]
"""

import argparse
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

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
    """Median seconds of a step in a process of its own; the policy is OpenMP's, or ONE for a single thread."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE" if policy == "ONE" else policy}
    done = subprocess.run(
        [sys.executable, "-c", STEP, str(side), policy], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Print the table, and write it with --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    import torch

    lines = [
        f"{date.today()}  {platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads",
        f"{'window':>8} {'beside':>14} {'spinning s':>11} {'sleeping s':>11} {'one thread s':>13}",
    ]
    for beside in ("nothing", "a busy process"):
        busy = subprocess.Popen([sys.executable, "-c", BUSY]) if beside != "nothing" else None
        try:
            for side in (48, 96):
                spinning, sleeping, one = (step_seconds(side, policy) for policy in ("ACTIVE", "PASSIVE", "ONE"))
                lines.append(f"{side:>5} px {beside:>14} {spinning:>11.2f} {sleeping:>11.2f} {one:>13.2f}")
        finally:
            if busy is not None:
                busy.kill()
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
