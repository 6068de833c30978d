"""Placing a batch: take the pool, bring the picture up to date, decide in memory, write everything in one transaction.

Exactly once, whatever crashes: the pool's row is locked for the length of the transaction, tasks are taken only while
they are pending, and the write hangs on the epoch that was decided on (see `statements.COMMIT_BATCH`).
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from app.database import HotConnection, HotPool
from app.doorbell.pool_owners import LATE_SECONDS, WorkerReport
from app.engine.placement.allocate import BatchOutcome, Decision, WaitingTask, park as park_all, place
from app.engine.placement.decision_log import ROUTED, Frame
from app.engine.placement.state import PoolState
from app.engine.types import AssignmentKind, ExecutorId, PoolId, Task, TaskId, WaitReason
from app.services.common.counters import BatchFigures
from app.services.common.received import take_back
from app.services.common.rows import task_of
from app.services.placement import sql as statements
from app.services.placement.hold_back import Held, hold_back
from app.services.placement.parked_classes import park
from app.services.placement.poison import (
    MOST,
    Attempts,
    NoPicture,
    apart,
    careful_limit,
    is_careful,
    is_innocent,
    set_aside,
)
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.placement.read_ahead import Following
from app.services.placement.stored_classes import keep_classes, keep_roster
from app.services.waking.waking import keep_current, wake_for
from app.utils import fast_json
from app.utils.failpoints import failpoint
from app.utils.trouble import says, trouble_of


class Found(StrEnum):
    """What a worker found when it looked at a pool."""

    BUSY = "busy"  # somebody else has the pool
    NOTHING = "nothing"  # no task to look at
    WORK = "work"  # a batch was looked at and committed


class EpochMoved(Exception):
    """The pool changed between the decision and the write: nothing was written, the batch is decided anew."""


_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of one look at a pool; instants are the database's clock."""

    found: Found
    decisions: Sequence[Decision] = ()
    waiting: Sequence[WaitingTask] = ()
    task_committed_at: dict[TaskId, datetime] = field(default_factory=dict)
    origins: Sequence[str | None] = ()
    decided_at: datetime = _NEVER
    locked_seconds: float = 0.0
    full: bool = False

    @property
    def committed_at(self) -> datetime:
        """When the commit had returned."""
        return self.decided_at + timedelta(seconds=self.locked_seconds)


async def place_batch(
    pool: HotPool,
    picture: PoolSnapshot,
    *,
    limit: int,
    deliver: bool,
    attempts: Attempts | None = None,
    by: WorkerReport | None = None,
) -> Batch:
    """Look at up to `limit` tasks of a pool and commit what was decided; `attempts` notes what is being decided.

    `by` is what the worker says of itself to the others; None where there is nothing new.

    Raises EpochMoved, or what the database raises; the picture then forgets everything, and nothing was written.
    """
    try:
        look = _BatchRequest(pool, limit, deliver, attempts, by, await picture.ahead.take())
        async with pool.acquire() as connection:
            async with connection.transaction():
                started = time.monotonic()
                batch = await _place(connection, picture, look)
                failpoint("before_commit")
            failpoint("after_commit")
            return replace(batch, locked_seconds=time.monotonic() - started)
    except BaseException as error:
        picture.forget()
        if attempts is not None and (isinstance(error, EpochMoved) or is_innocent(error)):
            await attempts.forgive(picture.pool_id)
        raise


@dataclass(frozen=True, slots=True)
class _BatchRequest:
    """What a look at a pool is asked for, and what was read ahead for it."""

    pool: HotPool
    limit: int
    deliver: bool
    attempts: Attempts | None
    by: WorkerReport | None
    following: Following | None


