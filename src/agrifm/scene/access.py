"""Credentials from the environment and the standard files, and how GDAL opens what needs them.

Nothing here is kept in a record, a log, a cube or a message: secrets are read when an asset is opened, given to GDAL
or sent to their own host, and known to `redacted`, which takes them out of any text.
"""

import base64
import configparser
import json
import netrc
import os
import threading
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from agrifm.errors import SceneError
from agrifm.scene.providers import Access, BearerToken, Provider, S3Keys, SasTokens

TIMEOUT = 30
"""Seconds to wait for an answer of a token service."""
HIDDEN = "***"
SHORTEST = 6
"""Characters of a secret that `redacted` looks for: a shorter one is in many words."""

_seen: set[str] = set()
_tokens: dict[tuple[str, str], str] = {}
_lock = threading.Lock()


def session_options(provider: Provider, href: str) -> dict[str, str]:
    """GDAL configuration options with which an asset is opened; empty where it is open to all, or signed in its URL.

    The keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN are refused by `rasterio.Env` as options;
    a session must hand them over. Source of the names: gdal.org, "GDAL Virtual File Systems", /vsis3/ and /vsicurl/.

    Args:
        href: URL of the asset, s3:// or https://.

    Raises:
        SceneError: credentials are needed and absent, or refused by the token service.
    """
    access = _access(provider, href)
    if isinstance(access, S3Keys):
        return _s3_options(access, provider, href)
    if isinstance(access, BearerToken) and is_host_of(href, access.hosts):
        return {"GDAL_HTTP_HEADERS": f"Authorization: Bearer {_bearer(access, provider)}"}
    return {}


def what_is_needed(provider: Provider, href: str) -> str:
    """What would open an asset that was refused, as the end of a message about it."""
    access = _access(provider, href)
    if access is None:
        return f"'{provider.name}' asks for no credentials, so it may have moved the asset; search again"
    if isinstance(access, SasTokens):
        return f"'{provider.name}' refuses its own signatures; try again later, or set {access.key_variable}"
    return f"'{provider.name}' refuses the credentials that were found; check them: {_places(access)}"


def credentials_present(provider: Provider) -> dict[str, str]:
    """Per scheme of URLs, whether credentials were found, and where: never what they are."""
    return {scheme: _found(access) for scheme, access in provider.access.items()}


