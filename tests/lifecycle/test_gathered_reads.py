"""Tasks that many requests ask for at once: each gets its own, and a failure is told to all who asked."""

import asyncio

import pytest
from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings
from app.database import Database
from app.engine.types import TaskId
from app.errors import NotFound
from app.services.tasks.gathered_reads import TaskReader
from tests.builders import add_pool, add_tasks
from tests.servers import owner_of


async def test_each_who_asks_at_once_gets_the_own_task_and_what_is_not_there_is_not_found(
    database: Database,
) -> None:
    ids = await add_tasks(database, await add_pool(database), 40)
    reader = TaskReader(database)
    asked = [*map(TaskId, ids), TaskId(10**9), *map(TaskId, ids)]
    found = await asyncio.gather(*map(reader.get_task, asked), return_exceptions=True)
    assert isinstance(found.pop(len(ids)), NotFound)
    assert [view.task.id for view in found if not isinstance(view, BaseException)] == [*ids, *ids]


async def test_what_was_committed_before_it_was_asked_for_is_read(database: Database) -> None:
    [task_id] = await add_tasks(database, await add_pool(database), 1)
    reader = TaskReader(database)

    async def changed(version: int) -> tuple[int, int]:
        await database.hot.execute("UPDATE tasks SET version = $2 WHERE id = $1", task_id, version)
        others = [asyncio.create_task(reader.get_task(TaskId(task_id))) for _ in range(5)]
        view = await reader.get_task(TaskId(task_id))
        await asyncio.gather(*others)
        return version, view.task.version

    versions = [await changed(version) for version in range(2, 12)]
    assert all(read >= sent for sent, read in versions)


async def test_a_read_that_fails_is_told_to_all_who_asked_and_to_nobody_after(
    settings: Settings, database: Database
) -> None:
    ids = await add_tasks(database, await add_pool(database), 3)
    reader = TaskReader(database)
    async with owner_of(settings) as owner:
        await owner.execute("ALTER TABLE assignments RENAME TO elsewhere")
        failed = await asyncio.gather(
            *(reader.get_task(TaskId(each)) for each in ids), return_exceptions=True
        )
        await owner.execute("ALTER TABLE elsewhere RENAME TO assignments")
    assert [type(error) for error in failed if not isinstance(error, SQLAlchemyError)] == []
    assert (await reader.get_task(TaskId(ids[0]))).task.id == ids[0]


async def test_one_who_leaves_takes_the_answer_from_nobody(database: Database) -> None:
    ids = await add_tasks(database, await add_pool(database), 2)
    reader = TaskReader(database)
    first, second = [asyncio.create_task(reader.get_task(TaskId(each))) for each in ids]
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).task.id == ids[1]
    with pytest.raises(asyncio.CancelledError):
        await first
