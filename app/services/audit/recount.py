"""The day's counters on request: turned over where their day is past, and counted again from the assignments.

Nothing needs this to run: a counter whose day is past counts as zero everywhere, at the pool's own midnight. It is for
whoever wants to see it done, after a restored dump or a changed time zone. What was assigned today stays counted,
because counters always equal the assignments.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.database import HotPool
from app.engine.types import PoolId
from app.services.audit.invariants import repair_counters
from app.services.waking.waking import wake_for

# Rows of days that are past, in every pool's own zone; takes each pool first.
TAKE_POOLS = "UPDATE pool_states SET epoch = epoch + 1 WHERE pool_id = $1 RETURNING epoch"
TURN_OVER = """
UPDATE executor_loads load
SET business_day = today.day, day_count = 0, day_weight = 0, day_routed = 0, epoch = $2
FROM (SELECT pool_day(timezone, kept_day, kept_day_ends, clock_timestamp()) AS day FROM pools WHERE id = $1) today
WHERE load.pool_id = $1 AND load.business_day < today.day
RETURNING load.executor_id
"""


@dataclass(frozen=True, slots=True)
class Reset:
    """The pools that were counted again, and how many people's counters began a new day."""

    pool_ids: Sequence[PoolId]
    turned_over: int


async def reset_daily_counts(pool: HotPool) -> Reset:
    """Turn over what is past in every pool, then count everything again."""
    turned = 0
    async with pool.acquire() as connection:
        ids = [row["pool_id"] for row in await connection.fetch("SELECT pool_id FROM pool_states ORDER BY 1")]
        for pool_id in ids:
            async with connection.transaction():
                epoch = await connection.fetchval(TAKE_POOLS, pool_id)
                turned += len(await connection.fetch(TURN_OVER, pool_id, epoch))
    await repair_counters(pool)
    async with pool.acquire() as connection:
        for pool_id in ids:  # who had no room any more may have it now
            async with connection.transaction():
                await connection.execute(TAKE_POOLS, pool_id)
                await wake_for(connection, pool_id=PoolId(pool_id), executor_ids=None)
    return Reset([PoolId(pool_id) for pool_id in ids], turned)
