"""Square kilometres mapped per minute, peak memory at two areas, and the share of each step.

Two synthetic Sentinel-2 cubes (10 bands, 10 m, a part of the observations cloudy) are mapped with AgriFM `tiny` and
random weights, each in a process of its own whose peak memory (resident, libraries included) is measured. Memory must
not grow with the area. Shares are seconds spent in a step over all seconds; reading and interpolating run in a thread
next to the network, so shares may add up to more than 100 %.

    python benchmarks/map_throughput.py --sides 3.84 11.52 --out benchmarks/results
"""

import argparse
import datetime
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from affine import Affine
from measure import Command, own_process, table

# torch comes after measure, because importing agrifm settles how threads wait
from torch import manual_seed

from agrifm.cube import store
from agrifm.grid import Grid
from agrifm.inference.predictor import TorchModel
from agrifm.legend import Legend
from agrifm.mapping import run, window_store
from agrifm.models.agrifm.network import AgriFM, preset
from agrifm.models.classifier import Classifier
from agrifm.record import ModelRecord, SensorInput, SensorRecord
from agrifm.samples import transforms
from agrifm.season import Season

BANDS = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir1", "swir2")
CLASSES = 8
CLOUDY = 0.4
"""Share of observations that are not usable."""
START, END = datetime.date(2024, 3, 1), datetime.date(2024, 10, 31)


class Result(NamedTuple):
    """One map."""

    km2: float
    windows: int
    seconds: float
    shares: dict[str, float]


def build(path: Path, side_km: float, frames: int) -> None:
    """A cube of deterministic noise over a square, written frame by frame."""
    side = round(side_km * 1000 / 480) * 48
    grid = Grid.of("EPSG:32631", Affine(10, 0, 480_000, 0, -10, 5_520_000), (side, side))
    content = SensorInput(sensor="sentinel-2", bands=BANDS, quantity="surface reflectance", scale=1e-4, resolution=10.0)
    root = store.create_root(path, Season(START, END), grid.footprint())
    days = [START + datetime.timedelta(days=round(number * (END - START).days / frames)) for number in range(frames)]
    group = store.create_sensor(root, content, grid, days, None)
    for frame in range(frames):
        rng = np.random.default_rng(frame)
        fields = rng.integers(200, 5000, (len(BANDS), side // 16, side // 16), dtype=np.int16)
        values = fields.repeat(16, 1).repeat(16, 2) + rng.integers(0, 64, (side, side), dtype=np.int16)
        group["values"][frame] = values
        group["valid"][frame] = (rng.random((side // 48, side // 48)) > CLOUDY).repeat(48, 0).repeat(48, 1)
    root.attrs["agrifm"] = {**root.attrs["agrifm"], "sensors": ["sentinel-2"]}


def measure(cube: Path, out: Path, steps: int, window: int, overlap: int) -> Result:
    """Map a cube with random weights, timing the steps."""
    manual_seed(0)
    opened = store.open_cube(cube)
    content = opened.inputs["sentinel-2"].model_dump()
    sensor = SensorRecord(**content, mean=(0.26,) * len(BANDS), std=(0.14,) * len(BANDS))
    record = ModelRecord(
        name="agrifm", family="agrifm", architecture={}, sensors=(sensor,), frames=steps, side=window,
        legend=Legend.of([f"crop{number}" for number in range(CLASSES)]), season=(START, END),
    )  # fmt: skip
    network = AgriFM(preset("tiny", {"sentinel-2": len(BANDS)}, CLASSES)).eval()
    classifier = Classifier(network, record.sensors, record.series).eval()
    spent: defaultdict[str, float] = defaultdict(float)
    time_calls(store.SensorCube, "read", spent, "reading")
    time_calls(transforms, "interpolate", spent, "interpolating")
    time_calls(TorchModel, "probabilities", spent, "network")
    time_calls(window_store.WindowStore, "write", spent, "keeping windows")
    time_calls(run, "write_rasters", spent, "blending, COGs")
    summary = run.map_cube(opened, TorchModel(record, classifier), "random", out, window, overlap)
    shares = {step: seconds / summary.seconds for step, seconds in spent.items()}
    return Result(summary.area_hectares / 100, summary.windows, summary.seconds, shares)


def time_calls(owner: Any, name: str, spent: dict[str, float], step: str) -> None:
    """Add the seconds that a function takes to `spent[step]`, from now on."""
    function: Callable[..., Any] = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[step] += time.perf_counter() - start

    setattr(owner, name, timed)


def report(options: argparse.Namespace) -> Iterator[str]:
    """A line per area, and the shares of the largest."""
    maps: list[tuple[Result, int]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for side in options.sides:
            cube, out = Path(scratch) / f"{side}.zarr", Path(scratch) / f"{side}-map"
            build(cube, side, options.frames)
            maps.append(own_process(measure, cube, out, options.steps, options.window, options.overlap))
    rows = [
        (f"{m.km2:.1f}", m.windows, f"{m.seconds:.1f}", f"{m.km2 / m.seconds * 60:.1f}", f"{peak / 1e9:.3f}")
        for m, peak in maps
    ]
    yield from table(("km2", "windows", "seconds", "km2/min", "peak GB"), rows, left=())
    yield ""
    (_, smallest), (last, largest) = maps[0], maps[-1]
    yield f"memory of the largest area over that of the smallest: {largest / smallest:.3f}"
    yield ""
    yield "share of the seconds of the largest area (reading and interpolating run next to the network)"
    for step, share in sorted(last.shares.items(), key=lambda item: -item[1]):
        yield f"  {step:18}{share:>6.0%}"


OPTIONS = {
    "--sides": {"nargs": "+", "type": float, "default": [3.84, 11.52], "help": "km, default 3.84 11.52"},
    "--frames": {"type": int, "default": 30, "help": "acquisitions in the cube, default 30"},
    "--steps": {"type": int, "default": 24, "help": "steps that the model sees, default 24"},
    "--window": {"type": int, "default": 192, "help": "pixels, default 192"},
    "--overlap": {"type": int, "default": 48, "help": "pixels, default 48"},
}
QUICK = {"sides": [0.96, 1.92], "frames": 3, "steps": 4, "window": 96, "overlap": 0}
main = Command(__doc__, report, OPTIONS, ("torch", "zarr", "rasterio"), QUICK)

if __name__ == "__main__":
    main()
