"""Pools and streams of tasks that Hypothesis invents: small, crowded, full of edges."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from app.engine.matrix import MatrixRules
from app.engine.placement.state import PoolSettings, PoolState
from app.engine.types import AssignmentKind, Executor, ExecutorId, Load, Policy, Task, TaskId

ACTIVITIES = ("a", "b", "c", "d")
WEIGHTS = (1.0, 1.0, 1.0, 0.5, 3.0, 0.333)
DAWN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """Everything that decisions depend on; `state()` is a fresh pool each time."""

    people: tuple[Executor, ...]
    loads: dict[ExecutorId, Load]
    allowed: dict[str, frozenset[ExecutorId]]
    preferred: dict[str, dict[ExecutorId, float]]
    factors: dict[str, float]
    settings: PoolSettings
    tasks: tuple[Task, ...]

    def rules(self) -> MatrixRules:
        rules = MatrixRules(self.allowed, preferred=self.preferred, factors=self.factors)
        rules.update(range(len(self.people)), self.people)
        return rules

    def state(self) -> PoolState:
        rules = MatrixRules(self.allowed, preferred=self.preferred, factors=self.factors)
        state = PoolState(rules, self.settings)
        state.upsert(self.people, self.loads)
        return state

    def with_policy(self, policy: Policy) -> "World":
        return replace(self, settings=replace(self.settings, policy=policy))


def people_of(ids: list[int]) -> st.SearchStrategy[tuple[Executor, ...]]:
    return st.tuples(*(executors(i) for i in ids))


PRESENCE = ({}, {}, {}, {}, {}, {"available": False}, {"active": False})
CAPACITY = [
    {"qualification": q, "daily_limit": limit, "max_open": most}
    for q in (1.0, 1.0, 1.0, 1.5, 0.8, 0.3)
    for limit in (None, None, 0.0, 1.0, 2.5, 4.0)
    for most in (None, None, 0, 1, 3)
]


def executors(number: int) -> st.SearchStrategy[Executor]:
    return st.builds(
        lambda capacity, presence: Executor(ExecutorId(number), **capacity, **presence),
        st.sampled_from(CAPACITY),
        st.sampled_from(PRESENCE),
    )


LOADS = st.builds(
    Load,
    level=st.integers(0, 6).map(lambda n: n / 2),
    used=st.integers(0, 4).map(lambda n: n / 2),
    open=st.integers(0, 2),
    last_assigned=st.integers(0, 9),
    last_ended=st.integers(0, 9),
)


HURRY = [
    (weight, priority, deadline)
    for weight in WEIGHTS
    for priority in (0, 0, 5)
    for deadline in (None, None, DAWN + timedelta(hours=1), DAWN + timedelta(hours=2))
]


def task(ids: list[int]) -> st.SearchStrategy[Task]:
    """A task without a number: few draws, since there are many tasks."""
    return st.builds(
        _task, st.sampled_from(ACTIVITIES), st.sampled_from(HURRY), st.sampled_from(_routes(ids))
    )


def _routes(ids: list[int]) -> list[dict[str, Any]]:
    """Mostly free; some forced, some barred, some both; 999 is nobody."""
    anybody = [ExecutorId(i) for i in (*ids, 999)]
    kinds = (AssignmentKind.PARENT, AssignmentKind.REWORK, AssignmentKind.MANUAL)
    forced = [{"forced_executor": i, "forced_kind": kind} for i in anybody for kind in kinds]
    barred = [{"excluded_executors": frozenset({i, anybody[0]})} for i in anybody]
    both = [{**one, **other} for one, other in zip(forced, barred, strict=False)]
    special = [*forced, *barred, *both]
    return [{}] * (2 * len(special)) + special


def _task(activity: str, hurry: tuple[Any, ...], route: dict[str, Any]) -> Task:
    weight, priority, deadline = hurry
    parameters = {"activity": activity}
    return Task(TaskId(0), parameters, weight=weight, priority=priority, deadline=deadline, **route)


@st.composite
def worlds(draw: st.DrawFn, policies: tuple[Policy, ...] = tuple(Policy), max_tasks: int = 20) -> World:
    ids = draw(st.lists(st.integers(1, 40), min_size=1, max_size=7, unique=True))
    everybody = [ExecutorId(i) for i in ids]
    members = st.one_of(st.just(frozenset(everybody)), st.frozensets(st.sampled_from(everybody)))
    likings = st.dictionaries(st.sampled_from(everybody), st.sampled_from((0.5, 2.0, 3.0)))
    return World(
        people=draw(people_of(ids)),
        loads=draw(st.dictionaries(st.sampled_from(everybody), LOADS)),
        allowed=draw(st.fixed_dictionaries(dict.fromkeys(ACTIVITIES, members))),
        preferred=draw(st.dictionaries(st.sampled_from(ACTIVITIES), likings)),
        factors=draw(st.dictionaries(st.sampled_from(ACTIVITIES), st.sampled_from((1.0, 3.0, 0.1)))),
        settings=PoolSettings(
            policy=draw(st.sampled_from(policies)),
            theta=draw(st.sampled_from((0.05, 0.0, 1.0))),
            day_load=draw(st.sampled_from((10.0, 7.0, 1.0))),
        ),
        tasks=tuple(
            replace(one, id=TaskId(number))
            for number, one in enumerate(draw(st.lists(task(ids), max_size=max_tasks)), 1)
        ),
    )
