"""Quality bands against the providers' documented values, bit by bit, and the default rule for every value."""

import numpy as np
import pytest
from numpy.typing import NDArray

from agrifm.scene.mask import MaskRule
from agrifm.scene.quality import FLAGS, NO_QUALITY, QUALITY_RULES

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


# Harmonized Landsat Sentinel-2 Product User Guide 2.0, table of the Fmask layer; bits 6-7 alone are aerosol.
FMASK = {
    0: ("clear, climatology aerosol", True, set()),
    1 << 1: ("cloud", False, {"cloud"}),
    1 << 2: ("adjacent to cloud or shadow", False, {"cloud-edge"}),
    1 << 3: ("cloud shadow", False, {"shadow"}),
    1 << 4: ("snow or ice", False, {"snow"}),
    1 << 5: ("water", True, {"water"}),
    0b01 << 6: ("low aerosol", True, set()),
    0b10 << 6: ("moderate aerosol", True, set()),
    0b11 << 6: ("high aerosol", True, {"aerosol"}),
    0b11 << 6 | 1 << 5: ("water, high aerosol", True, {"aerosol", "water"}),
    255: ("fill", False, {"nodata"}),
}

# MOD13 User's Guide, Collection 6.1, VI quality; land is 1 in bits 11 to 13.
VI_LAND = 1 << 11
VI_QUALITY = {
    VI_LAND: ("good, land", True, set()),
    VI_LAND | 0b01: ("produced, check other bits", True, set()),
    VI_LAND | 0b10: ("most probably cloudy", False, {"cloud"}),
    VI_LAND | 0b11: ("not produced", False, {"nodata"}),
    VI_LAND | 0b1100 << 2: ("lowest useful quality", True, set()),
    VI_LAND | 0b1101 << 2: ("not useful", False, {"defective"}),
    VI_LAND | 0b1110 << 2: ("faulty", False, {"defective"}),
    VI_LAND | 0b1111 << 2: ("not useful for other reasons", False, {"defective"}),
    VI_LAND | 0b11 << 6: ("high aerosol", True, {"aerosol"}),
    VI_LAND | 1 << 8: ("adjacent cloud", True, {"near-cloud"}),
    VI_LAND | 1 << 10: ("mixed clouds", False, {"cloud"}),
    0b011 << 11: ("shallow inland water", True, {"water"}),
    VI_LAND | 1 << 14: ("possible snow", False, {"snow"}),
    VI_LAND | 1 << 15: ("possible shadow", False, {"shadow"}),
    65535: ("fill", False, {"nodata"}),
}

RELIABILITY = {
    -1: ("fill", False, {"nodata"}),
    0: ("good", True, set()),
    1: ("marginal", True, {"uncertain"}),
    2: ("snow or ice", False, {"snow"}),
    3: ("cloudy", False, {"cloud"}),
}

# MOD09 User's Guide, Collection 6.1, 500 m QC: band n has the four bits from 4 n - 2 on; bit 30 corrected.
QC = {
    1 << 30: ("ideal quality", True, set()),
    1 << 30 | 0b01: ("less than ideal quality", True, set()),
    1 << 30 | 0b10: ("not produced, clouds", False, {"cloud"}),
    1 << 30 | 0b11: ("not produced, other reasons", False, {"nodata"}),
    1 << 30 | 0b1000 << 18: ("band 5, dead detector", False, {"defective"}),
    1 << 30 | 0b0111 << 2: ("band 1, noisy detector", False, {"defective"}),
    1 << 30 | 0b1100 << 26: ("band 7, constant instead of climatology", True, set()),
    1 << 30 | 0b1101 << 6: ("band 2, out of bounds", False, {"defective"}),
    1 << 30 | 0b1111 << 22: ("band 6, not processed", False, {"nodata"}),
}


