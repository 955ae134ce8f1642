"""`plants.toml`: whole, plausible, and without a plant or a number that nothing uses."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from agrifm.simulator.region import REGIONS, read_region
from agrifm.simulator.season import plants as module
from agrifm.simulator.season.plants import NO_PLANT, Plant, read_flora, traits

FLORA = read_flora()
KINDS = [kind for name in REGIONS for crop in read_region(name).crops.values() for kind in crop.types]


def test_the_file_has_exactly_the_plants_that_regions_grow():
    assert {cycle.plant for kind in KINDS for cycle in kind.cycles} == set(FLORA.plants)
    wild = [kind for cover in FLORA.wild.values() for kind in cover.types]
    assert {kind.sward for kind in [*KINDS, *wild]} | {"weeds"} == set(FLORA.swards)
    assert set(FLORA.wild) == {"forest", "hedge", "margin"}


@pytest.mark.parametrize("name", FLORA.plants)
def test_stages_follow_each_other(name: str):
    plant = FLORA.plants[name]
    assert plant.emergence < plant.middle
    if not plant.day_length:  # else age runs slower than the thermal time of growth
        assert plant.middle < plant.senescence
        assert plant.bloom < plant.maturity
    assert plant.flower == 0 or 0 < plant.bloom < plant.senescence


@pytest.mark.parametrize("name", [*FLORA.plants, *FLORA.swards])
def test_leaves_are_in_the_range_of_field_measurements(name: str):
    """Ranges of the LOPEX and ANGERS leaves (Feret et al. 2008, table 2): water to 0.04, matter to 0.017 g per cm2"""
    leaves = FLORA.plants.get(name) or FLORA.swards[name]
    assert 20 <= leaves.chlorophyll <= 80
    assert 0.005 <= leaves.leaf_water <= 0.04
    assert 0.002 <= leaves.leaf_dry_matter <= 0.017
    assert 1 <= leaves.leaf_structure <= 2.5


def test_the_table_says_where_its_numbers_come_from():
    text = (Path(module.__file__).parent / "plants.toml").read_text()
    assert re.search("recalled", text)
    assert re.search("adjusted", text)


def test_an_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="height"):
        Plant.model_validate({**FLORA.plants["maize"].model_dump(), "height": 2.5})


def test_traits_are_in_the_order_of_the_records():
    heights = traits([FLORA.plants["maize"], FLORA.plants["pea"], NO_PLANT], "base")
    assert heights.tolist() == [FLORA.plants["maize"].base, FLORA.plants["pea"].base, 0]
