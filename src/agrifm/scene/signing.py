"""Signed URLs: a short-lived token per container, fetched when an asset is read and renewed before it expires."""

import os
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from urllib.request import Request

from agrifm.errors import SceneError
from agrifm.scene.access import ask, is_host_of, remember
from agrifm.scene.providers import Provider, SasTokens

MARGIN = timedelta(seconds=60)
"""A token that expires sooner is renewed (the margin of the provider's own library, planetary-computer, sas.py)."""


@dataclass(frozen=True)
class _Token:
    expiry: datetime
    text: str = field(repr=False)

    @property
    def is_fresh(self) -> bool:
        return self.expiry - datetime.now(UTC) > MARGIN


_tokens: dict[tuple[str, str, str], _Token] = {}
_lock = threading.Lock()


def signed(href: str, provider: Provider, renew: bool = False) -> str:
    """The URL with which an asset is read now; unchanged where the provider signs no such URLs.

    Call it for every read: a signed URL expires, in some regions within minutes, and must not be stored.

    Args:
        renew: fetch a new token even if the one at hand should still be good (the provider refused it).

    Raises:
        SceneError: the token service cannot be reached, or gives tokens that have expired already.
    """
    access = provider.access.get(urlsplit(href).scheme)
    if not isinstance(access, SasTokens) or not is_host_of(href, access.hosts):
        return href
    parts = urlsplit(href)
    account, container = (parts.hostname or "").split(".")[0], parts.path.strip("/").split("/")[0]
    if account in access.open_accounts or "sig=" in parts.query:
        return href
    return f"{href}{'&' if parts.query else '?'}{_token(access, account, container, provider, renew)}"


def _token(access: SasTokens, account: str, container: str, provider: Provider, renew: bool) -> str:
    key = (access.url, account, container)
    with _lock:
        held = _tokens.get(key)
        if held is None or not held.is_fresh or renew:
            held = _fetched(access, account, container, provider)
            if not held.is_fresh:  # pre-expired tokens are handed out at times: ask once more
                held = _fetched(access, account, container, provider)
            if not held.is_fresh:
                _tokens.pop(key, None)
                raise SceneError(
                    f"signing assets of '{provider.name}' (container {account}/{container}): its tokens have expired "
                    f"when they come (at {held.expiry:%Y-%m-%d %H:%M} UTC), twice; check this machine's clock, then "
                    "try again later"
                )
            _tokens[key] = held
        return held.text


def _fetched(access: SasTokens, account: str, container: str, provider: Provider) -> _Token:
    about = f"signing assets of '{provider.name}' (container {account}/{container})"
    subscription = os.environ.get(access.key_variable, "")
    headers = {"Ocp-Apim-Subscription-Key": remember(subscription)} if subscription else {}
    answer = ask(Request(f"{access.url}/{account}/{container}", headers=headers), about)
    text, expiry = answer.get("token"), answer.get("msft:expiry")
    try:
        moment = datetime.fromisoformat(str(expiry))
    except ValueError:
        raise SceneError(
            f"{about}: the token service states no readable expiry ({expiry!r}); try again later"
        ) from None
    if not isinstance(text, str) or not text:
        raise SceneError(f"{about}: the token service sent no token; try again later")
    remember(text)
    for part in text.split("&"):
        if part.startswith("sig="):
            remember(part.removeprefix("sig="))
    return _Token(moment if moment.tzinfo else moment.replace(tzinfo=UTC), text)
