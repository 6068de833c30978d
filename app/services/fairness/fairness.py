"""What everybody should have received on a business day, solved from the class counts that were kept as it went."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import numpy as np
from sqlalchemy import Float, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import among
from app.engine.calendar import BusinessDays
from app.engine.fairness.alarm import PeriodStanding
from app.engine.fairness.fair import Member, Memo, Span, even_share_of_spans, fair_share_of_spans
from app.engine.fairness.forecast import Outlook
from app.engine.placement.snapshot import unpack
from app.engine.types import ExecutorId, IntArray, PoolId
from app.models import ClassHour, ClassSnapshotRow, ExecutorDay, RosterRow

_MEMO: Memo = {}
"""Spans solved before by this process: a day is asked for again and again, and only its last span changes."""
_MOST_REMEMBERED = 5_000
_ELIGIBLE: dict[str, IntArray] = {}
"""Who may take the tasks of a class, by its digest: it never changes, and is most of what a day has to read."""
_MOST_IDS_REMEMBERED = 4_000_000  # 10,000 people in 800 classes, about 30 MB
_MOST_CLASSES = 100_000
_CLASSES_AT_ONCE = 50
"""Classes read at once: their JSON takes many times the memory of what is kept of it."""


@dataclass(frozen=True, slots=True)
class DayStandings:
    """A business day of a pool: everybody who was there or received something, and the weight of a usual task.

    `fixed` is what of it had no choice, for those who received any.
    """

    standings: Mapping[ExecutorId, PeriodStanding]
    task_weight: float
    fixed: Mapping[int, float]

    @property
    def remainders(self) -> dict[ExecutorId, float]:
        """Received beyond the fair share."""
        return {each.executor_id: each.deviation for each in self.standings.values()}

    def seen_by(self, outlook: Outlook | None) -> list[PeriodStanding]:
        """Everybody with what a forecast expects them to come to; without one, as they are."""
        if outlook is None:
            return list(self.standings.values())
        targets = {i: one.target for i, one in outlook.people.items() if one.target is not None}
        return [
            replace(each, expected=targets[i] + self.fixed.get(i, 0.0)) if i in targets else each
            for i, each in self.standings.items()
        ]


async def get_fair_shares(
    session: AsyncSession, *, pool_id: PoolId, day: date, days: BusinessDays
) -> dict[ExecutorId, float]:
    """Fair share per executor on a business day, in task weight; those missing here should have received nothing."""
    day_standings = await get_standings(session, pool_id=pool_id, day=day, days=days)
    return {each.executor_id: each.fair for each in day_standings.standings.values()}


async def get_standings(
    session: AsyncSession, *, pool_id: PoolId, day: date, days: BusinessDays
) -> DayStandings:
    """Received, fair and equal share of everybody on a business day.

    Ends the session's transaction before it solves: a day of many classes takes longer than the server lets a
    transaction idle. So the caller has written nothing in it and holds no lock by it.
    """
    spans = await _spans(session, pool_id, *days.span(day))
    own = (
        ExecutorDay.executor_id,
        cast(ExecutorDay.assigned_weight, Float),
        cast(ExecutorDay.assigned_weight - ExecutorDay.routed_weight, Float),
        ExecutorDay.assigned_count,
        cast(ExecutorDay.handed_over_weight, Float),
    )
    ids, weights, unrouted, counts, handed_over = await columns_of(
        session, own, ExecutorDay.pool_id == pool_id, ExecutorDay.business_day == day
    )
    received = dict(zip(ids, weights, strict=True))
    fixed = {i: weight for i, weight in zip(ids, unrouted, strict=True) if weight}
    await session.commit()
    if len(_MEMO) > _MOST_REMEMBERED:
        _MEMO.clear()
    fair = await asyncio.to_thread(fair_share_of_spans, spans, fixed, _MEMO)  # decisions go on meanwhile
    even = even_share_of_spans(spans)
    for i, weight in zip(ids, handed_over, strict=True):
        if weight:
            fair[i] = max(0.0, fair.get(i, 0.0) - weight)
            even[i] = max(0.0, even.get(i, 0.0) - weight)
    count = sum(counts)
    return DayStandings(
        {
            ExecutorId(i): PeriodStanding(
                ExecutorId(i), received.get(i, 0.0), fair.get(i, 0.0), even.get(i, 0.0)
            )
            for i in sorted(received.keys() | fair.keys())
        },
        sum(received.values()) / count if count else 1.0,
        fixed,
    )


async def columns_of(session: AsyncSession, columns: Sequence[Any], *where: Any) -> list[list[Any]]:
    """What a query finds, as columns instead of rows: of 10,000 people in a tenth of the time."""
    aggregates = [func.array_agg(column) for column in columns]
    [found] = await session.execute(select(*aggregates).where(*where))
    return [column or [] for column in found]


async def _spans(session: AsyncSession, pool_id: PoolId, began: datetime, ended: datetime) -> list[Span]:
    """The day's rosters in the order in which they first had work, each with its work by eligible people."""
    rows = await session.execute(
        select(ClassHour.roster_id, ClassHour.class_id, ClassHour.placed_weight)
        .where(
            ClassHour.pool_id == pool_id,
            ClassHour.hour >= began,
            ClassHour.hour < ended,
            ClassHour.placed_weight > 0,
        )
        .order_by(ClassHour.hour, ClassHour.roster_id, ClassHour.class_id)
    )
    work: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for roster_id, class_id, weight in rows:
        work[roster_id][class_id] += float(weight)
    members = await _members(session, list(work))
    eligible = await _eligible(session, sorted({each for by_class in work.values() for each in by_class}))
    return [Span(members[roster_id], _by_set(by_class, eligible)) for roster_id, by_class in work.items()]


