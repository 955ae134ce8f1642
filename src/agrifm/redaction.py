"""What may be shown: messages, log records and tracebacks without credentials, signatures and passwords in URLs."""

import logging
import re
import traceback
from urllib.parse import quote, quote_plus

HIDDEN = "***"
MIN_SECRET_LENGTH = 6
"""Characters from which `redacted` removes a secret: a shorter one is part of many words."""
_URL = re.compile(
    r"(?i)(?<![\w+.-])((?:https?|s3|ftp):/*|(?!file:)[a-z][a-z0-9+.-]+:/+)([^\s\"'<>]*[^\s\"'<>:;,.!?)\]}])"
)
_HEADER = re.compile(
    r"(?i)\b(?:Authorization|Cookie|X-Api-Key|Ocp-Apim-Subscription-Key|X-Amz-Security-Token)\b['\"]?\s*[:=]\s*"
    r"(?:b?'[^']*'|b?\"[^\"]*\"|(?:[^\s;,]+;\s*)*(?:Bearer |Basic )?[^\s,]+)|\b(?:Bearer|Basic) [A-Za-z0-9+/_.=~-]{6,}"
)
_QUERY = re.compile(r"\?[\w.~%-]+=[^\s\"']*")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^:@\[\]]*)(?::\d*)?")
_secrets: set[str] = set()


def remember(secret: str) -> str:
    """Return a secret, which `redacted` removes from now on, also line by line, percent-encoded and escaped."""
    for text in {secret, *secret.splitlines()}:
        if len(text.strip()) >= MIN_SECRET_LENGTH:
            plain = text.strip()
            _secrets.update((text, plain, quote(plain, safe=""), quote(plain), quote_plus(plain), repr(plain)[1:-1]))
    return secret


def redacted(text: str) -> str:
    """Return a text without any secret that this process read, and without users and queries of URLs."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _URL.sub(lambda match: _without_secrets(match[1], match[2], HIDDEN), text)
    return _QUERY.sub(f"?{HIDDEN}", _HEADER.sub(HIDDEN, text))


def redacted_traceback(error: BaseException) -> str:
    """Return the traceback of an error, and of what caused it, as text without secrets."""
    return redacted("".join(traceback.format_exception(error)))


def shown(href: str) -> str:
    """Return an address for messages and records: without query, fragment and user, which may hold secrets.

    Any text is accepted: what is not a URL is returned without control characters.
    """
    text = re.sub(r"[\x00-\x1f\x7f]+", "" if "://" in href else " ", href)
    match = _URL.match(text)
    return _without_secrets(match[1], match[2] + text[match.end() :], "") if match else text


def _without_secrets(scheme: str, rest: str, mark: str) -> str:
    """A URL without user, query and fragment; `mark` stands for a query that was removed."""
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    after = rest[len(host) :]
    if "@" in host and "@" not in after and _HOST.fullmatch(host.rpartition("@")[2]):
        rest = host.rpartition("@")[2] + after
    elif "@" in host or not _HOST.fullmatch(host):  # a password may hold / ? # and @
        rest = rest.rpartition("@")[2] if "@" in rest else HIDDEN
    address, *query = re.split(r"[?#]", rest, maxsplit=1)
    return f"{scheme}{address}{f'?{mark}' if query and mark else ''}"


class RedactingFilter(logging.Filter):
    """Removes secrets from the records of a logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), ()
        if record.exc_info is not None and record.exc_info[1] is not None:
            record.exc_text = redacted_traceback(record.exc_info[1])
        return True
