"""Covers of the pretraining world and the groups of land cover."""

import csv
from importlib.resources import files

from agrifm.simulator.season.growth import MATERIALS
from agrifm.simulator.season.plants import read_flora
from agrifm.simulator.world.covers import read_covers, read_groups


def test_every_class_of_glc_fcs30d_is_in_one_group_with_its_relatives():
    """The published legend has 35 classes below ten basic ones."""
    text = files("agrifm.samples.legends").joinpath("glc-fcs30.csv").read_text(encoding="utf-8")
    parents = {int(row["code"]): row["parent"] for row in csv.DictReader(text.splitlines()) if row["code"].isdigit()}
    grouped = [code for group in read_groups().values() for code in group.codes]
    assert sorted(grouped) == sorted(parents)
    assert len(read_groups()) == 8
    of_code = {code: key for key, group in read_groups().items() for code in group.codes}
    for basic in set(parents.values()):
        assert len({of_code[code] for code, parent in parents.items() if parent == basic}) == 1


def test_covers_name_only_what_the_simulator_knows():
    flora = read_flora()
    for cover in read_covers().values():
        assert cover.group in read_groups()
        assert cover.plant is None or cover.plant in flora.plants
        assert cover.material is None or cover.material in MATERIALS
        assert all(kind.sward in flora.swards for kind in cover.types)
        assert sum([cover.plant is not None, bool(cover.types), cover.material is not None]) == 1
    assert {cover.group for cover in read_covers().values()} == set(read_groups())
