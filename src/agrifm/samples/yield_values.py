"""Numbers that are taken for yields, in labels and references: read from a column, and refused in a wrong unit."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agrifm.codes import looks_missing
from agrifm.errors import LabelError
from agrifm.yields import TONNES, YieldUnit

if TYPE_CHECKING:
    from pandas import Series

GRAINS = {
    "wheat", "barley", "rye", "oat", "oats", "triticale", "rapeseed", "rape", "canola", "soy", "soya", "soybean",
    "soybeans", "sunflower", "rice", "millet", "sorghum", "pea", "peas", "bean", "beans", "lentil", "lentils",
    "chickpea", "pulses", "cotton", "cereal", "cereals", "blé", "orge", "seigle", "avoine", "colza", "tournesol",
    "soja", "riz", "weizen", "gerste", "roggen", "hafer", "raps", "trigo", "cebada", "arroz", "girasol",
}  # fmt: skip
"""Words in the names of crops of which no field has more than `MOST_GRAIN` t/ha."""
FODDER = {"silage", "fodder", "forage", "green", "whole", "fourrage", "silo", "straw", "snap"}
"""Words that say that more than grains is harvested."""
MOST_GRAIN = 25.0
"""t/ha; the highest yield of wheat ever confirmed is 17.96 t/ha (New Zealand 2024)."""
MAIZE = {"maize", "corn", "maïs", "mais", "maiz", "maíz", "milho", "kukurydza"}
MOST_MAIZE = 80.0
"""t/ha; whole plants for silage have 50 to 60."""
MOST = 300.0
"""t/ha of any crop; sugar cane has 200."""
LEAST_MEDIAN = 0.02
"""t/ha below which half of the fields are taken for another unit."""


def yield_numbers(values: "Series[Any]", about: str, remedy: str) -> NDArray[np.float64]:
    """Return the numbers of a column (N,), NaN where there is none.

    Args:
        about: what is being done, for messages.
        remedy: for a column without any number.

    Raises:
        LabelError: a text that is not a number, a negative number, or no number at all.
    """
    result = np.full(len(values), np.nan)
    for row, value in enumerate(values.tolist()):
        if value is None or value is True or value is False or looks_missing(str(value).strip()):
            continue
        try:
            result[row] = float(value)
        except (TypeError, ValueError) as error:
            raise LabelError(
                f"{about}: row {row + 1} has {str(value)!r}, which is not a number; give yields as numbers with a "
                "decimal point",
                row=row + 1,
                found=str(value),
            ) from error
    if not np.isfinite(result).any():
        raise LabelError(f"{about}: it has no number; {remedy}")
    if (result < 0).any():
        row = int(np.flatnonzero(result < 0)[0])
        raise LabelError(
            f"{about}: row {row + 1} has {result[row]:g}, and a yield is not negative; correct it, or leave it empty "
            "where no yield is known",
            row=row + 1,
            found=float(result[row]),
        )
    return result


def require_plausible(
    tonnes: NDArray[np.float64],
    codes: NDArray[Any],
    crops: Sequence[str],
    usable: NDArray[np.bool_],
    unit: YieldUnit,
    about: str,
) -> None:
    """Refuse yields that no field of a crop has, by which a wrong unit shows.

    Args:
        tonnes: (N,), t/ha.
        codes: (N,), crop of each.
        crops: those to look at, each with a yield.
        usable: (N,), whether there is a yield.
        unit: of the file.

    Raises:
        LabelError: see above.
    """
    for crop in crops:
        found = tonnes[usable & (codes == crop)]
        words = set(re.findall(r"[^\W\d_]+", crop.lower()))
        most = MOST_GRAIN if words & GRAINS and not words & FODDER else MOST_MAIZE if words & MAIZE else MOST
        if np.median(found) > most or found.max() > 4 * most or np.median(found) < LEAST_MEDIAN:
            stated = found / TONNES[unit]
            raise LabelError(
                f"{about}: its numbers for {crop} ({stated.min():g} to {stated.max():g}, median "
                f"{np.median(stated):g}) are not yields in {unit}; state their unit (`unit` under [labels], or "
                f"`--unit` of `agrifm assess`), one of {', '.join(TONNES)}",
                crop=crop,
                unit=unit,
                median=float(np.median(stated)),
            )
