"""The examples that a rule set carries: a task, an executor, and what must become of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import prod
from typing import Any, Final

from app.engine.types import Executor, ExecutorId, Task, TaskId
from app.messages.message import say
from app.rule_engine.catalogue import Catalogue
from app.rule_engine.faults import Faults
from app.rule_engine.language import Example, Owner, RuleSet, Weight, holds
from app.rule_engine.values import Value, parse_instant

MOST_EXAMPLES: Final = 200
_KEYS = ("task", "executor", "expected", "name")
_FIELDS: Mapping[Owner, tuple[str, ...]] = {
    "task": ("parameters", "priority", "weight", "deadline", "external_id", "created_at"),
    "executor": ("parameters", "daily_limit", "max_open", "qualification", "name", "external_id"),
}
_TEXTS = ("external_id", "name")
_INSTANTS = ("deadline", "created_at")
_EXPECTED = ("eligible", "preference", "task_weight")


@dataclass(frozen=True, slots=True)
class Surprise:
    """An example that does not come out as it says."""

    path: str
    label: str
    expected: Any
    found: Any


def read_examples(examples: Sequence[Any], catalogue: Catalogue, faults: Faults) -> tuple[Example, ...]:
    """The examples of a document; what is wrong with them is noted."""
    if len(examples) > MOST_EXAMPLES:
        faults.add(
            "$.tests",
            f"{len(examples)} tests",
            say("more than {most}", most=MOST_EXAMPLES),
            say("keep the telling ones"),
        )
        return ()
    reader = _FieldReader(catalogue, faults)
    read = [reader.example(each, f"$.tests[{index}]") for index, each in enumerate(examples)]
    return tuple(each for each in read if each is not None)


def run_examples(rule_set: RuleSet) -> list[Surprise]:
    """The examples that come out otherwise; empty where the rules do what they are meant to."""
    surprises = []
    for index, example in enumerate(rule_set.tests):
        values = values_of(rule_set, example.task, example.executor)
        found = {
            "eligible": all(holds(each, values) for each in rule_set.conditions),
            "preference": _product(rule_set.weights, values),
            "task_weight": _product(rule_set.task_weights, values),
        }
        for name, came in found.items():
            wanted = getattr(example, name)
            if wanted is not None and wanted != came:
                surprises.append(
                    Surprise(f"$.tests[{index}].expected", example.label, {name: wanted}, {name: came})
                )
    return surprises


def values_of(rule_set: RuleSet, task: Task, executor: Executor) -> dict[str, Value]:
    """The values by path of all fields that the rules read."""
    fields = {field for comparison in rule_set.comparisons() for field in comparison.fields}
    return {field.path: field.of(task if field.owner == "task" else executor) for field in fields}


def _product(weights: Sequence[Weight], values: Mapping[str, Value]) -> float:
    return prod((each.weight for each in weights if holds(each.condition, values)), start=1.0)


class _FieldReader:
    def __init__(self, catalogue: Catalogue, faults: Faults) -> None:
        self._catalogue = catalogue
        self._faults = faults

    def example(self, value: Any, path: str) -> Example | None:
        before = len(self._faults.found)
        if not isinstance(value, Mapping) or "expected" not in value:
            remedy = say('send {"task": {...}, "executor": {...}, "expected": true}')
            self._faults.add(path, value, say("not a test"), remedy)
            return None
        for key in value.keys() - set(_KEYS):
            self._faults.unknown_key(path, key, value[key], "key", _KEYS)
        task = self._thing("task", value.get("task", {}), f"{path}.task")
        person = self._thing("executor", value.get("executor", {}), f"{path}.executor")
        expected = self._expected(value["expected"], f"{path}.expected")
        label = value.get("name", "")
        if not isinstance(label, str):
            self._faults.add(f"{path}.name", label, say("not a text"), say("send a text"))
        if len(self._faults.found) > before or self._faults.full:
            return None
        return Example(Task(TaskId(0), **task), Executor(ExecutorId(0), **person), label=label, **expected)

    def _expected(self, value: Any, path: str) -> dict[str, Any]:
        if isinstance(value, bool):
            return {"eligible": value}
        if not isinstance(value, Mapping) or not value or value.keys() - set(_EXPECTED):
            remedy = say('send true, false, or {"eligible": true, "preference": 2.0, "task_weight": 3.0}')
            self._faults.add(path, value, say("not an expectation"), remedy)
            return {}
        for name, wanted in value.items():
            if isinstance(wanted, bool) != (name == "eligible") or not isinstance(wanted, int | float):
                kind = "true or false" if name == "eligible" else "a number"
                self._faults.add(
                    f"{path}.{name}", wanted, say("not {kind}", kind=kind), say("send {kind}", kind=kind)
                )
        return dict(value)

    def _thing(self, owner: Owner, value: Any, path: str) -> dict[str, Any]:
        """The fields of a task or executor as they are given; those that are left out are as in a new one."""
        if not isinstance(value, Mapping):
            self._faults.add(path, value, say("not an object"), say('send {"parameters": {...}}'))
            return {}
        given: dict[str, Any] = {}
        for key, each in value.items():
            if key not in _FIELDS[owner]:
                self._faults.unknown_key(path, key, each, "field", _FIELDS[owner])
            elif key == "parameters":
                given[key] = self._parameters(owner, each, f"{path}.parameters")
            else:
                given[key] = self._field(key, each, f"{path}.{key}")
        return given

    def _parameters(self, owner: Owner, values: Any, path: str) -> dict[str, Any]:
        if not isinstance(values, Mapping):
            self._faults.add(path, values, say("not an object"), say("send values by key"))
            return {}
        checked = self._catalogue.check_values(owner, values, partial=True)
        for error in checked.errors:
            self._faults.add(f"{path}.{error.field}", values[error.field], error.reason, error.remedy)
        keys = [parameter.key for parameter in self._catalogue.parameters if parameter.owner == owner]
        for key in checked.unknown:
            self._faults.unknown_key(path, key, values[key], "parameter", keys)
        return checked.values

    def _field(self, key: str, value: Any, path: str) -> Any:
        if value is None and key not in _TEXTS:
            return None
        if key in _INSTANTS:
            return self._instant(value, path)
        wanted: Any = str if key in _TEXTS else int | float
        if isinstance(value, bool) or not isinstance(value, wanted):
            kind = "a text" if key in _TEXTS else "a number"
            self._faults.add(path, value, say("not {kind}", kind=kind), say("send {kind}", kind=kind))
        return value

    def _instant(self, value: Any, path: str) -> datetime | None:
        instant = parse_instant(value) if isinstance(value, str) else None
        if instant is None:
            self._faults.add(
                path, value, say("not an instant"), say("send ISO 8601 with an offset, such as ...T09:00:00Z")
            )
        return instant
