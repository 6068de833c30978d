"""What is true of the whole system, read from the database for whoever asks: right however many processes there are.

Each look is shared for some seconds, costs a bounded number of rows, and gives a bounded number of series: of many
pools only those that stand out, each figure for itself, with all others in one series (`pool="other"`: the sum of
counts, the largest of anything else); of large pools only the executors at both ends.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from typing import Any

import structlog

from app.database import HotConnection, HotPool
from app.services.common.loop_reports import read_reports
from app.services.delivery.sql import BREAKERS
from app.services.placement.sql import BACKLOG
from app.services.tasks.misplaced import MisplacedRound
from app.telemetry import metrics
from app.utils.trouble import says, trouble_of

log = structlog.get_logger()

SHARED_SECONDS = 5.0
"""How long one look serves everybody who asks."""
MOST_EXECUTORS = 500
"""Executors in all pools up to which each has a series of its own."""
ENDS = 10
"""Beyond that: so many of a pool's most and least used, fewer where many pools are shown."""
MOST_POOLS = metrics.MOST_POOLS
_MOST_COUNTED = 100_000
_MOST_LOOKED_AT = 1000
_PATIENCE = 5.0

# Age of the oldest task that waits for a look, of pools that have any; of so many of them.
_OLDEST = """
SELECT pool_id, extract(epoch FROM clock_timestamp() - min(updated_at))::float8 AS oldest
FROM unnest($1::bigint[]) AS asked(id), LATERAL (
    SELECT pool_id, updated_at FROM tasks
    WHERE pool_id = asked.id AND status = 'pending' AND wait_reason IS NULL LIMIT $2
) unseen GROUP BY pool_id
"""
_WAITING = """
SELECT parked.pool_id, parked.wait_reason AS reason, count(*) AS count
FROM pools pool, LATERAL (
    SELECT pool_id, wait_reason FROM tasks
    WHERE pool_id = pool.id AND status = 'pending' AND wait_reason IS NOT NULL LIMIT $1
) parked GROUP BY 1, 2
"""

# What each active executor received today over what they may, or over what is expected of somebody without a limit.
_UTILIZATION = """
WITH received AS (
    SELECT person.pool_id, person.id, person.daily_limit, person.qualification,
           CASE WHEN load.business_day = pool_day(pool.timezone, pool.kept_day, pool.kept_day_ends, now())
                THEN load.day_weight ELSE 0 END AS weight
    FROM executors person
    JOIN executor_loads load ON load.executor_id = person.id
    JOIN pools pool ON pool.id = person.pool_id
    WHERE person.active
), used AS (
    SELECT pool_id, id,
           coalesce(weight / nullif(coalesce(daily_limit, qualification * sum(weight) OVER everybody
                                                          / sum(qualification) OVER everybody), 0), 0)::float8 AS used
    FROM received WINDOW everybody AS (PARTITION BY pool_id)
)
"""
_SUMMARY = """, centred AS (SELECT pool_id, used, avg(used) OVER (PARTITION BY pool_id) AS mean FROM used)
SELECT pool_id, avg(abs(used - mean)) AS mae,
       percentile_cont(ARRAY[0, 0.1, 0.5, 0.9, 1]) WITHIN GROUP (ORDER BY used) AS quantiles
FROM centred GROUP BY pool_id
"""
_BY_EXECUTOR = """SELECT pool_id, id, used FROM (
    SELECT used.*, count(*) OVER () AS everybody,
           row_number() OVER (PARTITION BY pool_id ORDER BY used DESC, id) AS from_above,
           row_number() OVER (PARTITION BY pool_id ORDER BY used, id DESC) AS from_below
    FROM used WHERE pool_id = ANY($3::bigint[])
) ranked
WHERE everybody <= $1 OR from_above <= $2 OR from_below <= $2
"""
_QUANTILES = ("0", "0.1", "0.5", "0.9", "1")

# What the fairness watch found last, where that was today.
_FAIRNESS = """
SELECT DISTINCT ON (hour.pool_id) hour.pool_id, hour.fairness_gap, hour.mae_optimum
FROM fairness_hours hour JOIN pools pool ON pool.id = hour.pool_id
WHERE hour.hour >= date_trunc('day', now(), pool.timezone)
ORDER BY hour.pool_id, hour.hour DESC
"""
_ALERTS = (
    "SELECT pool_id, kind, count(*) AS count FROM fairness_alerts WHERE cleared_at IS NULL GROUP BY 1, 2"
)

_OUTBOX = """
SELECT destination, count(*) AS pending, extract(epoch FROM clock_timestamp() - min(created_at))::float8 AS oldest
FROM (
    SELECT destination, created_at FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL LIMIT $1
) undelivered GROUP BY 1
"""
_DEAD = """
SELECT destination, count(*) AS count
FROM (SELECT destination FROM outbox WHERE dead_at IS NOT NULL LIMIT $1) dead GROUP BY 1
"""


