"""Numbers of public sets as values, draws of places per class, and memory."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrifm.errors import LabelError
from agrifm.samples.public.eurocropsml import SENTINEL_2
from agrifm.samples.public.set_series import (
    PlaceSeries,
    choose_bands,
    decode,
    draw_places,
    read_all,
    renumber,
    sensor_input,
    stack_series,
)
from agrifm.sensors import find_sensor

PAIR = ("B04", "B08")


def series_of(*days: int) -> PlaceSeries:
    """A series whose values are its days divided by 100."""
    values = np.array([[day / 100, day / 50] for day in days], np.float32).reshape(-1, 2)
    return PlaceSeries(values, np.ones(len(days), bool), np.array(days, np.int32))


def test_series_are_sorted_and_padded_with_their_last_date() -> None:
    series = stack_series(sensor_input(SENTINEL_2, PAIR), [series_of(30, 10, 10), series_of(), series_of(20)], "test")
    assert series.date.tolist() == [[10, 10, 30], [0, 0, 0], [20, 20, 20]]
    assert series.length.tolist() == [3, 0, 1]
    assert series.valid.tolist() == [[True] * 3, [False] * 3, [True, False, False]]
    np.testing.assert_allclose(series.values[0, :, 0], [0.1, 0.1, 0.3], rtol=1e-6)
    assert not series.values[2, 1:].any()


def test_an_observation_is_valid_if_every_band_is() -> None:
    stored = np.array([[500.0, 3000.0], [-999.0, 3000.0], [np.nan, 3000.0], [500.0, 30000.0], [0.0, 0.0]])
    values, valid = decode(stored, SENTINEL_2)
    assert valid.tolist() == [True, False, False, False, True]
    np.testing.assert_allclose(values[0], [0.05, 0.3], rtol=1e-6)
    assert not values[1:].any()


def test_bands_are_those_of_the_sensor_or_those_that_are_named() -> None:
    assert choose_bands(SENTINEL_2, (), "test") == find_sensor("sentinel-2").band_names
    assert choose_bands(SENTINEL_2, ("B10", "B02"), "test") == ("B10", "B02")
    with pytest.raises(LabelError) as caught:
        choose_bands(SENTINEL_2, ("B15",), "test")
    assert caught.value.facts["band"] == "B15"


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(0, 10), st.integers(0, 5))
def test_a_draw_keeps_all_or_the_limit_of_each_class(codes: list[str], limit: int, seed: int) -> None:
    kept = draw_places(codes, limit, seed)
    assert sorted(set(kept.tolist())) == kept.tolist()
    for code in set(codes):
        assert sum(codes[index] == code for index in kept) == min(limit, codes.count(code))
    # what is drawn of a class does not depend on the other classes
    alone = draw_places([code for code in codes if code == "a"], limit, seed)
    members = [index for index, code in enumerate(codes) if code == "a"]
    assert [members[index] for index in alone] == [index for index in kept if codes[index] == "a"]


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=20, unique=True), st.lists(st.integers(-5, 1005), max_size=30)
)
def test_class_numbers_are_positions_in_the_list_of_codes(known: list[int], stored: list[int]) -> None:
    expected = [known.index(code) if code in known else 255 for code in stored]
    assert renumber(np.array(stored, np.int64), known).tolist() == expected


def test_a_set_beyond_the_free_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=50))
    with pytest.raises(LabelError) as caught:
        stack_series(sensor_input(SENTINEL_2, PAIR), [series_of(1, 2), series_of(3)], "test")
    # 2 places of 2 dates: two float32, an int32 and a bool each
    assert (caught.value.facts["needed"], caught.value.facts["free"]) == (52, 50)


def length_of(path: Path) -> int:
    """Number of characters in a file."""
    return len(path.read_text())


def test_files_are_read_in_order_by_threads_and_by_processes(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(150)]
    for number, path in enumerate(paths):
        path.write_text("x" * number)
    assert read_all(length_of, paths, "files") == list(range(150))
    with ProcessPoolExecutor(1) as executor:
        assert read_all(len, ["a", "bb", "ccc"], "texts", executor) == [1, 2, 3]
