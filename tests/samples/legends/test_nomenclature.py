"""Published legends are consistent, and a class is translated to the smallest class that contains it, or not at all."""

import pytest

from agrifm.errors import LabelError
from agrifm.samples.legends.nomenclature import LAND, LEGENDS, groups_at, read_nomenclature, translate


@pytest.mark.parametrize("key", LEGENDS)
def test_parents_and_places_are_listed(key: str) -> None:
    hcat3, legend = read_nomenclature("hcat3"), read_nomenclature(key)
    for entry in legend.classes.values():
        assert entry.parent is None or entry.parent in legend.classes
        assert entry.covers <= entry.within <= {*hcat3.classes, *LAND}
    names = [entry.name for entry in legend.classes.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("key", LEGENDS)
def test_no_two_classes_are_all_of_the_same_crop_unless_one_is_the_parent(key: str) -> None:
    legend = read_nomenclature(key)
    for one in legend.classes.values():
        for other in legend.classes.values():
            if one.code < other.code and one.covers and one.covers == other.covers == one.within == other.within:
                assert one.code == other.parent or other.code == one.parent, (one, other)


@pytest.mark.parametrize("key", ["ewoc", "fao-icc", "glc-fcs30"])
def test_a_parent_contains_its_classes(key: str) -> None:
    """Every class with a place of its own is translated to itself or to its parent when its own code is hidden."""
    legend = read_nomenclature(key)
    for entry in legend.classes.values():
        if entry.within == entry.covers != frozenset():
            assert translate(entry.code, legend, legend).relation == "same"


def test_counts_of_classes_are_those_of_the_sources() -> None:
    """HCAT3.csv has 393 rows below its root; GLC_FCS30D has 35 fine classes in 10 basic groups."""
    assert len(read_nomenclature("hcat3").classes) == 393
    glc = read_nomenclature("glc-fcs30").classes
    assert sum(code.isdigit() for code in glc) == 35
    assert sum(entry.parent is None for entry in glc.values()) == 10


@pytest.mark.parametrize(
    ("source", "code", "target", "expected", "relation"),
    [
        ("rpg", "1", "hcat3", "3301010100", "same"),  # blé tendre
        ("rpg", "1", "fao-icc", "11", "broader"),  # FAO's wheat contains durum too
        ("rpg", "2", "ewoc", "1101060000", "same"),  # maize for grain and for silage
        ("rpg", "5", "cdl", "31", "same"),
        ("ewoc", "1101010021", "rpg", "4", "broader"),  # winter durum wheat is one of the other cereals
        ("ewoc", "11-01-01-001-1", "hcat3", "3301010101", "same"),  # with the hyphens of the documents
        ("ewoc", "1101010015", "hcat3", "3301010100", "broader"),  # not listed: a part of common wheat
        ("ewoc", "1107000010", "fao-icc", "51", "same"),
        ("cdl", "24", "hcat3", "3301010101", "same"),
        ("cdl", "4", "hcat3", "3301010900", "broader"),  # HCAT3 has sorghum together with millet
        ("cdl", "111", "glc-fcs30", "water", "same"),
        ("glc-fcs30", "61", "cdl", "63", "broader"),
        ("fao-icc", "53", "hcat3", "3301990000", "broader"),  # cassava
        ("hcat3", "3301020600", "rpg", "8", "broader"),  # peas
        ("hcat3", "3301160000", "cdl", "5", "same"),
    ],
)
def test_classes_are_translated(source: str, code: str, target: str, expected: str, relation: str) -> None:
    match = translate(code, read_nomenclature(source), read_nomenclature(target))
    assert (match.code, match.relation) == (expected, relation)


@pytest.mark.parametrize(
    ("source", "code", "target"),
    [
        ("hcat3", "3301990000", "fao-icc"),  # other arable crops are not cassava
        ("cdl", "26", "hcat3"),  # wheat and then soybeans
        ("rpg", "28", "ewoc"),  # divers
        ("ewoc", "7000000000", "rpg"),  # water is not in a register of parcels
        ("cdl", "7", "hcat3"),  # no class has this code
        ("ewoc", "9901010010", "hcat3"),
    ],
)
def test_what_no_class_contains_has_no_translation(source: str, code: str, target: str) -> None:
    match = translate(code, read_nomenclature(source), read_nomenclature(target))
    assert (match.code, match.relation) == (None, "none")


def test_an_unknown_legend_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(LabelError) as error:
        read_nomenclature("hcat")
    assert error.value.facts["legend"] == "hcat"
    assert "hcat3" in str(error.value)


def test_classes_are_grouped_at_a_level_of_the_hierarchy() -> None:
    ewoc = read_nomenclature("ewoc")
    codes = ("1101010011", "1101020001", "1106000010", "0000000000")
    assert groups_at(codes, ewoc, 0) == ("1100000000", "1100000000", "1100000000", "0000000000")
    assert groups_at(codes, ewoc, 1) == ("1101000000", "1101000000", "1106000000", "0000000000")
    assert groups_at(codes, ewoc, 9) == codes
