"""Providers: where a catalogue is searched, which products it has, and how their assets are opened.

A provider is a record; a new provider is one more record in `PROVIDERS`, and its products are records in `products`. A
record says where credentials are looked for; it never holds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agrifm.errors import ConfigError, did_you_mean
from agrifm.scene.products import PRODUCTS, Product


@dataclass(frozen=True)
class S3Keys:
    """Assets on S3: the pair of keys comes from the environment, or from a profile of AWS's own files."""

    key_variable: str
    secret_variable: str
    profile: str
    """Profile that is read if the variables are not set. "default" means AWS's whole credential chain, in which
    the variable AWS_PROFILE may choose another profile."""
    region: str
    endpoint: str | None = None
    """Host of the S3 service, with its port if it has one; None is Amazon's."""
    requester_pays: bool = False
    secure: bool = True
    """False uses HTTP without encryption, for a service on this machine."""


@dataclass(frozen=True)
class BearerToken:
    """Assets behind a login: a token from the environment, or fetched with a user and a password.

    User and password come from the environment, or from ~/.netrc (or the file that NETRC names).
    """

    variable: str
    user_variable: str
    password_variable: str
    login: str
    """URL that returns a token for a user and a password (POST, basic authentication)."""
    hosts: tuple[str, ...]
    """The token is sent to these hosts and their subdomains only."""


@dataclass(frozen=True)
class SasTokens:
    """Blobs whose URLs are signed with a short-lived token per container, which anyone may fetch."""

    url: str
    """The token of a container is at this URL / account / container."""
    hosts: tuple[str, ...]
    """Only URLs of these hosts and their subdomains are signed."""
    key_variable: str
    """Environment variable of a subscription key; without a key, tokens expire sooner or are rate-limited."""
    open_accounts: tuple[str, ...] = ()
    """Storage accounts that need no token."""


Access = S3Keys | BearerToken | SasTokens


@dataclass(frozen=True)
class Provider:
    """Who serves products."""

    name: str
    title: str
    url: str
    """Landing page of its STAC API."""
    products: tuple[Product, ...]
    access: Mapping[str, Access] = field(default_factory=dict)
    """How assets are opened, by the scheme of their URL ("https", "s3"); URLs of other schemes need no credentials."""
    connections: int | None = None
    """Largest number of concurrent requests for assets that the provider allows; None for no limit of its own."""


_LANDSAT_KEYS = S3Keys("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "default", "us-west-2", requester_pays=True)


def _products(*names: str) -> tuple[Product, ...]:
    return tuple(PRODUCTS[name] for name in names)


PROVIDERS = {
    provider.name: provider
    for provider in (
        # github.com/Element84/earth-search, README: open COGs; Landsat is in the bucket of USGS, where the reader pays.
        Provider(
            name="earth-search",
            title="Earth Search v1 (Element 84)",
            url="https://earth-search.aws.element84.com/v1",
            products=_products("sentinel-2-c1-l2a", "sentinel-2-l2a-earth-search", "landsat-c2-l2"),
            access={"s3": _LANDSAT_KEYS},
        ),
        # github.com/microsoft/planetary-computer-sdk-for-python, sas.py and settings.py: token URL, hosts, variable.
        Provider(
            name="planetary-computer",
            title="Microsoft Planetary Computer",
            url="https://planetarycomputer.microsoft.com/api/stac/v1",
            products=_products(
                "sentinel-2-l2a-planetary-computer",
                "landsat-c2-l2-planetary-computer",
                "hls-l30-planetary-computer",
                "hls-s30-planetary-computer",
                "modis-09A1-061",
                "modis-09A1-061-qc",
                "modis-13Q1-061",
            ),
            access={
                "https": SasTokens(
                    url="https://planetarycomputer.microsoft.com/api/sas/v1/token",
                    hosts=("blob.core.windows.net",),
                    key_variable="PC_SDK_SUBSCRIPTION_KEY",
                    open_accounts=("ai4edatasetspublicassets",),
                )
            },
        ),
        # documentation.dataspace.copernicus.eu, APIs/S3: endpoint, region, keys from the S3 keys manager; and Quotas,
        # Copernicus General Users: "Number of concurrent connections limit (IAD)" is 4 for OData, STAC and S3.
        Provider(
            name="cdse",
            title="Copernicus Data Space Ecosystem",
            url="https://stac.dataspace.copernicus.eu/v1/",
            products=_products("sentinel-2-l2a-cdse"),
            access={
                "s3": S3Keys(
                    key_variable="CDSE_S3_ACCESS_KEY",
                    secret_variable="CDSE_S3_SECRET_KEY",
                    profile="cdse",
                    region="default",
                    endpoint="eodata.dataspace.copernicus.eu",
                )
            },
            connections=4,
        ),
        # urs.earthdata.nasa.gov, documentation for users, "User Token Management": find_or_create_token, with the user
        # and the password by basic authentication. github.com/nsidc/earthaccess, auth.py: EARTHDATA_TOKEN goes before
        # EARTHDATA_USERNAME and EARTHDATA_PASSWORD; NETRC or ~/.netrc with a line for urs.earthdata.nasa.gov.
        Provider(
            name="nasa-cmr",
            title="NASA CMR STAC, LP DAAC",
            url="https://cmr.earthdata.nasa.gov/stac/LPCLOUD",
            products=_products("hls-l30-nasa-cmr", "hls-s30-nasa-cmr"),
            access={
                "https": BearerToken(
                    variable="EARTHDATA_TOKEN",
                    user_variable="EARTHDATA_USERNAME",
                    password_variable="EARTHDATA_PASSWORD",
                    login="https://urs.earthdata.nasa.gov/api/users/find_or_create_token",
                    hosts=("earthdata.nasa.gov", "earthdatacloud.nasa.gov"),
                )
            },
        ),
    )
}


def find_provider(name: str) -> Provider:
    """Return the provider of that name.

    Raises:
        ConfigError: no provider has that name; the message suggests the nearest known name.
    """
    if name in PROVIDERS:
        return PROVIDERS[name]
    raise ConfigError(
        f"unknown provider {name!r}{did_you_mean(name, PROVIDERS)} Known providers: {', '.join(PROVIDERS)}", name=name
    )


def provider_of(product: Product) -> Provider | None:
    """Return the provider that serves a product, or the one that it is described to be like; None for local files."""
    names = {product.name, (product.description or {}).get("like")}
    return next(
        (provider for provider in PROVIDERS.values() if names & {known.name for known in provider.products}), None
    )
