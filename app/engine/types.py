"""The words that the engine and the rule engine share: ids, states, and the values they exchange.

Everything here is a value: no I/O, no clock, no randomness. Weights are in task units (a plain task
weighs 1.0) and are exact to a thousandth, which is what the database keeps.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

PoolId = NewType("PoolId", int)
ExecutorId = NewType("ExecutorId", int)
TaskId = NewType("TaskId", int)
RuleSetId = NewType("RuleSetId", int)

Scalar: TypeAlias = str | int | float | bool | None
ParameterValue: TypeAlias = Scalar | list[Scalar]
"""A value of a task or executor parameter as JSON carries it; a datetime is an ISO 8601 string."""

BoolArray: TypeAlias = NDArray[np.bool_]
FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]

ClassKey: TypeAlias = Hashable
"""Names an eligibility class: the values of just those task fields that the rules read."""


class Policy(StrEnum):
    """How an executor is chosen among the eligible."""

    FAIR = "fair"
    ROUND_ROBIN = "round_robin"
    LONGEST_IDLE = "longest_idle"
    BEST_MATCH = "best_match"


class AssignmentKind(StrEnum):
    """Why an executor received a task."""

    PRIMARY = "primary"  # routed: chosen by the policy
    PARENT = "parent"  # forced: the parent task's executor
    REWORK = "rework"  # forced: the previous executor of the same task
    REASSIGN = "reassign"  # routed again, away from a previous executor
    MANUAL = "manual"  # a person decided


class WaitReason(StrEnum):
    """Why a task could not be placed now."""

    NO_ONE_ELIGIBLE = "no_one_eligible"  # no executor of the pool passes the rules
    NOBODY_ON_SHIFT = "nobody_on_shift"  # some pass, none of them is available now
    TOO_HEAVY = "too_heavy"  # some pass, and the task weighs more than any of them may take in a whole day
    ALL_AT_LIMIT = "all_at_limit"  # some are here, all of them at their daily limit
    ALL_BUSY = "all_busy"  # some have daily room, all of those at max_open
    OFFERED_AGAIN_LATER = "offered_again_later"  # all who pass declined it, or had it taken, lately
    HELD_BACK = "held_back"  # kept for those who are about to come
    PAUSED = "paused"  # the pool is paused: nothing is given out
    SET_ASIDE = "set_aside"  # workers died deciding it; a person should look


@dataclass(frozen=True, slots=True)
class Executor:
    """A person as the rules and the engine see them.

    `qualification` > 0 is the share of work relative to others; `daily_limit` is in task weight per
    business day and `max_open` in open tasks at once (None: unlimited). `available` says whether they
    take work right now (not on break, within working hours): the caller knows the clock. An executor who is not
    `active` has left the pool and is not eligible for anything.
    """

    id: ExecutorId
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    external_id: str = ""
    name: str = ""
    qualification: float = 1.0
    daily_limit: float | None = None
    max_open: int | None = None
    available: bool = True
    active: bool = True


@dataclass(frozen=True, slots=True)
class Load:
    """The load of an executor: open and received work.

    `level` is the weight received since levels were last settled, plus what they were settled or joined at; `used` the
    routed weight of the business day; `open` the number of open tasks; `last_assigned` a sequence
    number that grows with every assignment of the pool (0: never), for `round_robin`; `last_ended` when the
    last open task ended or was taken back, in microseconds since 1970 (0: never), for `longest_idle`.
    """

    level: float = 0.0
    used: float = 0.0
    open: int = 0
    last_assigned: int = 0
    last_ended: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work to be placed. `weight` > 0; a higher `priority` goes first.

    `escalation` counts the steps that it has come to by waiting; 0: none.
    """

    id: TaskId
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    external_id: str = ""
    weight: float = 1.0
    priority: int = 0
    deadline: datetime | None = None
    created_at: datetime | None = None
    forced_executor: ExecutorId | None = None
    forced_kind: AssignmentKind | None = None
    excluded_executors: frozenset[ExecutorId] = frozenset()
    escalation: int = 0


class Rules(Protocol):
    """The interface of an active rule set to the engine.

    The rule set is bound to a roster: a list of executors in positions 0..n-1. Arrays have shape (n,)
    in that order. Returned arrays are shared and must not be written to. A task whose key equals
    another's gets the same answers, until `update` is called.
    """

    @property
    def condition_labels(self) -> Sequence[str]:
        """The names of the top-level conditions, in the order `excluded_by` counts them."""

    def update(self, positions: Sequence[int], executors: Sequence[Executor]) -> None:
        """Put executors in these positions (replace or append at n) and forget exactly what that touches."""

    def task_key(self, task: Task) -> ClassKey:
        """The eligibility class of a task (hashable; small)."""

    def task_factor(self, key: ClassKey) -> float:
        """The product of the `task_weights` that hold, by which the task's weight is multiplied."""

    def eligible(self, key: ClassKey) -> BoolArray:
        """Which executors pass all conditions. Availability and limits are the engine's, not the rules'."""

    def preference(self, key: ClassKey) -> FloatArray | None:
        """The product of the preference weights that hold, 1.0 where none does; None when all are 1.0."""

    def excluded_by(self, key: ClassKey) -> IntArray:
        """Index of the first top-level condition that each executor fails; -1 where all hold."""

    def preference_terms(self, key: ClassKey, position: int) -> Sequence[tuple[str, float]]:
        """The preferences that hold for one executor, each with its weight, for explanations."""
