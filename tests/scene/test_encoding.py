"""Scale and offset by the metadata: both sides of every rule's border, and every contradiction in one sentence."""

from typing import Any

import numpy as np
import pytest

from agrifm.errors import SceneError
from agrifm.scene.encoding import (
    Stated,
    baseline_of,
    removed_by_provider,
    require_agreement,
    require_file_agreement,
    stated_encoding,
)
from agrifm.scene.products import PRODUCTS, Product, find_product

S2, FLAGGED = find_product("sentinel-2-c1-l2a"), find_product("sentinel-2-l2a-earth-search")
FLAG = "earthsearch:boa_offset_applied"
SENTINEL_2 = [product for product in PRODUCTS.values() if product.offset_from_baseline is not None]
SAFE = "S2A_MSIL2A_20200714T115221_N0214_R123_T28QCH_20200714T191310"


@pytest.mark.parametrize("product", SENTINEL_2, ids=lambda product: product.name)
@pytest.mark.parametrize(
    ("baseline", "offset"),
    [("02.14", 0), ("03.01", 0), ("04.00", -0.1), ("04.01", -0.1), ("05.00", -0.1), ("05.10", -0.1), ("10.00", -0.1)],
)
def test_sentinel_2_has_an_offset_from_baseline_4_on(product: Product, baseline: str, offset: float) -> None:
    """ESA adds 1000 to the digital numbers since baseline 04.00 (25 January 2022); the scale is 0.0001."""
    found = stated_encoding(product, baseline, None, "x")
    assert (found.scale, found.offset) == (0.0001, offset)
    assert found.source == f"offset {offset:g} from processing baseline {baseline}"


@pytest.mark.parametrize("product", SENTINEL_2, ids=lambda product: product.name)
@pytest.mark.parametrize(
    ("baseline", "esa"),
    [
        ("02.14", "02.14"), ("2.14", "02.14"), ("0214", "02.14"), ("N0214", "02.14"), ("N02.14", "02.14"),
        ("214", "02.14"), (" 02.14 ", "02.14"), ("3.01", "03.01"), ("4.0", "04.00"), ("4", "04.00"), ("0400", "04.00"),
        ("5.09", "05.09"), ("510", "05.10"), ("N0510", "05.10"), ("05.10", "05.10"), ("10.00", "10.00"),
    ],
)  # fmt: skip
def test_a_baseline_is_read_by_its_form(product: Product, baseline: str, esa: str) -> None:
    found = stated_encoding(product, baseline, None, "x")
    assert found.offset == (-0.1 if esa >= "04.00" else 0)
    assert esa in found.source


@pytest.mark.parametrize("baseline", ["5.1", "N5.1", "2.1"])
def test_a_baseline_of_two_readings_is_refused_with_both(baseline: str) -> None:
    with pytest.raises(SceneError) as caught:
        stated_encoding(S2, baseline, None, "S2A_1")
    digit = baseline.removeprefix("N")[0]
    assert f"0{digit}.01" in str(caught.value)
    assert f"0{digit}.10" in str(caught.value)


@pytest.mark.parametrize(
    "baseline", [None, "", "unknown", "05,10", "05.10.1", "5.100", "-5.10", "\u0665.10", "51000", "True"]
)
def test_a_scene_without_a_readable_baseline_is_refused(baseline: str | None) -> None:
    with pytest.raises(SceneError, match=r"S2A_1.*baseline") as caught:
        stated_encoding(S2, baseline, None, "S2A_1")
    assert "05.10" in str(caught.value)
    assert "s2:processing_baseline" in str(caught.value)


@pytest.mark.parametrize("baseline", [None, "03.01", "05.10"])
def test_a_flag_that_says_removed_comes_before_the_baseline(baseline: str | None) -> None:
    found = stated_encoding(FLAGGED, baseline, True, "x")
    assert (found.offset, found.source) == (0, f"offset 0, removed by the provider ({FLAG})")


