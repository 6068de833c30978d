"""Values as rules compare them: one form per kind, so that equal means equal and absent means absent.

A raw value comes from JSON or a database row. Read under the type that the catalogue gives it, it becomes

    string    str, compared code point by code point
    number    float: integers up to 2**53 and decimals of up to 15 significant digits are exact; true is no number
    boolean   TRUE or FALSE, equal to no number
    datetime  int, microseconds since 1970 in UTC: parsed once, equal instants are equal whatever their offsets
    enum      a string, number or boolean of the kinds that its options have
    list      a sorted tuple of different strings, numbers and booleans; other members are left out

and None where it is absent or is not of its type. Nothing here can raise, whatever is stored.
"""

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeAlias

from app.engine.types import Scalar

Atom: TypeAlias = str | float | int | tuple[str]
Value: TypeAlias = Atom | tuple[Atom, ...] | None

TRUE: Final = ("true",)
FALSE: Final = ("false",)
OTHER: Final = ("other",)
"""Any string that no rule names and no executor has: rules cannot tell these apart."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class ParameterType(StrEnum):
    """The type of a parameter's values."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    ENUM = "enum"
    LIST = "list"


class Kind(StrEnum):
    """The kind of a single value; values of different kinds are never equal."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    INSTANT = "instant"


ANY_KIND = frozenset({Kind.STRING, Kind.NUMBER, Kind.BOOLEAN})
TEXT = frozenset({Kind.STRING})
NUMBERS = frozenset({Kind.NUMBER})
INSTANTS = frozenset({Kind.INSTANT})

_KINDS = {
    ParameterType.STRING: TEXT,
    ParameterType.NUMBER: NUMBERS,
    ParameterType.BOOLEAN: frozenset({Kind.BOOLEAN}),
    ParameterType.DATETIME: INSTANTS,
}


def kinds_of(type_: ParameterType, options: Iterable[Scalar] = ()) -> frozenset[Kind]:
    """The kinds that values of this type, or members of this list, can have."""
    if type_ in _KINDS:
        return _KINDS[type_]
    return frozenset(kind_of(option) for option in options if option is not None) or ANY_KIND


def kind_of(raw: str | float | bool) -> Kind:
    """The kind of one raw value."""
    if isinstance(raw, bool):
        return Kind.BOOLEAN
    return Kind.STRING if isinstance(raw, str) else Kind.NUMBER


def read_string(raw: Any) -> Value:
    """A string, or None."""
    return raw if isinstance(raw, str) else None


def read_number(raw: Any) -> Value:
    """The nearest float64, or None; there is no negative zero."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal):
        return None
    try:
        number = float(raw)
    except (OverflowError, ValueError):
        return None
    return (number or 0.0) if math.isfinite(number) else None


def read_boolean(raw: Any) -> Value:
    """TRUE or FALSE, or None."""
    return None if not isinstance(raw, bool) else TRUE if raw else FALSE


def read_instant(raw: Any) -> Value:
    """Microseconds since 1970 of an ISO 8601 string with an offset or of an aware datetime, or None."""
    instant = parse_instant(raw) if isinstance(raw, str) else raw
    if not isinstance(instant, datetime) or instant.tzinfo is None:
        return None
    return (instant - _EPOCH) // _MICROSECOND


def read_atom(raw: Any, kinds: frozenset[Kind] = ANY_KIND) -> Atom | None:
    """A string, number or boolean of these kinds, or None."""
    if isinstance(raw, str):
        return raw if Kind.STRING in kinds else None
    if isinstance(raw, bool):
        return (TRUE if raw else FALSE) if Kind.BOOLEAN in kinds else None
    number = read_number(raw) if Kind.NUMBER in kinds else None
    return number if isinstance(number, float) else None


def read_list(raw: Any, kinds: frozenset[Kind] = ANY_KIND) -> tuple[Atom, ...] | None:
    """The different members of these kinds, sorted, or None where it is no list."""
    if not isinstance(raw, list | tuple):
        return None
    atoms = {atom for member in raw if (atom := read_atom(member, kinds)) is not None}
    try:
        return tuple(sorted(atoms))
    except TypeError:  # of different kinds
        return tuple(sorted(atoms, key=_place))


def _place(atom: Atom) -> tuple[str, Atom]:
    return type(atom).__name__, atom


_READERS: dict[ParameterType, Callable[[Any], Value]] = {
    ParameterType.STRING: read_string,
    ParameterType.NUMBER: read_number,
    ParameterType.BOOLEAN: read_boolean,
    ParameterType.DATETIME: read_instant,
}


def reader_of(type_: ParameterType, kinds: frozenset[Kind]) -> Callable[[Any], Value]:
    """The function that turns raw values of this type into values."""
    if type_ in _READERS:
        return _READERS[type_]
    if type_ == ParameterType.LIST:
        return lambda raw: read_list(raw, kinds)
    return lambda raw: read_atom(raw, kinds)


def parse_instant(text: str) -> datetime | None:
    """An ISO 8601 instant with an offset; None for anything else."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else None


def instant_of(microseconds: int) -> str:
    """ISO 8601 of an instant as it is compared."""
    try:
        return (_EPOCH + microseconds * _MICROSECOND).isoformat()
    except OverflowError:
        return f"{microseconds} us from 1970"
