"""`longest_idle` goes by the end of the last work, not by the last assignment."""

from datetime import UTC, datetime

import pytest

from app.access.roles import Caller
from app.database import Database
from app.services.pools.pools import change_pool
from app.services.tasks.explanations import explain_task
from app.services.tasks.moves import MoveName
from tests.lifecycle.team import Team

ROOT = Caller(name="tests", role="admin", pool_ids=None)


@pytest.fixture
async def team(database: Database) -> Team:
    team = await Team.make(database)
    async with database.session() as session:
        await change_pool(session, pool_id=team.pool_id, changes={"policy": "longest_idle"}, caller=ROOT)
    return team


async def given_to(team: Team, task: int) -> int:
    await team.work()
    return int(await team.database.hot.fetchval("SELECT executor_id FROM tasks WHERE id = $1", task))


@pytest.mark.parametrize("end", [MoveName.COMPLETE, MoveName.RETURN, MoveName.REJECT, MoveName.CANCEL])
async def test_who_ended_first_is_next_whoever_was_given_work_first(team: Team, end: MoveName) -> None:
    anna, boris = await team.person(["a"], 10), await team.person(["a"], 10)
    first, second = await team.tasks(2)
    assert [await given_to(team, task) for task in (first, second)] == [anna, boris]
    await team.move(second, end)
    await team.move(first, end)
    third, fourth = await team.tasks(2)
    assert [await given_to(team, task) for task in (third, fourth)] == [boris, anna]
    async with team.database.session() as session:
        told = await explain_task(session, task_id=third)
    assert told.explanation.ranking[0].executor_id == boris
    assert told.explanation.ranking[0].score < told.explanation.ranking[1].score
    assert told.explanation.ranking[0].score > datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1_000_000


async def test_open_work_is_no_idleness_however_long_ago_it_was_given(team: Team) -> None:
    anna, boris = await team.person(["a"], 10), await team.person(["a"], 10)
    _, second = await team.tasks(2)
    await team.work()
    for _ in range(3):
        await team.move(second, MoveName.COMPLETE)
        [second] = await team.tasks(1)
        assert await given_to(team, second) == boris, "Anna has had her task all the time"
    [more] = await team.tasks(1)
    assert await given_to(team, more) == anna, "of those with work, whose last one was given first"
