"""Tables of text: separators, marks, encodings and rows as spreadsheets write them, with what csv or a reader sees."""

import codecs
from pathlib import Path

import pytest

from agrifm.errors import LabelError
from agrifm.tables import Table, read_table

COLUMNS, ROWS = ("code", "name", "color"), (("11", "Blé", "#ff0000"), ("12", "maize, grain", "#00ff00"))


def read(folder: Path, content: str | bytes) -> Table:
    path = folder / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, "reading t.csv", LabelError)


@pytest.mark.parametrize(
    "text",
    [
        'code,name,color\n11,Blé,#ff0000\n12,"maize, grain",#00ff00\n',
        "code;name;color\n11;Blé;#ff0000\n12;maize, grain;#00ff00\n",
        "code\tname\tcolor\r\n11\tBlé\t#ff0000\r\n12\tmaize, grain\t#00ff00\r\n",
        "code|name|color\r11|Blé|#ff0000\r12|maize, grain|#00ff00\r",
        "sep=;\r\ncode;name;color\r\n11;Blé;#ff0000\r\n12;maize, grain;#00ff00",
        "\ufeffcode;name;color\n11;Blé;#ff0000\n12;maize, grain;#00ff00\n",
        "code;name;color;;\n;;;;\n11;Blé;#ff0000;;\n\n12;maize, grain;#00ff00;;\n;;;;\n \t\n",
        ' code , "name" , color\n 11 , Ble\u0301,#ff0000\u00a0\n12,"maize, grain",#00ff00\n'.replace('" ,', '",'),
        "code;name;color\n11;Blé;#ff0000\n12;maize, grain;#00ff00".encode("utf-16"),
        codecs.BOM_UTF16_BE + "code\tname\tcolor\n11\tBlé\t#ff0000\n12\tmaize, grain\t#00ff00".encode("utf-16-be"),
    ],
    ids=["comma", "semicolon", "tab", "bar", "sep=", "mark", "empty rows", "blanks", "utf-16", "utf-16-be"],
)
def test_a_table_is_the_same_however_it_was_written(tmp_path: Path, text: str | bytes) -> None:
    table = read(tmp_path, text)
    assert (table.columns, table.rows) == (COLUMNS, ROWS)


def test_decimal_commas_become_points_where_the_separator_is_another(tmp_path: Path) -> None:
    table = read(tmp_path, "lon;crop;list\n5,25;wheat;1,2\n-6;maize, grain;1,2,3\n")
    assert table.column("lon") == ["5.25", "-6"]
    assert table.column("list") == ["1,2", "1,2,3"]
    assert read(tmp_path, 'lon,crop\n"5,25",wheat\n').column("lon") == ["5,25"]


def test_short_rows_end_with_empty_cells_and_lines_are_counted(tmp_path: Path) -> None:
    table = read(tmp_path, 'code,name,scored\n1,"two\nlines"\n\n2,b,false\n')
    assert table.rows == (("1", "two\nlines", ""), ("2", "b", "false"))
    assert table.lines == (3, 5)


def test_a_column_is_found_by_its_name_in_any_capitals(tmp_path: Path) -> None:
    table = read(tmp_path, "Code,NAME,name,\n1,a,b,\n")
    assert table.find("code") == "Code"
    assert table.find("name") == "name"
    assert table.find("Name") is None
    assert table.find("color") is None


def test_a_column_without_a_name_is_called_by_its_position(tmp_path: Path) -> None:
    assert read(tmp_path, ",code\n0,11\n").columns == ("column 1", "code")


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        ("code,name\n1,a\n2,b,c\n", "line 3"),
        ("code,name\n1,Bl\xe9\n".encode("latin-1"), "line 2"),
        ('code,name\n1,"wheat\n2,rye\n', "quotation"),
        ("code,code\n1,2\n", "'code' twice"),
        ("", "empty"),
        (b"PK\x03\x04rest", "spreadsheet"),
        ("code,name\n1,a\n".encode("utf-16-le"), "zero bytes"),
    ],
)
def test_what_cannot_be_read_as_a_table_is_refused(tmp_path: Path, content: str | bytes, fact: str) -> None:
    with pytest.raises(LabelError) as caught:
        read(tmp_path, content)
    assert fact in str(caught.value)
    assert str(caught.value).startswith("reading t.csv: ")


@pytest.mark.parametrize("name", ["absent.csv", "folder.csv"])
def test_a_table_that_is_not_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(LabelError):
        read_table(tmp_path / name, "reading", LabelError)
