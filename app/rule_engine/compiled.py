"""A rule set bound to a roster: answers per eligibility class, remembered."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.engine.types import BoolArray, ClassKey, Executor, ExecutorId, FloatArray, IntArray, Task
from app.rule_engine.catalogue import Catalogue
from app.rule_engine.language import Comparison, Condition, Field, Group, Negation, RuleSet, holds

_NOBODY = Executor(ExecutorId(0))


class CompiledRules:
    """Implements `app.engine.types.Rules`."""

    def __init__(self, rule_set: RuleSet, executors: Sequence[Executor] = ()) -> None:
        self._rules = rule_set
        conditions = [
            *rule_set.conditions,
            *(weight.condition for weight in (*rule_set.weights, *rule_set.task_weights)),
        ]
        self._fields = sorted(
            {field for each in conditions for field in _task_fields(each)}, key=lambda f: f.path
        )
        self._executors: list[Executor] = []
        self._tasks: dict[ClassKey, Task] = {}
        self._excluded: dict[ClassKey, IntArray] = {}
        self.condition_labels = [
            each.label or f"conditions[{i}]" for i, each in enumerate(rule_set.conditions)
        ]
        self.update(range(len(executors)), executors)

    def update(self, positions: Sequence[int], executors: Sequence[Executor]) -> None:
        """Put executors in these positions."""
        for position, executor in zip(positions, executors, strict=True):
            if position == len(self._executors):
                self._executors.append(executor)
            else:
                self._executors[position] = executor
        self._excluded.clear()

    def task_key(self, task: Task) -> ClassKey:
        """The values of just those task fields that the rules read."""
        key = tuple(_hashable(field.of(task, _NOBODY)) for field in self._fields)
        self._tasks.setdefault(key, task)
        return key

    def task_factor(self, key: ClassKey) -> float:
        """The product of the task weights that hold."""
        held = [
            each.weight
            for each in self._rules.task_weights
            if holds(each.condition, self._tasks[key], _NOBODY)
        ]
        return float(np.prod(held)) if held else 1.0

    def eligible(self, key: ClassKey) -> BoolArray:
        """Who passes all conditions."""
        return self.excluded_by(key) < 0

    def excluded_by(self, key: ClassKey) -> IntArray:
        """The first condition that each fails."""
        if key not in self._excluded:
            self._excluded[key] = np.array(
                [self._first_failed(key, each) for each in self._executors], dtype=np.int64
            )
        return self._excluded[key]

    def _first_failed(self, key: ClassKey, executor: Executor) -> int:
        for index, condition in enumerate(self._rules.conditions):
            if not holds(condition, self._tasks[key], executor):
                return index
        return -1

    def preference(self, key: ClassKey) -> FloatArray | None:
        """The product of the weights that hold."""
        if not self._rules.weights:
            return None
        products = [
            np.prod([weight for _, weight in self.preference_terms(key, position)] or [1.0])
            for position in range(len(self._executors))
        ]
        return np.array(products, dtype=np.float64)

    def preference_terms(self, key: ClassKey, position: int) -> Sequence[tuple[str, float]]:
        """The weights that hold for one executor."""
        return [
            (f"weights[{index}]", each.weight)
            for index, each in enumerate(self._rules.weights)
            if holds(each.condition, self._tasks[key], self._executors[position])
        ]


def compile_rules(
    rule_set: RuleSet, _catalogue: Catalogue, executors: Sequence[Executor] = ()
) -> CompiledRules:
    """Bind a rule set to a roster."""
    return CompiledRules(rule_set, executors)


def _task_fields(condition: Condition) -> set[Field]:
    match condition:
        case Group(_, conditions):
            return {field for each in conditions for field in _task_fields(each)}
        case Negation(negated):
            return _task_fields(negated)
        case Comparison():
            fields = [condition.field, condition.value]
            return {field for field in fields if isinstance(field, Field) and field.owner == "task"}


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (type(value).__name__, value)
