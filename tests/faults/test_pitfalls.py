"""PITFALLS 3 and 4: races neither flip nor double an assignee, and a burst never over- or undershoots a limit."""

import asyncio

from app.database import Database
from app.engine.types import PoolId, TaskId
from app.services.audit.invariants import find_violations
from app.services.placement.assignment import EpochMoved, Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.tasks.moves import Move, MoveName, move_tasks
from tests.builders import add_executors, add_pool, add_tasks

WORKERS = 4


async def _work(database: Database, pool_id: PoolId) -> None:
    """What a worker does until it finds nothing."""
    picture = PoolSnapshot(pool_id)
    while True:
        try:
            batch = await place_batch(database.hot, picture, limit=17, deliver=False)
        except EpochMoved:
            continue
        if batch.found is Found.NOTHING:
            return
        await asyncio.sleep(0)


async def test_pitfall_3_no_race_flips_or_doubles_an_assignee(database: Database) -> None:
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 5)
    tasks = await add_tasks(database, pool_id, 120)
    await asyncio.gather(*(_work(database, pool_id) for _ in range(WORKERS)))

    async def reassign(task_id: TaskId) -> None:
        move = Move(task_id, MoveName.REASSIGN, "a lead", "race")
        await move_tasks(database.hot, pool_id=pool_id, moves=[move], deliver=False)

    again = tasks[::3]
    await asyncio.gather(
        *(reassign(task_id) for task_id in again for _ in range(2)),
        *(_work(database, pool_id) for _ in range(WORKERS)),
    )
    await _work(database, pool_id)
    async with database.hot.acquire() as connection:
        rows = await connection.fetch("""
            SELECT task.id, task.status, count(held.id) AS made,
                   count(held.id) FILTER (WHERE held.released_at IS NULL) AS current,
                   (SELECT count(*) FROM task_events
                    WHERE task_id = task.id AND event = 'reassign' AND from_status = 'assigned') AS moved
            FROM tasks task JOIN assignments held ON held.task_id = task.id GROUP BY task.id
            """)
        assert await find_violations(connection) == []
    assert len(rows) == len(tasks)
    for row in rows:
        assert (row["status"], row["current"]) == ("assigned", 1)
        assert row["made"] == 1 + row["moved"], "somebody else's, and nobody said so"


async def test_pitfall_4_a_burst_fills_hard_limits_to_the_brim_and_never_over(database: Database) -> None:
    pool_id = await add_pool(database)
    by_day = await add_executors(database, pool_id, 3, daily_limit=40)
    by_slots = await add_executors(database, pool_id, 3, max_open=25)
    await add_tasks(database, pool_id, 1000)
    await asyncio.gather(*(_work(database, pool_id) for _ in range(WORKERS)))
    async with database.hot.acquire() as connection:
        rows = await connection.fetch(
            "SELECT executor_id, count(*) AS held FROM assignments WHERE released_at IS NULL GROUP BY executor_id"
        )
        assert await find_violations(connection) == []
    held = {row["executor_id"]: row["held"] for row in rows}
    assert held == {**dict.fromkeys(by_day, 40), **dict.fromkeys(by_slots, 25)}
