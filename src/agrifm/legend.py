"""Legends: classes with code, name, colour and parent. Files and models hold dense class numbers 0..n-1.

255 means unlabelled or nodata. What a code is, `codes.py` decides.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from agrifm.codes import code_of
from agrifm.errors import LabelError, did_you_mean
from agrifm.files import AnyPath, as_path
from agrifm.tables import TABLES, read_table
from agrifm.validation import Frozen, complaint

UNLABELLED = 255
"""Class number of pixels without a label or without a valid observation."""
LEGEND_TAG = "AGRIFM_LEGEND"
"""GeoTIFF tag that holds a raster's legend as JSON; pixel values are class numbers."""
OTHER = "other"
"""Code of land outside the crops of interest: a class of its own, never silently a crop."""
CROPLAND = "cropland"
"""Code of the class that the task of this name tells from other land."""
OTHER_COLOR = "#dddddd"
LAND_WORDS = {
    "bare", "barren", "builtup", "built", "city", "forest", "forests", "glacier", "ice", "lake", "lakes", "mangrove",
    "river", "road", "roads", "rock", "settlement", "shrub", "shrubland", "shrubs", "snow", "town", "urban", "water",
    "wetland", "wetlands", "wood", "woodland", "woods",
}  # fmt: skip
"""Words in the names of land that is not a crop."""

# Paul Tol's qualitative "muted" and "light" schemes: told apart by colour-blind readers.
PALETTE = (
    "#cc6677", "#332288", "#ddcc77", "#117733", "#88ccee", "#882255", "#44aa99", "#999933", "#aa4499",
    "#77aadd", "#ee8866", "#eedd88", "#ffaabb", "#99ddff", "#44bb99", "#bbcc33", "#aaaa00",
)  # fmt: skip


def _color(text: Any) -> Any:
    """A colour as small letters: #FF0000, FF0000 and #f00 are #ff0000."""
    if not isinstance(text, str):
        return text
    digits = text.strip().lower().removeprefix("#")
    if len(digits) == 3 and text.strip().startswith("#"):
        digits = "".join(digit * 2 for digit in digits)
    return f"#{digits}"


_FORMS = (
    "a legend is a CSV of code, name, color (#rrggbb), or the same as JSON: "
    '{"classes": [{"code": …, "name": …, "color": …}]}'
)


def _member_codes(value: Any) -> Any:
    """Codes as written in a table, between semicolons, as a list."""
    parts = value.split(";") if isinstance(value, str) else value
    return [code_of(part) for part in parts] if isinstance(parts, list | tuple) else parts


class LegendClass(Frozen):
    """One class; `scored` is False for classes that no macro F1 counts (water, forest, built-up, other)."""

    code: Annotated[str, BeforeValidator(code_of), Field(min_length=1)]
    name: str
    color: Annotated[str, BeforeValidator(_color), Field(pattern="^#[0-9a-f]{6}$")]
    parent: str | None = None
    scored: bool = True
    members: Annotated[tuple[str, ...] | None, BeforeValidator(_member_codes)] = None
    """Further codes of labels that mean this class, such as the crops of `cropland`; in a CSV between semicolons."""


def is_named_as_land(entry: LegendClass) -> bool:
    """Whether a class is called like land that is not a crop, such as "Mixed forest" or "open_water"."""
    words = set(re.findall("[a-z]+", f"{entry.code} {entry.name}".lower()))
    return entry.code == OTHER or bool(words & LAND_WORDS)


