"""A task heavier than every limit has a reason of its own, an alert, and rules that make tasks so are refused."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.database import Database
from app.errors import Invalid
from app.services.rules.rule_checks import judge
from app.services.tasks.explanations import explain_task
from tests.lifecycle.team import SKILL, Team

HEAVY: dict[str, Any] = {
    "conditions": [SKILL],
    "task_weights": [
        {"condition": {"operator": "eq", "field": "task.parameters.sum", "value": 7}, "weight": 50.0}
    ],
}


@pytest.fixture
async def team(database: Database) -> Team:
    return await Team.make(database)


async def reason(team: Team, task: int) -> str | None:
    await team.work()
    return await team.database.hot.fetchval("SELECT wait_reason FROM tasks WHERE id = $1", task)


async def test_heavier_than_every_limit_is_a_reason_of_its_own(team: Team) -> None:
    anna = await team.person(["a"], 10, daily_limit=5)
    boris = await team.person(["a"], 10, daily_limit=3, availability="break")
    [heavy] = await team.tasks(1, weight=5.001)
    assert await reason(team, heavy) == "too_heavy"
    async with team.database.session() as session:
        told = await explain_task(session, task_id=heavy)
    assert told.explanation.record.reason == "too_heavy"
    [fits] = await team.tasks(1, weight=5)
    assert await reason(team, fits) is None
    [later] = await team.tasks(1, weight=4)
    assert await reason(team, later) == "all_at_limit", "tomorrow there is room for it"
    await team.change(anna, availability="break")
    [nobody] = await team.tasks(1, weight=4)
    assert await reason(team, nobody) == "nobody_on_shift"
    await team.change(boris, daily_limit=10, availability="available")
    assert await reason(team, heavy) is None, "a higher limit wakes it"


async def test_a_limit_of_nothing_or_none_is_no_weight_to_exceed(team: Team) -> None:
    await team.person(["a"], 10, daily_limit=0)
    [task] = await team.tasks(1)
    assert await reason(team, task) == "all_at_limit"
    await team.person(["a"], 10, max_open=0)
    [task] = await team.tasks(1, weight=1000)
    assert await reason(team, task) == "all_busy"


async def test_rules_that_make_work_heavier_than_every_limit_are_found_and_refused(team: Team) -> None:
    await team.person(["a"], 10, daily_limit=20)
    await team.tasks(3, total=7)
    await team.tasks(5, total=1)
    async with team.database.session() as session:
        verdict = await judge(session, pool_id=team.pool_id, document=HEAVY, now=datetime.now(UTC))
    [found] = [each for each in verdict.findings if each.code == "heavier_than_limits"]
    assert (found.path, dict(found.numbers)) == ("$.task_weights", {"tasks": 8, "too_heavy": 3})
    with pytest.raises(Invalid, match=r"rules\.task_weights: 3 of 8 recent tasks"):
        await team.rules_of(HEAVY)
    await team.person(["a"], 10)
    await team.rules_of(HEAVY)


async def test_work_that_is_too_heavy_by_itself_refuses_no_rules(team: Team) -> None:
    await team.person(["a"], 10, daily_limit=2)
    await team.tasks(1, weight=3)
    await team.rules_of(
        {"conditions": [SKILL], "task_weights": [{**HEAVY["task_weights"][0], "weight": 1.5}]}
    )
