"""Errors: their facts survive pickling and formatting, and a missing package is named with its extra."""

import pickle
import sys

import pytest

from agrifm.errors import (
    AgriFMError,
    CubeError,
    LabelError,
    OutputError,
    cause,
    did_you_mean,
    doing,
    require_installed,
)


@pytest.mark.parametrize("kind", [AgriFMError, CubeError, OutputError])
def test_an_error_keeps_its_sentence_and_facts_in_another_process(kind: type[AgriFMError]) -> None:
    error = pickle.loads(pickle.dumps(kind("reading: no band 'B8A'", band="B8A")))
    assert type(error) is kind
    assert str(error) == "reading: no band 'B8A'"
    assert error.facts == {"band": "B8A"}


def test_the_nearest_known_name_is_suggested() -> None:
    assert "'sentinel-2'" in did_you_mean("sentinel2", ["landsat", "sentinel-2"])
    assert did_you_mean("x", ["sentinel-2"], cutoff=0.4) == ""
    assert did_you_mean("x", []) == ""


def test_an_absent_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    require_installed("drawing", "report", "numpy")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(LabelError, match=r"agrifm\[report\]") as error:
        require_installed("drawing", "report", "numpy", "jinja2", kind=LabelError)
    assert error.value.facts == {"package": "jinja2"}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "not enough memory"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply; fetch it again"),
        (KeyError("season"), "'season' is missing; fetch it again"),
        (PermissionError(13, "Permission denied", "cube.zarr"), "Permission denied 'cube.zarr'; check"),
        (FileNotFoundError(2, "No such file or directory", b"a.tif"), "'a.tif'; fetch it again"),
        (ValueError("two\n lines"), "two lines; fetch it again"),
        (IndexError(), "IndexError; fetch it again"),
    ],
)
def test_a_cause_is_one_line_with_a_remedy_that_fits_it(error: Exception, words: str) -> None:
    with (
        pytest.raises(CubeError) as caught,
        doing("opening the cube c.zarr", CubeError, "fetch it again", path="c.zarr"),
    ):
        raise error
    assert words in str(caught.value)
    assert str(caught.value).startswith("opening the cube c.zarr: ")
    assert "\n" not in str(caught.value)
    assert caught.value.facts == {"path": "c.zarr"}
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a = 1\nname = 'Käse'\n".encode("latin-1"), "line 2"),
        ("a = 1".encode("utf-16"), "UTF-16"),
    ],
)
def test_another_encoding_is_named_with_what_fixes_it(content: bytes, words: str) -> None:
    with pytest.raises(CubeError) as caught, doing("reading a.toml", CubeError):
        content.decode("utf-8-sig")
    assert words in str(caught.value)
    assert "save it as UTF-8" in str(caught.value)


def test_an_error_of_our_own_passes_unchanged() -> None:
    inner = LabelError("reading labels: none")
    with pytest.raises(LabelError) as caught, doing("opening the cube", CubeError):
        raise inner
    assert caught.value is inner


def test_a_long_cause_is_cut() -> None:
    assert len(cause(ValueError("x" * 10**6))) < 400
