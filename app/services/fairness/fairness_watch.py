"""The fairness watch: measures each pool that moved, keeps its hour, raises alarms, and settles levels.

Any number of workers run it; at a pool one of them looks at a time (a lease), the others pass on, and hear that it was
looked at. What is fair is solved in no transaction: it may take longer than a transaction may idle.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import structlog
from sqlalchemy import Float, cast, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.engine.calendar import window_start
from app.engine.fairness.alarm import find_alarms
from app.engine.fairness.fair import fairness_gap, mean_absolute_deviation, utilisations
from app.engine.fairness.forecast import Outlook
from app.engine.placement.settle import levels_to_settle
from app.engine.types import ExecutorId, Policy, PoolId
from app.models import ExecutorDay, ExecutorLoad, ExecutorRow, FairnessHour, Pool, PoolStateRow, TrailFrame
from app.services.common.leases import lease
from app.services.common.loops import Parts
from app.services.common.pool_lock import try_to_raise_epoch
from app.services.common.pool_options import FairnessOptions, fairness_options, pool_zone
from app.services.common.rows import days_of_pool
from app.services.fairness.alerts import keep_alarms
from app.services.fairness.fairness import DayStandings, columns_of, get_standings
from app.services.placement.sql import SERVING_CHANNEL, TICK_CHANNEL

log = structlog.get_logger()

RESTS = 40
"""A large team's day takes long to solve: looking at a pool takes a fortieth of the time at most."""
_SOLVED_AGAIN = 3
"""Times that what is owed is solved where the pool moves meanwhile; a pool under load always does."""
_HORIZON_DAYS = {"day": 7, "week": 14, "month": 62}
"""How far back what is owed is remembered, by fairness window."""
_LEASE_SECONDS = 120.0
_NOTIFY = "SELECT pg_notify($1, $2)"

# Levels are `level_offset + window_weight`: the offset takes what the weight of the window does not say. Rows of an
# earlier window begin the present one, as the first batch would do with them; those of a later one stay: midnight has
# passed since this look began, and a batch was quicker. Locks loads by executor id.
_SETTLE = text("""
UPDATE executor_loads load
SET level_offset = given.level::numeric(14, 3)
        - CASE WHEN load.window_start = :window THEN load.window_weight ELSE 0 END,
    window_weight = CASE WHEN load.window_start = :window THEN load.window_weight ELSE 0 END,
    window_start = :window,
    epoch = :epoch
FROM unnest(CAST(:ids AS bigint[]), CAST(:levels AS float8[])) AS given(executor_id, level)
WHERE load.executor_id = given.executor_id AND load.window_start <= :window
""")


@dataclass(slots=True)
class _Known:
    """What this process knows of a pool between two looks."""

    epoch: int = 0
    day: date = date.min
    rests_until: float = 0.0
    past: dict[date, dict[ExecutorId, float]] = field(default_factory=dict)


