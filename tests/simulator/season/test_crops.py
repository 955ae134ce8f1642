"""Records of crops: what is refused, and that regions name crops that they grow."""

from itertools import pairwise

import pytest
from pydantic import ValidationError

from agrifm.simulator.region import REGIONS, read_region
from agrifm.simulator.season.crops import Crop, CropType, Cycle
from agrifm.simulator.season.management import CYCLES


def test_the_cycle_that_the_label_means_must_exist():
    kind = CropType(name="double", cycles=(Cycle(plant="maize", sowing=100),), main=1)
    with pytest.raises(ValidationError, match="main = 1"):
        Crop(name="Maize", types=(kind,))


def test_a_crop_needs_a_type():
    with pytest.raises(ValidationError, match="types"):
        Crop(name="Maize", types=())


@pytest.mark.parametrize("name", REGIONS)
def test_rotations_name_crops_of_the_region(name: str):
    crops = read_region(name).crops
    for code, crop in crops.items():
        assert set(crop.after) <= set(crops), code
        assert not crop.after or sum(crop.after.values()) == pytest.approx(1, abs=0.03), code


@pytest.mark.parametrize("name", REGIONS)
def test_cycles_of_a_year_follow_each_other(name: str):
    for crop in read_region(name).crops.values():
        for kind in crop.types:
            days = [cycle.sowing for cycle in kind.cycles]
            assert len(days) <= CYCLES
            assert days == sorted(days)
            assert all(later - earlier > 80 for earlier, later in pairwise(days)), kind.name


def test_warm_regions_grow_two_crops_a_year_and_cool_ones_mostly_one():
    def double(region: str) -> float:
        crops = read_region(region).crops.values()
        share = {
            crop.name: sum(kind.weight for kind in crop.types if len(kind.cycles) > 1)
            / sum(kind.weight for kind in crop.types)
            for crop in crops
        }
        return sum(crop.share * share[crop.name] for crop in crops)

    assert double("monsoon") > 0.7
    assert double("southern") > 0.5
    assert double("oceanic") < 0.05


def test_the_mixed_class_is_a_mixture():
    for region in REGIONS:
        assert len(read_region(region).crops["other_temporary_crop"].types) >= 2
    assert len(read_region("oceanic").crops["other_temporary_crop"].types) >= 6
