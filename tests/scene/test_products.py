"""Products: consistent records under names that stay."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agrifm.cube.store import SCALES
from agrifm.errors import ConfigError
from agrifm.scene.products import PRODUCTS, Product, find_product
from agrifm.scene.quality import QUALITY_RULES
from agrifm.sensors import SENSORS

ALL = pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)

PLAUSIBLE = {
    "surface reflectance": (-0.21, 0.99, 1.7),
    "index": (-1, 0.99, 1.7),
    "backscatter (dB)": (-60, 0, 40),
    "backscatter (linear)": (0, 1, 6),
    "temperature": (150, 340, 380),
}
"""Of each quantity in its unit: no valid number is below the first, and the highest between the other two."""


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
    # indices and decibel may pass 0, which some providers take for nodata; that number alone is then not read
    assert product.quantity in ("index", "backscatter (dB)") or not low <= product.nodata <= high


@ALL
def test_valid_numbers_become_plausible_quantities_that_int16_can_hold(product: Product) -> None:
    low, high = (number * product.scale + product.offset for number in product.valid_range)
    lowest, least, most = PLAUSIBLE[product.quantity]
    assert low >= lowest
    assert least < high <= most
    step = SCALES[product.quantity]
    assert np.iinfo(np.int16).min < low / step < high / step < np.iinfo(np.int16).max


@ALL
def test_a_composite_is_never_averaged_and_has_a_period(product: Product) -> None:
    assert product.is_composite == (product.day_asset is not None)
    if product.is_composite:
        assert product.kernel == "nearest"
        assert product.period > 1


def test_names_are_unique_and_those_of_before_stay() -> None:
    assert all(product.name == name for name, product in PRODUCTS.items())
    before = {"sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061", "sentinel-2-worldcereal", "cbers-4-awfi-16d"}
    assert {*before, "landsat-8-c1-worldcereal"} <= PRODUCTS.keys()


@pytest.mark.parametrize("scale", [None, 0.0, -1e-4, float("nan"), float("inf")])
def test_a_product_without_a_scale_is_refused(scale: Any) -> None:
    with pytest.raises(ConfigError, match=r"'landsat-c2-l2': its scale"):
        replace(find_product("landsat-c2-l2"), scale=scale)


@ALL
def test_older_keys_lead_to_todays(product: Product) -> None:
    assert set(product.old_keys.values()) <= {*product.assets.values(), *product.quality_bands}


def test_an_unknown_product_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"'sentinel-2-c1'.*'sentinel-2-c1-l2a'"):
        find_product("sentinel-2-c1")
