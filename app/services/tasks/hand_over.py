"""Leaving: what becomes of the open tasks of somebody who goes, for good or for a while, at once or after some minutes.

The fewest moves: only the tasks of whoever goes are moved, each once; everybody else keeps what they have. They are
distributed like any other work, by the policy of the pool, so they spread instead of landing on one victim.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.database import HotConnection, HotPool
from app.engine.placement.allocate import place
from app.engine.placement.state import PoolState
from app.engine.types import ExecutorId, PoolId, TaskId, WaitReason
from app.errors import NotFound
from app.messages.message import say
from app.services.common.loops import Parts
from app.services.common.received import KEEP_SHARES
from app.services.common.rows import task_of
from app.services.tasks import sql as statements
from app.services.tasks.explanations import Previewer
from app.services.tasks.moves import Move, Moved, MoveName, apply_moves


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What was taken from somebody; a worker gives it to others at once."""

    pool_id: PoolId
    task_ids: Sequence[TaskId]


@dataclass(frozen=True, slots=True)
class HandOverPlan:
    """Who would get a task of somebody who goes; nobody: it would wait, with the reason."""

    task_id: TaskId
    external_id: str | None
    weight: float
    executor_id: ExecutorId | None
    executor_name: str | None
    reason: WaitReason | None


async def hand_over(
    pool: HotPool, *, executor_id: ExecutorId, actor: str, reason: str, deliver: bool
) -> HandedOver:
    """Take everything open from somebody, to be given to others. Raises NotFound."""
    async with pool.acquire() as connection, connection.transaction():
        pool_id = await connection.fetchval(statements.POOL_OF_EXECUTOR, executor_id)
        if pool_id is None:
            raise NotFound(
                say("There is no executor {executor_id}.", executor_id=executor_id), executor_id=executor_id
            )
        return await _take(connection, PoolId(pool_id), executor_id, actor, reason, deliver)


async def _take(
    connection: HotConnection,
    pool_id: PoolId,
    executor_id: ExecutorId,
    actor: str,
    reason: str,
    deliver: bool,
) -> HandedOver:
    taken = await connection.fetchrow(statements.RAISE_EPOCH, pool_id)
    # An executor who still works is barred for a while, or would get the same tasks back at once.
    bars = await connection.fetchval(statements.IS_HERE, executor_id)
    rows = await connection.fetch(statements.OPEN_TASKS_OF, executor_id)
    moves = [Move(TaskId(row["id"]), MoveName.REASSIGN, actor, reason, bars=bars) for row in rows]
    outcomes = (
        await apply_moves(
            connection, pool_id=pool_id, moves=moves, epoch=taken["epoch"], now=taken["now"], deliver=deliver
        )
        if taken and moves
        else []
    )
    await connection.execute(statements.HANDED_OVER, executor_id)
    moved = [outcome.task_id for outcome in outcomes if isinstance(outcome, Moved)]
    if taken and moved:
        await connection.execute(KEEP_SHARES, pool_id, executor_id, taken["now"], moved)
    return HandedOver(pool_id, moved)


async def hand_over_due(pool: HotPool, *, deliver: bool, parts: Parts | None = None) -> list[HandedOver]:
    """Take from everybody whose absence began long enough ago, or who was to be relieved by now; person by person."""
    async with pool.acquire() as connection:
        rows = await connection.fetch(statements.DUE_TO_HAND_OVER)
    due = {(row["pool_id"], row["executor_id"]): row["reason"] for row in rows}
    done: list[HandedOver] = []

    async def take(whose: tuple[int, int]) -> None:
        pool_id, executor_id = PoolId(whose[0]), ExecutorId(whose[1])
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(statements.RAISE_EPOCH, pool_id)
            if await connection.fetchval(statements.STILL_DUE, executor_id):  # they may have come back since
                done.append(await _take(connection, pool_id, executor_id, "clock", due[whose], deliver))

    await (parts or Parts("hand_over")).each(due, take)
    return done


async def plan_leaving(pool: HotPool, previewer: Previewer, *, executor_id: ExecutorId) -> list[HandOverPlan]:
    """Who would get the open tasks of somebody if they went now; changes nothing. Raises NotFound."""
    async with pool.acquire() as connection:
        pool_id = await connection.fetchval(statements.POOL_OF_EXECUTOR, executor_id)
        if pool_id is None:
            raise NotFound(
                say("There is no executor {executor_id}.", executor_id=executor_id), executor_id=executor_id
            )
        rows = await connection.fetch(statements.OPEN_TASKS_TO_PLAN, executor_id)
    return _planned(await previewer.picture(PoolId(pool_id)), executor_id, rows)


def _planned(state: PoolState, leaver: ExecutorId, rows: Sequence[Any]) -> list[HandOverPlan]:
    gone = replace(state.executors[state.position[leaver]], available=False)
    state.upsert([gone])
    outcome = place(state, [task_of(row) for row in rows])
    names = {executor.id: executor.name for executor in state.executors}
    to = {decision.task_id: decision.executor_id for decision in outcome.decisions}
    waits = {waiting.task_id: waiting.reason for waiting in outcome.waiting}
    return [
        HandOverPlan(
            task_id=TaskId(row["id"]),
            external_id=row["external_id"],
            weight=row["weight"],
            executor_id=to.get(row["id"]),
            executor_name=names.get(to[row["id"]]) if row["id"] in to else None,
            reason=waits.get(row["id"]),
        )
        for row in rows
    ]


async def relieve_later(
    pool: HotPool, *, executor_id: ExecutorId, at: datetime, if_inactive: bool = False
) -> None:
    """Have everything open taken from somebody at an instant; with `if_inactive`, only if they are not back by then.

    Raises NotFound.
    """
    async with pool.acquire() as connection:
        if await connection.fetchval(statements.RELIEVE_LATER, executor_id, at, if_inactive) is None:
            raise NotFound(
                say("There is no executor {executor_id}.", executor_id=executor_id), executor_id=executor_id
            )
