"""Reading the key figures: hours and days, people and kinds of work, from what was folded as it happened."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.calendar import BusinessDays
from app.engine.types import ExecutorId, PoolId
from app.errors import NotFound
from app.messages.message import say
from app.models import ClassHour, ClassSnapshotRow, ExecutorDay, ExecutorRow, KpiDay, KpiHour, Pool
from app.services.common.counters import latency_percentile
from app.services.common.rows import days_of_pool
from app.services.fairness.closed_days import DayShares, get_day_shares

MOST_CATEGORIES = 50
"""Kinds of work shown by name; what is beyond them is summed up as the last one."""


@dataclass(slots=True)
class Counts:
    """What happened in a span of time. Times in seconds; None where there is nothing to measure."""

    received: int = 0
    assigned: int = 0
    parked: int = 0
    waited: int = 0
    waited_seconds: float = 0.0
    completed: int = 0
    rejected: int = 0
    returned: int = 0
    cancelled: int = 0
    reassigned: int = 0
    delivered: int = 0
    moved_in: int = 0
    moved_out: int = 0
    latency_sum: float = 0.0
    latency_buckets: list[int] = field(default_factory=list)

    def add(self, other: Any) -> None:
        """Add another span, or a stripe of one."""
        for each in _SUMMED:
            setattr(self, each, getattr(self, each) + getattr(other, each))
        had, came = self.latency_buckets, other.latency_buckets
        self.latency_buckets = (
            [a + b for a, b in zip(had, came, strict=True)] if had and came else had or came
        )

    @property
    def latency_mean(self) -> float | None:
        """Mean seconds from a task's commit to its first assignment."""
        return self.latency_sum / sum(self.latency_buckets) if self.latency_buckets else None

    def latency(self, share: float) -> float | None:
        """The latency that this share of first assignments stayed within."""
        return latency_percentile(self.latency_buckets, share)

    @property
    def wait_mean(self) -> float | None:
        """Mean seconds that parked tasks waited for somebody."""
        return self.waited_seconds / self.waited if self.waited else None


_SUMMED = tuple(each.name for each in fields(Counts) if each.name != "latency_buckets")


@dataclass(frozen=True, slots=True)
class HourKpi:
    """One hour of the pool's clock; `start` carries the pool's zone."""

    start: datetime
    counts: Counts


@dataclass(frozen=True, slots=True)
class DayKpi:
    """One business day; fairness is None where nothing was received."""

    day: date
    counts: Counts
    weight: float
    mae: float | None
    mae_optimum: float | None
    fairness_gap: float | None


@dataclass(slots=True)
class PersonKpi:
    """An executor over the period, in task weight and tasks; `capacity` is the daily limits of the days with work."""

    executor_id: ExecutorId
    name: str
    daily_limit: float | None
    qualification: float
    days: int = 0
    assigned: int = 0
    received: float = 0.0
    fair: float = 0.0
    completed: int = 0
    rejected: int = 0
    returned: int = 0
    expected: float = 0.0

    @property
    def deviation(self) -> float:
        """Received beyond the fair share; negative: too little."""
        return self.received - self.fair

    @property
    def utilization(self) -> float | None:
        """Received over the daily limits of the period's days, or over what was expected of somebody without one."""
        return self.received / self.expected if self.expected else None


@dataclass(frozen=True, slots=True)
class CategoryFigures:
    """Routed work of one kind: tasks that agree in the fields that the rules read."""

    name: str
    tasks: int
    weight: float


@dataclass(frozen=True, slots=True)
class Kpi:
    """A pool's key figures over business days, the last of which may be running."""

    pool_id: PoolId
    pool_name: str
    business_days: BusinessDays
    first: date
    last: date
    hours: Sequence[HourKpi]
    days: Sequence[DayKpi]
    people: Sequence[PersonKpi]
    categories: Sequence[CategoryFigures]

    @property
    def total(self) -> Counts:
        """The whole period."""
        return _sum(day.counts for day in self.days)


