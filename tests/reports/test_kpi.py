"""Key figures: counted in the transaction that makes them true, and equal to what history says."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, strategies as st

from app.database import Database
from app.engine.types import PoolId, TaskId
from app.services.common.counters import (
    LATENCY_BOUNDS,
    Happened,
    count_events,
    latency_histogram,
    latency_percentile,
)
from app.services.fairness.fairness_watch import FairnessWatch
from app.services.intake.intake import NewTask, write_tasks
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.tasks.moves import Move, MoveName, move_tasks
from tests.builders import add_executors, add_pool

NOON = datetime(2026, 3, 5, 12, 20, tzinfo=UTC)


async def hours(database: Database) -> list[Mapping[str, Any]]:
    async with database.hot.acquire() as connection:
        return await connection.fetch(
            "SELECT pool_id, hour, sum(received) AS received, sum(assigned) AS assigned, sum(parked) AS parked, "
            "sum(waited) AS waited, sum(waited_seconds) AS waited_seconds, sum(completed) AS completed, "
            "sum(delivered) AS delivered, sum(latency_sum) AS latency_sum, "
            "(SELECT sum(each) FROM kpi_hours same, unnest(latency_buckets) each "
            " WHERE same.pool_id = hour.pool_id AND same.hour = hour.hour) AS measured "
            "FROM kpi_hours hour GROUP BY pool_id, hour ORDER BY pool_id, hour"
        )


async def in_all(database: Database) -> dict[str, Any]:
    """As if all of it had been within one hour: the clock may strike amid a test."""
    rows = await hours(database)
    return {name: sum(row[name] for row in rows) for name in {*rows[0].keys()} - {"pool_id", "hour"}}


async def place(database: Database, pool_id: PoolId, limit: int = 1000) -> None:
    picture = PoolSnapshot(pool_id)
    while (await place_batch(database.hot, picture, limit=limit, deliver=False)).found is Found.WORK:
        pass


async def test_a_batch_is_counted_with_its_decisions_and_repeats_count_once(database: Database):
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 2, daily_limit=15)
    tasks = [NewTask(pool_id, external_id=f"T-{number % 40}") for number in range(50)]
    await write_tasks(database.hot, tasks)
    await place(database, pool_id, limit=7)
    hour = await in_all(database)
    assert (hour["received"], hour["assigned"], hour["parked"], hour["measured"]) == (40, 30, 10, 30)
    assert hour["latency_sum"] > 0


async def test_who_waited_is_counted_once_with_how_long(database: Database):
    pool_id = await add_pool(database)
    began = time.monotonic()
    await write_tasks(database.hot, [NewTask(pool_id)] * 3)
    await place(database, pool_id)
    await add_executors(database, pool_id, 1)
    async with database.hot.acquire() as connection:
        await connection.execute(
            "UPDATE tasks SET wait_reason = NULL, waiting_since = waiting_since - interval '1 minute'"
        )
    await place(database, pool_id)
    hour = await in_all(database)
    assert (hour["parked"], hour["waited"], hour["assigned"]) == (3, 3, 3)
    assert 180 <= hour["waited_seconds"] <= 3 * (60 + time.monotonic() - began)


async def test_many_count_at_once_and_nothing_is_lost(database: Database):
    pool_id = await add_pool(database)
    [executor_id] = await add_executors(database, pool_id, 1)

    async def complete() -> None:
        async with database.hot.acquire() as connection:
            await count_events(
                connection, Happened(completed=2), pool_id=pool_id, at=NOON, executor_id=executor_id
            )

    async def deliver() -> None:
        async with database.session() as session:
            await count_events(session, Happened(delivered=5), pool_id=pool_id, at=NOON)
            await session.commit()

    await asyncio.gather(*(work() for _ in range(20) for work in (complete, deliver)))
    [hour] = await hours(database)
    assert (hour["completed"], hour["delivered"]) == (40, 100)
    async with database.hot.acquire() as connection:
        assert await connection.fetchval("SELECT completed_count FROM executor_days") == 40


async def test_what_is_undone_is_not_counted(database: Database):
    pool_id = await add_pool(database)
    async with database.session() as session:
        await count_events(session, Happened(rejected=1), pool_id=pool_id, at=NOON)
    assert await hours(database) == []


@pytest.mark.parametrize(
    ("zone", "hour", "day"),
    [
        ("UTC", "2026-03-05T20:00+00:00", date(2026, 3, 5)),
        ("Asia/Kolkata", "2026-03-05T19:30+00:00", date(2026, 3, 6)),
        ("Asia/Kathmandu", "2026-03-05T20:15+00:00", date(2026, 3, 6)),
    ],
)
async def test_hours_and_days_are_those_of_the_pools_clock(
    database: Database, zone: str, hour: str, day: date
):
    pool_id = await add_pool(database, timezone=zone)
    [executor_id] = await add_executors(database, pool_id, 1)
    async with database.hot.acquire() as connection:
        at = datetime(2026, 3, 5, 20, 25, tzinfo=UTC)
        await count_events(connection, Happened(completed=1), pool_id=pool_id, at=at, executor_id=executor_id)
        assert await connection.fetchval("SELECT business_day FROM executor_days") == day
    assert [row["hour"] for row in await hours(database)] == [datetime.fromisoformat(hour)]


@given(st.lists(st.floats(0.0011, 50_000), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_lies_in_the_bucket_of_the_true_one(seconds: list[float], share: float):
    true = float(np.quantile(seconds, share, method="inverted_cdf"))
    told = latency_percentile(latency_histogram(np.array(seconds)), share)
    assert told is not None
    assert true / 1.4143 <= told <= true * 1.4143


@given(st.lists(st.floats(0, 1e6)), st.lists(st.floats(0, 1e6)))
def test_histograms_merge_by_adding(some: list[float], others: list[float]):
    both = latency_histogram(np.array(some + others))
    parts = [latency_histogram(np.array(each)) or [0] * (len(LATENCY_BOUNDS) + 1) for each in (some, others)]
    assert (both or [0] * (len(LATENCY_BOUNDS) + 1)) == [sum(pair) for pair in zip(*parts, strict=True)]


def test_no_tasks_have_no_percentile():
    assert latency_percentile([], 0.5) is None
    assert latency_percentile(latency_histogram(np.array([1e9])), 0.5) == LATENCY_BOUNDS[-1]


HALF_HOURS = ("Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC")
CLASS_HOURS = "SELECT hour, sum(placed_count)::int AS count FROM class_hours GROUP BY hour"


@pytest.mark.parametrize("zone", HALF_HOURS)
async def test_kinds_of_work_are_counted_in_hours_of_the_pools_clock(database: Database, zone: str):
    """An hour that lies across the pool's midnight would belong to two business days."""
    pool_id = await add_pool(database, timezone=zone)
    await add_executors(database, pool_id, 2)
    await write_tasks(database.hot, [NewTask(pool_id)] * 6)
    await place(database, pool_id)
    async with database.hot.acquire() as connection:
        [placed] = await connection.fetch(CLASS_HOURS)
    [hour] = await hours(database)
    assert (placed["hour"], placed["count"]) == (hour["hour"], 6)
    assert placed["hour"].astimezone(ZoneInfo(zone)).minute == 0


