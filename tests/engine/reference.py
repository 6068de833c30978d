"""The engine said plainly: dictionaries, loops, no cleverness. What `place` does must equal this."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from app.engine.matrix import MatrixRules
from app.engine.placement.scores import GRID
from app.engine.placement.state import PoolSettings
from app.engine.types import AssignmentKind, Executor, ExecutorId, Load, Policy, Task, WaitReason

INFINITE = float("inf")
TAKEN_BACK = (AssignmentKind.REWORK, AssignmentKind.REASSIGN)


@dataclass
class Person:
    """An executor and their load, in thousandths of a task unit."""

    executor: Executor
    level: int = 0
    used: int = 0
    open: int = 0
    last: int = 0
    ended: int = 0

    @property
    def present(self) -> bool:
        return self.executor.active and self.executor.available

    def has_daily_room(self, weight: int) -> bool:
        limit = self.executor.daily_limit
        return limit is None or self.used + weight <= round(limit * 1000)

    def has_slot(self) -> bool:
        return self.executor.max_open is None or self.open < self.executor.max_open


@dataclass
class Reference:
    """A pool, its eligibility sets met so far, and by how much an outlook holds people back (thousandths)."""

    rules: MatrixRules
    settings: PoolSettings
    people: dict[ExecutorId, Person] = field(default_factory=dict)
    sets: dict[frozenset[ExecutorId], object] = field(default_factory=dict)
    sequence: int = 0
    held: dict[ExecutorId, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        rules: MatrixRules,
        settings: PoolSettings,
        executors: Iterable[Executor],
        loads: dict[ExecutorId, Load],
    ) -> "Reference":
        pool = cls(rules, settings)
        for executor in executors:
            load = loads.get(executor.id, Load())
            pool.people[executor.id] = Person(
                executor,
                round(load.level * 1000),
                round(load.used * 1000),
                load.open,
                load.last_assigned,
                load.last_ended,
            )
            pool.sequence = max(pool.sequence, load.last_assigned)
        return pool

    def place(self, tasks: Iterable[Task]) -> list[tuple[int, object, object]]:
        """Per task in order: (task, executor, kind), or (task, None, reason)."""
        ordered = sorted(
            tasks,
            key=lambda t: (
                (-t.priority, t.deadline is None, t.deadline, t.id)
                if t.deadline
                else (-t.priority, True, 0, t.id)
            ),
        )
        return [self.place_one(task) for task in ordered]

    def place_one(self, task: Task) -> tuple[int, object, object]:
        key = self.rules.task_key(task)
        eligible = self.meet(key)
        weight = max(1, round(task.weight * self.rules.task_factor(key) * 1000))
        if (forced := self.forced(task, eligible)) is not None:
            kind = task.forced_kind or AssignmentKind.PARENT
            return self.assign(task, forced, weight, kind)
        passing = [i for i in sorted(eligible) if self.people[i].executor.active]
        able = [i for i in passing if i not in task.excluded_executors]
        free = [
            i
            for i in able
            if self.people[i].present and self.people[i].has_daily_room(weight) and self.people[i].has_slot()
        ]
        if not free:
            return (task.id, None, self.reason(passing, able, weight))
        moved = bool(task.excluded_executors) or task.forced_kind in TAKEN_BACK
        best = min(free, key=lambda i: (*self.score(i, key, weight), self.flex(i), i))
        return self.assign(task, best, weight, AssignmentKind.REASSIGN if moved else AssignmentKind.PRIMARY)

    def meet(self, key: object) -> frozenset[ExecutorId]:
        """Who passes; each different set counts once, under the first class that had it."""
        mask = self.rules.eligible(key)
        eligible = frozenset(i for i, passes in zip(self.people, mask, strict=True) if passes)
        self.sets.setdefault(eligible, key)
        return eligible

    def people_changed(self) -> None:
        """Count the sets anew, from the classes that stood for them."""
        keys = list(self.sets.values())
        self.sets.clear()
        for key in keys:
            self.meet(key)

    def forced(self, task: Task, eligible: frozenset[ExecutorId]) -> ExecutorId | None:
        person = self.people.get(task.forced_executor) if task.forced_executor is not None else None
        if person is None or not person.executor.active:
            return None
        free = task.forced_kind is AssignmentKind.MANUAL or (
            person.present and person.executor.id in eligible
        )
        return person.executor.id if free else None

    def score(self, i: ExecutorId, key: object, weight: int) -> tuple[float, ...]:
        person, policy = self.people[i], self.settings.policy
        if policy is Policy.ROUND_ROBIN:
            return (person.last,)
        if policy is Policy.LONGEST_IDLE:
            return (person.open > 0, person.last if person.open else person.ended)
        scale = GRID / (person.executor.qualification * self.settings.day_load * 1000)
        level = round(person.level * scale) + round(weight / 2 * scale) + round(self.held.get(i, 0) * scale)
        preferences = self.rules.preference(key)
        liking = 0.0 if preferences is None else float(preferences[list(self.people).index(i)])
        if policy is Policy.BEST_MATCH:
            return (-liking, level)
        return (level - round(self.settings.theta * liking * GRID),)

    def flex(self, i: ExecutorId) -> int:
        return sum(i in members for members in self.sets)

    def reason(self, passing: Sequence[ExecutorId], able: Sequence[ExecutorId], weight: int) -> WaitReason:
        """Why a task waits: `passing` hold the rules, `able` are those of them who are not barred from it."""
        present = [i for i in able if self.people[i].present]
        if not passing:
            return WaitReason.NO_ONE_ELIGIBLE
        if not able:
            return WaitReason.OFFERED_AGAIN_LATER
        limits = [self.people[i].executor.daily_limit for i in able]
        if 0 < max(INFINITE if limit is None else round(limit * 1000) for limit in limits) < weight:
            return WaitReason.TOO_HEAVY
        if not present:
            return WaitReason.NOBODY_ON_SHIFT
        if any(self.people[i].has_daily_room(weight) for i in present):
            return WaitReason.ALL_BUSY
        return WaitReason.ALL_AT_LIMIT

    def assign(
        self, task: Task, i: ExecutorId, weight: int, kind: AssignmentKind
    ) -> tuple[int, object, object]:
        person = self.people[i]
        person.level += weight
        person.used += weight if kind in (AssignmentKind.PRIMARY, AssignmentKind.REASSIGN) else 0
        person.open += 1
        self.sequence += 1
        person.last = self.sequence
        return (task.id, i, kind)
