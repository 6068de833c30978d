"""Eligibility classes: a name for all tasks that the rules cannot tell apart.

A key holds one value for each task field that the rules read: not always the task's own one, but one of its like.
Numbers and instants are told apart only by the points with which they are compared (literals, and what executors
have), strings only where a rule or an executor has them. So a key is itself a task that gets the same answers, whatever
becomes of the executors later, and rules that read an amount do not make a class of every task.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

from app.engine.types import Task
from app.rule_engine.columns import Codes
from app.rule_engine.language import Comparison, Field, RuleSet
from app.rule_engine.values import OTHER, Kind, Value, read_number

Key: TypeAlias = tuple[Value, ...]
Reduction: TypeAlias = Callable[[Any], Any]

MOST_REMEMBERED: Final = 20_000
_LARGE = 2**53
_BY_EQUALITY = ("eq", "ne", "in", "not_in", "contains", "is_null")


class Points:
    """The points that cut numbers or instants into stretches within which all values are alike."""

    def __init__(self, points: Iterable[float | int]) -> None:
        self._ends: list[float | int] = [*sorted(set(points)), math.inf]
        self._inside = [self._within(at) for at in range(len(self._ends))]

    def __call__(self, value: float | None) -> float | int | None:
        """The value itself where it is a point, else the one that stands for its stretch."""
        if value is None:
            return None
        at = bisect_left(self._ends, value)
        end = self._ends[at]
        return end if end == value else self._inside[at]

    def of_raw(self, raw: Any) -> float | int | None:
        """The same for a raw number: what happens for each task has a short way."""
        kind = type(raw)
        if kind is float:
            value = raw if raw - raw == 0.0 else None  # neither infinite nor NaN
        elif kind is int and -_LARGE < raw < _LARGE:
            value = raw
        else:
            value = read_number(raw)
        if value is None:
            return None
        at = bisect_left(self._ends, value)
        end = self._ends[at]
        return end if end == value else self._inside[at]

    def learn(self, values: Iterable[Value]) -> None:
        """Cut where somebody has another number now."""
        fresh = {each for each in values if isinstance(each, int | float)}.difference(self._ends)
        if len(fresh) > 100:
            self._ends = sorted(fresh.union(self._ends))
            self._inside = [self._within(at) for at in range(len(self._ends))]
            return
        for point in fresh:
            insort(self._ends, point)
            at = bisect_left(self._ends, point)
            self._inside.insert(at, self._within(at))
            self._inside[at + 1] = self._within(at + 1)

    def _within(self, at: int) -> float | int:
        """A value between the ends before and at this place, as round as may be; any, where there are no ends."""
        low, high = self._ends[at - 1] if at else -math.inf, self._ends[at]
        if math.isinf(low) and math.isinf(high):
            return 0.0
        if isinstance(low, int) or isinstance(high, int):
            middle = (low + high) // 2 if not math.isinf(low + high) else low + 1 if at else high - 1
            return int(middle) if low < middle < high else int(low) + 1
        middle = low / 2 + high / 2 if not math.isinf(low + high) else low + 1.0 if at else high - 1.0
        if low < middle < high:
            return middle
        return math.nextafter(low, math.inf) if at else math.nextafter(high, -math.inf)


class TaskKeys:
    """Makes keys; `fields` stand in the order of a key's places."""

    def __init__(self, rule_set: RuleSet, codes: Codes) -> None:
        self._codes = codes
        self._known = len(codes)
        self._memory: dict[Any, Key] = {}
        self._fed: dict[str, list[Points]] = {}
        read = _task_fields(rule_set)
        reductions = {path: self._reduction(field, asked) for path, (field, asked) in read.items()}
        # Repeating values are read through a cache, all at once; numbers, instants and lists one by one.
        alone = [field for field, _ in read.values() if field.is_list or field.is_ordered]
        alone.sort(key=lambda field: not field.parameter)
        once = sorted(
            (field for field, _ in read.values() if field not in alone), key=lambda f: not f.parameter
        )
        self.fields: Sequence[Field] = [*once, *alone]
        self._once = [(field, reductions[field.path]) for field in once]
        self._alone = [
            (field.name, _from_raw(field, reductions[field.path])) for field in alone if field.parameter
        ]
        self._built_in = [(field, reductions[field.path]) for field in alone if not field.parameter]
        self._keys = [field.name for field in once if field.parameter]
        own = [field.name for field in once if not field.parameter]
        self._own: Callable[[Task], Any] | None = attrgetter(*own, "id") if own else None

    def of(self, task: Task) -> Key:
        """The key of a task."""
        get = task.parameters.get
        raw = tuple(map(get, self._keys))
        if self._own is not None:
            raw += self._own(task)[:-1]
        remembered = (
            raw,
            tuple(map(type, raw)),
        )  # 1, 1.0 and True are one key of a dictionary, but three values
        try:
            key = self._memory.get(remembered)
        except TypeError:  # a list where none belongs
            key = self._read(task)
        else:
            if key is None:
                key = self._remember(remembered, self._read(task))
        if self._alone:
            key += tuple([reduce(get(name)) for name, reduce in self._alone])
        if self._built_in:
            key += tuple([reduce(field.of(task)) for field, reduce in self._built_in])
        return key

    def values(self, key: Key) -> dict[str, Value]:
        """The values by path that a key stands for."""
        return {field.path: value for field, value in zip(self.fields, key, strict=True)}

    def learn(self, written: Mapping[str, Iterable[Value]]) -> None:
        """Take note of values that executors have now, by path."""
        for path, fed in self._fed.items():
            values = [each for value in written.get(path, ()) for each in _each(value)]
            for points in fed:
                points.learn(values)
        if len(self._codes) != self._known:
            self._known = len(self._codes)
            self._memory.clear()

    def _read(self, task: Task) -> Key:
        return tuple([reduce(field.of(task)) for field, reduce in self._once])

    def _remember(self, remembered: Any, key: Key) -> Key:
        if len(self._memory) >= MOST_REMEMBERED:
            self._memory.clear()
        self._memory[remembered] = key
        return key

    def _reduction(self, field: Field, asked: Sequence[Comparison]) -> Reduction:
        others = [_opposite(field, comparison) for comparison in asked]
        if field.is_list or any(isinstance(other, Field) and other.owner == "task" for other in others):
            return _itself
        if field.is_ordered:
            kind = int if field.kinds == {Kind.INSTANT} else float
            literals = [each for comparison in asked for each in comparison.literals]
            points = Points(each for each in literals if isinstance(each, kind))
            for other in others:
                if isinstance(other, Field):
                    self._fed.setdefault(other.path, []).append(points)
            return points
        if all(each.operator in _BY_EQUALITY and not _of_parts(each) for each in asked):
            codes = self._codes
            return lambda value: value if value is None or value in codes else OTHER
        return _itself


