"""Fairness over a period: who received what beside what would have been fair, by day and by hour.

Closed days are read as they were kept, the others solved from class counts; nothing reads the raw history.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias

import numpy as np
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.calendar import window_start
from app.engine.fairness.fair import fairness_gap, mean_absolute_deviation, utilisations
from app.engine.types import ExecutorId, PoolId
from app.models import ExecutorDay, ExecutorRow, FairnessHour, KpiDay, Pool
from app.services.common.rows import days_of_pool
from app.services.fairness.fairness import get_standings
from app.services.pools.pools import get_pool

Period: TypeAlias = Literal["day", "week", "month"]


@dataclass(frozen=True, slots=True)
class PersonFairness:
    """Somebody's period, in task weight."""

    executor_id: ExecutorId
    name: str
    received: float
    fair: float

    @property
    def deviation(self) -> float:
        """Received beyond the fair share; negative: too little."""
        return self.received - self.fair


@dataclass(frozen=True, slots=True)
class DayFairness:
    """One business day; the gap is None where nothing was placed."""

    day: date
    received: float
    fairness_gap: float | None


@dataclass(frozen=True, slots=True)
class HourFairness:
    """One hour: what it brought, and how the day stood when it ended (or stands now)."""

    hour: datetime
    received: float
    fairness_gap: float | None
    mae: float
    mae_optimum: float | None
    people: Sequence[PersonFairness]


@dataclass(frozen=True, slots=True)
class FairnessReport:
    """A pool's period beside its fair optimum. MAEs are of the whole period."""

    pool_id: PoolId
    first: date
    last: date
    people: Sequence[PersonFairness]
    days: Sequence[DayFairness]
    hours: Sequence[HourFairness]
    fairness_gap: float | None
    mae: float
    mae_optimum: float | None


async def get_fairness_report(
    session: AsyncSession,
    *,
    pool_id: PoolId,
    now: datetime,
    day: date | None,
    period: Period,
    with_hours: bool = True,
) -> FairnessReport:
    """The business day, the week or the month so far that ends with `day` (today where left out). Raises NotFound."""
    pool = await get_pool(session, pool_id=pool_id)
    days = days_of_pool(pool)
    last = day or days.day_of(now)
    first = window_start(last, period)
    received = await _received(session, pool_id, first, last)
    fair = await _fair(session, pool, first, last, received)
    total_received, total_fair = _sum(received), _sum(fair)
    people = await _people(session, pool_id, total_received, total_fair)
    gap = [
        fairness_gap(*_columns(received[each], fair[each])) if any(fair[each].values()) else None
        for each in fair
    ]
    mae, mae_optimum = _maes(people, len(fair))
    names = {person.executor_id: person.name for person, *_ in people}
    return FairnessReport(
        pool_id=pool_id,
        first=first,
        last=last,
        people=[person for person, *_ in people],
        days=[
            DayFairness(each, sum(received[each].values()), of_day)
            for each, of_day in zip(fair, gap, strict=True)
        ],
        hours=await _hours(session, pool, first, last, names) if with_hours else [],
        fairness_gap=(
            fairness_gap(*_columns(total_received, total_fair)) if any(total_fair.values()) else None
        ),
        mae=mae,
        mae_optimum=mae_optimum if any(total_fair.values()) else None,
    )


async def _received(
    session: AsyncSession, pool_id: PoolId, first: date, last: date
) -> dict[date, dict[int, float]]:
    rows = await session.execute(
        select(ExecutorDay.business_day, ExecutorDay.executor_id, ExecutorDay.assigned_weight)
        .where(ExecutorDay.pool_id == pool_id, ExecutorDay.business_day.between(first, last))
        .order_by(ExecutorDay.business_day)
    )
    received: dict[date, dict[int, float]] = defaultdict(dict)
    for day, executor_id, weight in rows:
        received[day][executor_id] = float(weight)
    return received


