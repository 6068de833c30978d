"""The language: conditions as values, and what they mean for one task and one executor."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from app.engine.types import Executor, Task
from app.rule_engine.catalogue import parse_instant

OPERATORS = (
    "eq", "ne", "gt", "gte", "lt", "lte", "between", "in", "not_in", "contains", "contains_any", "contains_all",
    "is_null", "starts_with",
)  # fmt: skip

TASK_FIELDS = ("priority", "weight", "deadline", "external_id", "created_at")
EXECUTOR_FIELDS = ("daily_limit", "max_open", "qualification", "name", "external_id")


@dataclass(frozen=True, slots=True)
class Field:
    """A dotted path: `owner` is task or executor, `name` a field of it or a parameter's key."""

    owner: Literal["task", "executor"]
    name: str
    parameter: bool

    @property
    def path(self) -> str:
        """The path as it is written in a document."""
        return f"{self.owner}.parameters.{self.name}" if self.parameter else f"{self.owner}.{self.name}"

    def of(self, task: Task, executor: Executor) -> Any:
        """The value for this pair; None where absent."""
        thing = task if self.owner == "task" else executor
        return thing.parameters.get(self.name) if self.parameter else getattr(thing, self.name)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operator on a field and a value, which is a literal or another field."""

    operator: str
    field: Field
    value: Any
    on_missing: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """All or any of some conditions."""

    operator: Literal["and", "or"]
    conditions: "tuple[Condition, ...]"
    label: str = ""


@dataclass(frozen=True, slots=True)
class Negation:
    """Not this condition."""

    condition: "Condition"
    label: str = ""


Condition: TypeAlias = Comparison | Group | Negation


@dataclass(frozen=True, slots=True)
class Weight:
    """Where the condition holds, multiply by this."""

    condition: Condition
    weight: float


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A checked document."""

    conditions: tuple[Condition, ...] = ()
    weights: tuple[Weight, ...] = ()
    task_weights: tuple[Weight, ...] = ()


def holds(condition: Condition, task: Task, executor: Executor) -> bool:
    """Whether a condition holds for this pair."""
    match condition:
        case Group("and", conditions):
            return all(holds(each, task, executor) for each in conditions)
        case Group(_, conditions):
            return any(holds(each, task, executor) for each in conditions)
        case Negation(negated):
            return not holds(negated, task, executor)
        case Comparison():
            return _compare(condition, task, executor)


def _compare(condition: Comparison, task: Task, executor: Executor) -> bool:
    left = condition.field.of(task, executor)
    right = condition.value.of(task, executor) if isinstance(condition.value, Field) else condition.value
    if condition.operator == "is_null":
        return (left is None) == (right is not False)
    if left is None or right is None:
        return condition.on_missing
    try:
        return bool(_OPERATIONS[condition.operator](_comparable(left), _comparable(right)))
    except TypeError:
        return condition.on_missing


def _comparable(value: Any) -> Any:
    if isinstance(value, str) and len(value) >= 10 and value[4:5] == "-":
        return parse_instant(value) or value
    return value


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _among(value: Any, values: Sequence[Any]) -> bool:
    return any(_same(value, each) for each in values)


_OPERATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": _same,
    "ne": lambda left, right: not _same(left, right),
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
    "between": lambda left, right: right[0] <= left <= right[1],
    "in": _among,
    "not_in": lambda left, right: not _among(left, right),
    "contains": lambda left, right: right in left if isinstance(left, str) else _among(right, left),
    "contains_any": lambda left, right: any(_among(each, left) for each in right),
    "contains_all": lambda left, right: all(_among(each, left) for each in right),
    "starts_with": lambda left, right: left.startswith(right),
}
