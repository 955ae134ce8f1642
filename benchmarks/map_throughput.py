"""Square kilometres mapped per minute, peak memory at two areas, and where the time goes.

Two synthetic Sentinel-2 cubes (10 bands, 10 m, a part of the observations cloudy) are mapped with AgriFM `tiny` and
random weights, each in a process of its own, so that its peak memory (resident, libraries included) is its own. Memory
must not grow with the area. Shares are seconds spent in a step over all seconds; reading and interpolating run in a
thread beside the network, so shares may add up to more than 100 %.

    python benchmarks/map_throughput.py --sides 3.84 11.52 --out benchmarks/results
"""

import argparse
import datetime
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

BANDS = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir1", "swir2")
CLASSES = 8
CLOUDY = 0.4
"""Share of observations that are not usable."""
START, END = datetime.date(2024, 3, 1), datetime.date(2024, 10, 31)


class Result(NamedTuple):
    km2: float
    windows: int
    seconds: float
    peak_bytes: int
    shares: dict[str, float]
    versions: dict[str, str]
    threads: int


def build(path: Path, side_km: float, frames: int) -> None:
    """A cube of deterministic noise over a square, written frame by frame."""
    import numpy as np
    from affine import Affine

    from agrifm.cube.store import create_root, create_sensor
    from agrifm.grid import Grid
    from agrifm.record import SensorInput
    from agrifm.season import Season

    side = round(side_km * 1000 / 480) * 48
    grid = Grid.of("EPSG:32631", Affine(10, 0, 480_000, 0, -10, 5_520_000), (side, side))
    content = SensorInput(sensor="sentinel-2", bands=BANDS, quantity="surface reflectance", scale=1e-4, resolution=10.0)
    root = create_root(path, Season(START, END), grid.footprint())
    days = [START + datetime.timedelta(days=round(number * (END - START).days / frames)) for number in range(frames)]
    group = create_sensor(root, content, grid, days, None)
    for frame in range(frames):
        rng = np.random.default_rng(frame)
        fields = rng.integers(200, 5000, (len(BANDS), side // 16, side // 16), dtype=np.int16)
        values = fields.repeat(16, 1).repeat(16, 2) + rng.integers(0, 64, (side, side), dtype=np.int16)
        group["values"][frame] = values
        group["valid"][frame] = (rng.random((side // 48, side // 48)) > CLOUDY).repeat(48, 0).repeat(48, 1)
    root.attrs["agrifm"] = {**root.attrs["agrifm"], "sensors": ["sentinel-2"]}


def measure(cube: Path, out: Path, steps: int, window: int, overlap: int) -> Result:
    """Map a cube with random weights, timing the steps."""
    import torch

    from agrifm.cube import store
    from agrifm.inference.predictor import TorchModel
    from agrifm.legend import Legend
    from agrifm.mapping import predict, run
    from agrifm.models.agrifm.network import AgriFM, preset
    from agrifm.models.classifier import Classifier
    from agrifm.record import ModelRecord, SensorRecord, running_versions
    from agrifm.samples import transforms

    torch.manual_seed(0)
    opened = store.open_cube(cube)
    own = opened.inputs["sentinel-2"].model_dump()
    record = ModelRecord(
        name="agrifm",
        architecture={},
        sensors=(SensorRecord(**own, mean=(0.26,) * len(BANDS), std=(0.14,) * len(BANDS)),),
        frames=steps,
        side=window,
        legend=Legend.of([f"crop{number}" for number in range(CLASSES)]),
        season=(START, END),
    )
    network = AgriFM(preset("tiny", {"sentinel-2": len(BANDS)}, CLASSES)).eval()
    classifier = Classifier(network, record.sensors, record.series).eval()
    spent: defaultdict[str, float] = defaultdict(float)
    time_calls(store.SensorCube, "read", spent, "reading")
    time_calls(transforms, "interpolate", spent, "interpolating")
    time_calls(TorchModel, "probabilities", spent, "network")
    time_calls(predict.WindowStore, "write", spent, "keeping windows")
    time_calls(run, "_write_rasters", spent, "blending, COGs")
    summary = run.map_cube(opened, TorchModel(record, classifier), "random", out, window, overlap)
    return Result(
        km2=summary.area_hectares / 100,
        windows=summary.windows,
        seconds=summary.seconds,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        shares={step: seconds / summary.seconds for step, seconds in spent.items()},
        versions=running_versions("torch", "zarr", "rasterio"),
        threads=torch.get_num_threads(),
    )


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


def processor() -> str:
    """Model name of the processor where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def table(results: list[Result], args: argparse.Namespace) -> str:
    first, last = results[0], results[-1]
    command = f"--sides {' '.join(f'{side:g}' for side in args.sides)} --frames {args.frames} --steps {args.steps}"
    lines = [
        f"date       {datetime.date.today().isoformat()}",
        f"hardware   {processor()}, {first.threads} threads; busy processes (load average) {os.getloadavg()[0]:.1f}",
        f"versions   {', '.join(f'{name} {number}' for name, number in first.versions.items())}",
        f"command    python benchmarks/map_throughput.py {command} --window {args.window} --overlap {args.overlap}",
        "",
        f"{'km2':>8}{'windows':>9}{'seconds':>9}{'km2/min':>9}{'peak GB':>9}",
    ]
    for result in results:
        rate = result.km2 / result.seconds * 60
        lines.append(
            f"{result.km2:>8.1f}{result.windows:>9}{result.seconds:>9.1f}{rate:>9.1f}{result.peak_bytes / 1e9:>9.3f}"
        )
    lines += [
        "",
        f"memory of the largest area over that of the smallest: {last.peak_bytes / first.peak_bytes:.3f}",
        "",
        "share of the seconds of the largest area (reading and interpolating run beside the network)",
        *(f"  {step:18}{share:>6.0%}" for step, share in sorted(last.shares.items(), key=lambda item: -item[1])),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sides", nargs="+", type=float, default=[3.84, 11.52], help="km, default 3.84 11.52")
    parser.add_argument("--frames", type=int, default=30, help="acquisitions in the cube, default 30")
    parser.add_argument("--steps", type=int, default=24, help="steps that the model sees, default 24")
    parser.add_argument("--window", type=int, default=192, help="pixels, default 192")
    parser.add_argument("--overlap", type=int, default=48, help="pixels, default 48")
    parser.add_argument("--out", type=Path, help="folder for <date>-map-throughput.txt")
    args = parser.parse_args()

    spawn = multiprocessing.get_context("spawn")
    results = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool,
    ):
        for side in args.sides:
            cube, out = Path(scratch) / f"{side}.zarr", Path(scratch) / f"{side}-map"
            pool.submit(build, cube, side, args.frames).result()
            results.append(pool.submit(measure, cube, out, args.steps, args.window, args.overlap).result())
    text = table(results, args)
    print(text, end="")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / f"{datetime.date.today().isoformat()}-map-throughput.txt").write_text(text)


if __name__ == "__main__":
    main()
