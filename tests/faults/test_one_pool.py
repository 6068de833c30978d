"""One pool that is held, broken, large or slow delays no other, and counts its classes however many there are."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.database import Database
from app.doorbell.doorbell import open_doorbell
from app.engine.types import PoolId, TaskId
from app.errors import Unavailable
from app.services.common.rows import days_of_pool
from app.services.fairness import fairness
from app.services.fairness.fairness import get_standings
from app.services.fairness.fairness_watch import FairnessWatch
from app.services.placement.assignment import place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.pools.pools import get_pool
from app.services.tasks import sql as statements
from app.services.tasks.moves import Lifecycle, Move, Moved, MoveName, apply_moves
from tests.builders import add_executors, add_pool, add_tasks

IN_TRANSACTION = """
SELECT query FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
"""


async def a_pool_at_work(database: Database, code: str, tasks: int = 3) -> tuple[PoolId, list[TaskId]]:
    pool_id = await add_pool(database, code=code)
    await add_executors(database, pool_id, 3)
    made = await add_tasks(database, pool_id, tasks)
    await place_batch(database.hot, PoolSnapshot(pool_id), limit=100, deliver=False)
    return pool_id, made


@pytest.fixture
async def lifecycle(database: Database) -> Any:
    doorbell = open_doorbell(None)
    moves = Lifecycle(database.hot, doorbell, deliver=False)
    moves.start()
    yield moves
    await moves.stop()
    await doorbell.close()


def complete(lifecycle: Lifecycle, task: TaskId) -> "asyncio.Task[Moved]":
    return asyncio.create_task(lifecycle.move(Move(task, MoveName.COMPLETE, "tests")))


async def test_moves_of_a_held_pool_hold_up_those_of_no_other(
    database: Database, lifecycle: Lifecycle
) -> None:
    held, tasks = await a_pool_at_work(database, "held")
    _, others = await a_pool_at_work(database, "free")
    async with database.hot.acquire() as connection, connection.transaction():
        await connection.execute(statements.RAISE_EPOCH, held)
        waiting = [complete(lifecycle, task) for task in tasks]
        done = [complete(lifecycle, task) for task in others]
        assert [moved.task_id for moved in await asyncio.gather(*done)] == others
        assert not any(each.done() for each in waiting)
    assert [moved.task_id for moved in await asyncio.gather(*waiting)] == tasks


async def test_moves_that_were_committed_are_never_answered_as_not_written(
    database: Database, lifecycle: Lifecycle
) -> None:
    broken, tasks = await a_pool_at_work(database, "broken")
    _, others = await a_pool_at_work(database, "sound")
    async with database.hot.acquire() as connection:
        await connection.execute(f"""
            RESET ROLE;
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '57014'; END$$;
            CREATE TRIGGER fails BEFORE UPDATE ON tasks FOR EACH ROW WHEN (OLD.pool_id = {broken})
                EXECUTE FUNCTION fail()
            """)
    # The broken pool stands first and last, so that whatever is gathered together holds both.
    asked = [*tasks[:2], *others, *tasks[2:]]
    answers = await asyncio.gather(*[complete(lifecycle, task) for task in asked], return_exceptions=True)
    by_task = dict(zip(asked, answers, strict=True))
    assert all(isinstance(by_task[task], Unavailable) for task in tasks)
    assert all(isinstance(by_task[task], Moved) for task in others)
    rows = await database.hot.fetch("SELECT id FROM tasks WHERE status = 'completed' ORDER BY id")
    assert [row["id"] for row in rows] == others


async def test_completions_of_many_people_are_as_many_statements_as_of_one(database: Database) -> None:
    async def statements_of(people: int) -> int:
        pool_id = await add_pool(database, code=f"of {people}")
        await add_executors(database, pool_id, people)
        tasks = await add_tasks(database, pool_id, people)
        await place_batch(database.hot, PoolSnapshot(pool_id), limit=100, deliver=False)
        seen: list[str] = []
        async with database.hot.acquire() as connection, connection.transaction():
            connection.add_query_logger(lambda record: seen.append(record.query))
            taken = await connection.fetchrow(statements.RAISE_EPOCH, pool_id)
            assert taken is not None
            moves = [Move(task, MoveName.COMPLETE, "tests") for task in tasks]
            outcomes = await apply_moves(
                connection,
                pool_id=pool_id,
                moves=moves,
                epoch=taken["epoch"],
                now=taken["now"],
                deliver=False,
            )
        assert all(isinstance(each, Moved) for each in outcomes)
        return len(seen)

    await statements_of(2)  # the driver asks for types once
    assert await statements_of(3) == await statements_of(60)


MANY = 33_000
MANY_CLASSES = """
WITH made AS (
    INSERT INTO class_snapshots (pool_id, digest, content)
    SELECT $1, 'many ' || number, jsonb_build_object('eligible', jsonb_build_array($2::bigint))
    FROM generate_series(1, $3::int) number RETURNING id
)
INSERT INTO class_hours (class_id, roster_id, hour, pool_id, placed_count, placed_weight)
SELECT id, (SELECT min(id) FROM rosters WHERE pool_id = $1), date_trunc('hour', now()), $1, 1, 0.001 FROM made
"""


async def test_a_day_of_more_classes_than_a_statement_has_arguments(database: Database) -> None:
    pool_id, _ = await a_pool_at_work(database, "many")
    other, _ = await a_pool_at_work(database, "other")
    async with database.hot.acquire() as connection:
        anna = await connection.fetchval("SELECT min(id) FROM executors WHERE pool_id = $1", pool_id)
        await connection.execute(MANY_CLASSES, pool_id, anna, MANY)
    watch = FairnessWatch(database)
    await watch.look(datetime.now(UTC))
    rows = await database.hot.fetch("SELECT DISTINCT pool_id FROM fairness_hours ORDER BY 1")
    assert [row["pool_id"] for row in rows] == [pool_id, other]
    async with database.session() as session:
        days = days_of_pool(await get_pool(session, pool_id=pool_id))
        now = datetime.now(UTC)
        found = await get_standings(session, pool_id=pool_id, day=days.day_of(now), days=days)
    assert sum(each.fair for each in found.standings.values()) == pytest.approx(3 + MANY / 1000)


async def test_what_is_fair_is_solved_in_no_transaction(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends a transaction that idles for 5 s, and days of large teams take longer to solve."""
    pool_id, _ = await a_pool_at_work(database, "slow")
    loop, real = asyncio.get_running_loop(), fairness.fair_share_of_spans
    open_then: list[Any] = []

    def look_and_solve(*arguments: Any) -> Any:
        asked = asyncio.run_coroutine_threadsafe(database.hot.fetch(IN_TRANSACTION), loop)
        open_then.append(asked.result(60))
        return real(*arguments)

    monkeypatch.setattr(fairness, "fair_share_of_spans", look_and_solve)
    await FairnessWatch(database).look(datetime.now(UTC))
    assert open_then and not any(open_then)
    assert await database.hot.fetchval("SELECT settled_at FROM pool_states WHERE pool_id = $1", pool_id)


async def test_a_pool_that_took_long_rests_and_the_others_are_looked_at(database: Database) -> None:
    slow, _ = await a_pool_at_work(database, "slow")
    quick, _ = await a_pool_at_work(database, "quick")
    watch = FairnessWatch(database)
    watch.heard(slow, 60.0)
    await watch.look(datetime.now(UTC) + timedelta(seconds=1))
    rows = await database.hot.fetch("SELECT pool_id FROM fairness_hours")
    assert [row["pool_id"] for row in rows] == [quick]
