"""Which parts of AgriFM, and which decoder, pay on a finished demo.

Every variant is trained from scratch with the same steps, batches and seeds, and scored on the demo's unseen blocks.
The parts (dates, validity, sensor dropout, sensors, separate backbones) are also scored under heavy cloud and without
Landsat, by the rule of docs/decisions/0006.

    python benchmarks/what_pays.py DIR --runs RUNS.jsonl [--part 0/2]       train what is missing, a line per run
    python benchmarks/what_pays.py --runs RUNS.jsonl --out benchmarks/results/DATE-what-pays.txt
    python benchmarks/what_pays.py --decoders [--out FILE]                  work and time of the decoders, a minute
    python benchmarks/what_pays.py --decoders DIR --runs RUNS.jsonl         train them
    python benchmarks/what_pays.py --decoders --runs RUNS.jsonl --out benchmarks/results/DATE-lean-decoder.txt

The rules were written before the first run. A lean decoder keeps up where the lower end of the interval of its macro F1
minus that of the released decoder is at least -0.02. The demo's learning rate was chosen with a lean decoder and is too
high for the released one, which therefore has a tenth of it, and is also trained four times as long.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from measure import Command, Run, read_runs, table
from network_pass import CLASSES, ONE_SOURCE, PASSES, SOURCES, Workload, seconds
from variants import (
    OPTIONS,
    Counts,
    Demo,
    Variant,
    block_counts,
    by_variant,
    difference,
    macro,
    read_demo,
    score_lines,
    speed,
    spread,
    train_missing,
    with_sensors,
)

from agrifm.grid import Window
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.models.agrifm.network_cost import count_parameters, forward_multiply_adds
from agrifm.models.agrifm.pixel_decoder import PixelDecoderConfig
from agrifm.record import SeriesKind
from agrifm.samples import patches
from agrifm.samples.patches import Tiles
from agrifm.samples.sample import Sample, Series

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
LOST = 0.6
"""Share of the frames of a tile that heavy cloud hides."""
AS_IS, CLOUDY, NO_LANDSAT = "as is", "heavy cloud", "without Landsat"
CONDITIONS = {AS_IS: "counts", CLOUDY: CLOUDY, NO_LANDSAT: NO_LANDSAT}
"""Columns of the table, and where a run has their counts."""


@dataclass(frozen=True)
class Design:
    """One way of building and training the model."""

    series: SeriesKind = "composites"
    dates: bool = True
    validity: bool = True
    shared: bool = False
    dropout: float = 0.0
    sensors: int = 3
    """How many of the sensors, finest first."""

    def of(self, demo: Demo) -> Variant:
        """The variant of the tiny preset, with the first lean decoder, for which the rule was written."""
        config = demo.preset("tiny", self.sensors)
        encoder = config.encoder.model_copy(update={"dates": self.dates, "validity": self.validity})
        update = {"encoder": encoder, "pixel_decoder": DECODERS[FIRST], "shared": self.shared}
        return Variant(config.model_copy(update=update), series=self.series, dropout=self.dropout)


KNOWING = "composites, dates, validity"
DESIGNS = {
    "interpolated": Design("interpolated", dates=False, validity=False),
    "composites": Design(dates=False, validity=False),
    "composites, dates": Design(validity=False),
    KNOWING: Design(),
    "+ sensor dropout": Design(dropout=0.3),
    "one shared backbone": Design(shared=True),
    "Sentinel-2 alone": Design(sensors=1),
    "Sentinel-2 and Landsat": Design(sensors=2),
}
RULE = (
    ("dates", "composites, dates", "composites", AS_IS),
    ("validity", KNOWING, "composites, dates", CLOUDY),
    ("sensor dropout", "+ sensor dropout", KNOWING, NO_LANDSAT),
    ("separate backbones", KNOWING, "one shared backbone", AS_IS),
    ("Landsat", "Sentinel-2 and Landsat", "Sentinel-2 alone", AS_IS),
    ("MODIS", KNOWING, "Sentinel-2 and Landsat", AS_IS),
    ("composites that know", KNOWING, "interpolated", AS_IS),
)
"""What is asked, the variant that has it, the one that lacks it, and the condition that decides."""


class Observations(Tiles):
    """Observed tiles; under heavy cloud most frames are lost, the same ones whatever the order of reading."""

    cloudy = False

    def _make(self, window: Window) -> Sample:
        sample = super()._make(window)
        if not self.cloudy:
            return sample
        series = {
            name: _clouded(one, [window.row, window.col, k]) for k, (name, one) in enumerate(sample.series.items())
        }
        return replace(sample, series=series)


def _clouded(series: Series, seed: list[int]) -> Series:
    left = np.random.default_rng(seed).random(len(series.date)) >= LOST
    valid = series.valid & left[:, None, None]
    return replace(series, valid=valid, image=np.where(valid[:, None], series.image, np.float32(0)))


class Conditions:
    """Tiles of a demo as they are and under heavy cloud, and the scores of a network on them."""

    def __init__(self, demo: Demo) -> None:
        patches.MAX_KEPT_BYTES = 6_000_000_000  # prepared series stay in memory, raw observations do not
        data = demo.data
        self.tiles: dict[tuple[SeriesKind, bool], Tiles] = {}
        kinds: tuple[SeriesKind, ...] = ("interpolated", "composites")
        for cloudy in (False, True):
            raw = Observations(data.cube, data.sensors, data.tiles.steps, "observed", sharing=10_000)
            raw.cloudy = cloudy
            for kind in kinds:
                self.tiles[kind, cloudy] = Tiles(data.cube, data.sensors, data.tiles.steps, kind, raw)
        self.demo = replace(
            demo,
            data=replace(data, tiles=self.tiles["interpolated", False], network_tiles=self.tiles["composites", False]),
        )

    def score(self, network: AgriFM, variant: Variant, demo: Demo) -> dict[str, Counts]:
        """Counts on the unseen blocks by condition; networks of one sensor are not scored without Landsat."""
        names = [sensor.sensor for sensor in demo.sensors(variant)]
        assert variant.series is not None
        counts = {}
        for condition, key in CONDITIONS.items():
            if condition == NO_LANDSAT and len(names) == 1:
                continue
            kept = names[:1] + names[2:] if condition == NO_LANDSAT else names
            tiles = self.tiles[variant.series, condition == CLOUDY]

            def sample_of(window: Window, tiles: Tiles = tiles, kept: list[str] = kept) -> Sample:
                return with_sensors(tiles.sample(window), kept)

            counts[key] = block_counts(network, variant, demo, sample_of, seen=False)
        return counts


def score_table(runs: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    """A line per variant."""
    rows = []
    for name, seeds in runs.items():
        cells = [spread([macro(run, key) for run in seeds]) if key in seeds[0] else "" for key in CONDITIONS.values()]
        learned = sum(count_parameters(AgriFMConfig.model_validate(seeds[0]["network"])))
        rows.append((name, *cells, f"{learned:,}", f"{speed(seeds):.2f}"))
    yield from table(("variant", *CONDITIONS, "parameters", "CPU s/step"), rows)


def rule_table(runs: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    """A line per question."""
    rows = []
    for question, first, second, deciding in RULE:
        if first not in runs or second not in runs:
            continue
        differences = {
            condition: difference(runs[first], runs[second], key)
            for condition, key in CONDITIONS.items()
            if key in runs[first][0] and key in runs[second][0]
        }
        shown = {name: f"{mean:+.3f} ({low:+.3f} to {high:+.3f})" for name, (mean, low, high) in differences.items()}
        pays = "yes" if differences[deciding][1] > 0 else "no"
        others = "; ".join(f"{name} {text}" for name, text in shown.items() if name != deciding)
        rows.append((question, deciding, shown[deciding], pays, others))
    yield from table(
        ("part", "condition", "difference of macro F1", "pays", "in other conditions"), rows, left=(0, 1, 2, 3, 4)
    )


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
    if options.directory and options.decoders:
        demo = read_demo(options.directory, options.steps)
        train_missing(demo, trained(demo.network), options.runs, options.part)
    elif options.directory:
        conditions = Conditions(read_demo(options.directory, 400 if options.steps is None else options.steps))
        wanted = {name: design.of(conditions.demo) for name, design in DESIGNS.items()}
        train_missing(conditions.demo, wanted, options.runs, options.part, conditions.score)
    elif options.decoders:
        count = 1 if options.quick else RUNS
        yield from cost_lines("tiny", SOURCES, 48, count)
        if not options.quick:
            yield from cost_lines("small", ONE_SOURCE, 128, count)
        yield from accuracy_lines(by_variant(read_runs(options.runs), [*DECODERS, LONGER]))
    else:
        runs = by_variant(read_runs(options.runs), list(DESIGNS))
        yield from (*score_table(runs), "", *rule_table(runs))


SET_OPTIONS = {
    "--decoders": {"action": "store_true", "help": "the decoders, not the parts"},
    "--steps": {"type": int, "help": "training steps of every run; left out, 400, or the demo's for decoders"},
}
main = Command(__doc__, report, {**OPTIONS, **SET_OPTIONS}, ("torch",), quick={"decoders": True})

if __name__ == "__main__":
    main()
