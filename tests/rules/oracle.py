"""The rule language again, as plainly as it can be said: from the document, for one task and one executor.

Shares nothing with the product but the catalogue: numbers are fractions, instants datetimes, lists sets.
"""

import math
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from typing import Any

from app.engine.types import Executor, Task
from app.rule_engine import Catalogue, ParameterType

ABSENT = object()
BUILT_IN = {
    "priority": "number",
    "weight": "number",
    "deadline": "datetime",
    "created_at": "datetime",
    "external_id": "string",
    "daily_limit": "number",
    "max_open": "number",
    "qualification": "number",
    "name": "string",
}


class Oracle:
    def __init__(self, document: dict[str, Any], catalogue: Catalogue) -> None:
        self._document = document
        self._catalogue = catalogue

    def first_failed(self, task: Task, executor: Executor) -> int:
        for index, condition in enumerate(self._document.get("conditions", ())):
            if not self.holds(condition, task, executor):
                return index
        return -1

    def product(self, key: str, task: Task, executor: Executor) -> float:
        product = 1.0
        for each in self._document.get(key, ()):
            if self.holds(each["condition"], task, executor):
                product *= each["weight"]
        return product

    def holds(self, condition: dict[str, Any], task: Task, executor: Executor) -> bool:
        operator = condition["operator"]
        if operator == "and":
            return all(self.holds(each, task, executor) for each in condition["conditions"])
        if operator == "or":
            return any(self.holds(each, task, executor) for each in condition["conditions"])
        if operator == "not":
            return not self.holds(condition["condition"], task, executor)
        left = self.value(condition["field"], task, executor)
        given = condition.get("value")
        if operator == "is_null":
            return (left is ABSENT) == (given is not False)
        if isinstance(given, dict):
            right = self.value(given["field"], task, executor)
        elif isinstance(given, list):
            right = [self.literal(condition["field"], each) for each in given]
        else:
            right = self.literal(condition["field"], given)
        if left is ABSENT or right is ABSENT:
            return condition.get("on_missing") == "pass"
        return SAYS[operator](left, right)

    def value(self, path: str, task: Task, executor: Executor) -> Any:
        owner, _, name = path.partition(".")
        thing = task if owner == "task" else executor
        if not name.startswith("parameters."):
            raw = getattr(thing, name)
            return ABSENT if raw == "" else read(BUILT_IN[name], (), raw)
        parameter = self._catalogue.get(owner, name.removeprefix("parameters."))
        return read(parameter.type.value, parameter.options, thing.parameters.get(parameter.key))

    def literal(self, path: str, raw: Any) -> Any:
        owner, _, name = path.partition(".")
        parameter = self._catalogue.get(owner, name.removeprefix("parameters."))
        type_ = BUILT_IN[name] if parameter is None else parameter.type.value
        return read("enum" if type_ == "list" else type_, (), raw)


def read(type_: str, options: Any, raw: Any) -> Any:
    """The value of a type, tagged with its kind; ABSENT for anything else."""
    kinds = {tag(option) for option in options} or {"text", "number", "truth"}
    if type_ == "list":
        if not isinstance(raw, list):
            return ABSENT
        return {single(each) for each in raw if tag(each) in kinds}
    wanted = {"string": {"text"}, "number": {"number"}, "boolean": {"truth"}, "enum": kinds}
    if type_ != "datetime":
        return single(raw) if tag(raw) in wanted[type_] else ABSENT
    if isinstance(raw, str):
        try:
            raw = datetime.fromisoformat(raw)
        except ValueError:
            return ABSENT
    return ("instant", raw) if isinstance(raw, datetime) and raw.tzinfo else ABSENT


def tag(raw: Any) -> str:
    if isinstance(raw, bool):
        return "truth"
    if isinstance(raw, str):
        return "text"
    if isinstance(raw, int | float):
        try:
            return "number" if math.isfinite(raw) else "nothing"
        except OverflowError:
            return "nothing"
    return "nothing"


def single(raw: Any) -> tuple[str, Any]:
    return (tag(raw), Fraction(raw) if tag(raw) == "number" else raw)


SAYS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "gt": lambda left, right: left[1] > right[1],
    "gte": lambda left, right: left[1] >= right[1],
    "lt": lambda left, right: left[1] < right[1],
    "lte": lambda left, right: left[1] <= right[1],
    "between": lambda left, right: right[0][1] <= left[1] <= right[1][1],
    "in": lambda left, right: left in right,
    "not_in": lambda left, right: left not in right,
    "contains": lambda left, right: right[1] in left[1] if isinstance(left, tuple) else right in left,
    "contains_any": lambda left, right: any(each in left for each in right),
    "contains_all": lambda left, right: all(each in left for each in right),
    "starts_with": lambda left, right: left[1].startswith(right[1]),
}

assert set(BUILT_IN.values()) <= set(ParameterType)
