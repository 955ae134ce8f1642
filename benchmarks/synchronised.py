"""The paper's claim, checked: down-sampling time together with space against down-sampling space alone.

    python benchmarks/synchronised.py [--presets tiny small base]              costs alone, a minute or two without base
    python benchmarks/synchronised.py DIR --runs RUNS.jsonl [--part 0/2]       train what is missing, a line per run
    python benchmarks/synchronised.py --runs RUNS.jsonl --out benchmarks/results/DATE-synchronised.txt

The same network with `downsample_steps` of 1 keeps all its time steps through every stage. The paper says that merging
them saves 60 to 70 % of the operations, 15 to 33 % of the memory and 40 to 45 % of the training time. Costs are those
of the encoder, which is all that differs; of `base` with 32 frames as released, of the others with the demo's 24.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence

from measure import CLASSES, ONE_SOURCE, head, measured, seconds, write
from variants import Run, add_options, by_variant, difference, read_demo, read_runs, score_lines, train_missing

from agrifm.models.agrifm.network import AgriFMConfig, preset
from agrifm.models.count import work

SYNCHRONISED, SPATIAL = "time with space", "space alone"
SHAPES = (("tiny", 24, 48, 4), ("small", 24, 96, 1), ("base", 32, 64, 1))
"""Preset, frames, pixels and samples of what is measured."""
COUNTED = ("base", 32, 256)
"""The released shape: its multiply-adds are counted alone."""
RUNS = 5
CLAIM = {"multiply-adds": "60 to 70 %", "memory": "15 to 33 %", "training time": "40 to 45 %"}


def both(config: AgriFMConfig) -> dict[str, AgriFMConfig]:
    """The network as it is, and without any merging of time steps."""
    spatial = config.encoder.model_copy(update={"downsample_steps": (1, 1, 1)})
    return {SYNCHRONISED: config, SPATIAL: config.model_copy(update={"encoder": spatial})}


def networks(name: str, frames: int) -> dict[str, AgriFMConfig]:
    """Of a preset with one sensor; `base` averages its maps over time, or its decoder would be eight times as wide."""
    config = preset(name, ONE_SOURCE, CLASSES, frames=None if name == "base" else frames)
    return both(config.model_copy(update={"encoder": config.encoder.model_copy(update={"fusion": "mean"})}))


def less(synchronised: float, spatial: float) -> str:
    """By how much the first is less."""
    return f"{1 - synchronised / spatial:.0%} less"


def cost_lines(presets: Sequence[str]) -> Iterator[str]:
    """Of the shapes of some presets: multiply-adds, memory and time of the encoder with and without merging of time."""
    yield f"encoder, one sensor, training step; {', '.join(f'{what} {claim}' for what, claim in CLAIM.items())} (paper)"
    yield f"{'shape':<30}{'':<17}{'multiply-adds':>16}{'memory GB':>12}{'CPU s':>9}"
    for name, frames, side, batch in (shape for shape in SHAPES if shape[0] in presets):
        configs = networks(name, frames)
        adds = {way: float(work(config, frames, side).encoders * batch) for way, config in configs.items()}
        times = seconds(configs, frames, side, batch, "training", RUNS, "encoders")
        peaks = {
            way: measured(config, frames, side, batch, "training", 1, "encoders").peak
            for way, config in configs.items()
        }
        for way in configs:
            shape = f"{name}, {batch} x {frames} x {side} x {side}"
            yield f"{shape:<30}{way:<17}{adds[way] / 1e9:>14.2f} G{peaks[way] / 1e9:>12.2f}{times[way]:>9.2f}"
        saved = [less(own[SYNCHRONISED], own[SPATIAL]) for own in (adds, peaks, times)]
        yield f"{'':<47}{saved[0]:>16}{saved[1]:>12}{saved[2]:>9}"
    name, frames, side = COUNTED
    adds = {way: float(work(config, frames, side).encoders) for way, config in networks(name, frames).items()}
    yield (
        f"{name}, {frames} x {side} x {side}, counted alone: {adds[SYNCHRONISED] / 1e9:.1f} G against "
        f"{adds[SPATIAL] / 1e9:.1f} G, {less(adds[SYNCHRONISED], adds[SPATIAL])}"
    )
    yield ""


def accuracy_lines(runs: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    """Macro F1 of both, and their difference."""
    yield from score_lines(runs)
    if len(runs) == 2:
        mean, low, high = difference(runs[SYNCHRONISED], runs[SPATIAL])
        yield f"{SYNCHRONISED} - {SPATIAL}: macro F1 {mean:+.3f} ({low:+.3f} to {high:+.3f})"
        speed = {
            way: sum(run["seconds"] for run in own) / sum(run["steps"] for run in own) for way, own in runs.items()
        }
        yield f"training time with validation: {less(speed[SYNCHRONISED], speed[SPATIAL])}"


def main() -> None:
    """Train what is missing, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--presets", nargs="+", choices=[shape[0] for shape in SHAPES], default=["tiny", "small"])
    options = parser.parse_args()
    if options.directory:
        demo = read_demo(options.directory, options.steps)
        train_missing(demo, both(demo.network), options.runs, options.part)
        return
    runs = by_variant(read_runs(options.runs), [SYNCHRONISED, SPATIAL])
    write([*head(), *cost_lines(options.presets), *accuracy_lines(runs)], options.out)


if __name__ == "__main__":
    main()
