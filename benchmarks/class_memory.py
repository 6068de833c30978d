"""Memory of a worker over eligibility classes: it has a bound, however many classes it has ever seen.

Each task asks for two skills of 600, so that the rules tell nearly every task from every other: 150,000 classes. One
process decides them in batches of 500, as a worker does; its resident memory is read after each tenth. Before the
bound, a worker grew from 722 to 1,747 MB over these classes.
"""

import asyncio
import time
from datetime import UTC, datetime

import asyncpg
import psutil

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId, RuleSetId
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.rules.rules import activate_rule_set, create_rule_set
from benchmarks.results import Cell, Result, Table, Target
from benchmarks.system import running_servers

_SKILLS = 600
_PEOPLE = 300
_BATCH = 500
_MEGABYTE = 1024 * 1024
_RULES = {
    "conditions": [
        {
            "name": "skills",
            "operator": "contains_all",
            "field": "executor.parameters.skills",
            "value": {"field": "task.parameters.needs"},
        }
    ]
}
_FILL = """
WITH pool AS (INSERT INTO pools (code, name, timezone) VALUES ('default', 'default', 'UTC') RETURNING id),
state AS (INSERT INTO pool_states (pool_id) SELECT id FROM pool),
known AS (
    INSERT INTO parameters (pool_id, owner, key, type)
    SELECT id, owner, key, 'list' FROM pool, (VALUES ('task', 'needs'), ('executor', 'skills')) kind(owner, key)
), people AS (
    INSERT INTO executors (pool_id, name, parameters)
    SELECT pool.id, 'Executor ' || number, jsonb_build_object('skills', (
        SELECT jsonb_agg(skill::text) FROM generate_series(1, $1::int) skill WHERE number = 1 OR skill * number % 7 < 5
    ))
    FROM pool, generate_series(1, $2::int) number RETURNING id, pool_id
), loads AS (
    INSERT INTO executor_loads (executor_id, pool_id, window_start, business_day)
    SELECT id, pool_id, DATE '2000-01-01', DATE '2000-01-01' FROM people
)
SELECT id FROM pool
"""
_TASKS = """
INSERT INTO tasks (pool_id, parameters)
SELECT $1, jsonb_build_object('needs', jsonb_build_array(a::text, b::text))
FROM generate_series(1, $2::int) a, generate_series(1, $2::int) b WHERE a < b ORDER BY (a * 7919 + b * 104729) % 99991
LIMIT $3
"""


def run(*, short: bool) -> Result:
    """Decide them all in this process."""
    rows = asyncio.run(_measure(2_000 if short else 150_000))
    grown = float(rows[-1][1]) - float(rows[len(rows) // 2][1])
    return Result(
        "class_memory",
        "Memory over eligibility classes",
        __doc__ or "",
        tables=[Table("Resident memory of the deciding process", ["classes seen", "MB", "tasks/s"], rows)],
        targets=[
            Target("growth over the second half of the classes", "MB", round(grown, 1), 50, None, "lower")
        ],
    )


async def _measure(tasks: int) -> list[list[Cell]]:
    with running_servers() as system:
        settings = Settings(database_url=await system.fresh())
        database = await Database.open(settings)
        try:
            return await _decide(database, await _filled(database, settings.dsn, tasks), tasks)
        finally:
            await database.close()


async def _filled(database: Database, dsn: str, tasks: int) -> PoolId:
    """A pool with its rules, people and waiting tasks; returns its id."""
    connection = await asyncpg.connect(dsn)
    try:
        pool_id = PoolId(await connection.fetchval(_FILL, _SKILLS, _PEOPLE))
        await connection.execute(_TASKS, pool_id, _SKILLS, tasks)
    finally:
        await connection.close()
    async with database.session() as session:
        made = await create_rule_set(
            session, pool_id=pool_id, name="skills", document=_RULES, author="benchmark"
        )
        await activate_rule_set(session, rule_set_id=RuleSetId(made.id), now=datetime.now(UTC))
    return pool_id


async def _decide(database: Database, pool_id: PoolId, tasks: int) -> list[list[Cell]]:
    process, picture, rows = psutil.Process(), PoolSnapshot(pool_id), list[list[Cell]]()
    seen, said, started = 0, 0, time.perf_counter()
    while seen < tasks:
        batch = await place_batch(database.hot, picture, limit=_BATCH, deliver=False)
        if batch.found is not Found.WORK:
            raise RuntimeError(f"{tasks - seen} tasks were not found")
        seen += len(batch.decisions) + len(batch.waiting)
        if seen - said >= tasks // 10:
            memory = process.memory_info().rss / _MEGABYTE
            rows.append([seen, round(memory), round((seen - said) / (time.perf_counter() - started))])
            said, started = seen, time.perf_counter()
    return rows
