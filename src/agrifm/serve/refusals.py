"""Requests that are refused: the status of HTTP and a sentence; and numbers of a request within their bounds."""

from collections.abc import Mapping
from math import isfinite

NO_SUCH = 404
TOO_LARGE = 413
WRONG = 422


class RefusedRequestError(Exception):
    """A request that is answered with a status from 400 to 499.

    Args:
        status: of HTTP.
        sentence: what was wrong, for the page.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def number_of(query: Mapping[str, str], name: str, least: float, most: float) -> float:
    """A number of a query.

    Raises:
        RefusedRequestError: it is absent, not a number, or out of bounds.
    """
    text = query.get(name, "")
    try:
        value = float(text) if len(text) <= 40 else float("nan")
    except ValueError:
        value = float("nan")
    if not (isfinite(value) and least <= value <= most):
        raise RefusedRequestError(WRONG, f"{name} must be a number from {least:g} to {most:g}")
    return value


def place_of(query: Mapping[str, str]) -> tuple[float, float]:
    """Longitude and latitude of a query, degrees.

    Raises:
        RefusedRequestError: one is absent or out of bounds.
    """
    return number_of(query, "lon", -180, 180), number_of(query, "lat", -90, 90)


def index_of(text: str) -> int:
    """A whole number of an address, 0 or more.

    Raises:
        RefusedRequestError: it is something else, or has more than 9 digits.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise RefusedRequestError(NO_SUCH, "an address has whole numbers")
    return int(text)


def numbers_of(text: str, most: int) -> frozenset[int]:
    """Numbers 0 to 255 separated by commas; an empty text has none.

    Raises:
        RefusedRequestError: one is something else, or there are more than `most`.
    """
    parts = text.split(",") if text else []
    if len(parts) > most or not all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts):
        raise RefusedRequestError(WRONG, "give class numbers from 0 to 255, separated by commas")
    return frozenset(int(part) for part in parts)
