"""The regions' files: what is in them, and one sentence for every way in which one can be wrong."""

import re
from pathlib import Path

import pytest
from pyproj import CRS
from shapely import box

from agrifm.errors import ConfigError
from agrifm.grid import utm_zone
from agrifm.simulator import region as module
from agrifm.simulator.region import CROPS, REGIONS, read_region

FILES = Path(module.__file__).parent / "regions"
FRANCE = {
    "grassland", "maize", "wheat", "other_temporary_crop", "permanent_crops", "sunflower", "rapeseed_rape", "barley",
    "soy_soybeans", "dry_pulses_legumes",
}  # fmt: skip
"""The ten labels of the real parcels of western France."""


@pytest.mark.parametrize("name", REGIONS)
def test_a_region_is_complete_and_in_its_utm_zone(name: str):
    region = read_region(name)
    place = region.place
    assert region.name == name
    assert sum(crop.share for crop in region.crops.values()) == pytest.approx(1, abs=1e-3)
    assert list(region.shares) == [code for code, crop in region.crops.items() if crop.share > 0]
    zone = CRS.from_user_input(place.crs).area_of_use
    assert zone is not None
    assert zone.west < place.lon < zone.east
    assert utm_zone(box(place.lon - 0.2, place.lat - 0.2, place.lon + 0.2, place.lat + 0.2)) == place.crs
    assert place.latitudes[0] < place.lat < place.latitudes[1]


def test_the_regions_files_are_those_listed_and_differ():
    assert {file.stem for file in FILES.glob("*.toml")} == set(REGIONS)
    regions = [read_region(name) for name in REGIONS]
    assert set().union(*(region.shares for region in regions)) == set(CROPS)
    assert [region.place.lat < 0 for region in regions] == [False, False, False, True]


def test_the_oceanic_region_grows_the_ten_labels_of_france():
    shares = read_region("oceanic").shares
    assert set(shares) >= FRANCE
    assert min(shares[code] for code in FRANCE) >= 0.05


def test_a_region_is_read_from_your_own_file(tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text((FILES / "oceanic.toml").read_text().replace('name = "oceanic"', 'name = "mine"', 1))
    assert read_region(file).name == "mine"
    assert read_region(str(file)).crops == read_region("oceanic").crops


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[crops.wheat]", "[crops.wheet]", "did you mean 'wheat'"),
        ("after = { grassland", "after = { gras", "did you mean 'grassland'"),
        ('plant = "', 'plant = "hemp-', "plant of maize"),
        ('sward = "grass"', 'sward = "gras"', "did you mean 'grass'"),
        ("hedges = ", "hedge = ", "'land.hedge'"),
        ("[land]", "[lands]", "'lands'"),
        ('name = "Maize"', 'name = "Maize"\nsowed = 3', "'crops.maize.sowed'"),
        ("parcel_median = 3.0", "", "land.parcel_median"),
        ("parcel_median = 3.0", "parcel_median = 40", "median of 40"),
        ("parcel_median = 3.0", 'parcel_median = "big"', r"\(found 'big'\)"),
        ("parcel_most = 30", "parcel_most = 300", "cells of 1300"),
        ("village_radius = [70, 230]", "village_radius = [70, 400]", "quarter of `cell`"),
        ("hedges = 0.3", "hedges = 0.8", "exceed 1"),
        ("parcel_median = 3.0", "parcel_median = ", "Invalid value"),
        ("version = 1", "version = 0", "version: "),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_sentence(tmp_path: Path, old: str, new: str, complaint: str):
    text = (FILES / "oceanic.toml").read_text()
    assert old in text
    file = tmp_path / "mine.toml"
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=complaint) as error:
        read_region(file)
    assert error.value.facts == {"path": file}
    assert "\n" not in str(error.value)


def test_shares_that_do_not_sum_to_1_are_refused(tmp_path: Path):
    file = tmp_path / "mine.toml"
    text = (FILES / "oceanic.toml").read_text()
    wheat = read_region("oceanic").crops["wheat"].share
    changed = re.sub(r"(\[crops\.wheat\][^\[]*?share = )[0-9.]+", rf"\g<1>{wheat + 0.05:g}", text, count=1)
    file.write_text(changed)
    with pytest.raises(ConfigError, match=r"sum to 1\.05"):
        read_region(file)
    file.write_text(changed.replace(f"share = {wheat + 0.05:g}", f"share = {wheat + 0.0005:g}", 1))
    assert read_region(file).crops["wheat"].share == wheat + 0.0005


def test_a_region_that_does_not_exist_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="'oceanic'") as error:
        read_region("oceanik")
    assert error.value.facts == {"region": "oceanik", "known": REGIONS}
    with pytest.raises(ConfigError) as error:
        read_region(tmp_path / "none.toml")
    assert error.value.facts == {"path": tmp_path / "none.toml"}
