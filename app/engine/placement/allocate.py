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
    longest_idle:  when their last open task ended; after them those with open work, as round_robin

Where the rules prefer nobody in a class, preference counts as 0. Ties: smallest flex, then smallest id.
Scores are compared on a grid of 1e-9 day loads, so that a tie on paper is a tie here.
`Decision.explanation` is what the caller stores with the assignment (plain JSON); `trail` and `snapshot` hold
the rest of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count, repeat
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from app.engine.placement.decision_log import ROUTED
from app.engine.placement.eligibility import EligibilityClass
from app.engine.placement.scores import BLOCKED, FAR, OUT, ScoreBoard, View
from app.engine.placement.state import MILLI, PoolState
from app.engine.types import AssignmentKind, ClassKey, ExecutorId, Task, TaskId, WaitReason

_MISSES = 10
"""So often scores in 32 bits may tell nothing before a run does without them: somebody stands far below all others."""
_NEVER = datetime.max.replace(tzinfo=UTC)


class Decision(NamedTuple):
    """A task placed.

    `weight` is effective (task factor included) and `level_before` in task units. `frame` and `step` say
    where in the trail the picture of that moment is (frame None: no trail was kept). `barred` could not have it
    by the task's own history; `instead_of` is the executor it was bound to and who could not take it.
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
    barred: frozenset[ExecutorId] = frozenset()
    instead_of: ExecutorId | None = None

    @property
    def explanation(self) -> dict[str, Any]:
        """The explanation to store with the assignment, as JSON."""
        facts = {"level": self.level_before, "frame": self.frame, "step": self.step}
        if self.barred or self.instead_of:
            return {**facts, **_route(self.barred, self.instead_of)}
        return facts


class WaitingTask(NamedTuple):
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
    barred: frozenset[ExecutorId] = frozenset()
    instead_of: ExecutorId | None = None

    @property
    def explanation(self) -> dict[str, Any]:
        """The reason of waiting to store with the task, as JSON."""
        facts = {**self.details, "frame": self.frame, "step": self.step}
        return {**facts, **_route(self.barred, self.instead_of)}


def _route(barred: frozenset[ExecutorId], instead_of: ExecutorId | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"barred": sorted(barred)} if barred else {}
    return facts if instead_of is None else {**facts, "instead_of": instead_of}


HEAVIEST = 1_000_000 * MILLI
"""What a task may weigh with the factors of the rules, in thousandths: as much as one may weigh that is sent."""
_as_decision = partial(tuple.__new__, Decision)
"""Makes a decision of all its fields; `_make` does the same at twice the cost."""
_NOBODY: frozenset[ExecutorId] = frozenset()


@dataclass(slots=True)
class BatchOutcome:
    """The outcome of a batch, in the order in which it was decided."""

    decisions: list[Decision] = field(default_factory=list)
    waiting: list[WaitingTask] = field(default_factory=list)

    def executors(self) -> list[ExecutorId]:
        """Ids of those who received something, ascending: the order in which their rows are locked."""
        return sorted({decision.executor_id for decision in self.decisions})

    def digests(self) -> set[str]:
        """The class snapshots that these decisions and waits refer to."""
        placed = {decision.class_digest for decision in self.decisions}
        return placed | {waiting.class_digest for waiting in self.waiting}


def in_order(tasks: Iterable[Task]) -> list[Task]:
    """The order of a batch: higher priority, then earlier deadline (none last), then arrival, then id.

    Arrival is `created_at`. Tasks without one are numbered in the order in which they came (a replay).
    """
    ordered = sorted(tasks, key=attrgetter("id"))
    if all(map(attrgetter("created_at"), ordered)):
        ordered.sort(key=attrgetter("created_at"))
    if any(task.deadline is not None for task in ordered):
        ordered.sort(key=lambda task: task.deadline or _NEVER)
    ordered.sort(key=attrgetter("priority"), reverse=True)
    return ordered


def place(state: PoolState, tasks: Iterable[Task]) -> BatchOutcome:
    """Place a batch; `state` carries the new loads afterwards.

    Returns the decisions and the tasks that wait. How tasks of the same order are cut into batches changes
    nothing.
    """
    return _Placer(state, in_order(tasks)).place_all()


def park(state: PoolState, tasks: Iterable[Task], reason: WaitReason) -> BatchOutcome:
    """Place nothing of a batch: all of it waits for this reason; `state` stays as it is."""
    return _Placer(state, in_order(tasks), reason).place_all()


def preview(state: PoolState, task: Task) -> Decision | WaitingTask:
    """Decide who would receive this task now, without changing `state`."""
    outcome = place(state.copy(), [task])
    return outcome.decisions[0] if outcome.decisions else outcome.waiting[0]


class _Placer:
    """One batch in progress."""

    def __init__(self, state: PoolState, tasks: Sequence[Task], stop: WaitReason | None = None) -> None:
        self.stop = WaitReason.PAUSED if state.settings.paused else stop
        self.state = state
        self.tasks = tasks
        self.outcome = BatchOutcome()
        self.keys: list[ClassKey] = list(map(state.rules.task_key, tasks))
        self.weights = _effective(state, tasks, self.keys)
        self.floor = min(self.weights, default=1)
        self.frame = state.trail.number
        self.first_step = state.trail.step
        self._last_wait: tuple[ClassKey, int, int, WaitingTask] | None = None

    @property
    def step(self) -> int:
        """The number of the next decision in its frame."""
        return self.first_step + len(self.outcome.decisions)

    def place_all(self) -> BatchOutcome:
        """Place every task of the batch."""
        board: ScoreBoard | None = None
        done = 0
        try:
            while done < len(self.tasks):
                board = self._board(board, self.keys[done], self.weights[done])
                done = self._place_plain(board, done) if self.stop is None else done
                if done < len(self.tasks) and self._name(board, done) in board.views:
                    self._place_one(board, done)
                    done += 1
        finally:
            if board is not None:
                board.store()
        return self.outcome

    def _name(self, board: ScoreBoard, number: int) -> ClassKey:
        return board.name(self.keys[number], self.weights[number])

    def _board(self, board: ScoreBoard | None, key: ClassKey, weight: int) -> ScoreBoard:
        """A board of the present people and classes, `key` among them; the one in use while it can be."""
        state = self.state
        if board is not None and board.name(key, weight) in board.views:
            return board
        found = state.classes.meet(key)
        if board is not None and not board.current():
            board.store()
            board = None
        if board is None:
            kept = state.board
            board = kept if isinstance(kept, ScoreBoard) and kept.current() else ScoreBoard(state)
            state.board = board
            board.load(self.floor)
        if board.name(key, weight) not in board.views:
            board.view(found, weight)
        return board

    def _place_plain(self, board: ScoreBoard, first: int) -> int:
        """Place tasks from the one numbered `first` until one needs more than an addition and an argmin.

        Returns how many are done. This loop is the speed of the engine: a call in it costs a tenth of a
        placement, so all that can wait is done for the whole run at its end.
        """
        add, argmin, base, total = np.add, board.sum.argmin, board.base, board.sum
        total_at, base_at, level = board.sum_at, board.base_at, board.level
        room, slots, scale, floor = board.room, board.slots, board.scale, board.floor
        near_base, near_argmin, near_total = board.near_base, board.near_sum.argmin, board.near_sum
        near_total_at, near_at, origin, many = board.near_sum_at, board.near_base_at, board.origin, board.many
        keys, weights = self.keys, self.weights
        names = keys if board.uniform else list(zip(keys, weights, strict=True))
        find = board.views.get
        ranks: list[int] = []
        scores: list[int] = []
        befores: list[int] = []
        views: list[View] = []
        rank = score = missed = 0
        for number in range(first, len(keys)):
            task = self.tasks[number]
            view = find(names[number])
            if view is None or not view.plain or task.forced_kind is not None or task.excluded_executors:
                break
            near = view.near if missed < _MISSES else None
            if near is not None:
                add(near_base, near, near_total)
                rank = int(near_argmin())
                score = near_total_at[rank] + origin + view.least
                if near_total_at[rank] >= FAR:
                    near, missed = None, missed + 1
            if near is None:
                add(base, view.layers[0], total)
                rank = int(argmin())
                score = total_at[rank]
            weight = weights[number]
            left = room[rank] - weight
            if left < 0 or score >= OUT:
                break
            before = level[rank]
            after = level[rank] = before + weight
            room[rank] = left
            free = slots[rank] = slots[rank] - 1
            moved = base_at[rank] = BLOCKED if left < floor or free <= 0 else round(after * scale[rank])
            if many:
                near_at[rank] = min(moved - origin, FAR)
            ranks.append(rank)
            scores.append(score)
            befores.append(before)
            views.append(view)
        self._record(board, first, ranks, scores, befores, views)
        return first + len(ranks)

    def _record(
        self,
        board: ScoreBoard,
        first: int,
        ranks: list[int],
        scores: list[int],
        befores: list[int],
        views: list[View],
    ) -> None:
        """Turn a run of plain placements into decisions."""
        if not ranks:
            return
        board.note_order(ranks)
        last = first + len(ranks)
        chosen = [board.executor_ids[rank] for rank in ranks]
        weights = self.weights[first:last]
        columns = zip(
            [task.id for task in self.tasks[first:last]],
            chosen,
            repeat(AssignmentKind.PRIMARY),
            [weight / MILLI for weight in weights],
            board.in_day_loads(scores, weights),
            [before / MILLI for before in befores],
            self.keys[first:last],
            [view.digest for view in views],
            repeat(self.frame),
            count(self.step),
            repeat(_NOBODY),
            repeat(None),
            strict=False,
        )
        self.outcome.decisions.extend(map(_as_decision, columns))
        self.state.trail.record(chosen, weights)

    def _place_one(self, board: ScoreBoard, number: int) -> None:
        """Place a task that is forced, barred from somebody, of several layers, or without room at the first."""
        task, weight = self.tasks[number], self.weights[number]
        view = board.views[self._name(board, number)]
        if self.stop is not None:
            self._wait(board, task, view, weight, ())
            return
        if task.forced_executor is not None:
            position = self._forced(task, task.forced_executor, view.found)
            if position is not None:
                rank = board.rank_of(position)
                self._assign(board, task, view, rank, weight, task.forced_kind or AssignmentKind.PARENT)
                return
        known = self.state.position
        barred = [board.rank_of(known[other]) for other in task.excluded_executors if other in known]
        rank = board.choose(view.layers, weight, barred)
        if rank >= 0:
            self._assign(board, task, view, rank, weight, _routed_kind(task))
        else:
            self._wait(board, task, view, weight, barred)

    def _forced(self, task: Task, executor_id: ExecutorId, found: EligibilityClass) -> int | None:
        """The position that the task must go to, if they may still have it."""
        position = self.state.position.get(executor_id)
        if position is None or not self.state.active[position]:
            return None
        if task.forced_kind is AssignmentKind.MANUAL:
            return position
        return position if self.state.here[position] and found.eligible[position] else None

    def _assign(
        self, board: ScoreBoard, task: Task, view: View, rank: int, weight: int, kind: AssignmentKind
    ) -> None:
        routed = kind in ROUTED
        score = board.in_day_loads([board.sum_at[rank]], [weight])[0] if routed else 0.0
        before = board.give(rank, weight, routed)
        self.state.trail.record([board.executor_ids[rank]], [weight], routed)
        self.outcome.decisions.append(
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
                self.step,
                task.excluded_executors,
                task.forced_executor if routed else None,
            )
        )

    def _wait(self, board: ScoreBoard, task: Task, view: View, weight: int, barred: Sequence[int]) -> None:
        """Say why nobody can take the task; asked again before the next decision, the answer is the same."""
        last, free = self._last_wait, task.forced_executor is None and not task.excluded_executors
        asked = (view.found.key, weight, self.step)
        if free and last is not None and last[:3] == asked:
            self.outcome.waiting.append(last[3]._replace(task_id=task.id))
            return
        waiting = self._waiting(board, task, view, weight, barred)
        self.outcome.waiting.append(waiting)
        self._last_wait = (*asked, waiting) if free else None

    def _waiting(
        self, board: ScoreBoard, task: Task, view: View, weight: int, barred: Sequence[int]
    ) -> WaitingTask:
        state, order = self.state, board.order
        able = (view.found.eligible & state.active)[order]
        passing = int(able.sum())
        able[list(barred)] = False
        present = able & state.here[order]
        daily = present & (np.asarray(board.room) >= weight)
        eligible, here, busy = int(able.sum()), int(present.sum()), int(daily.sum())
        most = int(state.limit[order][able].max(initial=0))
        details = {"eligible": eligible, "absent": eligible - here, "at_limit": here - busy, "busy": busy}
        return WaitingTask(
            task.id,
            self.stop
            or (WaitReason.TOO_HEAVY if 0 < most < weight else _reason(passing, eligible, here, busy)),
            weight / MILLI,
            view.found.key,
            view.digest,
            self.frame,
            self.step,
            details,
            task.excluded_executors,
            task.forced_executor,
        )


def _effective(state: PoolState, tasks: Sequence[Task], keys: Sequence[ClassKey]) -> list[int]:
    """Weights with the task factors of the rules, in whole thousandths: at least one, at most `HEAVIEST`.

    Factors multiply without end, and counters do not: whoever previews and whoever decides meets the same bound here.
    """
    factors = {key: state.rules.task_factor(key) * MILLI for key in set(keys)}
    if max(factors.values(), default=0) <= MILLI:  # what was sent is bounded, and stays so
        return [round(task.weight * factors[key]) or 1 for task, key in zip(tasks, keys, strict=True)]
    weights = (min(task.weight * factors[key], HEAVIEST) for task, key in zip(tasks, keys, strict=True))
    return [round(weight) or 1 for weight in weights]


def _reason(passing: int, eligible: int, here: int, busy: int) -> WaitReason:
    if passing == 0:
        return WaitReason.NO_ONE_ELIGIBLE
    if eligible == 0:
        return WaitReason.OFFERED_AGAIN_LATER
    if here == 0:
        return WaitReason.NOBODY_ON_SHIFT
    return WaitReason.ALL_BUSY if busy else WaitReason.ALL_AT_LIMIT


def _routed_kind(task: Task) -> AssignmentKind:
    if task.excluded_executors or task.forced_kind in (AssignmentKind.REWORK, AssignmentKind.REASSIGN):
        return AssignmentKind.REASSIGN
    return AssignmentKind.PRIMARY
