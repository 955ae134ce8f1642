"""Addresses of assets: which provider serves a product's, how each is signed when it is read, and how many at once."""

import logging
import threading
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from agrifm.errors import SceneError
from agrifm.scene.access import session_options
from agrifm.scene.products import Product
from agrifm.scene.providers import PROVIDERS, Provider
from agrifm.scene.remote import AT_ONCE, Address, Sign, Turn, unsigned
from agrifm.scene.signing import signed

S3_SECONDS = 900
"""How long a signed S3 URL is good for; each is used once, at once."""


def provider_of(product: Product) -> Provider | None:
    """The provider whose encoding a product is; None for files of one's own."""
    return next((one for one in PROVIDERS.values() if any(own.name == product.name for own in one.products)), None)


def signing(provider: Provider | None) -> Sign:
    """The function that signs this provider's addresses, for every request anew.

    It raises SceneError where credentials are absent or refused by the token service.
    """

    def sign(href: str, renew: bool = False) -> Address:
        on_s3 = urlsplit(href).scheme == "s3"
        if provider is None or (on_s3 and "s3" not in provider.access):
            if on_s3:
                raise SceneError(f"opening {href}: no provider is known that has keys for it; use its https address")
            return unsigned(href)
        options = session_options(provider, href)
        if on_s3:
            return _presigned(href, options)
        name, _, value = options.get("GDAL_HTTP_HEADERS", "").partition(": ")
        return signed(href, provider, renew), {name: value} if name else {}

    return sign


def turn_of(provider: Provider | None) -> Turn:
    """What is held while an asset of a provider is asked for: `Provider.connections` at once in this process."""
    if provider is None or provider.connections is None:
        return AT_ONCE
    return _semaphore(provider.name, provider.connections)


@lru_cache
def _semaphore(provider: str, connections: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(connections)


def _presigned(href: str, options: dict[str, str]) -> Address:
    """The https address of an S3 object, signed (AWS Signature Version 4, query parameters)."""
    parts = urlsplit(href)
    wanted = {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}
    headers = {}
    if "AWS_REQUEST_PAYER" in options:
        wanted["RequestPayer"] = options["AWS_REQUEST_PAYER"]
        headers["x-amz-request-payer"] = options["AWS_REQUEST_PAYER"]  # is signed, and must be sent as a header
    client = _s3_client(tuple(sorted(options.items())))
    from botocore.exceptions import BotoCoreError

    try:
        return str(client.generate_presigned_url("get_object", wanted, S3_SECONDS)), headers
    except BotoCoreError as error:
        reason = str(error).splitlines()[-1]
        raise SceneError(f"opening {href}: it is no address on S3 ({reason}); repair the item") from error


@lru_cache(maxsize=8)
def _s3_client(options: tuple[tuple[str, str], ...]) -> Any:
    try:
        import botocore.session
        from botocore.config import Config
    except ImportError as error:
        raise SceneError(
            "reading assets on S3: the library that signs their addresses is missing; install it with "
            "`pip install 'agrifm[s3]'`"
        ) from error
    logging.getLogger("botocore.auth").setLevel(logging.WARNING)  # below, it logs keys and signatures
    given = dict(options)
    endpoint = given.get("AWS_S3_ENDPOINT")
    scheme = "http" if given.get("AWS_HTTPS") == "NO" else "https"
    style = "path" if given.get("AWS_VIRTUAL_HOSTING") == "FALSE" else "auto"
    return botocore.session.Session().create_client(
        "s3",
        region_name=given["AWS_REGION"],
        endpoint_url=f"{scheme}://{endpoint}" if endpoint else None,
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=given.get("AWS_SESSION_TOKEN"),
        config=Config(signature_version="s3v4", s3={"addressing_style": style}),
    )
