"""Assignment latency: from the commit of a task to the commit of its first assignment, by the database's clock."""

import asyncio
from datetime import datetime

import pytest
from hypothesis import given, strategies as st

from app.database import Database
from app.engine.types import PoolId
from app.services.placement import sql as statements
from app.services.placement.assignment import Batch, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.telemetry import metrics
from app.worker import BatchPace, count_batch
from tests.builders import add_executors, add_pool, add_tasks

WRITE = "INSERT INTO tasks (pool_id) VALUES ($1) RETURNING created_at"
CLOCK = "SELECT clock_timestamp()"


@pytest.fixture
async def pool_id(database: Database) -> PoolId:
    return await add_pool(database)


async def place(database: Database, pool_id: PoolId) -> Batch:
    return await place_batch(database.hot, PoolSnapshot(pool_id), limit=1000, deliver=False)


async def write_slowly(database: Database, pool_id: PoolId) -> tuple[datetime, datetime]:
    """A task whose transaction stays open for a while; what its row says, and the clock just before its commit."""
    async with database.hot.acquire() as connection, connection.transaction():
        created_at = await connection.fetchval(WRITE, pool_id)
        await connection.execute("SELECT pg_sleep(0.05)")
        before_commit = await connection.fetchval(CLOCK)
    return created_at, before_commit


async def test_latency_begins_when_the_task_was_committed_not_when_its_statement_began(
    database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 1)
    created_at, before_commit = await write_slowly(database, pool_id)
    batch = await place(database, pool_id)
    [committed_at] = batch.task_committed_at.values()
    assert created_at < before_commit <= committed_at <= batch.decided_at <= batch.committed_at


async def test_the_histogram_and_the_key_figures_begin_at_that_commit_too(
    database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 1)
    created_at, before_commit = await write_slowly(database, pool_id)
    picture = PoolSnapshot(pool_id)
    batch = await place_batch(database.hot, picture, limit=1000, deliver=False)
    histogram = metrics.assignment_latency_seconds.labels(str(pool_id))
    had = histogram._sum.get()
    count_batch(picture, batch)
    most = (batch.committed_at - before_commit).total_seconds()
    assert 0 < histogram._sum.get() - had <= most < (batch.committed_at - created_at).total_seconds()
    async with database.hot.acquire() as connection:
        assert 0 < await connection.fetchval("SELECT latency_sum FROM kpi_hours WHERE assigned > 0") <= most


async def test_a_task_that_waited_counts_from_its_own_time_not_from_the_commit_that_woke_it(
    database: Database, pool_id: PoolId
) -> None:
    await add_tasks(database, pool_id, 1)
    await place(database, pool_id)
    await add_executors(database, pool_id, 1)
    async with database.hot.acquire() as connection:
        await connection.execute("UPDATE tasks SET wait_reason = NULL, wake_at = NULL")
        created_at = await connection.fetchval("SELECT created_at FROM tasks")
    assert list((await place(database, pool_id)).task_committed_at.values()) == [created_at]


async def test_a_task_that_was_counted_after_a_death_is_not_young_again(
    database: Database, pool_id: PoolId
) -> None:
    [task_id] = await add_tasks(database, pool_id, 1)
    async with database.hot.acquire() as connection:
        await connection.execute(statements.BEGIN_ATTEMPT, pool_id, 1, 1, [task_id])
        await connection.execute(statements.FORGIVE_ATTEMPT, pool_id, [task_id])
        [row] = await connection.fetch(statements.NEXT_TASKS, pool_id, 10)
    assert row["committed_at"] == row["created_at"]


async def test_tasks_of_many_commits_each_have_their_own(database: Database, pool_id: PoolId) -> None:
    async def write() -> None:
        async with database.hot.acquire() as connection:
            await connection.execute(WRITE, pool_id)

    await asyncio.gather(*(write() for _ in range(20)))
    async with database.hot.acquire() as connection:
        rows = await connection.fetch(statements.NEXT_TASKS, pool_id, 100)
        now = await connection.fetchval(CLOCK)
    assert len({row["committed_at"] for row in rows}) > 1
    assert all(row["created_at"] <= row["committed_at"] <= now for row in rows)


outcomes = st.one_of(
    st.tuples(st.floats(0, 10), st.booleans()),
    st.none(),  # a batch that failed
)


@given(most=st.integers(1, 10_000), limit=st.floats(0.001, 5), happened=st.lists(outcomes, max_size=60))
def test_a_batch_stays_between_one_and_the_most(
    most: int, limit: float, happened: list[tuple[float, bool] | None]
) -> None:
    pace = BatchPace(most, limit)
    for each in happened:
        before = pace.size
        if each is None:
            pace.failed()
            assert pace.size <= before
        else:
            seconds, full = each
            pace.succeeded(seconds, full=full)
            assert pace.size <= before or (full and seconds < limit / 2), "grew without need or without room"
            assert pace.size < before or before == 1 or seconds <= limit, "did not shrink although too long"
        assert 1 <= pace.size <= most


@given(
    most=st.integers(1, 10_000),
    per_task=st.floats(1e-6, 0.01),
    fixed=st.floats(0, 0.05),
    start=st.integers(1, 10_000),
)
def test_under_steady_load_a_batch_settles_within_its_time(
    most: int, per_task: float, fixed: float, start: int
) -> None:
    pace = BatchPace(most, 0.25, start)
    sizes = []
    for _ in range(40):
        pace.succeeded(fixed + per_task * pace.size, full=True)
        sizes.append(pace.size)
    settled = sizes[20:]
    assert len(set(settled)) == 1, f"it swings: {settled}"
    assert fixed + per_task * settled[0] <= 0.25
    assert settled[0] == most or fixed + 2 * per_task * settled[0] > 0.125, "it could be larger"


@given(size=st.integers(2, 10_000), idle=st.integers(1, 50))
def test_an_idle_pool_keeps_its_size_for_the_next_burst(size: int, idle: int) -> None:
    pace = BatchPace(10_000, 0.25, size)
    for _ in range(idle):
        pace.succeeded(0.001, full=False)
    assert pace.size == size


@given(failures=st.integers(1, 12), size=st.integers(1, 10_000))
def test_failures_shrink_a_batch_to_one_task_and_successes_bring_it_back(failures: int, size: int) -> None:
    pace = BatchPace(10_000, 0.25, size)
    for _ in range(failures):
        pace.failed()
    assert pace.size == max(1, size // 4**failures)
    for _ in range(14):
        pace.succeeded(0.01, full=True)
    assert pace.size == 10_000
