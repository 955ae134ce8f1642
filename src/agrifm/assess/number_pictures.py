"""Pictures of a map of numbers against its reference: yields with their intervals, shares and hectares of classes.

The two colours are those of Paul Tol's "high-contrast" scheme, which differ in lightness too, so colour-blind readers
tell them apart, also in print; points differ by their shape as well. Counts are in viridis.

Shape letters: N units or pixels, K classes.
"""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agrifm.assess.intervals import Floats
from agrifm.pictures import PNG_TAG, drawing

INSIDE, OUTSIDE_COLOR = "#004488", "#ddaa33"
"""Of reference numbers inside and outside the interval of the map; and of hectares of the reference and of the map."""
MOST_PANELS = 9
"""Classes with a panel of their own, those of the most hectares in the reference."""
MOST_SHOWN = 3000
"""Units that are drawn; more would be a cloud."""


class FieldScatter(NamedTuple):
    """Yields of units, for a picture."""

    tonnes: Floats
    """(N,), of the reference, t/ha."""
    mapped: Floats
    """(N, 3), yield and ends of its interval on the map."""
    inside: NDArray[np.bool_]
    """(N,), whether the reference is in the interval."""
    paired: NDArray[np.bool_]
    """(N,), whether there are both."""


def scatter_of_yields(units: FieldScatter, crop: str, level: float | None) -> str:
    """Return the picture as an address that a page contains: reference across, map upwards with its interval.

    Args:
        level: share of the fields that the map's intervals are to hold; None = not stated.
    """
    from matplotlib.figure import Figure

    chosen = np.flatnonzero(units.paired)
    if len(chosen) > MOST_SHOWN:
        chosen = np.random.default_rng(0).choice(chosen, MOST_SHOWN, replace=False)
    true, mapped, inside = units.tonnes[chosen], units.mapped[chosen], units.inside[chosen]
    with drawing([crop]):
        figure = Figure(figsize=(7, 6.4), dpi=110, layout="constrained")
        axes = figure.subplots()
        most = 1.05 * float(max(true.max(), np.nanmax(mapped)))
        axes.plot([0, most], [0, most], color="#555555", linewidth=1, label="equal")
        words = "the interval" if level is None else f"the {100 * level:.0f} % interval"
        parts = ((inside, INSIDE, "o", f"in {words}"), (~inside, OUTSIDE_COLOR, "^", f"not in {words}"))
        for part, color, marker, label in parts:
            if part.any():
                value, low, high = mapped[part].T
                axes.errorbar(
                    true[part], value, [np.maximum(value - low, 0), np.maximum(high - value, 0)], fmt=marker,
                    color=color, markersize=5, elinewidth=0.8, alpha=0.8, label=f"{label} ({int(part.sum())})",
                )  # fmt: skip
        axes.set(xlim=(0, most), ylim=(0, most), xlabel="reference, t/ha", ylabel="map, t/ha", title=crop)
        axes.set_aspect("equal")
        axes.legend(frameon=False, fontsize="small")
        return _address(figure)


def scatter_of_shares(true: Floats, estimate: Floats, names: Sequence[str], order: Sequence[int]) -> str:
    """Return the picture as an address: for each class how many pixels have which share in the reference and the map.

    Args:
        true, estimate: (N, K), shares 0 to 1.
        names: of the classes.
        order: numbers of the classes, the first ones are shown.
    """
    from matplotlib.figure import Figure

    shown = list(order)[:MOST_PANELS]
    with drawing(names):
        columns = min(3, len(shown))
        rows = -(-len(shown) // columns)
        figure = Figure(figsize=(3.4 * columns + 0.8, 3.2 * rows), dpi=100, layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for axes in panels[len(shown) :]:
            axes.set_axis_off()
        for axes, number in zip(panels, shown, strict=False):
            counted, _, _ = np.histogram2d(true[:, number], estimate[:, number], bins=25, range=((0, 1), (0, 1)))
            image = axes.imshow(
                np.log10(np.where(counted.T > 0, counted.T, np.nan)), origin="lower", extent=(0, 100, 0, 100),
                vmin=0, vmax=np.log10(len(true)), cmap="viridis",
            )  # fmt: skip
            axes.plot([0, 100], [0, 100], color="#555555", linewidth=1)
            axes.set_title(names[number], fontsize="medium")
        bar = figure.colorbar(image, ax=panels.tolist(), shrink=0.6, label="pixels")
        ticks = range(int(np.log10(len(true))) + 1)
        bar.set_ticks([float(tick) for tick in ticks], labels=[f"{10**tick:,}" for tick in ticks])
        figure.supxlabel("share in the reference, %", fontsize="medium")
        figure.supylabel("share on the map, %", fontsize="medium")
        return _address(figure)


def bars_of_hectares(names: Sequence[str], true: Floats, estimate: Floats, order: Sequence[int]) -> str:
    """Return the picture as an address: hectares of each class in the reference and on the map, on the same pixels.

    Args:
        true, estimate: (K,), hectares.
        order: numbers of the classes, from above.
    """
    from matplotlib.figure import Figure

    with drawing(names):
        figure = Figure(figsize=(7, 0.45 * len(order) + 1.2), dpi=100, layout="constrained")
        axes = figure.subplots()
        place = np.arange(len(order))
        for offset, values, color, hatch, label in (
            (-0.2, true, INSIDE, "", "reference"),
            (0.2, estimate, OUTSIDE_COLOR, "//", "map"),
        ):
            axes.barh(place + offset, np.asarray(values)[list(order)], 0.38, color=color, hatch=hatch, label=label)
        axes.set_yticks(place, labels=[names[number] for number in order])
        axes.invert_yaxis()
        axes.set_xlabel("ha")
        axes.legend(frameon=False, fontsize="small")
        return _address(figure)


def _address(figure: Any) -> str:
    file = BytesIO()
    figure.savefig(file, format="png", metadata=PNG_TAG)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
