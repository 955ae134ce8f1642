"""Pictures of a comparison: scores with intervals, scores by budget, calibration. Needs the extra `report`.

Models differ by colour and by marker; the colours are Paul Tol's "bright" scheme, which colour-blind readers can tell
apart.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from agrifm.pictures import LONGEST_NAME, PNG_TAG, drawing
from agrifm.scores import CALIBRATION_BINS

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
WIDTH = 5.2
"""Inches, so that text is readable on a phone."""
MOST_LINES = 7
"""Models in one picture of lines, those of the highest scores; of more the colours would be alike."""
Row = Mapping[str, Any]


def dot_plot(rows: Sequence[Row], baseline: str, title: str) -> bytes:
    """Draw the macro F1 of each model with its interval as PNG, best on top; a line marks the baseline."""
    from matplotlib.figure import Figure

    ordered = sorted(rows, key=lambda row: float(row["macro_f1"]))
    with drawing([title, *(row["model"] for row in rows)]):
        figure = Figure(figsize=(WIDTH, 0.9 + 0.32 * len(ordered)), dpi=200, layout="constrained")
        axes = figure.subplots()
        for height, row in enumerate(ordered):
            low, high = row["macro_f1_interval"]
            is_baseline = row["model"] == baseline
            color = COLORS[1] if is_baseline else COLORS[0]
            if low is not None:
                axes.plot([low, high], [height, height], color=color, linewidth=2.2, solid_capstyle="butt")
            axes.plot(row["macro_f1"], height, "s" if is_baseline else "o", color=color, markersize=7)
            if row["macro_f1_scored"] is not None:
                axes.plot(row["macro_f1_scored"], height, "|", color="black", markersize=9)
            if is_baseline:
                axes.axvline(row["macro_f1"], color=color, linewidth=0.8, linestyle=":", zorder=0)
        axes.set_yticks(range(len(ordered)), [row["model"][:LONGEST_NAME] for row in ordered])
        axes.set_xlabel("macro F1 (95 % interval over blocks)")
        _plain(axes, title)
        return _png(figure)


def budget_plot(rows: Sequence[Row], budgets: Sequence[str], title: str) -> bytes:
    """Draw the macro F1 of each model by budget of labels, as PNG; bars are 95 % intervals."""
    from matplotlib.figure import Figure

    with drawing([title, *(row["model"] for row in rows)]):
        figure = Figure(figsize=(WIDTH, 4.2), dpi=200, layout="constrained")
        axes = figure.subplots()
        models = _most_interesting(rows)
        for number, model in enumerate(models):
            of_model = {row["budget"]: row for row in rows if row["model"] == model}
            at = [place for place, budget in enumerate(budgets) if budget in of_model]
            found = [of_model[budgets[place]] for place in at]
            shift = 0.06 * (number - (len(models) - 1) / 2)
            places = [place + shift for place in at]
            style: dict[str, Any] = {"color": COLORS[number], "marker": MARKERS[number]}
            axes.plot(places, [row["macro_f1"] for row in found], label=model[:LONGEST_NAME], markersize=5, **style)
            for place, row in zip(places, found, strict=True):
                if None not in row["macro_f1_interval"]:
                    axes.plot([place, place], row["macro_f1_interval"], color=COLORS[number], linewidth=1)
        axes.set_xticks(range(len(budgets)), budgets)
        axes.set_xlabel("labels for training")
        axes.set_ylabel("macro F1")
        _plain(axes, title)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize="small")
        return _png(figure)


def calibration_plot(rows: Sequence[Row], title: str) -> bytes:
    """Draw the share that is right by confidence, for each model, as PNG; on the diagonal confidence is true."""
    from matplotlib.figure import Figure

    with drawing([title, *(row["model"] for row in rows)]):
        figure = Figure(figsize=(WIDTH, 4.6), dpi=200, layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
        for number, model in enumerate(_most_interesting(rows)):
            row = next(row for row in rows if row["model"] == model)
            places, confidence, right = row["calibration"]
            # A bin of few places shows chance.
            least = max(1.0, sum(places) / (10 * CALIBRATION_BINS))
            kept = [bin_ for bin_ in range(CALIBRATION_BINS) if places[bin_] >= least]
            axes.plot(
                [confidence[bin_] / places[bin_] for bin_ in kept],
                [right[bin_] / places[bin_] for bin_ in kept],
                color=COLORS[number],
                marker=MARKERS[number],
                markersize=4,
                label=f"{model[:LONGEST_NAME]}  {row['calibration_error']:.2f}",
            )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        axes.set_xlabel("confidence (highest probability)")
        axes.set_ylabel("share that is right")
        _plain(axes, title)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize="small")
        return _png(figure)


def _most_interesting(rows: Sequence[Row]) -> list[str]:
    """The models of the highest mean score, in a fixed order of names."""
    by_model: dict[str, list[float]] = {}
    for row in rows:
        by_model.setdefault(row["model"], []).append(float(row["macro_f1"]))
    means = {model: sum(values) / len(values) for model, values in by_model.items()}
    return sorted(sorted(means, key=lambda model: -means[model])[:MOST_LINES])


def _plain(axes: Any, title: str) -> None:
    axes.set_title(title[:LONGEST_NAME], loc="left", fontsize="medium")
    axes.grid(color="#e2e2e2", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _png(figure: Any) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", metadata=PNG_TAG)
    return file.getvalue()
