"""Business days: what was fair on one, and the closing of those that are over.

A closed day is kept in `kpi_days` for good: its fair shares are solved once, from the class counts of the day, and
survive the archiving of everything they were solved from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

import numpy as np
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.calendar import BusinessDays
from app.engine.fairness.fair import fairness_gap, mean_absolute_deviation
from app.engine.types import ExecutorId, PoolId
from app.models import ExecutorDay, KpiDay, Pool
from app.services.common.rows import days_of_pool
from app.services.fairness.distribution import get_shares
from app.services.fairness.fairness import get_fair_shares

# One process closes days at a time; the others come back later. Any number will do, as long as it stays.
_TAKE_THE_BOOKS = text("SELECT pg_try_advisory_xact_lock(7313480025)")


@dataclass(frozen=True, slots=True)
class DayShares:
    """How evenly a day's work was spread. `fair` is in task weight; who is missing there had nothing to expect."""

    assigned: int
    weight: float
    mae: float | None
    mae_optimum: float | None
    fairness_gap: float | None
    fair: Mapping[ExecutorId, float]

    @classmethod
    def kept(cls, day: KpiDay) -> Self:
        """A closed day."""
        fair = {ExecutorId(int(executor_id)): float(share) for executor_id, share in day.shares.items()}
        return cls(day.assigned, float(day.weight), day.mae, day.mae_optimum, day.fairness_gap, fair)


async def get_day_shares(
    session: AsyncSession, *, pool_id: PoolId, day: date, days: BusinessDays
) -> DayShares:
    """Solve a day from its class counts."""
    fair = await get_fair_shares(session, pool_id=pool_id, day=day, days=days)
    shares = await get_shares(session, pool_id=pool_id, day=day, fair=fair)
    expected = np.array([share.fair for share in shares])
    received = np.array([share.received for share in shares])
    used = np.array([share.utilization for share in shares])
    fairly_used = np.array([share.fair_utilization for share in shares])
    assigned = await session.scalar(
        select(func.sum(ExecutorDay.assigned_count)).where(
            ExecutorDay.pool_id == pool_id, ExecutorDay.business_day == day
        )
    )
    return DayShares(
        assigned=int(assigned or 0),
        weight=float(received.sum()),
        mae=mean_absolute_deviation(used) if len(used) else None,
        mae_optimum=mean_absolute_deviation(fairly_used) if expected.any() else None,
        fairness_gap=fairness_gap(received, expected) if expected.any() else None,
        fair={executor_id: float(share) for executor_id, share in fair.items()},
    )


async def close_days(session: AsyncSession, *, now: datetime) -> int:
    """Keep the figures of every business day that is over and was not kept yet; returns how many there were.

    Each day is committed alone, so that a long absence is made up for step by step.
    """
    closed = 0
    for pool in (await session.scalars(select(Pool).order_by(Pool.id))).all():
        days = days_of_pool(pool)
        for day in await _open_days(session, PoolId(pool.id), days.day_of(now)):
            if not await session.scalar(_TAKE_THE_BOOKS):
                return closed
            await _close(session, PoolId(pool.id), day, days)
            closed += 1
    await session.rollback()
    return closed


async def _open_days(session: AsyncSession, pool_id: PoolId, today: date) -> list[date]:
    last = await session.scalar(select(func.max(KpiDay.business_day)).where(KpiDay.pool_id == pool_id))
    days = await session.scalars(
        select(ExecutorDay.business_day)
        .where(
            ExecutorDay.pool_id == pool_id,
            ExecutorDay.business_day > (last or date.min),
            ExecutorDay.business_day < today,
        )
        .distinct()
    )
    return sorted(days)


async def _close(session: AsyncSession, pool_id: PoolId, day: date, days: BusinessDays) -> None:
    shares = await get_day_shares(session, pool_id=pool_id, day=day, days=days)
    await session.execute(
        insert(KpiDay)
        .values(
            pool_id=pool_id,
            business_day=day,
            assigned=shares.assigned,
            weight=round(shares.weight, 3),
            mae=shares.mae,
            mae_optimum=shares.mae_optimum,
            fairness_gap=shares.fairness_gap,
            shares={str(executor_id): round(share, 6) for executor_id, share in shares.fair.items()},
        )
        .on_conflict_do_nothing()
    )
    await session.commit()
