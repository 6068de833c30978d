"""The history of a pool as a stream of work: what came in, who was there, and what really became of it.

People are read from the trail: who was at work, with which limits, whenever a batch was decided. Where it was archived
everybody active counts as there throughout, and the notes say so.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.database import HotConnection
from app.engine.placement.decision_log import StandingBefore, standings_after
from app.engine.placement.state import MILLI
from app.engine.replay import Arrival, Stream, Turn, Window
from app.engine.types import AssignmentKind, Executor, ExecutorId, PoolId, Task, TaskId

MOST_ITEMS = 200_000
"""Assignments and waiting tasks of one replay."""

# What was assigned in the period, in the order of decisions, and what came in and was never assigned here: it waits, or
# went on to another pool. `created_at` is when it came into this pool. Reads ix_assignments_pool_id_decided_at,
# ix_tasks_pool_id_created_at and ix_tasks_home_pool_id_created_at; locks nothing.
_ITEMS = """
SELECT held.task_id, held.executor_id, held.kind, held.decided_at, held.released_at,
       (held.explanation ->> 'frame')::bigint AS frame,
       task.parameters, task.weight::float8 AS weight, task.priority, task.deadline,
       CASE WHEN task.moved_at <= held.decided_at THEN task.moved_at ELSE task.created_at END AS created_at,
       task.parent_id
FROM assignments held JOIN tasks task ON task.id = held.task_id
WHERE held.pool_id = $1 AND held.decided_at >= $2 AND held.decided_at < $3
UNION ALL
SELECT task.id, NULL, 'primary', NULL, NULL, NULL,
       task.parameters, task.weight::float8, task.priority, task.deadline, came.at, task.parent_id
FROM tasks task
CROSS JOIN LATERAL (
    SELECT CASE WHEN task.pool_id = $1 THEN coalesce(task.moved_at, task.created_at) ELSE task.created_at END AS at
) came
WHERE (task.pool_id = $1 AND task.status = 'pending' OR task.home_pool_id = $1)
  AND came.at >= $2 AND came.at < $3
  AND NOT EXISTS (SELECT FROM assignments held WHERE held.task_id = task.id AND held.pool_id = $1)
ORDER BY decided_at NULLS LAST, created_at, task_id
LIMIT $4
"""
_FRAMES = """
SELECT number, content FROM trail_frames
WHERE pool_id = $1 AND number <= $3
  AND number >= (SELECT start FROM trail_frames WHERE pool_id = $1 AND number = $2)
ORDER BY number
"""
_PEOPLE = """
SELECT id, external_id, name, parameters, active, daily_limit::float8 AS daily_limit, max_open,
       qualification::float8 AS qualification
