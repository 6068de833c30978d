"""Factors of rules multiply without end and counters do not; what was set aside and mended starts anew."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.database import Database
from app.engine.placement.allocate import place
from app.engine.types import TaskId
from app.services.audit.invariants import find_violations
from app.services.common.rows import task_of
from app.services.placement import sql as statements
from app.services.placement.poison import MOST
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.tasks.task_queries import change_task
from tests.lifecycle.team import SKILL, Team

ALL: dict[str, Any] = {"operator": "eq", "field": "task.parameters.skill", "value": "a"}
FACTORS = {"conditions": [SKILL], "task_weights": [{"condition": ALL, "weight": 1000.0}] * 2}


@pytest.fixture
async def team(database: Database) -> Team:
    return await Team.make(database)


async def test_a_product_of_factors_beyond_the_counters_is_bounded_in_preview_and_decision(
    team: Team,
) -> None:
    anna = await team.person(["a"], 10)
    await team.rules_of(FACTORS)
    tasks = await team.tasks(3, weight=1_000_000)
    async with team.database.hot.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            "SELECT epoch, config_epoch, clock_timestamp() AS now FROM pool_states WHERE pool_id = $1",
            team.pool_id,
        )
        assert row is not None
        state = await PoolSnapshot(team.pool_id).refresh(
            connection, epoch=row["epoch"], config_epoch=row["config_epoch"], now=row["now"]
        )
        rows = await connection.fetch(statements.NEXT_TASKS, team.pool_id, 10)
    previewed = {each.task_id: each.weight for each in place(state, [task_of(row) for row in rows]).decisions}
    await team.work()
    written = await team.database.hot.fetch("SELECT task_id, weight::float8 AS weight FROM assignments")
    assert (
        {row["task_id"]: row["weight"] for row in written} == previewed == dict.fromkeys(tasks, 1_000_000.0)
    )
    assert await team.of(anna) == set(tasks)
    async with team.database.hot.acquire() as connection:
        assert await find_violations(connection) == []


async def set_aside(team: Team) -> int:
    [task] = await team.tasks(1, "nobody has it")
    await team.database.hot.execute(
        "UPDATE tasks SET wait_reason = 'set_aside', wake_at = now() + interval '1 hour', attempts = $2 WHERE id = $1",
        task,
        MOST,
    )
    return int(task)


@pytest.mark.parametrize("mended", ["rules", "task"])
async def test_what_was_mended_is_not_set_aside_again_by_its_old_attempts(team: Team, mended: str) -> None:
    task = await set_aside(team)
    if mended == "rules":
        await team.rules(2)
    else:
        async with team.database.session() as session:
            await change_task(
                session,
                task_id=TaskId(task),
                changes={"parameters": {"skill": "b"}},
                actor="tests",
                now=datetime.now(UTC),
            )
    found = await team.database.hot.fetchrow("SELECT attempts, wait_reason FROM tasks WHERE id = $1", task)
    assert found is not None and (found["attempts"], found["wait_reason"]) == (0, None)
    await team.work()
    assert await team.database.hot.fetchval("SELECT wait_reason FROM tasks") == "no_one_eligible"
