"""The worker: each task once, within the limits, whoever crashes and however many there are."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from app.config import Settings
from app.database import Database
from app.doorbell.doorbell import GROUP, STREAM, RedisDoorbell, open_doorbell
from app.engine.types import ExecutorId, PoolId, TaskId
from app.services.audit.invariants import find_violations
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.tasks.moves import Move, MoveName, move_tasks
from app.worker import Worker
from tests.builders import add_executors, add_pool, add_tasks

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def pool_id(database: Database) -> PoolId:
    return await add_pool(database)


@pytest.fixture
async def running(settings: Settings, database: Database) -> AsyncIterator[Worker]:
    """A worker inside this process."""
    doorbell = open_doorbell(settings.redis_url)
    worker = Worker(settings, database, doorbell)
    task = asyncio.create_task(worker.run())
    yield worker
    worker.stop()
    await task
    await doorbell.close()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "the state did not come in time"
        await asyncio.sleep(0.01)


async def place(database: Database, pool_id: PoolId, *, limit: int = 1000) -> Counter[int]:
    """Place what is pending and say how many each executor holds."""
    picture = PoolSnapshot(pool_id)
    while (await place_batch(database.hot, picture, limit=limit, deliver=True)).found is Found.WORK:
        pass
    return await held(database)


async def held(database: Database) -> Counter[int]:
    async with database.hot.acquire() as connection:
        rows = await connection.fetch(
            "SELECT executor_id, count(*) FROM assignments WHERE released_at IS NULL GROUP BY 1"
        )
    return Counter({row["executor_id"]: row["count"] for row in rows})


async def statuses(database: Database) -> Counter[str]:
    async with database.hot.acquire() as connection:
        rows = await connection.fetch(
            "SELECT coalesce(wait_reason, status) AS status, count(*) FROM tasks GROUP BY 1"
        )
    return Counter({row["status"]: row["count"] for row in rows})


async def no_violations(database: Database) -> None:
    async with database.hot.acquire() as connection:
        assert await find_violations(connection) == []


@pytest.mark.parametrize("limit", [1000, 1])
async def test_pitfall_5_a_burst_onto_an_idle_team_spreads_as_evenly_as_one_by_one(
    database: Database, pool_id: PoolId, limit: int
) -> None:
    people = await add_executors(database, pool_id, 7)
    await add_tasks(database, pool_id, 1000 if limit > 1 else 30)
    loads = await place(database, pool_id, limit=limit)
    assert sorted(loads) == people
    assert max(loads.values()) - min(loads.values()) <= 1
    await no_violations(database)


async def test_pitfall_9_who_works_fast_gets_no_more_than_who_works_slowly(
    database: Database, pool_id: PoolId
) -> None:
    fast, slow = await add_executors(database, pool_id, 2)
    received: Counter[int] = Counter()
    for _ in range(10):
        await add_tasks(database, pool_id, 2)
        before = await held(database)
        received.update(await place(database, pool_id) - before)
        await complete_all(database, pool_id, fast)
    assert received == {fast: 10, slow: 10}
    await no_violations(database)


async def complete_all(database: Database, pool_id: PoolId, executor_id: ExecutorId) -> None:
    async with database.hot.acquire() as connection:
        rows = await connection.fetch(
            "SELECT id FROM tasks WHERE executor_id = $1 AND status = 'assigned'", executor_id
        )
    moves = [Move(TaskId(row["id"]), MoveName.COMPLETE, "test") for row in rows]
    await move_tasks(database.hot, pool_id=pool_id, moves=moves, deliver=False)


async def test_pitfall_10_work_is_shared_by_qualification(database: Database, pool_id: PoolId) -> None:
    [half] = await add_executors(database, pool_id, 1, qualification=0.5)
    [double] = await add_executors(database, pool_id, 1, qualification=2)
    await add_tasks(database, pool_id, 100)
    assert await place(database, pool_id) == {half: 20, double: 80}
    await no_violations(database)


async def test_daily_limit_and_max_open_are_never_passed(database: Database, pool_id: PoolId) -> None:
    await add_executors(database, pool_id, 1, daily_limit=3)
    await add_executors(database, pool_id, 1, max_open=2)
    await add_tasks(database, pool_id, 10)
    assert sorted((await place(database, pool_id)).values()) == [2, 3]
    assert await statuses(database) == {"assigned": 5, "all_busy": 5}
    await no_violations(database)


async def test_a_parked_task_names_its_reason(database: Database, pool_id: PoolId) -> None:
    await add_tasks(database, pool_id, 1)
    await place(database, pool_id)
    assert await statuses(database) == {"no_one_eligible": 1}


async def test_a_child_follows_its_parent_past_the_daily_limit(database: Database, pool_id: PoolId) -> None:
    await add_executors(database, pool_id, 3, daily_limit=1)
    [parent] = await add_tasks(database, pool_id, 1)
    async with database.hot.acquire() as connection:
        await connection.execute(
            "INSERT INTO tasks (pool_id, parent_id) SELECT $1, $2 FROM generate_series(1, 4)", pool_id, parent
        )
    assert list((await place(database, pool_id)).values()) == [5]
    await no_violations(database)


async def test_higher_priority_then_earlier_deadline_goes_first(database: Database, pool_id: PoolId) -> None:
    await add_executors(database, pool_id, 1, daily_limit=2)
    async with database.hot.acquire() as connection:
        await connection.execute(
            """
            INSERT INTO tasks (pool_id, external_id, priority, deadline)
            VALUES ($1, 'late', 1, now() + interval '2 day'), ($1, 'soon', 1, now() + interval '1 day'),
                   ($1, 'ordinary', 0, now()), ($1, 'urgent', 9, NULL)
            """,
            pool_id,
        )
    await place(database, pool_id, limit=1)
    async with database.hot.acquire() as connection:
        rows = await connection.fetch("SELECT external_id FROM tasks WHERE status = 'assigned'")
    assert {row["external_id"] for row in rows} == {"urgent", "soon"}


async def test_pitfall_6_absent_people_receive_nothing(database: Database, pool_id: PoolId) -> None:
    [here] = await add_executors(database, pool_id, 1)
    await add_executors(database, pool_id, 2, availability="break")
    await add_tasks(database, pool_id, 10)
    assert dict(await place(database, pool_id)) == {here: 10}


async def test_a_decision_on_an_old_epoch_writes_nothing(
    database: Database, pool_id: PoolId, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.services.placement import assignment, sql as statements

    await add_executors(database, pool_id, 1)
    await add_tasks(database, pool_id, 3)
    stale = statements.TAKE_POOL.replace("SELECT state.epoch,", "SELECT state.epoch - 1 AS epoch,")
    monkeypatch.setattr(statements, "TAKE_POOL", stale)
    with pytest.raises(assignment.EpochMoved):
        await place_batch(database.hot, PoolSnapshot(pool_id), limit=10, deliver=True)
    assert await statuses(database) == {"pending": 3}
    await no_violations(database)


async def test_the_picture_sees_what_another_worker_placed(database: Database, pool_id: PoolId) -> None:
    await add_executors(database, pool_id, 4)
    pictures = [PoolSnapshot(pool_id), PoolSnapshot(pool_id)]
    for turn in range(20):
        await add_tasks(database, pool_id, 3)
        await place_batch(database.hot, pictures[turn % 2], limit=100, deliver=True)
    assert sorted((await held(database)).values()) == [15, 15, 15, 15]
    await no_violations(database)


async def test_a_ring_is_answered_and_leaves_the_stream(
    running: Worker, settings: Settings, database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 2)
    await add_tasks(database, pool_id, 50)
    bell = RedisDoorbell(str(settings.redis_url))
    bell.ring(pool_id)
    await until(lambda: _all_assigned(database, 50))

    async def answered() -> bool:
        return bool(await bell._redis.xlen(STREAM) == 0)

    await until(answered)
    await bell.close()


async def test_work_that_nobody_rang_for_is_found_by_the_sweep(
    running: Worker, database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 2)
    await add_tasks(database, pool_id, 50)
    await until(lambda: _all_assigned(database, 50))


async def test_a_shift_that_begins_wakes_parked_work(
    running: Worker, database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 1)
    async with database.hot.acquire() as connection:
        await connection.execute("""
            INSERT INTO executor_absences (executor_id, starts_at, ends_at)
            SELECT id, now() - interval '1 hour', now() + interval '1 second' FROM executors
            """)
    await add_tasks(database, pool_id, 5)
    await until(lambda: _all_assigned(database, 5))
    await no_violations(database)


async def _all_assigned(database: Database, count: int) -> bool:
    return (await statuses(database))["assigned"] == count


@contextlib.contextmanager
def worker_process(
    settings: Settings, log: IO[bytes] | None = None, /, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`python app/worker.py`, as a user starts it; what it logs goes to `log`."""
    process = subprocess.Popen(
        [sys.executable, "app/worker.py"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url or "",
            "METRICS_PORT": "0",
            "LOG_LEVEL": "warning",
            **environment,
        },
        stderr=log,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_two_worker_processes_share_the_work_and_double_nothing(
    settings: Settings, database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 10, daily_limit=190)
    await add_tasks(database, pool_id, 2000)
    with worker_process(settings, WORKER_BATCH="20"), worker_process(settings, WORKER_BATCH="20"):
        await until(lambda: _nothing_to_look_at(database))
    assert await statuses(database) == {"assigned": 1900, "all_at_limit": 100}
    await no_violations(database)


async def _nothing_to_look_at(database: Database) -> bool:
    return (await statuses(database))["pending"] == 0


@pytest.mark.parametrize("point", ["locked", "decided", "before_commit", "after_commit"])
async def test_death_at_any_point_loses_and_doubles_nothing(
    settings: Settings, database: Database, pool_id: PoolId, point: str
) -> None:
    await add_executors(database, pool_id, 5)
    await add_tasks(database, pool_id, 100)
    with worker_process(settings, WORKER_BATCH="10", FAILPOINTS=f"{point}=exit@3") as dying:
        assert await asyncio.to_thread(dying.wait, 60) == 70
    with worker_process(settings):
        await until(lambda: _all_assigned(database, 100))
    await no_violations(database)


async def test_a_hung_worker_loses_the_pool_and_its_late_commit_is_refused(
    settings: Settings, database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 5)
    await add_tasks(database, pool_id, 100)
    with worker_process(settings, FAILPOINTS="before_commit=stop", WORKER_TRANSACTION_SECONDS="0.5") as hung:
        await until(lambda: _stopped(hung))
        with worker_process(settings):
            await until(lambda: _all_assigned(database, 100))
            hung.send_signal(signal.SIGCONT)
            await add_tasks(database, pool_id, 100)
            await until(lambda: _all_assigned(database, 200))
    await no_violations(database)


async def _stopped(process: subprocess.Popen[bytes]) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].startswith("T")


async def test_sigterm_finishes_the_batch_and_leaves_nothing_claimed(
    settings: Settings, database: Database, pool_id: PoolId
) -> None:
    await add_executors(database, pool_id, 5)
    await add_tasks(database, pool_id, 500)
    bell = RedisDoorbell(str(settings.redis_url))
    bell.ring(pool_id)
    with worker_process(settings, WORKER_BATCH="10") as worker:
        await until(lambda: _some_assigned(database))
        worker.terminate()
        assert await asyncio.to_thread(worker.wait, 60) == 0
    assert await bell._redis.xinfo_consumers(STREAM, GROUP) == []
    await place(database, pool_id)  # on a slow machine, tasks that nobody looks at are a violation by now
    assert (await statuses(database))["assigned"] == 500
    await no_violations(database)
    await bell.close()


async def _some_assigned(database: Database) -> bool:
    return (await statuses(database))["assigned"] > 0