@pytest.mark.parametrize(("flag", "offset"), [(False, -0.1), (None, -0.1)])
def test_a_flag_that_says_not_removed_leaves_it_to_the_baseline(flag: bool | None, offset: float) -> None:
    assert stated_encoding(FLAGGED, "05.10", flag, "x").offset == offset
    assert stated_encoding(FLAGGED, "03.01", flag, "x").offset == 0


@pytest.mark.parametrize("baseline", [None, "02.14", "05.10"])
def test_the_offset_of_landsat_does_not_depend_on_a_baseline(baseline: str | None) -> None:
    found = stated_encoding(find_product("landsat-c2-l2"), baseline, None, "x")
    assert (found.scale, found.offset, found.source) == (2.75e-5, -0.2, "offset -0.2 from the product's record")


@pytest.mark.parametrize(
    ("properties", "baseline"),
    [
        ({"s2:processing_baseline": "05.10"}, "05.10"),
        ({"processing:version": "05.00"}, "05.00"),
        ({"s2:processing_baseline": 5.09}, "5.09"),
        ({"s2:processing_baseline": 5.1}, "5.1"),
        ({"s2:processing_baseline": 5.1, "s2:product_uri": SAFE.replace("N0214", "N0510")}, "05.10"),
        ({"s2:processing_baseline": 2.14, "s2:product_uri": SAFE}, "2.14"),
        ({"s2:processing_baseline": "0214", "s2:product_uri": SAFE}, "0214"),
        ({"sentinel:product_id": SAFE}, "02.14"),
        ({"s2:product_uri": SAFE.replace("N0214", "N0510") + ".SAFE"}, "05.10"),
        ({"s2:product_uri": SAFE, "s2:processing_baseline": "02.14"}, "02.14"),
        ({"s2:product_uri": SAFE, "s2:processing_baseline": "unknown"}, "unknown"),
        ({}, None),
    ],
)
def test_a_baseline_is_in_a_property_or_in_the_products_name(properties: dict, baseline: str | None) -> None:
    assert baseline_of(properties, "S2A_28QCH_20200714_0_L2A") == baseline


def test_a_baseline_may_stand_in_the_id_of_the_item_alone() -> None:
    assert baseline_of({}, SAFE) == "02.14"
    assert baseline_of({}, "S2A_OPER_MSI_L2A_TL_SGS__20180524T190423_A015250_T26SKD_N02.08") == "02.08"


def test_a_baseline_that_contradicts_the_products_name_is_refused() -> None:
    for stated in ("05.10", 5.1, "0510", 510):
        with pytest.raises(SceneError, match=r"02\.14"):
            baseline_of({"sentinel:product_id": SAFE, "s2:processing_baseline": stated}, "x")


def test_a_flag_is_read_for_products_that_name_it_only() -> None:
    assert removed_by_provider({FLAG: True}, FLAGGED, "x") is True
    assert removed_by_provider({FLAG: False}, FLAGGED, "x") is False
    assert removed_by_provider({}, FLAGGED, "x") is None
    assert removed_by_provider({FLAG: True}, S2, "x") is None


def test_a_flag_that_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(SceneError, match=rf"{FLAG} is 'yes'"):
        removed_by_provider({FLAG: "yes"}, FLAGGED, "x")


