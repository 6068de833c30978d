"""The distribution of a day is read from folded figures, and says exactly what a count of all tasks would say."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event

from app.database import Database
from app.engine.calendar import business_day
from app.engine.types import PoolId, TaskId
from app.services.audit.archive import Files, archive_ended
from app.services.fairness.distribution import get_distribution
from app.services.intake.intake import NewTask, write_tasks
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.tasks.moves import Move, MoveName, move_tasks
from app.services.tasks.pool_transfer import move_on
from tests.builders import add_executors, add_pool
from tests.conftest import Figure

ZONES = ("Asia/Kathmandu", "America/St_Johns", "UTC")
MOVES = (
    MoveName.START, MoveName.COMPLETE, MoveName.REJECT, MoveName.RETURN, MoveName.RESUME, MoveName.CANCEL,
    MoveName.REASSIGN,
)  # fmt: skip

# What the figures replace: everything counted from the tasks and assignments themselves.
FROM_HISTORY = """
SELECT (SELECT count(*) FROM tasks
        WHERE coalesce(home_pool_id, pool_id) = $1 AND (created_at AT TIME ZONE $2)::date = $3) AS received,
       (SELECT count(*) FROM assignments
        WHERE pool_id = $1 AND (decided_at AT TIME ZONE $2)::date = $3 AND kind <> 'rework') AS assigned,
       (SELECT avg(extract(epoch FROM decided_at - CASE WHEN moved_at <= decided_at THEN moved_at
                                                        ELSE task.created_at END))::float8
        FROM assignments JOIN tasks task ON task.id = task_id
        WHERE assignments.pool_id = $1 AND (decided_at AT TIME ZONE $2)::date = $3
          AND kind IN ('primary', 'parent')) AS latency
"""
# All that happened so far happened whole hours earlier.
EARLIER = (
    """UPDATE tasks SET created_at = created_at - $1::interval, updated_at = updated_at - $1::interval,
       moved_at = moved_at - $1::interval, waiting_since = waiting_since - $1::interval""",
    "UPDATE assignments SET decided_at = decided_at - $1::interval",
    "UPDATE kpi_hours SET hour = hour - interval '1000 days'",  # hours do not meet on their way
    "UPDATE kpi_hours SET hour = hour + interval '1000 days' - $1::interval",
)
MOST_DAYS = 6


async def place(database: Database, pool_id: PoolId) -> None:
    picture = PoolSnapshot(pool_id)
    while (await place_batch(database.hot, picture, limit=20, deliver=False)).found is Found.WORK:
        pass


async def some_moves(database: Database, pool_id: PoolId, chance: random.Random) -> None:
    """Wishes of all kinds; those that a task's status forbids are refused."""
    async with database.hot.acquire() as connection:
        rows = await connection.fetch("SELECT id FROM tasks WHERE pool_id = $1 ORDER BY id", pool_id)
    moves = [
        Move(TaskId(row["id"]), chance.choice(MOVES), "somebody", "because")
        for row in chance.sample(list(rows), k=len(rows) * 2 // 3)
    ]
    await move_tasks(database.hot, pool_id=pool_id, moves=moves, deliver=False)


async def a_history(database: Database, pools: Sequence[PoolId], chance: random.Random) -> None:
    """Days of work: new tasks, decisions, moves of every kind, work that goes on to another pool."""
    for _ in range(4):
        for pool_id in pools:
            tasks = [NewTask(pool_id, weight=chance.choice([1.0, 2.5])) for _ in range(chance.randint(3, 15))]
            await write_tasks(database.hot, tasks)
            await place(database, pool_id)
            await some_moves(database, pool_id, chance)
            await place(database, pool_id)
        home, to = chance.sample(list(pools), k=2)
        await move_on(database.hot, pool_id=home, to=to, step=1, minutes=0)
        await place(database, to)
        hours = timedelta(hours=chance.randint(1, 30))
        async with database.hot.acquire() as connection, connection.transaction():
            for statement in EARLIER:
                await connection.execute(statement, *([hours] if "$1" in statement else []))


@pytest.mark.parametrize("seed", range(4))
async def test_each_day_is_what_a_count_of_its_tasks_would_say_and_stays_so_when_they_are_archived(
    database: Database, tmp_path: Path, figure: Figure, seed: int
) -> None:
    chance = random.Random(seed)
    pools = {await add_pool(database, code=zone, timezone=zone): ZoneInfo(zone) for zone in ZONES}
    for pool_id in pools:
        await add_executors(database, pool_id, 3, max_open=chance.randint(1, 4))
    await a_history(database, list(pools), chance)
    now = datetime.now(UTC)
    told = {}
    for pool_id, zone in pools.items():
        for back in range(MOST_DAYS):
            day = business_day(now, zone) - timedelta(days=back)
            async with database.session() as session:
                found = await get_distribution(session, pool_id=pool_id, now=now, day=day)
            counted = await database.hot.fetchrow(FROM_HISTORY, pool_id, zone.key, day)
            assert (found.total_tasks, found.assigned_tasks) == (counted["received"], counted["assigned"])
            # The figures begin at the commit, the count at the statement before it; waits here are hours.
            assert found.avg_latency == pytest.approx(counted["latency"], abs=60)
            told[pool_id, day] = found
    everything = await database.hot.fetchrow(
        "SELECT count(*) AS tasks, count(moved_at) AS moved, count(DISTINCT status) AS statuses FROM tasks"
    )
    assert sum(found.total_tasks for found in told.values()) == everything["tasks"]
    assert everything["statuses"] >= 4
    figure("days compared with a count from tasks", len(told))
    figure("tasks in them that went to another pool", everything["moved"])

    await database.hot.execute("UPDATE outbox SET delivered_at = now()")
    archived = [count async for count in archive_ended(database.hot, Files(tmp_path / "a"), before=now)]
    assert sum(archived) > 0
    for (pool_id, day), before in told.items():
        async with database.session() as session:
            after = await get_distribution(session, pool_id=pool_id, now=now, day=day)
        assert (after.total_tasks, after.assigned_tasks) == (before.total_tasks, before.assigned_tasks)
        assert (after.avg_latency, after.mae) == (before.avg_latency, before.mae)


async def test_history_is_not_read(database: Database) -> None:
    """Row 1 of the issue: of tasks only those that wait now are counted, by their own small index."""
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 2)
    await write_tasks(database.hot, [NewTask(pool_id)] * 5)
    await place(database, pool_id)
    asked: list[str] = []
    event.listen(
        database.engine.sync_engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *rest: asked.append(statement),
    )
    async with database.session() as session:
        found = await get_distribution(session, pool_id=pool_id, now=datetime.now(UTC))
    assert (found.total_tasks, found.assigned_tasks, found.waiting_tasks) == (5, 5, 0)
    assert any("kpi_hours" in statement for statement in asked)
    assert not any(name in statement for statement in asked for name in ("FROM assignments", "task_events"))
    [of_tasks] = [statement for statement in asked if "FROM tasks" in statement]
    assert "tasks.status =" in of_tasks and "tasks.wait_reason IS NOT NULL" in of_tasks
