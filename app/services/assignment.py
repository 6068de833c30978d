"""Placing a batch: take the pool, bring the picture up to date, decide in memory, write everything in one transaction.

Exactly once, whatever crashes: the pool's row is locked for the length of the transaction, tasks are taken only while
they are pending, and the write hangs on the epoch that was decided on (see `statements.COMMIT_BATCH`).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.database import HotConnection, HotPool
from app.engine.allocate import Decision, Waiting, place
from app.engine.state import PoolState
from app.engine.types import AssignmentKind, ExecutorId, PoolId, Task, TaskId
from app.failpoints import failpoint
from app.services import statements
from app.services.picture import PoolPicture
from app.services.rows import task_of

ROUTED = frozenset({AssignmentKind.PRIMARY, AssignmentKind.REASSIGN})


class Found(StrEnum):
    """What a worker found when it looked at a pool."""

    BUSY = "busy"  # somebody else has the pool
    NOTHING = "nothing"  # no task to look at
    WORK = "work"  # a batch was looked at and committed


class EpochMoved(Exception):
    """The pool changed between the decision and the write: nothing was written, the batch is decided anew."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of one look at a pool."""

    found: Found
    decisions: Sequence[Decision] = ()
    waiting: Sequence[Waiting] = ()
    created_at: dict[TaskId, datetime] = field(default_factory=dict)
    decided_at: datetime | None = None
    full: bool = False


async def place_batch(pool: HotPool, picture: PoolPicture, *, limit: int, deliver: bool) -> Batch:
    """Look at up to `limit` tasks of a pool and commit what was decided.

    Raises EpochMoved, or what the database raises; the picture then forgets everything, and nothing was written.
    """
    try:
        async with pool.acquire() as connection:
            async with connection.transaction():
                batch = await _place(connection, picture, limit, deliver)
                failpoint("before_commit")
            failpoint("after_commit")
            return batch
    except BaseException:
        picture.forget()
        raise


async def _place(connection: HotConnection, picture: PoolPicture, limit: int, deliver: bool) -> Batch:
    taken = await connection.fetchrow(statements.TAKE_POOL, picture.pool_id)
    if taken is None:
        return Batch(Found.BUSY)
    failpoint("locked")
    rows = await connection.fetch(statements.NEXT_TASKS, picture.pool_id, limit)
    if not rows:
        return Batch(Found.NOTHING)
    state = await picture.refresh(
        connection, epoch=taken["epoch"], config_epoch=taken["config_epoch"], now=taken["now"]
    )
    decisions, waiting = _decide(state, rows)
    failpoint("decided")
    class_ids = await _keep_classes(connection, picture, state, decisions)
    await _commit(connection, picture, _Write(taken["epoch"], taken["now"], decisions, waiting, class_ids, deliver))
    created_at = {TaskId(row["id"]): row["created_at"] for row in rows}
    return Batch(Found.WORK, decisions, waiting, created_at, taken["now"], full=len(rows) == limit)


def _decide(state: PoolState, rows: Sequence[Any]) -> tuple[list[Decision], list[Waiting]]:
    """Parents before their children, so that a child of the same batch can follow its parent."""
    inside = {row["id"] for row in rows}
    children = [row for row in rows if row["parent_id"] in inside]
    first = [task_of(row) for row in rows if row["parent_id"] not in inside]
    decisions, waiting = _split(place(state, first))
    while children:
        placed = {decision.task_id: decision.executor_id for decision in decisions}
        undecided = {row["id"] for row in children}
        ready = [row for row in children if row["parent_id"] not in undecided] or children
        tasks = [_following(task_of(row), placed.get(row["parent_id"])) for row in ready]
        more_decisions, more_waiting = _split(place(state, tasks))
        decisions += more_decisions
        waiting += more_waiting
        done = {row["id"] for row in ready}
        children = [row for row in children if row["id"] not in done]
    return decisions, waiting


def _following(task: Task, parent_executor: ExecutorId | None) -> Task:
    if parent_executor is None or task.forced_executor is not None:
        return task
    return replace(task, forced_executor=parent_executor, forced_kind=AssignmentKind.PARENT)


def _split(outcomes: Iterable[Decision | Waiting]) -> tuple[list[Decision], list[Waiting]]:
    decisions: list[Decision] = []
    waiting: list[Waiting] = []
    for outcome in outcomes:
        if isinstance(outcome, Decision):
            decisions.append(outcome)
        else:
            waiting.append(outcome)
    return decisions, waiting
