"""What the clock brings about, looked for at every sweep of a worker: cheap when there is nothing to do.

Several workers may look at once: each step takes the pool first and finds nothing left to do.
"""

import time
from collections.abc import Sequence

import structlog

from app.database import HotPool
from app.engine.types import PoolId, TaskId
from app.services.common.pool_options import BrokenSettings, EscalationStep, flow_options
from app.services.tasks import sql as statements
from app.services.tasks.hand_over import hand_over_due
from app.services.tasks.moves import Move, MoveName, move_tasks
from app.services.tasks.pool_transfer import move_on
from app.services.waking.waking import Overlooked, wake_by_clock

log = structlog.get_logger()

_OVERLOOKED_SECONDS = 2.0
_HUNG_SECONDS = 5.0


class Housekeeper:
    """Hands over what is due, wakes what the clock or an event made room for; one per worker process."""

    def __init__(self, pool: HotPool, *, deliver: bool) -> None:
        self._pool = pool
        self._deliver = deliver
        self._overlooked = Overlooked()
        self._looked_at = -_OVERLOOKED_SECONDS

    async def look(self) -> None:
        """One look."""
        await hand_over_due(self._pool, deliver=self._deliver)
        await keep_flowing(self._pool, deliver=self._deliver)
        await wake_by_clock(self._pool)
        if time.monotonic() - self._looked_at >= _OVERLOOKED_SECONDS:
            await self._overlooked.wake(self._pool)
            self._looked_at = time.monotonic()


async def end_hung(pool: HotPool) -> None:
    """End sessions of ours whose process hangs between two messages of one statement, and so whatever they hold.

    Only the role that a session signed in as may see and end it: the narrow role taken since is laid down here.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL ROLE NONE")
        ended = await connection.fetchval(statements.END_HUNG, _HUNG_SECONDS)
    if ended:
        log.warning("hung.ended", sessions=ended)


async def keep_flowing(pool: HotPool, *, deliver: bool) -> None:
    """Let offers that nobody answered go on, and take what waits too long to its next step."""
    async with pool.acquire() as connection:
        pools = await connection.fetch(statements.POOLS_THAT_FLOW)
    for row in pools:
        try:
            flow = flow_options(row["settings"])
        except BrokenSettings as error:
            log.critical("flow.broken_settings", pool=row["pool_id"], error=str(error))
            continue
        pool_id = PoolId(row["pool_id"])
        if flow.offer_seconds is not None:
            await expire_offers(pool, pool_id=pool_id, seconds=flow.offer_seconds, deliver=deliver)
        for number in reversed(range(len(flow.escalation))):
            steps = flow.escalation[: number + 1]
            if (target := steps[-1].to_pool) is not None:
                minutes = steps[-1].after_minutes
                await move_on(pool, pool_id=pool_id, to=PoolId(target), step=number + 1, minutes=minutes)
            else:
                await escalate(pool, pool_id=pool_id, step=number + 1, steps=steps)


async def expire_offers(pool: HotPool, *, pool_id: PoolId, seconds: float, deliver: bool) -> None:
    """Take offers that were not answered in time to the next person."""
    async with pool.acquire() as connection:
        rows = await connection.fetch(statements.UNANSWERED, pool_id, seconds)
    if rows:
        reason = f"not accepted within {seconds:g} s"
        moves = [Move(TaskId(row["id"]), MoveName.EXPIRE, "clock", reason) for row in rows]
        await move_tasks(pool, pool_id=pool_id, moves=moves, deliver=deliver)


async def escalate(pool: HotPool, *, pool_id: PoolId, step: int, steps: Sequence[EscalationStep]) -> None:
    """Take what has waited long enough to this step."""
    seconds = steps[-1].after_minutes * 60
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(statements.DUE_TO_ESCALATE, pool_id, step, seconds)
        if not rows:
            return
        taken = await connection.fetchrow(statements.TAKE_POOL, pool_id)
        names = ", ".join(name for each in steps for name in each.relax)
        reason = f"waited {steps[-1].after_minutes:g} min: no longer required: {names}"
        if taken is not None:
            ids = [row["id"] for row in rows]
            await connection.execute(statements.ESCALATE, pool_id, ids, step, taken["now"], reason, seconds)