async def _fair(
    session: AsyncSession, pool: Pool, first: date, last: date, worked: Mapping[date, object]
) -> dict[date, dict[int, float]]:
    """Fair shares per day with work, in the order of days."""
    rows = await session.scalars(
        select(KpiDay).where(KpiDay.pool_id == pool.id, KpiDay.business_day.between(first, last))
    )
    kept = {row.business_day: {int(i): float(share) for i, share in row.shares.items()} for row in rows}
    fair: dict[date, dict[int, float]] = {}
    for day in sorted(worked.keys() | kept.keys()):
        if day in kept:
            fair[day] = kept[day]
            continue
        standings = await get_standings(session, pool_id=PoolId(pool.id), day=day, days=days_of_pool(pool))
        fair[day] = {each.executor_id: each.fair for each in standings.standings.values()}
    return fair


async def _people(
    session: AsyncSession, pool_id: PoolId, received: Mapping[int, float], fair: Mapping[int, float]
) -> list[tuple[PersonFairness, float, float]]:
    """Who is active or had a share, by id, each with qualification and daily limit (infinite without)."""
    rows = await session.execute(
        select(
            ExecutorRow.id,
            ExecutorRow.name,
            ExecutorRow.qualification,
            ExecutorRow.daily_limit,
            ExecutorRow.active,
        )
        .where(ExecutorRow.pool_id == pool_id)
        .order_by(ExecutorRow.id)
    )
    return [
        (
            PersonFairness(ExecutorId(row.id), row.name, received.get(row.id, 0.0), fair.get(row.id, 0.0)),
            float(row.qualification),
            np.inf if row.daily_limit is None else float(row.daily_limit),
        )
        for row in rows
        if row.active or row.id in received or row.id in fair
    ]


def _maes(people: Sequence[tuple[PersonFairness, float, float]], days: int) -> tuple[float, float]:
    if not people:
        return 0.0, 0.0
    q = np.array([qualification for _, qualification, _ in people])
    limits = np.array([limit * max(1, days) for *_, limit in people])
    received = np.array([person.received for person, *_ in people])
    fair = np.array([person.fair for person, *_ in people])
    return (
        mean_absolute_deviation(utilisations(received, q, limits)),
        mean_absolute_deviation(utilisations(fair, q, limits)),
    )


async def _hours(
    session: AsyncSession, pool: Pool, first: date, last: date, names: Mapping[ExecutorId, str]
) -> list[HourFairness]:
    """Kept hours as differences: each row holds the day up to its end."""
    days = days_of_pool(pool)
    rows = await session.scalars(
        select(FairnessHour)
        .where(
            FairnessHour.pool_id == pool.id,
            FairnessHour.hour >= days.span(first)[0],
            FairnessHour.hour < days.span(last)[1],
        )
        .order_by(FairnessHour.hour)
    )
    hours, before, today = [], dict[str, list[float]](), date.min
    for row in rows:
        if (day := days.day_of(row.hour)) != today:
            before, today = {}, day
        people = [
            PersonFairness(
                ExecutorId(int(i)),
                names.get(ExecutorId(int(i)), ""),
                round(received - before.get(i, [0.0, 0.0])[0], 3),
                round(fair - before.get(i, [0.0, 0.0])[1], 3),
            )
            for i, (received, fair) in row.shares.items()
        ]
        before = dict(row.shares)
        total = sum(person.received for person in people)
        hours.append(HourFairness(row.hour, total, row.fairness_gap, row.mae, row.mae_optimum, people))
    return hours


def _sum(by_day: Mapping[date, Mapping[int, float]]) -> dict[int, float]:
    total: dict[int, float] = defaultdict(float)
    for shares in by_day.values():
        for executor_id, share in shares.items():
            total[executor_id] += share
    return dict(total)


def _columns(
    received: Mapping[int, float], fair: Mapping[int, float]
) -> tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
    ids = sorted(received.keys() | fair.keys())
    return np.array([received.get(i, 0.0) for i in ids]), np.array([fair.get(i, 0.0) for i in ids])
