"""Seconds of each stage of the demo, its peak memory, and the scores of its models.

python benchmarks/demo_stages.py DIR [--out benchmarks/results]
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from measure import Command


def report(options: argparse.Namespace) -> Iterator[str]:
    """Run the demo in a process of its own, then read the files it wrote."""
    directory: Path = options.directory
    subprocess.run([sys.executable, "-m", "agrifm", "demo", str(directory)], check=True)
    stages = json.loads((directory / "stages.json").read_text(encoding="utf-8"))
    scores = json.loads((directory / "models" / "scores.json").read_text(encoding="utf-8"))
    timing = json.loads((directory / "models" / "agrifm.timing.json").read_text(encoding="utf-8"))
    for name, seconds in stages["seconds"].items():
        yield f"{name:<10} {seconds:7.1f} s"
    yield f"{'all':<10} {sum(stages['seconds'].values()):7.1f} s, peak memory {stages['peak_memory_gb']:.2f} GB"
    yield f"share of training time spent waiting for data {timing['share_of_time_waiting_for_data']:.3f}"
    yield f"majority class: overall accuracy {scores['majority_class']['overall_accuracy']:.3f}"
    for name, score in scores["models"].items():
        low, high = score["macro_f1_interval"]
        yield (
            f"{name}: overall accuracy {score['overall_accuracy']:.3f}, macro F1 {score['macro_f1']:.3f} "
            f"({low:.3f} to {high:.3f}), per parcel {score['macro_f1_parcels']:.3f}"
        )


DIRECTORY = {"directory": {"type": Path, "help": "the demo's folder, new or unfinished"}}
main = Command(__doc__, report, DIRECTORY, ("torch", "scikit-learn", "zarr", "rasterio"))

if __name__ == "__main__":
    main()
