"""Items and files that cannot become scenes, and scenes that cannot be read: all are named at once, or left out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agrifm.errors import SceneError
from agrifm.imagery_config import MissingChoice

if TYPE_CHECKING:
    from agrifm.scene.scene import Scene

HOPELESS = 8
"""Failed scenes after which no more are tried if none was read: the server is down, or the credentials are wrong."""
MAX_NAMED = 20
"""Failed scenes that a message names."""


@dataclass
class Unusable:
    """What a search could not make scenes of."""

    errors: dict[str, SceneError] = field(default_factory=dict)
    """By the id of the scene, or the name of the item or the file."""
    sensors: set[str] = field(default_factory=set)
    """Sensors of which something is unusable, as far as they are known."""

    @property
    def reasons(self) -> dict[str, str]:
        """Why each of them is unusable."""
        return {name: str(error) for name, error in self.errors.items()}

    def add(self, name: str, error: SceneError, sensor: str | None = None) -> None:
        """Note one more; another one of the same name is kept as well."""
        same = sum(one == name or one.startswith(f"{name} (") for one in self.errors)
        self.errors[f"{name} ({same + 1})" if same else name] = error
        self.sensors |= set() if sensor is None else {sensor}

    def extend(self, other: "Unusable") -> None:
        """Add those of another search."""
        for name, error in other.errors.items():
            self.add(name, error)
        self.sensors |= other.sensors

    def require_rest(self, scenes: Iterable["Scene"], missing: MissingChoice) -> None:
        """Refuse to go on with the other scenes, unless that was asked for and each sensor has some.

        Raises:
            SceneError: it names all that are unusable.
        """
        left = {scene.product.sensor for scene in scenes}
        if self.errors and not (missing == "skip" and left and self.sensors <= left):
            raise one_error(self.errors)


def one_error(errors: Mapping[str, SceneError]) -> SceneError:
    """The only error, or one that names all."""
    if len(errors) == 1:
        return next(iter(errors.values()))
    return failure_of({name: str(error) for name, error in errors.items()})


def failure_of(failed: Mapping[str, str]) -> SceneError:
    """The error that names all scenes that failed."""
    reasons = list(failed.values())
    if len(failed) == 1:
        return SceneError(reasons[0], failed=dict(failed))
    named = "; ".join(reasons[:MAX_NAMED])
    more = f"; and {len(failed) - MAX_NAMED} more" if len(failed) > MAX_NAMED else ""
    return SceneError(
        f'{len(failed)} scenes failed: {named}{more}; run it again to ask for these only, or set missing = "skip" in '
        "[imagery] to leave them out",
        failed=dict(failed),
    )
