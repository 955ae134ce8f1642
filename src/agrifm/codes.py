"""What a label is: one rule for label files, rasters, legends, reference points and maps.

A code is text. Whole numbers are written out, so 1110, 1110.0 and "1110" are one code. Any other text is a code of its
own: "010", "1_1" and "1E2" are not 10, 11 and 100, and "Maize" is not "maize". What programs write for a missing value
("nan", "NA", "None" …) is not a code, unless a legend lists it.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from decimal import Decimal
from numbers import Integral
from typing import Any

import numpy as np

from agrifm.errors import LabelError
from agrifm.tables import BLANKS, tidy

MISSING = {
    "",
    "nan",
    "-nan",
    "none",
    "null",
    "na",
    "n/a",
    "<na>",
    "nat",
    "#na",
    "#n/a",
    "#n/a n/a",
    "1.#qnan",
    "-1.#ind",
}
"""What programs write for a missing value, in small letters."""
MOST_NOTES = 3
"""Notes of one kind; a file with more faults has the same cause for all."""
MIN_IDENTIFIERS = 10
"""Rows from which a column whose values are all different is one of identifiers."""
_WHOLE = re.compile(r"(0|-?[1-9][0-9]*)(\.0+)?")
_DATE = re.compile(r"[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}([T ].*)?|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}")
_YEAR = re.compile(r"19[5-9][0-9]|20[0-9]{2}")
_ACCENTS = re.compile("[\u0300-\u036f]")
_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")


def code_of(value: object) -> str:
    """Write a label as its code; "" for a missing value (None, NaN, NaT, NA) and for blank text.

    Raises:
        LabelError: the value is neither text nor a number, or a number that a float cannot hold exactly.
    """
    if isinstance(value, str):
        text = tidy(value)
        whole = _WHOLE.fullmatch(text)
        return whole[1] if whole else text
    if value is None or str(value) in ("nan", "NaN", "NaT", "<NA>"):
        return ""
    if isinstance(value, bool | np.bool_ | Integral):
        return str(value)
    if isinstance(value, float | np.floating | Decimal):
        return _written_out(value)
    raise LabelError(
        f"a label is text or a whole number (found {value!r} of type {type(value).__name__}); give a column of codes",
        value=value,
    )


def _written_out(value: Any) -> str:
    """A number with a fraction as text; a whole one without its point."""
    digits = 0 if isinstance(value, Decimal) else np.finfo(type(value)).nmant + 1
    if not np.isfinite(float(value)):
        raise LabelError(f"a label is text or a whole number (found {value})", value=value)
    if digits and abs(value) >= 2.0**digits:
        # Above this limit neighbouring whole numbers have become the same float.
        raise LabelError(
            f"the code {value:.0f} is too large for a number with a point, so its last digits may be wrong; store "
            "codes as text or as whole numbers",
            value=value,
        )
    return str(int(value)) if value == int(value) else str(value)


def read_codes(values: Iterable[object], known: Collection[str] = ()) -> tuple[list[str], list[str]]:
    """Codes of the labels in a column, "" for an unlabelled row, and notes on what was decided.

    Args:
        values: as the file has them.
        known: codes that a legend lists; one of them is a class, also if it looks like a missing value.

    Raises:
        LabelError: as `code_of`; the message names the row.
    """
    if isinstance(getattr(values, "dtype", None), np.dtype):
        values = np.asarray(values)  # a column of float32 keeps its type, by which its limit is known
    codes: list[str] = []
    missing: Counter[str] = Counter()
    in_legend: Counter[str] = Counter()
    written: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row, value in enumerate(values, 1):
        try:
            code = code_of(value)
        except LabelError as error:
            raise LabelError(f"row {row}: {error}", row=row, **error.facts) from error
        if looks_missing(code):
            if code in known:
                in_legend[code] += 1
            else:
                missing.update([code] if code else [])
                code = ""
        codes.append(code)
        if code and isinstance(value, str):
            written[code][tidy(value)] += 1
    notes = []
    if missing:
        notes.append(f"{missing.total()} labels are {_counted(missing)}: unlabelled, unless a legend lists the code")
    if in_legend:
        notes.append(
            f"{in_legend.total()} labels are {_counted(in_legend)}: a class, because the legend lists the code"
        )
    notes += [f"{_counted(texts)} are the same code" for texts in written.values() if len(texts) > 1][:MOST_NOTES]
    return codes, [*notes, *alike_notes(Counter(filter(None, codes)))]


def looks_missing(code: str) -> bool:
    """Whether a code is blank, or what programs write for a missing value."""
    return code.casefold() in MISSING


def why_not_classes(codes: Iterable[str]) -> str | None:
    """Why the codes of a column can hardly be classes, in words; None if they can. Unlabelled rows do not count."""
    counts = Counter(filter(None, codes))
    if counts.total() >= MIN_IDENTIFIERS and len(counts) == counts.total():
        return f"each of its {len(counts)} labels is different, so they are identifiers or measures, not classes"
    if counts and all(map(_DATE.fullmatch, counts)):
        return f"its labels are dates, such as {min(counts)}, not classes"
    return None


def year_notes(codes: Iterable[str]) -> list[str]:
    """A note if all codes of a column are years; they may be classes all the same."""
    different = set(filter(None, codes))
    if different and all(map(_YEAR.fullmatch, different)):
        return [f"the labels look like years ({listed(different)}); check that this is the column of classes"]
    return []


def listed(codes: Iterable[str], most: int = 8) -> str:
    """Codes in a sentence, in order; of many only the first."""
    ordered = sorted(codes)
    return ", ".join(ordered[:most]) + (f" and {len(ordered) - most} others" if len(ordered) > most else "")


def alike_notes(codes: Counter[str]) -> list[str]:
    """A note on each group of codes that differ only in capitals, blanks, accents or zeros; they are not merged."""
    groups: defaultdict[object, list[str]] = defaultdict(list)
    for code in sorted(codes):
        groups[_skeleton(code)].append(code)
    return [
        f"{_counted(Counter({code: codes[code] for code in alike}))} are different classes; correct the labels if they "
        "are not"
        for alike in groups.values()
        if len(alike) > 1
    ][:MOST_NOTES]


def _skeleton(code: str) -> object:
    """What is left of a code without capitals, blanks, accents and leading zeros; its value if it is a number."""
    for number in (int, float):
        try:
            return number(code)  # as generous as Python: 1_1, 1E2, +5 and the digits of other scripts
        except ValueError:
            pass
    letters = _ACCENTS.sub("", unicodedata.normalize("NFKD", code)).casefold()
    return _LEADING_ZEROS.sub("", re.sub(f"[{BLANKS}_]+", "", letters))


def _counted(texts: Counter[str]) -> str:
    return " and ".join(f"{text!r} ({count})" for text, count in texts.most_common(4)) + (
        f" and {len(texts) - 4} others" if len(texts) > 4 else ""
    )
