"""The paper's claim, checked: down-sampling time together with space, compared with down-sampling space alone.

    python benchmarks/synchronised.py [--presets tiny small base]              costs alone, a minute or two without base
    python benchmarks/synchronised.py DIR --runs RUNS.jsonl [--part 0/2]       train what is missing, a line per run
    python benchmarks/synchronised.py --runs RUNS.jsonl --out benchmarks/results/DATE-synchronised.txt

The same network with `downsample_steps` of 1 keeps all its time steps through every stage. The paper says that merging
them saves 60 to 70 % of the operations, 15 to 33 % of the memory and 40 to 45 % of the training time. Costs are those
of the encoder, the only part that differs; `base` has 32 frames as released, the others the demo's 24.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence

from measure import Command, Run, read_runs, table
from network_pass import CLASSES, ONE_SOURCE, Workload, measured, seconds
from variants import OPTIONS, Variant, by_variant, difference, read_demo, score_lines, train_missing

from agrifm.models.agrifm.network import AgriFMConfig, preset
from agrifm.models.cost import forward_multiply_adds

SYNCHRONISED, SPATIAL = "time with space", "space alone"
SHAPES = (("tiny", 24, 48, 4), ("small", 24, 96, 1), ("base", 32, 64, 1))
"""Preset, frames, pixels and samples of what is measured."""
COUNTED = ("base", 32, 256)
"""The released shape, of which only multiply-adds are counted."""
RUNS = 5
CLAIM = {"multiply-adds": "60 to 70 %", "memory": "15 to 33 %", "training time": "40 to 45 %"}


def both(config: AgriFMConfig) -> dict[str, AgriFMConfig]:
    """The network as it is, and without any merging of time steps."""
    spatial = config.encoder.model_copy(update={"downsample_steps": (1, 1, 1)})
    return {SYNCHRONISED: config, SPATIAL: config.model_copy(update={"encoder": spatial})}


def networks(name: str, frames: int) -> dict[str, AgriFMConfig]:
    """The two networks of a preset with one sensor.

    `base` averages its maps over time, because its decoder would otherwise be eight times as wide.
    """
    config = preset(name, ONE_SOURCE, CLASSES, frames=None if name == "base" else frames)
    return both(config.model_copy(update={"encoder": config.encoder.model_copy(update={"fusion": "mean"})}))


def less(synchronised: float, spatial: float) -> str:
    """By how much the first is smaller, in percent."""
    return f"{1 - synchronised / spatial:.0%} less"


def cost_lines(presets: Sequence[str], runs: int) -> Iterator[str]:
    """Multiply-adds, memory and time of the encoder with and without merging of time."""
    yield f"encoder, one sensor, training step; {', '.join(f'{what} {claim}' for what, claim in CLAIM.items())} (paper)"
    yield from table(("shape", "", "multiply-adds", "memory GB", "CPU s"), cost_rows(presets, runs), left=(0, 1))
    name, frames, side = COUNTED
    adds = {
        way: float(forward_multiply_adds(config, frames, side).encoders)
        for way, config in networks(name, frames).items()
    }
    yield (
        f"{name}, {frames} x {side} x {side}, multiply-adds only: {adds[SYNCHRONISED] / 1e9:.1f} G against "
        f"{adds[SPATIAL] / 1e9:.1f} G, {less(adds[SYNCHRONISED], adds[SPATIAL])}"
    )
    yield ""


def cost_rows(presets: Sequence[str], runs: int) -> Iterator[tuple[str, ...]]:
    """Three rows per preset: both ways, and what the first saves."""
    for name, frames, side, batch in (shape for shape in SHAPES if shape[0] in presets):
        workloads = {
            way: Workload(config, frames, side, batch, "training", "encoders")
            for way, config in networks(name, frames).items()
        }
        adds = {
            way: float(forward_multiply_adds(load.config, frames, side).encoders * batch)
            for way, load in workloads.items()
        }
        times = seconds(workloads, runs)
        peaks = {way: measured(load, 1).peak for way, load in workloads.items()}
        for way in workloads:
            shape = f"{name}, {batch} x {frames} x {side} x {side}"
            yield shape, way, f"{adds[way] / 1e9:.2f} G", f"{peaks[way] / 1e9:.2f}", f"{times[way]:.2f}"
        yield "", "", *(less(cost[SYNCHRONISED], cost[SPATIAL]) for cost in (adds, peaks, times))


def accuracy_lines(runs: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    """Macro F1 of both, and their difference."""
    yield from score_lines(runs)
    if len(runs) == 2:
        mean, low, high = difference(runs[SYNCHRONISED], runs[SPATIAL])
        yield f"{SYNCHRONISED} - {SPATIAL}: macro F1 {mean:+.3f} ({low:+.3f} to {high:+.3f})"
        speed = {
            way: sum(run["seconds"] for run in seeds) / sum(run["steps"] for run in seeds)
            for way, seeds in runs.items()
        }
        yield f"training time with validation: {less(speed[SYNCHRONISED], speed[SPATIAL])}"


def report(options: argparse.Namespace) -> Iterator[str]:
    """Train what is missing, or report the tables."""
    if options.directory:
        demo = read_demo(options.directory, options.steps)
        variants = {way: Variant(config) for way, config in both(demo.network).items()}
        train_missing(demo, variants, options.runs, options.part)
        return
    yield from cost_lines(options.presets, 1 if options.quick else RUNS)
    yield from accuracy_lines(by_variant(read_runs(options.runs), [SYNCHRONISED, SPATIAL]))


PRESETS = {"--presets": {"nargs": "+", "choices": [shape[0] for shape in SHAPES], "default": ["tiny", "small"]}}
main = Command(__doc__, report, {**OPTIONS, **PRESETS}, ("torch",), quick={"presets": ["tiny"]})

if __name__ == "__main__":
    main()
