"""The benchmarks of the network one after another: fast and plain path, decoders, precision, export, sizes, growth.

    python benchmarks/model.py [DIR] [--out benchmarks/results] [--only lean-decoder synchronised ...]

Each is a script of its own, whose longer parts (other presets, training on a demo, a GPU) are started there. With DIR,
a finished demo, the loader is timed too. Results are named by date; what was measured on the way is kept beside them,
so a stopped benchmark continues.
"""

import argparse
import datetime
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
Commands = list[list[str]]


def plan(directory: Path | None, out: Path, day: str) -> dict[str, Commands]:
    """The commands of each benchmark."""

    def to(name: str, ending: str = "txt") -> str:
        return str(out / f"{day}-{name}.{ending}")

    presets, growth = to("presets", "jsonl"), to("growth", "jsonl")
    commands = {
        "speed": [["model_speed.py", "--out", to("model-speed")]],
        "lean-decoder": [["lean_decoder.py", "--out", to("lean-decoder")]],
        "synchronised": [["synchronised.py", "--out", to("synchronised")]],
        "precision": [["precision.py", "--out", to("precision")]],
        "export": [["export.py", "--out", to("export")]],
        "presets": [
            ["presets.py", "--runs", presets, "--presets", "tiny"],
            ["presets.py", "--runs", presets, "--table", "--out", to("presets")],
        ],
        "growth": [
            ["growth.py", "--preset", "tiny", "--runs", growth],
            ["growth.py", "--preset", "tiny", "--runs", growth, "--table", "--out", to("growth")],
        ],
        "gpu": [["gpu.py", "--device", "cpu", "--quick", "--out", to("gpu-script-on-cpu")]],
    }
    if directory is not None:
        commands["loader"] = [["loader.py", str(directory), "--out", to("loader")]]
    return commands


def main() -> None:
    """Run what is asked for; ends with the first failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, nargs="?", help="a finished demo, for the loader")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the results")
    names = ", ".join(plan(Path(), Path(), ""))
    parser.add_argument("--only", nargs="+", metavar="NAME", help=names)
    options = parser.parse_args()
    commands = plan(options.directory, options.out, datetime.date.today().isoformat())
    wanted = options.only or list(commands)
    if unknown := sorted(set(wanted) - commands.keys()):
        parser.error(f"there is no benchmark {unknown[0]!r} here; choose of {', '.join(commands)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        began = time.perf_counter()
        for script, *arguments in commands[name]:
            done = subprocess.run([sys.executable, str(HERE / script), *arguments], check=False)
            if done.returncode:
                raise SystemExit(f"{name}: {script} ended with exit code {done.returncode}")
        print(f"{name}: {time.perf_counter() - began:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
