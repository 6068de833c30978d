"""Waking is exact: an event touches what it made room for and no more, and leaves nothing asleep that has room."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.access.roles import Caller
from app.database import Database
from app.services.executors.absences import NewAbsence, add_absence
from app.services.placement.assignment import place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.pools.pools import change_pool
from app.services.tasks.explanations import explain_task
from app.services.tasks.moves import MoveName
from app.services.tasks.task_queries import change_task
from app.services.waking import sql as waking_statements, waking
from app.services.waking.waking import Overlooked, wake_by_clock, wake_for
from tests.builders import add_executors, add_pool, add_tasks
from tests.lifecycle.team import Team


@pytest.fixture
async def team(database: Database) -> Team:
    return await Team.make(database)


async def test_who_comes_back_wakes_what_they_can_take_and_nothing_else(team: Team) -> None:
    anna = await team.person(["a"], 10, max_open=1, availability="break")
    await team.person(["a", "b", "c"], 10, max_open=0)
    first, *_ = [task for skill in "abc" for task in await team.tasks(60, skill)]
    await team.work()
    assert await team.touched(lambda: team.change(anna, availability="available")) == (1, 1)
    assert await team.of(anna) == {first}
    assert await team.touched(lambda: team.move(first, MoveName.COMPLETE)) == (
        1,
        2,
    ), "and who is free the next one"
    assert await team.in_vain() == []


async def test_who_is_new_wakes_one_of_each_class_and_what_they_have_room_for(team: Team) -> None:
    await team.person(["a", "b", "c"], 10, max_open=0)
    for skill in "abc":
        await team.tasks(50, skill)
    await team.work()
    woken, written = await team.touched(lambda: team.person(["b"], 10, max_open=4))
    assert (woken, written) == (3, 6), "three scouts, one of them placed, and three more that have room"
    assert await team.in_vain() == []


async def test_however_often_people_change_alike_tasks_wait_in_one_place(team: Team) -> None:
    for _ in range(4):
        for skill in "ab":
            await team.tasks(3, skill)
        await team.work()
        await team.person(["a", "b"], 10, max_open=0)
        await team.work()
    places = await team.database.hot.fetchval("SELECT count(DISTINCT wait_class_id) FROM tasks")
    assert places == 2, "one for each kind of task"
    woken, written = await team.touched(lambda: team.person(["a"], 10, max_open=2))
    assert (woken, written) == (2, 3)
    waiting = await team.database.hot.fetchval("SELECT max(id) FROM tasks WHERE wait_reason IS NOT NULL")
    async with team.database.session() as session:
        explained = await explain_task(session, task_id=waiting)
    assert len(explained.explanation.reasons) == 3, "the three who were there at its own last look"


async def test_a_value_that_nobody_had_tells_apart_what_was_alike(team: Team) -> None:
    await team.person(["a"], 1000, max_open=0)
    large = await team.tasks(5, total=600)
    small = await team.tasks(5, total=400)
    await team.work()
    ids = await team.database.hot.fetchval("SELECT count(DISTINCT wait_class_id) FROM tasks")
    assert ids == 1, "the rules could not tell them apart"
    anna = await team.person(["a"], 500)
    await team.work()
    assert (await team.of(anna), await team.in_vain()) == (set(small), [])
    boris = await team.person(["a"], 1000)
    await team.work()
    assert await team.of(boris) == set(large)


async def test_rules_wake_what_they_may_let_through(team: Team) -> None:
    await team.person(["a"], 1, max_open=None)
    for total in (5, 6):
        await team.tasks(40, total=total)
    await team.work()
    assert await team.touched(lambda: team.rules(2)) == (0, 0), "a preference says who is better, not who may"
    assert await team.touched(lambda: team.rules(3)) == (80, 80), "another condition makes other classes"
    woken, written = await team.touched(lambda: team.rules(1))
    assert (woken, written) == (1, 80), "a scout says that all of them can be placed"
    assert await team.in_vain() == []


async def test_a_condition_that_goes_wakes_one_of_each_class_and_what_has_room(team: Team) -> None:
    await team.person(["a"], 1, max_open=3)
    await team.tasks(40, total=5)
    await team.tasks(40, skill="b", total=6)
    await team.work()
    assert await team.touched(lambda: team.rules(1)) == (2, 4)
    assert await team.in_vain() == []


async def test_settings_that_make_no_room_wake_nothing(team: Team) -> None:
    await team.person(["a"], 10, max_open=0)
    await team.tasks(20)
    await team.work()
    local = Caller("local", "admin")
    for changes in ({"policy": "round_robin"}, {"theta": 0.5}, {"flow": {"offer_seconds": 60}}):

        async def change(changes: Any = changes) -> None:
            async with team.database.session() as session:
                await change_pool(session, pool_id=team.pool_id, changes=changes, caller=local)

        assert await team.touched(change) == (0, 0)


async def test_a_shift_that_begins_wakes_what_whoever_comes_can_take(team: Team) -> None:
    soon = datetime.now(UTC) + timedelta(days=30)
    anna = await team.person(["a"], 10, max_open=2)
    async with team.database.session() as session:
        now = datetime.now(UTC)
        away = NewAbsence(now - timedelta(hours=1), soon)
        await add_absence(session, executor_id=anna, absence=away, now=now)
    await team.tasks(30)
    await team.work()
    hot = team.database.hot
    await wake_by_clock(hot)
    edge = await hot.fetchval("SELECT wake_at FROM pool_states WHERE pool_id = $1", team.pool_id)
    assert edge is not None and edge > datetime.now(UTC), "the clock is set to the next edge"
    assert await team.touched(lambda: wake_by_clock(hot)) == (0, 0)
    await hot.execute("UPDATE executor_absences SET ends_at = now()")
    await hot.execute("UPDATE pool_states SET wake_at = now()")
    team.picture.forget()
    assert await team.touched(lambda: wake_by_clock(hot)) == (2, 2)
    assert len(await team.of(anna)) == 2


@pytest.mark.parametrize("people", [3, 9, 70], ids=["few", "many", "a crowd"])
async def test_a_shift_that_begins_for_several_wakes_a_task_for_each_of_them(team: Team, people: int) -> None:
    here = [await team.person(["a", "b"], 10, max_open=0) for _ in range(people)]
    first = [task for _ in range(people) for task in await team.tasks(1, "a")]
    await team.tasks(20, "b")
    await team.work()
    hot = team.database.hot
    await team.make_room(slots=1)

    async def all_of_them_are_free() -> None:
        async with hot.acquire() as connection, connection.transaction():
            await wake_for(connection, pool_id=team.pool_id, executor_ids=here)

    assert await team.touched(all_of_them_are_free) == (people, people)
    assert {task for who in here for task in await team.of(who)} == set(first), "in order"
    assert await team.in_vain() == []


async def test_who_can_do_little_is_woken_for_beside_who_can_do_much(team: Team) -> None:
    both, only_b = await team.person(["a", "b"], 10, max_open=0), await team.person(["b"], 10, max_open=0)
    [a] = await team.tasks(1, "a")
    [b] = await team.tasks(1, "b")
    await team.work()
    await team.make_room(slots=1)
    async with team.database.hot.acquire() as connection, connection.transaction():
        assert await wake_for(connection, pool_id=team.pool_id, executor_ids=[both, only_b]) == 2
    await team.work()
    assert (await team.of(both), await team.of(only_b)) == ({a}, {b})


async def test_in_a_crowd_nobody_is_overlooked_who_is_alone_in_what_they_can_do(team: Team) -> None:
    limits = {"max_open": 0, "daily_limit": 1}
    crowd = [await team.person(["a"], 10, **limits) for _ in range(69)]
    alone = await team.person(["b"], 10, max_open=0)
    before = await team.person(["c"], 10, max_open=1)
    other = await team.person(["c"], 10, max_open=0)
    [special], [returned] = await team.tasks(1, "b"), await team.tasks(1, "c")
    await team.tasks(80, "a", weight=5.0)
    [light] = await team.tasks(1, "a")
    await team.work()
    assert await team.of(before) == {returned}
    await team.move(returned, MoveName.REASSIGN)
    await team.work()
    await team.make_room(slots=1)
    async with team.database.hot.acquire() as connection, connection.transaction():
        assert await wake_for(connection, pool_id=team.pool_id, executor_ids=None) == 3
    await team.work()
    assert await team.of(alone) == {special}
    assert (await team.of(other), await team.of(before)) == ({returned}, set())
    given = [task for who in crowd for task in await team.of(who)]
    assert given == [light], "behind what nobody has room for"
    assert await team.in_vain() == []


@pytest.mark.parametrize("everybody", [False, True], ids=["who came", "everybody"])
async def test_somebody_with_a_little_room_stands_in_nobodys_way(team: Team, everybody: bool) -> None:
    little = await team.person(["a"], 10, daily_limit=1)
    much = await team.person(["a"], 10, max_open=0)
    heavy = await team.tasks(3, weight=5.0)
    await team.work()
    await team.make_room([much], slots=2)
    async with team.database.hot.acquire() as connection, connection.transaction():
        await wake_for(connection, pool_id=team.pool_id, executor_ids=None if everybody else [little, much])
    await team.work()
    assert await team.of(much) == set(heavy[:2])


async def test_a_light_task_behind_a_heavy_one_wakes_for_who_has_little_room(team: Team) -> None:
    little = await team.person(["a"], 10, daily_limit=1, max_open=0)
    much = await team.person(["a"], 10, max_open=0)
    [heavy], [light] = await team.tasks(1, weight=5.0), await team.tasks(1, weight=1.0)
    await team.work()
    await team.make_room(slots=1)
    async with team.database.hot.acquire() as connection, connection.transaction():
        assert await wake_for(connection, pool_id=team.pool_id, executor_ids=[little, much]) == 2
    await team.work()
    assert (await team.of(little), await team.of(much)) == ({light}, {heavy})


async def test_what_is_bound_to_somebody_wakes_with_them_whatever_their_limit(team: Team) -> None:
    anna = await team.person(["a"], 10, daily_limit=1)
    [parent] = await team.tasks(1)
    await team.work()
    assert await team.of(anna) == {parent}
    await team.change(anna, availability="break")
    [child, _] = [*await team.tasks(1, parent_id=parent), *await team.tasks(1)]
    await team.work()
    await team.change(anna, availability="available")
    await team.work()
    assert await team.of(anna) == {
        parent,
        child,
    }, "the child follows its parent, past the limit; the other waits"


async def test_reasons_become_true_again_by_and_by(team: Team) -> None:
    anna = await team.person(["a"], 10, max_open=0)
    tasks = await team.tasks(150)
    await team.work()
    await team.change(anna, availability="break")
    overlooked = Overlooked()
    for _ in range(3):
        assert await overlooked.wake(team.database.hot) == 0
        await team.work()
    reasons = await team.database.hot.fetch("SELECT wait_reason, count(*) AS count FROM tasks GROUP BY 1")
    assert [tuple(row) for row in reasons] == [("nobody_on_shift", len(tasks))]
    assert await team.touched(lambda: overlooked.wake(team.database.hot)) == (0, 0)


async def test_pitfall_15_a_change_re_evaluates_exactly_what_it_touches(team: Team) -> None:
    """A field of a waiting task changes, nothing is re-routed: here the task, and it alone, is looked at again."""
    anna = await team.person(["b"], 10)
    tasks = await team.tasks(20, "a")
    await team.work()

    async def change() -> None:
        async with team.database.session() as session:
            await change_task(
                session,
                task_id=tasks[7],
                changes={"parameters": {"skill": "b"}},
                actor="tests",
                now=datetime.now(UTC),
            )

    assert await team.touched(change) == (1, 1)
    assert (await team.of(anna), await team.in_vain()) == ({tasks[7]}, [])


def forget_the_scouts(patch: pytest.MonkeyPatch) -> None:
    asleep = waking_statements.WAKE_SCOUTS.replace("looked.checked_epoch < state.people_epoch", "false")
    assert asleep != waking_statements.WAKE_SCOUTS
    patch.setattr(waking_statements, "WAKE_SCOUTS", asleep)


def believe_that_all_values_are_known(patch: pytest.MonkeyPatch) -> None:
    async def known(*_: Any) -> bool:
        return True

    patch.setattr(waking, "_all_known", known)


def forget_what_classes_are_now(patch: pytest.MonkeyPatch) -> None:
    nothing = waking_statements.KEEP_CURRENT.replace(
        "current_id = nullif(seen.now_id, class.id)", "current_id = NULL"
    )
    assert nothing != waking_statements.KEEP_CURRENT
    patch.setattr(waking_statements, "KEEP_CURRENT", nothing)


@pytest.mark.parametrize(
    "plant", [forget_the_scouts, believe_that_all_values_are_known, forget_what_classes_are_now]
)
async def test_planted_defects_leave_something_asleep(
    team: Team, plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    await team.person(["a"], 1000, max_open=0)
    await team.tasks(5, total=600)
    await team.tasks(5, total=400)
    await team.work()
    plant(monkeypatch)
    await team.person(["a"], 500 if plant is believe_that_all_values_are_known else 1000, max_open=8)
    await team.work()
    assert await team.in_vain() != []


async def test_a_pool_of_plain_rows_is_woken_too(database: Database) -> None:
    """People written past the services, as a restored dump has them: the sweep finds what they can take."""
    pool_id = await add_pool(database, code="plain")
    await add_tasks(database, pool_id, 3)
    await place_batch(database.hot, PoolSnapshot(pool_id), limit=10, deliver=False)
    await add_executors(database, pool_id, 1)
    await database.hot.execute("UPDATE pool_states SET people_epoch = epoch")
    assert await Overlooked().wake(database.hot) == 1
    team = Team(database, pool_id, [])
    await team.work()
    assert await team.in_vain() == []
