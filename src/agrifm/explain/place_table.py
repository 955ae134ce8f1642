"""The rows of each explained place of a series table: what hiding a period, or a band, did to its answer.

Shape letters: B rows of bands, the first is all of them; P columns of periods, the first is the whole season.
"""

import csv
from collections.abc import Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from agrifm.explain.findings import ALL, rounded_or_none
from agrifm.samples.split import FOLDS
from agrifm.samples.table import SeriesTable

if TYPE_CHECKING:
    from agrifm.explain.explanation import Explained

PLACE_COLUMNS = (
    "place", "longitude", "latitude", "block", "fold", "class", "predicted", "probability", "sensor", "band", "start",
    "end", "contribution",
)  # fmt: skip
"""Columns of the table. A contribution is the fall of the probability of the label's class."""


def place_table(explained: "Explained", table: SeriesTable) -> str:
    """Return as CSV, for each place with an observation, a row for each hidden period and each hidden band.

    Args:
        table: the explained places, in the order of rows.
    """
    text = StringIO()
    writer = csv.DictWriter(text, PLACE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    cells = list(_cells(explained))
    sums, data = explained.places, explained.material.table
    assert sums is not None
    assert data is not None
    codes = explained.material.legend.codes
    with np.errstate(invalid="ignore", divide="ignore"):
        fall = sums.occlusion.fall / sums.occlusion.known
    for row in np.flatnonzero(sums.occlusion.pixels).tolist():
        about = {
            "place": table.place[row] if table.place else row,
            "longitude": rounded_or_none(table.lon[row]),
            "latitude": rounded_or_none(table.lat[row]),
            "block": int(table.block[row]),
            "fold": FOLDS[data.fold[row]] if data.fold[row] >= 0 else "unused",
            "class": codes[int(table.label[row])],
            "predicted": codes[int(sums.predicted[row])],
            "probability": rounded_or_none(sums.occlusion.probability[row]),
        }
        for at, cell in cells:
            writer.writerow({**about, **cell, "contribution": rounded_or_none(fall[row, *at])})
    return text.getvalue()


def _cells(explained: "Explained") -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """Row and column of each hidden period, and of each band that was hidden over the season, with their names."""
    starts, ends = explained.periods.starts, explained.periods.ends
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        yield (0, 1 + number), {"sensor": ALL, "band": ALL, "start": start.isoformat(), "end": end.isoformat()}
    for number, (sensor, band) in enumerate(explained.bands if explained.has_bands else ()):
        season = {"start": starts[0].isoformat(), "end": ends[-1].isoformat()}
        yield (1 + number, 0), {"sensor": sensor, "band": band, **season}
