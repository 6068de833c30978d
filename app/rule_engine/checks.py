"""Which operator goes with which types, and which literals go with which field: checked before anything is saved."""

from typing import Any, Final

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
            remedy = "ask whether the list contains a value, or contains_all of several"
            return self._refuse(path, operator, f"{field.path} is a list", remedy)
        if operator in (*ORDERING, "between") and not field.is_ordered:
            reason = f"{field.path} is {_a(field)}: only numbers and datetimes have an order"
            return self._refuse(
                path, operator, reason, "compare with eq or in, or make the parameter a number"
            )
        if operator in MEMBERSHIP and (field.is_list or field.type == ParameterType.DATETIME):
            remedy = "use contains_any" if field.is_list else "use between"
            return self._refuse(path, operator, f"{field.path} is {_a(field)}", remedy)
        if operator == "contains" and not (field.is_list or field.is_text):
            reason = f"{field.path} is {_a(field)}, neither a list nor a string"
            return self._refuse(path, operator, reason, "use eq or in")
        if operator in OVERLAP and not field.is_list:
            return self._refuse(path, operator, f"{field.path} is {_a(field)}, not a list", "use in")
        if operator == "starts_with" and not field.is_text:
            return self._refuse(path, operator, f"{field.path} is {_a(field)}, not a string", "use eq or in")
        return True

    def _refuse(self, path: str, operator: str, reason: str, remedy: str) -> bool:
        self._faults.add(f"{path}.operator", operator, f"{operator} does not go with it: {reason}", remedy)
        return False

    def _flag(self, given: Any, where: str) -> Value:
        if isinstance(given, bool):
            return TRUE if given else FALSE
        self._faults.add(where, given, "neither true nor false", "leave it out: it means true")
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
                where, given, "not a reference", 'send {"field": "task.parameters.x"} or a literal'
            )
            return None
        other = self.field(given["field"], f"{where}.field")
        if other is None:
            return None
        if operator == "between":
            self._faults.add(where, given, "between takes two literals", "use gte and lte, each with a field")
            return None
        wants_list = operator in MEMBERSHIP or operator in OVERLAP
        if wants_list != other.is_list:
            reason = f"{other.path} is {_a(other)}; {operator} needs {'a list' if wants_list else 'a single value'}"
            self._faults.add(
                f"{where}.field", other.path, reason, "refer to another field, or use another operator"
            )
            return None
        # Order and parts of strings need one kind on both sides; equality needs one that both may have.
        same = (
            other.kinds == field.kinds
            if operator in (*ORDERING, "starts_with")
            else other.kinds & field.kinds
        )
        if not same or (operator == "contains" and field.is_text and not other.is_text):
            reason = f"{field.path} has {_kinds(field)}, {other.path} has {_kinds(other)}: they never meet"
            self._faults.add(f"{where}.field", other.path, reason, "refer to a field of the same type")
            return None
        return other

    def _range(self, field: Field, given: Any, where: str) -> Value:
        if not isinstance(given, list) or len(given) != 2:
            self._faults.add(where, given, "between takes two values", 'send "value": [low, high]')
            return None
        low, high = (self._literal(field, each, f"{where}[{index}]") for index, each in enumerate(given))
        if not isinstance(low, int | float) or not isinstance(high, int | float):
            return None
        if low > high:
            self._faults.add(where, given, "the low end is above the high end", "send [low, high]")
            return None
        return low, high

    def _members(self, operator: str, field: Field, given: Any, where: str) -> Value:
        if not isinstance(given, list):
            self._faults.add(where, given, f"{operator} takes a list", 'send "value": [...]')
            return None
        if not 0 < len(given) <= MOST_MEMBERS:
            self._faults.add(where, f"{len(given)} values", f"not 1 to {MOST_MEMBERS} values", "send so many")
            return None
        for index, each in enumerate(given):
            if self._faults.full:
                return None
            self._literal(field, each, f"{where}[{index}]")
        return read_list(given, field.kinds)

    def _literal(self, field: Field, given: Any, where: str) -> Atom | None:
        """One literal as a value of the field, or as a member of its lists."""
        if given is None:
            self._faults.add(where, given, "null equals nothing", 'use {"operator": "is_null"}')
            return None
        atom = _read(field, given)
        if atom is None:
            wanted = _kinds(field)
            self._faults.add(where, given, f"{field.path} has {wanted}, this is not one", f"send {wanted}")
            return None
        if isinstance(given, str) and not _storable(given):
            self._faults.add(where, given, f"longer than {LONGEST_STRING}, or no text", "send a shorter text")
            return None
        if not isinstance(given, str | bool) and abs(given) > LARGEST_NUMBER:
            self._faults.add(
                where, given, f"beyond {LARGEST_NUMBER} no number is exact", "send a smaller one"
            )
            return None
        parameter = self._catalogue.parameter_of(field)
        if parameter is not None and parameter.closed and not parameter.has_option(atom):
            self._faults.add(where, given, f"no option of {field.path}", meant(given, _listed(parameter)))
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
    Kind.STRING: "strings",
    Kind.NUMBER: "numbers",
    Kind.BOOLEAN: "true or false",
    Kind.INSTANT: "datetimes (ISO 8601 with an offset)",
}


def _kinds(field: Field) -> str:
    return " or ".join(_WORDS[kind] for kind in Kind if kind in field.kinds)


def _a(field: Field) -> str:
    return f"{'an' if field.type == ParameterType.ENUM else 'a'} {field.type.value}"
