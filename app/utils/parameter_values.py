"""Which values a parameter may have, wherever they come from: the API, a file, another system."""

import math
from typing import Any

from app.messages.message import say

LONGEST_TEXT = 10_000
_LARGEST_INTEGER = 2**53  # beyond it neither JavaScript nor the engine's float64 counts exactly
LONGEST_LIST = 1_000
MOST_KEYS = 200


def storable_values(values: dict[str, Any]) -> dict[str, Any]:
    """Return values by key that PostgreSQL keeps and the engine compares. Raises ValueError for any other."""
    for key, value in values.items():
        if not (0 < len(key) <= 100 and _is_text(key)):
            raise ValueError(say("{key!r} is no key; use 1 to 100 characters", key=key[:100]))
        if not key.strip():
            raise ValueError(say("{key!r} is no key: it is blank", key=key))
        members = value if isinstance(value, list) else (value,)
        if len(members) > LONGEST_LIST or not all(map(_is_scalar, members)):
            raise ValueError(
                say(
                    "{key}: neither a string (up to {longest} characters), a number, true, false, null, "
                    "nor a list of these (up to {most})",
                    key=key,
                    longest=LONGEST_TEXT,
                    most=LONGEST_LIST,
                )
            )
    return values


def _is_scalar(value: object) -> bool:
    if isinstance(value, str):
        return _is_text(value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and abs(value) <= _LARGEST_INTEGER)


def _is_text(value: str) -> bool:
    """Whether PostgreSQL can keep it: no NUL, no lone surrogates."""
    if len(value) > LONGEST_TEXT or "\x00" in value:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
