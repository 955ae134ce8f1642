"""Errors that a user can cause: what was being done, what was found, what would fix it.

The command line prints the sentence and exits with code 2. What only a bug can cause is an `assert`.
"""


class AgriFMError(Exception):
    """The request was wrong or its input is unusable; the message is one sentence for the user."""

    def __str__(self) -> str:  # KeyError would quote the sentence
        return str(self.args[0]) if self.args else ""


class ConfigError(AgriFMError, ValueError):
    """The project file or an argument cannot be used."""


class SceneError(AgriFMError, ValueError):
    """A catalogue, a scene or one of its assets cannot be used."""


class CubeError(AgriFMError, ValueError):
    """A cube cannot be built, or lacks what was asked of it."""


class LabelError(AgriFMError, ValueError):
    """Labels or a legend cannot be used."""


class ModelError(AgriFMError, ValueError):
    """A model file cannot be used, or does not fit what it meets."""


class MapError(AgriFMError, ValueError):
    """A map cannot be made or read."""


class AssessmentError(AgriFMError, ValueError):
    """Reference data do not allow the estimate that was asked for."""


class OutputError(AgriFMError, OSError):
    """Nothing could be written: a full disk, or a directory that is not ours."""
