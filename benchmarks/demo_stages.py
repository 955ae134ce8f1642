"""Seconds of each stage of the demo, its peak memory, and the scores it ends with.

python benchmarks/demo_stages.py DIR [--out benchmarks/results/DATE-demo.txt]
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path


def main() -> None:
    """Run the demo in a process of its own into DIR, print the table, and write it with --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    subprocess.run([sys.executable, "-m", "agrifm", "demo", str(options.directory)], check=True)
    stages = json.loads((options.directory / "stages.json").read_text(encoding="utf-8"))
    scores = json.loads((options.directory / "models" / "scores.json").read_text(encoding="utf-8"))
    timing = json.loads((options.directory / "models" / "agrifm.timing.json").read_text(encoding="utf-8"))
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "scikit-learn", "zarr", "rasterio"))
    lines = [
        f"agrifm demo, {date.today()}, {platform.machine()}, {os.cpu_count()} cores, load before {before:.1f}",
        f"python {platform.python_version()}, {packages}",
        *(f"{name:<10} {seconds:7.1f} s" for name, seconds in stages["seconds"].items()),
        f"{'all':<10} {sum(stages['seconds'].values()):7.1f} s, peak memory {stages['peak_memory_gb']:.2f} GB",
        f"share of training time spent waiting for data {timing['share_of_time_waiting_for_data']:.3f}",
        f"majority class: overall accuracy {scores['majority_class']['overall_accuracy']:.3f}",
    ]
    for name, own in scores["models"].items():
        low, high = own["macro_f1_interval"]
        lines.append(
            f"{name}: overall accuracy {own['overall_accuracy']:.3f}, macro F1 {own['macro_f1']:.3f} "
            f"({low:.3f} to {high:.3f}), per parcel {own['macro_f1_parcels']:.3f}"
        )
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
