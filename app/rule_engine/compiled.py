"""A rule set bound to a roster: answers per eligibility class, remembered, and mended where executors change.

Each condition is split by what it reads. What reads only the task is decided once per class; what reads only executors
once per executor, whatever the classes; only what reads both is decided for each pair, in columns (`leaves`). Answers
are remembered per class. A change of executors is noted with its positions; a remembered class is mended at just those
when it is next asked for. Arrays that were given out are never written to again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from app.engine.types import BoolArray, ClassKey, Executor, FloatArray, IntArray
from app.rule_engine.columns import EVERYBODY, At, Columns
from app.rule_engine.keys import Key, TaskKeys
from app.rule_engine.language import Comparison, Condition, Field, Group, Negation, RuleSet, holds, owners_in
from app.rule_engine.leaves import Answer, Leaf, make_leaf, make_own_leaf
from app.rule_engine.values import Value

MOST_BYTES: Final = 64 * 1024 * 1024
"""Answers remembered at once; the oldest classes are forgotten first."""
_MOST_CHANGES: Final = 256
"""Changes noted at once; a class that missed more of them is decided anew."""

Values = Mapping[str, Value]
Array = TypeVar("Array", bound=NDArray[Any])


class Node(Protocol):
    """A condition that reads executors."""

    def answer(self, values: Values, at: At) -> Answer:
        """Whether the executors at these positions pass, for a task with these values."""


@dataclass(slots=True)
class OfTask:
    """Reads the task alone."""

    condition: Condition

    def answer(self, values: Values, at: At) -> Answer:
        """The same for everybody."""
        return holds(self.condition, values)


@dataclass(slots=True)
class OfExecutor:
    """Reads the executor alone: decided once, mended where executors change."""

    inner: Node
    known: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def answer(self, values: Values, at: At) -> Answer:
        """The same for every task."""
        return self.known[at]

    def mend(self, positions: IntArray, size: int) -> None:
        """Decide anew for these."""
        known = np.zeros(size, dtype=np.bool_)
        known[: len(self.known)] = self.known
        known[positions] = self.inner.answer({}, positions)
        self.known = known


@dataclass(slots=True)
class Pair:
    """Compares an executor's field with a literal, or with a field of the task."""

    leaf: Leaf
    literal: Value
    path: str | None

    def answer(self, values: Values, at: At) -> Answer:
        """By the task's value, or by the literal."""
        return self.leaf(self.literal if self.path is None else values[self.path], at)


@dataclass(slots=True)
class Own:
    """Compares two fields of the same executor."""

    leaf: Any

    def answer(self, values: Values, at: At) -> Answer:
        """The same for every task."""
        answer: BoolArray = self.leaf(at)
        return answer


@dataclass(slots=True)
class Both:
    """All of some conditions."""

    inner: Sequence[Node]

    def answer(self, values: Values, at: At) -> Answer:
        """Ends with the first that nobody passes."""
        found: Answer = True
        for each in self.inner:
            answer = each.answer(values, at)
            if answer is False:
                return False
            found = answer if found is True else found if answer is True else found & answer
        return found


@dataclass(slots=True)
class Either:
    """Any of some conditions."""

    inner: Sequence[Node]

    def answer(self, values: Values, at: At) -> Answer:
        """Ends with the first that everybody passes."""
        found: Answer = False
        for each in self.inner:
            answer = each.answer(values, at)
            if answer is True:
                return True
            found = answer if found is False else found if answer is False else found | answer
        return found


@dataclass(slots=True)
class Not:
    """Not this condition."""

    inner: Node

    def answer(self, values: Values, at: At) -> Answer:
        """The opposite."""
        answer = self.inner.answer(values, at)
        return not answer if isinstance(answer, bool) else ~answer


@dataclass(slots=True)
class _Class:
    """The result for one class, as of a version of the roster."""

    version: int
    values: Values
    eligible: BoolArray
    excluded: IntArray | None = None
    preference: FloatArray | None = None
    preferred: bool = False
    """Whether `preference` is known."""


