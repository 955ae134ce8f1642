"""Legends: codes as text, files, colours, and the limit of 255 classes."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrifm.errors import LabelError
from agrifm.legend import OTHER, PALETTE, Legend, code_of, legend_json

CROPS = Legend.of(["1110", "1121", OTHER], {"1110": "Winter wheat"})


@pytest.mark.parametrize("code", [1110, 1110.0, "1110", "1110.0", " 1110 ", np.int16(1110), np.float32(1110)])
def test_a_code_is_the_same_as_number_and_as_text(code: object) -> None:
    assert code_of(code) == "1110"
    assert CROPS.number(code) == 0


@pytest.mark.parametrize(
    ("value", "code"), [("maize", "maize"), (" winter wheat ", "winter wheat"), (1.5, "1.5"), ("-1", "-1")]
)
def test_other_codes_stay_as_they_are(value: object, code: str) -> None:
    assert code_of(value) == code


@given(st.integers())
def test_a_whole_number_of_any_length_keeps_all_its_digits(number: int) -> None:
    assert code_of(number) == code_of(str(number)) == str(number)


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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_csv_legend_is_read_with_its_optional_columns(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "legend.CSV"
    path.write_text(
        "code,name,color,scored,parent\n01,Blé,#aabbcc,,cereals\nwater,Water,#112233,false,\n", encoding=encoding
    )
    legend = Legend.read(path)
    assert legend.codes == ("1", "water")
    assert legend.number("01") == 0
    assert [(entry.name, entry.scored, entry.parent) for entry in legend.classes] == [
        ("Blé", True, "cereals"),
        ("Water", False, None),
    ]


@pytest.mark.parametrize(
    ("name", "content", "fact"),
    [
        ("l.json", "[]", "object"),
        ("l.json", '{"classes": []}', "0 of them"),
        ("l.json", '{"classes": [{"code": null, "name": "a", "color": "#aabbcc"}]}', "classes.0.code"),
        ("l.csv", "code,name,color\n1,Wheat,yellow\n", "classes.0.color"),
        ("l.csv", "code,name,color,size\n1,Wheat,#aabbcc,3\n", "classes.0.size"),
        ("l.csv", "code,name\n1,Wheat\n", "classes.0.color"),
        ("l.csv", "code,name,color\n1,Wheat,#aabbcc\n1.0,Rye,#aabbcd\n", "'1' twice"),
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


def test_an_absent_legend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"legend\.json"):
        Legend.read(tmp_path / "legend.json")
