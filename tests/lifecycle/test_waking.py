"""Waking is exact: an event touches what it made room for and no more, and leaves nothing asleep that has room."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings as hypothesis_settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.access import Caller
from app.config import Settings
from app.database import Database
from app.engine.allocate import place
from app.engine.types import ExecutorId, PoolId, RuleSetId, TaskId
from app.services import statements, waking, waking_statements
from app.services.absences import NewAbsence, add_absence, remove_absence
from app.services.assignment import Found, place_batch
from app.services.executors import change_executor, create_executor
from app.services.explanations import explain_task
from app.services.intake import NewTask, write_tasks
from app.services.lifecycle import Move, MoveName, move_tasks
from app.services.picture import PoolPicture
from app.services.pools import change_pool
from app.services.rows import task_of
from app.services.rules import activate_rule_set, create_rule_set
from app.services.tasks import change_task
from app.services.waking import Overlooked, wake_by_clock
from tests.builders import add_executors, add_pool, add_tasks

EXAMPLES = int(os.environ.get("LIFECYCLE_EXAMPLES", "8"))
STEPS = int(os.environ.get("LIFECYCLE_STEPS", "20"))

SKILL = {"name": "skill", "operator": "contains", "field": "executor.parameters.skills",
         "value": {"field": "task.parameters.skill"}}  # fmt: skip
SUM = {"name": "sum", "operator": "gte", "field": "executor.parameters.max_sum",
       "value": {"field": "task.parameters.sum"}}  # fmt: skip
LICENCE = {"name": "licence", "operator": "eq", "field": "executor.parameters.licence", "value": True}
SENIOR = {"condition": {"operator": "gt", "field": "executor.qualification", "value": 1}, "weight": 2.0}
RULES = ({"conditions": [SKILL, SUM]}, {"conditions": [SKILL]}, {"conditions": [SKILL, SUM], "weights": [SENIOR]},
         {"conditions": [SKILL, SUM, LICENCE]})  # fmt: skip
PARAMETERS = (("executor", "skills", "list"), ("executor", "max_sum", "number"), ("executor", "licence", "boolean"),
              ("task", "skill", "string"), ("task", "sum", "number"))  # fmt: skip
PENDING = statements.NEXT_TASKS.replace("task.wait_reason IS NULL", "task.wait_reason IS NOT NULL")


class Team:
    """A pool with rules, and what happens in it; a worker of its own that works when told."""

    def __init__(self, database: Database, pool_id: PoolId, rule_sets: list[RuleSetId]) -> None:
        self.database, self.pool_id, self.rule_sets = database, pool_id, rule_sets
        self.picture = PoolPicture(pool_id)

    @classmethod
    async def make(cls, database: Database, code: str = "team") -> "Team":
        pool_id = await add_pool(database, code=code)
        for owner, key, kind in PARAMETERS:
            await database.hot.execute(
                "INSERT INTO parameters (pool_id, owner, key, type) VALUES ($1, $2, $3, $4)",
                pool_id,
                owner,
                key,
                kind,
            )
        made = []
        for number, document in enumerate(RULES):
            async with database.session() as session:
                rule_set = await create_rule_set(
                    session, pool_id=pool_id, name=f"rules {number}", document=document, author="tests"
                )
                made.append(RuleSetId(rule_set.id))
        team = cls(database, pool_id, made)
        await team.rules(0)
        return team

    async def rules(self, number: int) -> None:
        """Put one of RULES in force, again and again."""
        async with self.database.session() as session:
            again = await create_rule_set(
                session, pool_id=self.pool_id, name=f"rules {number}", document=RULES[number], author="tests"
            )
            await activate_rule_set(session, rule_set_id=RuleSetId(again.id), now=datetime.now(UTC))

    async def person(self, skills: list[str], max_sum: float, **fields: Any) -> ExecutorId:
        values = {"name": "Anna", "external_id": None, "active": True, "availability": "available",
                  "working_hours": None, "daily_limit": None, "max_open": None, "qualification": 1,
                  "parameters": {"skills": skills, "max_sum": max_sum, "licence": True}} | fields  # fmt: skip
        async with self.database.session() as session:
            view = await create_executor(session, pool_id=self.pool_id, values=values, now=datetime.now(UTC))
        return ExecutorId(view.executor.id)

    async def change(self, who: int, **changes: Any) -> None:
        async with self.database.session() as session:
            await change_executor(
                session, executor_id=ExecutorId(who), changes=changes, now=datetime.now(UTC)
            )

    async def tasks(self, count: int, skill: str = "a", total: float = 1.0, **fields: Any) -> list[TaskId]:
        tasks = [NewTask(self.pool_id, {"skill": skill, "sum": total}, **fields) for _ in range(count)]
        return [receipt.task_id for receipt in await write_tasks(self.database.hot, tasks)]  # type: ignore[union-attr]

    async def move(self, task: int, name: MoveName) -> None:
        await move_tasks(
            self.database.hot,
            pool_id=self.pool_id,
            moves=[Move(TaskId(task), name, "tests", "why")],
            deliver=False,
        )

    async def work(self) -> int:
        """Place whatever is awake; returns how many tasks were looked at."""
        looked = 0
        while True:
            batch = await place_batch(self.database.hot, self.picture, limit=7, deliver=False)
            if batch.found is not Found.WORK:
                return looked
            looked += len(batch.decisions) + len(batch.waiting)

    async def in_vain(self) -> list[TaskId]:
        """Parked tasks that a fresh engine would place now: asleep, and must not be."""
        async with self.database.hot.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "SELECT epoch, config_epoch, clock_timestamp() AS now FROM pool_states WHERE pool_id = $1",
                self.pool_id,
            )
            assert row is not None
            state = await PoolPicture(self.pool_id).refresh(
                connection, epoch=row["epoch"], config_epoch=row["config_epoch"], now=row["now"]
            )
            rows = await connection.fetch(PENDING, self.pool_id, 10_000)
        return [decision.task_id for decision in place(state, [task_of(row) for row in rows]).decisions]

    async def touched(self, event: Callable[[], Any]) -> tuple[int, int]:
        """How many waiting tasks an event wakes, and how many rows of tasks are written until all is placed."""
        before = await self._versions()
        await event()
        woken = await self.database.hot.fetchval(
            "SELECT count(*) FROM tasks WHERE status = 'pending' AND wait_reason IS NULL"
        )
        await self.work()
        after = await self._versions()
        return woken, sum(after[task] != version for task, version in before.items())

    async def _versions(self) -> dict[int, int]:
        rows = await self.database.hot.fetch("SELECT id, xmin::text::bigint AS xmin FROM tasks")
        return {row["id"]: row["xmin"] for row in rows}

    async def of(self, who: int) -> set[int]:
        rows = await self.database.hot.fetch(
            "SELECT id FROM tasks WHERE executor_id = $1 AND status = 'assigned'", who
        )
        return {row["id"] for row in rows}


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


# The same for whatever happens


class Waking(RuleBasedStateMachine):
    """Events in any order; after each, nothing sleeps that a fresh engine would place."""

    settings_of_run: Settings
    weights = (1.0,)
    net = False

    @initialize()
    def open_a_team(self) -> None:
        self.runner = asyncio.Runner()
        self.database = self.run(Database.open(self.settings_of_run))
        self.team = self.run(Team.make(self.database, f"t-{id(self)}-{datetime.now(UTC).timestamp():.6f}"))
        self.people: list[int] = []
        self.absences: dict[int, int] = {}

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.run(self.database.close())
            self.runner.close()

    @rule(
        count=st.integers(1, 4),
        skill=st.sampled_from("abc"),
        total=st.sampled_from([1, 4, 6, 9]),
        data=st.data(),
    )
    def tasks_come(self, count: int, skill: str, total: int, data: Any) -> None:
        weight = data.draw(st.sampled_from(self.weights))
        self.run(self.team.tasks(count, skill, total, weight=weight))

    @rule(
        skills=st.lists(st.sampled_from("abcd"), max_size=2, unique=True),
        max_sum=st.sampled_from([3, 5, 7, 10]),
        slots=st.sampled_from([None, 0, 1, 2]),
        limit=st.sampled_from([None, 1, 3]),
        licence=st.booleans(),
    )
    def somebody_comes(
        self, skills: list[str], max_sum: int, slots: int | None, limit: int | None, licence: bool
    ) -> None:
        parameters = {"skills": skills, "max_sum": max_sum, "licence": licence}
        self.people.append(
            self.run(self.team.person([], 0, parameters=parameters, max_open=slots, daily_limit=limit))
        )

    @precondition(lambda self: self.people)
    @rule(
        data=st.data(),
        changes=st.fixed_dictionaries(
            {},
            optional={
                "availability": st.sampled_from(["available", "break"]),
                "active": st.booleans(),
                "max_open": st.sampled_from([None, 0, 1, 3]),
                "daily_limit": st.sampled_from([None, 1, 2, 6]),
                "parameters": st.fixed_dictionaries(
                    {},
                    optional={
                        "skills": st.lists(st.sampled_from("abcd"), max_size=3, unique=True),
                        "max_sum": st.sampled_from([2, 3, 5, 8, 10]),
                        "licence": st.booleans(),
                    },
                ),
            },
        ),
    )
    def somebody_changes(self, data: Any, changes: dict[str, Any]) -> None:
        self.run(self.team.change(data.draw(st.sampled_from(self.people)), **changes))

    @precondition(lambda self: self.people)
    @rule(data=st.data())
    def somebody_is_away_or_back(self, data: Any) -> None:
        who = data.draw(st.sampled_from(self.people))
        self.run(self._away_or_back(who))

    async def _away_or_back(self, who: int) -> None:
        now = datetime.now(UTC)
        async with self.database.session() as session:
            if who in self.absences:
                known = self.absences.pop(who)
                await remove_absence(session, executor_id=ExecutorId(who), absence_id=known, now=now)
            else:
                away = NewAbsence(now - timedelta(hours=1), now + timedelta(days=9))
                row, _ = await add_absence(session, executor_id=ExecutorId(who), absence=away, now=now)
                self.absences[who] = row.id

    @rule(
        data=st.data(),
        name=st.sampled_from(["complete", "reject", "reassign", "return", "resume", "decline"]),
    )
    def a_task_moves(self, data: Any, name: str) -> None:
        rows = self.run(
            self.database.hot.fetch("SELECT id FROM tasks WHERE pool_id = $1 ORDER BY id", self.team.pool_id)
        )
        if rows:
            task = data.draw(st.sampled_from([row["id"] for row in rows]))
            self.run(self.team.move(task, MoveName(name)))

    @rule(number=st.integers(0, len(RULES) - 1))
    def other_rules_are_in_force(self, number: int) -> None:
        self.run(self.team.rules(number))

    @rule()
    def a_worker_starts_again(self) -> None:
        self.team.picture = PoolPicture(self.team.pool_id)

    @invariant()
    def nothing_sleeps_that_could_be_placed(self) -> None:
        if not hasattr(self, "team"):
            return
        self.run(self.team.work())
        if self.net:
            while self.run(Overlooked().wake(self.database.hot)):
                self.run(self.team.work())
            self.run(self.team.work())
        assert self.run(self.team.in_vain()) == []


def run_machine(machine: type[Waking], settings: Settings) -> None:
    class OnThisDatabase(machine):  # type: ignore[misc, valid-type]
        settings_of_run = settings

    run_state_machine_as_test(
        OnThisDatabase,
        settings=hypothesis_settings(
            max_examples=max(1, EXAMPLES // 2),
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_nothing_sleeps_that_could_be_placed_whatever_happens(settings: Settings) -> None:
    """By the events alone: no sweep helps."""
    run_machine(Waking, settings)


class OfAnyWeight(Waking):
    """Tasks of other weights than one: a heavy one may hide a light one that fits, until the next sweep."""

    weights = (0.5, 1.0, 2.0)
    net = True


def test_nothing_sleeps_longer_than_a_sweep_whatever_the_weights(settings: Settings) -> None:
    run_machine(OfAnyWeight, settings)


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
    await place_batch(database.hot, PoolPicture(pool_id), limit=10, deliver=False)
    await add_executors(database, pool_id, 1)
    await database.hot.execute("UPDATE pool_states SET people_epoch = epoch")
    assert await Overlooked().wake(database.hot) == 1
    team = Team(database, pool_id, [])
    await team.work()
    assert await team.in_vain() == []
