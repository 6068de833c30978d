"""Background loops: nothing ends one, no pool's failure skips the next, and what is not well is named."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from app.config import Settings
from app.database import Database
from app.doorbell.doorbell import open_doorbell
from app.engine.types import PoolId
from app.services.audit.doctor import State, Symptom, examine
from app.services.common.loop_reports import LoopReporter, read_reports
from app.services.common.loops import KEEPS_FAILING, Loops, Parts, unwell
from app.services.fairness.closed_days import Books
from app.services.fairness.fairness_watch import FairnessWatch
from app.services.tasks.housekeeping import Housekeeper
from app.worker import Worker
from tests.api.conftest import client_of
from tests.builders import add_executors, add_pool, add_tasks
from tests.lifecycle.conftest import until

ODD = [
    TypeError("a bad value"),
    KeyError("x"),
    RecursionError(),
    asyncio.CancelledError(),
    ExceptionGroup("several", [ValueError()]),
    asyncpg.PostgresError("?"),
    OSError("?"),
    MemoryError(),
    StopAsyncIteration(),
]


@pytest.mark.parametrize("error", ODD, ids=repr)
async def test_a_loop_goes_on_after_any_failure(error: BaseException) -> None:
    loops, rounds, well = Loops(), 0, asyncio.Event()

    async def step() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise error
        well.set()
        await asyncio.sleep(0)

    loops.start("odd", step)
    await asyncio.wait_for(well.wait(), 30)
    await loops.stop()
    assert rounds > 1


async def test_one_part_that_fails_skips_none_and_rests_longer_each_time() -> None:
    parts, done = Parts("each"), []

    async def work(part: int) -> None:
        if part == 2:
            raise TypeError(part)
        done.append(part)

    for _ in range(3):
        await parts.each([1, 2, 3], work)
    assert done == [1, 3] * 3
    [failing] = [health for health in parts.health() if health.failures]
    assert (failing.part, failing.failures) == ("2", 1), "it rests after its first failure"


async def test_what_keeps_failing_or_is_late_is_named_until_it_is_well(database: Database) -> None:
    await add_pool(database)
    loops, reporter = Loops(), LoopReporter(database.hot, "this process")
    fails, hangs = True, asyncio.Event()

    async def failing() -> None:
        await asyncio.sleep(0)
        if fails:
            raise TypeError("never so")

    loops.start("failing", failing)
    loops.start("hanging", hangs.wait, late_after=0.0)
    await until(lambda: _failing("failing"))
    await reporter.report()
    symptom = await background(database)
    assert symptom.state is State.BROKEN
    assert "failing failed" in symptom.found and "TypeError: never so" in symptom.found
    assert "hanging is late" in symptom.found
    fails = False
    await until(lambda: _well("failing"))
    await loops.stop()
    await reporter.report()
    assert (await background(database)).state is State.WELL


async def _failing(loop: str) -> bool:
    return any(health.loop == loop and health.failures >= KEEPS_FAILING for health in unwell())


async def _well(loop: str) -> bool:
    return not any(health.loop == loop for health in unwell())


async def background(database: Database) -> Symptom:
    async with database.hot.acquire() as connection:
        schema = await connection.fetchval("SELECT version_num FROM alembic_version")
    symptoms = await examine(database.hot, None, schema=schema, repair=False)
    return next(symptom for symptom in symptoms if symptom.name == "Background")


async def test_health_and_metrics_name_what_is_not_well(settings: Settings, database: Database) -> None:
    await add_pool(database)
    async with database.hot.acquire() as connection:
        await connection.execute(
            "INSERT INTO loop_reports (process, loop, part, failures, error) VALUES ('w', 'fairness', '7', 9, 'secret')"
        )
    async with client_of(settings) as client:
        health = (await client.get("/v1/health")).json()
        assert health["status"] == "degraded"
        assert health["parts"]["background"]["status"] == "down"
        assert "fairness (7) failed 9 times" in health["parts"]["background"]["detail"]
        assert "secret" not in str(health)
        assert (await client.get("/v1/health/ready")).status_code == 200
        metrics = (await client.get("/metrics")).text
        assert 'background_loops_unwell{loop="fairness",part="7"} 1.0' in metrics


BROKEN = (
    "UPDATE pools SET settings = '{\"fairness\": 5, \"flow\": 5}', timezone = 'Nowhere/Land' WHERE id = $1"
)


async def two_pools(database: Database) -> tuple[PoolId, PoolId]:
    """A pool of which nothing can be read, and one after it that is well."""
    broken = await add_pool(database, code="a")
    well = await add_pool(database, code="b")
    for pool_id in (broken, well):
        await add_executors(database, pool_id, 1)
    async with database.hot.acquire() as connection:
        await connection.execute(BROKEN, broken)
    return broken, well


async def test_the_fairness_watch_looks_at_the_others(database: Database) -> None:
    _, well = await two_pools(database)
    async with database.hot.acquire() as connection:
        await connection.execute("UPDATE pool_states SET epoch = epoch + 1")
        await connection.execute(
            "INSERT INTO executor_days (executor_id, business_day, pool_id, assigned_count, assigned_weight)"
            " SELECT id, current_date, pool_id, 1, 1 FROM executors WHERE pool_id = $1",
            well,
        )
    watch = FairnessWatch(database)
    await watch.look(datetime.now(UTC))
    async with database.hot.acquire() as connection:
        assert await connection.fetchval("SELECT array_agg(pool_id) FROM fairness_hours") == [well]


async def test_days_of_the_others_are_closed(database: Database) -> None:
    _, well = await two_pools(database)
    async with database.hot.acquire() as connection:
        await connection.execute(
            "INSERT INTO executor_days (executor_id, business_day, pool_id, assigned_count, assigned_weight)"
            " SELECT id, current_date - 3, pool_id, 1, 1 FROM executors"
        )
    assert await Books(database).close(now=datetime.now(UTC)) == 1
    async with database.hot.acquire() as connection:
        assert await connection.fetchval("SELECT array_agg(pool_id) FROM kpi_days") == [well]


async def test_the_clock_and_hand_overs_of_the_others_go_on(database: Database) -> None:
    _, well = await two_pools(database)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    async with database.hot.acquire() as connection:
        await connection.execute("UPDATE pool_states SET wake_at = $1", long_ago)
        await connection.execute(
            "INSERT INTO tasks (pool_id, status, wait_reason) SELECT id, 'pending', 'nobody_on_shift' FROM pools"
        )
        await connection.execute("UPDATE executors SET reassign_open_at = $1", long_ago)
        # The first one's hand-over fails in the database itself.
        await connection.execute("DELETE FROM pool_states WHERE pool_id <> $1", well)
    await Housekeeper(database.hot, deliver=False).look()
    async with database.hot.acquire() as connection:
        rows = await connection.fetch("SELECT pool_id FROM executors WHERE reassign_open_at IS NULL")
        woken = await connection.fetchval("SELECT wake_at > now() FROM pool_states WHERE pool_id = $1", well)
    assert well in {row["pool_id"] for row in rows} and woken


async def test_a_worker_outlives_a_loop_that_breaks_and_says_so(
    settings: Settings, database: Database
) -> None:
    """A pool whose stored rules cannot be compiled fails at each look; the others are served, and doctor names it."""
    broken, well = await two_pools(database)
    doorbell = open_doorbell(settings.redis_url)
    worker = Worker(settings, database, doorbell)
    task = asyncio.create_task(worker.run())
    try:
        await add_tasks(database, broken, 2)
        placed = await add_tasks(database, well, 2)
        await until(lambda: _all_assigned(database, placed))
        await until(lambda: _reported(database, "serve", str(broken)))
        assert (await background(database)).state is State.BROKEN
    finally:
        worker.stop()
        await task
        await doorbell.close()
    assert not await _reported(database, "serve", str(broken)), "a process that ends takes its reports back"


async def _all_assigned(database: Database, ids: list[Any]) -> bool:
    async with database.hot.acquire() as connection:
        count = await connection.fetchval(
            "SELECT count(*) FROM tasks WHERE id = ANY($1::bigint[]) AND status = 'assigned'", ids
        )
    return bool(count == len(ids))


async def _reported(database: Database, loop: str, part: str) -> bool:
    async with database.hot.acquire() as connection:
        reports = await read_reports(connection)
    return any((report.loop, report.part) == (loop, part) for report in reports)
