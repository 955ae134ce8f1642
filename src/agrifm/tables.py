"""Tables of text (CSV), as spreadsheets and programs write them: any usual separator, with a header."""

import csv
import io
import re
import unicodedata
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agrifm.errors import AgriFMError

TABLES = {".csv", ".tsv", ".tab"}
"""Suffixes of files that are read as tables."""
PARQUET = {".parquet", ".geoparquet", ".pq"}
"""Suffixes of series tables that are read as Parquet."""
SEPARATORS = (";", "\t", "|", ",")
BLANKS = "\\s\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
"""In a regular expression: blanks, also those of no width, and marks of direction."""
_ENDS = re.compile(f"^[{BLANKS}]+|[{BLANKS}]+$")
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+(,[0-9]+)?")
_OTHER_FILES = {b"PK\x03\x04": "a spreadsheet or an archive", b"\xd0\xcf\x11\xe0": "a spreadsheet", b"%PDF": "a PDF"}
"""First bytes of files that are often renamed to .csv."""


def has_table_suffix(path: Path | None) -> bool:
    """Whether a file is a table by its suffix, CSV or Parquet."""
    return path is not None and path.suffix.lower() in TABLES | PARQUET


def tidy(text: str) -> str:
    """The text in Unicode's composed form (NFC), without blanks and invisible characters at its ends."""
    return unicodedata.normalize("NFC", _ENDS.sub("", text))


@dataclass(frozen=True)
class Table:
    """A table whose cells are text, without blanks at their ends; an empty cell is ""."""

    columns: tuple[str, ...]
    """Names in the header, different from each other."""
    rows: tuple[tuple[str, ...], ...]
    """Cells of each row, as many as there are columns; rows without any content are left out."""
    lines: tuple[int, ...]
    """Line of the file in which each row ends, counted from 1."""

    def find(self, name: str) -> str | None:
        """The column of that name; if the table has none, the one that differs only in capitals."""
        if name in self.columns:
            return name
        alike = [column for column in self.columns if column.casefold() == tidy(name).casefold()]
        return alike[0] if len(alike) == 1 else None

    def column(self, name: str) -> list[str]:
        """Cells of a column, one for each row."""
        index = self.columns.index(name)
        return [row[index] for row in self.rows]


def read_table(path: Path, about: str, kind: "type[AgriFMError]", encoding: str | None = None) -> Table:
    """Read a CSV file: UTF-8, or UTF-16 with its mark; separated by comma, semicolon, tab or vertical bar.

    In a table that is not separated by commas, a column of numbers with decimal commas is written with points. A row
    that is shorter than the header ends with empty cells.

    Args:
        about: the start of an error's sentence, such as "reading the legend crops.csv".
        kind: the class of error to raise.
        encoding: of the file, if the user states it.

    Raises:
        AgriFMError: of that kind; the file is absent or is not text in UTF-8, it has no header, a name occurs twice in
            the header, a quotation mark is not closed, or a row has more cells than the header.
    """
    text = _read_text(path, about, kind, encoding)
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # outlines are longer than the usual 128 kB
    stated = re.match(r"sep=(.)\r?\n", text)  # Excel's own statement of the separator
    skipped = 1 if stated else 0
    text = text[stated.end() :] if stated else text
    separator = stated[1] if stated else _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for written in reader:
            cells = [tidy(cell) for cell in written]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                rows.append(cells)
                lines.append(reader.line_num + skipped)
    except csv.Error as error:
        raise kind(
            f"{about}: line {reader.line_num + skipped}: {error}; close every quotation mark", path=path
        ) from error
    if not rows:
        raise kind(f"{about}: the file is empty; write a header and a row for each entry", path=path)
    columns = _header(rows[0], about, kind)
    for line, row in zip(lines, rows, strict=True):
        if len(row) > len(columns):
            raise kind(
                f"{about}: line {line} has {len(row)} cells and the header {len(columns)} (separator "
                f"{_spelled(separator)}); put cells that contain the separator in quotation marks, and "
                "name every column",
                path=path,
                line=line,
            )
    content = [[*row, *[""] * (len(columns) - len(row))] for row in rows[1:]]
    if separator != ",":
        content = _with_decimal_points(content)
    return Table(columns, tuple(map(tuple, content)), tuple(lines[1:]))


def _read_text(path: Path, about: str, kind: "type[AgriFMError]", encoding: str | None) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise kind(f"{about}: the file does not exist; check the path", path=path) from error
    except OSError as error:
        raise kind(f"{about}: {error.strerror or error}; check the path", path=path) from error
    for start, what in _OTHER_FILES.items():
        if content.startswith(start):
            raise kind(f"{about}: the file is {what}, not a table of text; save it as CSV in UTF-8", path=path)
    usual = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding or usual)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise kind(
            f"{about}: line {line} is not {encoding or 'UTF-8'} (byte 0x{content[error.start]:02x}), so its letters "
            "are unknown; save the file as CSV in UTF-8",
            path=path,
            line=line,
        ) from error
    if "\0" in text:
        raise kind(f"{about}: the file contains zero bytes, so it is not text; save it as CSV in UTF-8", path=path)
    return text


def _separator(text: str) -> str:
    """The separator that divides the rows into the same number of cells, more than one."""

    def fit(separator: str) -> tuple[bool, float, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        try:
            widths = [len(row) for row in islice((row for row in reader if any(map(tidy, row))), 100)]
        except csv.Error:  # it is reported when the table is read
            widths = []
        first = widths[0] if widths else 0
        return first > 1, sum(width == first for width in widths) / max(len(widths), 1), first

    return max(SEPARATORS, key=fit)


def _header(names: Sequence[str], about: str, kind: "type[AgriFMError]") -> tuple[str, ...]:
    """Names of the columns; one without a name, such as the row numbers of pandas, is called by its position."""
    columns = tuple(name or f"column {number}" for number, name in enumerate(names, 1))
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise kind(f"{about}: the header has the column {twice[0]!r} twice; rename one of them", column=twice[0])
    return columns


def _with_decimal_points(rows: list[list[str]]) -> list[list[str]]:
    """The rows, with a point instead of a comma in the columns that contain nothing but numbers."""
    for index in range(len(rows[0]) if rows else 0):
        if all(_DECIMAL_COMMA.fullmatch(row[index]) for row in rows if row[index]):
            for row in rows:
                row[index] = row[index].replace(",", ".")
    return rows


def _spelled(separator: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}.get(separator, separator)
