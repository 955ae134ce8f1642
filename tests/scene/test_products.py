"""Products: consistent records, and the offset of Sentinel-2 on both sides of processing baseline 04.00."""

import numpy as np
import pytest

from agrifm.errors import ConfigError, SceneError
from agrifm.scene.products import PRODUCTS, Product, find_product
from agrifm.scene.quality import QUALITY_RULES
from agrifm.sensors import SENSORS

ALL = pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)


@ALL
def test_a_product_encodes_bands_of_a_known_sensor(product: Product) -> None:
    bands = SENSORS[product.sensor].band_names
    assert set(product.bands) <= set(bands) or product.quantity == "index"
    if product.quantity == "surface reflectance":
        assert product.bands == bands


@ALL
def test_a_products_assets_are_all_different(product: Product) -> None:
    extra = [key for key in (product.quality_asset, product.day_asset) if key is not None]
    keys = [*product.assets.values(), *extra]
    assert len(set(keys)) == len(keys)


@ALL
def test_a_quality_asset_has_a_rule_and_a_rule_an_asset(product: Product) -> None:
    assert (product.quality_asset is None) == (product.quality_rule is None)
    assert product.quality_rule is None or product.quality_rule in QUALITY_RULES


@ALL
def test_nodata_is_no_valid_number(product: Product) -> None:
    low, high = product.valid_range
    assert low < high
    assert product.quantity == "index" or not low <= product.nodata <= high


@ALL
def test_valid_numbers_become_plausible_quantities_that_int16_can_hold(product: Product) -> None:
    low, high = (number * product.scale + product.offset for number in product.valid_range)
    assert low >= (-1 if product.quantity == "index" else -0.21)
    assert 0.99 < high <= 1.7
    assert np.iinfo(np.int16).min < low * 1e4 < high * 1e4 < np.iinfo(np.int16).max


@ALL
def test_a_composite_is_never_averaged_and_has_a_period(product: Product) -> None:
    assert product.is_composite == (product.day_asset is not None)
    if product.is_composite:
        assert product.kernel == "nearest"
        assert product.period > 1


def test_collections_belong_to_one_product_each() -> None:
    assert len({product.collection for product in PRODUCTS.values()}) == len(PRODUCTS)
    assert all(product.name == name for name, product in PRODUCTS.items())


@pytest.mark.parametrize(
    ("baseline", "offset"),
    [("02.14", 0), ("03.01", 0), ("04.00", -0.1), ("04.01", -0.1), ("05.00", -0.1), ("05.10", -0.1), ("10.00", -0.1)],
)
def test_sentinel_2_has_an_offset_from_baseline_4_on(baseline: str, offset: float) -> None:
    """ESA adds 1000 to the digital numbers since baseline 04.00 (25 January 2022); the scale is 0.0001."""
    assert find_product("sentinel-2-c1-l2a").offset_of(baseline, "x") == offset


@pytest.mark.parametrize("baseline", [None, "", "unknown", "N0510"])
def test_a_scene_without_a_readable_baseline_is_refused(baseline: str | None) -> None:
    with pytest.raises(SceneError, match=r"reading scene S2A_1: it states .*processing.baseline") as caught:
        find_product("sentinel-2-c1-l2a").offset_of(baseline, "S2A_1")
    assert "05.10" in str(caught.value)
    assert "s2:processing_baseline" in str(caught.value)


@pytest.mark.parametrize("baseline", [None, "02.14", "05.10"])
def test_the_offset_of_landsat_does_not_depend_on_a_baseline(baseline: str | None) -> None:
    assert find_product("landsat-c2-l2").offset_of(baseline, "x") == -0.2


def test_an_unknown_product_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match="unknown product 'sentinel-2-l2a'; did you mean 'sentinel-2-c1-l2a'"):
        find_product("sentinel-2-l2a")
