"""The encoding of a text file that does not say it: marks first, UTF-8, then the likeliest of what tables are saved in.

A short table may not reveal its encoding: the answer says what was assumed, and every reader takes it as an option.
"""

import codecs
import re
import unicodedata
from typing import NamedTuple

from app.messages.message import WrongInput, say
from app.utils.normal_form import nfc

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LIKELY = ["cp1251", "koi8_r", "cp866", "cp1252"]
"""What spreadsheets and exports of people's systems write beside UTF-8, in the order of how often they do."""
_SAMPLE = 64 * 1024
_WORD = re.compile(r"[^\W\d_]{2,}")
_RUSSIAN = re.compile("[А-Яа-яЁё]+")
_WESTERN = re.compile("[A-Za-zÀ-ÖØ-öø-ÿŒœŠšŽžŸ]+")


class EncodingError(WrongInput):
    """The file is no text that can be read; the message says why and what to do."""


class Decoded(NamedTuple):
    """A text in normal form, the encoding it had, and whether that one was guessed."""

    text: str
    encoding: str
    guessed: bool


def decode(content: bytes, encoding: str = "") -> Decoded:
    """The text of a file, in the encoding that is given or found. Raises EncodingError."""
    name, guessed = encoding_of(content, encoding)
    return Decoded(nfc(content.decode(name).removeprefix("\ufeff")), name.removesuffix("-sig"), guessed)


def encoding_of(content: bytes, encoding: str = "") -> tuple[str, bool]:
    """The codec that reads a file, and whether it was guessed. Raises EncodingError where none does."""
    name, guessed = (encoding, False) if encoding else _found(content)
    try:
        content.decode(name)
    except LookupError:
        raise EncodingError(
            say("'{encoding}' is no encoding", encoding=encoding[:50]),
            say("use one such as utf-8, utf-16, {likely}", likely=LIKELY),
        ) from None
    except (UnicodeError, ValueError) as error:
        raise EncodingError(
            say("it is no text in {encoding} ({error})", encoding=name, error=error),
            say("name its encoding, or save it as UTF-8"),
        ) from None
    return _with_order(name, content), guessed


def _with_order(name: str, content: bytes) -> str:
    """A wide encoding without a mark of its order of bytes is little-endian, as spreadsheets write it."""
    plain = codecs.lookup(name).name
    if plain in {"utf-16", "utf-32"} and not any(content.startswith(mark) for mark, _ in _MARKS):
        return f"{plain}-le"
    return name


def _found(content: bytes) -> tuple[str, bool]:
    """The encoding, and whether it is a guess. Raises EncodingError."""
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if marked is not None:
        return marked, False
    if b"\x00" in content:
        return _wide(content), True
    try:
        content.decode()
    except UnicodeDecodeError:
        return _likeliest(content), True
    return "utf-8", False


def _wide(content: bytes) -> str:
    """UTF-16 without a mark: every other byte of separators and digits is zero."""
    sample = content[:_SAMPLE]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if len(content) % 2 == 0 and max(even, odd) > len(sample) // 20 and min(even, odd) == 0:
        name = "utf-16-be" if even else "utf-16-le"
        text = sample[: len(sample) // 2 * 2].decode(name, "replace")
        if all(each in "\t\r\n" or unicodedata.category(each) != "Cc" for each in text):
            return name
    raise EncodingError(say("it is no text"), say("send CSV, XLSX, XLS or ODS"))


def _likeliest(content: bytes) -> str:
    """The encoding in which most words look like words; of several, the one that charset-normalizer finds first.

    On a table of a few words it alone finds nothing, or takes Mьller for a name.
    """
    from charset_normalizer import from_bytes  # of use to one file in a hundred

    sample = content[:_SAMPLE]
    scores = {name: score for name in LIKELY if (score := _words(sample, name)) is not None}
    found = [match.encoding for match in from_bytes(sample, cp_isolation=LIKELY)]
    order = [*(name for name in found if name in scores), *(name for name in LIKELY if name in scores)]
    best = max(order, key=lambda name: scores[name], default=None)
    if best is None or (scores[best] <= 0 and best not in found):
        raise EncodingError(
            say("its encoding is none of utf-8, utf-16, {likely}", likely=LIKELY), say("name it")
        )
    return best


def _words(sample: bytes, encoding: str) -> int | None:
    """How many words beside plain ASCII look like words, less what does not; None: it cannot be read."""
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return None
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    signs = sum(
        unicodedata.category(each) in {"Cc", "Sm", "So", "Sk"} for each in text if each > "~" and each != "№"
    )
    return sum(1 if _is_word(word) else -1 for word in words) - signs


def _is_word(word: str) -> bool:
    """One script, and capitals at the beginning or all through: another encoding turns them about."""
    if not (word.islower() or word.isupper() or word.istitle()):
        return False
    return _RUSSIAN.fullmatch(word) is not None or (
        _WESTERN.fullmatch(word) is not None and 2 * sum(each.isascii() for each in word) >= len(word)
    )