def agree(product: Product, fields: dict[str, Any], baseline: str = "05.10", removed: bool | None = None) -> None:
    require_agreement(fields, product, stated_encoding(product, baseline, removed, "x"), "reading scene x: asset 'a'")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1, "bands": [{"name": "B02"}]},
        {"raster:bands": [{"nodata": 0, "data_type": "uint16"}]},
        {"raster:bands": [{"scale": 0.0001, "offset": -0.1, "nodata": "0"}]},
        {"raster:bands": {"scale": 0.0001}, "bands": ["B02"]},
        {"bands": [{"raster:scale": 0.0001, "nodata": 0}]},
    ],
)
def test_every_dialect_that_agrees_is_accepted(fields: dict) -> None:
    agree(S2, fields)


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({"raster:bands": [{"scale": 1e-5}]}, ("scale", "1e-05", "0.0001")),
        ({"raster:bands": [{"offset": 0}]}, ("offset", "0", "-0.1")),
        ({"raster:bands": {"scale": 1}}, ("scale", "1", "0.0001")),
        ({"raster:bands": [{"nodata": -9999}]}, ("nodata", "-9999", "0")),
        ({"nodata": "nan"}, ("nodata", "nan", "0")),
        ({"bands": [{"raster:scale": "one"}]}, ("scale", "one", "0.0001")),
    ],
)
def test_a_scale_an_offset_or_a_nodata_stated_wrong_is_refused(fields: dict, facts: tuple[str, ...]) -> None:
    with pytest.raises(SceneError) as caught:
        agree(S2, fields)
    name, stated, expected = facts
    assert f"asset 'a' states {name} {stated}" in str(caught.value)
    assert caught.value.facts == {"field": name, "stated": stated, "expected": float(expected)}
    assert "`skip`" in str(caught.value)


@pytest.mark.parametrize("removed", [True, False, None])
def test_where_a_flag_decides_either_offset_may_be_stated_and_no_other(removed: bool | None) -> None:
    """Earth Search states -0.1 although it removed the offset from the numbers."""
    for offset in (0, -0.1):
        agree(FLAGGED, {"raster:bands": [{"offset": offset}]}, removed=removed)
    with pytest.raises(SceneError, match=r"offset -0\.2"):
        agree(FLAGGED, {"raster:bands": [{"offset": -0.2}]}, removed=removed)


L30 = find_product("hls-l30-planetary-computer")


@pytest.mark.parametrize(
    ("product", "stated"),
    [
        (S2, Stated()),
        (S2, Stated(1e-4, -0.1, (0.0,))),
        (S2, Stated(missing=(65535.0, -32768.0))),
        (S2, Stated(valid_range=(1, 10000))),
        (L30, Stated(1e-4, 0, (-9999.0,))),
    ],
)
def test_a_file_that_agrees_or_says_nothing_is_accepted(product: Product, stated: Stated) -> None:
    require_file_agreement(stated, product, stated_encoding(product, "05.10", None, "x"), "x")


@pytest.mark.parametrize(
    ("product", "stated", "fact"),
    [
        (L30, Stated(1e-2, 0, (-9999.0,)), "scale 0.01"),
        (L30, Stated(1.0), "scale 1"),
        (L30, Stated(offset=1e-4), "offset 0.0001"),
        (S2, Stated(1e-4, -0.2, (0.0,)), "offset -0.2"),
        (S2, Stated(1e-4, 0.0), "offset 0"),
        (L30, Stated(missing=(-9999.0, 0.0)), "nodata 0"),
        (S2, Stated(valid_range=(0, 1)), "valid numbers from 0 to 1"),
        (S2, Stated(valid_range=(-30000, -1)), "valid numbers from -30000 to -1"),
    ],
)
def test_a_file_that_contradicts_its_product_is_refused(product: Product, stated: Stated, fact: str) -> None:
    with pytest.raises(SceneError) as caught:
        require_file_agreement(stated, product, stated_encoding(product, "05.10", None, "x"), "reading scene x: B4.tif")
    assert f"B4.tif states {fact}," in str(caught.value)
    assert f"'{product.name}'" in str(caught.value)


def test_missing_numbers_are_those_stated_and_those_outside_the_valid_range() -> None:
    numbers = np.array([0, 1, 5, 10, 11, 65535], np.uint16)
    found = Stated(missing=(5.0, 65535.0, -1.0), valid_range=(1, 10)).is_missing(numbers)
    assert found.tolist() == [True, False, True, False, True, True]
