"""Access to providers: credentials, and the signed URL of an asset.

Credentials come from the environment and the standard files. They are read when an asset is opened and sent to their
own hosts only; no record, log, cube or message holds them, since `agrifm.redaction` removes them from any text.
"""

import base64
import json
import logging
import netrc
import os
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agrifm.errors import SceneError, require_installed
from agrifm.redaction import RedactingFilter, remember, shown
from agrifm.scene.providers import Access, BearerToken, Provider, S3Keys, SasTokens
from agrifm.scene.remote import UNLIMITED, Limiter, RemoteError, SignedURL, Signer, request, unsigned

S3_SECONDS = 900
"""How long a signed S3 URL is valid; each is used once, immediately."""
SAS_MARGIN = timedelta(seconds=60)
"""A token that expires sooner is renewed (the margin of the provider's own library, planetary-computer, sas.py)."""
PROFILE_KEYS = {"aws_access_key_id", "credential_process", "role_arn", "sso_session", "sso_start_url"}
"""Keys of a profile in AWS's files that lead to credentials."""


@dataclass(frozen=True)
class _KeyPair:
    """Keys of an S3 account, as botocore needs them."""

    key: str = field(repr=False)
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _SasToken:
    expiry: datetime
    text: str = field(repr=False)

    @property
    def is_fresh(self) -> bool:
        return self.expiry - datetime.now(UTC) > SAS_MARGIN


_REDACTING = RedactingFilter()
_bearer_tokens: dict[tuple[str, str], str] = {}
_sas_tokens: dict[tuple[str, str, str], _SasToken] = {}
_aws_credentials: dict[str, Any] = {}
"""By profile, what AWS's chain found; botocore renews credentials that expire."""
_profile_keys: dict[str, _KeyPair] = {}
"""Keys of other providers' profiles: the files are read once, not for every request."""
_bearer_lock, _sas_lock, _aws_lock = threading.Lock(), threading.Lock(), threading.Lock()


def signer_of(provider: Provider | None) -> Signer:
    """Return the function that signs this provider's URLs, anew for every request.

    The function raises SceneError if credentials are absent, or if the token service refuses them.
    """

    def sign(href: str, renew: bool = False) -> SignedURL:
        access = None if provider is None else _access(provider, href)
        is_on_s3 = urlsplit(href).scheme == "s3"
        if is_on_s3 and not isinstance(access, S3Keys):
            raise SceneError(
                f"opening {shown(href)}: no provider with S3 keys serves it; use its https URL", href=shown(href)
            )
        if provider is None or access is None:
            return unsigned(href)
        if isinstance(access, S3Keys):
            return _presigned(href, access, provider) if is_on_s3 else unsigned(href)
        if isinstance(access, BearerToken):
            is_theirs = is_host_of(href, access.hosts)
            return href, {"Authorization": f"Bearer {_bearer_token(access, provider)}"} if is_theirs else {}
        return with_sas_token(href, provider, renew), {}

    return sign


def limiter_of(provider: Provider | None) -> Limiter:
    """Return what limits a provider's requests for assets: `Provider.connections` at once in this process."""
    if provider is None or provider.connections is None:
        return UNLIMITED
    return _semaphore(provider.name, provider.connections)


