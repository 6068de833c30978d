"""A pool lives: people join, leave, take breaks, finish and give back work, limits and rules change, room is kept.

After every step the engine carries the same loads, makes the same decisions and can explain them like the plain
reference does; whatever it keeps between batches is never out of date.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from app.engine.matrix import MatrixRules
from app.engine.placement.allocate import Decision, place, preview
from app.engine.placement.decision_log import ROUTED, picture_at
from app.engine.placement.explain import Record, explain
from app.engine.placement.reserve_draw import Mix, Reserve
from app.engine.placement.settle import settle
from app.engine.placement.state import PoolSettings, PoolState
from app.engine.types import Executor, ExecutorId, Load, Policy, TaskId
from tests.engine.reference import Person, Reference
from tests.engine.worlds import ACTIVITIES, CAPACITY, task

IDS = list(range(1, 9))
TASKS = st.lists(task(IDS), min_size=1, max_size=6)
MATRIX = st.fixed_dictionaries(
    {activity: st.frozensets(st.sampled_from([ExecutorId(i) for i in IDS])) for activity in ACTIVITIES}
)
CAME = st.dictionaries(st.sampled_from(ACTIVITIES), st.sampled_from((70, 300)), min_size=2)
LIKINGS = st.dictionaries(st.sampled_from(ACTIVITIES), st.just({ExecutorId(i): 2.0 for i in IDS[::2]}))


class PoolLife(RuleBasedStateMachine):
    """The engine beside the reference."""

    people = Bundle("people")

    @initialize(allowed=MATRIX, preferred=LIKINGS, policy=st.sampled_from(Policy))
    def open_the_pool(self, allowed: Any, preferred: Any, policy: Policy) -> None:
        self.settings = PoolSettings(policy=policy, day_load=7.0)
        self.state = PoolState(MatrixRules(allowed, preferred=preferred), self.settings, version="1")
        self.model = Reference(MatrixRules(allowed, preferred=preferred), self.settings)
        self.reserve = Reserve()
        self.made: list[Decision] = []
        self.frames: list[dict[str, Any]] = []
        self.number = 0
        self.tasks = 0

    def _put(self, executor: Executor) -> None:
        """Into both; the reference's rules are told of everybody."""
        self.state.upsert([executor])
        known = self.model.people.get(executor.id)
        if known is None:
            self.model.people[executor.id] = Person(executor)
        same = known is not None and replace(known.executor, available=True, active=True) == replace(
            executor, available=True, active=True
        )
        self.model.people[executor.id].executor = executor
        roster = [person.executor for person in self.model.people.values()]
        self.model.rules.update(range(len(roster)), roster)
        if not same:
            self.model.people_changed()

    def _come(self, executor: Executor) -> None:
        """Somebody comes (back): in level with those who are here."""
        self._put(replace(executor, available=False))
        level = self.state.join_levels([executor.id])[executor.id]
        load = self.state.load_of(executor.id)
        assert level >= load.level
        self._put(replace(executor, available=True))
        self._set_load(executor.id, replace(load, level=level))

    def _set_load(self, executor_id: ExecutorId, load: Load) -> None:
        self.state.update_loads({executor_id: load})
        person = self.model.people[executor_id]
        person.level, person.used = round(load.level * 1000), round(load.used * 1000)
        person.open, person.last, person.ended = load.open, load.last_assigned, load.last_ended

    @rule(target=people, number=st.sampled_from(IDS), capacity=st.sampled_from(CAPACITY))
    def somebody_joins(self, number: int, capacity: dict[str, Any]) -> Any:
        if ExecutorId(number) in self.model.people:
            return multiple()
        self._come(Executor(ExecutorId(number), **capacity))
        return ExecutorId(number)

    @rule(who=people)
    def somebody_takes_a_break_or_returns(self, who: ExecutorId) -> None:
        executor = self.model.people[who].executor
        if executor.available:
            self._put(replace(executor, available=False))
        else:
            self._come(executor)

    @rule(who=people)
    def somebody_leaves_or_is_hired_again(self, who: ExecutorId) -> None:
        executor = self.model.people[who].executor
        self._put(replace(executor, active=not executor.active))

    @rule(who=people, capacity=st.sampled_from(CAPACITY))
    def capacity_changes(self, who: ExecutorId, capacity: dict[str, Any]) -> None:
        self._put(replace(self.model.people[who].executor, **capacity))

    @rule(who=people)
    def a_task_is_completed(self, who: ExecutorId) -> None:
        load = self.state.load_of(who)
        if load.open:
            self._set_load(who, replace(load, open=load.open - 1))

    @rule(who=people)
    def a_task_is_given_back_undone(self, who: ExecutorId) -> None:
        load = self.state.load_of(who)
        if load.open and load.level >= 1 and load.used >= 1:
            self._set_load(who, replace(load, open=load.open - 1, level=load.level - 1, used=load.used - 1))

    @rule(allowed=MATRIX, preferred=LIKINGS)
    def other_rules_come_into_force(self, allowed: Any, preferred: Any) -> None:
        self.number += 1
        self.state.set_rules(MatrixRules(allowed, preferred=preferred), version=f"rules {self.number}")
        self.model.rules = MatrixRules(allowed, preferred=preferred)
        self.model.rules.update(
            range(len(self.model.people)), [p.executor for p in self.model.people.values()]
        )
        self.model.sets.clear()

    @rule(owed=st.dictionaries(st.sampled_from([ExecutorId(i) for i in IDS]), st.integers(-3, 3)))
    def accounts_are_settled(self, owed: dict[ExecutorId, int]) -> None:
        settle(self.state, owed, 1.0)
        for executor_id, person in self.model.people.items():
            person.level = round(self.state.load_of(executor_id).level * 1000)
            assert person.level >= 0

    @rule(theta=st.sampled_from((0.0, 0.05, 2.0)))
    def settings_change(self, theta: float) -> None:
        self.settings = replace(self.settings, theta=theta)
        self.state.settings = self.model.settings = self.settings

    @rule(batch=TASKS, came=CAME)
    def a_batch_is_placed_on_a_day_that_has_brought_much(
        self, batch: list[Any], came: dict[str, int]
    ) -> None:
        mixes = []
        for activity, count in came.items():
            self.model.meet(activity)
            mixes.append(Mix(self.state.classes.meet(activity).eligible, count, count))
        self.reserve = Reserve()
        self.reserve.begin(self.state, mixes)
        self.a_batch_is_placed(batch)

    @rule(batch=TASKS)
    def a_batch_is_placed(self, batch: list[Any]) -> None:
        self.number += 1
        numbered = [replace(one, id=TaskId(self.tasks + k)) for k, one in enumerate(batch, 1)]
        self.tasks += len(batch)
        self.state.outlook = outlook = self.reserve.outlook_for(self.state, len(numbered))
        self.model.held = {i: outlook.held_of(i) for i in self.model.people} if outlook else {}
        self.state.trail.begin(self.state, self.number)
        outcome = place(self.state, numbered)
        self.reserve.note(self.state, outcome.decisions)
        self.frames.append(json.loads(json.dumps(self.state.trail.end())))
        expected = self.model.place(numbered)
        assert [(d.task_id, d.executor_id, d.kind) for d in outcome.decisions] == [
            e for e in expected if e[1]
        ]
        assert {w.task_id: w.reason for w in outcome.waiting} == {
            e[0]: e[2] for e in expected if e[1] is None
        }
        for decision in outcome.decisions:
            self._explains(decision)
        self.made += outcome.decisions

    def _explains(self, decision: Decision) -> None:
        chain = [frame for frame in self.frames if frame["start"] == self.frames[-1]["start"]]
        content = json.loads(json.dumps(self.state.snapshot(decision.class_digest).content))
        told = explain(Record.of(decision), content, picture_at(chain, decision.step))
        if decision.kind in ROUTED:
            assert told.ranking[0].executor_id == decision.executor_id
            assert told.ranking[0].level == decision.level_before

    @rule(one=task(IDS))
    def a_preview_changes_nothing(self, one: Any) -> None:
        loads = [self.state.load_of(executor.id) for executor in self.state.executors]
        preview(self.state, replace(one, id=TaskId(10**6)))
        assert [self.state.load_of(executor.id) for executor in self.state.executors] == loads

    @invariant()
    def loads_are_those_of_the_reference(self) -> None:
        for executor_id, person in self.model.people.items():
            load = self.state.load_of(executor_id)
            assert (load.level, load.used) == (person.level / 1000, person.used / 1000)
            assert (load.open, load.last_assigned) == (person.open, person.last)


@pytest.mark.usefixtures("team_size")
def test_a_pool_lives_as_the_reference_does() -> None:
    run_state_machine_as_test(
        PoolLife, settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
    )
