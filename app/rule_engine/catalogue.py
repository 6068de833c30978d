"""The parameter catalogue: what is known of tasks and executors, and which values are allowed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from app.engine.types import ParameterValue, Scalar

Owner = Literal["task", "executor"]


class ParameterType(StrEnum):
    """What kind of values a parameter takes."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    ENUM = "enum"
    LIST = "list"


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


@dataclass(frozen=True, slots=True)
class WrongValue:
    """A refused value: the parameter's key, the reason and the remedy."""

    field: str
    reason: str
    remedy: str


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
                checked.errors.append(WrongValue(parameter.key, "required, but missing", "send a value"))


def _wrong(parameter: Parameter, value: Any) -> WrongValue | None:
    expected = _EXPECTED[parameter.type]
    if not _fits(parameter, value):
        return WrongValue(parameter.key, f"{value!r} is not {expected[0]}", expected[1])
    if parameter.options and not parameter.open_options:
        members = value if isinstance(value, list) else [value]
        for member in members:
            if member not in parameter.options:
                listed = ", ".join(map(str, parameter.options[:20]))
                return WrongValue(parameter.key, f"{member!r} is not an option", f"use one of: {listed}")
    if parameter.minimum is not None and isinstance(value, int | float) and value < parameter.minimum:
        return WrongValue(
            parameter.key, f"{value} is below {parameter.minimum}", f"send at least {parameter.minimum}"
        )
    if parameter.maximum is not None and isinstance(value, int | float) and value > parameter.maximum:
        return WrongValue(
            parameter.key, f"{value} is above {parameter.maximum}", f"send at most {parameter.maximum}"
        )
    return None


_EXPECTED = {
    ParameterType.STRING: ("a string", "send a string"),
    ParameterType.ENUM: ("an option", "send one of the options"),
    ParameterType.NUMBER: ("a number", "send a number without quotes"),
    ParameterType.BOOLEAN: ("true or false", "send true or false without quotes"),
    ParameterType.DATETIME: ("an instant", "send ISO 8601 with an offset, such as 2026-01-31T09:00:00Z"),
    ParameterType.LIST: ("a list", "send a list of strings or numbers"),
}


def _fits(parameter: Parameter, value: Any) -> bool:
    match parameter.type:
        case ParameterType.STRING:
            return isinstance(value, str)
        case ParameterType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        case ParameterType.BOOLEAN:
            return isinstance(value, bool)
        case ParameterType.DATETIME:
            return isinstance(value, str) and parse_instant(value) is not None
        case ParameterType.LIST:
            return isinstance(value, list) and all(
                isinstance(member, str | int | float | bool) for member in value
            )
        case ParameterType.ENUM:
            return isinstance(value, str | int | float | bool)


def parse_instant(text: str) -> datetime | None:
    """An ISO 8601 instant with an offset; None for anything else."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else None