@pytest.mark.parametrize("zone", HALF_HOURS)
async def test_what_is_undone_is_taken_from_the_hour_that_it_was_counted_in(database: Database, zone: str):
    pool_id = await add_pool(database, timezone=zone)
    await add_executors(database, pool_id, 1)
    await write_tasks(database.hot, [NewTask(pool_id)] * 3)
    await place(database, pool_id)
    async with database.hot.acquire() as connection:
        task_id = await connection.fetchval("SELECT min(id) FROM tasks")
    moves = [Move(TaskId(task_id), MoveName.REJECT, "somebody", "because")]
    await move_tasks(database.hot, pool_id=pool_id, moves=moves, deliver=False)
    async with database.hot.acquire() as connection:
        [placed] = await connection.fetch(CLASS_HOURS)
    assert placed["count"] == 2


@pytest.mark.parametrize("zone", HALF_HOURS[:2])
async def test_fairness_is_kept_in_hours_of_the_pools_clock(database: Database, zone: str):
    pool_id = await add_pool(database, timezone=zone)
    await add_executors(database, pool_id, 2)
    await write_tasks(database.hot, [NewTask(pool_id)] * 4)
    await place(database, pool_id)
    await FairnessWatch(database).look(datetime.now(UTC))
    async with database.hot.acquire() as connection:
        kept = await connection.fetchval("SELECT hour FROM fairness_hours")
    assert kept.astimezone(ZoneInfo(zone)).minute == 0
