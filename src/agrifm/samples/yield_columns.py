"""Which column of a file of labels has the yields, and in which unit, by its name."""

import re
from pathlib import Path
from typing import NamedTuple

from agrifm.errors import LabelError
from agrifm.vectors import NOTHING_STATED, read_vector
from agrifm.yields import TONNES, YieldUnit

YIELD_WORDS = ("yield", "yld", "rendement", "ertrag", "rendimiento", "rendimento", "resa", "plon", "t_ha", "kg_ha")
"""Parts of the names of columns of yields, the likeliest first."""
UNIT_FORMS: dict[YieldUnit, str] = {
    "kg/ha": r"kg",
    "dt/ha": r"(?:^|[^a-z])(?:dt|q|qt)[ _./]?(?:per[ _])?ha",
    "t/ha": r"(?:^|[^a-z])(?:t|to|tonnes?|tons?)[ _./]?(?:per[ _])?ha",
}
"""How a name states its unit, in small letters."""


class GuessedYields(NamedTuple):
    """Keys of [labels], as far as names tell them, and what to say of them."""

    keys: dict[str, str]
    lines: list[str]


def guess_yields(file: Path) -> GuessedYields:
    """Return `value` and `unit` of a file of labels; a unit is not guessed from numbers.

    Raises:
        LabelError: the file cannot be read.
    """
    frame = read_vector(file, f"looking for yields in {file}", LabelError, keys=NOTHING_STATED).frame
    numbers = [str(name) for name in frame.columns if getattr(frame[name].dtype, "kind", "O") in "iuf"]
    found = [name for word in YIELD_WORDS for name in numbers if word in name.lower()]
    if not found:
        shown = f" (columns of numbers: {', '.join(numbers)})" if numbers else ""
        return GuessedYields(
            {}, [f"warning: no column of {file.name} is called like a yield{shown}; set `value` and `unit`"]
        )
    unit = unit_in_name(found[0])
    values = frame[found[0]].dropna()
    line = f"yields: {len(values)} numbers in the column '{found[0]}', {values.min():g} to {values.max():g}"
    if unit is None:
        line = f"warning: {line}; its name states no unit, so set `unit`, one of {', '.join(TONNES)}"
        return GuessedYields({"value": found[0]}, [line])
    return GuessedYields({"value": found[0], "unit": unit}, [f"{line}, taken for {unit} by its name"])


def unit_in_name(name: str) -> YieldUnit | None:
    """Return the unit that the name of a column states; None if it states none."""
    return next((unit for unit, form in UNIT_FORMS.items() if re.search(form, name.lower())), None)
