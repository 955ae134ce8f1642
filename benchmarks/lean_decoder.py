"""The lean decoders against the released one, on the same encoder: work, time, and macro F1 on a finished demo.

    python benchmarks/lean_decoder.py [--out FILE]                                work and time alone, a minute
    python benchmarks/lean_decoder.py DIR --runs RUNS.jsonl [--part 0/2]          train what is missing, a line per run
    python benchmarks/lean_decoder.py --runs RUNS.jsonl --out benchmarks/results/DATE-lean-decoder.txt

The rule was written before the first run: a lean decoder keeps up where the lower end of the interval of its macro F1
less that of the released decoder is at least -0.02. The demo's learning rate was chosen with a lean decoder and is too
high for the released one, which has a tenth of it here, and is also trained four times as long.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence

from measure import CLASSES, ONE_SOURCE, PASSES, SOURCES, head, seconds, write
from variants import (
    Effort,
    Run,
    add_options,
    by_variant,
    difference,
    read_demo,
    read_runs,
    score_lines,
    train_missing,
)

from agrifm.models.agrifm.network import AgriFMConfig, preset
from agrifm.models.agrifm.pixel_decoder import LEAN, LeanConfig
from agrifm.models.count import parameters, work

LOSS = -0.02
"""Macro F1 that may be lost."""
RELEASED, FIRST, PRESETS = "released", "lean, first", "lean, of the presets"
DECODERS: dict[str, LeanConfig | None] = {RELEASED: None, FIRST: LeanConfig(), PRESETS: LEAN}
LONGER = "released, four times as long"
EFFORTS = {RELEASED: Effort(rate=0.1), LONGER: Effort(rate=0.1, steps=4)}
FRAMES, RUNS = 24, 5
BATCH = {"tiny": 4, "small": 1}


def with_decoders(config: AgriFMConfig) -> dict[str, AgriFMConfig]:
    """The same encoder with each of the decoders."""
    return {name: config.model_copy(update={"lean": lean}) for name, lean in DECODERS.items()}


def trained(config: AgriFMConfig) -> dict[str, AgriFMConfig]:
    """Everything that is trained on the demo's network."""
    decoders = with_decoders(config)
    return decoders | {LONGER: decoders[RELEASED]}


def cost_lines(name: str, sources: Mapping[str, int], side: int, runs: int) -> Iterator[str]:
    """A line per decoder of a preset: multiply-adds, parameters, time of a training step."""
    configs = with_decoders(preset(name, sources, CLASSES, frames=FRAMES))
    released = work(configs["released"], FRAMES, side)
    yield f"{name}, {', '.join(sources)}, {FRAMES} frames, {side} pixels; encoder {released.encoders / 1e6:,.1f} M"
    yield (
        f"{'decoder':<24}{'multiply-adds':>16}{'fewer':>8}{'parameters':>14}"
        f"{'CPU s/step':>12}{'forward':>10}  (whole network, batch {BATCH[name]}, median of {runs} in turn)"
    )
    steps, forward = (seconds(configs, FRAMES, side, BATCH[name], kind, runs) for kind in PASSES[::-1])
    for decoder, config in configs.items():
        own = work(config, FRAMES, side).decoder
        yield (
            f"{decoder:<24}{f'{own / 1e6:,.1f} M':>16}{f'x {released.decoder / own:.1f}':>8}"
            f"{parameters(config).decoder:>14,}{steps[decoder]:>12.3f}{forward[decoder]:>10.3f}"
        )
    yield ""


def accuracy_lines(runs: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    """A line per decoder, then a line per lean one beside the released one, and the lean ones beside each other."""
    yield from score_lines(runs)
    yield ""
    for name in (FIRST, PRESETS):
        for other in (RELEASED, LONGER):
            if name in runs and other in runs:
                mean, low, high = difference(runs[name], runs[other])
                verdict = "keeps up" if low >= LOSS else "does not keep up"
                yield f"{name} - {other}: {mean:+.3f} ({low:+.3f} to {high:+.3f}), {verdict} (lower end >= {LOSS})"
    if FIRST in runs and PRESETS in runs:
        mean, low, high = difference(runs[PRESETS], runs[FIRST])
        yield f"{PRESETS} - {FIRST}: {mean:+.3f} ({low:+.3f} to {high:+.3f})"


def main() -> None:
    """Train what is missing, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    options = parser.parse_args()
    if options.directory:
        demo = read_demo(options.directory, options.steps)
        train_missing(demo, trained(demo.network), options.runs, options.part, EFFORTS)
        return
    lines = head()
    lines += cost_lines("tiny", SOURCES, 48, RUNS)
    lines += cost_lines("small", ONE_SOURCE, 128, RUNS)
    lines += accuracy_lines(by_variant(read_runs(options.runs), [*DECODERS, LONGER]))
    write(lines, options.out)


if __name__ == "__main__":
    main()
