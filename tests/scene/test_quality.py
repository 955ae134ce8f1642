"""Quality rules against the providers' documented values, bit by bit."""

import numpy as np
import pytest

from agrifm.scene.quality import QUALITY_RULES, UNUSABLE, landsat_pixel_qa, landsat_qa_pixel, modis_state, scl

# Sentinel-2 Level-2A scene classification.
SCL = {
    0: ("no data", False),
    1: ("saturated or defective", False),
    2: ("dark or terrain shadow", False),
    3: ("cloud shadow", False),
    4: ("vegetation", True),
    5: ("not vegetated", True),
    6: ("water", True),
    7: ("unclassified", True),
    8: ("cloud, medium probability", False),
    9: ("cloud, high probability", False),
    10: ("thin cirrus", False),
    11: ("snow or ice", False),
}

# USGS, Landsat 8-9 Collection 2 Level 2 Science Product Guide, table of QA_PIXEL values.
QA_PIXEL = {
    1: ("fill", False),
    21824: ("clear", True),
    21826: ("dilated cloud over land", False),
    21888: ("water", True),
    21890: ("dilated cloud over water", False),
    21952: ("clear with lows set, water", True),
    22080: ("mid confidence cloud", True),
    22280: ("high confidence cloud", False),
    23888: ("high confidence cloud shadow", False),
    23952: ("water with cloud shadow", False),
    24088: ("mid confidence cloud with shadow", False),
    24344: ("high confidence cloud with shadow", False),
    30048: ("high confidence snow or ice", False),
    54596: ("high confidence cirrus", False),
    55052: ("high confidence cirrus and cloud", False),
}

# USGS, Landsat 8 LaSRC Product Guide (Collection 1), table of pixel_qa values.
PIXEL_QA = {
    1: ("fill", False),
    322: ("clear", True),
    324: ("water", True),
    328: ("cloud shadow", False),
    336: ("snow or ice", False),
    352: ("cloud", False),
    386: ("clear, medium confidence cloud", True),
    388: ("water, medium confidence cloud", True),
    480: ("cloud, high confidence", False),
    834: ("clear, high confidence cirrus", True),
    1346: ("clear, terrain occlusion", True),
}

# MOD09A1 Collection 6.1, 500 m state flags; bit 3 alone is land.
LAND = 1 << 3
STATE = {
    LAND: ("clear land", True),
    LAND | 0b01: ("cloudy", False),
    LAND | 0b10: ("mixed", False),
    LAND | 0b11: ("not set, assumed clear", True),
    LAND | 1 << 2: ("cloud shadow", False),
    0b101 << 3: ("deep inland water", True),
    LAND | 0b11 << 6: ("high aerosol", True),
    LAND | 0b01 << 8: ("small cirrus", True),
    LAND | 0b10 << 8: ("average cirrus", True),
    LAND | 0b11 << 8: ("high cirrus", False),
    LAND | 1 << 10: ("internal cloud", False),
    LAND | 1 << 11: ("fire", True),
    LAND | 1 << 12: ("MOD35 snow", False),
    LAND | 1 << 13: ("adjacent to cloud", True),
    LAND | 1 << 15: ("internal snow", False),
    65535: ("fill", False),
}


@pytest.mark.parametrize(("value", "usable"), [(value, usable) for value, (_, usable) in SCL.items()])
def test_scene_classes_of_clear_land_and_water_are_usable(value: int, usable: bool) -> None:
    assert scl(np.array([value], np.uint8)).tolist() == [usable]


@pytest.mark.parametrize(("value", "usable"), [(value, usable) for value, (_, usable) in QA_PIXEL.items()])
def test_landsat_collection_2_pixels_without_cloud_shadow_or_snow_are_usable(value: int, usable: bool) -> None:
    assert landsat_qa_pixel(np.array([value], np.uint16)).tolist() == [usable]


@pytest.mark.parametrize("bit", range(16))
def test_of_the_landsat_collection_2_bits_exactly_the_first_six_forbid(bit: int) -> None:
    """0 fill, 1 dilated cloud, 2 cirrus, 3 cloud, 4 shadow, 5 snow; 6 clear, 7 water, 8 to 15 confidences."""
    assert landsat_qa_pixel(np.array([1 << bit], np.uint16)).tolist() == [bit > 5]


@pytest.mark.parametrize(("value", "usable"), [(value, usable) for value, (_, usable) in PIXEL_QA.items()])
def test_landsat_collection_1_pixels_that_are_clear_or_water_are_usable(value: int, usable: bool) -> None:
    assert landsat_pixel_qa(np.array([value], np.uint16)).tolist() == [usable]


@pytest.mark.parametrize(("value", "usable"), [(value, usable) for value, (_, usable) in STATE.items()])
def test_modis_pixels_that_are_clear_are_usable(value: int, usable: bool) -> None:
    assert modis_state(np.array([value], np.uint16)).tolist() == [usable]


@pytest.mark.parametrize("name", QUALITY_RULES)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32])
def test_where_the_quality_band_has_no_pixel_nothing_is_usable(name: str, dtype: type) -> None:
    assert not QUALITY_RULES[name](np.array([UNUSABLE[name]], dtype)).any()


@pytest.mark.parametrize("name", QUALITY_RULES)
def test_a_rule_keeps_the_shape(name: str) -> None:
    usable = QUALITY_RULES[name](np.zeros((3, 5), np.uint16))
    assert usable.shape == (3, 5)
    assert usable.dtype == bool
