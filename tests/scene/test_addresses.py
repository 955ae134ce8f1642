"""Who serves a product's assets, and how their addresses are signed."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from agrifm.errors import SceneError
from agrifm.scene.addresses import provider_of, signing
from agrifm.scene.products import PRODUCTS, find_product
from agrifm.scene.providers import PROVIDERS


def test_every_product_has_at_most_one_provider_and_the_extracted_ones_have_none() -> None:
    for name, product in PRODUCTS.items():
        assert sum(product in provider.products for provider in PROVIDERS.values()) <= 1, name
    found = provider_of(find_product("sentinel-2-c1-l2a"))
    assert found is not None
    assert found.name == "earth-search"
    assert provider_of(find_product("sentinel-2-worldcereal")) is None


def test_addresses_that_are_open_to_all_stay_as_they_are() -> None:
    assert signing(None)("https://host.org/a.tif", False) == ("https://host.org/a.tif", {})
    assert signing(PROVIDERS["earth-search"])("https://host.org/a.tif", False) == ("https://host.org/a.tif", {})


def test_an_s3_address_of_nobody_is_refused() -> None:
    open_to_all = replace(PROVIDERS["earth-search"], access={})
    for provider in (None, open_to_all):
        with pytest.raises(SceneError, match=r"opening s3://bucket/a\.tif: no provider is known that has keys for it"):
            signing(provider)("s3://bucket/a.tif", False)


def test_an_s3_address_becomes_a_signed_https_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads Landsat at Amazon pays, and says so in the signature."""
    pytest.importorskip("botocore")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")
    url, headers = signing(PROVIDERS["earth-search"])("s3://usgs-landsat/collection02/a b.tif", False)
    parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
    assert (parts.scheme, headers) == ("https", {"x-amz-request-payer": "requester"})
    assert parts.netloc.startswith("usgs-landsat.s3")
    assert parts.path == "/collection02/a%20b.tif"
    assert query["X-Amz-SignedHeaders"] == ["host;x-amz-request-payer"]
    assert query["X-Amz-Credential"][0].startswith("key-of-nobody/")
    assert "us-west-2" in query["X-Amz-Credential"][0]
    assert "secret" not in url


@pytest.mark.parametrize("href", ["s3://no bucket/a.tif", "s3://bucket"])
def test_what_is_no_address_on_s3_is_one_sentence(href: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")
    with pytest.raises(
        SceneError, match=f"opening {href}: it is no address on S3 \\(Invalid .*; repair the item"
    ) as caught:
        signing(PROVIDERS["earth-search"])(href, False)
    assert "\n" not in str(caught.value)


def test_a_bearer_token_goes_into_a_header_of_its_own_hosts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "token-of-nobody")
    sign = signing(PROVIDERS["nasa-cmr"])
    url, headers = sign("https://data.lpdaac.earthdatacloud.nasa.gov/a.tif", False)
    assert url == "https://data.lpdaac.earthdatacloud.nasa.gov/a.tif"
    assert headers == {"Authorization": "Bearer token-of-nobody"}
    assert sign("https://example.org/a.tif", False)[1] == {}