class CompiledRules:
    """Implements `app.engine.types.Rules`."""

    def __init__(self, rule_set: RuleSet, executors: Sequence[Executor] = ()) -> None:
        self._columns = Columns()
        _learn_literals(rule_set, self._columns)
        self._of_executors: list[OfExecutor] = []
        self._conditions = [self._node(each) for each in rule_set.conditions]
        self._cheapest_first = sorted(self._conditions, key=_cost)
        self._weights = [(self._node(each.condition), each.weight) for each in rule_set.weights]
        self._task_weights = rule_set.task_weights
        self._keys = TaskKeys(rule_set, self._columns.codes)
        self.condition_labels = _labels(rule_set.conditions, "conditions")
        self._weight_labels = _labels([each.condition for each in rule_set.weights], "weights")
        self._version = 0
        self._changes: list[IntArray] = []  # the last one led to the present version
        self._classes: dict[ClassKey, _Class] = {}
        self._factors: dict[ClassKey, float] = {}
        self.task_key = self._keys.of
        if executors:
            self.update(range(len(executors)), executors)

    @property
    def task_fields(self) -> Sequence[Field]:
        """The task fields that the rules read, in the order of a key's places."""
        return self._keys.fields

    def update(self, positions: Sequence[int], executors: Sequence[Executor]) -> None:
        """Put executors in these positions; what is remembered is mended there when it is next asked for."""
        if not executors:
            return
        changed = np.array(list(positions), dtype=np.int64)
        self._keys.learn(self._columns.put(changed, executors))
        for each in self._of_executors:
            each.mend(changed, self._columns.size)
        self._version += 1
        self._changes = [*self._changes[1 - _MOST_CHANGES :], changed]

    def task_factor(self, key: ClassKey) -> float:
        """The product of the task weights that hold."""
        factor = self._factors.get(key)
        if factor is None:
            values = self._values(key)
            held = (each.weight for each in self._task_weights if holds(each.condition, values))
            if len(self._factors) >= self._most_classes:
                self._factors.clear()
            factor = self._factors[key] = prod(held, start=1.0)
        return factor

    def eligible(self, key: ClassKey) -> BoolArray:
        """The executors who pass all conditions."""
        known = self._classes.get(key)
        if known is None or known.version != self._version:
            known = self._current(key, known)
        return known.eligible

    def preference(self, key: ClassKey) -> FloatArray | None:
        """The product of the weights that hold."""
        if not self._weights:
            return None
        known = self._current(key, self._classes.get(key))
        if not known.preferred:
            known.preference = self._preference(known.values, EVERYBODY, self._columns.size)
            known.preferred = True
        return known.preference

    def excluded_by(self, key: ClassKey) -> IntArray:
        """The first condition that each fails."""
        known = self._current(key, self._classes.get(key))
        if known.excluded is None:
            known.excluded = self._excluded(known.values, EVERYBODY, self._columns.size)
        return known.excluded

    def preference_terms(self, key: ClassKey, position: int) -> Sequence[tuple[str, float]]:
        """The weights that hold for one executor."""
        values, at = self._values(key), np.array([position])
        return [
            (label, weight)
            for label, (node, weight) in zip(self._weight_labels, self._weights, strict=True)
            if np.all(node.answer(values, at))
        ]

    def passed(self, key: ClassKey) -> list[BoolArray]:
        """For each top-level condition by itself, who passes it."""
        values, size = self._values(key), self._columns.size
        return [np.broadcast_to(each.answer(values, EVERYBODY), size) for each in self._conditions]

    def passing_always(self) -> list[int | None]:
        """For each top-level condition on executors alone, how many pass; None for those that read the task."""
        return [int(each.known.sum()) if isinstance(each, OfExecutor) else None for each in self._conditions]

    def _values(self, key: ClassKey) -> Values:
        return self._keys.values(cast("Key", key))

    @property
    def _most_classes(self) -> int:
        """Nine to seventeen bytes for each executor in each class."""
        return max(64, MOST_BYTES // (17 * self._columns.size + 500))

    def _current(self, key: ClassKey, known: _Class | None) -> _Class:
        """The class as of the present roster: remembered, mended where somebody changed since, or decided now."""
        if known is not None and known.version == self._version:
            return known
        if known is not None:
            missed = self._version - known.version
            if missed <= len(self._changes):
                positions = np.unique(np.concatenate(self._changes[-missed:]))
                if len(positions) * 4 < self._columns.size:
                    self._mend(known, positions)
                    return known
        values = self._values(key) if known is None else known.values
        fresh = _Class(self._version, values, self._eligible(values, EVERYBODY, self._columns.size))
        if known is None and len(self._classes) >= self._most_classes:
            del self._classes[next(iter(self._classes))]
        self._classes[key] = fresh
        return fresh

    def _mend(self, known: _Class, at: IntArray) -> None:
        size, few = self._columns.size, len(at)
        known.eligible = _patched(known.eligible, at, self._eligible(known.values, at, few), size)
        if known.excluded is not None:
            known.excluded = _patched(known.excluded, at, self._excluded(known.values, at, few), size)
        known.preferred = False
        known.version = self._version

    def _eligible(self, values: Values, at: At, many: int) -> BoolArray:
        found = np.ones(many, dtype=np.bool_)
        for number, node in enumerate(self._cheapest_first):
            answer = node.answer(values, at)
            if answer is False or (number % 8 == 7 and not found.any()):
                found[:] = False
                break
            if answer is not True:
                found &= answer
        return _sealed(found)

    def _excluded(self, values: Values, at: At, many: int) -> IntArray:
        found = np.full(many, -1, dtype=np.int64)
        for index in range(len(self._conditions) - 1, -1, -1):
            answer = self._conditions[index].answer(values, at)
            if answer is False:
                found[:] = index
            elif answer is not True:
                np.copyto(found, index, where=~answer)
        return _sealed(found)

    def _preference(self, values: Values, at: At, many: int) -> FloatArray | None:
        found, counts = np.ones(many), False
        for node, weight in self._weights:
            answer = node.answer(values, at)
            if answer is not False:
                np.multiply(found, weight, out=found, where=np.asarray(answer))
                counts = True
        return _sealed(found) if counts and (found != 1.0).any() else None

    def _node(self, condition: Condition) -> Node:
        owners = owners_in(condition)
        if "executor" not in owners:
            return OfTask(condition)
        if "task" in owners:
            return self._inner(condition)
        node = OfExecutor(self._inner(condition))
        self._of_executors.append(node)
        return node

    def _inner(self, condition: Condition) -> Node:
        match condition:
            case Group(operator, conditions):
                alone = owners_in(condition) == {"executor"}
                inner = [self._inner(each) if alone else self._node(each) for each in conditions]
                return Both(inner) if operator == "and" else Either(inner)
            case Negation(negated):
                return Not(
                    self._inner(negated) if owners_in(condition) == {"executor"} else self._node(negated)
                )
            case Comparison(_, left, right):
                if not isinstance(right, Field):
                    return Pair(make_leaf(condition, self._columns), right, None)
                if left.owner == right.owner:
                    return Own(make_own_leaf(condition, self._columns))
                task_side = left if left.owner == "task" else right
                return Pair(make_leaf(condition, self._columns), None, task_side.path)


def compile_rules(rule_set: RuleSet, executors: Sequence[Executor] = ()) -> CompiledRules:
    """Bind a rule set to a roster."""
    return CompiledRules(rule_set, executors)


def _cost(node: Node) -> int:
    return 0 if isinstance(node, OfTask) else 1 if isinstance(node, OfExecutor) else 2


def _labels(conditions: Sequence[Condition], where: str) -> list[str]:
    return [each.label or f"{where}[{index}]" for index, each in enumerate(conditions)]


def _learn_literals(rule_set: RuleSet, columns: Columns) -> None:
    """Give codes to what rules name, so that strings which nobody names can share a class."""
    for comparison in rule_set.comparisons():
        for atom in comparison.literals:
            columns.codes.learn(atom)


def _patched(before: Array, at: IntArray, answers: Array, size: int) -> Array:
    """A copy with other answers at some positions, and room for newcomers (who are among these)."""
    after = np.zeros(size, dtype=before.dtype)
    after[: len(before)] = before
    after[at] = answers
    return cast("Array", _sealed(after))


def _sealed(array: Array) -> Array:
    """The array, made read-only so that it can be shared."""
    array.flags.writeable = False
    return array
