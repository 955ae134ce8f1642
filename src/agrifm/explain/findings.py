"""What an explanation found for each class and parcel: means with intervals, and the rows of its table.

Shape letters: B rows of bands, the first is all of them; P columns of periods, the first is the whole season; T frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from agrifm.explain.tally import Effect, mean_of_unit, mean_over_blocks

if TYPE_CHECKING:
    from agrifm.explain.explanation import Explained, Sums

ALL = "all"
"""In the table: every sensor or band."""
COLUMNS = (
    "kind", "name", "class", "method", "unit", "sensor", "band", "start", "end", "contribution", "low", "high",
    "pixels", "blocks",
)  # fmt: skip
"""Columns of the table. A contribution above 0 speaks for the class of the label."""


@dataclass(frozen=True)
class UnitFinding:
    """A class on the drawn pixels of unseen blocks, or a parcel."""

    kind: Literal["class", "parcel"]
    name: str
    """Of the class, or what the user called the parcel."""
    number: int
    """Of the class."""
    pixels: int
    blocks: int
    probability: float
    """Mean probability of the class."""
    predicted: tuple[tuple[int, float], ...]
    """Classes that were predicted and their shares of the pixels, most frequent first."""
    occlusion: Effect
    """Fall of the probability, 0..1, when a cell is hidden."""
    log_occlusion: Effect
    """Fall of its logarithm, nats."""
    gradients: Effect | None
    """Integrated gradients, nats; None without a PyTorch network."""
    curve: NDArray[np.float64]
    """(T,), mean greenness by frame; NaN where it is not known."""
    fold: str = "test"


def class_findings(explained: "Explained") -> list[UnitFinding]:
    """Return what was found for each class with explained pixels, in the legend's order."""
    sums, blocks = explained.classes, explained.classes.selection.blocks
    curves = explained.class_curves
    findings = []
    for number, entry in enumerate(explained.material.legend.classes):
        own = slice(number * blocks, (number + 1) * blocks)
        pixels = sums.occlusion.pixels[own]
        if not pixels.any():
            continue
        known, gradients = sums.occlusion.known[own], None
        if explained.has_gradients:
            counts = np.broadcast_to(sums.gradients.pixels[own, None, None], known.shape)
            gradients = mean_over_blocks(sums.gradients.total[own], counts)
        findings.append(
            UnitFinding(
                "class",
                entry.name,
                number,
                int(pixels.sum()),
                int((pixels > 0).sum()),
                float(sums.occlusion.probability[own].sum() / pixels.sum()),
                _shares(sums.predicted[own].sum(axis=0)),
                mean_over_blocks(sums.occlusion.fall[own], known),
                mean_over_blocks(sums.occlusion.log_fall[own], known),
                gradients,
                curves[number],
            )
        )
    return findings


def parcel_findings(explained: "Explained") -> list[UnitFinding]:
    """Return what was found for each parcel that the user named and that has an observation, in the user's order."""
    sums: Sums = explained.parcels
    curves = sums.greenness.means(1)[..., 0]
    findings = []
    for index, parcel in enumerate(explained.material.names):
        pixels = int(sums.occlusion.pixels[index])
        if not pixels:
            continue
        known, gradients = sums.occlusion.known[index], None
        if explained.has_gradients:
            gradients = mean_of_unit(sums.gradients.total[index], sums.gradients.pixels[index, None, None])
        findings.append(
            UnitFinding(
                "parcel",
                parcel.name,
                parcel.number,
                pixels,
                1,
                float(sums.occlusion.probability[index] / pixels),
                _shares(sums.predicted[index]),
                mean_of_unit(sums.occlusion.fall[index], known),
                mean_of_unit(sums.occlusion.log_fall[index], known),
                gradients,
                curves[index],
                parcel.fold,
            )
        )
    return findings


def _shares(predicted: NDArray[np.int64]) -> tuple[tuple[int, float], ...]:
    order = np.argsort(-predicted, kind="stable")
    return tuple((int(number), float(predicted[number] / predicted.sum())) for number in order if predicted[number])


def table_rows_of(finding: UnitFinding, explained: "Explained") -> Iterator[dict[str, Any]]:
    """Yield the rows of a finding, with the names of `COLUMNS`; without the cell that hides nothing."""
    legend, periods = explained.material.legend, explained.periods
    rows = [(ALL, ALL), *explained.bands]
    starts, ends = periods.starts, periods.ends
    columns = [(starts[0], ends[-1]), *zip(starts, ends, strict=True)]
    methods = (
        ("occlusion", "probability", finding.occlusion),
        ("occlusion", "log probability, nats", finding.log_occlusion),
        ("integrated gradients", "log probability, nats", finding.gradients),
    )
    for method, unit, effect in methods:
        if effect is None:
            continue
        for row, (sensor, band) in enumerate(rows):
            for column, (start, end) in enumerate(columns):
                if method == "occlusion" and (row == column == 0 or (row and not explained.has_bands)):
                    continue
                yield {
                    "kind": finding.kind,
                    "name": finding.name,
                    "class": legend.codes[finding.number],
                    "method": method,
                    "unit": unit,
                    "sensor": sensor,
                    "band": band,
                    "start": start.isoformat(),
                    "end": end.isoformat(),
                    "contribution": rounded_or_none(effect.mean[row, column]),
                    "low": rounded_or_none(effect.low[row, column]),
                    "high": rounded_or_none(effect.high[row, column]),
                    "pixels": finding.pixels,
                    "blocks": finding.blocks,
                }


def rounded_or_none(value: float) -> float | None:
    """Return a number as tables have it: six decimals, and nothing for NaN."""
    return round(float(value), 6) if np.isfinite(value) else None


def largest_gap(sums: "Sums") -> float:
    """Return by how much attributions of a unit's pixels miss the change of the log probability at most, nats."""
    counted = sums.gradients.pixels > 0
    gaps = np.abs(sums.gradients.total[counted, 0, 0] - sums.gradients.change[counted]) / sums.gradients.pixels[counted]
    return float(gaps.max(initial=0.0))
