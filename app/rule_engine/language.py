"""The language: conditions as values, and what they mean for the values of one task and one executor.

A comparison with an absent value, or one that is not of its type, is what `on_missing` says; `is_null` asks for just
that. `and`, `or` and `not` are those of logic: nothing is undefined, and their order changes nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from app.engine.types import Executor, Task
from app.rule_engine.values import TRUE, Atom, Kind, ParameterType, Value, reader_of

Owner = Literal["task", "executor"]

OPERATORS = (
    "eq", "ne", "gt", "gte", "lt", "lte", "between", "in", "not_in", "contains", "contains_any", "contains_all",
    "is_null", "starts_with",
)  # fmt: skip

BUILT_IN: Mapping[str, ParameterType] = {
    "task.priority": ParameterType.NUMBER,
    "task.weight": ParameterType.NUMBER,
    "task.deadline": ParameterType.DATETIME,
    "task.external_id": ParameterType.STRING,
    "task.created_at": ParameterType.DATETIME,
    "executor.daily_limit": ParameterType.NUMBER,
    "executor.max_open": ParameterType.NUMBER,
    "executor.qualification": ParameterType.NUMBER,
    "executor.name": ParameterType.STRING,
    "executor.external_id": ParameterType.STRING,
}
"""Fields that every task and executor has, beside their parameters."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a condition reads: `name` is a field of the owner, or the key of a parameter.

    `kinds` are those that its values, or the members of its lists, can have.
    """

    owner: Owner
    name: str
    parameter: bool
    type: ParameterType
    kinds: frozenset[Kind]
    read: Callable[[Any], Value] = field(compare=False, repr=False)
    path: str = ""

    @classmethod
    def make(
        cls, owner: Owner, name: str, parameter: bool, type_: ParameterType, kinds: frozenset[Kind]
    ) -> "Field":
        """A field with the reader of its type and the path by which documents call it."""
        path = f"{owner}.parameters.{name}" if parameter else f"{owner}.{name}"
        return cls(owner, name, parameter, type_, kinds, reader_of(type_, kinds), path)

    def of(self, thing: Task | Executor) -> Value:
        """The value of a task or executor; an empty external_id or name is absent."""
        if self.parameter:
            return self.read(thing.parameters.get(self.name))
        return self.read(getattr(thing, self.name) or None if self.is_text else getattr(thing, self.name))

    @property
    def is_list(self) -> bool:
        """Whether its values are lists."""
        return self.type == ParameterType.LIST

    @property
    def is_text(self) -> bool:
        """Whether its values are strings and nothing else."""
        return not self.is_list and self.kinds == {Kind.STRING}

    @property
    def is_ordered(self) -> bool:
        """Whether its values are all numbers, or all instants."""
        return not self.is_list and self.kinds in ({Kind.NUMBER}, {Kind.INSTANT})


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operator on a field and a value, which is another field or a literal as `values` describes them."""

    operator: str
    field: Field
    value: Field | Value
    on_missing: bool = False
    label: str = ""

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields it reads."""
        return (self.field, self.value) if isinstance(self.value, Field) else (self.field,)

    @property
    def literals(self) -> tuple[Atom, ...]:
        """The single values that it names."""
        if isinstance(self.value, Field) or self.value is None or self.operator == "is_null":
            return ()
        several = self.operator in ("between", "in", "not_in", "contains_any", "contains_all")
        return cast("tuple[Atom, ...]", self.value if several else (self.value,))


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
class Example:
    """A task, an executor, and what must become of them; what is None is not asked."""

    task: Task
    executor: Executor
    eligible: bool | None = None
    preference: float | None = None
    task_weight: float | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A checked document."""

    conditions: tuple[Condition, ...] = ()
    weights: tuple[Weight, ...] = ()
    task_weights: tuple[Weight, ...] = ()
    tests: tuple[Example, ...] = ()

    def every_condition(self) -> Iterator[Condition]:
        """The topmost conditions, those of the weights included."""
        yield from self.conditions
        for weight in (*self.weights, *self.task_weights):
            yield weight.condition

    def comparisons(self) -> Iterator[Comparison]:
        """Every comparison, however deep."""
        for condition in self.every_condition():
            yield from comparisons_in(condition)


def comparisons_in(condition: Condition) -> Iterator[Comparison]:
    """Every comparison of a condition, however deep."""
    match condition:
        case Group(_, conditions):
            for each in conditions:
                yield from comparisons_in(each)
        case Negation(negated):
            yield from comparisons_in(negated)
        case Comparison():
            yield condition


def owners_in(condition: Condition) -> set[Owner]:
    """The owners whose fields a condition reads."""
    return {each.owner for comparison in comparisons_in(condition) for each in comparison.fields}


def holds(condition: Condition, values: Mapping[str, Value]) -> bool:
    """Whether a condition holds for these values by path."""
    match condition:
        case Group("and", conditions):
            return all(holds(each, values) for each in conditions)
        case Group(_, conditions):
            return any(holds(each, values) for each in conditions)
        case Negation(negated):
            return not holds(negated, values)
        case Comparison():
            right = condition.value
            return compare(
                condition.operator,
                values[condition.field.path],
                values[right.path] if isinstance(right, Field) else right,
                condition.on_missing,
            )


def compare(operator: str, left: Value, right: Value, on_missing: bool) -> bool:
    """Apply one operator to two values of the types that it was checked for."""
    if operator == "is_null":
        return (left is None) == (right == TRUE)
    if left is None or right is None:
        return on_missing
    return bool(_OPERATIONS[operator](left, right))


_OPERATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
    "between": lambda left, right: right[0] <= left <= right[1],
    "in": lambda left, right: left in right,
    "not_in": lambda left, right: left not in right,
    "contains": lambda left, right: right in left,  # a member of a list, a part of a string
    "contains_any": lambda left, right: not set(left).isdisjoint(right),
    "contains_all": lambda left, right: set(left).issuperset(right),
    "starts_with": lambda left, right: left.startswith(right),
}
