"""Text in one form: Unicode's NFC, in which "й" is one character however a keyboard or a file system writes it.

Values that look alike are compared as bytes by PostgreSQL, by rules and by unique indexes; so there must be one form of
each. Everything that comes in passes here: bodies, query parameters, files, the external system.
"""

import re
import unicodedata
from typing import Any

from app.messages.message import Message, WrongInput, say

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180e\u2800\u3164\uffa0")
"""Characters that show nothing and are neither spaces nor format characters."""
_JOINERS = frozenset("\u200c\u200d")
"""Format characters that words of some scripts are written with."""
_ESCAPED = re.compile(r"\\u(?!00|04(?!8[3-7]))")
"""Escapes of JSON beside those of Latin and Cyrillic letters, which are in normal form whatever stands beside them."""


class DoubledKey(ValueError):
    """Two keys of one object are the same in normal form."""


def nfc(text: str) -> str:
    """A text in normal form."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def nfc_of(value: Any) -> Any:
    """A value of JSON with all its texts and keys in normal form. Raises DoubledKey."""
    if isinstance(value, str):
        return nfc(value)
    if isinstance(value, list):
        return [nfc_of(each) for each in value]
    if isinstance(value, dict):
        found = {nfc(key): nfc_of(each) for key, each in value.items()}
        if len(found) != len(value):
            raise DoubledKey(say("two keys of one object differ only in how their letters are composed"))
        return found
    return value


def is_nfc_json(text: str) -> bool:
    """Whether a JSON text surely holds normal form only; False: look at its values."""
    if "\\u" in text:
        return text.isascii() and _ESCAPED.search(text) is None
    return text.isascii() or unicodedata.is_normalized("NFC", text)


def visible(name: str) -> str:
    """A name in normal form. Raises ValueError for one that cannot be told from others by looking at it."""
    reason = _unseen(name)
    if reason is not None:
        raise WrongInput(reason, say("use visible characters"))
    return nfc(name)


def _unseen(text: str) -> Message | None:
    if text.isascii():
        return None if text.strip() else say("it is blank")
    if not any(unicodedata.category(each)[0] in "LNPS" and each not in _BLANK for each in text):
        return say("it shows nothing")
    hidden = next((each for each in text if _is_hidden(each)), None)
    return None if hidden is None else say("it holds an invisible character, U+{code:04X}", code=ord(hidden))


def _is_hidden(character: str) -> bool:
    if character in _BLANK:
        return True
    return unicodedata.category(character) == "Cf" and character not in _JOINERS