async def get_hours(session: AsyncSession, *, pool_id: PoolId, days: int, now: datetime) -> list[HourKpi]:
    """The hours of the last business days in which anything happened, oldest first. Raises NotFound."""
    pool = await _pool(session, pool_id)
    business_days = days_of_pool(pool)
    return await _hours(session, pool_id, business_days, _first_day(now, business_days, days))


async def get_days(session: AsyncSession, *, pool_id: PoolId, days: int, now: datetime) -> list[DayKpi]:
    """The last business days in which anything happened, oldest first. Raises NotFound."""
    business_days = days_of_pool(await _pool(session, pool_id))
    first = _first_day(now, business_days, days)
    hours = await _hours(session, pool_id, business_days, first)
    fairness = await _fairness(session, pool_id, business_days, first, business_days.day_of(now))
    return _days(hours, fairness, business_days)


async def get_figures(session: AsyncSession, *, pool_id: PoolId, days: int, now: datetime) -> Kpi:
    """All key figures of the last business days, today included. Raises NotFound."""
    pool = await _pool(session, pool_id)
    business_days = days_of_pool(pool)
    first, last = _first_day(now, business_days, days), business_days.day_of(now)
    hours = await _hours(session, pool_id, business_days, first)
    fairness = await _fairness(session, pool_id, business_days, first, last)
    return Kpi(
        pool_id=pool_id,
        pool_name=pool.name,
        business_days=business_days,
        first=first,
        last=last,
        hours=hours,
        days=_days(hours, fairness, business_days),
        people=await _people(session, pool_id, first, last, fairness),
        categories=await _categories(session, pool_id, business_days.span(first)[0]),
    )


async def _pool(session: AsyncSession, pool_id: PoolId) -> Pool:
    pool = await session.get(Pool, pool_id)
    if pool is None:
        raise NotFound(
            say("pool_id: there is no pool {pool_id}; see GET /v1/pools.", pool_id=pool_id), pool_id=pool_id
        )
    return pool


def _first_day(now: datetime, business_days: BusinessDays, days: int) -> date:
    return business_days.day_of(now) - timedelta(days=days - 1)


async def _hours(session: AsyncSession, pool_id: PoolId, days: BusinessDays, first: date) -> list[HourKpi]:
    rows = await session.scalars(
        select(KpiHour).where(KpiHour.pool_id == pool_id, KpiHour.hour >= days.span(first)[0])
    )
    hours: dict[datetime, Counts] = defaultdict(Counts)
    for row in rows:
        hours[row.hour].add(row)
    return [HourKpi(hour.astimezone(days.zone), hours[hour]) for hour in sorted(hours)]