FROM executors WHERE pool_id = $1 ORDER BY id
"""


class TooMuchHistory(ValueError):
    """More happened in the period than one replay takes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Other limits for everybody; None leaves what was."""

    daily_limit: float | None = None
    max_open: int | None = None

    def of(self, executor: Executor) -> Executor:
        """The same person under these limits."""
        daily = executor.daily_limit if self.daily_limit is None else self.daily_limit
        most = executor.max_open if self.max_open is None else self.max_open
        return replace(executor, daily_limit=daily, max_open=most)


@dataclass(frozen=True, slots=True)
class History:
    """A period as it was: everybody who was in the pool, and the stream."""

    people: Sequence[Executor]
    stream: Stream
    notes: list[str] = field(default_factory=list)

    def under(self, limits: Limits) -> "History":
        """The same period with other limits."""
        turns = [Turn(turn.at, [limits.of(one) for one in turn.changed]) for turn in self.stream.turns]
        return replace(
            self, people=[limits.of(one) for one in self.people], stream=replace(self.stream, turns=turns)
        )


async def read_history(
    connection: HotConnection,
    *,
    pool_id: PoolId,
    since: datetime,
    until: datetime,
    zone: ZoneInfo,
    window: Window,
) -> History:
    """What happened between two instants. Raises TooMuch."""
    rows = await connection.fetch(_ITEMS, pool_id, since, until, MOST_ITEMS + 1)
    if len(rows) > MOST_ITEMS:
        raise TooMuchHistory(f"more than {MOST_ITEMS:,} assignments in the period: choose a shorter one")
    people = [_person(row) for row in await connection.fetch(_PEOPLE, pool_id)]
    arrivals = _Arrivals(until).of(rows)
    batches = {row["frame"]: row["decided_at"] for row in reversed(rows) if row["frame"] is not None}
    begin = min((arrival.at for arrival in arrivals), default=since.timestamp()) - 1.0
    turns: list[Turn] = []
    if batches:
        frames = await connection.fetch(_FRAMES, pool_id, min(batches), max(batches))
        turns = _turns(frames, _sights(rows), people, begin)
    notes = [] if turns or not rows else ["who was at work is not kept for this period: all count as present"]
    if turns:
        people = [replace(one, available=False) for one in people]
    return History(people, Stream(arrivals, turns, zone, window), notes)


def _person(row: Any) -> Executor:
    return Executor(
        id=ExecutorId(row["id"]),
        parameters=row["parameters"],
        external_id=row["external_id"] or "",
        name=row["name"],
        qualification=row["qualification"],
        daily_limit=row["daily_limit"],
        max_open=row["max_open"],
        active=row["active"],
    )


class _Arrivals:
    """Rows of history as arrivals, numbered in the order in which they came; a task may come several times."""

    def __init__(self, until: datetime) -> None:
        self._until = until
        self._last: dict[int, tuple[TaskId, datetime | None]] = {}

    def of(self, rows: Sequence[Any]) -> list[Arrival]:
        """In the order of time."""
        came: list[tuple[float, int, Any]] = []
        released: dict[int, datetime | None] = {}
        for number, row in enumerate(rows):
            again = released.get(row["task_id"])
            at = min(again or row["created_at"], row["decided_at"] or self._until)
            came.append((at.timestamp(), number, row))
            released[row["task_id"]] = row["released_at"] or row["decided_at"]
        came.sort(key=lambda each: each[:2])
        return [self._arrival(TaskId(number), at, row) for number, (at, _, row) in enumerate(came, 1)]

    def _arrival(self, number: TaskId, at: float, row: Any) -> Arrival:
        before = self._last.get(row["task_id"])
        parent = self._last.get(row["parent_id"] or 0)
        self._last[row["task_id"]] = number, row["released_at"]
        kind = AssignmentKind(row["kind"])
        follows = {AssignmentKind.PARENT: parent, AssignmentKind.REWORK: before}.get(kind)
        actual = None if row["executor_id"] is None else ExecutorId(row["executor_id"])
        bound = (
            kind in (AssignmentKind.PARENT, AssignmentKind.REWORK, AssignmentKind.MANUAL) and follows is None
        )
        decided, released = row["decided_at"], row["released_at"] or self._until
        return Arrival(
            Task(
                number,
                row["parameters"],
                weight=row["weight"],
                priority=row["priority"],
                deadline=row["deadline"],
                forced_executor=actual if bound else None,
                forced_kind=kind if bound else None,
            ),
            at,
            stays=max(0.0, (released - decided).total_seconds()) if decided else 0.0,
            follows=follows[0] if follows else None,
            away_from=before[0] if before and kind is AssignmentKind.REASSIGN else None,
            kind=kind,
            actual=actual,
            waited=max(0.0, decided.timestamp() - at) if decided else None,
        )


def _sights(rows: Sequence[Any]) -> dict[int, float]:
    """When what each batch saw of people began to hold, by frame.

    A batch decides a moment after its tasks came in: what it saw held when the first of them came that had not waited
    since the batch before; where all had waited, when it decided.
    """
    batches: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        if row["frame"] is not None:
            batches[row["frame"]].append(row)
    before, sights = float("-inf"), {}
    for frame, decided in sorted(batches.items()):
        came = [row["created_at"].timestamp() for row in decided]
        at = decided[0]["decided_at"].timestamp()
        sights[frame] = min([each for each in came if each > before] or [at]) - 1e-3
        before = at
    return sights


def _turns(
    frames: Sequence[Any], sights: Mapping[int, float], people: Sequence[Executor], begin: float
) -> list[Turn]:
    """What each batch saw of people that the one before did not. The first batch's sight holds from the beginning."""
    by_id = {one.id: one for one in people}
    seen: dict[ExecutorId, Executor] = {}
    turns: list[Turn] = []
    for number, standings in standings_after([(row["number"], row["content"]) for row in frames]):
        if number not in sights:
            continue
        changed = []
        for executor_id, standing in standings.items():
            known = by_id.get(executor_id)
            now = None if known is None else _as_seen(known, standing)
            if now is not None and seen.get(executor_id) != now:
                seen[executor_id] = now
                changed.append(now)
        if changed:
            turns.append(Turn(sights[number] if turns else begin, changed))
    return turns


def _as_seen(person: Executor, standing: StandingBefore) -> Executor:
    return replace(
        person,
        qualification=standing.qualification,
        daily_limit=None if standing.limit is None else standing.limit / MILLI,
        max_open=standing.max_open,
        available=standing.here,
        active=standing.active,
    )
