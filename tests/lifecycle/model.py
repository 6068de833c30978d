"""R9: the lifecycle over the real database beside a model of a few dicts; after every step both must agree.

The model knows who may move what, and what everybody carries; who receives a task is the engine's to say, so the model
only checks that they could, and that nobody waits for whom there is room.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.access.roles import Caller
from app.config import Settings
from app.database import Database
from app.engine.types import ExecutorId, PoolId, TaskId
from app.errors import DomainError, ForbiddenMove
from app.services.audit.invariants import find_violations
from app.services.executors.absences import NewAbsence, add_absence, remove_absence
from app.services.executors.executors import change_executor
from app.services.intake.intake import NewTask, write_tasks
from app.services.placement import assignment
from app.services.placement.assignment import Found, place_batch
from app.services.placement.pool_snapshot import PoolSnapshot
from app.services.pools.pools import change_pool
from app.services.tasks import moves
from app.services.tasks.hand_over import hand_over
from app.services.tasks.moves import Move, MoveName, move_tasks
from app.services.tasks.pool_transfer import move_on
from app.services.waking.waking import Overlooked
from tests.builders import add_executors, add_pool

NAMES = [name for name in MoveName if name is not MoveName.EXPIRE]
ALLOWED = {
    "accept": {"assigned": "assigned"},
    "decline": {"assigned": "pending"},
    "start": {"assigned": "in_progress"},
    "complete": {"assigned": "completed", "in_progress": "completed"},
    "reject": {"assigned": "rejected", "in_progress": "rejected"},
    "return": {"assigned": "returned", "in_progress": "returned"},
    "resume": {"returned": "pending"},
    "cancel": dict.fromkeys(("pending", "assigned", "in_progress", "returned"), "cancelled"),
    "reassign": dict.fromkeys(("assigned", "in_progress", "returned"), "pending"),
}
"""The contract, written down once more by hand: from which status a move leads where."""
UNDONE = {"decline", "expire", "reject", "cancel", "reassign"}
OPEN = ("assigned", "in_progress")
LOADS = """
SELECT executor_id, open_count,
       CASE WHEN business_day = pool_day(timezone, kept_day, kept_day_ends, clock_timestamp())
            THEN day_routed ELSE 0 END::float8 AS used
