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

An executor who left the pool is upserted with `active=False`; none is ever removed, so positions are for good.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.engine.fairness.forecast import Outlook, Present
from app.engine.placement.decision_log import DecisionLog
from app.engine.placement.eligibility import MAX_CLASSES, Classes, EligibilityClass
from app.engine.placement.snapshot import ClassSnapshot, class_digest, class_snapshot, people_digest
from app.engine.types import (
    BoolArray,
    ClassKey,
    Executor,
    ExecutorId,
    FloatArray,
    IntArray,
    Load,
    Policy,
    Rules,
)

MILLI = 1000
"""Weights are whole thousandths inside the engine: sums stay exact whatever their order."""
UNLIMITED = 1 << 60
"""A limit that nobody reaches."""
DEFAULT_DAY_LOAD = 20.0
"""Task units a day, for a pool that has no history yet."""


@dataclass(frozen=True)
class PoolSettings:
    """How a pool distributes.

    `theta` is how many day loads one point of preference is worth (0: pure fairness). `day_load` is the
    expected weight per business day and unit of qualification, the scale on which levels are compared with
    preferences; without preferences it changes nothing. A `paused` pool gives nothing out.
    """

    policy: Policy = Policy.FAIR
    theta: float = 0.05
    day_load: float = DEFAULT_DAY_LOAD
    paused: bool = False


def expected_day_load(weight: float, qualifications: Iterable[float]) -> float:
    """Day load per unit of qualification when `weight` arrives in a day for people so qualified."""
    total = sum(qualifications)
    return weight / total if weight > 0 and total > 0 else DEFAULT_DAY_LOAD


def to_milli(weight: float) -> int:
    """Whole thousandths of a weight in task units."""
    return round(weight * MILLI)


COUNTS = ("level", "used", "open", "last", "ended", "limit", "max_open")