async def _place(connection: HotConnection, picture: PoolSnapshot, look: _BatchRequest) -> Batch:
    taken = await connection.fetchrow(statements.TAKE_POOL, picture.pool_id)
    if taken is None:
        return Batch(Found.BUSY)
    started = time.monotonic()
    failpoint("locked")
    limit = careful_limit(taken, picture.most(look.limit))
    following = look.following if _holds(look.following, picture, taken, limit) else None
    found = (
        following.rows if following else await connection.fetch(statements.NEXT_TASKS, picture.pool_id, limit)
    )
    if not found:
        await picture.warm(connection, epoch=taken["epoch"], now=taken["now"])
        return Batch(Found.NOTHING)
    rows = apart(found)
    if rows[0]["attempts"] >= MOST - 1:
        await set_aside(connection, picture.pool_id, rows[0])
        return Batch(Found.WORK, full=True)
    full = following is not None or len(found) == limit
    if look.attempts is not None:
        await look.attempts.begin(picture.pool_id, taken, rows)
    state = await _refreshed(connection, picture, taken, len(rows))
    state.trail.begin(state, taken["epoch"] + 1)
    coming = picture.coming(taken["now"])
    held = await hold_back(connection, state, rows, coming, pool_id=picture.pool_id) if coming else {}
    outcome = _decide(state, [row for row in rows if row["id"] not in held] if held else rows)
    if held:
        kept = [task_of(row) for row in rows if row["id"] in held]
        outcome.waiting += park_all(state, kept, WaitReason.HELD_BACK).waiting
    frame = state.trail.end()
    picture.note(outcome)
    failpoint("decided")
    class_ids = await keep_classes(connection, picture, state, outcome)
    parking = await park(connection, picture, rows, outcome)
    roster_id = await keep_roster(connection, picture)
    if full and len(rows) == len(found) and not is_careful(taken):
        writing = {row["id"] for row in rows}
        picture.ahead.read(look.pool, picture.pool_id, limit=limit, epoch=taken["epoch"] + 1, writing=writing)
    figures = BatchFigures.of(rows, outcome, taken["now"] + timedelta(seconds=time.monotonic() - started))
    # A task may be committed after the pool was taken and before the tasks were read: none is decided before it came.
    decided_at = max(taken["now"], *(row["committed_at"] for row in rows))
    write = _Write(
        taken["epoch"],
        decided_at,
        outcome,
        class_ids,
        parking.groups,
        roster_id,
        frame,
        look.deliver,
        figures,
        _told(look.by, rows, taken["now"]),
        {row["id"]: row["seen"] for row in following.rows} if following else {},
        {row["id"]: row["barred_until"] for row in rows if row["barred_until"] is not None}
        | {task_id: each.until for task_id, each in held.items()},
        held,
    )
    await _commit(connection, picture, state, write)
    await _count_for_others_no_more(connection, picture, rows, outcome)
    woken = await keep_current(
        connection, pool_id=picture.pool_id, looked=parking.looked, epoch=picture.epoch
    )
    task_committed_at = {TaskId(row["id"]): row["committed_at"] for row in rows}
    origins = [row["origin"] for row in rows]
    return Batch(
        Found.WORK,
        outcome.decisions,
        outcome.waiting,
        task_committed_at,
        origins,
        decided_at,
        full=full or bool(woken) or len(rows) < len(found),
    )


async def _count_for_others_no_more(
    connection: HotConnection, picture: PoolSnapshot, rows: Sequence[Any], outcome: BatchOutcome
) -> None:
    """Rework that another person does now counts for that person alone; the one before may have room by that."""
    bound = {row["id"]: row["previous_executor"] for row in rows if row["route"] == "rework"}
    moved = [
        decision.task_id
        for decision in outcome.decisions
        if bound and bound.get(decision.task_id, decision.executor_id) != decision.executor_id
    ]
    if not moved:
        return
    freed = await take_back(connection, pool_id=picture.pool_id, task_ids=moved, epoch=picture.epoch)
    await wake_for(connection, pool_id=picture.pool_id, executor_ids=sorted(freed))
    picture.forget()


