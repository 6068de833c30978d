"""Which tasks or executors a list shows, by values of their parameters: `{"region": "north", "level": {"gte": 3}}`.

Keys, types and options are the catalogue's; values reach the database as values only, never as part of a statement.
A list means any of its members. The words are those of the rule language.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Text, and_, bindparam, false, func, literal, not_, or_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import InstrumentedAttribute

from app.errors import Invalid
from app.messages.message import Message, say
from app.rule_engine import Catalogue
from app.rule_engine.catalogue import Parameter
from app.rule_engine.language import Owner
from app.rule_engine.values import ParameterType
from app.utils.normal_form import nfc_of

MOST_CONDITIONS = 20
MOST_VALUES = 100

Stored: TypeAlias = InstrumentedAttribute[dict[str, Any]]
Test: TypeAlias = ColumnElement[bool]

_ORDERED = {"gt", "gte", "lt", "lte"}
_WORDS = {
    ParameterType.NUMBER: {"eq", "ne", "in", "is_null"} | _ORDERED,
    ParameterType.DATETIME: {"eq", "is_null"},  # as they were written: an order of texts is none of instants
    ParameterType.STRING: {"eq", "ne", "in", "contains", "is_null"},
    ParameterType.ENUM: {"eq", "ne", "in", "is_null"},
    ParameterType.BOOLEAN: {"eq", "ne", "is_null"},
    ParameterType.LIST: {"contains", "in", "is_null"},
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of one parameter."""

    parameter: Parameter
    word: str
    value: Any


def read_filter(text: str, owner: Owner, catalogue: Catalogue) -> list[Condition]:
    """The conditions that a filter states; all must hold. Raises Invalid, naming the key."""
    try:
        given = nfc_of(
            json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_once)
        )
        json.dumps(given, ensure_ascii=False).encode()  # half a character is no text
        if "\0" in text or "\\u0000" in text:
            raise ValueError("NUL")
    except (ValueError, RecursionError) as error:
        raise _invalid("", say("no JSON"), say('send an object, such as {"region": "north"}')) from error
    if not isinstance(given, dict) or len(given) > MOST_CONDITIONS:
        raise _invalid(
            "",
            say("not an object of at most {most} keys", most=MOST_CONDITIONS),
            say('such as {"region": "north"}'),
        )
    return [condition for key, value in given.items() for condition in _of_key(key, value, owner, catalogue)]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _invalid("", say("a key stands twice in one object"), say("keep one of them"))
    return found


def _of_key(key: str, value: Any, owner: Owner, catalogue: Catalogue) -> list[Condition]:
    parameter = catalogue.get(owner, key)
    if parameter is None:
        known = [each.key for each in catalogue.parameters if each.owner == owner] or say("none yet")
        raise _invalid(
            key[:100],
            say("no parameter of a {owner} in this pool", owner=owner),
            say("parameters are: {known}", known=known),
        )
    if not isinstance(value, dict):
        plain = "contains" if parameter.type is ParameterType.LIST else "eq"
        value = {"in" if isinstance(value, list) else plain: value}
    return [_condition(parameter, word, operand, catalogue) for word, operand in value.items()]


def _condition(parameter: Parameter, word: str, value: Any, catalogue: Catalogue) -> Condition:
    words = _WORDS[parameter.type]
    if word not in words:
        raise _invalid(
            parameter.key,
            say("'{word}' does not fit its type", word=word[:50]),
            say("use one of: {known}", known=sorted(words)),
        )
    if word == "is_null":
        if not isinstance(value, bool):
            raise _invalid(
                parameter.key, say("is_null takes true or false"), say("send true for those without a value")
            )
        return Condition(parameter, word, value)
    if word == "in" and not (isinstance(value, list) and 0 < len(value) <= MOST_VALUES):
        raise _invalid(parameter.key, say("not a list"), say("send 1 to {most} values", most=MOST_VALUES))
    for each in value if word == "in" else [value]:
        _check(parameter, word, each, catalogue)
    return Condition(parameter, word, value)


def _check(parameter: Parameter, word: str, value: Any, catalogue: Catalogue) -> None:
    """One value as the catalogue takes it; a bound may lie beyond the catalogue's own."""
    if word in _ORDERED and parameter.type is ParameterType.NUMBER:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _invalid(
                parameter.key, say("{value!r:.50} is no number", value=value), say("send a number")
            )
        return
    asked = [value] if parameter.type is ParameterType.LIST else value
    if value is None:
        raise _invalid(parameter.key, say("null is no value"), say("use is_null"))
    for error in catalogue.check_values(parameter.owner, {parameter.key: asked}, partial=True).errors:
        raise _invalid(parameter.key, error.reason, error.remedy)


def where(stored: Stored, conditions: Sequence[Condition]) -> list[Test]:
    """The tests of a statement, for the column that holds the parameters."""
    return [_test(stored, each) for each in conditions]


def _test(stored: Stored, condition: Condition) -> Test:
    key, value = condition.parameter.key, condition.value
    listed = condition.parameter.type is ParameterType.LIST

    def has(one: Any) -> Test:
        return stored.contains({key: [one] if listed else one})

    match condition.word:
        case "eq":
            return has(value)
        case "ne":
            return not_(has(value))
        case "in":
            return or_(false(), *map(has, value))
        case "contains" if listed:
            return has(value)
        case "contains":
            return func.lower(_text(stored, key)).contains(str(value).lower(), autoescape=True)
        case "is_null":
            missing = func.coalesce(func.jsonb_typeof(stored[key]), "null") == "null"
            return missing if value else not_(missing)
        case _:
            return _ordered(stored, condition)


def _text(stored: Stored, key: str) -> ColumnElement[str]:
    return func.jsonb_extract_path_text(stored, literal(key, Text))


def _ordered(stored: Stored, condition: Condition) -> Test:
    """Compared as jsonb: a stored value of another type is no error, it just is not among them."""
    held, bound = stored[condition.parameter.key], bindparam(None, condition.value, JSONB)
    return and_(func.jsonb_typeof(held) == "number", _COMPARE[condition.word](held, bound))


_COMPARE: Mapping[str, Callable[[Any, Any], Test]] = {
    "gt": lambda held, bound: held > bound,
    "gte": lambda held, bound: held >= bound,
    "lt": lambda held, bound: held < bound,
    "lte": lambda held, bound: held <= bound,
}


def _no_number(name: str) -> float:
    raise ValueError(name)


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(digits)
    return number


def _invalid(key: str, reason: Message, remedy: Message) -> Invalid:
    field = f"parameters.{key}" if key else "parameters"
    return Invalid.at(field, reason, remedy)
