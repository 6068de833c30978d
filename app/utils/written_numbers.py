"""Numbers and yes-or-no as people write them in tables. A cell that can be read in two ways is refused, never guessed.

A comma before three digits is thousands to one reader and decimals to another: the other cells of its column decide,
and where they do not, nobody does.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from app.messages.message import WrongInput, say

_SPACES = re.compile("[ \u00a0\u2007\u2009\u202f']")
_GROUPED_BY_SPACE = re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u2007\u2009\u202f']\d{3})+(?:[.,]\d+)?")
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+|[+-]?\d+,", re.ASCII)
_DOUBTFUL = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_COMMA_GROUPS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_DOT_GROUPS = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?", re.ASCII)

TRUE = frozenset({"true", "t", "1", "1.0", "yes", "y", "on", "да", "д", "вкл", "+", "истина"})
FALSE = frozenset({"false", "f", "0", "0.0", "no", "n", "off", "нет", "н", "выкл", "-", "\u2212", "ложь"})


class Separators(NamedTuple):
    """What the cells of a column that can be read in one way only say of the comma."""

    comma_is_decimal: bool
    comma_groups: bool


NOT_SAID = Separators(comma_is_decimal=False, comma_groups=False)


def separators_of(cells: Iterable[object]) -> Separators:
    """What a column says by its clear cells."""
    texts = [_bare(cell) for cell in cells if isinstance(cell, str)]
    decimal = any(_clearly_decimal(text) for text in texts)
    groups = any(
        _COMMA_GROUPS.fullmatch(text) is not None and not _DOUBTFUL.fullmatch(text) for text in texts
    )
    return Separators(decimal, groups)


def _clearly_decimal(text: str) -> bool:
    if "," in text and _DOT_GROUPS.fullmatch(text):
        return True
    return _DECIMAL_COMMA.fullmatch(text) is not None and not _DOUBTFUL.fullmatch(text)


def number_of(cell: object, column: Separators = NOT_SAID) -> int | float:
    """The number in a cell. Raises ValueError, saying what to write instead."""
    if isinstance(cell, bool):
        raise WrongInput(say("'{cell}' is yes or no, and no number", cell=cell), say("write digits"))
    if isinstance(cell, int | float):
        return cell
    text = _bare(cell)
    digits = _digits(text, column)
    if digits is None:
        raise _no_number(str(cell).strip(), text)
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(say("'{cell}' is too large", cell=cell))
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def percent_of(cell: object, column: Separators = NOT_SAID) -> int | float:
    """The number in a cell, where 85% is 0.85. Raises ValueError."""
    if isinstance(cell, str) and cell.strip().endswith("%"):
        return number_of(cell.strip().removesuffix("%").strip(), column) / 100
    return number_of(cell, column)


def _bare(cell: object) -> str:
    """Without spaces that group thousands, with a plain minus."""
    text = str(cell).strip().replace("\u2212", "-")
    return _SPACES.sub("", text) if _GROUPED_BY_SPACE.fullmatch(text) else text


def _digits(text: str, column: Separators) -> str | None:
    """As Python writes it; None: not clear, or no number."""
    if _PLAIN.fullmatch(text):
        return text
    if _DOUBTFUL.fullmatch(text):
        if column.comma_is_decimal is column.comma_groups:
            return None
        return text.replace(",", "." if column.comma_is_decimal else "")
    if _DECIMAL_COMMA.fullmatch(text):
        return text.replace(",", ".")
    if _COMMA_GROUPS.fullmatch(text):
        return text.replace(",", "")
    if _DOT_GROUPS.fullmatch(text):
        return text.replace(".", "").replace(",", ".")
    return None


def _no_number(cell: str, text: str) -> WrongInput:
    if _DOUBTFUL.fullmatch(text):
        whole, _, rest = text.partition(",")
        reason = say(
            "'{cell}' may be {whole} or {fraction}", cell=cell, whole=whole + rest, fraction=f"{whole}.{rest}"
        )
        return WrongInput(reason, say("write one of these"))
    if cell.endswith("%"):
        return WrongInput(
            say("'{cell}' is a percentage, which is no amount", cell=cell), say("write a plain number")
        )
    return WrongInput(
        say("'{cell}' is no number", cell=cell[:50]),
        say("write digits only, with one dot or comma before decimals"),
    )


def boolean_of(cell: object) -> bool:
    """Yes or no. Raises ValueError, listing the words."""
    word = str(cell).strip().casefold()
    if word in TRUE or word in FALSE:
        return word in TRUE
    raise WrongInput(
        say("'{cell}' is neither yes nor no", cell=str(cell)[:50]), say("write yes, no, да, нет, 1 or 0")
    )
