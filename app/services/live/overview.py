"""How a pool is right now, from questions whose cost is bounded however much work there is.

Work per minute is remembered: a minute that is over for a while does not change, so each look asks only for the
minutes since. Answers are shared for a moment by all who ask, so that a hundred open dashboards cost as much as one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from app.database import HotPool
from app.engine.types import PoolId, WaitReason
from app.services.tasks.misplaced import MisplacedCounts
from app.utils.remembered import Remembered

LONGEST = timedelta(hours=24)
"""The longest period that is shown by the minute."""
MOST_COUNTED = 100_000
"""Waiting tasks are counted up to here; beyond, the answer says that there are more."""
MOST_SAMPLED = 5_000
"""Percentiles of latency are those of the last so many first assignments of the period."""
SHARED_SECONDS = 1.0
"""How long one answer serves everybody."""

_SETTLED = timedelta(minutes=2)  # transactions that wrote into a minute are over so long after it
_UNDECIDED_ALARM = 15.0  # seconds: a worker takes milliseconds
_WAITING_ALARM = 900.0
_LATENCY_ALARM = 5.0

_MINUTE = timedelta(minutes=1)

# By the small index of times: it reads the pages of the period and no others.
_RECEIVED = """
SELECT date_trunc('minute', created_at) AS minute, count(*) AS count FROM tasks
WHERE coalesce(home_pool_id, pool_id) = $1 AND created_at >= $2 AND created_at < $3 GROUP BY 1
"""
_ASSIGNED = """
SELECT date_trunc('minute', decided_at) AS minute, count(*) AS count FROM assignments
WHERE pool_id = $1 AND decided_at >= $2 AND decided_at < $3 AND kind <> 'rework' GROUP BY 1
"""
_CLOSED = """
SELECT date_trunc('minute', at) AS minute, count(*) AS count FROM task_events
WHERE pool_id = $1 AND at >= $2 AND at < $3 AND to_status IN ('completed', 'rejected', 'cancelled') GROUP BY 1
"""
_WAITING = f"""
SELECT wait_reason, count(*) AS count, min(waiting_since) AS oldest
FROM (
    SELECT wait_reason, waiting_since FROM tasks
    WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NOT NULL LIMIT {MOST_COUNTED}
) parked GROUP BY 1 ORDER BY 2 DESC
"""  # noqa: S608 - the bound is ours
_UNDECIDED = f"""
SELECT count(*) AS count, min(updated_at) AS oldest
FROM (
    SELECT updated_at FROM tasks
    WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NULL LIMIT {MOST_COUNTED}
) fresh
"""  # noqa: S608 - the bound is ours
_LATENCY = f"""
SELECT count(*) AS sample, percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY seconds) AS points
FROM (
    SELECT extract(epoch FROM assignment.decided_at - CASE WHEN task.moved_at <= assignment.decided_at
                                                           THEN task.moved_at ELSE task.created_at END) AS seconds
    FROM assignments assignment JOIN tasks task ON task.id = assignment.task_id
    WHERE assignment.pool_id = $1 AND assignment.decided_at >= $2 AND assignment.kind IN ('primary', 'parent')
    ORDER BY assignment.decided_at DESC LIMIT {MOST_SAMPLED}
) recent
"""  # noqa: S608 - the bound is ours
_PEOPLE = """
SELECT availability, count(*) AS count FROM executors WHERE pool_id = $1 AND active GROUP BY 1
"""
_RULES = "SELECT id, name, version FROM rule_sets WHERE pool_id = $1 AND state = 'active'"

AlertCode = Literal[
    "no_executors", "nobody_available", "undecided", "no_one_eligible", "too_heavy", "all_at_limit", "waiting_long",
    "slow", "no_rules", "paused", "misplaced",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Minute:
    """What came in, was assigned, and was finished or dropped within one minute."""

    at: datetime
    received: int = 0
    assigned: int = 0
    closed: int = 0


@dataclass(frozen=True, slots=True)
class WaitingGroup:
    """Tasks that nobody can take now, for one reason."""

    reason: WaitReason
    count: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from a task's arrival to its first assignment."""

    sample: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class OverviewAlert:
    """Something that a person should look at; `values` go into the sentence."""

    code: AlertCode
    severity: Literal["critical", "warning", "info"]
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolOverview:
    """A pool as it is now. Counts of waiting tasks stop at MOST_COUNTED."""

    now: datetime
    undecided: int
    undecided_since: datetime | None
    waiting: Sequence[WaitingGroup]
    latency: Latency | None
    people: Mapping[str, int]
    rule_set: tuple[int, str, int] | None
    alerts: Sequence[OverviewAlert]