def _task_fields(rule_set: RuleSet) -> dict[str, tuple[Field, list[Comparison]]]:
    """The task fields by path, sorted, each with the comparisons that read it."""
    found: dict[str, tuple[Field, list[Comparison]]] = {}
    for comparison in rule_set.comparisons():
        for field in comparison.fields:
            if field.owner == "task":
                found.setdefault(field.path, (field, []))[1].append(comparison)
    return dict(sorted(found.items()))


def _opposite(field: Field, comparison: Comparison) -> Field | Value:
    """The other side of each comparison of a field; the field itself, where both sides are the same."""
    return comparison.value if comparison.field.path == field.path else comparison.field


def _of_parts(comparison: Comparison) -> bool:
    return comparison.operator == "contains" and comparison.field.is_text


def _each(value: Value) -> Iterable[Value]:
    """A value, or the members of a list; a boolean is a tuple too, but no number comes of that."""
    return value if isinstance(value, tuple) else (value,)


def _from_raw(field: Field, reduction: Reduction) -> Reduction:
    """A reduction of raw values."""
    if isinstance(reduction, Points) and field.kinds == {Kind.NUMBER}:
        return reduction.of_raw
    read = field.read
    return lambda raw: reduction(read(raw))


def _itself(value: Value) -> Value:
    return value