def usable(rule: str, values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """What the default choice makes of an encoding's values."""
    return MaskRule().usable(QUALITY_RULES[rule](values))


def names(rule: str, value: int) -> set[str]:
    """The flags of one value."""
    found = int(QUALITY_RULES[rule](np.array([value]))[0])
    return {name for number, name in enumerate(FLAGS) if found >> number & 1}


@pytest.mark.parametrize(
    ("rule", "table"),
    [("scl", SCL), ("landsat_qa_pixel", QA_PIXEL), ("landsat_pixel_qa", PIXEL_QA), ("modis_state", STATE)],
)
def test_by_default_the_documented_values_are_usable_as_the_tables_say(rule: str, table: dict) -> None:
    values = np.array(list(table), np.uint16)
    assert dict(zip(table, usable(rule, values).tolist(), strict=True)) == {k: v for k, (_, v) in table.items()}


@pytest.mark.parametrize(
    ("rule", "table"),
    [("hls_fmask", FMASK), ("modis_vi_quality", VI_QUALITY), ("modis_reliability", RELIABILITY), ("modis_qc", QC)],
)
def test_documented_values_have_the_flags_and_usability_of_the_tables(rule: str, table: dict) -> None:
    for value, (meaning, expected, flags) in table.items():
        assert names(rule, value) == flags, meaning
        assert usable(rule, np.array([value])).tolist() == [expected], meaning


def one(word: int, bit: int) -> bool:
    return bool(word >> bit & 1)


def usable_by_hand(rule: str, word: int) -> bool:
    """The default written out: SCL 4 to 7 and nothing else; the Landsat and MODIS words bit by bit."""
    if rule == "scl":
        return word in (4, 5, 6, 7)
    if rule == "landsat_qa_pixel":
        return not any(one(word, bit) for bit in (0, 1, 2, 3, 4, 5))
    if rule == "landsat_pixel_qa":
        return (one(word, 1) or one(word, 2)) and not any(one(word, bit) for bit in (0, 3, 4, 5))
    clear = word % 4 in (0, 3)
    high_cirrus = one(word, 8) and one(word, 9)
    return clear and not high_cirrus and not any(one(word, bit) for bit in (2, 10, 12, 15))


@pytest.mark.parametrize("rule", ["scl", "landsat_qa_pixel", "landsat_pixel_qa", "modis_state"])
def test_by_default_every_value_is_usable_as_written_out_by_hand(rule: str) -> None:
    values = np.arange(256, dtype=np.uint8) if rule == "scl" else np.arange(65536, dtype=np.uint16)
    assert usable(rule, values).tolist() == [usable_by_hand(rule, int(value)) for value in values]


FLAGGED = [
    ("scl", 0, {"nodata"}),
    ("scl", 1, {"defective"}),
    ("scl", 2, {"dark"}),
    ("scl", 3, {"shadow"}),
    ("scl", 5, set()),
    ("scl", 6, {"water"}),
    ("scl", 7, {"uncertain"}),
    ("scl", 9, {"cloud"}),
    ("scl", 10, {"cirrus"}),
    ("scl", 11, {"snow"}),
    ("scl", 12, {"defective"}),
    ("landsat_qa_pixel", 21826, {"cloud-edge"}),
    ("landsat_qa_pixel", 21952, {"water"}),
    ("landsat_qa_pixel", 22080, {"uncertain"}),
    ("landsat_qa_pixel", 23952, {"shadow", "water"}),
    ("landsat_qa_pixel", 55052, {"cirrus", "cloud"}),
    ("landsat_pixel_qa", 322, set()),
    ("landsat_pixel_qa", 386, {"uncertain"}),
    ("landsat_pixel_qa", 834, {"light-cirrus"}),
    ("landsat_pixel_qa", 0, {"defective"}),
    ("modis_state", LAND | 0b10, {"cloud"}),
    ("modis_state", LAND | 0b11, {"uncertain"}),
    ("modis_state", LAND | 0b10 << 8, {"light-cirrus"}),
    ("modis_state", LAND | 0b11 << 6 | 1 << 13, {"aerosol", "near-cloud"}),
    ("modis_state", 0b101 << 3 | 1 << 15, {"water", "snow"}),
    ("modis_state", 65535, {"nodata"}),
    ("sentinel_2_qa60", 0, set()),
    ("sentinel_2_qa60", 1 << 10, {"cloud"}),
    ("sentinel_2_qa60", 1 << 10 | 1 << 11, {"cloud", "cirrus"}),
    ("sentinel_2_qa60", 4, {"defective"}),
    ("force_qai", 0, set()),
    ("force_qai", 0b01 << 1, {"cloud-edge"}),
    ("force_qai", 0b10 << 1 | 1 << 3, {"cloud", "shadow"}),
    ("force_qai", 0b11 << 1 | 1 << 4 | 1 << 5, {"cirrus", "snow", "water"}),
    ("force_qai", 0b10 << 6 | 1 << 9, {"aerosol", "defective"}),
    ("force_qai", 0b11 << 11, {"dark"}),
    ("force_qai", 28672, set()),  # the documentation's example: poorly lit, sloped, water vapour not measured
    ("force_qai", 1 | 0b10 << 1, {"nodata"}),
]


@pytest.mark.parametrize(("rule", "value", "flags"), FLAGGED)
def test_a_value_has_exactly_these_flags(rule: str, value: int, flags: set[str]) -> None:
    assert names(rule, value) == flags


def test_signed_words_mean_the_same_as_unsigned_ones() -> None:
    words = np.arange(65536, dtype=np.uint16)
    for rule in ("modis_state", "modis_vi_quality"):
        assert (QUALITY_RULES[rule](words.view(np.int16)) == QUALITY_RULES[rule](words)).all()


DTYPES = {
    "scl": (np.uint8, np.int16),
    "landsat_qa_pixel": (np.uint16, np.int32),
    "landsat_pixel_qa": (np.uint8, np.uint16),
    "hls_fmask": (np.uint8, np.int16),
    "modis_state": (np.int16, np.uint16, np.int32),
    "modis_qc": (np.int32, np.uint32),
    "modis_vi_quality": (np.int16, np.uint16),
    "modis_reliability": (np.int8, np.uint8, np.int16),
    "sentinel_2_qa60": (np.uint16, np.int16, np.int32),
    "force_qai": (np.int16, np.uint16),
}


@pytest.mark.parametrize("rule", QUALITY_RULES)
def test_where_the_quality_band_has_no_pixel_the_only_flag_is_nodata(rule: str) -> None:
    for dtype in DTYPES[rule]:
        assert (QUALITY_RULES[rule](np.array([NO_QUALITY[rule]], dtype)) == 1 << FLAGS.index("nodata")).all()


@pytest.mark.parametrize("rule", QUALITY_RULES)
def test_an_encoding_keeps_the_shape(rule: str) -> None:
    flags = QUALITY_RULES[rule](np.zeros((3, 5), np.uint16))
    assert flags.shape == (3, 5)
    assert flags.dtype == np.uint16
