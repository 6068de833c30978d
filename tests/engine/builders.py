"""Short ways to say who is there and what comes in."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.engine.matrix import MatrixRules
from app.engine.placement.allocate import BatchOutcome
from app.engine.placement.state import PoolSettings, PoolState
from app.engine.types import Executor, ExecutorId, Load, Task, TaskId


def an_executor(number: int, **changes: Any) -> Executor:
    return Executor(ExecutorId(number), **changes)


def executors(count: int, **changes: Any) -> list[Executor]:
    return [an_executor(number, **changes) for number in range(1, count + 1)]


def a_task(number: int = 1, activity: str = "", **changes: Any) -> Task:
    return Task(TaskId(number), {"activity": activity}, **changes)


def tasks(count: int, activity: str = "", first: int = 1, **changes: Any) -> list[Task]:
    return [a_task(number, activity, **changes) for number in range(first, first + count)]


def rules(allowed: Mapping[str, Iterable[int]] | None = None, **options: Any) -> MatrixRules:
    """Who may do what; without a word everybody may do everything."""
    listed = {activity: {ExecutorId(i) for i in members} for activity, members in (allowed or {}).items()}
    return MatrixRules(listed, open_by_default=allowed is None, **options)


def a_pool(
    people: Iterable[Executor],
    allowed: Mapping[str, Iterable[int]] | None = None,
    *,
    levels: Mapping[int, float] | None = None,
    loads: Mapping[int, Load] | None = None,
    settings: PoolSettings | None = None,
    **options: Any,
) -> PoolState:
    state = PoolState(rules(allowed, **options), settings)
    known = {ExecutorId(i): load for i, load in (loads or {}).items()}
    known |= {ExecutorId(i): Load(level=level) for i, level in (levels or {}).items()}
    state.upsert(list(people), known)
    return state


def chosen(outcome: BatchOutcome) -> list[int]:
    """Who received something, in the order of decisions."""
    return [decision.executor_id for decision in outcome.decisions]


def received(state: PoolState) -> dict[int, float]:
    return {executor.id: state.load_of(executor.id).level for executor in state.executors}
