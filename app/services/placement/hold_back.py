"""Holding back: a part of what has waited is kept for those who are about to come, where the pool says so.

Without it the first who comes in the morning gets the whole night. With `flow.hold_back_minutes`, tasks that have
waited are tried as if whoever comes within that time were here already: what would go to them waits until they are, and
the rest is given out now. New tasks are never held back, and no task for longer than those minutes at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from app.database import HotConnection
from app.engine.placement.allocate import place
from app.engine.placement.state import PoolState
from app.engine.types import ExecutorId, Load, Task, TaskId
from app.services.common.rows import task_of
from app.services.placement import sql as statements


class Held(NamedTuple):
    """For whom a task is held back, and until when at the latest."""

    executor_id: ExecutorId
    until: datetime


async def hold_back(
    connection: HotConnection,
    state: PoolState,
    rows: Sequence[Any],
    coming: Mapping[ExecutorId, datetime],
    *,
    pool_id: int,
) -> dict[TaskId, Held]:
    """Which of these tasks to hold back for the executors in `coming`; changes nothing. The caller holds the pool.

    Only what somebody here would get otherwise is held: the rest waits for a reason of its own.
    """
    inside = {row["id"] for row in rows}
    backlog = [row for row in rows if row["waiting_since"] and row["route"] is None and not row["parent_id"]]
    if not backlog or not coming:
        return {}
    kept = await connection.fetch(statements.HELD_FOR, pool_id, sorted(inside))
    load = {row["executor_id"]: (row["weight"], row["count"]) for row in kept}
    tasks = [task_of(row) for row in backlog]
    theirs = _as_if_here(state, tasks, coming, load)
    now = {
        each.task_id for each in place(state.copy(), [task for task in tasks if task.id in theirs]).decisions
    }
    return {task_id: Held(who, coming[who]) for task_id, who in theirs.items() if task_id in now}


def _as_if_here(
    state: PoolState,
    tasks: Sequence[Task],
    coming: Mapping[ExecutorId, datetime],
    kept: Mapping[int, tuple[float, int]],
) -> dict[TaskId, ExecutorId]:
    """What those who are coming would get if they were here, with what is held back for them already."""
    twin = state.copy()
    twin.upsert([replace(twin.executors[twin.position[who]], available=True) for who in coming])
    levels = twin.join_levels(list(coming))
    twin.update_loads(
        {who: _with(twin.load_of(who), levels[who], *kept.get(who, (0.0, 0))) for who in coming}
    )
    return {
        each.task_id: each.executor_id for each in place(twin, tasks).decisions if each.executor_id in coming
    }


def _with(load: Load, level: float, weight: float, count: int) -> Load:
    return replace(load, level=level + weight, used=load.used + weight, open=load.open + count)
