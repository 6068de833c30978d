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

Where the rules prefer nobody in a class, preference counts as 0. Ties: smallest flex, then smallest id.
Scores are compared on a grid of 1e-9 day loads, so that a tie on paper is a tie here.
`Decision.explanation` is what the caller stores with the assignment (plain JSON); `trail` and `snapshot` hold
the rest of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple

from app.engine.eligibility import EligibilityClass
from app.engine.scores import Board, View
from app.engine.state import MILLI, PoolState
from app.engine.types import AssignmentKind, BoolArray, ClassKey, ExecutorId, Task, TaskId, WaitReason

_NEVER = datetime.max.replace(tzinfo=UTC)
_ROUTED = frozenset({AssignmentKind.PRIMARY, AssignmentKind.REASSIGN})


class Decision(NamedTuple):
    """A task placed.

    `weight` is effective (task factor included) and `level_before` in task units. `frame` and `step` say
    where in the trail the picture of that moment is (frame None: no trail was kept).
    """

    task_id: TaskId
    executor_id: ExecutorId
    kind: AssignmentKind
    weight: float
    score: float
    level_before: float
    class_key: ClassKey
    class_digest: str
    frame: int | None
    step: int

    @property
    def explanation(self) -> dict[str, Any]:
        """What to store with the assignment, as JSON."""
        return {"level": self.level_before, "frame": self.frame, "step": self.step}


class Waiting(NamedTuple):
    """A task that nobody could take and why.

    `details` counts the executors who pass the rules: `eligible`, and of these `absent`, `at_limit`, `busy`.
    """

    task_id: TaskId
    reason: WaitReason
    weight: float
    class_key: ClassKey
    class_digest: str
    frame: int | None
    step: int
    details: dict[str, int]

    @property
    def explanation(self) -> dict[str, Any]:
        """What to store with the task, as JSON."""
        return {**self.details, "frame": self.frame, "step": self.step}


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
    ordered = sorted(tasks, key=attrgetter("id"))
    if any(task.deadline is not None for task in ordered):
        ordered.sort(key=lambda task: task.deadline or _NEVER)
    ordered.sort(key=attrgetter("priority"), reverse=True)
    return ordered


def place(state: PoolState, tasks: Iterable[Task]) -> Outcome:
    """Place a batch; `state` carries the new loads afterwards.

    Returns the decisions and the tasks that wait. How tasks of the same order are cut into batches changes
    nothing.
    """
    ordered = in_order(tasks)
    placer = _Placer(state, ordered)
    for task, key, weight in zip(ordered, placer.keys, placer.weights, strict=True):
        placer.place(task, key, weight)
    state.trail.record(placer.outcome.decisions)
    return placer.outcome


def preview(state: PoolState, task: Task) -> Decision | Waiting:
    """Who would get this task now; `state` stays as it is."""
    outcome = place(state.copy(), [task])
    return outcome.decisions[0] if outcome.decisions else outcome.waiting[0]


class _Placer:
    """One batch in progress."""

    def __init__(self, state: PoolState, tasks: Sequence[Task]) -> None:
        self.state = state
        self.outcome = Outcome()
        self.keys: list[ClassKey] = list(map(state.rules.task_key, tasks))
        factors = {key: state.rules.task_factor(key) * MILLI for key in set(self.keys)}
        self.weights = [
            round(task.weight * factors[key]) or 1 for task, key in zip(tasks, self.keys, strict=True)
        ]
        self.frame = state.trail.number
        self.first_step = state.trail.step
        self.floor = min(self.weights, default=1)
        self.board = self._board()

    def _board(self) -> Board:
        """The board of the present classes and people, kept from batch to batch while these stay."""
        board = self.state.board
        if board is None or not board.current():
            board = self.state.board = Board(self.state)
        board.rebase(self.floor)
        return board

    def _meet(self, key: ClassKey) -> View:
        found = self.state.classes.meet(key)
        if not self.board.current():
            self.board = self._board()
        return self.board.view(found)

    def place(self, task: Task, key: ClassKey, weight: int) -> None:
        """Place one task."""
        view = self.board.views.get(key) or self._meet(key)
        board = self.board
        if task.forced_executor is not None:
            position = self._forced(task, task.forced_executor, view.found)
            if position is not None:
                self._assign(
                    task, view, board.rank_of(position), weight, task.forced_kind or AssignmentKind.PARENT
                )
                return
        layers = view.layers or board.layers_for(view.found, weight)
        rank = board.choose(layers, weight, self._barred(task) if task.excluded_executors else ())
        if rank < 0:
            self._wait(task, view, weight)
        else:
            self._assign(task, view, rank, weight, _routed_kind(task))

    def _forced(self, task: Task, executor_id: ExecutorId, found: EligibilityClass) -> int | None:
        """The position that the task must go to, if they may still have it."""
        position = self.state.position.get(executor_id)
        if position is None or not self.state.active[position]:
            return None
        if task.forced_kind is AssignmentKind.MANUAL:
            return position
        return position if self.state.here[position] and found.eligible[position] else None

    def _barred(self, task: Task) -> tuple[int, ...]:
        known = self.state.position
        return tuple(
            self.board.rank_of(known[barred]) for barred in task.excluded_executors if barred in known
        )

    def _assign(self, task: Task, view: View, rank: int, weight: int, kind: AssignmentKind) -> None:
        board, decisions = self.board, self.outcome.decisions
        routed = kind in _ROUTED
        score = board.score(rank, weight) if routed else 0.0
        before = board.give(rank, weight, routed)
        decisions.append(
            Decision(
                task.id,
                board.executor_ids[rank],
                kind,
                weight / MILLI,
                score,
                before / MILLI,
                view.found.key,
                view.digest,
                self.frame,
                self.first_step + len(decisions),
            )
        )

    def _wait(self, task: Task, view: View, weight: int) -> None:
        state = self.state
        able = view.found.eligible & state.active
        for barred in task.excluded_executors & state.position.keys():
            able[state.position[barred]] = False
        present = able & state.here
        daily = present & (state.used + weight <= state.limit)
        details = {
            "eligible": int(able.sum()),
            "absent": int((able & ~state.here).sum()),
            "at_limit": int((present & ~daily).sum()),
            "busy": int(daily.sum()),
        }
        step = self.first_step + len(self.outcome.decisions)
        reason = _reason(able, present, daily)
        self.outcome.waiting.append(
            Waiting(task.id, reason, weight / MILLI, view.found.key, view.digest, self.frame, step, details)
        )


def _reason(able: BoolArray, present: BoolArray, daily: BoolArray) -> WaitReason:
    if not able.any():
        return WaitReason.NO_ONE_ELIGIBLE
    if not present.any():
        return WaitReason.NOBODY_ON_SHIFT
    return WaitReason.ALL_BUSY if daily.any() else WaitReason.ALL_AT_LIMIT


def _routed_kind(task: Task) -> AssignmentKind:
    if task.excluded_executors or task.forced_kind is AssignmentKind.REWORK:
        return AssignmentKind.REASSIGN
    return AssignmentKind.PRIMARY
