"""The picture of shares on unseen blocks: estimated against true shares of pixels, and hectares by class."""

from collections.abc import Mapping
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from agrifm.files import write_bytes
from agrifm.legend import Legend
from agrifm.pictures import PNG_TAG, drawing
from agrifm.train.share_scores import PixelShares


def write_share_picture(
    path: Path, scores: Mapping[str, Any], pixels: Mapping[str, PixelShares], legend: Legend
) -> None:
    """Draw a panel of shares for each estimate and one of hectares, if matplotlib is installed.

    Args:
        scores: the content of `scores.json`.
        pixels: of the unseen blocks, by model.
    """
    if find_spec("matplotlib") is None:
        return
    from matplotlib.figure import Figure

    names = [entry.name for entry in legend.classes]
    with drawing(names):
        figure = Figure(figsize=(4 * len(pixels) + 6, 4.8), dpi=100, layout="constrained")
        *panels, last = figure.subplots(1, len(pixels) + 1, width_ratios=[*[1] * len(pixels), 1.5])
        for axes, (name, one) in zip(panels, pixels.items(), strict=True):
            entry = scores["models"][name]
            for number, group in enumerate(legend.classes):
                axes.plot(
                    100 * one.true[:, number], 100 * one.estimate[:, number], ".", color=group.color, markersize=3,
                    alpha=0.6,
                )  # fmt: skip
            axes.plot([0, 100], [0, 100], color="black", linewidth=0.8)
            axes.set(xlabel="true share of the pixel, %", ylabel="estimated, %", xlim=(-2, 102), ylim=(-2, 102))
            r2 = "" if entry["r2"] is None else f", R² {entry['r2']:.2f}"
            axes.set_title(f"{name}: RMSE {100 * entry['rmse']:.1f} points{r2}", fontsize="medium")
        first = scores["models"][next(iter(pixels))]["classes"]
        place = np.arange(len(names))
        for step, (key, label, color) in enumerate(
            (
                ("true_hectares", "true", "black"),
                ("estimated_hectares", "sum of shares", "#117733"),
                ("whole_hectares", "largest class, whole pixel", "#bbbbbb"),
            )
        ):
            last.barh(place + 0.27 * (step - 1), [one[key] for one in first.values()], 0.27, label=label, color=color)
        last.set_yticks(place, names, fontsize="small")
        last.invert_yaxis()
        last.set_xlabel("hectares on unseen blocks")
        last.legend(frameon=False, fontsize="small")
        last.set_title(f"Hectares by {next(iter(pixels))}", fontsize="medium")
        figure.suptitle(f"Shares of classes in pixels on {scores['blocks']['test']} unseen blocks")
        file = BytesIO()
        figure.savefig(file, format="png", metadata=PNG_TAG)
    write_bytes(path, file.getvalue())