class Overview:
    """Looks at pools on behalf of everybody who asks."""

    def __init__(self, pool: HotPool) -> None:
        self._pool = pool
        self._minutes: dict[PoolId, _Minutes] = {}
        self._pictures: Remembered[tuple[PoolId, int], PoolOverview] = Remembered(SHARED_SECONDS)
        self._locks: dict[PoolId, asyncio.Lock] = {}
        self._misplaced = MisplacedCounts(pool)

    async def look(
        self, pool_id: PoolId, *, period: timedelta, now: datetime
    ) -> tuple[PoolOverview, list[Minute]]:
        """The pool now, and its minutes in the period that ends now (at most LONGEST)."""
        period = min(period, LONGEST)
        async with self._locks.setdefault(pool_id, asyncio.Lock()):
            picture = await self._picture(pool_id, period, now)
            minutes = self._minutes.setdefault(pool_id, _Minutes())
            await minutes.complete(self._pool, pool_id, now - period, picture.now)
        return picture, minutes.between(now - period, now)

    def forget(self, pool_id: PoolId) -> None:
        """Count misplaced work anew at the next look."""
        self._misplaced.forget(pool_id)
        self._pictures.forget(lambda key: key[0] == pool_id)

    async def _picture(self, pool_id: PoolId, period: timedelta, now: datetime) -> PoolOverview:
        key = (pool_id, int(period.total_seconds()))

        async def read() -> PoolOverview:
            misplaced = await self._misplaced.count(pool_id)
            return await _look(self._pool, pool_id, now - period, now, misplaced)

        return await self._pictures.get(key, read)


class _Minutes:
    """The minutes of one pool that were asked for already: [`began`, `ended`) does not change any more."""

    def __init__(self) -> None:
        self._counts: dict[datetime, list[int]] = {}
        self._began: datetime | None = None
        self._ended = datetime.min.replace(tzinfo=UTC)
        self._asked = datetime.min.replace(tzinfo=UTC)

    async def complete(self, pool: HotPool, pool_id: PoolId, began: datetime, now: datetime) -> None:
        """Ask for what is missing of [began, now)."""
        first, settled = _floor(began), _floor(now - _SETTLED)
        if self._asked >= now and self._began is not None and first >= self._began:
            return
        if self._began is None:
            self._began = self._ended = first
        if first < self._began:
            await self._ask(pool, pool_id, first, self._began)
            self._began = first
        await self._ask(pool, pool_id, max(self._ended, _floor(now - LONGEST)), now + _MINUTE)
        self._ended = max(self._ended, settled)
        self._asked = now
        self._forget(_floor(now - LONGEST))

    async def _ask(self, pool: HotPool, pool_id: PoolId, began: datetime, ended: datetime) -> None:
        for minute in [each for each in self._counts if began <= each < ended]:
            del self._counts[minute]
        async with pool.acquire() as connection:
            for position, query in enumerate((_RECEIVED, _ASSIGNED, _CLOSED)):
                for row in await connection.fetch(query, pool_id, began, ended):
                    self._counts.setdefault(row["minute"], [0, 0, 0])[position] = row["count"]

    def _forget(self, before: datetime) -> None:
        for minute in [each for each in self._counts if each < before]:
            del self._counts[minute]
        if self._began is not None:
            self._began = max(self._began, before)

    def between(self, began: datetime, now: datetime) -> list[Minute]:
        """Every minute of the period, those without work too, oldest first."""
        first = _floor(began)
        count = int((_floor(now) - first) / _MINUTE) + 1
        minutes = (first + number * _MINUTE for number in range(count))
        return [Minute(minute, *self._counts.get(minute, ())) for minute in minutes]


