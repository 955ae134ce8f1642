"""Lines of the comparison with real fields, and their tolerances, which were fixed before the first run."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from measure import table

Relation = Literal["range", "difference", "factor", "reported"]


@dataclass(frozen=True)
class Tolerance:
    """Allowed values of a simulated number, absolute or relative to the real one."""

    relation: Relation
    """`range`: from `low` to `high`; `difference`: at most `high` from the real number; `factor`: at most `high` times
    larger or smaller; `reported`: no tolerance."""
    high: float = np.nan
    low: float = np.nan

    def holds(self, real: float, simulated: float) -> bool:
        """Whether the simulated number is within the tolerance; NaN never is."""
        if self.relation == "range":
            return bool(self.low <= simulated <= self.high)
        if self.relation == "difference":
            return bool(abs(simulated - real) <= self.high)
        return bool(1 / self.high <= simulated / real <= self.high)

    def __str__(self) -> str:
        if self.relation == "range":
            return f"at least {self.low:g}" if self.high == np.inf else f"{self.low:g} to {self.high:g}"
        return {"difference": f"within {self.high:g}", "factor": f"factor {self.high:g}", "reported": ""}[self.relation]


def _range(low: float, high: float = np.inf) -> Tolerance:
    return Tolerance("range", high, low)


TOLERANCES: dict[str, dict[str, Tolerance]] = {
    "a": {
        "macro F1 of ten labels": Tolerance("difference", 0.10),
        "overall accuracy, temporary crop yes or no": Tolerance("difference", 0.05),
    },
    "b": {
        # Reported only: simulated years compared with each other do not reach 0.8 either (`interannual_rows`).
        "class-months with median NDVI within 0.10 and every band in its range, share": Tolerance("reported"),
        "class-months with median NDVI within 0.10, share": _range(0.80),
        "class-month-bands with median in the real 10-90 % range, share": _range(0.80),
        "annual crops, greatest distance of the months of greatest NDVI, months": _range(0, 1),
    },
    "c": {
        "class-months with deviation of NDVI within a factor of 1.5, share": _range(0.80),
        "share of NDVI variance between classes, April to August, least": _range(0.30, 0.74),
        "share of NDVI variance between classes, April to August, greatest": _range(0.30, 0.74),
    },
    "d": {
        "share of missing dekads, least of twelve months": _range(0.12, 0.80),
        "share of missing dekads, greatest of twelve months": _range(0.12, 0.80),
        "length of gaps, 90th percentile, dekads": _range(3, 5),
        "length of gaps, 99th percentile, dekads": _range(6, 10),
        "share of clear pixels with blue above 0.15": _range(0.005, 0.04),
    },
    "e": {
        "deviation of summer NDVI within fields, median": _range(0.04, 0.08),
        "autocorrelation of summer NDVI at 10 m": _range(0.61, 1.01),
        "autocorrelation of summer NDVI at 40 m": _range(0.10, 0.50),
    },
    "f": {
        f"Sentinel-2 less Landsat, deviation in {band}, {which} day": _range(*limits)
        for band, limits in (("red", (0.010, 0.028)), ("near infrared", (0.022, 0.050)))
        for which in ("least", "greatest")
    },
    "g": {
        "month-to-month noise of NDVI, soybean": Tolerance("factor", 1.5),
        "month-to-month noise of NDVI, forest": Tolerance("factor", 1.5),
        "soybean peak, months after 1 September": Tolerance("difference", 1.0),
    },
    "i": {"overall accuracy, temporary crop yes or no, forest of simulated series": _range(0.75)},
}
"""By line and quantity. The ranges of the autocorrelations are 0.81 and 0.30, each plus or minus 0.20."""


@dataclass(frozen=True)
class Row:
    """One line of the printed table."""

    line: str
    quantity: str
    real: float
    """NaN if the quantity itself compares both sets."""
    simulated: float
    """NaN if nothing was simulated."""
    note: str = ""

    @property
    def tolerance(self) -> Tolerance:
        """Tolerance of the simulated number."""
        return TOLERANCES.get(self.line, {}).get(self.quantity, Tolerance("reported"))

    @property
    def verdict(self) -> str:
        """`holds`, `fails`, or an empty string without a tolerance."""
        if self.tolerance.relation == "reported":
            return ""
        return "holds" if self.tolerance.holds(self.real, self.simulated) else "fails"


def rows(line: str, real: dict[str, float], simulated: dict[str, float] | None = None) -> list[Row]:
    """Rows of one line from the numbers of both sets by quantity; missing ones are NaN."""
    sets = (real, simulated or {})
    quantities = dict.fromkeys(quantity for numbers in sets for quantity in numbers)
    return [Row(line, quantity, *(numbers.get(quantity, np.nan) for numbers in sets)) for quantity in quantities]


def as_text(rows_: Iterable[Row]) -> Iterator[str]:
    """The lines of the table."""
    cells = []
    for row in rows_:
        numbers = (f"{value:.3f}" if np.isfinite(value) else "-" for value in (row.real, row.simulated))
        verdict = row.verdict if np.isfinite(row.simulated) else ""
        cells.append((row.line, row.quantity, *numbers, row.tolerance, verdict, row.note))
    header = ("", "quantity", "real", "simulated", "tolerance", "verdict", "")
    return table(header, cells, left=(0, 1, 4, 5, 6))
