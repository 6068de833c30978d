"""Key figures, folded into `kpi_hours` and `executor_days` by the transaction that makes them true.

Nothing is ever counted from history. A pool's hour has several rows, one for each stripe: a backend adds to its own, so
that intake, workers and deliveries do not wait for each other; readers add the stripes up. Hours begin where the pool's
clock shows a full hour, so that business days are whole hours in every zone. These rows are locked last of all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import HotConnection
from app.engine.placement.allocate import BatchOutcome
from app.engine.types import ExecutorId, PoolId
from app.utils.named_sql import Statement

LATENCY_BOUNDS = tuple(round(0.001 * 2 ** (step / 2), 6) for step in range(53))
"""Upper bounds of the latency histogram in seconds: 1 ms to 18 hours, each the square root of 2 above the last.

A histogram has one bucket more than bounds, for what is above them all. Histograms of any hours and pools are merged by
adding. Never change these: stored histograms would mean something else.
"""

# Adds what happened to a pool's hour, and to an executor's day where one is named. Locks no pool: see above.
COUNT_EVENTS = Statement("""
WITH place AS (
    SELECT date_trunc('hour', :at::timestamptz, timezone) AS hour,
           pool_day(timezone, kept_day, kept_day_ends, :at) AS day
    FROM pools WHERE id = :pool_id
), hourly AS (
    INSERT INTO kpi_hours AS hour
           (pool_id, hour, stripe, completed, rejected, returned, cancelled, reassigned, delivered, moved_in,
            moved_out)
    SELECT :pool_id, place.hour, pg_backend_pid() % 16, :completed, :rejected, :returned, :cancelled, :reassigned,
           :delivered, :moved_in, :moved_out FROM place
    ON CONFLICT (pool_id, hour, stripe) DO UPDATE
    SET completed = hour.completed + excluded.completed, rejected = hour.rejected + excluded.rejected,
        returned = hour.returned + excluded.returned, cancelled = hour.cancelled + excluded.cancelled,
        reassigned = hour.reassigned + excluded.reassigned, delivered = hour.delivered + excluded.delivered,
        moved_in = hour.moved_in + excluded.moved_in, moved_out = hour.moved_out + excluded.moved_out
)
INSERT INTO executor_days AS day
       (executor_id, business_day, pool_id, completed_count, rejected_count, returned_count)
SELECT :executor_id::bigint, place.day, :pool_id, :completed, :rejected, :returned
FROM place WHERE :executor_id IS NOT NULL
ON CONFLICT (executor_id, business_day) DO UPDATE
SET completed_count = day.completed_count + excluded.completed_count,
    rejected_count = day.rejected_count + excluded.rejected_count,
    returned_count = day.returned_count + excluded.returned_count
""")

# The same for many executors of a pool in one statement. A NULL id stands for tasks without an executor.
COUNT_BY_EXECUTOR = Statement("""
WITH place AS (
    SELECT date_trunc('hour', :at::timestamptz, timezone) AS hour, (:at AT TIME ZONE timezone)::date AS day
    FROM pools WHERE id = :pool_id
), happened AS MATERIALIZED (
    SELECT * FROM unnest(:executor_ids::bigint[], :completed::int[], :rejected::int[], :returned::int[],
        :cancelled::int[], :reassigned::int[])
         AS given(executor_id, completed, rejected, returned, cancelled, reassigned)
), hourly AS (
    INSERT INTO kpi_hours AS hour (pool_id, hour, stripe, completed, rejected, returned, cancelled, reassigned)
    SELECT :pool_id, place.hour, pg_backend_pid() % 16, sum(completed), sum(rejected), sum(returned), sum(cancelled),
           sum(reassigned)
    FROM place CROSS JOIN happened GROUP BY place.hour
    ON CONFLICT (pool_id, hour, stripe) DO UPDATE
    SET completed = hour.completed + excluded.completed, rejected = hour.rejected + excluded.rejected,
        returned = hour.returned + excluded.returned, cancelled = hour.cancelled + excluded.cancelled,
        reassigned = hour.reassigned + excluded.reassigned
)
INSERT INTO executor_days AS day
       (executor_id, business_day, pool_id, completed_count, rejected_count, returned_count)
SELECT executor_id, place.day, :pool_id, completed, rejected, returned
FROM happened CROSS JOIN place
WHERE executor_id IS NOT NULL AND completed + rejected + returned > 0 ORDER BY executor_id
ON CONFLICT (executor_id, business_day) DO UPDATE
SET completed_count = day.completed_count + excluded.completed_count,
    rejected_count = day.rejected_count + excluded.rejected_count,
    returned_count = day.returned_count + excluded.returned_count