def _by_set(by_class: Mapping[int, float], eligible: Mapping[int, IntArray]) -> list[tuple[IntArray, float]]:
    """Classes that the same people may take are one to the solver."""
    weights: dict[bytes, float] = defaultdict(float)
    people: dict[bytes, IntArray] = {}
    for class_id, weight in by_class.items():
        name = eligible[class_id].tobytes()
        weights[name] += weight
        people[name] = eligible[class_id]
    return [(people[name], weight) for name, weight in weights.items()]


async def _members(session: AsyncSession, roster_ids: list[int]) -> dict[int, list[Member]]:
    rows: Any = await session.execute(
        select(RosterRow.id, RosterRow.members).where(among(RosterRow.id, roster_ids))
    )
    return {roster_id: [Member(*each) for each in members] for roster_id, members in rows}


async def _eligible(session: AsyncSession, class_ids: list[int]) -> Mapping[int, IntArray]:
    """The people of each class by id, ascending."""
    named: Any = await session.execute(
        select(ClassSnapshotRow.id, ClassSnapshotRow.digest).where(among(ClassSnapshotRow.id, class_ids))
    )
    digests = {row.id: row.digest for row in named}
    known = {class_id: _ELIGIBLE[digest] for class_id, digest in digests.items() if digest in _ELIGIBLE}
    missing = [class_id for class_id in class_ids if class_id not in known]
    for at in range(0, len(missing), _CLASSES_AT_ONCE):
        some = missing[at : at + _CLASSES_AT_ONCE]
        rows: Any = await session.execute(
            select(ClassSnapshotRow.id, ClassSnapshotRow.content["eligible"]).where(
                among(ClassSnapshotRow.id, some)
            )
        )
        known |= {class_id: np.sort(unpack(eligible)) for class_id, eligible in rows}
    _remember({digests[class_id]: known[class_id] for class_id in missing})
    return known


def _remember(eligible: Mapping[str, IntArray]) -> None:
    """Keep what was read, and forget what others asked for before there is too much of it."""
    _ELIGIBLE.update(eligible)
    if len(_ELIGIBLE) > _MOST_CLASSES or sum(map(len, _ELIGIBLE.values())) > _MOST_IDS_REMEMBERED:
        _ELIGIBLE.clear()
