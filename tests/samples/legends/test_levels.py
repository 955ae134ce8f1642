"""Classes are merged by the parents of a legend, or by the published legend whose codes they have."""

import pytest

from agrifm.errors import LabelError
from agrifm.legend import Legend, LegendClass
from agrifm.samples.legends.levels import level_notes, levels_of, with_hierarchy


def legend(parents: dict[str, str | None]) -> Legend:
    """A legend of these codes and parents."""
    classes = [
        LegendClass(code=code, name=f"the {code}", color="#000000", parent=above) for code, above in parents.items()
    ]
    return Legend(classes=tuple(classes))


GRAINS = legend({"wheat": "cereals", "barley": "cereals", "cereals": "arable", "beet": "arable", "lake": None})


def test_a_legend_without_parents_has_no_levels() -> None:
    assert levels_of(Legend.of(["maize", "wheat"])) == ()
    assert level_notes(Legend.of(["maize", "wheat"])) == []


def test_parents_are_followed_as_far_as_they_are_classes() -> None:
    one, two = levels_of(GRAINS)
    assert (one.name, two.name) == ("1 level up", "2 levels up")
    assert one.groups == ("cereals", "cereals", "arable", "arable", "lake")
    assert two.groups == ("arable", "arable", "arable", "arable", "lake")
    assert one.names == {"cereals": "the cereals", "arable": "arable", "lake": "the lake"}


def test_classes_without_a_parent_are_groups_and_are_said() -> None:
    one, _ = levels_of(GRAINS)
    assert one.about(GRAINS.codes)["without_parent"] == ["lake"]
    assert {"code": "cereals", "name": "the cereals", "classes": ["wheat", "barley"]} in one.about(GRAINS.codes)[
        "groups"
    ]
    (note,) = level_notes(GRAINS)
    assert "lake" in note


def test_a_circle_of_parents_ends() -> None:
    assert levels_of(legend({"a": "b", "b": "a", "c": "b"}))[0].groups == ("b", "a", "b")


def test_a_level_of_one_group_or_of_nothing_merged_is_left_out() -> None:
    assert levels_of(legend({"a": "crop", "b": "crop"})) == ()
    assert levels_of(legend({"a": "x", "b": "y"})) == ()


# HCAT3: winter common wheat, spring common wheat, winter barley, pasture meadow; names of github.com/maja601/EuroCrops
HCAT = ("3301010101", "3301010102", "3301010401", "3302000000", "unknown")


def test_codes_of_a_published_legend_have_its_levels() -> None:
    found = with_hierarchy(Legend.of(HCAT), "hcat3", "testing")
    levels = {level.name: level for level in levels_of(found)}
    assert levels["hcat3, level 3"].groups == ("3301010100", "3301010100", "3301010400", "3302000000", "unknown")
    assert levels["hcat3, level 2"].groups == ("3301010000", "3301010000", "3301010000", "3302000000", "unknown")
    assert [level.alone for level in levels.values()] == [("unknown",)] * len(levels)


@pytest.mark.parametrize("key", ["hcat3", "hcat4"])
def test_another_hierarchy_is_refused(key: str) -> None:
    with pytest.raises(LabelError):
        with_hierarchy(Legend.of(["maize", "wheat"]), key, "testing")
