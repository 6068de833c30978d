"""Placement: one task after another, each to the executor that the pool's policy puts first.

API in short::

    outcome = place(state, tasks)
    for decision in outcome.decisions: ...   # in the order in which they were taken
    for waiting in outcome.waiting: ...
    outcome.executors()          # ids that received something, ascending; state.load_of(id) is the new load
    outcome.digests()            # class snapshots that the decisions refer to: state.snapshot(digest)
    preview(state, task) -> Decision | Waiting   # changes nothing

The score of an executor i for a task of effective weight w in class c, in day loads (the lowest wins)::

    fair:          (v[i] + w/2) / (q[i] * day_load) - theta * preference(c, i)
    best_match:    the fair score without preference, among those with the highest preference that have room
    round_robin:   the assignment that i received last (a sequence number)
    longest_idle:  the same, those without open work first

Ties: smallest flex, then smallest id. Scores are compared on a grid of 1e-9 day loads, so that a tie on
paper is a tie here. `Decision.explanation` is what the caller stores with the assignment (plain JSON).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, TypeAlias

import numpy as np

from app.engine.eligibility import EligibilityClass
from app.engine.state import MILLI, PoolState
from app.engine.types import (
    AssignmentKind,
    BoolArray,
    ClassKey,
    ExecutorId,
    FloatArray,
    Policy,
    Task,
    TaskId,
    WaitReason,
)

GRID = 1e9
"""Score units per day load."""
_NEVER = datetime.max.replace(tzinfo=UTC)
_BUSY = float(1 << 52)

Explanation: TypeAlias = dict[str, object]


class Decision(NamedTuple):
    """A task placed. `weight` is effective (task factor included), `level_before` in task units."""

    task_id: TaskId
    executor_id: ExecutorId
    kind: AssignmentKind
    weight: float
    score: float
    level_before: float
    class_key: ClassKey
    class_digest: str
    explanation: Explanation


class Waiting(NamedTuple):
    """A task that nobody could take, why, and how many were out for each reason."""

    task_id: TaskId
    reason: WaitReason
    weight: float
    class_key: ClassKey
    class_digest: str
    details: Explanation


@dataclass(slots=True)
class Outcome:
    """What became of a batch, in the order in which it was decided."""

    decisions: list[Decision] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)

    def executors(self) -> list[ExecutorId]:
        """Ids of those who received something, ascending: the order in which their rows are locked."""
        return sorted({decision.executor_id for decision in self.decisions})

    def digests(self) -> set[str]:
        """The class snapshots that these decisions and waits refer to."""
        placed = {decision.class_digest for decision in self.decisions}
        return placed | {waiting.class_digest for waiting in self.waiting}


def in_order(tasks: Iterable[Task]) -> list[Task]:
    """The order of a batch: higher priority, then earlier deadline (none last), then arrival (id)."""
    return sorted(tasks, key=lambda task: (-task.priority, task.deadline or _NEVER, task.id))


def place(state: PoolState, tasks: Iterable[Task]) -> Outcome:
    """Place a batch; `state` carries the new loads afterwards.

    Returns the decisions and the tasks that wait. How tasks of the same order are cut into batches changes
    nothing.
    """
    placer = _Placer(state)
    for task in in_order(tasks):
        placer.place(task)
    return placer.outcome


def preview(state: PoolState, task: Task) -> Decision | Waiting:
    """Who would get this task now; `state` stays as it is."""
    placer = _Placer(state)
    known = state.position
    before = {i: state.load_of(i) for i in known}
    sequence = state.sequence
    outcome = placer.place(task)
    state.update_loads(before)
    state.sequence = sequence
    return outcome


class _Placer:
    """One batch in progress. Columns of scores are in tie order (`Classes.order`), not by position."""

    def __init__(self, state: PoolState) -> None:
        self.state = state
        self.outcome = Outcome()
        self._version = -1
        self._order: list[int] = []
        self._base: FloatArray = np.empty(0)

    def place(self, task: Task) -> Decision | Waiting:
        """Place one task."""
        state = self.state
        key = state.rules.task_key(task)
        found = state.classes.get(key)
        weight = max(1, round(task.weight * found.factor * MILLI))
        forced = self._forced(task, found)
        if forced is not None:
            return self._assign(task, found, forced, weight, task.forced_kind or AssignmentKind.PARENT, 0.0)
        room = self._room(found, weight, task)
        scores = self._scores(found, weight)
        chosen = self._choose(scores, room, found)
        if chosen is None:
            return self._wait(task, found, weight)
        return self._assign(task, found, chosen, weight, _routed_kind(task), float(scores[chosen]))

    def _forced(self, task: Task, found: EligibilityClass) -> int | None:
        if task.forced_executor is None:
            return None
        at = self.state.position.get(task.forced_executor)
        if at is None or not self.state.active[at]:
            return None
        if task.forced_kind is AssignmentKind.MANUAL:
            return at
        return at if self.state.here[at] and found.eligible[at] else None

    def _room(self, found: EligibilityClass, weight: int, task: Task) -> BoolArray:
        state = self.state
        room = found.eligible & state.active & state.here & (state.open < state.max_open)
        room &= state.used + weight <= state.limit
        for excluded in task.excluded_executors:
            if excluded in state.position:
                room[state.position[excluded]] = False
        return room

    def _scores(self, found: EligibilityClass, weight: int) -> FloatArray:
        state, settings = self.state, self.state.settings
        if settings.policy is Policy.ROUND_ROBIN:
            return state.last
        if settings.policy is Policy.LONGEST_IDLE:
            return np.where(state.open > 0, state.last + _BUSY, state.last)
        scale = GRID / (state.qualification * settings.day_load * MILLI)
        scores: FloatArray = np.rint(state.level * scale) + np.rint(weight / 2 * scale)
        if settings.policy is Policy.FAIR and settings.theta:
            pref = np.ones(len(state)) if found.preference is None else found.preference
            scores = scores - np.rint(settings.theta * pref * GRID)
        return scores

    def _choose(self, scores: FloatArray, room: BoolArray, found: EligibilityClass) -> int | None:
        if not room.any():
            return None
        if self.state.settings.policy is Policy.BEST_MATCH and found.preference is not None:
            room = room & (found.preference == found.preference[room].max())
        order = self.state.classes.order
        return int(order[np.where(room, scores, np.inf)[order].argmin()])

    def _assign(
        self, task: Task, found: EligibilityClass, at: int, weight: int, kind: AssignmentKind, score: float
    ) -> Decision:
        state = self.state
        before = state.level.item(at)
        state.level[at] += weight
        state.open[at] += 1
        if kind in (AssignmentKind.PRIMARY, AssignmentKind.REASSIGN):
            state.used[at] += weight
        state.sequence += 1
        state.last[at] = state.sequence
        decision = Decision(
            task.id,
            state.executors[at].id,
            kind,
            weight / MILLI,
            score / GRID,
            before / MILLI,
            found.key,
            state.digest_of(found),
            {"level": before / MILLI},
        )
        self.outcome.decisions.append(decision)
        return decision

    def _wait(self, task: Task, found: EligibilityClass, weight: int) -> Waiting:
        state = self.state
        able = found.eligible & state.active
        for excluded in task.excluded_executors:
            if excluded in state.position:
                able[state.position[excluded]] = False
        present = able & state.here
        daily = present & (state.used + weight <= state.limit)
        details: Explanation = {
            "eligible": int(able.sum()),
            "absent": int((able & ~state.here).sum()),
            "at_limit": int((present & ~daily).sum()),
            "busy": int(daily.sum()),
        }
        waiting = Waiting(
            task.id, _reason(able, present, daily), weight / MILLI, found.key, state.digest_of(found), details
        )
        self.outcome.waiting.append(waiting)
        return waiting


def _reason(able: BoolArray, present: BoolArray, daily: BoolArray) -> WaitReason:
    if not able.any():
        return WaitReason.NO_ONE_ELIGIBLE
    if not present.any():
        return WaitReason.NOBODY_ON_SHIFT
    return WaitReason.ALL_BUSY if daily.any() else WaitReason.ALL_AT_LIMIT


def _routed_kind(task: Task) -> AssignmentKind:
    away = task.excluded_executors or task.forced_kind in (AssignmentKind.REWORK, AssignmentKind.REASSIGN)
    return AssignmentKind.REASSIGN if away else AssignmentKind.PRIMARY
