"""R9 over the whole lifecycle: offers, lapses, escalation, second pools, people who leave and return, renamed rules.

Extends the machine of `model.py`. Its property is invariant 7 (DESIGN 7 and 15): whenever an eligible person has room
and no rule forbids it, no task waits once the system has come to rest, and every waiting task's reason is true. The
machine's clock goes by hours: `an_hour_passes` moves every stored instant an hour back, then all that the clock brings
about must have happened after a bounded number of looks.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from app.access.roles import Caller
from app.engine.types import ExecutorId, PoolId, RuleSetId, TaskId
from app.services.placement.assignment import Found
from app.services.pools.pools import change_pool
from app.services.rules.rules import activate_rule_set, create_rule_set
from app.services.tasks.hand_over import relieve_later
from app.services.tasks.housekeeping import Housekeeper
from app.services.tasks.moves import MoveName
from app.services.tasks.task_queries import change_task
from tests.lifecycle.model import LIMITS, OPEN, SLOTS, Lifecycle, Person, Work

__all__ = ["WholeLife"]

LEAD = Caller("lead", "admin")
SKILL = {
    "operator": "contains",
    "field": "executor.parameters.skills",
    "value": {"field": "task.parameters.skill"},
}
SKILLS = st.sampled_from([frozenset("a"), frozenset("b"), frozenset("ab"), frozenset()])
PARAMETERS = "INSERT INTO parameters (pool_id, owner, key, type, required) VALUES ($1, $2, $3, $4, $5)"
HOUR = """
UPDATE tasks SET waiting_since = waiting_since - interval '1 hour', wake_at = wake_at - interval '1 hour',
                 escalate_at = escalate_at - interval '1 hour', barred_until = barred_until - interval '1 hour'
