"""The picture of a pool that decisions are made on: one NumPy column per fact, one position per executor.

API in short::

    state = PoolState(rules, PoolSettings(policy=Policy.FAIR, theta=0.05, day_load=40.0), version="17")
    state.upsert(executors, loads)         # delta: replaces or appends; without a load they keep theirs
    state.update_loads(loads)              # only loads changed: no rule is evaluated again
    state.set_rules(rules, version="18")   # another rule set, the same people
    state.settings = PoolSettings(...)     # between batches
    state.load_of(executor_id) -> Load
    state.join_levels([executor_id, ...]) -> {executor_id: level}   # persist, then upsert with it
    outcome = place(state, tasks)          # allocate.py; `state` then carries the new loads
    state.snapshot(digest) -> ClassSnapshot   # for each digest of `outcome` that is not stored yet

Whoever left the pool is upserted with `active=False`; nobody is ever removed, so positions are for good.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.engine.eligibility import Classes, EligibilityClass
from app.engine.snapshot import ClassSnapshot, class_digest, class_snapshot
from app.engine.types import BoolArray, Executor, ExecutorId, FloatArray, IntArray, Load, Policy, Rules

MILLI = 1000
"""Weights are whole thousandths inside the engine: sums stay exact whatever their order."""

DEFAULT_DAY_LOAD = 20.0
"""Task units a day, for a pool that has no history yet."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How a pool distributes.

    `theta` is how many day loads one point of preference is worth (0: pure fairness). `day_load` is the
    expected weight per business day and unit of qualification, the scale on which levels are compared with
    preferences; without preferences it changes nothing.
    """

    policy: Policy = Policy.FAIR
    theta: float = 0.05
    day_load: float = DEFAULT_DAY_LOAD


def expected_day_load(weight: float, qualifications: Iterable[float]) -> float:
    """Day load per unit of qualification when `weight` arrives in a day for people so qualified."""
    total = sum(qualifications)
    return weight / total if weight > 0 and total > 0 else DEFAULT_DAY_LOAD


def to_milli(weight: float) -> int:
    """Whole thousandths of a weight in task units."""
    return round(weight * MILLI)


class PoolState:
    """Executors, loads and eligibility classes of one pool.

    All columns have shape (n,), n executors in the order in which they first came. `level` and `used` are in
    thousandths of a task unit; a missing limit is infinite.
    """

    def __init__(self, rules: Rules, settings: PoolSettings | None = None, version: str = "") -> None:
        self.settings = settings or PoolSettings()
        self.rules = rules
        self.rules_version = version
        self.executors: list[Executor] = []
        self.position: dict[ExecutorId, int] = {}
        self.roster_version = 0
        self.sequence = 0
        self.classes = Classes(rules)
        self._by_digest: dict[str, EligibilityClass] = {}
        self.ids: IntArray = np.empty(0, dtype=np.int64)
        self.level: FloatArray = np.empty(0)
        self.used: FloatArray = np.empty(0)
        self.open: FloatArray = np.empty(0)
        self.last: FloatArray = np.empty(0)
        self.limit: FloatArray = np.empty(0)
        self.max_open: FloatArray = np.empty(0)
        self.qualification: FloatArray = np.empty(0)
        self.here: BoolArray = np.empty(0, dtype=np.bool_)
        self.active: BoolArray = np.empty(0, dtype=np.bool_)

    def __len__(self) -> int:
        return len(self.executors)

    def upsert(self, executors: Sequence[Executor], loads: Mapping[ExecutorId, Load] | None = None) -> None:
        """Put these executors in, replacing by id or appending, and these loads.

        Rules are asked again only for those in whom something changed that a rule may read. Someone new
        without a load starts with an empty one. Raises KeyError for the load of an unknown executor.
        """
        changed = [executor for executor in executors if self._differs_for_rules(executor)]
        self._append([executor for executor in executors if executor.id not in self.position])
        for executor in executors:
            self._put(self.position[executor.id], executor)
        if changed:
            positions = [self.position[executor.id] for executor in changed]
            self.rules.update(positions, changed)
            self.classes.refresh(self.ids)
            self._by_digest.clear()
            self.roster_version += 1
        self.update_loads(loads or {})

    def update_loads(self, loads: Mapping[ExecutorId, Load]) -> None:
        """Replace the loads of these executors. Raises KeyError for an unknown one."""
        for executor_id, load in loads.items():
            position = self.position[executor_id]
            self.level[position] = to_milli(load.level)
            self.used[position] = to_milli(load.used)
            self.open[position] = load.open
            self.last[position] = load.last_assigned
            self.sequence = max(self.sequence, load.last_assigned)

    def set_rules(self, rules: Rules, version: str = "") -> None:
        """Bind another rule set to the same people; what was known of classes is forgotten."""
        self.rules = rules
        self.rules_version = version
        rules.update(range(len(self.executors)), self.executors)
        self.classes = Classes(rules)
        self.classes.refresh(self.ids)
        self._by_digest.clear()
        self.roster_version += 1

    def load_of(self, executor_id: ExecutorId) -> Load:
        """The load of an executor, after everything placed so far. Raises KeyError for an unknown one."""
        at = self.position[executor_id]
        return Load(
            level=self.level.item(at) / MILLI,
            used=self.used.item(at) / MILLI,
            open=int(self.open.item(at)),
            last_assigned=int(self.last.item(at)),
        )

    def join_levels(self, joining: Sequence[ExecutorId]) -> dict[ExecutorId, float]:
        """The level at which each of these begins, in task units, when they come (back) together.

        In level with those present, not behind: per unit of qualification the highest, over the classes they
        are in, of the lowest level among the others present; never lower than their own. Somebody in no known
        class is compared with everybody present. With nobody else present a level stays as it is.
        """
        positions = [self.position[executor_id] for executor_id in joining]
        others = self.here & self.active
        others[positions] = False
        relative = np.where(others, self.level / self.qualification, np.inf)
        return {
            executor_id: self._join_level(position, relative)
            for executor_id, position in zip(joining, positions, strict=True)
        }

    def digest_of(self, found: EligibilityClass) -> str:
        """The name of the class's snapshot under the present rules and people."""
        if not found.digest:
            found.digest = class_digest(self.rules, found, self.ids, self.rules_version)
            self._by_digest[found.digest] = found
        return found.digest

    def snapshot(self, digest: str) -> ClassSnapshot:
        """What to store once for all decisions that name this digest. Raises KeyError for an unknown one."""
        found = self._by_digest[digest]
        return class_snapshot(self.rules, found, self.ids)

    def _join_level(self, position: int, relative: FloatArray) -> float:
        own = self.level.item(position)
        lows = self.classes.lowest_for(position, relative)
        if not lows and len(relative):
            lows = [low for low in (float(relative.min()),) if low < np.inf]
        target = max(lows, default=0.0) * self.qualification.item(position)
        return max(own, round(target)) / MILLI

    def _differs_for_rules(self, executor: Executor) -> bool:
        position = self.position.get(executor.id)
        if position is None:
            return True
        known = self.executors[position]
        # Who is here is the engine's question: a shift that begins makes no rule be evaluated again.
        return replace(known, available=True, active=True) != replace(executor, available=True, active=True)

    def _append(self, executors: Sequence[Executor]) -> None:
        if not executors:
            return
        for executor in executors:
            self.position[executor.id] = len(self.executors)
            self.executors.append(executor)
        more = len(self.executors) - len(self.ids)
        self.ids = np.append(self.ids, [executor.id for executor in executors]).astype(np.int64)
        for name in ("level", "used", "open", "last", "limit", "max_open", "qualification"):
            setattr(self, name, np.append(getattr(self, name), np.zeros(more)))
        for name in ("here", "active"):
            setattr(self, name, np.append(getattr(self, name), np.zeros(more, dtype=np.bool_)))

    def _put(self, position: int, executor: Executor) -> None:
        self.executors[position] = executor
        self.limit[position] = np.inf if executor.daily_limit is None else to_milli(executor.daily_limit)
        self.max_open[position] = np.inf if executor.max_open is None else executor.max_open
        self.qualification[position] = executor.qualification
        self.here[position] = executor.available
        self.active[position] = executor.active
