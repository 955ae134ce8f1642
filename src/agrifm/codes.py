"""Text as people and table programs write it: blanks of any kind, and the composed form of letters."""

import re
import unicodedata

_AT_THE_ENDS = " \t\r\n\v\f\x1c\x1d\x1e\x1f\x85\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff"
_ENDS = re.compile(f"^[{_AT_THE_ENDS}]+|[{_AT_THE_ENDS}]+$")


def tidy(text: str) -> str:
    """The text as Unicode's composed form (NFC), without blanks of any kind and invisible characters at its ends."""
    return unicodedata.normalize("NFC", _ENDS.sub("", text))