WHERE pool_id = ANY($1);
UPDATE assignments SET decided_at = decided_at - interval '1 hour', released_at = released_at - interval '1 hour'
WHERE pool_id = ANY($1);
UPDATE executors SET reassign_open_at = reassign_open_at - interval '1 hour' WHERE pool_id = ANY($1);
UPDATE executor_absences SET starts_at = starts_at - interval '1 hour', ends_at = ends_at - interval '1 hour'
WHERE executor_id IN (SELECT id FROM executors WHERE pool_id = ANY($1));
UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1, wake_at = now() WHERE pool_id = ANY($1)
"""
PENDING = """
SELECT id, pool_id, status, escalation, wait_reason, route, executor_id, version FROM tasks WHERE pool_id = ANY($1)
"""
MOST_LOOKS = 12
"""Looks of a worker after which nothing may change any more: the bound of invariant 7, in sweeps."""


class WholeLife(Lifecycle):
    """The system beside the model, with rules, time and everything that may hold work up."""

    @initialize(people=st.lists(st.tuples(LIMITS, SLOTS), min_size=1, max_size=3))
    def open_a_pool(self, people: list[tuple[float | None, int | None]]) -> None:
        super().open_a_pool(people)
        self.condition, self.relaxes, self.offers, self.to_second = "skill", False, False, False
        self.paused: set[int] = set()
        self.clock, self.keys = 0, 0
        self.removals: set[int] = set()
        self.back_at: dict[int, int] = {}
        self.run(self._furnish())
        self.put_in_force("skill")
        for number, person in self.world.people.items():
            person.skills = frozenset("ab") if person.pool == self.second else frozenset("a")
            self.change(number, {"parameters": {"skills": sorted(person.skills)}})

    async def _furnish(self) -> None:
        for pool in self.pools:
            for row in (("executor", "skills", "list", False), ("task", "skill", "string", False)):
                await self.database.hot.execute(PARAMETERS, pool, *row)

    def says(self) -> dict[str, Any]:
        self.keys += 1
        return {"skill": "ab"[self.keys % 3 == 0]}

    @rule(weights=st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=1, max_size=3))
    def submit(self, weights: list[float]) -> None:
        known = set(self.world.tasks)
        before = self.keys
        self.submit_tasks(weights, again=False)
        for place, task_id in enumerate(sorted(set(self.world.tasks) - known), before + 1):
            self.world.tasks[task_id].skill = "ab"[place % 3 == 0]

    # What leads configure

    def put_in_force(self, name: str) -> None:
        async def do() -> None:
            async with self.database.session() as session:
                made = await create_rule_set(
                    session,
                    pool_id=PoolId(self.pool_id),
                    name="rules",
                    document={"conditions": [{"name": name, **SKILL}]},
                    author="tests",
                )
            async with self.database.session() as session:
                await activate_rule_set(session, rule_set_id=RuleSetId(made.id), now=datetime.now(UTC))

        self.run(do())
        self.condition = name

    @rule(name=st.sampled_from(["skill", "craft"]))
    def a_condition_is_renamed(self, name: str) -> None:
        self.put_in_force(name)

    @rule(offers=st.booleans(), relaxes=st.booleans(), to_second=st.booleans())
    def the_flow_changes(self, offers: bool, relaxes: bool, to_second: bool) -> None:
        steps: list[dict[str, Any]] = []
        if relaxes:
            steps.append({"after_minutes": 30.0, "relax": [self.condition]})
        if to_second:
            steps.append({"after_minutes": 90.0, "to_pool": self.second})
        flow = {"offer_seconds": 600 if offers else None, "escalation": steps}
        self.configure(self.pool_id, {"flow": flow})
        self.offers, self.relaxes, self.to_second = offers, relaxes, to_second

    @rule(which=st.sampled_from([0, 1]))
    def a_pool_is_paused_or_goes_on(self, which: int) -> None:
        pool = self.pools[which]
        self.paused ^= {pool}
        self.configure(pool, {"active": pool not in self.paused})

    def configure(self, pool: int, changes: dict[str, Any]) -> None:
        async def do() -> None:
            async with self.database.session() as session:
                await change_pool(session, pool_id=PoolId(pool), changes=changes, caller=LEAD)

        self.run(do())

    @rule(data=st.data())
    def the_second_pool_asks_for_something_more(self, data: Any) -> None:
        required = data.draw(st.booleans())

        async def do() -> None:
            await self.database.hot.execute(
                "DELETE FROM parameters WHERE pool_id = $1 AND key = 'floor'", self.second
            )
            if required:
                await self.database.hot.execute(PARAMETERS, self.second, "task", "floor", "string", True)

        self.run(do())
        self.asks = required

    asks = False

    # What people do

    @rule(data=st.data(), skills=SKILLS)
    def a_persons_skills_change(self, data: Any, skills: frozenset[str]) -> None:
        number = self.some(self.world.people, data)
        self.change(number, {"parameters": {"skills": sorted(skills)}})
        self.world.people[number].skills = skills

    @rule(data=st.data(), later=st.booleans())
    def somebody_leaves_or_comes_back(self, data: Any, later: bool) -> None:
        number = self.some(self.world.people, data)
        person = self.world.people[number]
        person.active = not person.active
        self.change(number, {"active": person.active})
        if person.active:
            self.removals.discard(number)
            return
        if later:
            at = datetime.now(UTC) + timedelta(minutes=30)
            self.run(self.remove_later(number, at))
            self.removals.add(number)

    async def remove_later(self, number: int, at: datetime) -> None:
        await relieve_later(self.database.hot, executor_id=ExecutorId(number), at=at, if_inactive=True)

    @precondition(lambda self: self.world.tasks)
    @rule(data=st.data(), skill=st.sampled_from("ab"))
    def a_task_changes(self, data: Any, skill: str) -> None:
        number = self.some(self.world.tasks, data)
        work = self.world.tasks[number]
        if work.status in ("completed", "rejected", "cancelled"):
            return

        async def do() -> None:
            async with self.database.session() as session:
                await change_task(
                    session, task_id=TaskId(number), changes={"parameters": {"skill": skill}}, actor="lead",
                    now=datetime.now(UTC),
                )  # fmt: skip

        self.run(do())
        work.skill = skill

    @precondition(lambda self: any(work.status == "assigned" for work in self.world.tasks.values()))
    @rule(
        data=st.data(),
        name=st.sampled_from([MoveName.DECLINE, MoveName.ACCEPT, MoveName.DECLINE, MoveName.RETURN]),
    )
    def an_offer_is_answered(self, data: Any, name: MoveName) -> None:
        offers = {number: work for number, work in self.world.tasks.items() if work.status == "assigned"}
        self.move(self.some(offers, data), name)

    # What the clock does

    @rule()
    def an_hour_passes(self) -> None:
        self.clock += 1

        async def shift() -> None:
            async with self.database.hot.acquire() as connection, connection.transaction():
                for statement in HOUR.split(";"):
                    await connection.execute(statement, self.pools)

        self.run(shift())
        for work in self.world.tasks.values():
            work.barred.clear()
        for number in sorted(self.removals):
            for work in self.world.tasks.values():
                if work.executor == number and work.status in OPEN:
                    self.settle(work, MoveName.REASSIGN, None, bars=False)
        self.removals.clear()
        for work in self.world.tasks.values():
            offered = work.status == "assigned" and not work.accepted and work.pool == self.pool_id
            if offered and self.offers and work.pool not in self.paused:
                self.settle(work, MoveName.EXPIRE, None)
        self.a_worker_places_what_waits()

    @rule()
    def a_day_passes(self) -> None:
        super().a_day_passes()

    # What the system does

    @rule()
    def a_worker_places_what_waits(self) -> None:
        """Come to rest: whatever the clock, a sweep or an event brings about has happened."""
        keeper = Housekeeper(self.database.hot, deliver=False)
        for _ in range(MOST_LOOKS):
            keeper._looked_at = float("-inf")
            self.run(keeper.look())
            if not self.place_all():
                break
        else:
            raise AssertionError("the system does not come to rest")
        self.learn_where_everything_is()
        self.learn_who_received()
        self.nobody_waits_for_whom_there_is_room()
        self.every_reason_is_true()
        self.nothing_waits_past_its_step()
        self.a_waiting_task_shows_nobody()

    def place_all(self) -> bool:
        worked = False
        while self.run(self._place()) is Found.WORK:
            worked = True
        return worked

    # What must be true

    def may(self, work: Work, person: Person) -> bool:
        return (
            person.pool == self.second
            or work.skill in person.skills
            or (self.relaxes and work.escalation > 0)
        )

    def learn_where_everything_is(self) -> None:
        for row in self.run(self._fetch(PENDING)):
            work = self.world.tasks[row["id"]]
            if row["pool_id"] != work.pool:
                assert work.pool == self.pool_id and self.to_second, "went on without a step that says so"
                assert not self.asks, "went on although the other pool refuses it"
                assert self.second not in self.paused, "went on to a pool that is paused"
                work.pool, work.status, work.executor = row["pool_id"], "pending", None
                work.unanswered_since = None
            work.escalation = row["escalation"]
            unanswered = work.status == "pending" or (work.status == "assigned" and not work.accepted)
            if unanswered and work.unanswered_since is None:
                work.unanswered_since = self.clock

    def nothing_waits_past_its_step(self) -> None:
        for task_id, work in self.world.tasks.items():
            if work.unanswered_since is None or work.pool != self.pool_id or self.pool_id in self.paused:
                continue
            if not (work.status == "pending" or (self.offers and work.status == "assigned")):
                continue
            waited = self.clock - work.unanswered_since
            if self.relaxes and waited >= 2:
                assert work.escalation, f"task {task_id} went round for {waited} h and never escalated"
            if self.to_second and waited >= 3 and not self.asks and self.second not in self.paused:
                raise AssertionError(f"task {task_id} never went on")

    def every_reason_is_true(self) -> None:
        for row in self.run(self._fetch(PENDING)):
            if row["status"] == "pending" and row["route"] not in ("rework", "manual"):
                expected = self.reason(row["id"], self.world.tasks[row["id"]])
                said = row["wait_reason"]
                assert said == expected, f"{row['id']}: says {said}, true is {expected}"

    def reason(self, task_id: int, work: Work) -> str:
        if work.pool in self.paused:
            return "paused"
        team = {number: person for number, person in self.world.people.items() if person.pool == work.pool}
        able = {number for number, person in team.items() if person.active and self.may(work, person)}
        left = able - work.barred
        if not left:
            return "offered_again_later" if able else "no_one_eligible"
        here = {number for number in left if team[number].takes}
        if not here:
            return "nobody_on_shift"
        daily = {
            number
            for number in here
            if team[number].limit is None or team[number].used + work.weight <= team[number].limit
        }
        return "all_busy" if daily else "all_at_limit"

    def nobody_waits_for_whom_there_is_room(self) -> None:
        kept = {number: work.pool for number, work in self.world.tasks.items()}
        for work in self.world.tasks.values():
            if work.pool in self.paused:
                work.pool = -1
        try:
            super().nobody_waits_for_whom_there_is_room()
        finally:
            for number, pool in kept.items():
                self.world.tasks[number].pool = pool

    def a_waiting_task_shows_nobody(self) -> None:
        for row in self.run(self._fetch(PENDING)):
            bound = row["route"] in ("rework", "manual")
            assert row["status"] != "pending" or bound or row["executor_id"] is None, "shows who declined it"
