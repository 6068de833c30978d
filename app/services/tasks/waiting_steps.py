"""Steps of a pool's escalation: what waits too long comes to the next one, by the sweep or as its offer runs out."""

from collections.abc import Sequence
from datetime import datetime

from app.database import HotConnection, HotPool
from app.engine.types import PoolId, TaskId
from app.messages.message import say
from app.services.common.pool_options import BrokenSettings, EscalationStep, flow_options
from app.services.tasks import sql as statements


async def escalate(pool: HotPool, *, pool_id: PoolId, step: int, steps: Sequence[EscalationStep]) -> None:
    """Take what has waited long enough to the step numbered `step`, the last of `steps`. Takes the pool."""
    seconds = steps[-1].after_minutes * 60
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(statements.DUE_TO_ESCALATE, pool_id, step, seconds)
        if not rows:
            return
        taken = await connection.fetchrow(statements.RAISE_EPOCH, pool_id)
        if taken is not None:
            ids = [TaskId(row["id"]) for row in rows]
            await _raise(connection, pool_id, ids, step, steps, taken["now"])


async def escalate_lapsed(
    connection: HotConnection, *, pool_id: PoolId, task_ids: Sequence[TaskId], now: datetime
) -> None:
    """Take tasks whose offer was declined or ran out to the step that is due, before they are offered again.

    Without this, a task that is offered again at once would never be seen waiting, and never escalate. A task whose
    due step is another pool is parked for the sweep, which moves it. The caller holds the pool.
    """
    settings = await connection.fetchval(statements.SETTINGS, pool_id)
    try:
        steps = flow_options(settings or {}).escalation
    except BrokenSettings:  # the sweep says so, loudly
        return
    for number in range(len(steps), 0, -1):
        if steps[number - 1].to_pool is None:
            await _raise(connection, pool_id, task_ids, number, steps[:number], now)
        else:
            seconds = steps[number - 1].after_minutes * 60
            await connection.execute(statements.AWAIT_MOVE, pool_id, task_ids, number, now, seconds)


async def _raise(
    connection: HotConnection,
    pool_id: PoolId,
    task_ids: Sequence[TaskId],
    step: int,
    steps: Sequence[EscalationStep],
    now: datetime,
) -> None:
    names = ", ".join(name for each in steps for name in each.relax)
    reason = say(
        "waited {minutes:g} min: no longer required: {names}",
        minutes=steps[-1].after_minutes,
        names=names,
    )
    seconds = steps[-1].after_minutes * 60
    await connection.execute(statements.ESCALATE, pool_id, task_ids, step, now, reason, seconds)
