"""The screen: closed pipes, narrow encodings and control characters do not end a command; libraries are silent."""

import io
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from agrifm.errors import Note
from agrifm.screen import printable, screen


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437", "utf-8"])
def test_a_narrow_encoding_escapes_what_it_lacks(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    with screen(debug=False):
        print("area: Кукуруза 42 ha")
    written = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]  # it is the BytesIO above
    assert written.startswith("area: ")
    assert written.endswith(" 42 ha\n")
    assert ("Кукуруза" in written) == (encoding == "utf-8")


def test_a_lone_surrogate_of_a_file_name_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with screen(debug=False):
        print(os.fsdecode(b"caf\xe9.tif"))
    assert capsys.readouterr().out == "caf\\udce9.tif\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("streams", ["out", "both"])
def test_a_closed_pipe_keeps_the_exit_code(unbuffered: str, streams: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "agrifm", "status", "--project", str(tmp_path)],
        stdout=writer,
        stderr=writer if streams == "both" else subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        check=False,
    )
    os.close(writer)
    assert done.returncode == 0
    assert not done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_output_that_is_lost_is_said(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "agrifm", "status", "--project", str(tmp_path)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_only_our_own_notes_are_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "warnoptions", [])
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with screen(debug=False):
        for category in (UserWarning, DeprecationWarning, RuntimeWarning, FutureWarning):
            warnings.warn("GeoSeries.notna", category, stacklevel=1)
        logging.getLogger("rasterio._env").warning("CPLE_AppDefined")
        warnings.warn("float16 is slow here", Note, stacklevel=1)
    assert capsys.readouterr().err == "agrifm: float16 is slow here\n"


def test_debug_shows_what_libraries_say(monkeypatch: pytest.MonkeyPatch) -> None:
    with screen(debug=True), pytest.warns(FutureWarning):
        warnings.warn("GeoSeries.notna", FutureWarning, stacklevel=1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("a\rb\x00c\x7fd\x9be", "a\\rb\\x00c\\x7fd\\x9be"),
        ("gpj.\u202efit", "gpj.\\u202efit"),
        ("two\nlines\tof 小麦 é قمح", "two\nlines\tof 小麦 é قمح"),
    ],
)
def test_a_name_cannot_control_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


class HalfMade:
    def __del__(self) -> None:
        raise AttributeError("_writable")


@pytest.mark.parametrize("debug", [False, True])
def test_what_a_library_cannot_tidy_up_is_shown_to_developers_only(
    debug: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)
    with screen(debug=debug):
        HalfMade()
    assert bool(shown) == debug
    HalfMade()
    assert len(shown) == 1 + debug
