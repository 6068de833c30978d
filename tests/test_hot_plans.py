"""The plans of the hot statements: each reads an index, whatever the history behind it."""

import json
from typing import Any

import pytest

from app.database import Database
from app.engine.types import PoolId
from app.services import statements
from tests.builders import add_executors, add_pool, add_tasks

HISTORY = """
INSERT INTO tasks (pool_id, external_id, status)
SELECT $1, 'old-' || number, 'completed' FROM generate_series(1, 20000) number
"""
PLANS: dict[str, tuple[str, list[Any], set[str]]] = {
    "next tasks": (statements.NEXT_TASKS, [1000], {"ix_tasks_to_place"}),
    "loads since an epoch": (statements.LOADS, [10**9], {"ix_executor_loads_pool_id_epoch"}),
    "executors since an epoch": (statements.EXECUTORS, [10**9, None], {"ix_executors_pool_id_epoch"}),
}


@pytest.fixture
async def pool_id(database: Database) -> PoolId:
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 300)
    async with database.hot.acquire() as connection:
        await connection.execute(HISTORY, pool_id)
    await add_tasks(database, pool_id, 50)
    async with database.hot.acquire() as connection:
        await connection.execute("ANALYZE")
    return pool_id


async def nodes(database: Database, statement: str, *arguments: Any) -> list[dict[str, Any]]:
    async with database.hot.acquire() as connection:
        told = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments))
    found, left = [], [told[0]["Plan"]]
    while left:
        node = left.pop()
        found.append(node)
        left += node.get("Plans", [])
    return found


@pytest.mark.parametrize("name", PLANS)
async def test_a_hot_statement_reads_its_index(database: Database, pool_id: PoolId, name: str) -> None:
    statement, arguments, indexes = PLANS[name]
    plan = await nodes(database, statement, pool_id, *arguments)
    assert {node.get("Index Name") for node in plan} >= indexes
    read = {(node["Node Type"], node.get("Relation Name")) for node in plan}
    assert ("Seq Scan", "tasks") not in read


async def test_known_external_ids_are_found_by_their_index(database: Database, pool_id: PoolId) -> None:
    plan = await nodes(database, statements.FIND_BY_EXTERNAL_ID, [pool_id] * 3, ["old-1", "old-2", "new"])
    assert "uq_tasks_home_external_id" in {node.get("Index Name") for node in plan}


async def test_the_backlog_is_counted_without_reading_history(database: Database, pool_id: PoolId) -> None:
    plan = await nodes(database, statements.BACKLOG, 100_000)
    read = [node for node in plan if node.get("Relation Name") == "tasks"]
    assert read
    assert all("Index Name" in node or node["Node Type"] == "Bitmap Heap Scan" for node in read)