class FairnessWatch:
    """Looks at all pools when `look` is called, but those that somebody looked at within `rest_seconds`.

    To settle, it waits for a pool for `patience_seconds`, and else tries again.
    """

    def __init__(
        self, database: Database, *, patience_seconds: float = 1.0, rest_seconds: float = 0.0
    ) -> None:
        self._database = database
        self._rest_seconds = rest_seconds
        self._patience_seconds = patience_seconds
        self._known: dict[PoolId, _Known] = {}
        self._pools = Parts("fairness")

    def heard(self, pool_id: PoolId, seconds: float) -> None:
        """Somebody has just looked at this pool, which took so long."""
        rest = max(self._rest_seconds, RESTS * seconds)
        self._known.setdefault(pool_id, _Known()).rests_until = time.monotonic() + rest

    async def look(self, now: datetime) -> None:
        """Look at every pool that moved since the last look, or whose business day turned."""
        async with self._database.session() as session:
            rows = (await session.execute(select(Pool, PoolStateRow.epoch).join(PoolStateRow))).all()
        moved = {PoolId(pool.id): (pool, epoch) for pool, epoch in rows}
        await self._pools.each(moved, lambda pool_id: self._look_if_moved(pool_id, *moved[pool_id], now))

    async def _look_if_moved(self, pool_id: PoolId, pool: Pool, epoch: int, now: datetime) -> None:
        """Look at a pool that moved since it was looked at last, unless it rests: it alone, for as long as it takes."""
        known = self._known.setdefault(pool_id, _Known())
        day = days_of_pool(pool).day_of(now)
        began = time.monotonic()
        if began < known.rests_until or (known.epoch, known.day) == (epoch, day):
            return
        async with lease(self._database.hot, f"fairness {pool_id}", seconds=_LEASE_SECONDS) as is_ours:
            if not is_ours:
                return
            looked = await self._look_at(pool_id, known, now)
        if looked:
            seconds = time.monotonic() - began
            self.heard(pool_id, seconds)
            known.epoch, known.day = epoch, day
            await self._tell(pool_id, seconds)

    async def _tell(self, pool_id: PoolId, seconds: float) -> None:
        """Tell the other workers that this pool was looked at, and how long it took."""
        said = json.dumps({"pool": pool_id, "watched": round(seconds, 3)})
        async with self._database.hot.acquire() as connection:
            await connection.execute(_NOTIFY, SERVING_CHANNEL, said)

    async def _look_at(self, pool_id: PoolId, known: _Known, now: datetime) -> bool:
        """One pool; False where another transaction has it: then it is looked at again. Solves in no transaction."""
        async with self._database.session() as session:
            pool = await session.get_one(Pool, pool_id)
            session.expunge(pool)  # its values stay as they were read, however often the transaction ends
            options, zone = fairness_options(pool.settings), pool_zone(pool.timezone)
            days = days_of_pool(pool)
            day = days.day_of(now)
            standings = await get_standings(session, pool_id=pool_id, day=day, days=days)
            await self._keep_hour(session, pool_id, standings, now.astimezone(zone))
            outlook = await _outlook(session, pool_id)
            alarms = find_alarms(
                standings.seen_by(outlook),
                options.bounds(),
                standings.task_weight,
                reserves=outlook is not None and not outlook.is_forecast,
            )
            if new := await keep_alarms(session, pool_id=pool_id, alarms=alarms, now=now):
                said = json.dumps({"pool": pool_id, "event": "fairness_alarm", "count": new})
                await (await session.connection()).exec_driver_sql(_NOTIFY, (TICK_CHANNEL, said))
            await session.commit()
            return await self._settle(session, pool, options, known, now)

    async def _keep_hour(
        self, session: AsyncSession, pool_id: PoolId, day: DayStandings, now: datetime
    ) -> None:
        """The day as it stands, under the present hour of the pool's clock (`now` is in its zone)."""
        own = (
            ExecutorRow.id,
            cast(ExecutorRow.qualification, Float),
            func.coalesce(cast(ExecutorRow.daily_limit, Float), math.inf),
        )
        ids, *each_ones = await columns_of(session, own, ExecutorRow.pool_id == pool_id, ExecutorRow.active)
        q, limits = (np.array(column) for column in each_ones)
        one = [day.standings.get(ExecutorId(i)) for i in ids]
        received = np.array([each.received if each else 0.0 for each in one])
        fair = np.array([each.fair if each else 0.0 for each in one])
        uses = utilisations(received, q, limits)
        values = {
            "fairness_gap": fairness_gap(received, fair) if fair.any() else None,
            "mae": mean_absolute_deviation(uses),
            "mae_optimum": mean_absolute_deviation(utilisations(fair, q, limits)) if fair.any() else None,
            "shares": {
                str(each.executor_id): [round(each.received, 3), round(each.fair, 3)]
                for each in day.standings.values()
            },
        }
        if day.standings:
            hour = now.replace(minute=0, second=0, microsecond=0)
            row = insert(FairnessHour).values(pool_id=pool_id, hour=hour, **values)
            await session.execute(row.on_conflict_do_update(index_elements=["pool_id", "hour"], set_=values))

    async def _settle(
        self, session: AsyncSession, pool: Pool, options: FairnessOptions, known: _Known, now: datetime
    ) -> bool:
        """Square accounts where the day or the people present are others than last time, and not too often.

        What is owed is solved before the pool is taken: days of large teams take long. Where the pool moved meanwhile
        it is solved again, a few times; after that, what was received since counts as owed in proportion to what was
        fair. False where the pool did not come free.
        """
        pool_id, day = PoolId(pool.id), days_of_pool(pool).day_of(now)
        if not options.settle_seconds or pool.policy not in (Policy.FAIR, Policy.BEST_MATCH):
            return True
        state = await session.get_one(PoolStateRow, pool_id)
        wanted = await _presence(session, pool_id, day)
        rested = state.settled_at is None or now >= state.settled_at + timedelta(
            seconds=options.settle_seconds
        )
        new_day = not (state.settled_for or "").startswith(day.isoformat())
        if wanted == state.settled_for or not (rested or new_day):
            await session.rollback()
            return True
        window = window_start(day, pool.fairness_window)
        taken = await self._take_solved(session, pool, known, day)
        if taken is None:
            return False
        epoch, owed = taken
        rows = await session.execute(
            select(ExecutorRow.id, ExecutorRow.qualification)
            .where(ExecutorRow.pool_id == pool_id)
            .order_by(ExecutorRow.id)
        )
        people = [(ExecutorId(i), float(q)) for i, q in rows]
        levels = levels_to_settle(people, owed.remainders, owed.task_weight)
        await session.execute(
            _SETTLE,
            {
                "window": window,
                "epoch": epoch,
                "ids": list(levels),
                "levels": list(levels.values()),
            },
        )
        await session.execute(
            update(PoolStateRow)
            .where(PoolStateRow.pool_id == pool_id)
            .values(settled_for=wanted, settled_at=now)
        )
        await session.commit()
        log.info("fairness.settled", pool=pool_id, people=len(people), day=day.isoformat())
        return True

    async def _take_solved(
        self, session: AsyncSession, pool: Pool, known: _Known, day: date
    ) -> "tuple[int, _Owed] | None":
        """Solve what is owed, then take the pool; None where it does not come free."""
        pool_id, attempt = PoolId(pool.id), 1
        while True:
            seen = await session.scalar(select(PoolStateRow.epoch).where(PoolStateRow.pool_id == pool_id))
            owed = await self._owed(session, pool, known, day)
            epoch = await try_to_raise_epoch(session, pool_id, seconds=self._patience_seconds)
            if epoch is None:
                return None
            if seen is None or epoch == seen + 1:
                return epoch, owed
            if attempt == _SOLVED_AGAIN:
                return epoch, owed.brought_up(await _received(session, pool_id, day))
            await session.rollback()
            attempt += 1

    async def _owed(self, session: AsyncSession, pool: Pool, known: _Known, today: date) -> "_Owed":
        """What each received beyond their fair share lately; ends the session's transaction for each day it solves."""
        pool_id, days = PoolId(pool.id), days_of_pool(pool)
        first = today - timedelta(days=_HORIZON_DAYS[pool.fairness_window] - 1)
        worked = await session.scalars(
            select(ExecutorDay.business_day)
            .where(ExecutorDay.pool_id == pool_id, ExecutorDay.business_day.between(first, today))
            .distinct()
        )
        known.past = {day: owed for day, owed in known.past.items() if first <= day < today}
        owed = _Owed()
        for day in sorted(worked):
            if day not in known.past or day == today:
                standings = await get_standings(session, pool_id=pool_id, day=day, days=days)
                owed.task_weight = standings.task_weight
                known.past[day] = standings.remainders
                if day == today:
                    owed.received = {i: each.received for i, each in standings.standings.items()}
                    owed.fair = {i: each.fair for i, each in standings.standings.items()}
            for executor_id, remainder in known.past[day].items():
                owed.remainders[executor_id] = owed.remainders.get(executor_id, 0.0) + remainder
        known.past.pop(today, None)
        return owed


