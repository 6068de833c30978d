"""Which operator goes with which types, and which literals go with which field: checked before anything is saved."""

from typing import Any, Final

from app.messages.message import Message, either, say
from app.rule_engine.catalogue import Catalogue, Parameter
from app.rule_engine.faults import Faults, meant
from app.rule_engine.language import Field
from app.rule_engine.values import (
    FALSE,
    TRUE,
    Atom,
    Kind,
    ParameterType,
    Value,
    read_atom,
    read_instant,
    read_list,
)

MOST_MEMBERS: Final = 1000
LONGEST_STRING: Final = 1000
LARGEST_NUMBER: Final = 2**53
"""Beyond it integers are no longer exact."""

ORDERING = ("gt", "gte", "lt", "lte")
MEMBERSHIP = ("in", "not_in")
OVERLAP = ("contains_any", "contains_all")


class Checker:
    """Checks comparisons against a catalogue and notes what is wrong."""

    def __init__(self, catalogue: Catalogue, faults: Faults) -> None:
        self._catalogue = catalogue
        self._faults = faults

    def operand(self, operator: str, field: Field, given: Any, path: str) -> Field | Value:
        """The other side of a comparison, read and checked; None where it is wrong (and for `is_null`: a flag)."""
        if not self._takes(operator, field, path):
            return None
        where = f"{path}.value"
        if operator == "is_null":
            return self._flag(given, where)
        if isinstance(given, dict):
            return self._reference(operator, field, given, where)
        if operator == "between":
            return self._range(field, given, where)
        if operator in MEMBERSHIP or operator in OVERLAP:
            return self._members(operator, field, given, where)
        return self._literal(field, given, where)

    def _takes(self, operator: str, field: Field, path: str) -> bool:
        """Whether the operator can be asked of this field at all."""
        if operator in ("eq", "ne") and field.is_list:
            remedy = say("ask whether the list contains a value, or contains_all of several")
            return self._refuse(path, operator, say("{path} is a list", path=field.path), remedy)
        if operator in (*ORDERING, "between") and not field.is_ordered:
            reason = say(
                "{path} is {kind}: only numbers and datetimes have an order",
                path=field.path,
                kind=_a(field),
            )
            return self._refuse(
                path, operator, reason, say("compare with eq or in, or make the parameter a number")
            )
        if operator in MEMBERSHIP and (field.is_list or field.type == ParameterType.DATETIME):
            remedy = say("use contains_any") if field.is_list else say("use between")
            return self._refuse(
                path, operator, say("{path} is {kind}", path=field.path, kind=_a(field)), remedy
            )
        if operator == "contains" and not (field.is_list or field.is_text):
            reason = say("{path} is {kind}, neither a list nor a string", path=field.path, kind=_a(field))
            return self._refuse(path, operator, reason, say("use eq or in"))
        if operator in OVERLAP and not field.is_list:
            return self._refuse(
                path,
                operator,
                say("{path} is {kind}, not a list", path=field.path, kind=_a(field)),
                say("use in"),
            )
        if operator == "starts_with" and not field.is_text:
            return self._refuse(
                path,
                operator,
                say("{path} is {kind}, not a string", path=field.path, kind=_a(field)),
                say("use eq or in"),
            )
        return True

    def _refuse(self, path: str, operator: str, reason: Message, remedy: Message) -> bool:
        self._faults.add(
            f"{path}.operator",
            operator,
            say("{operator} does not go with it: {reason}", operator=operator, reason=reason),
            remedy,
        )
        return False

    def _flag(self, given: Any, where: str) -> Value:
        if isinstance(given, bool):
            return TRUE if given else FALSE
        self._faults.add(where, given, say("neither true nor false"), say("leave it out: it means true"))
        return None

    def field(self, path: Any, where: str) -> Field | None:
        """The field that a path names; a fault is noted where there is none."""
        field = self._catalogue.field(path) if isinstance(path, str) else None
        if field is None:
            self._faults.unknown(where, path, "field", self._catalogue.paths())
        return field

    def _reference(self, operator: str, field: Field, given: dict[str, Any], where: str) -> Field | None:
        if given.keys() != {"field"}:
            self._faults.add(
                where, given, say("not a reference"), say('send {"field": "task.parameters.x"} or a literal')
            )
            return None
        other = self.field(given["field"], f"{where}.field")
        if other is None:
            return None
        if operator == "between":
            self._faults.add(
                where, given, say("between takes two literals"), say("use gte and lte, each with a field")
            )
            return None
        wants_list = operator in MEMBERSHIP or operator in OVERLAP
        if wants_list != other.is_list:
            reason = say(
                "{path} is {kind}; {operator} needs {needed}",
                path=other.path,
                kind=_a(other),
                operator=operator,
                needed=say("a list") if wants_list else say("a single value"),
            )
            self._faults.add(
                f"{where}.field", other.path, reason, say("refer to another field, or use another operator")
            )
            return None
        # Order and parts of strings need one kind on both sides; equality needs one that both may have.
        same = (
            other.kinds == field.kinds
            if operator in (*ORDERING, "starts_with")
            else other.kinds & field.kinds
        )
        if not same or (operator == "contains" and field.is_text and not other.is_text):
            reason = say(
                "{path} has {kinds}, {other} has {other_kinds}: they never meet",
                path=field.path,
                kinds=_kinds(field),
                other=other.path,
                other_kinds=_kinds(other),
            )
            self._faults.add(f"{where}.field", other.path, reason, say("refer to a field of the same type"))
            return None
        return other

    def _range(self, field: Field, given: Any, where: str) -> Value:
        if not isinstance(given, list) or len(given) != 2:
            self._faults.add(where, given, say("between takes two values"), say('send "value": [low, high]'))
            return None
        low, high = (self._literal(field, each, f"{where}[{index}]") for index, each in enumerate(given))
        if not isinstance(low, int | float) or not isinstance(high, int | float):
            return None
        if low > high:
            self._faults.add(where, given, say("the low end is above the high end"), say("send [low, high]"))
            return None
        return low, high

    def _members(self, operator: str, field: Field, given: Any, where: str) -> Value:
        if not isinstance(given, list):
            self._faults.add(
                where, given, say("{operator} takes a list", operator=operator), say('send "value": [...]')
            )
            return None
        if not 0 < len(given) <= MOST_MEMBERS:
            self._faults.add(
                where,
                f"{len(given)} values",
                say("not 1 to {most} values", most=MOST_MEMBERS),
                say("send so many"),
            )
            return None
        for index, each in enumerate(given):
            if self._faults.full:
                return None
            self._literal(field, each, f"{where}[{index}]")
        return read_list(given, field.kinds)

    def _literal(self, field: Field, given: Any, where: str) -> Atom | None:
        """One literal as a value of the field, or as a member of its lists."""
        if given is None:
            self._faults.add(where, given, say("null equals nothing"), say('use {"operator": "is_null"}'))
            return None
        atom = _read(field, given)
        if atom is None:
            wanted = _kinds(field)
            self._faults.add(
                where,
                given,
                say("{path} has {kinds}, this is not one", path=field.path, kinds=wanted),
                say("send {kinds}", kinds=wanted),
            )
            return None
        if isinstance(given, str) and not _storable(given):
            self._faults.add(
                where,
                given,
                say("longer than {longest}, or no text", longest=LONGEST_STRING),
                say("send a shorter text"),
            )
            return None
        if not isinstance(given, str | bool) and abs(given) > LARGEST_NUMBER:
            self._faults.add(
                where,
                given,
                say("beyond {largest} no number is exact", largest=LARGEST_NUMBER),
                say("send a smaller one"),
            )
            return None
        parameter = self._catalogue.parameter_of(field)
        if parameter is not None and parameter.closed and not parameter.has_option(atom):
            self._faults.add(
                where, given, say("no option of {path}", path=field.path), meant(given, _listed(parameter))
            )
            return None
        return atom


def _read(field: Field, given: Any) -> Atom | None:
    if field.kinds == {Kind.INSTANT}:
        instant = read_instant(given) if isinstance(given, str) else None
        return instant if isinstance(instant, int) else None
    return read_atom(given, field.kinds)


def _storable(text: str) -> bool:
    """Whether PostgreSQL and every client can keep it: no NUL, no lone surrogates, not too long."""
    if len(text) > LONGEST_STRING or "\x00" in text:
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _listed(parameter: Parameter) -> list[str]:
    return [str(option) for option in parameter.options]


_WORDS = {
    Kind.STRING: say("strings"),
    Kind.NUMBER: say("numbers"),
    Kind.BOOLEAN: say("true or false"),
    Kind.INSTANT: say("datetimes (ISO 8601 with an offset)"),
}


def _kinds(field: Field) -> Message:
    return either(_WORDS[kind] for kind in Kind if kind in field.kinds)


def _a(field: Field) -> str:
    return f"{'an' if field.type == ParameterType.ENUM else 'a'} {field.type.value}"
