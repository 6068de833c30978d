"""What everybody should have received on a business day, solved from the class counts that were kept as it went."""

from collections import defaultdict
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.fair import Member, Span, fair_share_of_spans
from app.engine.types import ExecutorId, PoolId
from app.models import ClassHour, ClassSnapshot, ExecutorDay, Roster


async def get_fair_shares(
    session: AsyncSession, *, pool_id: PoolId, day: date, zone: ZoneInfo
) -> dict[ExecutorId, float]:
    """Fair share per executor on a business day, in task weight; those missing here should have received nothing."""
    spans = await _spans(session, pool_id, day, zone)
    rows = await session.execute(
        select(ExecutorDay.executor_id, ExecutorDay.assigned_weight - ExecutorDay.routed_weight).where(
            ExecutorDay.pool_id == pool_id, ExecutorDay.business_day == day
        )
    )
    fixed = {executor_id: float(weight) for executor_id, weight in rows if weight}
    return {ExecutorId(each): share for each, share in fair_share_of_spans(spans, fixed).items()}


async def _spans(session: AsyncSession, pool_id: PoolId, day: date, zone: ZoneInfo) -> list[Span]:
    """The day's rosters in the order in which they first had work, each with its work by eligible people."""
    began = datetime.combine(day, time.min, zone)
    rows = await session.execute(
        select(ClassHour.roster_id, ClassHour.class_id, ClassHour.placed_weight)
        .where(
            ClassHour.pool_id == pool_id,
            ClassHour.hour >= began,
            ClassHour.hour < began + timedelta(days=1),
        )
        .order_by(ClassHour.hour, ClassHour.roster_id)
    )
    work: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for roster_id, class_id, weight in rows:
        work[roster_id][class_id] += float(weight)
    members = await _members(session, list(work))
    eligible = await _eligible(session, sorted({each for by_class in work.values() for each in by_class}))
    return [
        Span(members[roster_id], [(eligible[class_id], weight) for class_id, weight in by_class.items()])
        for roster_id, by_class in work.items()
    ]


async def _members(session: AsyncSession, roster_ids: list[int]) -> dict[int, list[Member]]:
    rows: Any = await session.execute(select(Roster.id, Roster.members).where(Roster.id.in_(roster_ids)))
    return {roster_id: [Member(*each) for each in members] for roster_id, members in rows}


async def _eligible(session: AsyncSession, class_ids: list[int]) -> dict[int, frozenset[int]]:
    rows: Any = await session.execute(
        select(ClassSnapshot.id, ClassSnapshot.content["eligible"]).where(ClassSnapshot.id.in_(class_ids))
    )
    return {class_id: frozenset(eligible) for class_id, eligible in rows}
