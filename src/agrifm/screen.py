"""What reaches the screen: agrifm's own lines and notes, in any encoding, also when nobody reads them any more."""

import errno
import logging
import os
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from agrifm.errors import Note

_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text after them."""


class _Stream:
    """A text stream that writes what its encoding lacks as `\\xe9`, and goes silent when its reader has gone."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        with self._surviving():
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        with self._surviving():
            self._stream.flush()

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EINVAL):  # Windows reports a closed pipe as EINVAL
                raise
            # What is still in the buffer would fail again when Python ends.
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


@contextmanager
def screen(debug: bool) -> Iterator[None]:
    """Standard output and error survive a closed pipe and a narrow encoding; libraries stay silent.

    Args:
        debug: show the warnings and logs of libraries too. Python's own switches (`-W`, PYTHONWARNINGS) do so as well.
    """
    usual, hook = (sys.stdout, sys.stderr), sys.unraisablehook
    root, silence = logging.getLogger(), logging.NullHandler()
    sys.stdout, sys.stderr = (stream and _Stream(stream) for stream in usual)
    try:
        with warnings.catch_warnings():
            if not (debug or sys.warnoptions):
                root.addHandler(silence)  # without any handler, Python writes warnings in logs to the screen
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", Note)
                warnings.showwarning = _show_note
                sys.unraisablehook = lambda _: None  # of a library's object that was half made when it failed
            yield
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
    finally:
        root.removeHandler(silence)
        sys.stdout, sys.stderr = usual
        sys.unraisablehook = hook


def _show_note(message: Warning | str, *_: object, **__: object) -> None:
    print(f"agrifm: {printable(str(message))}", file=sys.stderr)


def printable(text: str) -> str:
    """Escape characters that control a terminal (`\\x1b`), except ends of lines and tabs."""
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if char in _DIRECTIONS or (char not in "\n\t" and unicodedata.category(char) == "Cc")
        else char
        for char in text
    )
