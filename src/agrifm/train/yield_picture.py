"""The picture of yields on unseen blocks: estimated against true yields of fields, and the coverage of intervals."""

from collections.abc import Mapping
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from agrifm.files import write_bytes
from agrifm.pictures import PNG_TAG, drawing
from agrifm.train.yield_scores import FieldYields


def write_yield_picture(path: Path, scores: Mapping[str, Any], fields: Mapping[str, FieldYields]) -> None:
    """Draw a panel for each model and one of coverage, if matplotlib is installed.

    Args:
        scores: the content of `scores.json`.
        fields: of the unseen blocks, by model.
    """
    if find_spec("matplotlib") is None:
        return
    from matplotlib.figure import Figure

    unit, level = scores["unit"], scores["level"]
    title = f"Yield of {', '.join(scores['crops'])} on {scores['blocks']['test']} unseen blocks"
    with drawing([title]):
        figure = Figure(figsize=(4.3 * (len(fields) + 1), 4.6), dpi=110, layout="constrained")
        *panels, last = figure.subplots(1, len(fields) + 1)
        ends = np.concatenate([[*one.true, *one.estimate] for one in fields.values()])
        low, high = float(ends.min()), float(ends.max())
        for axes, (name, one) in zip(panels, fields.items(), strict=True):
            entry = scores["models"][name]
            axes.errorbar(
                one.true, one.estimate, entry["factor"] * one.spread, fmt="o", markersize=3, linewidth=0.6,
                color="#117733", ecolor="#bbbbbb", zorder=2,
            )  # fmt: skip
            axes.plot([low, high], [low, high], color="black", linewidth=0.8, zorder=3)
            axes.set(xlabel=f"true yield of fields, {unit}", ylabel=f"estimate with its {100 * level:.0f} % interval")
            r2 = "" if entry["r2"] is None else f", R² {entry['r2']:.2f}"
            axes.set_title(f"{name}: RMSE {entry['rmse']:.2f} {unit}{r2}", fontsize="medium")
        for name in fields:
            nominal, observed = np.array(scores["models"][name]["curve"]).T
            last.plot(100 * nominal, 100 * observed, marker="o", markersize=3, label=name)
        last.plot([0, 100], [0, 100], color="black", linewidth=0.8)
        last.set(xlabel="stated level of intervals, %", ylabel="unseen fields inside, %", xlim=(0, 100), ylim=(0, 100))
        last.legend(frameon=False)
        last.set_title("Coverage", fontsize="medium")
        figure.suptitle(title)
        file = BytesIO()
        figure.savefig(file, format="png", metadata=PNG_TAG)
    write_bytes(path, file.getvalue())