class Gauges:
    """Fills `app.telemetry.metrics.SYSTEM`; looks that come at once share one."""

    def __init__(self, pool: HotPool) -> None:
        self._pool = pool
        self._misplaced = MisplacedRound(pool)
        self._look: asyncio.Task[None] | None = None
        self._looked = -SHARED_SECONDS

    async def refresh(self) -> None:
        """Bring the gauges up to date; never raises, and never takes much longer than a scrape may."""
        if time.monotonic() - self._looked < SHARED_SECONDS:
            return
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._read())
        await asyncio.wait([self._look], timeout=_PATIENCE)

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE), self._pool.acquire() as connection:
                await _fill(connection)
            metrics.database_up.set(1)
            async with asyncio.timeout(_PATIENCE):
                misplaced = await self._misplaced.look()
            metrics.tasks_misplaced.clear()
            rows = [{"pool_id": pool_id, "count": count} for pool_id, count in misplaced.items()]
            _tell(metrics.tasks_misplaced, rows, "count", sum)
        except Exception as error:
            known = trouble_of(error) is not None
            log.warning("gauges.not_read", error=says(error), exc_info=None if known else error)
            _forget()
            metrics.database_up.set(0)
        self._looked = time.monotonic()


_RECEIVERS = ("ais", "webhook")
_FILLED = (
    metrics.queue_lag,
    metrics.queue_oldest_seconds,
    metrics.tasks_waiting,
    metrics.tasks_misplaced,
    metrics.mae_fairness,
    metrics.mae_fairness_optimum,
    metrics.fairness_gap,
    metrics.fairness_alerts,
    metrics.executor_utilization,
    metrics.executor_utilization_quantile,
    metrics.outbox_pending,
    metrics.outbox_oldest_seconds,
    metrics.outbox_dead,
    metrics.delivery_breakers_open,
    metrics.loops_unwell,
)


def _forget() -> None:
    """What is not known is not told: an old figure would look like a true one."""
    for gauge in _FILLED:
        gauge.clear()


async def _fill(connection: HotConnection) -> None:
    """Read everything first: between forgetting and telling nobody else gets a turn."""
    lag = await connection.fetch(BACKLOG, _MOST_COUNTED)
    waiting = await connection.fetch(_WAITING, _MOST_COUNTED)
    due = [row["pool_id"] for row in lag if row["lag"]]
    oldest = await connection.fetch(_OLDEST, due, _MOST_LOOKED_AT) if due else []
    summary = await connection.fetch(_UTILIZATION + _SUMMARY)
    shown = [row["pool_id"] for row in nlargest(MOST_POOLS, summary, key=lambda row: row["mae"] or 0)]
    ends = max(1, min(ENDS, MOST_EXECUTORS // (2 * max(1, len(shown)))))
    people = await connection.fetch(_UTILIZATION + _BY_EXECUTOR, MOST_EXECUTORS, ends, shown)
    fairness = await connection.fetch(_FAIRNESS)
    alerts = await connection.fetch(_ALERTS)
    outbox = await connection.fetch(_OUTBOX, _MOST_COUNTED)
    dead = await connection.fetch(_DEAD, _MOST_COUNTED)
    unwell = await read_reports(connection)
    breakers = {row["receiver"]: row["count"] for row in await connection.fetch(BREAKERS)}
    _forget()
    _tell(metrics.queue_lag, lag, "lag", sum)
    _tell(metrics.queue_oldest_seconds, oldest, "oldest", max)
    _tell(metrics.tasks_waiting, waiting, "count", sum, "reason")
    _tell(metrics.mae_fairness, summary, "mae", max)
    for row in summary if len(summary) <= MOST_POOLS else [row for row in summary if row["pool_id"] in shown]:
        for quantile, value in zip(_QUANTILES, row["quantiles"], strict=True):
            metrics.executor_utilization_quantile.set(value, row["pool_id"], quantile)
    for row in people:
        metrics.executor_utilization.set(row["used"], row["pool_id"], row["id"])
    _tell(metrics.fairness_gap, fairness, "fairness_gap", max)
    _tell(metrics.mae_fairness_optimum, fairness, "mae_optimum", max)
    _tell(metrics.fairness_alerts, alerts, "count", sum, "kind")
    for report in unwell:
        metrics.loops_unwell.set(1, report.loop, report.part)
    _tell_deliveries(outbox, dead, breakers)


def _tell(
    gauge: metrics.SystemGauge,
    rows: Sequence[Any],
    column: str,
    together: Callable[[list[float]], float],
    label: str | None = None,
) -> None:
    """Tell a figure of each pool; of more than MOST_POOLS only the largest, and all others `together`."""
    told = [row for row in rows if row[column] is not None]
    largest = nlargest(MOST_POOLS, told, key=lambda row: row[column]) if len(told) > MOST_POOLS else told
    for row in largest:
        gauge.set(row[column], row["pool_id"], *([row[label]] if label else ()))
    if len(largest) == len(told):
        return
    seen, others = set(map(id, largest)), defaultdict(list)
    for row in told:
        if id(row) not in seen:
            others[(row[label],) if label else ()].append(float(row[column]))
    for labels, values in others.items():
        gauge.set(together(values), metrics.OTHER, *labels)


def _tell_deliveries(outbox: Sequence[Any], dead: Sequence[Any], breakers: Mapping[str, int]) -> None:
    for row in outbox:
        metrics.outbox_pending.set(row["pending"], row["destination"])
        metrics.outbox_oldest_seconds.set(max(0.0, row["oldest"]), row["destination"])
    for row in dead:
        metrics.outbox_dead.set(row["count"], row["destination"])
    for receiver in _RECEIVERS:
        metrics.delivery_breakers_open.set(breakers.get(receiver, 0), receiver)
