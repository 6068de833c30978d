"""The rule language as the constructor speaks it: which fields there are, which operators fit, a rule in words."""

from dataclasses import dataclass, field
from typing import Any

from streamlit_app.client import Json
from streamlit_app.parts import catalogue
from streamlit_app.parts.notices import plain
from streamlit_app.words import t

LISTED = ("between", "in", "not_in", "contains_any", "contains_all")
"""Operators whose value is a list."""

OPERATORS = {
    "number": ("eq", "ne", "gt", "gte", "lt", "lte", "between", "in", "not_in", "is_null"),
    "string": ("eq", "ne", "in", "not_in", "contains", "starts_with", "is_null"),
    "boolean": ("eq", "ne", "is_null"),
    "datetime": ("gt", "gte", "lt", "lte", "between", "eq", "is_null"),
    "enum": ("eq", "ne", "in", "not_in", "is_null"),
    "list": ("contains", "contains_any", "contains_all", "is_null"),
}
_OWN = {
    "task": {"priority": "number", "weight": "number", "deadline": "datetime", "external_id": "string",
             "created_at": "datetime"},
    "executor": {"daily_limit": "number", "max_open": "number", "qualification": "number", "name": "string",
                 "external_id": "string"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RuleField:
    """A field that rules may read."""

    path: str
    owner: str
    type: str
    label: str
    parameter: Json = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Label with its owner, which is what may be cut off."""
        return f"{self.label} ({t('common.owner.' + self.owner)})"


def fields_of(parameters: list[Json]) -> dict[str, RuleField]:
    """All fields by path: parameters first, then what every task and executor has."""
    known = {}
    for owner in ("task", "executor"):
        for each in parameters:
            if each["owner"] == owner:
                path = f"{owner}.parameters.{each['key']}"
                known[path] = RuleField(path, owner, each["type"], catalogue.label(each), each)
        for name, kind in _OWN[owner].items():
            known[f"{owner}.{name}"] = RuleField(
                f"{owner}.{name}", owner, kind, t(f"rules.field.{owner}.{name}")
            )
    return known


def partners(one: RuleField, operator: str, fields: dict[str, RuleField]) -> list[RuleField]:
    """Fields that this one can be compared with."""
    if operator in {"between", "is_null", "starts_with"}:
        return []
    wanted = {
        "list": {"list"} if operator in {"contains_any", "contains_all"} else {"enum", "string", "number"},
        "enum": {"list"} if operator in {"in", "not_in"} else {"enum", "string"},
        "string": {"list"} if operator in {"in", "not_in"} else {"enum", "string"},
        "number": {"list"} if operator in {"in", "not_in"} else {"number"},
        "boolean": {"boolean"},
        "datetime": {"datetime"},
    }[one.type]
    return [each for each in fields.values() if each.type in wanted and each.path != one.path]


def fresh(fields: dict[str, RuleField]) -> Json:
    """A new comparison to begin with."""
    first = next(iter(fields.values()))
    operator = OPERATORS[first.type][0]
    return {"operator": operator, "field": first.path, "value": default_value(first, operator)}


def default_value(one: RuleField, operator: str) -> Any:
    """A value of the right kind, to begin with."""
    if operator == "is_null":
        return True
    options = [option["value"] for option in one.parameter.get("options", ())]
    if operator == "between":
        return [0, 10] if one.type == "number" else ["2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z"]
    if operator in LISTED:
        return options[:1]
    if options:
        return options[0]
    return {"number": 1, "boolean": True, "datetime": "2026-01-01T00:00:00Z"}.get(one.type, "")


def told(condition: Any, fields: dict[str, RuleField]) -> str:
    """A condition in words."""
    try:
        return _told(condition, fields)
    except (KeyError, TypeError, AttributeError):
        return "…"


def in_words(document: Json, fields: dict[str, RuleField]) -> str:
    """A document as sentences."""
    lines = [f"**{t('rules.conditions')}**"]
    lines += [f"- {plain(told(each, fields))}" for each in document.get("conditions", ())]
    for name in ("weights", "task_weights"):
        weights = [each for each in document.get(name, ()) if isinstance(each, dict)]
        if weights:
            lines += ["", f"**{t('rules.' + name)}**"]
            lines += [
                f"- ×{each.get('weight')}: {plain(told(each.get('condition'), fields))}" for each in weights
            ]
    return "\n".join(lines)


def _told(condition: Json, fields: dict[str, RuleField]) -> str:
    operator = condition["operator"]
    if operator in {"and", "or"}:
        inner = [_told(each, fields) for each in condition["conditions"]]
        return "(" + f" {t('rules.word.' + operator)} ".join(inner) + ")"
    if operator == "not":
        return f"{t('rules.word.not')} {_told(condition['condition'], fields)}"
    one = fields.get(condition["field"])
    name = one.shown if one else condition["field"]
    if operator == "is_null":
        return f"{name} {t('rules.word.is_null' if condition.get('value') is not False else 'rules.word.is_given')}"
    return f"{name} {t('rules.op.' + operator)} {_value(condition.get('value'), one, fields)}"


def _value(value: Any, one: RuleField | None, fields: dict[str, RuleField]) -> str:
    if isinstance(value, dict):
        other = fields.get(value.get("field", ""))
        return other.shown if other else str(value.get("field"))
    parameter = one.parameter if one and one.parameter else None
    return catalogue.shown(value, parameter)


def templates(parameters: list[Json]) -> list[tuple[str, Json]]:
    """Conditions that this catalogue suggests: a task's value among an executor's, a demand that an executor meets."""
    tasks, people = catalogue.of_owner(parameters, "task"), catalogue.of_owner(parameters, "executor")
    made: list[tuple[str, Json]] = []
    for theirs in people:
        for ours in tasks:
            first, second = (
                f"executor.parameters.{theirs['key']}",
                {"field": f"task.parameters.{ours['key']}"},
            )
            name = f"{catalogue.label(theirs)} ↔ {catalogue.label(ours)}"
            if _same_options(ours, theirs) and theirs["type"] == "list" and ours["type"] == "enum":
                made.append((name, {"name": name, "operator": "contains", "field": first, "value": second}))
            elif _same_options(ours, theirs) and theirs["type"] == ours["type"] == "enum":
                made.append((name, {"name": name, "operator": "eq", "field": first, "value": second}))
            elif theirs["type"] == ours["type"] == "number" and _same_bounds(ours, theirs):
                name = f"{catalogue.label(theirs)} ≥ {catalogue.label(ours)}"
                made.append((name, {"name": name, "operator": "gte", "field": first, "value": second}))
    return made


def _same_options(one: Json, other: Json) -> bool:
    values = [{option["value"] for option in each["options"]} for each in (one, other)]
    return bool(values[0] & values[1])


def _same_bounds(one: Json, other: Json) -> bool:
    return one["minimum"] is not None and (one["minimum"], one["maximum"]) == (
        other["minimum"],
        other["maximum"],
    )
