"""How much each sensor counts where their features meet, on a finished demo: along the season, and from place to place.

A tiny AgriFM with gates, dates and validity is trained on the demo's composites as in benchmarks/what_pays.py. Then its
weights are drawn for the unseen blocks, with every observation after a date made invalid, for growing dates; and over
one area at the season's end, beside how often Sentinel-2 saw it. A weight of 1 is a sensor's equal share.

    python benchmarks/gates_figure.py DIR [--work DIR] [--figure docs/gates.png]
        [--out benchmarks/results/DATE-gates.txt]

A finished training in the folder of `--work` is taken as it is.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from what_pays import Bench, Variant

from agrifm.grid import Window
from agrifm.inference.tensors import network_input, tensors
from agrifm.models.agrifm.neck import Images
from agrifm.models.agrifm.network import AgriFM
from agrifm.models.agrifm.timeseries import Observed
from agrifm.samples import patches
from agrifm.samples.patches import labelled_windows
from agrifm.sensors import SENSORS

VARIANT = Variant("gates", gates=True)
COLOURS = {"sentinel-2": "#0072B2", "landsat": "#D55E00", "modis": "#009E73"}
"""Of Okabe and Ito, told apart with any kind of colour vision; markers tell them apart without colour."""
MARKERS = {"sentinel-2": "o", "landsat": "s", "modis": "^"}
WINDOWS = 12
"""Unseen windows over which the weights are averaged."""
AREA = 384
"""Side in target pixels of the area that is drawn."""
FIRST_DAYS, EVERY_DAYS = 30, 20
KEPT_BYTES = 2_000_000_000

Weights = dict[str, NDArray[np.float32]]


def images_of(bench: Bench, windows: list[Window]) -> dict[str, Observed]:
    """What the network takes of windows of one size."""
    tiles = bench.tiles[VARIANT.series, False]
    batch = tensors([tiles.sample(window) for window in windows], bench.data.sensors)
    images = network_input(batch, bench.data.sensors, VARIANT.series)
    return {name: series for name, series in images.items() if isinstance(series, Observed)}


def until(images: dict[str, Observed], day: int) -> Images:
    """The series as they are on a day, counted from the season's first."""
    return {name: own._replace(valid=own.valid & (own.day <= day)) for name, own in images.items()}


@torch.inference_mode()
def along_the_season(network: AgriFM, images: dict[str, Observed], days: list[int]) -> list[list[dict[str, float]]]:
    """Mean weight by day, level and source."""
    found = [network.gate_weights(until(images, day)) for day in days]
    return [[{name: float(own.mean()) for name, own in level.items()} for level in levels] for levels in found]


@torch.inference_mode()
def over_an_area(network: AgriFM, images: dict[str, Observed]) -> tuple[Weights, NDArray[np.float32]]:
    """Weights (h, w) of each source at the finest level, and the usable periods (H, W) of the first one."""
    finest = network.gate_weights(images)[-1]
    often = next(iter(images.values())).often
    return {name: own[0, 0].numpy() for name, own in finest.items()}, often[0, 0].numpy()