async def _refreshed(connection: HotConnection, picture: PoolSnapshot, taken: Any, tasks: int) -> PoolState:
    """The picture as of now. Raises NoPicture where what is stored of the pool cannot be made sense of."""
    try:
        return await picture.refresh(
            connection,
            epoch=taken["epoch"],
            config_epoch=taken["config_epoch"],
            now=taken["now"],
            tasks=tasks,
        )
    except Exception as error:
        if trouble_of(error) is not None:
            raise
        raise NoPicture(f"pool {picture.pool_id}: {says(error)}") from error


def _told(by: WorkerReport | None, rows: Sequence[Any], now: datetime) -> WorkerReport | None:
    """With whether a new task had to wait for the worker; one that was parked or comes back waited for others."""
    if by is None or by.is_new:
        return by
    new = [row for row in rows if row["waiting_since"] is None and row["route"] is None]
    waited = max((now - row["committed_at"] for row in new), default=timedelta())
    return replace(by, is_late=waited.total_seconds() > LATE_SECONDS)


def _holds(following: Following | None, picture: PoolSnapshot, taken: Any, limit: int) -> bool:
    """Whether what was read ahead is what this look would find: only the batch before changed the pool since."""
    return (
        following is not None
        and following.epoch == taken["epoch"] == picture.epoch
        and len(following.rows) <= limit
        and not is_careful(taken)
    )


def _decide(state: PoolState, rows: Sequence[Any]) -> BatchOutcome:
    """Parents before their children, so that a child of the same batch can follow its parent.

    Parents are older than their children (intake refuses unknown ones), so there is always somebody ready.
    """
    inside = {row["id"] for row in rows}
    children = [row for row in rows if row["parent_id"] in inside]
    outcome = place(state, [task_of(row) for row in rows if row["parent_id"] not in inside])
    while children:
        placed = {decision.task_id: decision.executor_id for decision in outcome.decisions}
        undecided = {row["id"] for row in children}
        ready = [row for row in children if row["parent_id"] not in undecided]
        more = place(state, [_following(task_of(row), placed.get(row["parent_id"])) for row in ready])
        outcome.decisions += more.decisions
        outcome.waiting += more.waiting
        done = {row["id"] for row in ready}
        children = [row for row in children if row["id"] not in done]
    return outcome


def _following(task: Task, parent_executor: ExecutorId | None) -> Task:
    if parent_executor is None or task.forced_kind is not None:
        return task
    return replace(task, forced_executor=parent_executor, forced_kind=AssignmentKind.PARENT)


@dataclass(frozen=True, slots=True)
class _Write:
    epoch: int
    now: datetime
    outcome: BatchOutcome
    class_ids: Mapping[str, int]
    groups: Mapping[TaskId, int]
    roster_id: int
    frame: Frame
    deliver: bool
    figures: BatchFigures
    by: WorkerReport | None
    seen: Mapping[TaskId, int]
    until: Mapping[TaskId, datetime]
    held: Mapping[TaskId, Held]


@dataclass(slots=True)
class _Sum:
    count: int = 0
    tasks: int = 0
    weight: float = 0.0
    routed: float = 0.0


