"""Waking is exact whatever happens: events in any order leave nothing asleep that a fresh engine would place."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings as hypothesis_settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.config import Settings
from app.database import Database
from app.engine.types import ExecutorId
from app.services.executors.absences import NewAbsence, add_absence, remove_absence
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.tasks.moves import MoveName
from app.services.waking.waking import Overlooked
from tests.lifecycle.team import RULES, Team

EXAMPLES = int(os.environ.get("LIFECYCLE_EXAMPLES", "8"))
STEPS = int(os.environ.get("LIFECYCLE_STEPS", "20"))


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
        self.team.picture = PoolSnapshot(self.team.pool_id)

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
