"""How evenly a pool's work of one business day is spread, and how evenly it could have been."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from statistics import fmean
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.calendar import business_day
from app.engine.types import ExecutorId, PoolId
from app.errors import NotFound
from app.models import Assignment, Executor, ExecutorDay, Pool, Task


@dataclass(frozen=True, slots=True)
class Share:
    """What one person received on the day, in task weight; `utilization` is 1.0 at the daily limit."""

    executor_id: ExecutorId
    name: str
    received: float
    daily_limit: float | None
    utilization: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """A pool's day. `mae_optimum` and `fairness_gap` are None where there is nothing to compare with."""

    pool_id: PoolId
    day: date
    total_tasks: int
    assigned_tasks: int
    waiting_tasks: int
    shares: Sequence[Share]
    mae: float
    mae_optimum: float | None
    fairness_gap: float | None
    avg_latency: float | None


async def get_distribution(session: AsyncSession, *, pool_id: PoolId, now: datetime) -> Distribution:
    """The pool's business day so far. Raises NotFound."""
    pool = await session.get(Pool, pool_id)
    if pool is None:
        raise NotFound(f"pool_id: there is no pool {pool_id}; see GET /v1/pools.", pool_id=pool_id)
    zone = ZoneInfo(pool.timezone)
    day = business_day(now, zone)
    began = datetime.combine(day, time.min, zone)
    shares = await _shares(session, pool_id, day)
    assigned, latency = await _assigned(session, pool_id, began)
    return Distribution(
        pool_id=pool_id,
        day=day,
        total_tasks=await _taken_in(session, pool_id, began),
        assigned_tasks=assigned,
        waiting_tasks=await _waiting(session, pool_id),
        shares=shares,
        mae=deviation([share.utilization for share in shares]),
        mae_optimum=None,
        fairness_gap=None,
        avg_latency=latency,
    )


def deviation(utilizations: Sequence[float]) -> float:
    """The mean absolute deviation from the mean; 0 for nobody."""
    if not utilizations:
        return 0.0
    mean = fmean(utilizations)
    return fmean(abs(each - mean) for each in utilizations)


async def _shares(session: AsyncSession, pool_id: PoolId, day: date) -> list[Share]:
    rows = (
        await session.execute(
            select(
                Executor.id,
                Executor.name,
                Executor.daily_limit,
                Executor.qualification,
                func.coalesce(ExecutorDay.assigned_weight, 0),
            )
            .outerjoin(
                ExecutorDay, (ExecutorDay.executor_id == Executor.id) & (ExecutorDay.business_day == day)
            )
            .where(Executor.pool_id == pool_id, Executor.active)
            .order_by(Executor.id)
        )
    ).all()
    qualification = float(sum(row.qualification for row in rows))
    mean = float(sum(row[4] for row in rows)) / qualification if rows else 0.0
    return [
        Share(
            executor_id=ExecutorId(row.id),
            name=row.name,
            received=float(row[4]),
            daily_limit=None if row.daily_limit is None else float(row.daily_limit),
            utilization=_utilization(float(row[4]), row.daily_limit, float(row.qualification) * mean),
        )
        for row in rows
    ]


def _utilization(received: float, limit: Decimal | None, expected: float) -> float:
    """Over the limit, or over what is expected of somebody without one; nobody who may take nothing is utilized."""
    whole = expected if limit is None else float(limit)
    return received / whole if whole else 0.0


async def _taken_in(session: AsyncSession, pool_id: PoolId, began: datetime) -> int:
    query = select(func.count()).select_from(Task).where(Task.pool_id == pool_id, Task.created_at >= began)
    return int(await session.scalar(query) or 0)


async def _waiting(session: AsyncSession, pool_id: PoolId) -> int:
    parked = (Task.pool_id == pool_id, Task.status == "pending", Task.wait_reason.is_not(None))
    return int(await session.scalar(select(func.count()).select_from(Task).where(*parked)) or 0)


async def _assigned(session: AsyncSession, pool_id: PoolId, began: datetime) -> tuple[int, float | None]:
    """How many assignments, and the mean seconds until a task got its first one."""
    first = Assignment.kind.in_(("primary", "parent"))
    waited = func.extract("epoch", Assignment.decided_at - Task.created_at)
    row = (
        await session.execute(
            select(func.count(), func.avg(waited).filter(first))
            .select_from(Assignment)
            .join(Task, Task.id == Assignment.task_id)
            .where(Assignment.pool_id == pool_id, Assignment.decided_at >= began)
        )
    ).one()
    return int(row[0]), None if row[1] is None else float(row[1])
