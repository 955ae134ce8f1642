"""Classic models by name, and the one function that fits any of them on rows of features.

Every model is a module with a function that fits it, and an object with `probabilities` and `state`. No module needs
PyTorch; scikit-learn and LightGBM are imported when a model is fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.choice import CANDIDATES, fit_choice
from agrifm.classic.features import PARTS, Columns, Part
from agrifm.classic.numbers import Classes, Rows
from agrifm.classic.singles import SINGLES, Member, fit_single
from agrifm.classic.training_rows import Shape, TrainingRows
from agrifm.errors import LabelError, ModelError, did_you_mean, require_installed

CHOICE = "classic"
"""Name of the average of the better half of the candidates."""
RECIPE = 2
"""Of how classic models are fitted; a change trains those of a project anew."""
CLASSICS: dict[str, tuple[str, ...]] = {CHOICE: CANDIDATES, **{name: (name,) for name in SINGLES}}
"""Classic models by name, each with the single models that are tried for it."""


@dataclass(frozen=True)
class ClassicRows:
    """A fitted classic model of rows: one single model, or several whose probabilities are averaged."""

    name: str
    classes: Classes
    """(classes,), class numbers of the columns of `probabilities`, ascending."""
    members: tuple[Member, ...]
    tried: tuple[dict[str, Any], ...] = ()
    """What was tried on inner blocks, with its macro F1 there; empty for a single model."""

    @property
    def member_names(self) -> tuple[str, ...]:
        """Names of the single models."""
        return tuple(member.name for member in self.members)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts of the rows that any member reads."""
        return tuple({part: None for member in self.members for part in member.parts})

    def probabilities(self, rows: Rows) -> NDArray[np.float32]:
        """Return probabilities (N, classes) of rows (N, features)."""
        if not len(rows):
            return np.zeros((0, len(self.classes)), np.float32)
        total = self.members[0].probabilities(rows)
        for member in self.members[1:]:
            total = total + member.probabilities(rows)
        return total / np.float32(len(self.members))

    def reading(self, columns: Columns) -> "ClassicRows":
        """Return the same model for rows of other columns that have its parts."""
        return replace(self, members=tuple(member.reading(columns) for member in self.members))

    def state(self) -> dict[str, Any]:
        """Return what `restored_classic` restores it from."""
        members = [
            {"name": member.name, "parts": list(member.parts), "state": member.model.state()} for member in self.members
        ]
        return {"classes": self.classes, "members": members}


def fit_classic(
    name: str,
    rows: Rows,
    classes: Classes,
    *,
    weights: NDArray[np.floating] | None = None,
    groups: NDArray[np.integer] | None = None,
    seed: int = 0,
    columns: Columns | None = None,
    members: Sequence[str] | None = None,
) -> ClassicRows:
    """Fit a classic model on rows of features.

    Args:
        name: a key of `CLASSICS`.
        rows: (N, features) float32, finite.
        classes: (N,), class numbers.
        weights: (N,), above 0, of rows; None = all alike. Classes count alike in every model but the random forest.
        groups: (N,), blocks: inner divisions keep the rows of a block together; None = every row by itself.
        columns: what the columns of `rows` are, so that each model reads its parts and knows the series; None = every
            model reads all columns, and MiniRocket takes a row for a series of one band.
        members: of `classic`, the models to average; None = they are chosen on inner folds.

    Raises:
        ModelError: the name is unknown, or a package is not installed.
        LabelError: there are fewer than two classes.
    """
    require_classic(name)
    known, numbers = np.unique(classes, return_inverse=True)
    if len(known) < 2:
        raise LabelError(
            f"training {name}: there are valid labels of {len(known)} class{'' if len(known) == 1 else 'es'} only; "
            "label at least two classes, or widen the season",
            classes=len(known),
        )
    training = TrainingRows(
        rows,
        numbers.astype(np.uint8),
        np.ones(len(rows)) if weights is None else weights / np.mean(weights),
        np.arange(len(rows)) if groups is None else groups.astype(np.int64),
        columns,
    )
    if name == CHOICE and members is None:
        chosen, tried = fit_choice(training, seed)
        return ClassicRows(name, known, chosen, tuple(tried))
    return ClassicRows(name, known, tuple(fit_single(one, training, seed) for one in members or (name,)))


def candidate_parts(name: str) -> tuple[Part, ...]:
    """Return the parts of rows that the candidates for a classic model read."""
    wanted = {part for single in CLASSICS[name] for part in SINGLES[single].parts}
    return tuple(part for part in PARTS if part in wanted)


def require_classic(name: str) -> None:
    """Refuse an unknown name, and one whose packages are not installed.

    Raises:
        ModelError: see above.
    """
    if name not in CLASSICS:
        raise ModelError(
            f"training: unknown classic model '{name}'{did_you_mean(name, CLASSICS)} (known: {', '.join(CLASSICS)})",
            name=name,
        )
    for single in CLASSICS[name]:
        require_installed(f"training {name}", "classic", *SINGLES[single].modules)


def restored_classic(name: str, state: dict[str, Any], columns: Columns, classes: int) -> ClassicRows:
    """Return a model from its stored state, after checks.

    Args:
        columns: of the rows that it will receive.
        classes: number of classes of its legend.

    Raises:
        ValueError, KeyError, TypeError: the state is not one.
    """
    known, stored = known_classes(state["classes"], classes), state["members"]
    if name not in CLASSICS or not isinstance(stored, list) or not 1 <= len(stored) <= len(SINGLES):
        raise ValueError("it has no members")
    return ClassicRows(name, known, tuple(_restored_member(entry, columns, len(known)) for entry in stored))


def known_classes(known: Any, classes: int) -> Classes:
    """Return the class numbers of a stored model, ascending; raises ValueError if they are not those of its legend."""
    if not isinstance(known, np.ndarray) or known.dtype != np.uint8 or known.ndim != 1 or len(known) < 2:
        raise ValueError("its classes are not class numbers")
    if (np.diff(known.astype(int)) <= 0).any() or known[-1] >= classes:
        raise ValueError(f"its {len(known)} classes do not fit the {classes} classes of its legend")
    return known


def _restored_member(entry: dict[str, Any], columns: Columns, classes: int) -> Member:
    name, parts = entry["name"], tuple(part for part in columns.parts if part in entry["parts"])
    if name not in SINGLES or len(parts) != len(entry["parts"]):
        raise ValueError("a member is of an unknown kind, or reads parts of rows that are not made")
    chosen = columns.chosen(parts)
    shape = Shape(len(chosen), classes, replace(columns, parts=parts))
    return Member(name, SINGLES[name].restored(entry["state"], shape), parts, chosen)