def draw(
    curves: list[list[dict[str, float]]],
    dates: list[date],
    tokens: list[int],
    weights: Weights,
    often: NDArray[np.float32],
    path: Path,
) -> None:
    """The figure: a panel per level above, a map per sensor and one of the counts below."""
    from matplotlib.dates import DateFormatter, MonthLocator
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7), dpi=110, layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.15])
    panels = above.subplots(1, len(tokens), sharey=True)
    for level, axes in enumerate(panels):
        for name in curves[0][level]:
            values = [levels[level][name] for levels in curves]
            axes.plot(dates, values, color=COLOURS[name], marker=MARKERS[name], markersize=4, label=title(name))
        axes.axhline(1, color="grey", linewidth=0.8, linestyle=":")
        axes.set_title(f"level {level + 1}: tokens of {tokens[level]} m")
        axes.xaxis.set_major_locator(MonthLocator(interval=2))
        axes.xaxis.set_major_formatter(DateFormatter("%b"))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("mean weight")
    panels[0].legend(frameon=False)
    above.suptitle("Mean weight of each sensor in unseen blocks, for seasons that end at the date below")
    maps = below.subplots(1, len(weights) + 1)
    side = tokens[-1] * len(next(iter(weights.values()))) / 1000
    below.suptitle(f"Weights at the finest level over {side:.1f} x {side:.1f} km, whole season")
    low = min(float(own.min()) for own in weights.values())
    high = max(float(own.max()) for own in weights.values())
    shown: Any = None
    for axes, (name, own) in zip(maps, weights.items(), strict=False):
        shown = axes.imshow(own, vmin=low, vmax=high, cmap="cividis", interpolation="nearest")
        axes.set_title(title(name))
    below.colorbar(shown, ax=list(maps[:-1]), location="bottom", label="weight", shrink=0.5)
    counted = maps[-1].imshow(often, cmap="cividis", interpolation="nearest")
    maps[-1].set_title("Usable periods of Sentinel-2")
    below.colorbar(counted, ax=maps[-1], location="bottom", label="of the season's periods", shrink=0.9)
    for axes in maps:
        axes.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def title(source: str) -> str:
    """A source as a figure names it."""
    return {"sentinel-2": "Sentinel-2", "landsat": "Landsat", "modis": "MODIS"}.get(source, source)


def lines(
    curves: list[list[dict[str, float]]],
    dates: list[date],
    tokens: list[int],
    weights: Weights,
    often: NDArray[np.float32],
) -> Iterator[str]:
    """What the figure shows, in numbers."""
    names = list(curves[0][0])
    yield f"{'level':<8}{'tokens':<9}{'season until':<14}" + "".join(f"{name:>12}" for name in names)
    for level, size in enumerate(tokens):
        for place in (0, len(dates) // 2, -1):
            own = curves[place][level]
            yield f"{level + 1:<8}{size:>4} m   {dates[place]!s:<14}" + "".join(f"{own[name]:>12.2f}" for name in names)
    yield ""
    side = AREA // next(iter(weights.values())).shape[0]
    seen = often.reshape(AREA // side, side, AREA // side, side).mean(axis=(1, 3))
    yield f"area of {AREA} x {AREA} pixels, finest level: least to greatest weight, correlation with Sentinel-2's count"
    for name, own in weights.items():
        correlation = np.corrcoef(own.ravel(), seen.ravel())[0, 1]
        yield f"{name:<12}{own.min():.2f} to {own.max():.2f}, r = {correlation:+.2f}"


def main() -> None:
    """Train where that is missing, draw, and print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=400, help="training steps")
    parser.add_argument("--work", type=Path, help="where the training is kept, to draw again without it")
    parser.add_argument("--figure", type=Path, default=Path("docs/gates.png"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    bench = Bench(options.directory, options.steps)
    patches.KEPT_BYTES = KEPT_BYTES
    with tempfile.TemporaryDirectory() as aside:
        network, outcome = bench.train(VARIANT, 0, (options.work or Path(aside)) / "work")
    data, side = bench.data, bench.config.side
    windows = list(labelled_windows(data.unseen.label, side, side))
    windows = windows[:: max(1, len(windows) // WINDOWS)][:WINDOWS]
    season = data.cube.season
    days = [*range(FIRST_DAYS, season.days, EVERY_DAYS), season.days]
    curves = along_the_season(network, images_of(bench, windows), days)
    rows, columns = ((length - AREA) // 2 // side * side for length in data.unseen.label.shape)
    weights, often = over_an_area(network, images_of(bench, [Window(rows, columns, AREA, AREA)]))
    context = network.decoder.context
    metres = SENSORS[context.target].resolution
    tokens = [round(context.shapes[context.target].stride(level)[0] * metres) for level in range(len(curves[0]))]
    dates = [season.start + timedelta(days=min(day, season.days - 1)) for day in days]
    draw(curves, dates, tokens, weights, often, options.figure)
    head = (
        f"gates, {date.today()}, {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}; tiny, "
        f"composites, dates, validity; {outcome.steps} steps, batch {bench.config.batch}, seed 0; "
        f"validation macro F1 {outcome.kept_macro_f1:.3f}"
    )
    text = [head, "", *lines(curves, dates, tokens, weights, often)]
    print("\n".join(text))
    if options.out:
        options.out.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