FROM executor_loads JOIN pools ON pools.id = pool_id WHERE pool_id = ANY($1::bigint[])
"""
WAITS_LONG = """
UPDATE tasks SET waiting_since = now() - interval '1 hour'
WHERE pool_id = $1 AND status = 'pending' AND wait_reason IS NOT NULL RETURNING id
"""
DAY_PASSES = (
    """
    UPDATE assignments SET business_day = business_day - 1, decided_at = decided_at - interval '1 day'
    WHERE pool_id = $1
    """,
    "UPDATE executor_loads SET business_day = business_day - 1, window_start = window_start - 1 WHERE pool_id = $1",
    # Downwards through a gap, so that no day meets the next one on its way.
    "UPDATE executor_days SET business_day = business_day - 100000 WHERE pool_id = $1",
    "UPDATE executor_days SET business_day = business_day + 99999 WHERE pool_id = $1",
    "UPDATE pool_states SET epoch = epoch + 1, config_epoch = epoch + 1 WHERE pool_id = $1",
    "UPDATE tasks SET wait_reason = NULL WHERE pool_id = $1",
    "UPDATE tasks SET barred_until = barred_until - interval '1 day' WHERE pool_id = $1",
)
WEIGHTS = st.sampled_from([0.5, 1.0, 2.0])
LIMITS = st.sampled_from([None, 1.0, 3.0, 8.0])
ZONES = st.sampled_from(["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata", "Etc/GMT+12"])
ROOT = Caller(name="tests", role="admin")
SLOTS = st.sampled_from([None, 0, 1, 2, 5])


@dataclass
class Person:
    limit: float | None
    slots: int | None
    pool: int
    here: bool = True
    absence: int | None = None
    used: float = 0.0
    active: bool = True
    skills: frozenset[str] = frozenset("a")

    @property
    def takes(self) -> bool:
        return self.active and self.here and self.absence is None


@dataclass
class Work:
    weight: float
    pool: int
    status: str = "pending"
    executor: int | None = None
    barred: set[int] = field(default_factory=set)
    counted: float = 0.0
    """Routed weight that counts today, and of whom: a task counts for one person at most."""
    counted_of: int | None = None
    skill: str = "a"
    accepted: bool = False
    kind: str = "primary"
    unanswered_since: int | None = None
    escalation: int = 0


@dataclass
class World:
    people: dict[int, Person] = field(default_factory=dict)
    tasks: dict[int, Work] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)


class Lifecycle(RuleBasedStateMachine):
    """The system beside the model."""

    settings_of_run: Settings
    zone = "UTC"
    batch = 3

    @initialize(people=st.lists(st.tuples(LIMITS, SLOTS), min_size=1, max_size=4))
    def open_a_pool(self, people: list[tuple[float | None, int | None]]) -> None:
        self.covered: Counter[tuple[str, str]] = Counter()
        self.runner = asyncio.Runner()
        self.database = self.run(Database.open(self.settings_of_run))
        self.world = World()
        self.pool_id = self.run(
            add_pool(
                self.database, code=f"pool-{id(self)}-{datetime.now(UTC).timestamp():.6f}", timezone=self.zone
            )
        )
        self.second = self.run(
            add_pool(self.database, code=f"second-{id(self)}-{datetime.now(UTC).timestamp():.6f}")
        )
        self.pools = [self.pool_id, self.second]
        for pool, limit, slots in [*((self.pool_id, *one) for one in people), (self.second, 4.0, 2)]:
            [number] = self.run(add_executors(self.database, pool, 1, daily_limit=limit, max_open=slots))
            self.world.people[number] = Person(limit, slots, pool)
        self.look_anew()
        self.names = 0

    def look_anew(self) -> None:
        self.pictures = {pool: PoolSnapshot(PoolId(pool)) for pool in self.pools}

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.run(self.database.close())
            self.runner.close()

    def some(self, things: dict[int, Any], data: Any) -> int:
        return int(data.draw(st.sampled_from(sorted(things))))

    # What clients do

    @rule(weights=st.lists(WEIGHTS, min_size=1, max_size=4), again=st.booleans())
    def submit(self, weights: list[float], again: bool) -> None:
        self.submit_tasks(weights, again=again)

    def submit_tasks(self, weights: list[float], *, again: bool) -> None:
        tasks = []
        for weight in weights:
            self.names += 1
            tasks.append(
                NewTask(
                    PoolId(self.pool_id), external_id=f"t-{self.names}", weight=weight, parameters=self.says()
                )
            )
        first = self.run(write_tasks(self.database.hot, tasks))
        for task, receipt in zip(tasks, first, strict=True):
            self.world.tasks[receipt.task_id] = Work(task.weight, self.pool_id)
            self.world.names[str(task.external_id)] = receipt.task_id
        if again:
            second = self.run(write_tasks(self.database.hot, tasks))
            assert [item.task_id for item in second] == [item.task_id for item in first]
            assert all(item.duplicate for item in second)

    def says(self) -> dict[str, Any]:
        """The parameters of new tasks."""
        return {}

    @precondition(lambda self: self.world.names)
    @rule(data=st.data())
    def the_same_is_sent_again(self, data: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.names)))
        [receipt] = self.run(
            write_tasks(self.database.hot, [NewTask(PoolId(self.pool_id), external_id=name)])
        )
        assert (receipt.task_id, receipt.duplicate) == (self.world.names[name], True)

    @precondition(lambda self: self.world.tasks)
    @rule(data=st.data(), name=st.sampled_from(NAMES), named=st.booleans())
    def somebody_moves_a_task(self, data: Any, name: MoveName, named: bool) -> None:
        task_id = self.some(self.world.tasks, data)
        to = self.some(self.world.people, data) if named and name is MoveName.REASSIGN else None
        self.move(task_id, name, to)

    def move(self, task_id: int, name: MoveName, to: int | None = None) -> None:
        move = Move(TaskId(task_id), name, "tester", "why not", to=None if to is None else ExecutorId(to))
        [outcome] = self.run(
            move_tasks(
                self.database.hot,
                pool_id=PoolId(self.world.tasks[task_id].pool),
                moves=[move],
                deliver=True,
            )
        )
        work = self.world.tasks[task_id]
        if to is not None and work.status != "pending":
            allowed = not (work.executor == to and work.status in OPEN) and name.value in self.allowed(work)
        elif to is not None:
            allowed = True
        else:
            allowed = name.value in self.allowed(work)
        if to is not None and self.world.people[to].pool != work.pool:
            allowed = False
        if name is MoveName.COMPLETE and work.status == "completed":
            assert not isinstance(outcome, DomainError), "completed again by the same actor"
            return
        if not allowed:
            assert isinstance(outcome, DomainError), f"{name} of a task that is {work.status} was accepted"
            if name is not MoveName.REASSIGN:
                assert isinstance(outcome, ForbiddenMove)
            return
        assert not isinstance(outcome, DomainError), f"{name} of a task that is {work.status}: {outcome}"
        self.covered[work.status, name.value] += 1
        self.settle(work, name, to)

    def allowed(self, work: Work) -> set[str]:
        return {name for name, ways in ALLOWED.items() if work.status in ways}

    def settle(self, work: Work, name: MoveName, to: int | None, *, bars: bool = True) -> None:
        """Do to the model what the move does."""
        status = ALLOWED.get(name.value, {}).get(work.status, "pending")
        if name.value in UNDONE:
            self.count(work, 0.0, None)
        if status == "pending" and name is not MoveName.RESUME and work.executor is not None and bars:
            work.barred = {work.executor}
        if to is not None:
            work.executor = to
        elif status == "pending" and name is not MoveName.RESUME:
            work.executor = None
        if name in (MoveName.ACCEPT, MoveName.START):
            work.accepted, work.unanswered_since = True, None
        elif work.status in OPEN and status not in OPEN:
            work.accepted = False
        work.status = status

    def count(self, work: Work, weight: float, whose: int | None) -> None:
        """Count a task for this person instead of the one before."""
        if work.counted_of is not None:
            self.world.people[work.counted_of].used -= work.counted
        work.counted, work.counted_of = weight, whose
        if whose is not None:
            self.world.people[whose].used += weight

    # What people do

    @rule(zone=ZONES)
    def the_time_zone_changes(self, zone: str) -> None:
        self.change_pool({"timezone": zone})

    @rule(window=st.sampled_from(["day", "week", "month"]))
    def the_fairness_window_changes(self, window: str) -> None:
        self.change_pool({"fairness_window": window})

    def change_pool(self, changes: dict[str, Any]) -> None:
        async def do() -> None:
            async with self.database.session() as session:
                await change_pool(session, pool_id=PoolId(self.pool_id), changes=changes, caller=ROOT)

        self.run(do())

    @rule(data=st.data(), limit=LIMITS, slots=SLOTS)
    def a_limit_changes(self, data: Any, limit: float | None, slots: int | None) -> None:
        number = self.some(self.world.people, data)
        self.change(number, {"daily_limit": limit, "max_open": slots})
        self.world.people[number].limit, self.world.people[number].slots = limit, slots

    @rule(data=st.data())
    def somebody_takes_a_break_or_returns(self, data: Any) -> None:
        number = self.some(self.world.people, data)
        person = self.world.people[number]
        person.here = not person.here
        self.change(number, {"availability": "available" if person.here else "break"})

    def change(self, number: int, changes: dict[str, Any]) -> None:
        async def do() -> None:
            async with self.database.session() as session:
                await change_executor(
                    session, executor_id=ExecutorId(number), changes=changes, now=datetime.now(UTC)
                )

        self.run(do())

    @rule(data=st.data())
    def somebody_falls_ill_or_is_well_again(self, data: Any) -> None:
        number = self.some(self.world.people, data)
        person, now = self.world.people[number], datetime.now(UTC)

        async def do() -> int | None:
            async with self.database.session() as session:
                who = ExecutorId(number)
                if person.absence is None:
                    away = NewAbsence(now - timedelta(hours=1), now + timedelta(days=30))
                    return (await add_absence(session, executor_id=who, absence=away, now=now))[0].id
                await remove_absence(session, executor_id=who, absence_id=person.absence, now=now)
                return None

        person.absence = self.run(do())

    @rule(data=st.data())
    def somebody_hands_everything_over(self, data: Any) -> None:
        number = self.some(self.world.people, data)
        done = self.run(
            hand_over(
                self.database.hot, executor_id=ExecutorId(number), actor="tester", reason="ill", deliver=True
            )
        )
        held = [
            task_id
            for task_id, work in self.world.tasks.items()
            if work.executor == number and work.status in OPEN
        ]
        assert sorted(done.task_ids) == sorted(held)
        for task_id in held:
            self.settle(self.world.tasks[task_id], MoveName.REASSIGN, None)

    # What the clock does

    @rule()
    def what_waits_too_long_goes_on_to_the_second_pool(self) -> None:
        async def go_on() -> tuple[list[int], int]:
            rows = await self.database.hot.fetch(WAITS_LONG, self.pool_id)
            to = PoolId(self.second)
            moved = await move_on(self.database.hot, pool_id=PoolId(self.pool_id), to=to, step=1, minutes=30)
            return [row["id"] for row in rows], moved

        due, moved = self.run(go_on())
        assert moved == len(due)
        for task_id in due:
            work = self.world.tasks[task_id]
            assert work.status == "pending"
            self.count(work, 0.0, None)
            work.pool, work.executor = self.second, None

    # What the system does

    @rule()
    def a_worker_places_what_waits(self) -> None:
        while self.run(self._place()) is Found.WORK:
            pass
        if self.run(Overlooked().wake(self.database.hot)):
            while self.run(self._place()) is Found.WORK:
                pass
        self.learn_who_received()
        self.nobody_waits_for_whom_there_is_room()

    async def _place(self) -> Found:
        for picture in self.pictures.values():
            batch = await place_batch(self.database.hot, picture, limit=self.batch, deliver=True)
            if batch.found is Found.WORK:
                return batch.found
        return Found.NOTHING

    @rule()
    def a_worker_dies_before_it_commits(self) -> None:
        def die(name: str) -> None:
            if name == "before_commit":
                raise RuntimeError("died")

        kept, assignment.failpoint = assignment.failpoint, die
        try:
            self.run(self._place())
        except RuntimeError:
            self.look_anew()
        finally:
            assignment.failpoint = kept

    @rule()
    def everything_starts_again(self) -> None:
        self.run(self.database.close())
        self.database = self.run(Database.open(self.settings_of_run))
        self.look_anew()

    @rule()
    def a_day_passes(self) -> None:
        """Everything of today becomes yesterday's, and what waits for midnight is woken."""

        async def pass_() -> None:
            async with self.database.hot.acquire() as connection, connection.transaction():
                for pool in self.pools:
                    for statement in DAY_PASSES:
                        await connection.execute(statement, pool)

        self.run(pass_())
        for person in self.world.people.values():
            person.used = 0.0
        for work in self.world.tasks.values():
            work.counted = 0.0
            work.barred.clear()

    # What must be true

    def learn_who_received(self) -> None:
        """Read who received what, and check that they could."""
        for row in self.run(
            self._fetch("SELECT * FROM assignments WHERE pool_id = ANY($1) AND released_at IS NULL")
        ):
            work = self.world.tasks[row["task_id"]]
            if work.status != "pending":
                continue
            person = self.world.people[row["executor_id"]]
            routed = row["kind"] in ("primary", "reassign")
            assert row["pool_id"] == person.pool == work.pool, "given to somebody of another pool"
            forced = row["kind"] in ("rework", "manual")
            assert forced or row["executor_id"] not in work.barred, "given back to whom it was taken from"
            assert person.takes or row["kind"] == "manual", "given to somebody who is away"
            if routed:
                self.count(work, work.weight, row["executor_id"])
                assert person.limit is None or person.used <= person.limit, "over the daily limit"
            work.status, work.executor, work.kind = "assigned", row["executor_id"], row["kind"]
            if routed and person.slots is not None:
                assert self.open_of(row["executor_id"]) <= person.slots, "more open than allowed"

    def open_of(self, number: int) -> int:
        return sum(work.executor == number and work.status in OPEN for work in self.world.tasks.values())

    def nobody_waits_for_whom_there_is_room(self) -> None:
        for task_id, work in self.world.tasks.items():
            if work.status != "pending":
                continue
            for number, person in self.world.people.items():
                full = person.slots is not None and self.open_of(number) >= person.slots
                spent = person.limit is not None and person.used + work.weight > person.limit
                nothing = not person.takes or full or spent or number in work.barred
                nothing = nothing or person.pool != work.pool or not self.may(work, person)
                assert nothing, f"task {task_id} waits although executor {number} has room"

    def may(self, work: Work, person: Person) -> bool:
        """Whether the rules let this person have this task; here there are none."""
        return True

    async def _fetch(self, query: str) -> list[Any]:
        async with self.database.hot.acquire() as connection:
            return list(await connection.fetch(query, self.pools))

    @invariant()
    def model_and_system_agree(self) -> None:
        if not hasattr(self, "database"):
            return
        tasks = self.run(
            self._fetch("SELECT id, status, pool_id, home_pool_id FROM tasks WHERE pool_id = ANY($1)")
        )
        assert {row["id"]: (row["status"], row["pool_id"]) for row in tasks} == {
            task_id: (work.status, work.pool) for task_id, work in self.world.tasks.items()
        }
        assert {row["home_pool_id"] or row["pool_id"] for row in tasks} <= {self.pool_id}
        loads = self.run(self._fetch(LOADS))
        assert {row["executor_id"]: (row["open_count"], row["used"]) for row in loads} == {
            number: (self.open_of(number), person.used) for number, person in self.world.people.items()
        }
        assert self.run(self._violations()) == []

    async def _violations(self) -> list[str]:
        async with self.database.hot.acquire() as connection:
            found = await find_violations(connection)
        seen_later = {
            "nobody_waits_unseen",
            "daily_limit",
            "max_open",
        }  # limits fall here; the model checks them
        return [f"{each.check.name}: {each.examples}" for each in found if each.check.name not in seen_later]


__all__ = ["Lifecycle", "moves"]