class Legend(Frozen):
    """Classes in the order of their numbers 0..n-1."""

    classes: tuple[LegendClass, ...]
    hierarchy: str | None = None
    """Key of the published legend whose codes these are, such as "hcat3"; scores are stated at its levels too. None =
    the parents of the classes, if there are any."""

    @model_validator(mode="after")
    def _codes_are_unique(self) -> Self:
        if not self.classes or len(self.classes) > UNLABELLED:
            raise ValueError(f"a legend needs 1 to {UNLABELLED} different codes, found {len(self.classes)} of them")
        codes = self.every_code
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise ValueError(f"a legend needs 1 to {UNLABELLED} different codes, found {twice[0]!r} twice")
        return self

    @classmethod
    def of(
        cls, codes: Iterable[object], names: dict[str, str] | None = None, colors: dict[str, str] | None = None
    ) -> "Legend":
        """Legend of these codes in order; by default coloured from the palette, `other` grey and not scored.

        Raises:
            LabelError: a code is repeated, or there are more than 255.
        """
        written = [code_of(code) for code in codes]
        palette = iter(PALETTE * (len(written) // len(PALETTE) + 1))
        classes = tuple(
            LegendClass(
                code=code,
                name=(names or {}).get(code, code),
                color=(colors or {}).get(code) or (OTHER_COLOR if code == OTHER else next(palette)),
                scored=code != OTHER,
            )
            for code in written
        )
        try:
            return cls(classes=classes)
        except ValidationError as error:
            raise LabelError(f"making a legend of the codes found: {complaint(error, cls)}") from error

    @classmethod
    def read(cls, path: AnyPath, notes: list[str] | None = None) -> "Legend":
        """Legend from a JSON file (`{"classes": [{"code", "name", "color", …}]}`) or a CSV with such columns.

        Args:
            notes: receives a sentence on the columns that are not used.

        Raises:
            LabelError: the file does not exist, is not a legend, or has two classes of the same name.
        """
        path = as_path(path)
        about = f"reading the legend {path}"
        try:
            if path.suffix.lower() in TABLES:
                legend = cls(classes=_classes_of_table(path, about, [] if notes is None else notes))
            else:
                legend = cls.model_validate_json(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            reason = complaint(error, cls) if isinstance(error, ValidationError) else str(error).splitlines()[0]
            raise LabelError(f"{about}: {reason}; {_FORMS}") from error
        _require_different_names(legend, about)
        return legend

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes in order."""
        return tuple(entry.code for entry in self.classes)

    @property
    def every_code(self) -> tuple[str, ...]:
        """Codes of the classes and of their members."""
        return (*self.codes, *(code for entry in self.classes for code in entry.members or ()))

    @property
    def one_class(self) -> int | None:
        """Number of the class that is asked for, if there are two and only one of them is scored."""
        scored = [number for number, entry in enumerate(self.classes) if entry.scored]
        return scored[0] if len(self.classes) == 2 and len(scored) == 1 else None

    def __len__(self) -> int:
        return len(self.classes)

    def class_code(self, code: str) -> str:
        """The code of the class that a label means; one that the legend does not know stays as it is."""
        holding = (entry.code for entry in self.classes if code in (entry.members or ()))
        return code if code in self.codes else next(holding, code)

    def number(self, code: object) -> int:
        """The class number of a code.

        Raises:
            LabelError: the legend has no such code; the message suggests the nearest one.
        """
        written = code_of(code)
        if (meant := self.class_code(written)) in self.codes:
            return self.codes.index(meant)
        names = {entry.name: entry.code for entry in self.classes}
        hint = (
            f"; labels are codes, not names: {names[written]} = {written}."
            if written in names
            else did_you_mean(written, self.every_code)
        )
        raise LabelError(
            f"unknown label code {written!r}{hint} The legend has {', '.join(self.codes)}; correct the label or "
            "add the code to the legend",
            code=written,
            known=self.codes,
        )

    def encode(self, codes: Sequence[object] | NDArray[Any]) -> NDArray[np.uint8]:
        """Class numbers of codes, uint8, same shape; raises LabelError for an unknown code."""
        array = np.asarray(codes)
        different, inverse = np.unique([code_of(code) for code in array.ravel().tolist()], return_inverse=True)
        numbers = np.array([self.number(code) for code in different], np.uint8)
        return numbers[inverse].reshape(array.shape)


def _classes_of_table(path: Path, about: str, notes: list[str]) -> tuple[LegendClass, ...]:
    """One class for each row of a CSV file; an empty cell is a key that is not given."""
    table = read_table(path, about, LabelError)
    keys = {column: key for key in LegendClass.model_fields if (column := table.find(key)) is not None}
    others = [column for column in table.columns if column not in keys]
    for key, field in LegendClass.model_fields.items():
        if field.is_required() and key not in keys.values():
            raise LabelError(
                f"{about}: it has no column '{key}' (its columns: {', '.join(table.columns)})"
                f"{did_you_mean(key, others, 0.7)}; {_FORMS}",
                column=key,
                columns=table.columns,
            )
    if others:
        notes.append(f"{path.name}: not used: {', '.join(others)}; a legend has {', '.join(LegendClass.model_fields)}")
    classes = []
    for line, row in zip(table.lines, table.rows, strict=True):
        cells = dict(zip(table.columns, row, strict=True))
        try:
            classes.append(LegendClass.model_validate({keys[at]: cells[at] for at in keys if cells[at]}))
        except ValidationError as error:
            raise LabelError(f"{about}: line {line}: {complaint(error, LegendClass)}; {_FORMS}", line=line) from error
    return tuple(classes)


def _require_different_names(legend: Legend, about: str) -> None:
    first: dict[str, str] = {}
    for entry in legend.classes:
        if (other := first.setdefault(entry.name, entry.code)) != entry.code:
            raise LabelError(
                f"{about}: the codes {other} and {entry.code} have the same name '{entry.name}', so a map could not "
                "show which is which; give each class its own name",
                codes=(other, entry.code),
            )


def legend_json(legend: Legend) -> str:
    """The legend as one line of JSON, for file metadata."""
    return json.dumps(legend.model_dump(exclude_none=True), separators=(",", ":"))
