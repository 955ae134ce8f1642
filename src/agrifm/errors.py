"""Errors that a user can cause: what was being done, what was found, what would fix it.

The command line prints the message and exits with code 2. What only a bug can cause is an `assert`.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

LONGEST_CAUSE = 300
"""Characters of the text of a library, or of a value of the user, in a sentence."""


class AgriFMError(Exception):
    """The request was wrong or its input is unusable; the message is one sentence for the user.

    Args:
        message: what was being done, what was found, what would fix it.
        facts: the values in the message by name (`band="B8A"`, `path=…`), for programs that handle the error.
    """

    def __init__(self, message: str = "", **facts: object) -> None:
        super().__init__(message)
        self.facts = facts

    def __str__(self) -> str:  # KeyError would quote the sentence
        return str(self.args[0]) if self.args else ""


class ConfigError(AgriFMError, ValueError):
    """The project file or an argument cannot be used."""


class SceneError(AgriFMError, ValueError):
    """A catalogue, a scene or one of its assets cannot be used."""


class CubeError(AgriFMError, ValueError):
    """A cube cannot be built, or does not contain what was requested."""


class LabelError(AgriFMError, ValueError):
    """Labels or a legend cannot be used."""


class ModelError(AgriFMError, ValueError):
    """A model file cannot be used, or does not match the data."""


class MapError(AgriFMError, ValueError):
    """A map cannot be made or read."""


class AssessmentError(AgriFMError, ValueError):
    """Reference data do not allow the requested estimate."""


class ServeError(AgriFMError, ValueError):
    """A page cannot be served: there is no map, or the address is taken."""


class VectorError(AgriFMError, ValueError):
    """A vector file cannot be used; `agrifm.vectors` raises it anew as the error of whatever was to be read from it."""


class OutputError(AgriFMError, OSError):
    """Nothing could be written: the disk is full, or the directory holds files that agrifm did not write."""


class StoreError(AgriFMError, RuntimeError):
    """An object store does not do what was asked: it does not answer, has no such bucket, or gives no rights."""


class WorkError(AgriFMError, RuntimeError):
    """Units of work failed for reasons that may pass; what was finished is kept, and the same command continues."""


class Note(UserWarning):
    """Something that the user should know and that stops nothing; the command line shows it as a sentence."""


@contextmanager
def doing(what: str, kind: type[AgriFMError], remedy: str = "", **facts: object) -> Iterator[None]:
    """Turn whatever a library raises while a named input is read into one sentence.

    Args:
        what: what is being done and to which file or key, such as "reading the model forest.skops".
        kind: the class of error to raise.
        remedy: what fixes an input that is absent or damaged; other causes, such as a full disk, bring their own.
        facts: see `AgriFMError`.

    Raises:
        AgriFMError: of that kind, for any exception that is not one already.
    """
    try:
        yield
    except AgriFMError:
        raise
    except Exception as error:
        raise kind(f"{what}: {cause(error, remedy)}", **facts) from error


def cause(error: BaseException, remedy: str = "") -> str:
    """The cause of an exception in a few words, and what fixes it."""
    found, fix = _cause(error)
    return "; ".join(part for part in (found, fix or remedy) if part)


def _cause(error: Any) -> tuple[str, str]:
    """The cause in a few words, and what fixes it if that follows from the cause alone."""
    match error:
        case MemoryError():
            return "there is not enough memory", "close other programs, or take less at once"
        case RecursionError():
            return "its content is nested too deeply", ""
        case UnicodeDecodeError():
            line = error.object[: error.start].count(b"\n") + 1
            wide = error.object[:2] in (b"\xff\xfe", b"\xfe\xff")
            return "it is in UTF-16" if wide else f"line {line} is not UTF-8", "save it as UTF-8"
        case PermissionError() | IsADirectoryError() | NotADirectoryError():
            return _os_error(error), "check the path and its permissions"
        case OSError(strerror=str()):
            return _os_error(error), ""
        case KeyError():
            return f"{str(error.args[0])[:LONGEST_CAUSE]!r} is missing" if error.args else "a key is missing", ""
    if type(error).__module__.startswith("pydantic") and hasattr(error, "errors"):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return shortened(f"{where}: {first['msg']}" if where else first["msg"]), ""
    return shortened(" ".join(str(error).split()) or type(error).__name__), ""


def _os_error(error: OSError) -> str:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return " ".join([f"{error.strerror}", *(f"'{name}'" for name in names[:1])])


def shortened(text: str) -> str:
    """A text of at most `LONGEST_CAUSE` characters; the end is left out."""
    return text if len(text) <= LONGEST_CAUSE else f"{text[:LONGEST_CAUSE]}…"


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.0) -> str:
    """The end of a sentence about an unknown name: `; did you mean 'sentinel-2'?`, or nothing.

    Args:
        known: the names that would be accepted.
        cutoff: least similarity of the suggestion, 0 to 1; 0 always suggests the nearest known name.
    """
    by_small_letters = {entry.lower(): entry for entry in known}
    near = get_close_matches(name.lower(), by_small_letters, n=1, cutoff=cutoff)
    return f"; did you mean {by_small_letters[near[0]]!r}?" if near else ""


def require_installed(doing: str, extra: str, *modules: str, kind: type[AgriFMError] = ModelError) -> None:
    """Refuse to begin work that needs an optional package, before any time is spent on it.

    Args:
        doing: what is being done, for the error.
        extra: the extra of agrifm that installs the packages, such as "deep".
        modules: modules that the work imports.
        kind: the class of error to raise.

    Raises:
        AgriFMError: of that kind, for the first module that is not installed.
    """
    for module in modules:
        if find_spec(module) is None:
            raise kind(f"{doing}: {module} is not installed; run pip install 'agrifm[{extra}]'", package=module)
