"""Business days: what was fair on one, and the closing of those that are over.

A closed day is kept in `kpi_days` for good: its fair shares are solved once, from the class counts of the day, and
survive the archiving of everything they were solved from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.engine.calendar import BusinessDays
from app.engine.fairness.fair import fairness_gap, mean_absolute_deviation
from app.engine.types import ExecutorId, PoolId
from app.models import ExecutorDay, KpiDay, Pool
from app.services.common.leases import lease
from app.services.common.loops import Parts
from app.services.common.rows import days_of_pool
from app.services.fairness.distribution import get_shares
from app.services.fairness.fairness import get_fair_shares

_LEASE_SECONDS = 120.0
"""How long a process may take to close a day before another one does it too: the first to write it counts."""


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


class Books:
    """Closes the days that are over; one for a worker process. A pool whose day cannot be closed delays no other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pools = Parts("closing_days")

    async def close(self, *, now: datetime) -> int:
        """Keep the figures of every business day that is over and was not kept yet; returns how many there were."""
        closed = 0

        async def close_pool(pool_id: PoolId) -> None:
            nonlocal closed
            closed += await close_days(self._database, pool_id=pool_id, now=now)

        async with self._database.session() as session:
            pool_ids = (await session.scalars(select(Pool.id).order_by(Pool.id))).all()
        await self._pools.each(map(PoolId, pool_ids), close_pool)
        return closed


async def close_days(database: Database, *, pool_id: PoolId, now: datetime) -> int:
    """Keep the figures of the days of one pool that are over; returns how many another process had not kept.

    Each day is committed alone, so that a long absence is made up for step by step. Holds no lock while it solves.
    """
    async with database.session() as session:
        pool = await session.get_one(Pool, pool_id)
        days = days_of_pool(pool)
        open_days = await _open_days(session, pool_id, days.day_of(now))
    for number, day in enumerate(open_days):
        async with lease(database.hot, f"close {pool_id}", seconds=_LEASE_SECONDS) as is_ours:
            if not is_ours:
                return number
            async with database.session() as session:
                await _close(session, pool_id, day, days)
    return len(open_days)


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
