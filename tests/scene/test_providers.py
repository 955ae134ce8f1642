"""Providers: consistent records, every product with one provider at most, and nothing secret in them."""

import pytest

from agrifm.errors import ConfigError
from agrifm.product_description import ProductDescription
from agrifm.scene.described_products import described_product
from agrifm.scene.products import PRODUCTS, find_product
from agrifm.scene.providers import PROVIDERS, BearerToken, Provider, S3Keys, SasTokens, find_provider, provider_of

ALL = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)


@ALL
def test_a_provider_has_known_products(provider: Provider) -> None:
    assert provider.products
    assert all(PRODUCTS[product.name] is product for product in provider.products)


def test_a_product_belongs_to_one_provider_at_most() -> None:
    names = [product.name for provider in PROVIDERS.values() for product in provider.products]
    assert len(set(names)) == len(names)
    assert provider_of(PRODUCTS["sentinel-2-worldcereal"]) is None
    assert provider_of(PRODUCTS["modis-13Q1-061"]) is PROVIDERS["planetary-computer"]


@pytest.mark.parametrize(
    ("provider", "collections"),
    [
        ("earth-search", {"sentinel-2-l2a", "sentinel-2-c1-l2a", "landsat-c2-l2"}),
        (
            "planetary-computer",
            {"sentinel-2-l2a", "landsat-c2-l2", "modis-09A1-061", "modis-13Q1-061", "hls2-l30", "hls2-s30"},
        ),
        ("cdse", {"sentinel-2-l2a"}),
        ("nasa-cmr", {"HLSL30_2.0", "HLSS30_2.0"}),
    ],
)
def test_collections_have_the_names_of_the_providers_own_catalogues(provider: str, collections: set[str]) -> None:
    assert {product.collection for product in find_provider(provider).products} == collections


@ALL
def test_urls_are_encrypted_and_secrets_go_to_named_hosts(provider: Provider) -> None:
    assert provider.url.startswith("https://")
    for access in provider.access.values():
        if isinstance(access, S3Keys):
            assert access.secure
        else:
            assert access.hosts
            assert (access.login if isinstance(access, BearerToken) else access.url).startswith("https://")
            assert isinstance(access, (BearerToken, SasTokens))


def test_copernicus_allows_four_connections() -> None:
    """documentation.dataspace.copernicus.eu, Quotas and Limitations, Copernicus General Users, row 6."""
    assert {name: one.connections for name, one in PROVIDERS.items() if one.connections} == {"cdse": 4}


def test_an_unknown_provider_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"'earthsearch'.*'earth-search'"):
        find_provider("earthsearch")


def test_every_product_has_at_most_one_provider() -> None:
    for name, product in PRODUCTS.items():
        assert sum(product in provider.products for provider in PROVIDERS.values()) <= 1, name
    provider = provider_of(find_product("sentinel-2-c1-l2a"))
    assert provider is not None
    assert provider.name == "earth-search"
    assert provider_of(find_product("sentinel-2-worldcereal")) is None
    described = ProductDescription(name="mine", like="sentinel-2-l2a-planetary-computer", nodata=65535)
    assert provider_of(described_product(described)) is PROVIDERS["planetary-computer"]
