"""What the clock brings about, looked for at every sweep of a worker: cheap when there is nothing to do.

Several workers may look at once: each step takes the pool first and finds nothing left to do.
"""

import time
from functools import partial

import structlog

from app.database import HotPool
from app.engine.types import PoolId, TaskId
from app.messages.message import say
from app.services.common.loops import Parts
from app.services.common.pool_options import FlowOptions, flow_options
from app.services.tasks import sql as statements
from app.services.tasks.hand_over import hand_over_due
from app.services.tasks.moves import Move, MoveName, move_tasks
from app.services.tasks.pool_transfer import move_on
from app.services.tasks.waiting_steps import escalate
from app.services.waking.waking import Overlooked, end_pauses, wake_by_clock

log = structlog.get_logger()

_OVERLOOKED_SECONDS = 2.0
_HUNG_SECONDS = 5.0


class Housekeeper:
    """Hands over what is due, wakes what the clock or an event made room for; one per worker process."""

    def __init__(self, pool: HotPool, *, deliver: bool) -> None:
        self._pool = pool
        self._deliver = deliver
        self._steps = Parts("housekeeping")
        self._leaving, self._flow, self._clock = Parts("hand_over"), Parts("flow"), Parts("clock")
        self._pauses = Parts("pauses")
        self._overlooked = Overlooked()
        self._looked_at = -_OVERLOOKED_SECONDS

    async def look(self) -> None:
        """One look; what fails in one step, or for one pool of it, delays no other."""
        pool, deliver, attempt = self._pool, self._deliver, self._steps.attempt
        await attempt("pauses", partial(end_pauses, pool, parts=self._pauses))
        await attempt("hand over", partial(hand_over_due, pool, deliver=deliver, parts=self._leaving))
        await attempt("offers and steps", partial(keep_flowing, pool, deliver=deliver, parts=self._flow))
        await attempt("clock", partial(wake_by_clock, pool, parts=self._clock))
        if time.monotonic() - self._looked_at >= _OVERLOOKED_SECONDS:
            await attempt("overlooked", partial(self._overlooked.wake, pool))
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


async def keep_flowing(pool: HotPool, *, deliver: bool, parts: Parts | None = None) -> None:
    """Let offers that nobody answered go on, and take what waits too long to its next step; pool by pool."""
    async with pool.acquire() as connection:
        rows = await connection.fetch(statements.POOLS_THAT_FLOW)
    pools = {PoolId(row["pool_id"]): row["settings"] for row in rows}

    async def flow(pool_id: PoolId) -> None:
        await _keep_pool_flowing(pool, pool_id, flow_options(pools[pool_id]), deliver)

    await (parts or Parts("flow")).each(pools, flow)


async def _keep_pool_flowing(pool: HotPool, pool_id: PoolId, flow: FlowOptions, deliver: bool) -> None:
    if flow.offer_seconds is not None:
        await expire_offers(pool, pool_id=pool_id, seconds=flow.offer_seconds, deliver=deliver)
    for number in reversed(range(len(flow.escalation))):
        steps = flow.escalation[: number + 1]
        if (target := steps[-1].to_pool) is not None:
            minutes = steps[-1].after_minutes
            to, step = PoolId(target), number + 1
            await move_on(pool, pool_id=pool_id, to=to, step=step, minutes=minutes, deliver=deliver)
        else:
            await escalate(pool, pool_id=pool_id, step=number + 1, steps=steps)


async def expire_offers(pool: HotPool, *, pool_id: PoolId, seconds: float, deliver: bool) -> None:
    """Take offers that were not answered in time to the next person."""
    async with pool.acquire() as connection:
        rows = await connection.fetch(statements.UNANSWERED, pool_id, seconds)
    if rows:
        reason = say("not accepted within {seconds:g} s", seconds=seconds)
        moves = [Move(TaskId(row["id"]), MoveName.EXPIRE, "clock", reason) for row in rows]
        await move_tasks(pool, pool_id=pool_id, moves=moves, deliver=deliver)