async def _look(
    pool: HotPool, pool_id: PoolId, began: datetime, now: datetime, misplaced: int
) -> PoolOverview:
    async with pool.acquire() as connection:
        waiting = [
            WaitingGroup(WaitReason(row["wait_reason"]), row["count"], row["oldest"])
            for row in await connection.fetch(_WAITING, pool_id)
        ]
        undecided: Any = await connection.fetchrow(_UNDECIDED, pool_id)
        latency = _latency(await connection.fetchrow(_LATENCY, pool_id, began))
        people = {row["availability"]: row["count"] for row in await connection.fetch(_PEOPLE, pool_id)}
        rules = await connection.fetchrow(_RULES, pool_id)
    return PoolOverview(
        now=now,
        undecided=undecided["count"],
        undecided_since=undecided["oldest"],
        waiting=waiting,
        latency=latency,
        people=people,
        rule_set=None if rules is None else (rules["id"], rules["name"], rules["version"]),
        alerts=[
            *_alerts_of_people(people, waiting),
            *_alerts_of_work(waiting, undecided["count"], undecided["oldest"], latency, now),
            *([OverviewAlert("misplaced", "warning", {"tasks": misplaced})] if misplaced else []),
            *([OverviewAlert("no_rules", "info")] if rules is None and people else []),
        ],
    )


def _latency(row: Any) -> Latency | None:
    return Latency(row["sample"], *(max(0.0, point) for point in row["points"])) if row["sample"] else None


def _alerts_of_people(people: Mapping[str, int], waiting: Sequence[WaitingGroup]) -> list[OverviewAlert]:
    if not people:
        return [OverviewAlert("no_executors", "critical")]
    if not people.get("available"):
        return [
            OverviewAlert("nobody_available", "critical", {"tasks": sum(each.count for each in waiting)}),
        ]
    return []


def _alerts_of_work(
    waiting: Sequence[WaitingGroup],
    undecided: int,
    undecided_since: datetime | None,
    latency: Latency | None,
    now: datetime,
) -> list[OverviewAlert]:
    alerts = []
    age = _age(undecided_since, now)
    if undecided and age > _UNDECIDED_ALARM:
        alerts.append(OverviewAlert("undecided", "critical", {"tasks": undecided, "seconds": round(age)}))
    for each in waiting:
        if each.reason is WaitReason.NO_ONE_ELIGIBLE:
            alerts.append(OverviewAlert("no_one_eligible", "warning", {"tasks": each.count}))
        elif each.reason is WaitReason.TOO_HEAVY:
            alerts.append(OverviewAlert("too_heavy", "warning", {"tasks": each.count}))
        elif each.reason is WaitReason.ALL_AT_LIMIT:
            alerts.append(OverviewAlert("all_at_limit", "warning", {"tasks": each.count}))
        elif each.reason is WaitReason.PAUSED:
            alerts.append(OverviewAlert("paused", "warning", {"tasks": each.count}))
    oldest = max((_age(each.oldest, now) for each in waiting), default=0.0)
    if oldest > _WAITING_ALARM:
        alerts.append(OverviewAlert("waiting_long", "warning", {"seconds": round(oldest)}))
    if latency is not None and latency.p95 > _LATENCY_ALARM:
        alerts.append(OverviewAlert("slow", "warning", {"seconds": round(latency.p95, 1)}))
    return alerts


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else (now - since).total_seconds()


def _floor(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
