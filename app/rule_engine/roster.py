"""Rules with people and work: whom each condition leaves, which tasks nobody could take, what nobody fills."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.engine.types import BoolArray, ClassKey, Executor, Task
from app.messages.message import say
from app.rule_engine.compiled import CompiledRules, compile_rules
from app.rule_engine.findings import Finding
from app.rule_engine.language import Field, RuleSet
from app.rule_engine.values import FALSE, OTHER, TRUE, Value, instant_of

_MOST_CLASSES = 20
_SELDOM = 0.5


@dataclass(frozen=True, slots=True)
class Step:
    """One top-level condition: how many it excludes by itself, and how many are left after it and those before."""

    label: str
    path: str
    excludes: int
    left: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """From everybody to the eligible."""

    executors: int
    eligible: int
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class StreamStep:
    """One top-level condition over many tasks: pairs of task and executor excluded, and tasks that it leaves no one."""

    label: str
    path: str
    excludes: float
    left: float
    ends: int


@dataclass(frozen=True, slots=True)
class StreamFunnel:
    """The mean funnel over tasks; shares are of executors, `ends` counts tasks whose last candidates a step took."""

    executors: int
    tasks: int
    tasks_without_anyone: int
    eligible: float
    steps: list[StreamStep]


@dataclass(frozen=True, slots=True)
class ClassCount:
    """Tasks that the rules cannot tell apart: how many, and how many people may take them."""

    values: dict[str, Any]
    tasks: int
    eligible: int
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TriedExecutor:
    """One executor and one task: eligible with a preference, or the first condition that fails."""

    executor_id: int
    name: str
    eligible: bool
    preference: float
    preferences: list[tuple[str, float]]
    excluded_by: str | None


class Roster:
    """A rule set bound to the people who are active, to be asked about tasks."""

    def __init__(self, rule_set: RuleSet, executors: Sequence[Executor]) -> None:
        self.rule_set = rule_set
        self.executors = [executor for executor in executors if executor.active]
        self.rules: CompiledRules = compile_rules(rule_set, self.executors)
        self._looked_at: dict[ClassKey, tuple[int, list[Step]]] = {}

    def funnel(self, task: Task) -> Funnel:
        """The executors that each condition leaves for this task."""
        key = self.rules.task_key(task)
        eligible, steps = self._look(key)
        return Funnel(len(self.executors), eligible, steps)

    def stream_funnel(self, tasks: Sequence[Task]) -> StreamFunnel:
        """The same over many tasks."""
        classes = Counter(self.rules.task_key(task) for task in tasks)
        labels = self.rules.condition_labels
        excludes, left, ends = (
            np.zeros(len(labels)),
            np.zeros(len(labels)),
            np.zeros(len(labels), dtype=np.int64),
        )
        eligible = none = 0
        for key, count in classes.items():
            several, steps = self._look(key)
            remaining = [step.left for step in steps]
            excludes += [count * step.excludes for step in steps]
            left += [count * each for each in remaining]
            if remaining and 0 in remaining:
                ends[remaining.index(0)] += count
            eligible, none = eligible + count * several, none + count * (several == 0)
        pairs = max(1, len(tasks) * len(self.executors))
        return StreamFunnel(
            len(self.executors),
            len(tasks),
            none,
            eligible / pairs,
            [
                StreamStep(
                    label, f"$.conditions[{at}]", excludes[at] / pairs, left[at] / pairs, int(ends[at])
                )
                for at, label in enumerate(labels)
            ],
        )

    def classes(self, tasks: Sequence[Task]) -> list[ClassCount]:
        """The eligibility classes of these tasks, those with the fewest eligible first."""
        counted = Counter(self.rules.task_key(task) for task in tasks)
        found = [ClassCount(self._shown(key), count, *self._look(key)) for key, count in counted.items()]
        return sorted(found, key=lambda each: (each.eligible, -each.tasks))

    def candidates(self, task: Task) -> list[TriedExecutor]:
        """All executors, the eligible and preferred first."""
        key = self.rules.task_key(task)
        failed = self.rules.excluded_by(key).tolist()
        preference = self.rules.preference(key)
        preferences = [1.0] * len(failed) if preference is None else preference.tolist()
        labels = self.rules.condition_labels
        found = [
            TriedExecutor(
                executor.id,
                executor.name,
                failed[at] < 0,
                preferences[at],
                [*self.rules.preference_terms(key, at)] if failed[at] < 0 else [],
                labels[failed[at]] if failed[at] >= 0 else None,
            )
            for at, executor in enumerate(self.executors)
        ]
        return sorted(found, key=lambda each: (not each.eligible, -each.preference, each.executor_id))

    def _look(self, key: ClassKey) -> tuple[int, list[Step]]:
        """How many of a class are eligible, and the steps to them."""
        found = self._looked_at.get(key)
        if found is None:
            steps = self._steps(self.rules.passed(key))
            found = self._looked_at[key] = (steps[-1].left if steps else len(self.executors)), steps
        return found

    def _steps(self, passed: Sequence[BoolArray]) -> list[Step]:
        everybody = len(self.executors)
        left = np.ones(everybody, dtype=np.bool_)
        steps = []
        for at, (label, passes) in enumerate(zip(self.rules.condition_labels, passed, strict=True)):
            left &= passes
            steps.append(Step(label, f"$.conditions[{at}]", everybody - int(passes.sum()), int(left.sum())))
        return steps

    def _shown(self, key: Any) -> dict[str, Any]:
        return {each.path: shown(value) for each, value in zip(self.rules.task_fields, key, strict=True)}


def look_at_roster(roster: Roster, tasks: Sequence[Task]) -> list[Finding]:
    """Everything that shows with these people and these tasks, with numbers."""
    found = [
        *_unfilled(roster.rule_set, "executor", roster.executors),
        *_unfilled(roster.rule_set, "task", tasks),
    ]
    if roster.executors:
        found += _nobody_passes(roster)
    if tasks and roster.executors:
        found += _without_anyone(roster, tasks)
        found += _too_heavy(roster, tasks)
        found += _idle_conditions(roster, tasks)
    return found


def _nobody_passes(roster: Roster) -> Iterator[Finding]:
    """Conditions on executors alone that nobody passes: whatever comes, it would wait."""
    everybody = len(roster.executors)
    for at, (label, passing) in enumerate(
        zip(roster.rules.condition_labels, roster.rules.passing_always(), strict=True)
    ):
        if passing == 0:
            yield Finding(
                "excludes_everyone",
                f"$.conditions[{at}]",
                say(
                    "none of {count} executors passes '{label}', whatever the task",
                    count=everybody,
                    label=label,
                ),
                numbers={"executors": everybody, "passing": 0},
            )


def _without_anyone(roster: Roster, tasks: Sequence[Task]) -> Iterator[Finding]:
    empty = [each for each in roster.classes(tasks) if each.eligible == 0]
    several = sum(each.tasks for each in empty)
    if not several:
        return
    share = several / len(tasks)
    yield Finding(
        "nobody_eligible",
        "$.conditions",
        say(
            "{share:.0%} of the recent tasks ({without} of {count}) would have had no one",
            share=share,
            without=several,
            count=len(tasks),
        ),
        numbers={
            "tasks": len(tasks),
            "tasks_without_anyone": several,
            "share": round(share, 4),
            "classes": [{"values": each.values, "tasks": each.tasks} for each in empty[:_MOST_CLASSES]],
        },
    )


def heavier_than_limits(roster: Roster, tasks: Sequence[Task]) -> list[tuple[Task, float]]:
    """Tasks that weigh more, with the factors of the rules, than any eligible person may take in a whole day.

    Each with the largest of these limits.
    """
    rules, limits = roster.rules, [one.daily_limit for one in roster.executors]
    bounds = np.array([math.inf if limit is None else limit for limit in limits])
    most: dict[ClassKey, float] = {}
    found: list[tuple[Task, float]] = []
    for task in tasks:
        key = rules.task_key(task)
        if key not in most:
            most[key] = float(bounds[rules.eligible(key)].max(initial=0.0))
        if 0 < most[key] < round(task.weight * rules.task_factor(key), 3):
            found.append((task, most[key]))
    return found


def _too_heavy(roster: Roster, tasks: Sequence[Task]) -> Iterator[Finding]:
    heavy = heavier_than_limits(roster, tasks)
    if heavy:
        yield Finding(
            "heavier_than_limits",
            "$.task_weights" if roster.rule_set.task_weights else "$.conditions",
            say(
                "{heavy} of {count} recent tasks weigh more than the whole daily limit of anyone eligible",
                heavy=len(heavy),
                count=len(tasks),
            ),
            numbers={"tasks": len(tasks), "too_heavy": len(heavy)},
        )


def _idle_conditions(roster: Roster, tasks: Sequence[Task]) -> Iterator[Finding]:
    """Conditions that excluded nobody from any of these tasks."""
    funnel = roster.stream_funnel(tasks)
    for step in funnel.steps:
        if step.excludes == 0:
            sentence = say(
                "'{label}' excluded nobody from any of {count} recent tasks",
                label=step.label,
                count=len(tasks),
            )
            numbers = {"tasks": len(tasks), "executors": funnel.executors}
            yield Finding("excludes_nobody", step.path, sentence, "note", numbers)


def _unfilled(
    rule_set: RuleSet, owner: str, things: Sequence[Task] | Sequence[Executor]
) -> Iterator[Finding]:
    """Fields that the rules read and that nobody, or hardly anybody, has."""
    if not things:
        return
    fields: dict[str, Field] = {}
    asked_for_absence: set[str] = set()
    for comparison in rule_set.comparisons():
        for each in comparison.fields:
            fields[each.path] = each
            if comparison.operator == "is_null" or comparison.on_missing:
                asked_for_absence.add(each.path)
    for path, each in sorted(fields.items()):
        if each.owner != owner:
            continue
        filled = sum(each.of(thing) is not None for thing in things)
        if filled == 0 or (filled < _SELDOM * len(things) and path not in asked_for_absence):
            code = "nobody_fills" if filled == 0 else "seldom_filled"
            numbers: dict[str, Any] = {"filled": filled, "count": len(things), "path": path}
            sentence = (
                say("{filled} of {count} executors have {path} with a value of its type", **numbers)
                if owner == "executor"
                else say("{filled} of {count} recent tasks have {path} with a value of its type", **numbers)
            )
            yield Finding(code, path, sentence, numbers={"filled": filled, "of": len(things)})


def shown(value: Value) -> Any:
    """A value of a key as people read it."""
    if value == OTHER:
        return "(any other)"
    if value in (TRUE, FALSE):
        return value == TRUE
    if isinstance(value, int):
        return instant_of(value)
    return [shown(each) for each in value] if isinstance(value, tuple) else value
