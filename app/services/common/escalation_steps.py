"""Escalation: what waits too long is placed under relaxed rules, step by step, as the pool's settings say.

The relaxed rules are the active ones without the conditions that the steps so far name. Tasks of a step are eligibility
classes of their own, so that decisions on them are stored and explained like all others.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.engine.types import BoolArray, ClassKey, Executor, FloatArray, IntArray, Rules, Task
from app.rule_engine import RuleSet, compile_rules
from app.services.common.pool_options import EscalationStep


def names_of(rule_set: RuleSet) -> list[str]:
    """What the conditions of a rule set are called, in their order."""
    return [condition.label or f"conditions[{i}]" for i, condition in enumerate(rule_set.conditions)]


def with_escalation(rule_set: RuleSet, steps: Sequence[EscalationStep]) -> Rules:
    """The rules of a pool whose tasks escalate by these steps."""
    rules = compile_rules(rule_set)
    steps = [step for step in steps if step.relax]
    if not steps:
        return rules
    return EscalatingRules(rules, [_relaxed(rule_set, steps[: number + 1]) for number in range(len(steps))])


def _relaxed(rule_set: RuleSet, steps: Sequence[EscalationStep]) -> "Relaxed":
    gone = {name for step in steps for name in step.relax}
    kept = [number for number, name in enumerate(names_of(rule_set)) if name not in gone]
    fewer = replace(rule_set, conditions=tuple(rule_set.conditions[number] for number in kept))
    return Relaxed(compile_rules(fewer), np.array([*kept, -1], dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Relaxed:
    """The rules of one step; `places` gives for each of its conditions the one of the whole rule set (-1 stays -1)."""

    rules: Rules
    places: IntArray


@dataclass(frozen=True, slots=True)
class StepKey:
    """The eligibility class of a task that has come to a step (1 is the first)."""

    step: int
    key: Hashable

    def __str__(self) -> str:
        return f"escalation step {self.step}: {self.key}"


class EscalatingRules:
    """Implements `app.engine.types.Rules`: the pool's rules, and the relaxed ones of each step."""

    def __init__(self, base: Rules, steps: Sequence[Relaxed]) -> None:
        self._base = base
        self._steps = steps

    @property
    def condition_labels(self) -> Sequence[str]:
        """Those of the whole rule set."""
        return self._base.condition_labels

    def update(self, positions: Sequence[int], executors: Sequence[Executor]) -> None:
        """Put executors in these positions."""
        self._base.update(positions, executors)
        for step in self._steps:
            step.rules.update(positions, executors)

    def task_key(self, task: Task) -> ClassKey:
        """The class of a task, apart for each step."""
        step = min(task.escalation, len(self._steps))
        return (
            StepKey(step, self._steps[step - 1].rules.task_key(task)) if step else self._base.task_key(task)
        )

    def task_factor(self, key: ClassKey) -> float:
        """By which the weight is multiplied."""
        rules, own = self._of(key)
        return rules.task_factor(own)

    def eligible(self, key: ClassKey) -> BoolArray:
        """Who passes what is left of the conditions."""
        rules, own = self._of(key)
        return rules.eligible(own)

    def preference(self, key: ClassKey) -> FloatArray | None:
        """Preferences are never relaxed."""
        rules, own = self._of(key)
        return rules.preference(own)

    def excluded_by(self, key: ClassKey) -> IntArray:
        """The first condition that each fails, by its place in the whole rule set."""
        rules, own = self._of(key)
        failed = rules.excluded_by(own)
        return self._steps[key.step - 1].places[failed] if isinstance(key, StepKey) else failed

    def preference_terms(self, key: ClassKey, position: int) -> Sequence[tuple[str, float]]:
        """The preferences that hold for one executor."""
        rules, own = self._of(key)
        return rules.preference_terms(own, position)

    def _of(self, key: ClassKey) -> tuple[Rules, ClassKey]:
        return (self._steps[key.step - 1].rules, key.key) if isinstance(key, StepKey) else (self._base, key)