@lru_cache
def _semaphore(provider: str, connections: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(connections)


def what_is_needed(provider: Provider, href: str) -> str:
    """Say what would open an asset that the server refused, as the end of a message."""
    access = _access(provider, href)
    if access is None:
        return f"'{provider.name}' needs no credentials, so it may have moved the asset; search again"
    if isinstance(access, SasTokens):
        return f"'{provider.name}' refuses its own signatures; try again later, or set {access.key_variable}"
    return f"'{provider.name}' refuses the credentials; check them: {_where_to_put(access)}"


def credentials_present(provider: Provider) -> dict[str, str]:
    """Say per URL scheme whether credentials exist and where, never what they are. No server is asked."""
    return {scheme: _location(access) for scheme, access in provider.access.items()}


def is_host_of(href: str, hosts: tuple[str, ...]) -> bool:
    """Return True if a URL's host is one of these hosts or a subdomain of one."""
    address = urlsplit(href).netloc.rpartition("@")[2]
    name = urlsplit(href).hostname or ""
    return any(address == host or name == host or name.endswith(f".{host}") for host in hosts)


def _access(provider: Provider, href: str) -> Access | None:
    return provider.access.get(urlsplit(href).scheme)


def _where_to_put(access: S3Keys | BearerToken) -> str:
    """Where credentials are looked for, as an instruction."""
    if isinstance(access, S3Keys):
        return (
            f"set {access.key_variable} and {access.secret_variable}, or write the profile [{_profile(access)}] into "
            "~/.aws/credentials"
        )
    return (
        f"set {access.variable}, or {access.user_variable} and {access.password_variable}, or write a line for "
        f"{urlsplit(access.login).hostname} into ~/.netrc"
    )


def _location(access: Access) -> str:
    if isinstance(access, SasTokens):
        return "present (environment)" if os.environ.get(access.key_variable) else "not needed"
    if isinstance(access, BearerToken):
        if os.environ.get(access.variable) or _environment_login(access):
            return "present (environment)"
        return "present (~/.netrc)" if _netrc_login(access) else "absent"
    if _environment_keys(access):
        return "present (environment)"
    try:
        profile = _aws_profile(_profile(access))
    except ImportError:  # without botocore, AWS's files are of no use
        return "absent"
    return "present (~/.aws/credentials)" if profile.keys() & PROFILE_KEYS else "absent"


# S3: keys from the environment or by botocore, and signed URLs


def _presigned(href: str, access: S3Keys, provider: Provider) -> SignedURL:
    """The https URL of an S3 object, signed (AWS Signature Version 4, query parameters)."""
    require_installed("reading assets on S3", "s3", "botocore", kind=SceneError)
    from botocore.exceptions import BotoCoreError

    keys = _s3_keys(access)
    if keys is None:
        raise SceneError(f"opening {shown(href)} of '{provider.name}': there are no S3 keys; {_where_to_put(access)}")
    parts = urlsplit(href)
    parameters = {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}
    headers = {}
    if access.requester_pays:
        parameters["RequestPayer"] = "requester"
        headers["x-amz-request-payer"] = "requester"  # part of the signature, and S3 expects it as a header
    try:
        return str(_s3_client(keys, access).generate_presigned_url("get_object", parameters, S3_SECONDS)), headers
    except BotoCoreError as error:
        reason = str(error).splitlines()[-1]
        raise SceneError(
            f"opening {shown(href)}: not a valid S3 URL ({reason}); repair the item", href=shown(href)
        ) from error


@lru_cache(maxsize=8)
def _s3_client(keys: _KeyPair, access: S3Keys) -> Any:
    from botocore.config import Config

    scheme = "https" if access.secure else "http"
    style = "auto" if access.endpoint is None else "path"  # other services have no host name per bucket
    return _aws_session().create_client(
        "s3",
        region_name=access.region,
        endpoint_url=None if access.endpoint is None else f"{scheme}://{access.endpoint}",
        aws_access_key_id=keys.key,
        aws_secret_access_key=keys.secret,
        aws_session_token=keys.session_token,
        config=Config(signature_version="s3v4", s3={"addressing_style": style}),
    )


def _s3_keys(access: S3Keys) -> _KeyPair | None:
    """The keys of the environment, else of the profile; for Amazon, whatever AWS's credential chain finds."""
    keys = _environment_keys(access)
    if keys is None and access.profile == "default":
        keys = _chain_keys(_profile(access))
    elif keys is None and access.profile in _profile_keys:
        keys = _profile_keys[access.profile]
    elif keys is None:
        # not by the chain: it would go on to the roles of this machine, which must not reach another provider
        profile = _aws_profile(access.profile)
        key, secret = profile.get("aws_access_key_id"), profile.get("aws_secret_access_key")
        if key and secret:
            keys = _profile_keys[access.profile] = _KeyPair(key, secret, profile.get("aws_session_token"))
    for secret in () if keys is None else (keys.key, keys.secret, keys.session_token or ""):
        remember(secret)
    return keys


def _environment_keys(access: S3Keys) -> _KeyPair | None:
    key, secret = os.environ.get(access.key_variable), os.environ.get(access.secret_variable)
    token = os.environ.get("AWS_SESSION_TOKEN") if access.key_variable.startswith("AWS_") else None
    return _KeyPair(key, secret, token or None) if key and secret else None


def _profile(access: S3Keys) -> str:
    return os.environ.get("AWS_PROFILE", access.profile) if access.profile == "default" else access.profile


def _chain_keys(profile: str) -> _KeyPair | None:
    """What AWS's credential chain finds: files, single sign-on, roles of a container or a machine."""
    from botocore.exceptions import BotoCoreError, PartialCredentialsError, ProfileNotFound

    try:
        with _aws_lock:
            if profile not in _aws_credentials:
                _aws_profile(profile)  # refuses files that cannot be parsed
                credentials = _aws_session().get_credentials()
                if credentials is None:
                    return None
                _aws_credentials[profile] = credentials
            current = _aws_credentials[profile].get_frozen_credentials()
    except (PartialCredentialsError, ProfileNotFound):
        return None
    except BotoCoreError as error:  # its text may hold what a credential process printed
        raise SceneError(
            f"reading the AWS profile [{profile}]: {type(error).__name__}; log in again, or repair the profile"
        ) from None
    return _KeyPair(current.access_key, current.secret_key, current.token)


def _aws_profile(name: str) -> dict[str, Any]:
    """One profile of ~/.aws/credentials and ~/.aws/config; {} without it."""
    session = _aws_session()
    from botocore.exceptions import ConfigParseError

    try:
        return dict(session.full_config["profiles"].get(name, {}))
    except ConfigParseError as error:
        path = error.kwargs.get("path")
        raise SceneError(
            f"reading {path}: not a valid AWS credentials file; write [profile] and key = value lines", path=path
        ) from None


def _aws_session() -> Any:
    import botocore.session

    for name in ("auth", "endpoint", "parsers"):  # below warnings, they log keys, signatures and answers
        logging.getLogger(f"botocore.{name}").setLevel(logging.WARNING)
        logging.getLogger(f"botocore.{name}").addFilter(_REDACTING)
    return botocore.session.Session()


# Bearer tokens: from the environment, or from a login service


def _bearer_token(access: BearerToken, provider: Provider) -> str:
    token = os.environ.get(access.variable, "").strip()
    if token:
        return _one_line(token, f"the token in {access.variable}")
    login = _environment_login(access) or _netrc_login(access)
    if login is None:
        raise SceneError(f"opening assets of '{provider.name}': there is no token; {_where_to_put(access)}")
    with _bearer_lock:
        key = (access.login, login[0])
        if key not in _bearer_tokens:
            token = _log_in(access, provider, *login)
            _bearer_tokens[key] = _one_line(token, f"the token of {urlsplit(access.login).hostname}")
        return _bearer_tokens[key]


def _one_line(secret: str, what: str) -> str:
    """Return a secret that is sent in a header; refuse one that cannot be, without naming it."""
    if not (remember(secret).isascii() and secret.isprintable()):
        raise SceneError(f"reading credentials: {what} has a line break or another character that cannot be sent")
    return secret


def _environment_login(access: BearerToken) -> tuple[str, str] | None:
    """User and password of the environment, or None."""
    user, password = os.environ.get(access.user_variable, ""), os.environ.get(access.password_variable, "")
    return (user, password) if user and password else None


def _netrc_login(access: BearerToken) -> tuple[str, str] | None:
    """User and password of the login's host in ~/.netrc (or the file that NETRC names), or None."""
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        entry = netrc.netrc(path).authenticators(urlsplit(access.login).hostname or "")
    except FileNotFoundError:
        return None
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
        raise SceneError(
            f"reading {path}: not a valid netrc file; write 'machine HOST login USER password WORD'", path=path
        ) from None
    return None if entry is None or not entry[2] else (entry[0], entry[2])


def _log_in(access: BearerToken, provider: Provider, user: str, password: str) -> str:
    about = f"logging in at {urlsplit(access.login).hostname} for '{provider.name}'"
    basic = base64.b64encode(f"{user}:{remember(password)}".encode()).decode()
    headers = {"Authorization": f"Basic {remember(basic)}"}
    token = _request_json(access.login, headers, about, method="POST").get("access_token")
    if not isinstance(token, str) or not token:
        raise SceneError(f"{about}: the answer has no access_token; {_where_to_put(access)}")
    return token


# SAS tokens: one per container, which anyone may request


def with_sas_token(href: str, provider: Provider, renew: bool = False) -> str:
    """Return the URL with which a blob is read now; unchanged if the provider does not sign such URLs.

    Call it for every read: a signed URL expires, in some regions within minutes, and must not be stored.

    Args:
        renew: request a new token even if the current one has not expired, because the server refused it.

    Raises:
        SceneError: the token service cannot be reached, or its tokens have expired already.
    """
    access = _access(provider, href)
    if not isinstance(access, SasTokens) or not is_host_of(href, access.hosts):
        return href
    parts = urlsplit(href)
    account, container = (parts.hostname or "").split(".")[0], parts.path.strip("/").split("/")[0]
    if account in access.open_accounts or "sig=" in parts.query:
        return href
    return f"{href}{'&' if parts.query else '?'}{_sas_token(access, account, container, provider, renew)}"


def _sas_token(access: SasTokens, account: str, container: str, provider: Provider, renew: bool) -> str:
    key = (access.url, account, container)
    about = f"signing assets of '{provider.name}' (container {account}/{container})"
    with _sas_lock:
        token = _sas_tokens.get(key)
        if token is None or not token.is_fresh or renew:
            token = _request_sas_token(access, account, container, about)
            if not token.is_fresh:  # the service answers with expired tokens at times: ask once more
                token = _request_sas_token(access, account, container, about)
            if not token.is_fresh:
                _sas_tokens.pop(key, None)
                raise SceneError(
                    f"{about}: two tokens in a row had expired already (at {token.expiry:%Y-%m-%d %H:%M} UTC); check "
                    "this machine's clock, then try again later"
                )
            _sas_tokens[key] = token
        return token.text


def _request_sas_token(access: SasTokens, account: str, container: str, about: str) -> _SasToken:
    subscription = os.environ.get(access.key_variable, "")
    own = _one_line(subscription, f"the key in {access.key_variable}") if subscription else ""
    headers = {"Ocp-Apim-Subscription-Key": own} if subscription else {}
    answer = _request_json(f"{access.url}/{account}/{container}", headers, about)
    text, expiry = answer.get("token"), answer.get("msft:expiry")
    try:
        moment = datetime.fromisoformat(str(expiry))
    except ValueError:
        raise SceneError(f"{about}: the token's expiry {expiry!r} is not a date; try again later") from None
    if not isinstance(text, str) or not text:
        raise SceneError(f"{about}: the answer has no token; try again later")
    _one_line(text, f"the token for {account}/{container}")
    for part in text.split("&"):
        if part.startswith("sig="):
            remember(part.removeprefix("sig="))
    return _SasToken(moment if moment.tzinfo else moment.replace(tzinfo=UTC), text)


def _request_json(url: str, headers: dict[str, str], about: str, method: str = "GET") -> dict[str, object]:
    """The JSON object that a token service answers; no secret is in the message of an error."""
    try:
        answer = json.loads(request(url, headers=headers, method=method).body)
    except RemoteError as error:
        remedy = "check the user and the password" if error.refused else "check the network, or try again later"
        raise SceneError(f"{about}: {error}; {remedy}") from None
    except ValueError:
        raise SceneError(f"{about}: the answer is not JSON; try again later") from None
    if not isinstance(answer, dict):
        raise SceneError(f"{about}: the answer is not a JSON object; try again later")
    return answer
