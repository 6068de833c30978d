"""What a process remembers and forgets: a read that began before a change must not outlive it."""

import asyncio

import pytest

from app.database import Database
from app.engine.types import PoolId
from app.services.placement.assignment import place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.pools.directory import PoolDirectory
from app.services.tasks.misplaced import MisplacedCounts
from app.utils.remembered import Remembered
from tests.builders import add_executors, add_pool, add_tasks
from tests.lifecycle.conftest import until


async def test_a_read_under_way_when_its_value_changes_is_not_kept() -> None:
    value, may_go_on = 1, asyncio.Event()

    async def read() -> int:
        seen = value
        await may_go_on.wait()
        return seen

    remembered: Remembered[str, int] = Remembered(3600)
    early = asyncio.create_task(remembered.get("key", read))
    await asyncio.sleep(0)
    value = 2
    remembered.clear()
    may_go_on.set()
    assert await early == 1, "a question from before the change may get what was before"
    assert await remembered.get("key", read) == 2
    value = 3
    assert await remembered.get("key", read) == 2, "kept until it is forgotten"
    remembered.forget(lambda key: key == "other")
    assert await remembered.get("key", read) == 2
    remembered.forget(lambda key: key == "key")
    assert await remembered.get("key", read) == 3


@pytest.fixture
async def pool_id(database: Database) -> PoolId:
    return await add_pool(database)


_WAITING = """
SELECT count(*) FROM pg_locks
WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def is_waiting(database: Database) -> bool:
    """Whether a statement waits for a lock."""
    async with database.hot.acquire() as connection:
        return bool(await connection.fetchval(_WAITING))


async def test_a_pool_that_is_changed_while_the_directory_reads_is_read_again(
    database: Database, pool_id: PoolId
) -> None:
    directory = PoolDirectory(database.hot, "default")
    async with database.hot.acquire() as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("LOCK TABLE parameters IN ACCESS EXCLUSIVE MODE")
        early = asyncio.create_task(directory.get(pool_id))
        await until(lambda: is_waiting(database))
        async with database.hot.acquire() as other:
            await other.execute("UPDATE pools SET active = false")
            await other.execute("UPDATE pool_states SET config_epoch = config_epoch + 1")
        directory.forget()
        late = asyncio.create_task(directory.get(pool_id))
        await transaction.rollback()
    assert (await early).active
    assert not (await late).active, "asked after the change, while a read from before was under way"
    assert not (await directory.get(pool_id)).active


async def test_work_that_is_moved_while_misplaced_work_is_counted_is_counted_again(
    database: Database, pool_id: PoolId
) -> None:
    [executor_id] = await add_executors(database, pool_id, 1)
    await add_tasks(database, pool_id, 1)
    await place_batch(database.hot, PoolSnapshot(pool_id), limit=10, deliver=False)
    async with database.hot.acquire() as connection:
        await connection.execute("UPDATE executors SET active = false WHERE id = $1", executor_id)
    counts = MisplacedCounts(database.hot)
    async with database.hot.acquire() as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("LOCK TABLE rule_sets IN ACCESS EXCLUSIVE MODE")
        early = asyncio.create_task(counts.count(pool_id))
        await until(lambda: is_waiting(database))
        async with database.hot.acquire() as other:
            await other.execute("UPDATE tasks SET status = 'completed'")
        counts.forget(pool_id)
        await transaction.rollback()
    assert await early == 1
    assert await counts.count(pool_id) == 0
