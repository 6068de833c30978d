"""What counts as received: a task counts for the person who has it or completed it, and for nobody else.

Taken back undone (declined, rejected, cancelled, reassigned) it counts for nobody, however far it had gone, and fair
shares are solved without it: by those who were present when it was given out.
"""

from datetime import UTC, datetime, timedelta

import pytest

from app.access.roles import Caller
from app.database import Database
from app.engine.types import ExecutorId
from app.services.audit.invariants import find_violations
from app.services.common.rows import days_of_pool
from app.services.fairness.fairness import DayStandings, get_standings
from app.services.fairness.fairness_watch import FairnessWatch
from app.services.pools.pools import change_pool, get_pool
from app.services.tasks.hand_over import hand_over
from app.services.tasks.moves import MoveName
from tests.lifecycle.team import Team

ROOT = Caller(name="tests", role="admin", pool_ids=None)
ENDS = (
    (MoveName.CANCEL,),
    (MoveName.REASSIGN,),
    (MoveName.REJECT,),
    (MoveName.DECLINE,),
    (MoveName.RETURN, MoveName.CANCEL),
    (MoveName.RETURN, MoveName.REASSIGN),
    (MoveName.RETURN, MoveName.RESUME, MoveName.CANCEL),
    (MoveName.RETURN, MoveName.RESUME, MoveName.REASSIGN),
    (MoveName.RETURN, MoveName.RESUME, MoveName.REJECT),
    (MoveName.RETURN, MoveName.RESUME, MoveName.RETURN, MoveName.CANCEL),
)


@pytest.fixture
async def team(database: Database) -> Team:
    return await Team.make(database)


async def standings(team: Team) -> DayStandings:
    now = datetime.now(UTC)
    async with team.database.session() as session:
        days = days_of_pool(await get_pool(session, pool_id=team.pool_id))
        return await get_standings(session, pool_id=team.pool_id, day=days.day_of(now), days=days)


async def shares(team: Team) -> dict[ExecutorId, tuple[float, float]]:
    """Received and fair share of each person."""
    found = (await standings(team)).standings
    return {i: (round(one.received, 3), round(one.fair, 3)) for i, one in found.items()}


async def counted(team: Team) -> dict[int, int]:
    rows = await team.database.hot.fetch(
        "SELECT executor_id, sum(assigned_count)::int AS n FROM executor_days GROUP BY 1"
    )
    return {row["executor_id"]: row["n"] for row in rows if row["n"]}


async def sound(team: Team) -> None:
    async with team.database.hot.acquire() as connection:
        assert await find_violations(connection) == []


@pytest.mark.parametrize("moves", ENDS, ids="-".join)
async def test_what_was_taken_back_counts_for_the_one_who_has_it_now(
    team: Team, moves: tuple[MoveName, ...]
) -> None:
    anna, boris = await team.person(["a"], 10), await team.person(["a"], 10, availability="break")
    [task] = await team.tasks(1)
    await team.work()
    await team.change(boris, availability="available")
    for move in moves:
        await team.move(task, move)
        await team.work()
        await sound(team)
    goes_on = moves[-1] in (MoveName.REASSIGN, MoveName.DECLINE)
    assert await counted(team) == ({boris: 1} if goes_on else {})
    assert sum(received for received, _ in (await shares(team)).values()) == (1 if goes_on else 0)
    level = "SELECT level_offset + window_weight FROM executor_loads WHERE executor_id = $1"
    assert await team.database.hot.fetchval(level, anna) == 0


async def test_rework_that_another_person_does_counts_for_them_alone(team: Team) -> None:
    anna, boris = await team.person(["a"], 10), await team.person(["a"], 10, availability="break")
    [task] = await team.tasks(1)
    await team.work()
    await team.move(task, MoveName.RETURN)
    await team.change(anna, active=False)
    await team.change(boris, availability="available")
    await team.move(task, MoveName.RESUME)
    await team.work()
    await sound(team)
    assert await team.of(boris) == {task}
    assert await counted(team) == {boris: 1}
    [follower] = await team.tasks(1)
    await team.change(anna, active=True)
    await team.work()
    assert await team.of(anna) == {follower}, "what was taken back is no work of hers"


async def test_completed_rework_counts_once(team: Team) -> None:
    anna = await team.person(["a"], 10)
    [task] = await team.tasks(1)
    await team.work()
    for move in (MoveName.RETURN, MoveName.RESUME, MoveName.START, MoveName.COMPLETE):
        await team.move(task, move)
        await team.work()
        await sound(team)
    assert await counted(team) == {anna: 1}


async def test_fair_shares_are_those_of_who_was_present_when_it_was_given(team: Team) -> None:
    """Anna alone received 6, then both 68; of the first 6 all are cancelled: 34 and 34 are right."""
    anna = await team.person(["a"], 10)
    boris = await team.person(["a"], 10, availability="break")
    first = await team.tasks(6)
    await team.work()
    await team.change(boris, availability="available")
    await team.tasks(68)
    await team.work()
    assert {fair for _, fair in (await shares(team)).values()} == {40, 34}
    for task in first:
        await team.move(task, MoveName.CANCEL)
    assert await shares(team) == {anna: (34, 34), boris: (34, 34)}
    await sound(team)


async def test_fair_shares_after_a_hand_over_are_those_of_who_stays(team: Team) -> None:
    anna, boris, clara = [await team.person(["a"], 10) for _ in range(3)]
    await team.tasks(30)
    await team.work()
    await team.change(anna, availability="break")
    await team.tasks(50)
    await team.work()
    await hand_over(team.database.hot, executor_id=anna, actor="tests", reason="ill", deliver=False)
    await team.work()
    await sound(team)
    found = await shares(team)
    assert found[boris] == found[clara] == (40, 40)
    assert found.get(anna, (0, 0)) == (0, 0), "who has none of the work is owed none of it"


async def test_who_comes_back_after_a_hand_over_is_neither_flooded_nor_alarmed_about(team: Team) -> None:
    """Levels are settled by fair shares when people come or go: what was handed over is owed to none."""
    async with team.database.session() as session:
        options = {"fairness": {"settle_seconds": 1}}
        await change_pool(session, pool_id=team.pool_id, changes=options, caller=ROOT)
    anna, boris, clara = [await team.person(["a"], 10) for _ in range(3)]
    watch, now = FairnessWatch(team.database), datetime.now(UTC)

    async def work(count: int) -> list[int]:
        nonlocal now
        made = await team.tasks(count)
        await team.work()
        now += timedelta(seconds=2)
        await watch.look(now)
        return [int(task) for task in made]

    await work(30)
    await team.change(anna, availability="break")
    await work(2)
    await hand_over(team.database.hot, executor_id=anna, actor="tests", reason="ill", deliver=False)
    await work(2)
    await team.change(anna, availability="available")
    await work(1)
    later = set(await work(9))
    given = {who: len(await team.of(who) & later) for who in (anna, boris, clara)}
    assert all(2 <= count <= 4 for count in given.values()), given
    assert (
        await team.database.hot.fetchval("SELECT count(*) FROM fairness_alerts WHERE executor_id IS NOT NULL")
        == 0
    )
    for who, (received, fair) in (await shares(team)).items():
        assert abs(received - fair) <= 1.5, who