""")


@dataclass(frozen=True, slots=True)
class Happened:
    """What one transaction did, in tasks (`delivered`: in messages)."""

    completed: int = 0
    rejected: int = 0
    returned: int = 0
    cancelled: int = 0
    reassigned: int = 0
    delivered: int = 0
    moved_in: int = 0
    moved_out: int = 0


async def count_events(
    within: "AsyncSession | HotConnection",
    happened: Happened,
    *,
    pool_id: PoolId,
    at: datetime,
    executor_id: ExecutorId | None = None,
) -> None:
    """Fold what happened into the pool's figures, and into an executor's where one is named.

    Part of the caller's transaction, its last statement: counted exactly when what happened is committed.
    """
    sql, *arguments = COUNT_EVENTS(pool_id=pool_id, at=at, executor_id=executor_id, **asdict(happened))
    if isinstance(within, AsyncSession):
        await (await within.connection()).exec_driver_sql(sql, tuple(arguments))
    else:
        await within.execute(sql, *arguments)


_NOTHING_HAPPENED = Happened()


async def count_by_executor(
    connection: HotConnection,
    happened: Mapping[ExecutorId | None, Happened],
    *,
    pool_id: PoolId,
    at: datetime,
) -> None:
    """Fold what happened to the work of each person (None: of nobody) into the pool's figures and theirs, at once.

    Part of the caller's transaction, its last statement.
    """
    by_id = sorted(
        ((who, what) for who, what in happened.items() if what != _NOTHING_HAPPENED),
        key=lambda each: each[0] or 0,
    )
    if by_id:
        await connection.execute(
            *COUNT_BY_EXECUTOR(
                pool_id=pool_id,
                at=at,
                executor_ids=[who for who, _ in by_id],
                completed=[what.completed for _, what in by_id],
                rejected=[what.rejected for _, what in by_id],
                returned=[what.returned for _, what in by_id],
                cancelled=[what.cancelled for _, what in by_id],
                reassigned=[what.reassigned for _, what in by_id],
            ),
        )


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """A decided batch in figures. `parked` and `waited` count each task once, however often it is looked at.

    `latency_*` measure first assignments, from the task's commit (or its coming from another pool) to this decision.
    """

    parked: int
    waited: int
    waited_seconds: float
    latency_sum: float
    latency_buckets: list[int]

    @classmethod
    def of(cls, rows: Sequence[Any], outcome: BatchOutcome, now: datetime) -> Self:
        """The figures of what was decided about these tasks (`statements.NEXT_TASKS`)."""
        by_id = {row["id"]: row for row in rows}
        placed = [by_id[decision.task_id] for decision in outcome.decisions]
        first = [row for row in placed if row["route"] is None]
        latencies = np.array([(now - row["committed_at"]).total_seconds() for row in first])
        waits = [(now - row["waiting_since"]).total_seconds() for row in first if row["waiting_since"]]
        return cls(
            parked=sum(by_id[waiting.task_id]["waiting_since"] is None for waiting in outcome.waiting),
            waited=len(waits),
            waited_seconds=max(0.0, sum(waits)),
            latency_sum=float(latencies.clip(0.0).sum()),
            latency_buckets=latency_histogram(latencies),
        )


def latency_histogram(seconds: np.ndarray[Any, Any]) -> list[int]:
    """How many lie in each bucket; empty for nothing."""
    if not len(seconds):
        return []
    buckets = np.bincount(np.searchsorted(LATENCY_BOUNDS, seconds), minlength=len(LATENCY_BOUNDS) + 1)
    counts: list[int] = buckets.tolist()
    return counts


def latency_percentile(buckets: Sequence[int], share: float) -> float | None:
    """The latency in seconds that this share of tasks stays within, interpolated inside its bucket; None for none."""
    total = sum(buckets)
    if not total:
        return None
    wanted, below = share * total, 0
    for index, count in enumerate(buckets):
        if count and below + count >= wanted:
            if index == len(LATENCY_BOUNDS):
                break
            low = LATENCY_BOUNDS[index - 1] if index else 0.0
            return low + (LATENCY_BOUNDS[index] - low) * max(0.0, wanted - below) / count
        below += count
    return LATENCY_BOUNDS[-1]
