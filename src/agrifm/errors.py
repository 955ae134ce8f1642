"""Errors that a user can cause: what was being done, what was found, what would fix it.

The command line prints the message and exits with code 2. What only a bug can cause is an `assert`.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import find_spec


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


class OutputError(AgriFMError, OSError):
    """Nothing could be written: the disk is full, or the directory holds files that agrifm did not write."""


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