def _sum(counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for each in counts:
        total.add(each)
    return total


async def _fairness(
    session: AsyncSession, pool_id: PoolId, days: BusinessDays, first: date, today: date
) -> dict[date, DayShares]:
    """Closed days as they were kept; days that nobody closed yet, today among them, solved now."""
    closed = await session.scalars(
        select(KpiDay).where(KpiDay.pool_id == pool_id, KpiDay.business_day.between(first, today))
    )
    known = {day.business_day: DayShares.kept(day) for day in closed}
    worked = await session.scalars(
        select(ExecutorDay.business_day)
        .where(ExecutorDay.pool_id == pool_id, ExecutorDay.business_day.between(first, today))
        .distinct()
    )
    for day in sorted(set(worked) - known.keys()):
        known[day] = await get_day_shares(session, pool_id=pool_id, day=day, days=days)
    return known


def _days(hours: Sequence[HourKpi], fairness: dict[date, DayShares], days: BusinessDays) -> list[DayKpi]:
    counts: dict[date, list[Counts]] = defaultdict(list)
    for hour in hours:
        counts[days.day_of(hour.start)].append(hour.counts)
    return [
        DayKpi(
            day=day,
            counts=_sum(counts[day]),
            weight=fairness[day].weight if day in fairness else 0.0,
            mae=fairness[day].mae if day in fairness else None,
            mae_optimum=fairness[day].mae_optimum if day in fairness else None,
            fairness_gap=fairness[day].fairness_gap if day in fairness else None,
        )
        for day in sorted(counts.keys() | fairness.keys())
    ]


async def _people(
    session: AsyncSession, pool_id: PoolId, first: date, last: date, fairness: dict[date, DayShares]
) -> list[PersonKpi]:
    """Who was active or received anything, by id."""
    query = (
        select(
            ExecutorRow.id,
            ExecutorRow.name,
            ExecutorRow.daily_limit,
            ExecutorRow.qualification,
            ExecutorRow.active,
            func.count(ExecutorDay.business_day).label("days"),
            *(
                func.coalesce(func.sum(column), 0).label(name)
                for name, column in (
                    ("assigned", ExecutorDay.assigned_count),
                    ("received", ExecutorDay.assigned_weight),
                    ("completed", ExecutorDay.completed_count),
                    ("rejected", ExecutorDay.rejected_count),
                    ("returned", ExecutorDay.returned_count),
                )
            ),
        )
        .outerjoin(
            ExecutorDay,
            (ExecutorDay.executor_id == ExecutorRow.id) & ExecutorDay.business_day.between(first, last),
        )
        .where(ExecutorRow.pool_id == pool_id)
        .group_by(ExecutorRow.id)
        .order_by(ExecutorRow.id)
    )
    rows = [row for row in await session.execute(query) if row.active or row.days]
    mean = float(sum(row.received for row in rows)) / float(sum(row.qualification for row in rows) or 1)
    fair: dict[ExecutorId, float] = defaultdict(float)
    for shares in fairness.values():
        for executor_id, share in shares.fair.items():
            fair[executor_id] += share
    return [_person(row, fair[ExecutorId(row.id)], mean, max(1, len(fairness))) for row in rows]


def _person(row: Any, fair: float, mean: float, days: int) -> PersonKpi:
    limit = None if row.daily_limit is None else float(row.daily_limit)
    return PersonKpi(
        executor_id=ExecutorId(row.id),
        name=row.name,
        daily_limit=limit,
        qualification=float(row.qualification),
        days=row.days,
        assigned=int(row.assigned),
        received=float(row.received),
        fair=fair,
        completed=int(row.completed),
        rejected=int(row.rejected),
        returned=int(row.returned),
        expected=float(row.qualification) * mean if limit is None else limit * days,
    )


async def _categories(session: AsyncSession, pool_id: PoolId, began: datetime) -> list[CategoryFigures]:
    """Kinds of work by weight, most first; the same kind under several rule sets and rosters is one."""
    key = ClassSnapshotRow.content["key"]
    rows = await session.execute(
        select(key.label("key"), func.sum(ClassHour.placed_count), func.sum(ClassHour.placed_weight))
        .join(ClassSnapshotRow, ClassSnapshotRow.id == ClassHour.class_id)
        .where(ClassHour.pool_id == pool_id, ClassHour.hour >= began)
        .group_by(key)
    )
    found = [CategoryFigures(_category(kind), int(tasks), float(weight)) for kind, tasks, weight in rows]
    found.sort(key=lambda each: (-each.weight, each.name))
    shown, rest = found[:MOST_CATEGORIES], found[MOST_CATEGORIES:]
    if rest:
        shown.append(
            CategoryFigures("…", sum(each.tasks for each in rest), sum(each.weight for each in rest))
        )
    return shown


def _category(key: Any) -> str:
    """The values that the rules read, in their order; a dash where they read none."""
    values = key if isinstance(key, list) else [key]
    return " · ".join("—" if value is None else _word(value) for value in values) or "—"


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_word, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
