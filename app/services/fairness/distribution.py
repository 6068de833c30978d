"""How evenly a pool's work of one business day is spread, and how evenly it could have been."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.fairness.fair import fairness_gap, mean_absolute_deviation
from app.engine.types import ExecutorId, PoolId
from app.errors import NotFound
from app.messages.message import say
from app.models import ExecutorDay, ExecutorRow, KpiHour, Pool, TaskRow
from app.services.common.rows import days_of_pool
from app.services.fairness.fairness import get_fair_shares


@dataclass(frozen=True, slots=True)
class DayShare:
    """What one person received on the day and what would have been fair, in task weight.

    `utilization` is 1.0 at the daily limit.
    """

    executor_id: ExecutorId
    name: str
    received: float
    fair: float
    daily_limit: float | None
    utilization: float
    fair_utilization: float

    @property
    def deviation(self) -> float:
        """Received beyond the fair share; negative: too little."""
        return self.received - self.fair


@dataclass(frozen=True, slots=True)
class Distribution:
    """A pool's day; only `waiting_tasks` is of now.

    `mae_optimum` and `fairness_gap` are None where there is nothing to compare with.
    """

    pool_id: PoolId
    day: date
    total_tasks: int
    assigned_tasks: int
    waiting_tasks: int
    shares: Sequence[DayShare]
    mae: float
    mae_optimum: float | None
    fairness_gap: float | None
    avg_latency: float | None


async def get_distribution(
    session: AsyncSession, *, pool_id: PoolId, now: datetime, day: date | None = None
) -> Distribution:
    """A pool's business day: the current one so far, or an earlier one. Raises NotFound."""
    pool = await session.get(Pool, pool_id)
    if pool is None:
        raise NotFound(
            say("pool_id: there is no pool {pool_id}; see GET /v1/pools.", pool_id=pool_id), pool_id=pool_id
        )
    days = days_of_pool(pool)
    day = day or days.day_of(now)
    began, ended = days.span(day)
    fair_shares = await get_fair_shares(session, pool_id=pool_id, day=day, days=days)
    shares = await get_shares(session, pool_id=pool_id, day=day, fair=fair_shares)
    hours = await _hours(session, pool_id, began, ended)
    fair = np.array([share.fair for share in shares])
    return Distribution(
        pool_id=pool_id,
        day=day,
        total_tasks=hours.received,
        assigned_tasks=hours.assigned,
        waiting_tasks=await _waiting(session, pool_id),
        shares=shares,
        mae=mean_absolute_deviation(np.array([share.utilization for share in shares])),
        mae_optimum=(
            mean_absolute_deviation(np.array([share.fair_utilization for share in shares]))
            if fair.any()
            else None
        ),
        fairness_gap=(
            fairness_gap(np.array([share.received for share in shares]), fair) if fair.any() else None
        ),
        avg_latency=hours.latency_sum / hours.measured if hours.measured else None,
    )


async def get_shares(
    session: AsyncSession, *, pool_id: PoolId, day: date, fair: Mapping[ExecutorId, float]
) -> list[DayShare]:
    """What everybody who is active, or received anything that day, received beside what was fair, by id."""
    rows = (
        await session.execute(
            select(
                ExecutorRow.id,
                ExecutorRow.name,
                ExecutorRow.daily_limit,
                ExecutorRow.qualification,
                func.coalesce(ExecutorDay.assigned_weight, 0),
            )
            .outerjoin(
                ExecutorDay, (ExecutorDay.executor_id == ExecutorRow.id) & (ExecutorDay.business_day == day)
            )
            .where(
                ExecutorRow.pool_id == pool_id, or_(ExecutorRow.active, ExecutorDay.executor_id.is_not(None))
            )
            .order_by(ExecutorRow.id)
        )
    ).all()
    qualification = float(sum(row.qualification for row in rows))
    mean = float(sum(row[4] for row in rows)) / qualification if rows else 0.0
    return [
        DayShare(
            executor_id=ExecutorId(row.id),
            name=row.name,
            received=float(row[4]),
            fair=fair.get(ExecutorId(row.id), 0.0),
            daily_limit=None if row.daily_limit is None else float(row.daily_limit),
            utilization=_utilization(float(row[4]), row.daily_limit, float(row.qualification) * mean),
            fair_utilization=_utilization(
                fair.get(ExecutorId(row.id), 0.0), row.daily_limit, float(row.qualification) * mean
            ),
        )
        for row in rows
    ]


def _utilization(received: float, limit: Decimal | None, expected: float) -> float:
    """Over the limit, or over what is expected of somebody without one; nobody who may take nothing is utilized."""
    whole = expected if limit is None else float(limit)
    return received / whole if whole else 0.0


class _Hours(NamedTuple):
    """What a day's hours add up to. `latency_sum` in seconds, of as many first assignments as were measured."""

    received: int
    assigned: int
    measured: int
    latency_sum: float


async def _hours(session: AsyncSession, pool_id: PoolId, began: datetime, ended: datetime) -> _Hours:
    """The day from the hours that were folded as it happened: it costs the same however many tasks there were."""
    measured = select(func.sum(func.unnest(KpiHour.latency_buckets).column_valued("count")))
    figures = (
        func.sum(KpiHour.received),
        func.sum(KpiHour.assigned),
        func.sum(measured.scalar_subquery()),
        func.sum(KpiHour.latency_sum),
    )
    of_the_day = (KpiHour.pool_id == pool_id, KpiHour.hour >= began, KpiHour.hour < ended)
    row = (await session.execute(select(*figures).where(*of_the_day))).one()
    return _Hours(int(row[0] or 0), int(row[1] or 0), int(row[2] or 0), float(row[3] or 0.0))


async def _waiting(session: AsyncSession, pool_id: PoolId) -> int:
    parked = (TaskRow.pool_id == pool_id, TaskRow.status == "pending", TaskRow.wait_reason.is_not(None))
    return int(await session.scalar(select(func.count()).select_from(TaskRow).where(*parked)) or 0)