class PoolState:
    """Executors, loads and eligibility classes of one pool.

    All columns have shape (n,), n executors in the order in which they first came. `level`, `used` and
    `limit` are in thousandths of a task unit; a missing limit is UNLIMITED. `sequence` is the number of the
    pool's last assignment.
    """

    ids: IntArray
    level: IntArray
    used: IntArray
    open: IntArray
    last: IntArray
    ended: IntArray
    limit: IntArray
    max_open: IntArray
    qualification: FloatArray
    here: BoolArray
    active: BoolArray

    def __init__(self, rules: Rules, settings: PoolSettings | None = None, version: str = "") -> None:
        self.settings = settings or PoolSettings()
        self.rules = rules
        self.rules_version = version
        self.executors: list[Executor] = []
        self.position: dict[ExecutorId, int] = {}
        self.roster_version = 0
        self.sequence = 0
        self.classes = Classes(rules)
        self.trail = DecisionLog()
        self.board: object = None  # the score board that `allocate` keeps here between batches
        self.outlook: Outlook | None = None
        self._people: bytes = b""
        self._digests: dict[ClassKey, str] = {}
        self._by_digest: dict[str, EligibilityClass] = {}
        self.ids = np.empty(0, dtype=np.int64)
        for name in COUNTS:
            setattr(self, name, np.empty(0, dtype=np.int64))
        self.qualification = np.empty(0)
        self.here = np.empty(0, dtype=np.bool_)
        self.active = np.empty(0, dtype=np.bool_)

    def __len__(self) -> int:
        return len(self.executors)

    def copy(self) -> "PoolState":
        """The same picture, to try something on; it leaves no trail."""
        twin = PoolState(self.rules, self.settings, self.rules_version)
        twin.executors, twin.position = self.executors.copy(), self.position.copy()
        twin.roster_version, twin.sequence = self.roster_version, self.sequence
        twin.classes, twin.outlook = self.classes.copy(), self.outlook
        for name in ("ids", *COUNTS, "qualification", "here", "active"):
            setattr(twin, name, getattr(self, name).copy())
        return twin

    def upsert(self, executors: Sequence[Executor], loads: Mapping[ExecutorId, Load] | None = None) -> None:
        """Put these executors in, replacing by id or appending, and these loads.

        Rules are asked again only for those in whom something changed that a rule may read. Someone new
        without a load starts with an empty one. Raises KeyError for the load of an unknown executor.
        """
        executors = list({executor.id: executor for executor in executors}.values())
        changed = [executor for executor in executors if self._differs_for_rules(executor)]
        left = any(self._comes_or_leaves(executor) for executor in executors)
        self._append([executor for executor in executors if executor.id not in self.position])
        for executor in executors:
            self._put(self.position[executor.id], executor)
        if changed:
            self.rules.update([self.position[executor.id] for executor in changed], changed)
            self.classes.refresh(self.ids)
        if changed or left:
            self._new_roster()
        self.update_loads(loads or {})

    def update_loads(self, loads: Mapping[ExecutorId, Load]) -> None:
        """Replace the loads of these executors. Raises KeyError for an unknown one."""
        for executor_id, load in loads.items():
            position = self.position[executor_id]
            self.level[position] = to_milli(load.level)
            self.used[position] = to_milli(load.used)
            self.open[position] = load.open
            self.last[position] = load.last_assigned
            self.ended[position] = load.last_ended
            self.sequence = max(self.sequence, load.last_assigned)
            self.trail.touch(position)

    def room_of(self, executor_id: ExecutorId) -> float:
        """The rest of an executor's daily limit, in task units (a huge number without one)."""
        position = self.position[executor_id]
        return (self.limit.item(position) - self.used.item(position)) / MILLI

    def set_level(self, executor_id: ExecutorId, level: float) -> None:
        """Replace one level, in task units. Raises KeyError for an unknown executor."""
        position = self.position[executor_id]
        self.level[position] = to_milli(level)
        self.trail.touch(position)

    def set_rules(self, rules: Rules, version: str = "") -> None:
        """Bind another rule set to the same people; what was known of classes is forgotten."""
        self.rules = rules
        self.rules_version = version
        rules.update(range(len(self.executors)), self.executors)
        self.classes = Classes(rules)
        self.classes.refresh(self.ids)
        self._new_roster()

    def load_of(self, executor_id: ExecutorId) -> Load:
        """The load of an executor, after everything placed so far. Raises KeyError for an unknown one."""
        at = self.position[executor_id]
        return Load(
            level=self.level.item(at) / MILLI,
            used=self.used.item(at) / MILLI,
            open=self.open.item(at),
            last_assigned=self.last.item(at),
            last_ended=self.ended.item(at),
        )

    def last_assigned(self, executor_ids: Sequence[ExecutorId]) -> list[int]:
        """The number of the last assignment of each of these. Raises KeyError for an unknown one."""
        last: list[int] = self.last[[self.position[executor_id] for executor_id in executor_ids]].tolist()
        return last

    def join_levels(self, joining: Sequence[ExecutorId]) -> dict[ExecutorId, float]:
        """The level at which each of these begins, in task units, when they come (back) together.

        In level with those present, not behind: per unit of qualification the highest, over the classes they
        are in, of the lowest level among the others present; never lower than their own. Somebody in no known
        class is compared with everybody present. With no other executor present a level stays as it is.
        """
        positions = np.array([self.position[executor_id] for executor_id in joining], dtype=np.int64)
        # A limit of 0 is an absence: a level that stood still meanwhile is no measure for others.
        others = self.here & self.active & (self.limit > 0) & (self.max_open > 0)
        others[positions] = False
        relative = np.where(others, self.level / self.qualification, np.inf)
        targets = self.classes.levels_to_join(positions, relative) * self.qualification[positions]
        own = self.level[positions]
        levels = np.where(np.isfinite(targets), np.maximum(own, np.rint(targets)), own) / MILLI
        return dict(zip(joining, levels.tolist(), strict=True))

    def held(self) -> IntArray | None:
        """By how much an outlook holds everybody back, in thousandths, shape (n,); None without one."""
        if self.outlook is None or self.settings.policy not in (Policy.FAIR, Policy.BEST_MATCH):
            return None
        return self.outlook.held(self.ids)

    def eligible_ids(self, key: ClassKey) -> frozenset[int]:
        """The executors who pass the rules for this class."""
        return frozenset(self.ids[self.classes.meet(key).eligible].tolist())

    def digest_of(self, found: EligibilityClass) -> str:
        """The name of the class's snapshot under the present rules and people."""
        digest = self._digests.get(found.key)
        if digest is None:
            self._people = self._people or people_digest(self.ids, self.active)
            digest = class_digest(self.rules, found, self._people, self.rules_version)
            self._digests[found.key] = digest
            self._by_digest[digest] = found
        return digest

    def forget_old_classes(self) -> bool:
        """Between batches: forget the digests of classes where they are many, so that memory has a bound.

        Returns whether they were forgotten; `snapshot` then knows no digest of a decision made before.
        """
        if len(self._by_digest) <= MAX_CLASSES:
            return False
        self._digests.clear()
        self._by_digest.clear()
        self.board = None
        return True

    def snapshot(self, digest: str) -> ClassSnapshot:
        """The snapshot to store once for all decisions that name this digest.

        Raises KeyError for a digest that is not of the present rules and people.
        """
        return class_snapshot(self.rules, self._by_digest[digest], self.ids, self.active, digest)

    def _differs_for_rules(self, executor: Executor) -> bool:
        position = self.position.get(executor.id)
        if position is None:
            return True
        known = self.executors[position]
        # Presence is the engine's question: a shift that begins makes no rule be evaluated again.
        return replace(known, available=True, active=True) != replace(executor, available=True, active=True)

    def _comes_or_leaves(self, executor: Executor) -> bool:
        position = self.position.get(executor.id)
        return position is None or self.executors[position].active != executor.active

    def _new_roster(self) -> None:
        self.roster_version += 1
        self._people = b""
        self._digests.clear()
        self._by_digest.clear()

    def _append(self, executors: Sequence[Executor]) -> None:
        if not executors:
            return
        for executor in executors:
            self.position[executor.id] = len(self.executors)
            self.executors.append(executor)
        more = len(self.executors) - len(self.ids)
        added = np.array([executor.id for executor in self.executors[-more:]], dtype=np.int64)
        self.ids = np.concatenate((self.ids, added))
        for name in (*COUNTS, "qualification", "here", "active"):
            column = getattr(self, name)
            setattr(self, name, np.concatenate((column, np.zeros(more, dtype=column.dtype))))

    def _put(self, position: int, executor: Executor) -> None:
        self.executors[position] = executor
        self.limit[position] = UNLIMITED if executor.daily_limit is None else to_milli(executor.daily_limit)
        self.max_open[position] = UNLIMITED if executor.max_open is None else executor.max_open
        self.qualification[position] = executor.qualification
        self.here[position] = executor.available
        self.active[position] = executor.active
        self.trail.touch(position)


def present_in(state: PoolState) -> list[Present]:
    """The executors present now, by id, as a forecast takes them."""
    here = np.flatnonzero(state.here & state.active).tolist()
    return sorted(
        Present(
            ExecutorId(state.ids.item(at)),
            state.qualification.item(at),
            state.level.item(at) / MILLI,
            state.used.item(at) / MILLI,
            (
                None
                if state.limit.item(at) >= UNLIMITED
                else (state.limit.item(at) - state.used.item(at)) / MILLI
            ),
        )
        for at in here
    )
