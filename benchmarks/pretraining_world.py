"""Speed of the pretraining world: points with series of Sentinel-2, Landsat and MODIS per second of processor time.

python benchmarks/pretraining_world.py --out benchmarks/results
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
from measure import Command

from agrifm.simulator.world.series import FIELDS_PER_PLACE, simulate_world


def report(options: argparse.Namespace) -> Iterator[str]:
    """Time the simulation of places in this process, and describe what was made."""
    simulate_world(options.seed, range(2))  # reads files
    yield f"{FIELDS_PER_PLACE} points in each place; one process"
    for places in options.places:
        start, cpu = time.perf_counter(), time.process_time()
        world = simulate_world(options.seed, range(places))
        wall, used = time.perf_counter() - start, time.process_time() - cpu
        count = len(world.lon)
        speed = f"{count / used:6.0f} points per second of processor time, {count / wall:6.0f} of the clock"
        yield f"{places:4d} places: {speed}"
    yield "usable observations of a season (10th percentile, median, 90th):"
    for sensor, series in world.series.items():
        low, middle, high = np.percentile(series.length, [10, 50, 90])
        yield f"  {sensor:12s} {low:4.0f} {middle:4.0f} {high:4.0f}"


main = Command(
    __doc__,
    report,
    {"--places": {"type": int, "nargs": "+", "default": [20, 80]}, "--seed": {"type": int, "default": 0}},
    ("scipy",),
    quick={"places": [3]},
)

if __name__ == "__main__":
    main()
