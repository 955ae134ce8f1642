"""Levels of a legend's hierarchy: the groups into which its classes are merged, so that scores are stated there too.

The classes above a class are those of its `parent`, and of the parent's parent where the parent is itself a class of
the legend; or, if the legend says whose codes it has (`hierarchy`), those of that published legend.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agrifm.codes import listed
from agrifm.errors import LabelError
from agrifm.legend import Legend
from agrifm.samples.legends.nomenclature import groups_at, read_nomenclature

MOST_LEVELS = 10
"""Steps that are followed upwards at most, so that a circle of parents ends."""


@dataclass(frozen=True)
class Level:
    """One level of a hierarchy."""

    name: str
    """Such as "1 level up", or "hcat3, level 2" (0 = the broadest)."""
    groups: tuple[str, ...]
    """(classes,), code of the group of each class."""
    names: dict[str, str]
    """Name of each group by its code."""
    alone: tuple[str, ...]
    """Codes of the classes without any class above them; each is a group by itself."""

    def about(self, codes: Sequence[str]) -> dict[str, Any]:
        """Return what is said of the level, as JSON.

        Args:
            codes: of the classes, in the order of `groups`.
        """
        members: dict[str, list[str]] = {group: [] for group in self.groups}
        for code, group in zip(codes, self.groups, strict=True):
            members[group].append(code)
        return {
            "level": self.name,
            "groups": [{"code": group, "name": self.names[group], "classes": own} for group, own in members.items()],
            "without_parent": list(self.alone),
        }


def levels_of(legend: Legend, codes: Sequence[str] | None = None) -> tuple[Level, ...]:
    """Return the levels at which classes of a legend are merged, from the finest; none without a hierarchy.

    A level at which nothing is merged, or everything is one group, is left out, and so is one that is like the level
    before.

    Args:
        codes: classes to group, also such as the legend lacks; by default those of the legend.
    """
    wanted = legend.codes if codes is None else tuple(codes)
    names = {entry.code: entry.name for entry in legend.classes}
    found = _of_parents(legend, wanted) if legend.hierarchy is None else _published(legend.hierarchy, wanted, names)
    levels: list[Level] = []
    for level in found:
        merges = 1 < len(set(level.groups)) < len(wanted)
        if merges and (not levels or level.groups != levels[-1].groups):
            levels.append(level)
    return tuple(levels)


def _of_parents(legend: Legend, codes: Sequence[str]) -> list[Level]:
    """Levels of the parents that the legend states, 1 step up, 2 steps up and so on."""
    parents = {entry.code: entry.parent for entry in legend.classes if entry.parent}
    names = {entry.code: entry.name for entry in legend.classes}
    alone = tuple(code for code in codes if code not in parents)
    levels, groups = [], tuple(codes)
    for step in range(1, MOST_LEVELS + 1):
        above = tuple(parents.get(group) or group for group in groups)
        if above == groups:
            break
        groups = above
        title = f"{step} level{'s' if step > 1 else ''} up"
        levels.append(Level(title, groups, {group: names.get(group, group) for group in groups}, alone))
    return levels


def _published(key: str, codes: Sequence[str], names: dict[str, str]) -> list[Level]:
    """Levels of a published legend, from the finest."""
    legend = read_nomenclature(key)
    depth = max((len(list(legend.ancestors(code))) for code in codes), default=0)
    alone = tuple(code for code in codes if legend.find(code) is None)
    levels = []
    for level in range(depth - 2, -1, -1):
        groups = groups_at(codes, legend, level)
        titles = {group: entry.name if (entry := legend.find(group)) else names.get(group, group) for group in groups}
        levels.append(Level(f"{key}, level {level}", groups, titles, alone))
    return levels


def level_notes(legend: Legend) -> list[str]:
    """Return a note on the classes that have no class above them, if the legend has a hierarchy."""
    levels = levels_of(legend)
    if not levels or not levels[0].alone:
        return []
    return [
        f"no class above {listed(levels[0].alone)} in the legend's hierarchy: at its levels each is a group by itself"
    ]


def with_hierarchy(legend: Legend, key: str | None, about: str) -> Legend:
    """Return the legend with the published legend whose codes it has.

    Raises:
        LabelError: the published legend is unknown, or has none of the codes.
    """
    if key is None:
        return legend
    published = read_nomenclature(key)
    if not any(published.find(code) for code in legend.codes):
        raise LabelError(
            f"{about}: none of the codes ({listed(legend.codes)}) is one of '{key}' ({published.about.title}); correct "
            "`hierarchy` under [labels]",
            hierarchy=key,
        )
    return legend.model_copy(update={"hierarchy": key})
