"""The parameter catalogue: what is known of tasks and executors, and which values are allowed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.engine.types import ParameterValue, Scalar
from app.messages.message import Message, either, say
from app.rule_engine.language import BUILT_IN, Field, Owner
from app.rule_engine.values import (
    Atom,
    Kind,
    ParameterType,
    kind_of,
    kinds_of,
    parse_instant,
    read_atom,
    read_number,
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of tasks or executors; `options` bound an enum or the members of a list."""

    owner: Owner
    key: str
    type: ParameterType
    label_ru: str = ""
    label_en: str = ""
    options: tuple[Scalar, ...] = ()
    required: bool = False
    default: ParameterValue = None
    minimum: float | None = None
    maximum: float | None = None
    open_options: bool = False
    deprecated: bool = False

    kinds: frozenset[Kind] = field(init=False, repr=False, compare=False)
    """The kinds that its values, or the members of its lists, can have."""
    _atoms: frozenset[Atom | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the options once: each value of each task is looked up among them."""
        object.__setattr__(self, "kinds", kinds_of(self.type, self.options))
        object.__setattr__(self, "_atoms", frozenset(map(read_atom, self.options)))

    @property
    def closed(self) -> bool:
        """Whether no other value than its options is taken."""
        return bool(self.options) and not self.open_options

    def has_option(self, value: Scalar | Atom) -> bool:
        """Whether a value, raw or read, is one of the options; true is not 1."""
        return (value if isinstance(value, tuple) else read_atom(value)) in self._atoms


@dataclass(frozen=True, slots=True)
class WrongValue:
    """A refused value: the parameter's key, the reason and the remedy."""

    field: str
    reason: Message
    remedy: Message


@dataclass(frozen=True, slots=True)
class Checked:
    """Values as they are kept, keys that the catalogue does not know, and what is wrong."""

    values: dict[str, ParameterValue]
    unknown: list[str] = field(default_factory=list)
    errors: list[WrongValue] = field(default_factory=list)


class Catalogue:
    """The parameters of a pool."""

    def __init__(self, parameters: Sequence[Parameter] = ()) -> None:
        self.parameters = tuple(parameters)
        self._by_key = {(parameter.owner, parameter.key): parameter for parameter in self.parameters}

    def get(self, owner: Owner, key: str) -> Parameter | None:
        """The parameter with this key; None where there is none."""
        return self._by_key.get((owner, key))

    def field(self, path: str) -> Field | None:
        """The field that a path names; None where there is none."""
        if path in BUILT_IN:
            owner, _, name = path.partition(".")
            type_ = BUILT_IN[path]
            return Field.make(_owner(owner), name, False, type_, kinds_of(type_))
        owner, _, rest = path.partition(".")
        first, _, key = rest.partition(".")
        if owner not in ("task", "executor") or first != "parameters":
            return None
        parameter = self.get(_owner(owner), key)
        if parameter is None:
            return None
        return Field.make(parameter.owner, key, True, parameter.type, parameter.kinds)

    def paths(self, owner: Owner | None = None) -> list[str]:
        """Every path that a condition may name, or those of one owner."""
        known = [f"{each.owner}.parameters.{each.key}" for each in self.parameters] + list(BUILT_IN)
        return [path for path in known if owner is None or path.startswith(owner + ".")]

    def parameter_of(self, field: Field) -> Parameter | None:
        """The parameter behind a field; None for the built-in ones."""
        return self.get(field.owner, field.name) if field.parameter else None

    def check_values(self, owner: Owner, values: Mapping[str, Any], *, partial: bool = False) -> Checked:
        """Check values against the catalogue; with `partial`, what is required may be left out.

        Unknown keys are kept and reported, defaults filled in, known keys of a wrong type refused.
        """
        checked = Checked(dict(values))
        for key, value in values.items():
            parameter = self.get(owner, key)
            if parameter is None:
                checked.unknown.append(key)
            elif value is not None and (error := _wrong(parameter, value)):
                checked.errors.append(error)
        if not partial:
            self._fill(owner, checked)
        return checked

    def _fill(self, owner: Owner, checked: Checked) -> None:
        for parameter in self.parameters:
            if parameter.owner != owner or checked.values.get(parameter.key) is not None:
                continue
            if parameter.default is not None:
                checked.values[parameter.key] = parameter.default
            elif parameter.required:
                checked.errors.append(
                    WrongValue(parameter.key, say("required, but missing"), say("send a value"))
                )


def _owner(text: str) -> Owner:
    return "task" if text == "task" else "executor"


def _wrong(parameter: Parameter, value: Any) -> WrongValue | None:
    expected = _EXPECTED[parameter.type]
    if not _fits(parameter, value):
        return WrongValue(
            parameter.key,
            say("{value} is not {kind}", value=_short(value), kind=expected[0]),
            expected[1],
        )
    if parameter.type in (ParameterType.ENUM, ParameterType.LIST):
        return _wrong_option(parameter, value if isinstance(value, list) else [value])
    if parameter.minimum is not None and value < parameter.minimum:
        return WrongValue(
            parameter.key,
            say("{value} is below {minimum}", value=value, minimum=parameter.minimum),
            say("send at least {minimum}", minimum=parameter.minimum),
        )
    if parameter.maximum is not None and value > parameter.maximum:
        return WrongValue(
            parameter.key,
            say("{value} is above {maximum}", value=value, maximum=parameter.maximum),
            say("send at most {maximum}", maximum=parameter.maximum),
        )
    return None


def _wrong_option(parameter: Parameter, members: list[Any]) -> WrongValue | None:
    """A closed parameter takes its options only; an open one any value of their kinds."""
    for member in members:
        if parameter.closed and not parameter.has_option(member):
            known = [str(option) for option in parameter.options[:20]]
            return WrongValue(
                parameter.key,
                say("{value} is not an option", value=_short(member)),
                say("use one of: {known}", known=known),
            )
        if kind_of(member) not in parameter.kinds:
            kinds = either(sorted(parameter.kinds))
            return WrongValue(
                parameter.key,
                say("{value} is a {kind}", value=_short(member), kind=kind_of(member)),
                say("send a {kind}", kind=kinds),
            )
    return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


_EXPECTED = {
    ParameterType.STRING: ("a string", say("send a string")),
    ParameterType.ENUM: ("an option", say("send one of the options")),
    ParameterType.NUMBER: ("a number", say("send a number without quotes")),
    ParameterType.BOOLEAN: ("true or false", say("send true or false without quotes")),
    ParameterType.DATETIME: ("an instant", say("send ISO 8601 with an offset, such as 2026-01-31T09:00:00Z")),
    ParameterType.LIST: ("a list", say("send a list of strings or numbers")),
}


def _fits(parameter: Parameter, value: Any) -> bool:
    match parameter.type:
        case ParameterType.STRING:
            return isinstance(value, str)
        case ParameterType.NUMBER:
            return _is_number(value)
        case ParameterType.BOOLEAN:
            return isinstance(value, bool)
        case ParameterType.DATETIME:
            return isinstance(value, str) and parse_instant(value) is not None
        case ParameterType.LIST:
            return isinstance(value, list) and all(_is_single(member) for member in value)
        case ParameterType.ENUM:
            return _is_single(value)


def _is_single(value: Any) -> bool:
    return isinstance(value, str | bool) or _is_number(value)


def _is_number(value: Any) -> bool:
    """Whether it is one that float64 can keep."""
    return isinstance(read_number(value), float)
