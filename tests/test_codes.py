"""Codes: which labels are the same class, which are unlabelled, which are refused, and which are pointed out."""

import datetime
from collections import Counter
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrifm.codes import alike_notes, code_of, read_codes
from agrifm.errors import LabelError


@pytest.mark.parametrize(
    "label",
    [
        11,
        11.0,
        "11",
        "11.0",
        "11.00",
        " 11\t",
        "\ufeff11",
        "11\xa0",
        "\u200b11",
        np.int16(11),
        np.float32(11),
        np.uint64(11),
        Decimal("11.00"),
        np.str_("11"),
    ],
)
def test_a_whole_number_is_one_code_however_it_is_written(label: object) -> None:
    assert code_of(label) == "11"


@pytest.mark.parametrize(
    "label",
    [
        "1_1",
        "011",
        "1.1E1",
        "1e1",
        "+11",
        "١١",
        "１１",
        "0xB",
        "11,0",
        "1 1",
        "11.5",
        "11.",
        ".11",
        "-0",
        "-011",
        "--11",
        "11a",
        "¹¹",
        "Infinity",
        "eleven",
        "True",
        "2024-05-01",
        "½",
    ],
)
def test_any_other_text_stays_a_code_of_its_own(label: str) -> None:
    assert code_of(label) == label


@given(st.lists(st.text("0123456789+-_.eExX \u0661", max_size=6), min_size=2, max_size=2))
def test_two_texts_are_one_code_only_if_they_are_one_whole_number(texts: list[str]) -> None:
    first, second = (text.strip() for text in texts)
    if code_of(first) == code_of(second) and first != second:
        assert {text.split(".")[0] for text in (first, second)} == {code_of(first)}
        assert not first.partition(".")[2].strip("0") + second.partition(".")[2].strip("0")


@given(st.integers())
def test_a_whole_number_of_any_length_keeps_all_its_digits(number: int) -> None:
    assert code_of(number) == code_of(str(number)) == str(number)


@given(st.one_of(st.text(), st.floats(-1e6, 1e6), st.integers(), st.none()))
def test_the_code_of_a_code_is_the_code(label: object) -> None:
    assert code_of(code_of(label)) == code_of(label)


@pytest.mark.parametrize(("label", "code"), [(1.5, "1.5"), (np.float32(0.1), "0.1"), (-3.0, "-3"), (-0.0, "0")])
def test_numbers_with_a_fraction_stay_as_they_are(label: object, code: str) -> None:
    assert code_of(label) == code


def test_letters_are_compared_in_their_composed_form() -> None:
    assert code_of("ble\u0301") == code_of("bl\u00e9") == "blé"
    assert len({code_of(text) for text in ("Mais", "mais", "Maïs", "ma is", "mais ")}) == 4


@pytest.mark.parametrize("label", [2.0**53, 1e300, np.float32(2**24), np.float32(20241101), np.float16(2048)])
def test_a_float_that_cannot_hold_the_code_is_refused(label: object) -> None:
    with pytest.raises(LabelError) as caught:
        code_of(label)
    assert caught.value.facts["value"] == label


def test_the_largest_exact_floats_are_codes() -> None:
    assert code_of(2.0**53 - 1) == "9007199254740991"
    assert code_of(np.float32(2**24 - 1)) == "16777215"


@pytest.mark.parametrize(
    "label",
    [
        b"11",
        datetime.date(2024, 5, 1),
        datetime.datetime(2024, 5, 1),
        pd.Timestamp("2024-05-01"),
        [11],
        {"code": 11},
        np.datetime64("2024-05-01"),
        1j,
        float("inf"),
        np.array([11]),
    ],
)
def test_what_is_neither_text_nor_a_number_is_refused(label: object) -> None:
    with pytest.raises(LabelError):
        code_of(label)
    with pytest.raises(LabelError) as caught:
        read_codes(["11", label])
    assert caught.value.facts["row"] == 2


