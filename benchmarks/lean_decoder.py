"""The lean decoders compared with the released one, on the same encoder: work, time, and macro F1 on a finished demo.

    python benchmarks/lean_decoder.py [--out FILE]                                work and time alone, a minute
    python benchmarks/lean_decoder.py DIR --runs RUNS.jsonl [--part 0/2]          train what is missing, a line per run
    python benchmarks/lean_decoder.py --runs RUNS.jsonl --out benchmarks/results/DATE-lean-decoder.txt

The rule was written before the first run: a lean decoder keeps up where the lower end of the interval of its macro F1
minus that of the released decoder is at least -0.02. The demo's learning rate was chosen with a lean decoder and is too
high for the released one, which therefore has a tenth of it, and is also trained four times as long.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence

from measure import Command, Run, read_runs, table
from network_pass import CLASSES, ONE_SOURCE, PASSES, SOURCES, Workload, seconds
from variants import OPTIONS, Variant, by_variant, difference, read_demo, score_lines, train_missing

from agrifm.models.agrifm.network import AgriFMConfig, preset
from agrifm.models.agrifm.network_cost import count_parameters, forward_multiply_adds
from agrifm.models.agrifm.pixel_decoder import PixelDecoderConfig

LOSS = -0.02
"""Least difference of macro F1."""
RELEASED, FIRST, PRESETS = "released", "lean, first", "lean, of the presets"
DECODERS: dict[str, PixelDecoderConfig | None] = {
    RELEASED: None,
    FIRST: PixelDecoderConfig(detail=128, basis=0, separable=False),
    PRESETS: PixelDecoderConfig(),
}
LONGER = "released, four times as long"
FRAMES, RUNS = 24, 5
BATCH = {"tiny": 4, "small": 1}


def with_decoders(config: AgriFMConfig) -> dict[str, AgriFMConfig]:
    """The same encoder with each of the decoders."""
    return {name: config.model_copy(update={"pixel_decoder": decoder}) for name, decoder in DECODERS.items()}


def trained(config: AgriFMConfig) -> dict[str, Variant]:
    """Everything that is trained on the demo's network."""
    decoders = {name: Variant(network) for name, network in with_decoders(config).items()}
    decoders[RELEASED] = Variant(decoders[RELEASED].network, rate=0.1)
    return decoders | {LONGER: Variant(decoders[RELEASED].network, rate=0.1, steps=4)}


def cost_lines(name: str, sources: Mapping[str, int], side: int, runs: int) -> Iterator[str]:
    """A line per decoder of a preset: multiply-adds, parameters, time of a training step."""
    configs = with_decoders(preset(name, sources, CLASSES, frames=FRAMES))
    released = forward_multiply_adds(configs[RELEASED], FRAMES, side)
    yield f"{name}, {', '.join(sources)}, {FRAMES} frames, {side} pixels; encoder {released.encoders / 1e6:,.1f} M"
    yield f"times: whole network, batch {BATCH[name]}, median of {runs} in turn"
    forward, steps = (
        seconds({k: Workload(config, FRAMES, side, BATCH[name], kind) for k, config in configs.items()}, runs)
        for kind in PASSES
    )
    rows = []
    for decoder, config in configs.items():
        adds = forward_multiply_adds(config, FRAMES, side).decoder
        fewer, learned = f"x {released.decoder / adds:.1f}", f"{count_parameters(config).decoder:,}"
        seconds_of_passes = f"{steps[decoder]:.3f}", f"{forward[decoder]:.3f}"
        rows.append((decoder, f"{adds / 1e6:,.1f} M", fewer, learned, *seconds_of_passes))
    yield from table(("decoder", "multiply-adds", "fewer", "parameters", "CPU s/step", "forward"), rows)
    yield ""


def accuracy_lines(runs: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    """A line per decoder, then comparisons of the lean ones with the released ones and with each other."""
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


def report(options: argparse.Namespace) -> Iterator[str]:
    """Train what is missing, or report the tables."""
    if options.directory:
        demo = read_demo(options.directory, options.steps)
        train_missing(demo, trained(demo.network), options.runs, options.part)
        return
    runs = 1 if options.quick else RUNS
    yield from cost_lines("tiny", SOURCES, 48, runs)
    if not options.quick:
        yield from cost_lines("small", ONE_SOURCE, 128, runs)
    yield from accuracy_lines(by_variant(read_runs(options.runs), [*DECODERS, LONGER]))


main = Command(__doc__, report, OPTIONS, ("torch",), quick={})

if __name__ == "__main__":
    main()
