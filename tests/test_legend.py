"""Legends: codes as text, files, colours, and the limit of 255 classes."""

import json
from pathlib import Path

import numpy as np
import pytest

from agrifm.errors import LabelError
from agrifm.legend import OTHER, PALETTE, Legend, legend_json

CROPS = Legend.of(["1110", "1121", OTHER], {"1110": "Winter wheat"})


@pytest.mark.parametrize("code", [1110, 1110.0, "1110", "1110.0", " 1110 ", np.int16(1110), np.float32(1110)])
def test_a_code_has_the_same_number_as_number_and_as_text(code: object) -> None:
    assert CROPS.number(code) == 0


def test_an_unknown_code_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(LabelError, match="did you mean '11") as error:
        CROPS.number(1120)
    assert error.value.facts == {"code": "1120", "known": ("1110", "1121", "other")}


def test_codes_become_class_numbers_of_the_same_shape() -> None:
    numbers = CROPS.encode(np.array([["other", "1110"], ["1121", "1110"]]))
    assert numbers.tolist() == [[2, 0], [1, 0]]
    assert numbers.dtype == np.uint8


def test_mixed_numbers_and_text_are_encoded_alike() -> None:
    assert CROPS.encode([1110, "1121", 1121.0, OTHER]).tolist() == [0, 1, 1, 2]


def test_other_is_grey_and_not_scored_and_crops_are_coloured_apart() -> None:
    assert [entry.scored for entry in CROPS.classes] == [True, True, False]
    assert CROPS.classes[2].color == "#dddddd"
    many = Legend.of(range(len(PALETTE)))
    assert len({entry.color for entry in many.classes}) == len(PALETTE)
    assert [entry.name for entry in CROPS.classes] == ["Winter wheat", "1121", OTHER]


def test_a_legend_has_room_for_255_classes_and_no_more() -> None:
    assert len(Legend.of(range(255))) == 255
    with pytest.raises(LabelError, match="256"):
        Legend.of(range(256))


def test_codes_that_are_the_same_number_are_refused_as_double() -> None:
    with pytest.raises(LabelError, match="'1110' twice"):
        Legend.of(["1110", 1110.0])


def test_a_legend_survives_json(tmp_path: Path) -> None:
    path = tmp_path / "legend.json"
    path.write_text(legend_json(CROPS), encoding="utf-8")
    assert Legend.read(path) == CROPS
    assert "\n" not in legend_json(CROPS)


def test_a_json_legend_may_write_codes_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "legend.json"
    classes = [{"code": 1110, "name": "Wheat", "color": "#aabbcc"}, {"code": "2.0", "name": "Rye", "color": "#112233"}]
    path.write_text(json.dumps({"classes": classes}))
    assert Legend.read(path).codes == ("1110", "2")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "rows",
    [
        "code,name,color,scored,parent|01,Blé,#aabbcc,,cereals|water,Water,#112233,false,",
        "CODE; Name ;Color;scored;parent;;|01;Ble\u0301;#AABBCC;;cereals;;| water ;Water;112233;FALSE;;;|;;;;;;",
        "name\tcolor\tcode\tparent\tscored|Blé\t#abc\t01\tcereals|Water\t#123\twater\u00a0\t\tno",
    ],
    ids=["plain", "spreadsheet", "tabs"],
)
def test_a_csv_legend_is_read_however_it_was_written(tmp_path: Path, encoding: str, rows: str) -> None:
    path = tmp_path / "legend.CSV"
    path.write_text(rows.replace("|", "\r\n"), encoding=encoding)
    legend = Legend.read(path)
    assert legend.codes == ("01", "water")
    assert [(entry.name, entry.color, entry.scored, entry.parent) for entry in legend.classes] == [
        ("Blé", "#aabbcc", True, "cereals"),
        ("Water", "#112233", False, None),
    ]


def test_decimal_commas_of_a_spreadsheet_are_the_same_codes(tmp_path: Path) -> None:
    path = tmp_path / "legend.csv"
    path.write_text("code;name;color\n11,0;Wheat;#aabbcc\n12,0;Rye;#112233\n")
    assert Legend.read(path).codes == ("11", "12")


def test_further_columns_are_named_and_not_used(tmp_path: Path) -> None:
    path = tmp_path / "legend.csv"
    path.write_text("code,name,color,remark,hectares\n1,Wheat,#aabbcc,sown early,3\n")
    notes: list[str] = []
    assert Legend.read(path, notes).codes == ("1",)
    assert len(notes) == 1
    assert "remark, hectares" in notes[0]


@pytest.mark.parametrize("code", ["NA", "None", "nan", "-"])
def test_a_legend_can_list_a_code_that_looks_like_a_missing_value(tmp_path: Path, code: str) -> None:
    path = tmp_path / "legend.csv"
    path.write_text(f"code,name,color\n{code},Namibia,#aabbcc\n")
    assert Legend.read(path).codes == (code,)


@pytest.mark.parametrize(
    ("name", "content", "fact"),
    [
        ("l.json", "[]", "object"),
        ("l.json", '{"classes": []}', "0 of them"),
        ("l.json", '{"classes": [{"code": null, "name": "a", "color": "#aabbcc"}]}', "classes.0.code"),
        ("l.json", '{"classes": [{"code": " ", "name": "a", "color": "#aabbcc"}]}', "classes.0.code"),
        ("l.json", '{"classes": [{"code": 1, "name": "a", "color": 112233}]}', "classes.0.color"),
        ("l.csv", "code,name,color\n1,Wheat,yellow\n", "line 2: color"),
        ("l.csv", "code,name,color\n1,Wheat,#ff\n", "line 2: color"),
        ("l.csv", "code,name,color\n1,Wheat,#aabbcc\n,Rye,#aabbcd\n", "line 3: code"),
        ("l.csv", "code,name,colour\n1,Wheat,#aabbcc\n", "did you mean 'colour'"),
        ("l.csv", "code,name\n1,Wheat\n", "'color'"),
        ("l.csv", "1,Wheat,#aabbcc\n2,Rye,#aabbcd\n", "'code'"),
        ("l.csv", "code,name,color\n1,Wheat,#aabbcc\n1.0,Rye,#aabbcd\n", "'1' twice"),
        ("l.csv", "code,name,color\n1,Wheat,#aabbcc\n2,Wheat,#aabbcd\n", "'Wheat'"),
        ("l.csv", "code,name,color\n1,Wheat, winter,#aabbcc\n", "line 2"),
        ("l.csv", "code,name,color,scored\n1,Wheat,#aabbcc,perhaps\n", "scored"),
        ("l.csv", "", "empty"),
        ("l.csv", "code,name,color\n", "0 of them"),
    ],
)
def test_a_file_that_is_not_a_legend_is_refused_with_the_wrong_key(
    tmp_path: Path, name: str, content: str, fact: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(LabelError) as caught:
        Legend.read(path)
    assert fact in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_legend_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "legend.csv"
    path.write_text("code,name,color\n1,Bl\u00e9,#aabbcc\n", encoding="latin-1")
    with pytest.raises(LabelError) as caught:
        Legend.read(path)
    assert caught.value.facts["line"] == 2


def test_a_label_that_is_a_name_is_refused_with_its_code() -> None:
    with pytest.raises(LabelError) as caught:
        CROPS.number("Winter wheat")
    assert "1110 = Winter wheat" in str(caught.value)


def test_an_absent_legend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"legend\.json"):
        Legend.read(tmp_path / "legend.json")
