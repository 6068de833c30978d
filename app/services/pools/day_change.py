"""A pool's time zone or fairness window changes in the middle of a day: the day goes on, and so do the levels."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.calendar import window_start
from app.models import Pool
from app.services.common.pool_options import BrokenSettings, pool_zone
from app.services.common.rows import days_of_pool

# Loads of a pool as of another fairness window ($2: that of the present day before, $3: its first day now). The weight
# of the window is counted anew from the days, and the offset takes the difference: levels stay. Locks loads.
_COUNT_WINDOW = text("""
UPDATE executor_loads load
SET window_start = :start, window_weight = counted.weight, epoch = :epoch,
    level_offset = CASE WHEN load.window_start = :start_before THEN load.level_offset + load.window_weight ELSE 0 END
                   - counted.weight
FROM (
    SELECT own.executor_id, coalesce(sum(day.assigned_weight), 0) AS weight
    FROM executor_loads own
    LEFT JOIN executor_days day ON day.executor_id = own.executor_id AND day.business_day >= :start
    WHERE own.pool_id = :pool_id GROUP BY own.executor_id
) counted
WHERE load.executor_id = counted.executor_id
""")


def change_zone(pool: Pool, name: str, *, now: datetime) -> None:
    """Put a pool into another time zone; its business day goes on until it is over (`BusinessDays.moved_to`).

    A pool whose stored zone cannot be read has no day that could go on.
    """
    try:
        days = days_of_pool(pool).moved_to(pool_zone(name), now)
    except BrokenSettings:
        pool.timezone, pool.timezone_before = name, None
        pool.kept_day = pool.kept_day_begins = pool.kept_day_ends = None
        return
    pool.timezone = name
    if days.kept is not None:
        pool.timezone_before = days.kept.zone_before.key
        pool.kept_day, pool.kept_day_begins = days.kept.day, days.kept.begins
        pool.kept_day_ends = days.kept.ends


async def change_window(session: AsyncSession, pool: Pool, window: str, *, now: datetime, epoch: int) -> None:
    """Put another fairness window in force: levels stay, the window's weight is that of its days.

    The caller holds the pool at `epoch` and commits.
    """
    today = days_of_pool(pool).day_of(now)
    before, pool.fairness_window = pool.fairness_window, window
    await session.execute(
        _COUNT_WINDOW,
        {
            "pool_id": pool.id,
            "epoch": epoch,
            "start": window_start(today, window),
            "start_before": window_start(today, before),
        },
    )
