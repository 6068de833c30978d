"""From a document to a rule set: everything is checked here, so that nothing can fail on a task."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from app.rule_engine.catalogue import Catalogue
from app.rule_engine.language import (
    EXECUTOR_FIELDS,
    OPERATORS,
    TASK_FIELDS,
    Comparison,
    Condition,
    Field,
    Group,
    Negation,
    RuleSet,
    Weight,
)

MAX_DEPTH = 20
MAX_CONDITIONS = 1000
_LISTS = ("between", "in", "not_in", "contains_any", "contains_all")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a document: where, what, why, and what to do."""

    path: str
    value: str
    reason: str
    remedy: str


class RuleSetInvalid(ValueError):
    """The document is not a rule set; `issues` say why."""

    def __init__(self, issues: list[Fault]) -> None:
        super().__init__("; ".join(f"{issue.path}: {issue.reason}" for issue in issues))
        self.issues = issues


def parse_rule_set(document: Any, catalogue: Catalogue) -> RuleSet:
    """Read and check a document. Raises RuleSetInvalid with everything that is wrong."""
    parser = _Parser(catalogue)
    rule_set = parser.rule_set(document)
    if parser.issues:
        raise RuleSetInvalid(parser.issues)
    return rule_set


class _Parser:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._count = 0
        self.issues: list[Fault] = []

    def rule_set(self, document: Any) -> RuleSet:
        if not isinstance(document, Mapping):
            self._fault("$", document, "not an object", 'send {"conditions": [...], "weights": [...]}')
            return RuleSet()
        for key in document.keys() - {"conditions", "weights", "task_weights", "tests"}:
            self._fault(
                f"$.{key}", document[key], "unknown key", "use conditions, weights, task_weights or tests"
            )
        return RuleSet(
            tuple(
                self._condition(each, f"$.conditions[{index}]", 0)
                for index, each in enumerate(self._list(document, "conditions"))
            ),
            self._weights(document, "weights"),
            self._weights(document, "task_weights"),
        )

    def _list(self, document: Mapping[str, Any], key: str) -> list[Any]:
        value = document.get(key, [])
        if isinstance(value, list):
            return value
        self._fault(f"$.{key}", value, "not a list", f'send "{key}": [...]')
        return []

    def _weights(self, document: Mapping[str, Any], key: str) -> tuple[Weight, ...]:
        weights = []
        for index, each in enumerate(self._list(document, key)):
            path = f"$.{key}[{index}]"
            if not isinstance(each, Mapping) or "condition" not in each:
                self._fault(path, each, "not a weight", 'send {"condition": {...}, "weight": 2.0}')
                continue
            weight = each.get("weight")
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 1000:
                self._fault(
                    f"{path}.weight", weight, "not a number over 0 and up to 1000", "send such a number"
                )
                weight = 1.0
            weights.append(Weight(self._condition(each["condition"], f"{path}.condition", 0), float(weight)))
        return tuple(weights)

    def _condition(self, value: Any, path: str, depth: int) -> Condition:
        self._count += 1
        nothing = Group("and", ())
        if depth > MAX_DEPTH or self._count > MAX_CONDITIONS:
            self._fault(
                path,
                "...",
                "nested or numbered beyond bounds",
                f"at most {MAX_DEPTH} deep, {MAX_CONDITIONS} in all",
            )
            return nothing
        if not isinstance(value, Mapping):
            self._fault(path, value, "not an object", 'send {"operator": ..., "field": ..., "value": ...}')
            return nothing
        operator, label = value.get("operator"), str(value.get("name", ""))
        if operator in ("and", "or"):
            inner = value.get("conditions")
            if not isinstance(inner, list) or not inner:
                self._fault(
                    f"{path}.conditions", inner, "not a list of conditions", "send at least one condition"
                )
                return nothing
            conditions = [
                self._condition(each, f"{path}.conditions[{i}]", depth + 1) for i, each in enumerate(inner)
            ]
            return Group(operator, tuple(conditions), label)
        if operator == "not":
            return Negation(self._condition(value.get("condition"), f"{path}.condition", depth + 1), label)
        if operator not in OPERATORS:
            self._fault(
                f"{path}.operator",
                operator,
                "unknown operator",
                _meant(operator, [*OPERATORS, "and", "or", "not"]),
            )
            return nothing
        field = self._field(value.get("field"), f"{path}.field")
        given = value.get("value")
        if isinstance(given, Mapping):
            given = self._field(given.get("field"), f"{path}.value.field")
        elif operator in _LISTS and not isinstance(given, list):
            self._fault(f"{path}.value", given, f"{operator} takes a list", 'send "value": [...]')
        if operator == "between" and isinstance(given, list) and len(given) != 2:
            self._fault(f"{path}.value", given, "between takes two values", 'send "value": [low, high]')
        missing = value.get("on_missing", "fail")
        if missing not in ("fail", "pass"):
            self._fault(f"{path}.on_missing", missing, "neither fail nor pass", 'send "fail" or "pass"')
        if field is None:
            return nothing
        return Comparison(
            operator, field, tuple(given) if isinstance(given, list) else given, missing == "pass", label
        )

    def _field(self, path: Any, where: str) -> Field | None:
        field = _field_of(path) if isinstance(path, str) else None
        if field is not None and (not field.parameter or self._catalogue.get(field.owner, field.name)):
            return field
        known = [f"{each.owner}.parameters.{each.key}" for each in self._catalogue.parameters]
        known += [f"task.{name}" for name in TASK_FIELDS] + [f"executor.{name}" for name in EXECUTOR_FIELDS]
        self._fault(where, path, "unknown field", _meant(path, known))
        return None

    def _fault(self, path: str, value: Any, reason: str, remedy: str) -> None:
        if len(self.issues) < 100:
            self.issues.append(Fault(path, repr(value)[:200], reason, remedy))


def _field_of(path: str) -> Field | None:
    """The field that a path names, whether or not the catalogue knows the parameter."""
    owner, _, name = path.partition(".")
    first, _, key = name.partition(".")
    match owner:
        case "task" | "executor" if first == "parameters" and key:
            return Field(owner, key, parameter=True)
        case "task" if name in TASK_FIELDS:
            return Field("task", name, parameter=False)
        case "executor" if name in EXECUTOR_FIELDS:
            return Field("executor", name, parameter=False)
        case _:
            return None


def _meant(given: Any, known: list[str]) -> str:
    close = get_close_matches(str(given)[:200], known, 3)
    return f"did you mean {' or '.join(close)}?" if close else f"use one of: {', '.join(known[:20])}"