MISSING_VALUES = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), Decimal("NaN")]
BLANKS = ["", " ", "\t\n", "\u00a0", "\u3000", "\ufeff", "\u200b"]
MISSING_TEXTS = ["nan", "NaN", "None", "NONE", "null", "NULL", "NA", "N/A", "n/a", "<NA>", "NaT", "#N/A", " nan "]


@pytest.mark.parametrize("label", [*MISSING_VALUES, *BLANKS])
def test_a_missing_value_is_unlabelled_and_needs_no_note(label: object) -> None:
    assert read_codes(["maize", label]) == (["maize", ""], [])


@pytest.mark.parametrize("label", MISSING_TEXTS)
def test_a_text_for_missing_is_unlabelled_and_counted(label: str) -> None:
    codes, notes = read_codes([label, "maize", label])
    assert codes == ["", "maize", ""]
    assert len(notes) == 1
    assert f"2 labels are {label.strip()!r} (2)" in notes[0]


@pytest.mark.parametrize("label", MISSING_TEXTS)
def test_a_text_for_missing_that_a_legend_lists_is_a_class(label: str) -> None:
    codes, notes = read_codes([label, "maize", None], known=("maize", label.strip()))
    assert codes == [label.strip(), "maize", ""]
    assert len(notes) == 1
    assert "legend lists" in notes[0]


def test_a_listed_text_makes_no_class_of_its_neighbours() -> None:
    assert read_codes(["None", "NONE", "nan"], known=("None",))[0] == ["None", "", ""]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([11, None, 12], dtype="float64"),
        pd.Series([11, None, 12], dtype="Int64"),
        pd.Series([11, None, 12], dtype="float32"),
        pd.Series(["11", None, "12"], dtype="string"),
        pd.Series(["11", None, "12"]).astype("category"),
        pd.Series([11, "nan", "12.0"], dtype="object"),
        pd.Series([11, None, 12], dtype="int64[pyarrow]"),
    ],
    ids=str,
)
def test_a_column_of_any_type_has_the_same_codes(column: "pd.Series[object]") -> None:
    assert read_codes(column)[0] == ["11", "", "12"]


def test_large_codes_keep_their_digits_beside_missing_ones() -> None:
    large = 2**53 + 1
    assert read_codes(pd.Series([large, None], dtype="Int64"))[0] == ["9007199254740993", ""]
    with pytest.raises(LabelError):
        read_codes(pd.Series([large, None], dtype="float64"))
    with pytest.raises(LabelError):
        read_codes(pd.Series([20241101, None], dtype="float32"))


@pytest.mark.parametrize(
    "pair",
    [
        ("Maize", "maize"),
        ("winter wheat", "winter  wheat"),
        ("winter wheat", "winterwheat"),
        ("10", "010"),
        ("blé", "ble"),
        ("1_1", "11"),
        ("1E2", "100"),
        ("+5", "5"),
        ("1.50", "1.5"),
        ("A01", "A1"),
        ("٣", "3"),
        ("winter wheat", "winter\xa0wheat"),
        ("winter_wheat", "winter wheat"),
        ("ﬁbre", "fibre"),
        ("STRASSE", "Straße"),
    ],
)
def test_codes_that_look_alike_stay_apart_and_are_noted(pair: tuple[str, str]) -> None:
    codes, notes = read_codes([pair[0], pair[1], pair[1], "else"])
    assert codes == [pair[0], pair[1], pair[1], "else"]
    assert len(notes) == 1
    assert f"{pair[1]!r} (2) and {pair[0]!r} (1)" in notes[0]


def test_texts_that_are_the_same_code_are_noted() -> None:
    codes, notes = read_codes(["11", "11.0", "11.0"])
    assert codes == ["11"] * 3
    assert len(notes) == 1
    assert "'11.0' (2) and '11' (1)" in notes[0]
    assert read_codes([11, 11.0, "11.0", None]) == (["11", "11", "11", ""], [])


def test_different_codes_have_no_note() -> None:
    assert (
        alike_notes(Counter(["1", "2", "-1", "10", "100", "wheat", "winter wheat", "1.01", "1.1", "A1", "A10"])) == []
    )
