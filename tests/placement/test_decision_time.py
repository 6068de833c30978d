"""The time of a decision: never before the task was there, though the pool may have been taken before it came."""

import pytest

from app.database import Database
from app.services.placement import sql as statements
from app.services.placement.assignment import place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from tests.builders import add_executors, add_pool, add_tasks


async def test_a_task_that_came_after_the_pool_was_taken_is_not_decided_before_it_came(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = statements.TAKE_POOL.replace("clock_timestamp()", "clock_timestamp() - interval '2 seconds'")
    assert earlier != statements.TAKE_POOL
    monkeypatch.setattr(statements, "TAKE_POOL", earlier)
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 1)
    await add_tasks(database, pool_id, 3)
    await place_batch(database.hot, PoolSnapshot(pool_id), limit=10, deliver=False)
    early = """
    SELECT count(*) FILTER (WHERE one.decided_at < task.created_at), count(*)
    FROM assignments one JOIN tasks task ON task.id = one.task_id
    """
    async with database.hot.acquire() as connection:
        assert tuple(await connection.fetchrow(early)) == (0, 3)