@dataclass(slots=True)
class _Owed:
    """What each received beyond their fair share, the weight of a usual task, and today's part of it, in weight."""

    remainders: dict[ExecutorId, float] = field(default_factory=dict)
    task_weight: float = 1.0
    received: dict[ExecutorId, float] = field(default_factory=dict)
    fair: dict[ExecutorId, float] = field(default_factory=dict)

    def brought_up(self, received: Mapping[ExecutorId, float]) -> "_Owed":
        """The same when today has brought so much: what came since was fair in proportion to what was fair before."""
        came = {i: weight - self.received.get(i, 0.0) for i, weight in received.items()}
        total, fair = sum(came.values()), sum(self.fair.values())
        shares = (
            {i: share / fair for i, share in self.fair.items()}
            if fair
            else dict.fromkeys(came, 1 / max(1, len(came)))
        )
        remainders = {
            i: self.remainders.get(i, 0.0) + came.get(i, 0.0) - total * shares.get(i, 0.0)
            for i in self.remainders.keys() | came.keys()
        }
        return _Owed(remainders, self.task_weight, dict(received), self.fair)


async def _received(session: AsyncSession, pool_id: PoolId, day: date) -> dict[ExecutorId, float]:
    """Task weight that each has received on a business day."""
    own = (ExecutorDay.executor_id, cast(ExecutorDay.assigned_weight, Float))
    ids, weights = await columns_of(
        session, own, ExecutorDay.pool_id == pool_id, ExecutorDay.business_day == day
    )
    return dict(zip(map(ExecutorId, ids), weights, strict=True))


async def _outlook(session: AsyncSession, pool_id: PoolId) -> Outlook | None:
    """What the pool's last decisions were made by."""
    newest = select(TrailFrame.start).where(TrailFrame.pool_id == pool_id).order_by(TrailFrame.number.desc())
    rows: Any = await session.scalars(
        select(TrailFrame.content["outlook"])
        .where(
            TrailFrame.pool_id == pool_id,
            TrailFrame.start == newest.limit(1).scalar_subquery(),
            TrailFrame.content.has_key("outlook"),
        )
        .order_by(TrailFrame.number.desc())
        .limit(1)
    )
    stored = rows.first()
    return None if stored is None else Outlook.of(stored)


async def _presence(session: AsyncSession, pool_id: PoolId, day: date) -> str:
    """Names the day and who is present."""
    rows = await session.scalars(
        select(ExecutorLoad.executor_id)
        .where(ExecutorLoad.pool_id == pool_id, ExecutorLoad.present)
        .order_by(ExecutorLoad.executor_id)
    )
    people = ",".join(map(str, rows))
    return f"{day.isoformat()} {sha256(people.encode()).hexdigest()[:16]}"