async def _commit(connection: HotConnection, picture: PoolSnapshot, state: PoolState, write: _Write) -> None:
    await _mark_presence(connection, picture, write.epoch)
    decisions, waits = write.outcome.decisions, write.outcome.waiting
    by_id = sorted(_sums(decisions).items())
    row = await connection.fetchrow(
        *statements.COMMIT_BATCH(
            pool_id=picture.pool_id,
            epoch=write.epoch,
            task_ids=[decision.task_id for decision in decisions],
            executor_ids=[decision.executor_id for decision in decisions],
            kinds=[decision.kind.value for decision in decisions],
            weights=[decision.weight for decision in decisions],
            scores=[decision.score for decision in decisions],
            explanations=[fast_json.encode(decision.explanation) for decision in decisions],
            class_ids=[write.class_ids[decision.class_digest] for decision in decisions],
            now=write.now,
            rule_set_id=picture.rule_set_id,
            day=picture.day,
            deliver=write.deliver,
            window_start=picture.window_start,
            loaded_ids=[executor_id for executor_id, _ in by_id],
            open_counts=[sum_.count for _, sum_ in by_id],
            load_weights=[round(sum_.weight, 3) for _, sum_ in by_id],
            routed_weights=[round(sum_.routed, 3) for _, sum_ in by_id],
            last_assigned=state.last_assigned([executor_id for executor_id, _ in by_id]),
            new_counts=[sum_.tasks for _, sum_ in by_id],
            waiting_ids=[waiting.task_id for waiting in waits],
            waiting_reasons=[waiting.reason.value for waiting in waits],
            # Nothing wakes a paused task but the pool that goes on: it is found under no class.
            waiting_class_ids=[
                None if waiting.reason is WaitReason.PAUSED else write.groups[waiting.task_id]
                for waiting in waits
            ],
            waiting_explanations=[
                _why(waiting, write.class_ids[waiting.class_digest], write.held) for waiting in waits
            ],
            waiting_until=[
                (
                    picture.paused_until
                    if waiting.reason is WaitReason.PAUSED
                    else write.until.get(waiting.task_id)
                )
                for waiting in waits
            ],
            valid_until=picture.valid_until,
            tick_channel=statements.TICK_CHANNEL,
            tick=fast_json.encode({"pool": picture.pool_id, "event": "assigned", "count": len(decisions)}),
            frame_start=write.frame["start"],
            frame=fast_json.encode(write.frame),
            roster_id=write.roster_id,
            zone=picture.zone.key,
            parked=write.figures.parked,
            waited=write.figures.waited,
            waited_seconds=write.figures.waited_seconds,
            latency_sum=write.figures.latency_sum,
            latency_buckets=write.figures.latency_buckets,
            seen_decided=[write.seen[decision.task_id] for decision in decisions] if write.seen else [],
            seen_waiting=[write.seen[waiting.task_id] for waiting in waits] if write.seen else [],
            serving_channel=statements.SERVING_CHANNEL,
            report=_words(picture.pool_id, write.by),
        ),
    )
    if row is None or row["placed"] != len(decisions):
        raise EpochMoved
    picture.epoch = row["epoch"]


def _words(pool_id: PoolId, by: WorkerReport | None) -> str | None:
    if by is None:
        return None
    return fast_json.encode(
        {"pool": pool_id, "by": by.worker, "share": round(by.share, 3), "late": by.is_late}
    )


def _why(waiting: WaitingTask, class_id: int, held: Mapping[TaskId, Held]) -> str:
    """What explains a wait: its class as of this look, which may not be the one under which it is found."""
    facts = {**waiting.explanation, "weight": waiting.weight, "class": class_id}
    if waiting.task_id in held:
        facts["held_for"] = held[waiting.task_id].executor_id
    return fast_json.encode(facts)


async def _mark_presence(connection: HotConnection, picture: PoolSnapshot, epoch: int) -> None:
    if not picture.presence:
        return
    seen = sorted(picture.presence, key=lambda presence: presence.executor_id)
    await connection.execute(
        *statements.MARK_PRESENCE(
            executor_ids=[presence.executor_id for presence in seen],
            present=[presence.present for presence in seen],
            lifts=[presence.lift for presence in seen],
            window_start=picture.window_start,
            epoch=epoch + 1,
        ),
    )
    picture.presence.clear()


def _sums(decisions: Sequence[Decision]) -> dict[ExecutorId, _Sum]:
    sums: dict[ExecutorId, _Sum] = defaultdict(_Sum)
    for decision in decisions:
        sum_ = sums[decision.executor_id]
        sum_.count += 1
        sum_.tasks += decision.kind is not AssignmentKind.REWORK
        sum_.weight += decision.weight
        sum_.routed += decision.weight if decision.kind in ROUTED else 0.0
    return sums