def redacted(text: str) -> str:
    """A text without any secret that was read by this process, and without the signature of a signed URL."""
    for secret in sorted(_seen, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def remember(secret: str) -> str:
    """A secret, which `redacted` hides from now on."""
    if len(secret) >= SHORTEST:
        _seen.add(secret)
    return secret


def is_host_of(href: str, hosts: tuple[str, ...]) -> bool:
    """True where a URL's host is one of these or below one of them."""
    host = urlsplit(href).netloc.rpartition("@")[2]
    name = urlsplit(href).hostname or ""
    return any(host == own or name == own or name.endswith(f".{own}") for own in hosts)


def _access(provider: Provider, href: str) -> Access | None:
    return provider.access.get(urlsplit(href).scheme)


def _places(access: S3Keys | BearerToken) -> str:
    """Where credentials are looked for."""
    if isinstance(access, S3Keys):
        return (
            f"set {access.key_variable} and {access.secret_variable}, or write the profile [{_profile(access)}] into "
            "~/.aws/credentials"
        )
    return (
        f"set {access.variable}, or {access.user_variable} and {access.password_variable}, or write a line for "
        f"{urlsplit(access.login).hostname} into ~/.netrc"
    )


def _found(access: Access) -> str:
    if isinstance(access, SasTokens):
        return "present (environment)" if os.environ.get(access.key_variable) else "not needed"
    if isinstance(access, BearerToken):
        if os.environ.get(access.variable) or _environment_login(access):
            return "present (environment)"
        return "present (~/.netrc)" if _netrc_login(access) else "absent"
    if os.environ.get(access.key_variable) and os.environ.get(access.secret_variable):
        return "present (environment)"
    return "present (~/.aws/credentials)" if _profile_keys(access) else "absent"


def _s3_options(access: S3Keys, provider: Provider, href: str) -> dict[str, str]:
    key, secret = os.environ.get(access.key_variable, ""), os.environ.get(access.secret_variable, "")
    session = os.environ.get("AWS_SESSION_TOKEN", "") if access.key_variable.startswith("AWS_") else ""
    if not (key and secret):
        keys = _profile_keys(access)
        if keys is None:
            raise SceneError(f"opening {href} of '{provider.name}': there are no S3 keys; {_places(access)}")
        key, secret, session = keys
    options = {
        "AWS_ACCESS_KEY_ID": remember(key),
        "AWS_SECRET_ACCESS_KEY": remember(secret),
        "AWS_REGION": access.region,
    }
    if session:
        options["AWS_SESSION_TOKEN"] = remember(session)
    if access.requester_pays:
        options["AWS_REQUEST_PAYER"] = "requester"
    if access.endpoint is not None:
        options |= {
            "AWS_S3_ENDPOINT": access.endpoint,
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_HTTPS": "YES" if access.secure else "NO",
        }
    return options


def _profile(access: S3Keys) -> str:
    return os.environ.get("AWS_PROFILE", access.profile) if access.profile == "default" else access.profile


def _profile_keys(access: S3Keys) -> tuple[str, str, str] | None:
    """Key, secret and session token of the profile ("" without one), or None."""
    path = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", Path.home() / ".aws" / "credentials"))
    file = configparser.RawConfigParser()
    try:
        file.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        raise SceneError(
            f"reading {path}: it is no file of AWS profiles; write [profile] and key = value lines"
        ) from None
    if not file.has_section(_profile(access)):
        return None
    section = file[_profile(access)]
    key, secret = section.get("aws_access_key_id", ""), section.get("aws_secret_access_key", "")
    return (key, secret, section.get("aws_session_token", "")) if key and secret else None


def _environment_login(access: BearerToken) -> tuple[str, str] | None:
    """User and password of the environment, or None."""
    user, password = os.environ.get(access.user_variable, ""), os.environ.get(access.password_variable, "")
    return (user, password) if user and password else None


def _netrc_login(access: BearerToken) -> tuple[str, str] | None:
    """User and password of the login's host in ~/.netrc (or the file that NETRC names), or None."""
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        found = netrc.netrc(path).authenticators(urlsplit(access.login).hostname or "")
    except FileNotFoundError:
        return None
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
        raise SceneError(
            f"reading {path}: it is no netrc file; write 'machine HOST login USER password WORD'"
        ) from None
    return None if found is None or not found[2] else (found[0], found[2])


def _bearer(access: BearerToken, provider: Provider) -> str:
    token = os.environ.get(access.variable, "").strip()
    if token:
        return remember(token)
    login = _environment_login(access) or _netrc_login(access)
    if login is None:
        raise SceneError(f"opening assets of '{provider.name}': there is no token; {_places(access)}")
    with _lock:
        key = (access.login, login[0])
        if key not in _tokens:
            _tokens[key] = remember(_fetch_token(access, provider, *login))
        return _tokens[key]


def _fetch_token(access: BearerToken, provider: Provider, user: str, password: str) -> str:
    host = urlsplit(access.login).hostname
    basic = base64.b64encode(f"{user}:{remember(password)}".encode()).decode()
    headers = {"Authorization": f"Basic {remember(basic)}"}
    answer = ask(Request(access.login, method="POST", headers=headers), f"logging in at {host} for '{provider.name}'")
    token = answer.get("access_token")
    if not isinstance(token, str) or not token:
        raise SceneError(
            f"logging in at {host} for '{provider.name}': its answer has no access_token; {_places(access)}"
        )
    return token


def ask(request: Request, about: str) -> dict[str, object]:
    """The JSON object that a token service answers.

    Raises:
        SceneError: it cannot be reached, refuses, or answers something else; no secret is in the message.
    """
    try:
        with urlopen(request, timeout=TIMEOUT) as response:
            answer = json.loads(response.read())
    except HTTPError as error:
        error.close()
        reason = "the user or the password is wrong" if error.code in (401, 403) else "try again later"
        raise SceneError(f"{about}: it answered HTTP {error.code}; {reason}") from None
    except (URLError, TimeoutError, OSError):
        raise SceneError(f"{about}: it cannot be reached; check the network and try again") from None
    except ValueError:
        raise SceneError(f"{about}: its answer is no JSON; try again later") from None
    if not isinstance(answer, dict):
        raise SceneError(f"{about}: its answer is no JSON object; try again later")
    return answer
