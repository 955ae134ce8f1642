"""Providers: where a catalogue is searched, which products it has, and how their assets are opened.

A provider is a record. A new one is one more record in `PROVIDERS`; its products are records in `products`. What a
record says of credentials is where they stand, never what they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from agrifm.errors import ConfigError
from agrifm.scene.products import PRODUCTS, Product


@dataclass(frozen=True)
class S3Keys:
    """Assets on S3, opened with a pair of keys from the environment or from a profile of ~/.aws/credentials."""

    key_variable: str
    secret_variable: str
    profile: str
    """Profile that is read where the variables are not set; `AWS_PROFILE` names another in place of "default"."""
    region: str
    endpoint: str | None = None
    """Host of the S3 service, with its port where it has one; None is Amazon's."""
    requester_pays: bool = False
    secure: bool = True
    """False speaks HTTP without encryption, for a service on this machine."""


@dataclass(frozen=True)
class BearerToken:
    """Assets behind a login: a token from the environment, or fetched with a user and a password.

    User and password stand in the environment too, or in ~/.netrc (or the file that NETRC names).
    """

    variable: str
    user_variable: str
    password_variable: str
    login: str
    """URL that gives a token for a user and a password (POST, basic authentication)."""
    hosts: tuple[str, ...]
    """The token is sent to these hosts and those below them, to no other."""


@dataclass(frozen=True)
class SasTokens:
    """Blobs whose URLs are signed with a short-lived token per container, which anyone may fetch."""

    url: str
    """A token is at this URL / account / container."""
    hosts: tuple[str, ...]
    """Only URLs of hosts below these are signed."""
    key_variable: str
    """Environment variable of a subscription key; without one, tokens are shorter-lived or slower to come."""
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
    """How assets are opened, by the scheme of their URL ("https", "s3"); what is not named here is open to all."""
    connections: int | None = None
    """Most requests for assets in flight at once, where the provider states a limit; None leaves it to the reader."""

    def product_of(self, collection: str) -> Product | None:
        """The product of a collection, or None."""
        return next((product for product in self.products if product.collection == collection), None)


_LANDSAT_KEYS = S3Keys("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "default", "us-west-2", requester_pays=True)


def _products(*names: str) -> tuple[Product, ...]:
    return tuple(PRODUCTS[name] for name in names)


PROVIDERS = {
    provider.name: provider
    for provider in (
        # github.com/Element84/earth-search, README: open COGs; Landsat stands in the bucket of USGS, the reader pays.
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
    """The provider of that name.

    Raises:
        ConfigError: no provider has that name; the nearest known name is in the message.
    """
    if name in PROVIDERS:
        return PROVIDERS[name]
    near = get_close_matches(name, PROVIDERS, n=1, cutoff=0)[0]
    raise ConfigError(f"unknown provider {name!r}; did you mean {near!r}? Known providers: {', '.join(PROVIDERS)}")
