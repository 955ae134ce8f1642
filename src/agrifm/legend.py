"""Legends: classes with code, name, colour and parent. Files and models hold dense class numbers 0..n-1.

255 means unlabelled or nodata. A code is a string, as its source writes it. Numbers are compared as integers written
out: 1110, 1110.0 and "1110" are the same code.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from agrifm.errors import LabelError, did_you_mean
from agrifm.validation import Frozen, complaint

UNLABELLED = 255
"""Class number of pixels without a label or without a valid observation."""
LEGEND_TAG = "AGRIFM_LEGEND"
"""GeoTIFF tag that holds a raster's legend as JSON; pixel values are class numbers."""
OTHER = "other"
"""Code of land outside the crops of interest: a class of its own, never silently a crop."""
OTHER_COLOR = "#dddddd"

# Paul Tol's qualitative "muted" and "light" schemes: told apart by colour-blind readers.
PALETTE = (
    "#cc6677", "#332288", "#ddcc77", "#117733", "#88ccee", "#882255", "#44aa99", "#999933", "#aa4499",
    "#77aadd", "#ee8866", "#eedd88", "#ffaabb", "#99ddff", "#44bb99", "#bbcc33", "#aaaa00",
)  # fmt: skip


def code_of(value: object) -> str:
    """Write a code as text: whole numbers without a fraction ("1110.0" and 1110 become "1110"), text stripped."""
    text = str(value).strip()
    try:
        return str(int(text))  # exact, where float would round a code of 17 digits
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


class LegendClass(Frozen):
    """One class; `scored` is False for classes that no macro F1 counts (water, forest, built-up, other)."""

    code: Annotated[str, BeforeValidator(lambda code: code if code is None else code_of(code))]
    name: str
    color: str = Field(pattern="^#[0-9a-f]{6}$")
    parent: str | None = None
    scored: bool = True


class Legend(Frozen):
    """Classes in the order of their numbers 0..n-1."""

    classes: tuple[LegendClass, ...]

    @model_validator(mode="after")
    def _codes_are_unique(self) -> Self:
        codes = self.codes
        if len(set(codes)) < len(codes) or not 1 <= len(codes) <= UNLABELLED:
            twice = sorted({code for code in codes if codes.count(code) > 1})
            found = f"{twice[0]!r} twice" if twice else f"{len(codes)} of them"
            raise ValueError(f"a legend needs 1 to {UNLABELLED} different codes, found {found}")
        return self

    @classmethod
    def of(cls, codes: Iterable[object], names: dict[str, str] | None = None) -> "Legend":
        """Legend of these codes in order, coloured from the palette; `other` is grey and not scored.

        Raises:
            LabelError: a code is repeated, or there are more than 255.
        """
        written = [code_of(code) for code in codes]
        palette = iter(PALETTE * (len(written) // len(PALETTE) + 1))
        classes = tuple(
            LegendClass(
                code=code,
                name=(names or {}).get(code, code),
                color=OTHER_COLOR if code == OTHER else next(palette),
                scored=code != OTHER,
            )
            for code in written
        )
        try:
            return cls(classes=classes)
        except ValidationError as error:
            raise LabelError(f"making a legend of the codes found: {complaint(error, cls)}") from error

    @classmethod
    def read(cls, path: Path) -> "Legend":
        """Legend from a JSON file (`{"classes": [{"code", "name", "color", …}]}`) or a CSV with such columns.

        Raises:
            LabelError: the file does not exist or is not a legend.
        """
        try:
            if path.suffix.lower() == ".csv":
                with path.open(newline="", encoding="utf-8-sig") as file:
                    rows = [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
                return cls.model_validate({"classes": rows})
            return cls.model_validate_json(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValidationError, UnicodeDecodeError, csv.Error) as error:
            reason = complaint(error, cls) if isinstance(error, ValidationError) else str(error).splitlines()[0]
            raise LabelError(
                f"reading the legend {path}: {reason}; a legend is a CSV of code, name, color (#rrggbb in small "
                'letters), or the same as JSON: {"classes": [{"code": …, "name": …, "color": …}]}'
            ) from error

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes in order."""
        return tuple(entry.code for entry in self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def number(self, code: object) -> int:
        """The class number of a code.

        Raises:
            LabelError: the legend has no such code; the message suggests the nearest one.
        """
        written = code_of(code)
        if written in self.codes:
            return self.codes.index(written)
        raise LabelError(
            f"unknown label code {written!r}{did_you_mean(written, self.codes)} The legend has "
            f"{', '.join(self.codes)}; correct the label or add the code to the legend",
            code=written,
            known=self.codes,
        )

    def encode(self, codes: Sequence[object] | NDArray[Any]) -> NDArray[np.uint8]:
        """Class numbers of codes, uint8, same shape; raises LabelError for an unknown code."""
        array = np.asarray(codes)
        different, inverse = np.unique(array.astype(object).astype(str), return_inverse=True)
        numbers = np.array([self.number(code) for code in different], np.uint8)
        return numbers[inverse].reshape(array.shape)


def legend_json(legend: Legend) -> str:
    """The legend as one line of JSON, for file metadata."""
    return json.dumps(legend.model_dump(exclude_none=True), separators=(",", ":"))
