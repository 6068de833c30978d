"""The memory of a worker has a bound, however many eligibility classes it has seen."""

import gc
from collections import deque
from types import FunctionType, ModuleType
from typing import Any

import pytest

from app.database import Database
from app.engine.placement import eligibility, scores, state
from app.engine.placement.eligibility import EligibilityClass
from app.rule_engine import compiled, keys
from app.services.audit.invariants import find_violations
from app.services.placement import pool_snapshot
from tests.engine.builders import a_pool, executors
from tests.lifecycle.team import Team

MOST = 60
"""Classes that may be kept in this test; a batch of the team holds 7."""
AGREE = {"name": "agree", "operator": "contains_all", "field": "executor.parameters.skills",
         "value": {"field": "task.parameters.needs"}}  # fmt: skip


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (eligibility, state, pool_snapshot):
        monkeypatch.setattr(module, "MAX_CLASSES", MOST)
    monkeypatch.setattr(scores, "_MOST_VIEWS", MOST)
    monkeypatch.setattr(keys, "MOST_REMEMBERED", MOST)
    monkeypatch.setattr(compiled, "MOST_BYTES", 0)


def within(root: object) -> list[Any]:
    """Everything that an object holds, directly or not; modules, classes and functions hold what is not its own."""
    seen, found, left = {id(root)}, [root], deque([root])
    while left:
        for each in gc.get_referents(left.popleft()):
            if id(each) not in seen and not isinstance(each, ModuleType | FunctionType | type):
                seen.add(id(each))
                found.append(each)
                left.append(each)
    return found


async def team_with_a_class_for_each_task(database: Database) -> Team:
    team = await Team.make(database)
    await database.hot.execute(
        "INSERT INTO parameters (pool_id, owner, key, type) VALUES ($1, 'task', 'needs', 'list')",
        team.pool_id,
    )
    await team.rules_of({"conditions": [AGREE]})
    await team.person([str(number) for number in range(300)], 10)
    await team.person([str(number) for number in range(150)], 10)
    return team


async def send(team: Team, first: int, count: int) -> None:
    for number in range(first, first + count):
        await team.database.hot.execute(
            "INSERT INTO tasks (pool_id, parameters) VALUES ($1, $2)", team.pool_id, {"needs": [str(number)]}
        )


@pytest.mark.usefixtures("small")
async def test_what_a_worker_keeps_of_classes_has_a_bound(database: Database) -> None:
    team = await team_with_a_class_for_each_task(database)
    await send(team, 0, 320)
    await team.work()
    held = within(team.picture)
    assert sum(isinstance(each, EligibilityClass) for each in held) <= 4 * MOST
    longest = max((len(each) for each in held if isinstance(each, dict | set | list | deque)), default=0)
    assert longest <= 300 + MOST, "the people's skills are the longest of what is kept"
    assert len(team.picture.class_ids) <= MOST + 7
    kept = await database.hot.fetchval("SELECT count(*) FROM class_snapshots")
    assert kept == 320


@pytest.mark.usefixtures("small")
async def test_a_class_that_was_forgotten_is_the_same_class_again(database: Database) -> None:
    team = await team_with_a_class_for_each_task(database)
    for _ in range(2):
        await send(team, 0, 100)
        await team.work()
    assert await database.hot.fetchval("SELECT count(*) FROM class_snapshots") == 100
    assert await database.hot.fetchval("SELECT count(DISTINCT class_id) FROM assignments") == 100
    async with database.hot.acquire() as connection:
        assert await find_violations(connection) == []


def test_classes_of_many_people_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eligibility, "MAX_BYTES", 10 * 50)
    pool = a_pool(executors(50))
    for number in range(100):
        pool.classes.meet(f"class {number}")
        assert len(pool.classes) <= 10
