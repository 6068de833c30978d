"""Reading ahead: what was read beside a batch is used only while it is what the next look would find."""

import pytest

from app.database import Database
from app.engine.types import PoolId
from app.services.common.pool_lock import raise_epoch
from app.services.placement import sql as statements
from app.services.placement.assignment import EpochMoved, Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from tests.builders import add_executors, add_pool, add_tasks
from tests.placement.test_worker import held, no_violations, statuses


@pytest.fixture
async def pool_id(database: Database) -> PoolId:
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 3)
    return pool_id


@pytest.fixture
def picture(pool_id: PoolId) -> PoolSnapshot:
    return PoolSnapshot(pool_id)


async def look(database: Database, picture: PoolSnapshot, *, limit: int = 10) -> Found:
    return (await place_batch(database.hot, picture, limit=limit, deliver=True)).found


async def change(database: Database, statement: str, *arguments: object) -> None:
    async with database.hot.acquire() as connection:
        await connection.execute(statement, *arguments)


async def test_a_backlog_is_placed_once_and_in_order(
    database: Database, pool_id: PoolId, picture: PoolSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = await add_tasks(database, pool_id, 45)
    assert await look(database, picture) is Found.WORK
    monkeypatch.setattr(
        statements, "NEXT_TASKS", "SELECT 1 / 0, $1::bigint, $2::bigint"
    )  # all was read ahead
    for _ in range(3):
        assert await look(database, picture) is Found.WORK
    async with database.hot.acquire() as connection:
        rows = await connection.fetch("SELECT task_id FROM assignments ORDER BY decided_at, id")
    assert [row["task_id"] for row in rows] == tasks[:40]
    monkeypatch.undo()
    assert await look(database, picture) is Found.WORK
    assert await look(database, picture) is Found.NOTHING
    assert sum((await held(database)).values()) == 45
    await no_violations(database)


async def test_what_was_read_ahead_is_read_anew_after_any_change_of_the_pool(
    database: Database, pool_id: PoolId, picture: PoolSnapshot
) -> None:
    tasks = await add_tasks(database, pool_id, 40)
    await look(database, picture)
    async with database.session() as session:
        await raise_epoch(session, pool_id)
        await session.commit()
    await change(database, "UPDATE tasks SET status = 'cancelled' WHERE id = $1", tasks[10])
    assert await look(database, picture) is Found.WORK
    assert await statuses(database) == {"assigned": 20, "pending": 19, "cancelled": 1}
    await no_violations(database)


async def test_a_task_that_changed_since_it_was_read_ahead_is_not_placed_as_it_was(
    database: Database, pool_id: PoolId, picture: PoolSnapshot
) -> None:
    tasks = await add_tasks(database, pool_id, 40)
    await look(database, picture)
    following = await picture.ahead.take()
    assert following is not None
    await change(database, "UPDATE tasks SET weight = 7 WHERE id = $1", tasks[12])

    async def take() -> object:
        return following

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture.ahead, "take", take)
        with pytest.raises(EpochMoved):
            await look(database, picture)
    assert await statuses(database) == {"assigned": 10, "pending": 30}
    while await look(database, picture) is Found.WORK:
        pass
    async with database.hot.acquire() as connection:
        weight = await connection.fetchval("SELECT weight FROM assignments WHERE task_id = $1", tasks[12])
    assert weight == 7
    await no_violations(database)


async def test_a_child_follows_its_parent_that_was_being_written_when_it_was_read(
    database: Database, pool_id: PoolId, picture: PoolSnapshot
) -> None:
    tasks = await add_tasks(database, pool_id, 30)
    for child, parent in zip(tasks[10:20], tasks[:10], strict=True):
        await change(database, "UPDATE tasks SET parent_id = $2 WHERE id = $1", child, parent)
    while await look(database, picture) is Found.WORK:
        pass
    async with database.hot.acquire() as connection:
        strayed = await connection.fetchval(
            "SELECT count(*) FROM tasks child JOIN tasks parent ON parent.id = child.parent_id"
            " WHERE child.executor_id <> parent.executor_id"
        )
    assert strayed == 0
    await no_violations(database)
