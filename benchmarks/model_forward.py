"""Seconds and memory of one forward pass per preset, on random Sentinel-2 series, batch of one, float32, CPU.

Each preset runs in a process of its own, so that its peak memory (resident, libraries included) is its own.

    python benchmarks/model_forward.py --presets tiny small base --frames 32 --side 128 --out benchmarks/results
"""

import argparse
import datetime
import multiprocessing
import platform
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple


class Result(NamedTuple):
    preset: str
    parameters: int
    seconds: list[float]
    peak_bytes: int
    torch_version: str
    threads: int


def measure(preset_name: str, frames: int, side: int, runs: int) -> Result:
    """Time `runs` forward passes after one to warm up."""
    import torch  # here, so that the parent stays small: a child's peak starts from its parent's

    from agrifm.models.agrifm.network import AgriFM, preset

    model = AgriFM(preset(preset_name, {"sentinel-2": 10}, classes=8)).eval()
    images = {"sentinel-2": torch.randn(1, frames, 10, side, side)}
    seconds = []
    with torch.inference_mode():
        for _ in range(runs + 1):
            start = time.perf_counter()
            model(images)
            seconds.append(time.perf_counter() - start)
    return Result(
        preset_name,
        sum(p.numel() for p in model.parameters()),
        seconds[1:],
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        torch.__version__,
        torch.get_num_threads(),
    )


def processor() -> str:
    """Model name of the processor where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def table(results: list[Result], frames: int, side: int, runs: int) -> str:
    first = results[0]
    lines = [
        f"date       {datetime.date.today().isoformat()}",
        f"hardware   {processor()}, {first.threads} threads",
        f"versions   torch {first.torch_version}, Python {platform.python_version()}",
        f"command    python benchmarks/model_forward.py --presets {' '.join(r.preset for r in results)} "
        f"--frames {frames} --side {side} --runs {runs}",
        "",
        f"{'preset':8}{'input':>16}{'parameters':>14}{'median s':>10}{'best s':>9}{'peak GB':>9}",
    ]
    for result in results:
        ordered = sorted(result.seconds)
        lines.append(
            f"{result.preset:8}{f'{frames}x10x{side}x{side}':>16}{f'{result.parameters / 1e6:.2f} M':>14}"
            f"{ordered[len(ordered) // 2]:>10.2f}{ordered[0]:>9.2f}{result.peak_bytes / 1e9:>9.2f}"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["tiny", "small"], help="default: tiny small")
    parser.add_argument("--frames", type=int, default=32, help="images of the series, default 32")
    parser.add_argument("--side", type=int, default=128, help="pixels, default 128")
    parser.add_argument("--runs", type=int, default=3, help="timed passes, default 3")
    parser.add_argument("--out", type=Path, help="folder for <date>-model-forward.txt")
    args = parser.parse_args()

    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        results = [pool.submit(measure, p, args.frames, args.side, args.runs).result() for p in args.presets]
    text = table(results, args.frames, args.side, args.runs)
    print(text, end="")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / f"{datetime.date.today().isoformat()}-model-forward.txt").write_text(text)


if __name__ == "__main__":
    main()
