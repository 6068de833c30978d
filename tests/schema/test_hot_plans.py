"""The plans of the hot statements: each reads an index, whatever the history behind it."""

import json
import re
from datetime import date
from typing import Any

import pytest

from app.config import Settings
from app.database import Database
from app.engine.types import PoolId
from app.services.placement import sql as statements
from app.services.waking.sql import WAKE_FOR
from tests.builders import add_executors, add_pool, add_tasks
from tests.servers import owner_of

HISTORY = """
INSERT INTO tasks (pool_id, external_id, status)
SELECT $1, 'old-' || number, 'completed' FROM generate_series(1, 20000) number
"""
DAYS = """
INSERT INTO executor_days (executor_id, business_day, pool_id)
SELECT id, current_date - number, $1 FROM executors, generate_series(0, 9) number WHERE pool_id = $1
"""
PLANS: dict[str, tuple[str, list[Any], set[str]]] = {
    "next tasks": (statements.NEXT_TASKS, [1000], {"ix_tasks_to_place_in_order"}),
    "next tasks, read ahead": (statements.READ_AHEAD, [1000, [1, 2]], {"ix_tasks_to_place_in_order"}),
    "waking for several": (WAKE_FOR, [[1, 2, 3], date(2026, 1, 1)], {"ix_tasks_parked_in_order", "pk_tasks"}),
    "waking for all": (WAKE_FOR, [None, date(2026, 1, 1)], {"ix_tasks_parked_in_order", "pk_tasks"}),
    "executors since an epoch": (statements.EXECUTORS, [10**9, None], {"ix_executors_pool_id_epoch"}),
}


@pytest.fixture
async def pool_id(database: Database, settings: Settings) -> PoolId:
    pool_id = await add_pool(database)
    await add_executors(database, pool_id, 300)
    async with database.hot.acquire() as connection:
        await connection.execute(HISTORY, pool_id, timeout=120)
        await connection.execute(DAYS, pool_id)
    await add_tasks(database, pool_id, 50)
    async with owner_of(settings) as connection:
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


async def test_nothing_that_a_batch_changes_of_a_load_is_indexed(database: Database) -> None:
    """So that PostgreSQL writes the row within its page, and no index."""
    async with database.hot.acquire() as connection:
        indexed = await connection.fetch("""
            SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
            WHERE indrelid = 'executor_loads'::regclass
            """)
    assert {row["attname"] for row in indexed} == {"executor_id", "pool_id"}


WRITES = {
    "intake": (statements.INSERT_TASKS.sql, {"pk_tasks"}),  # of the parent
    "decided batch": (statements.COMMIT_BATCH.sql, {"pk_tasks", "pk_executor_loads", "pk_executor_days"}),
}
"""Statements over arrays, with the indexes that they reach their rows by."""
ARRAYS = {"CTE Scan", "Function Scan"}


async def generic_plan(database: Database, statement: str) -> dict[str, Any]:
    """The plan that PostgreSQL makes once for any arguments and then keeps."""
    nulls = ", ".join(["NULL"] * max(int(number) for number in re.findall(r"\$(\d+)", statement)))
    async with database.hot.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE hot AS {statement}")
        told = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE hot({nulls})")
        await connection.execute("DEALLOCATE hot")
    plan: dict[str, Any] = json.loads(told)[0]["Plan"]
    return plan


def below(node: dict[str, Any]) -> list[dict[str, Any]]:
    """A node and all its inputs; CTEs stand apart from the joins that read them."""
    inputs = [each for each in node.get("Plans", []) if "Subplan Name" not in each]
    return [node, *(one for each in inputs for one in below(each))]


def everything(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(one for each in node.get("Plans", []) for one in everything(each))]


def is_long(node: dict[str, Any]) -> bool:
    """An array of the batch, or what a step made of one; the fence is one row, receivers are few."""
    return node["Node Type"] in ARRAYS and node.get("CTE Name") not in {"fence", "receiver"}


@pytest.mark.parametrize("name", WRITES)
async def test_no_array_of_a_batch_is_compared_with_another_row_by_row(
    database: Database, pool_id: PoolId, name: str
) -> None:
    statement, indexes = WRITES[name]
    nodes = everything(await generic_plan(database, statement))
    for join in (node for node in nodes if node["Node Type"] == "Nested Loop"):
        arrays = [node.get("Alias") for node in below(join) if is_long(node)]
        assert len(arrays) <= 1, f"{name} compares all of {arrays}: 1,000 x 1,000 in a batch of 1,000"
    assert {node.get("Index Name") for node in nodes} >= indexes
    assert ("Seq Scan", "tasks") not in {(node["Node Type"], node.get("Relation Name")) for node in nodes}
