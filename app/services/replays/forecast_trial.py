"""Trials: a pool's last weeks played with a forecast and without, before anybody relies on one."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.types import Policy, PoolId, RuleSetId
from app.errors import Invalid
from app.messages.message import say
from app.models import ExecutorDay, Replay, RuleSetRow
from app.services.replays.history import MOST_ITEMS
from app.services.replays.replays import Wish, start_replay

_WEEKS = (6, 5, 4, 3, 2)
"""Weeks of history that a trial plays: as many as one replay takes."""


async def start_trial(session: AsyncSession, *, pool_id: PoolId, caller: str, now: datetime) -> Replay:
    """Have the last weeks played with a forecast and without. Raises Invalid where there is nothing to play."""
    rule_set = await session.scalar(
        select(RuleSetRow.id).where(RuleSetRow.pool_id == pool_id, RuleSetRow.state == "active")
    )
    if rule_set is None:
        raise Invalid(say("There is no active rule set to play the past under; activate one first."))
    for weeks in _WEEKS:
        since = now - timedelta(weeks=weeks)
        count = await session.scalar(
            select(func.sum(ExecutorDay.assigned_count)).where(
                ExecutorDay.pool_id == pool_id, ExecutorDay.business_day >= since.date()
            )
        )
        if int(count or 0) <= MOST_ITEMS:
            wish = Wish(since, now, [Policy.FAIR], forecast=True)
            return await start_replay(
                session, rule_set_id=RuleSetId(rule_set), wish=wish, caller=caller, now=now
            )
    raise Invalid(
        say(
            "More than {most:,} assignments in two weeks: too much for one replay.",
            most=MOST_ITEMS,
        )
    )
